//! A whole cluster on another host: launcher, controller and engines run there, started by `ipclusterz` there; here
//! are a tunnel, a record under the same name, and this process, which looks after them.
//!
//! ```text
//! here                                             there
//! ipclusterz start ─ SSH ─ touches the lease ────▶ ipclusterz start --lease-file F   (ends when F is not touched)
//! Client() ─▶ client.json ─▶ socket ─ tunnel ────▶ controller
//! ```
//!
//! [`there`] has the scripts; this file the order of events.

pub mod there;

use crate::arguments::StartArguments;
use crate::cluster::ClusterFolder;
use crate::cluster::cleanup;
use crate::cluster::handle::{ClusterHandle, Phase};
use crate::cluster::logs::open_log;
use crate::commands::guard::Guard;
use crate::commands::tunnel::{Opened, first_that_answers};
use crate::environment::Variables;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::launchers::ssh::script::SHELL;
use crate::launchers::{EngineSet, JobRecord, SetId, SetRecord};
use crate::profile::{self, Places, Profile};
use crate::report::StartReport;
use crate::settings::{StartSettings, merged_profile, options_of};
use crate::ssh::asker::{Remembering, of_terminal};
use crate::ssh::tunnel::{Runner, Tunnel, Way};
use crate::ssh::{Remote, connect, remote_cluster};
use crate::supervisor::events::{self, Event};
use crate::supervisor::program::Program;
use crate::supervisor::progress::{Progress, SetProgress, SetState};
use crate::supervisor::requests::{self, Change, Reply, Request, Scaled};
use crate::supervisor::run::OnReady;
use crate::supervisor::signals::{BlockedSignals, Signal};
use crate::system;
use crate::talk::{Talk, print_line};
use ipclusterz_runtime::client::Event as ClientEvent;
use ipclusterz_runtime::ids::EngineId;
use ipclusterz_runtime::places;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use there::There;

/// How often a start is looked at, there.
const START_INTERVAL: Duration = Duration::from_millis(200);
/// Longest time between two looks at a cluster that runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is said that nothing is heard.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How long a start may be silent beyond its own deadline. It speaks every few seconds while it waits for something.
const SILENCE: Duration = Duration::from_secs(60);
/// For a launcher there to answer.
const SCALE_PATIENCE: Duration = Duration::from_secs(9);
/// For a status there.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
/// For the program of `run` to end.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(2);

/// All that is settled before the host is asked for anything.
pub struct Plan<'a> {
    /// What was asked for.
    pub settings: &'a StartSettings,
    /// The profile for the start there.
    pub profile: String,
    /// Where the record is, here; locked.
    pub folder: ClusterFolder,
    /// The record.
    pub handle: ClusterHandle,
    /// This binary.
    pub binary: PathBuf,
    /// What the cluster is started for, if it ends with that.
    pub program: Option<Program>,
    /// Pid of a process that must not be outlived.
    pub parent: Option<u32>,
    /// When the command was given.
    pub started: Instant,
}

/// All layers of the profile merged, as a text for a start on the host itself.
pub fn profile_for(arguments: &StartArguments, variables: &Variables, places: &Places) -> Result<String, Failure> {
    profile_of_host(merged_profile(&options_of(arguments), variables, places)?)
}

/// The text of a merged profile for that host, on which the cluster is no cluster elsewhere.
pub fn profile_of_host(mut merged: Profile) -> Result<String, Failure> {
    merged.derive("ssh.controller", "".into(), "the host itself".to_owned())?;
    Ok(profile::write(&merged.entries, false))
}

/// Why a cluster ends.
enum Ending {
    Signal(Signal),
    ParentGone,
    ProgramEnded,
    /// By itself, there.
    There(Result<u8, Failure>),
}

/// Starts the cluster there and returns when nothing is left of it. The program's exit code, if there is one.
pub fn supervise(
    plan: Plan<'_>,
    signals: BlockedSignals,
    talk: &mut Talk,
    on_ready: OnReady<'_>,
) -> Result<u8, Failure> {
    let (sender, receiver) = channel();
    let given_up = Arc::new(AtomicBool::new(false));
    let connecting = Arc::new(AtomicBool::new(true));
    let (give_up, may_give_up, events) = (Arc::clone(&given_up), Arc::clone(&connecting), sender.clone());
    let take = move |signal: Signal| {
        let ends = matches!(signal, Signal::Interrupt | Signal::Terminate | Signal::HangUp);
        if ends && may_give_up.load(Ordering::Acquire) {
            give_up.store(true, Ordering::Release);
        }
        events.send(Event::Signal(signal)).is_ok()
    };
    signals.forward(take).map_err(Failure::io("starting the thread for signals"))?;
    let table = &plan.settings.tables.ssh;
    let there = There::new(plan.settings.cluster.clone(), table);
    let asker = Remembering::new(of_terminal(table.ask), Arc::clone(&given_up));
    let mut cluster =
        Cluster { plan, there, given_up, connecting, sender, receiver, talk, guard: None, way: None, hurry: false };
    let supervised = cluster.supervise(asker, on_ready);
    if cluster.plan.program.is_none() {
        let (name, host) = (&cluster.there.cluster, &cluster.there.host);
        cluster.talk.say(format!("stopping cluster {name:?} on {host}"));
    }
    cluster.shut_down(matches!(supervised, Ok(Ending::There(_))))?;
    match supervised? {
        Ending::ProgramEnded => Ok(cluster.plan.program.as_ref().map_or(0, Program::code)),
        Ending::Signal(Signal::Interrupt) => Ok(Exit::Interrupted.code()),
        Ending::Signal(_) | Ending::ParentGone => Ok(Exit::Ok.code()),
        Ending::There(outcome) => outcome,
    }
}

/// The way to the host.
enum TheWay {
    /// While the cluster is being started.
    Direct(Box<dyn Remote>),
    /// With a forward to the controller; comes back after an outage.
    Tunnel(Tunnel),
}

struct Cluster<'a> {
    plan: Plan<'a>,
    there: There,
    /// Set by a signal while `connecting`.
    given_up: Arc<AtomicBool>,
    connecting: Arc<AtomicBool>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    talk: &'a mut Talk,
    /// Ends the cluster there should this process be killed.
    guard: Option<Guard>,
    way: Option<TheWay>,
    /// The program has been interrupted once.
    hurry: bool,
}

impl Cluster<'_> {
    /// From the first connection to a reason to end.
    fn supervise(&mut self, mut asker: Remembering, on_ready: OnReady<'_>) -> Result<Ending, Failure> {
        self.plan.handle.engines_wanted = self.plan.settings.engines;
        self.write_handle()?;
        self.talk.say(format!("connecting to {}", self.there.host));
        let connected = connect(&self.there.host, &self.there.ssh, &mut asker);
        self.connecting.store(false, Ordering::Release);
        let given_up = self.given_up.load(Ordering::Acquire);
        let mut remote = match connected {
            Err(_) if given_up => return Err(interrupted("the connection was there")),
            other => other?,
        };
        let own = self.plan.binary.to_string_lossy().into_owned();
        let folder = self.there.prepare(&mut *remote, self.plan.settings.python.as_deref(), &own)?;
        remote.upload(&format!("{folder}/profile.toml"), self.plan.profile.as_bytes(), 0o600)?;
        // From here on there is something to end there.
        self.write_handle()?;
        let log = open_log(&self.plan.folder.logs().guard());
        let guard = log
            .and_then(|log| Guard::start(&self.plan.binary, &self.there.cluster, &self.plan.handle.run_id, log))
            .map_err(Failure::io("starting the guard"))?;
        self.guard = Some(guard);
        let remote = match self.way.insert(TheWay::Direct(remote)) {
            TheWay::Direct(remote) => remote,
            TheWay::Tunnel(_) => return Err(interrupted("there was a tunnel")),
        };
        self.there.begin(&mut **remote)?;
        self.listen()?;
        if let Some(signal) = self.wait_for_start()? {
            return Err(interrupted(&format!("all engines were ready ({signal})")));
        }
        let report = self.connect_here(&folder, asker)?;
        self.ready(&report, on_ready)?;
        self.watch()
    }

    /// Until the start there is over. The name of the signal that ended the wait, if one did.
    fn wait_for_start(&mut self) -> Result<Option<&'static str>, Failure> {
        let (mut offset, mut heard, mut quiet) = (0, Instant::now(), false);
        let mut next_progress = heard + PROGRESS_INTERVAL;
        let patience = self.plan.settings.timeout + SILENCE;
        let begun = heard;
        let mut said = None;
        loop {
            match self.receiver.recv_timeout(START_INTERVAL) {
                Ok(Event::Signal(signal)) => match signal {
                    Signal::ChildEnded => {}
                    Signal::ParentChanged if !self.parent_is_gone() => {}
                    signal => return Ok(Some(signal.name())),
                },
                Ok(Event::Request(request, answer)) => {
                    let reply = match request {
                        Request::Progress => Ok(Reply::Progress(self.progress_of_start(begun, said.clone()))),
                        Request::Scale(_) => Err(Failure::new(Exit::Usage, "the cluster is still starting")
                            .with_hint("`ipclusterz wait` first")),
                    };
                    // Whoever asked may be gone.
                    let _ = answer.send(reply);
                }
                Ok(_) | Err(_) => {}
            }
            let Some(TheWay::Direct(remote)) = &mut self.way else { return Ok(None) };
            let progress = self.there.progress(&mut **remote, offset)?;
            offset = progress.offset;
            for line in progress.lines {
                heard = Instant::now();
                next_progress = heard + PROGRESS_INTERVAL;
                // What comes then is in its report too.
                quiet |= line.starts_with("error: ");
                if !quiet {
                    self.talk.say(format!("{}: {line}", self.there.host));
                    said = Some((line, heard));
                }
            }
            if progress.status.is_some() {
                return Ok(None);
            }
            let host = &self.there.host;
            if heard.elapsed() >= patience {
                let message = format!("the start on {host} has said nothing for {:.0} s", patience.as_secs_f64());
                return Err(Failure::new(Exit::Timeout, message).with_hint(format!("is {host} overloaded?")));
            }
            if Instant::now() >= next_progress {
                self.talk.say(format!("waiting for {host} to start cluster {:?}", self.there.cluster));
                next_progress = Instant::now() + PROGRESS_INTERVAL;
            }
        }
    }

    /// What is known of the engines before the start there is over: what it said last.
    fn progress_of_start(&self, begun: Instant, said: Option<(String, Instant)>) -> Progress {
        let wanted = self.plan.settings.engines;
        let (said, said_at) = said.unzip();
        let set = SetProgress {
            name: format!("cluster {:?} on {}", self.there.cluster, self.there.host),
            set: self.whole(),
            ready: 0,
            lost: Vec::new(),
            state: SetState::Waiting,
            seconds: begun.elapsed().as_secs_f64(),
            said,
            said_seconds_ago: said_at.map(|at| at.elapsed().as_secs_f64()),
        };
        Progress { wanted, sets: vec![set], ..Progress::default() }
    }

    /// Takes requests of other commands.
    fn listen(&self) -> Result<(), Failure> {
        let sockets = &self.plan.handle.socket_dir;
        if let Some(base) = sockets.parent() {
            places::make_private_dir(base)?;
        }
        places::make_private_dir(sockets)?;
        requests::listen(sockets, self.sender.clone()).map_err(Failure::io("listening for requests of other commands"))
    }

    /// Fetches the report, and makes the tunnel and the connection file for it.
    fn connect_here(&mut self, folder: &str, asker: Remembering) -> Result<StartReport, Failure> {
        let Some(TheWay::Direct(mut remote)) = self.way.take() else { return Err(interrupted("it was connected")) };
        let opened = self.open(&mut *remote, folder);
        let (mut report, opened, client_file) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                self.way = Some(TheWay::Direct(remote));
                return Err(failure);
            }
        };
        let Opened { forward, listener, to } = opened;
        report.addresses = vec![listener.endpoint().to_address()];
        let way = Way {
            host: self.there.host.clone(),
            table: (*self.there.ssh).clone(),
            asker: asker.without_asking(),
            given_up: Arc::clone(&self.given_up),
        };
        let tunnel = Tunnel::keep(remote, forward, listener, to, way, Box::new(print_line))?;
        self.way = Some(TheWay::Tunnel(tunnel));
        report.client_file = client_file;
        report.launcher_pid = self.plan.handle.launcher.pid;
        report.run_id.clone_from(&self.plan.handle.run_id);
        report.log_directory = self.plan.folder.logs().path().to_path_buf();
        report.seconds = self.plan.started.elapsed().as_secs_f64();
        Ok(report)
    }

    fn open(&mut self, remote: &mut dyn Remote, folder: &str) -> Result<(StartReport, Opened, PathBuf), Failure> {
        let report = self.there.report(remote, folder).map_err(|failure| self.said_there(failure))?;
        self.there.run_id = Some(report.run_id.clone());
        self.write_handle()?;
        let found = remote_cluster::find(remote, Some(&self.there.cluster))?;
        let socket = places::socket_path(&self.plan.handle.socket_dir);
        let (opened, file) = first_that_answers(remote, &found, &socket)?;
        let path = self.plan.folder.client_file();
        file.write(&path)?;
        Ok((report, opened, path))
    }

    fn ready(&mut self, report: &StartReport, on_ready: OnReady<'_>) -> Result<(), Failure> {
        events::watch_engines(self.plan.folder.client_file(), self.sender.clone())
            .map_err(Failure::io("starting the thread for the controller's notifications"))?;
        self.plan.handle.phase = Phase::Running;
        self.write_handle()?;
        on_ready(report, self.talk)?;
        if let Some(program) = &mut self.plan.program {
            program.start(report)?;
        }
        Ok(())
    }

    /// Until there is a reason to end.
    fn watch(&mut self) -> Result<Ending, Failure> {
        let Some(runner) = self.runner() else { return Err(interrupted("there was a tunnel")) };
        let lease = Duration::from_secs_f64(self.plan.settings.tables.engines.lease);
        let look_now = look_after(self.there.clone(), runner.clone(), lease, self.sender.clone())?;
        loop {
            let Ok(event) = self.receiver.recv() else { return Err(interrupted("all threads had ended")) };
            match event {
                Event::Signal(Signal::ChildEnded) if self.plan.program.as_mut().is_some_and(Program::has_ended) => {
                    return Ok(Ending::ProgramEnded);
                }
                Event::Signal(Signal::ParentChanged) if self.parent_is_gone() => return Ok(Ending::ParentGone),
                Event::Signal(Signal::ChildEnded | Signal::ParentChanged) => {}
                Event::Signal(signal) => {
                    if let Some(program) = self.plan.program.as_ref().filter(|program| program.is_running())
                        && signal == Signal::Interrupt
                        && !std::mem::replace(&mut self.hurry, true)
                    {
                        // The terminal sent Ctrl-C to the program too, and the cluster ends with it.
                        let name = program.name();
                        self.talk.say(format!("{name} was interrupted; a second Ctrl-C stops everything"));
                        continue;
                    }
                    return Ok(Ending::Signal(signal));
                }
                Event::EndedElsewhere(outcome) => {
                    return Ok(Ending::There(outcome.map_err(|failure| self.said_there(failure))));
                }
                // The cluster may have ended, or the tunnel broken.
                Event::Client(ClientEvent::Disconnected { .. }) => drop(look_now.send(())),
                Event::Request(request, answer) => {
                    let (there, runner) = (self.there.clone(), runner.clone());
                    let ask = move || {
                        let reply = match request {
                            Request::Scale(change) => scale(&there, &runner, change).map(Reply::Scaled),
                            Request::Progress => progress(&there, &runner).map(Reply::Progress),
                        };
                        // Whoever asked may be gone.
                        let _ = answer.send(reply);
                    };
                    let thread = std::thread::Builder::new().name("request".to_owned()).spawn(ask);
                    thread.map_err(Failure::io("starting a thread"))?;
                }
                _ => {}
            }
        }
    }

    /// Ends the cluster there unless it `has_ended`, and removes all files.
    fn shut_down(&mut self, has_ended: bool) -> Result<(), Failure> {
        self.plan.handle.phase = Phase::Stopping;
        // The end goes on without it.
        let _ = self.write_handle();
        self.end_program();
        let deadline = Instant::now() + there::STOP_PATIENCE;
        let script = self.there.stop();
        let output = match &mut self.way {
            None => None,
            Some(TheWay::Direct(remote)) => Some(remote.run(SHELL, script.as_bytes(), deadline)),
            Some(TheWay::Tunnel(tunnel)) => Some(tunnel.runner().run(SHELL, script.as_bytes(), deadline)),
        };
        let stopped = output.map(|output| output.map_err(Failure::from).and_then(|output| self.there.stopped(output)));
        if let Some(Err(failure)) = stopped
            && !has_ended
        {
            let lease = self.plan.settings.tables.engines.lease;
            self.talk
                .say(format!("{}; it ends by itself when it has not heard from here for {lease} s", failure.message));
        }
        self.way = None;
        Ok(cleanup::remove_files(&self.plan.folder, &self.plan.handle)?)
    }

    fn end_program(&mut self) {
        let Some(program) = &mut self.plan.program else { return };
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            program.signal(signal);
            let deadline = Instant::now() + PROGRAM_PATIENCE;
            while program.is_running() && !program.has_ended() {
                match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => break,
                    // Its end comes as a signal.
                    Ok(_) | Err(RecvTimeoutError::Disconnected) => {}
                }
            }
        }
    }

    fn runner(&self) -> Option<Runner> {
        match &self.way {
            Some(TheWay::Tunnel(tunnel)) => Some(tunnel.runner()),
            _ => None,
        }
    }

    fn parent_is_gone(&self) -> bool {
        self.plan.parent.is_some_and(|parent| parent != system::parent_pid())
    }

    fn said_there(&self, mut failure: Failure) -> Failure {
        failure.message = format!("on {}: {}", self.there.host, failure.message);
        failure
    }

    /// All engines, of whose sets only the launcher there knows.
    fn whole(&self) -> EngineSet {
        EngineSet { id: SetId(0), first: EngineId(0), count: self.plan.settings.engines }
    }

    /// Brings the record up to date: what it takes to end the cluster there.
    fn write_handle(&mut self) -> Result<(), Failure> {
        let set = self.whole();
        // Before there is anything to end there, there is no reason to go there.
        let job = self.there.program.is_some().then(|| JobRecord::Cluster(self.there.clone()));
        self.plan.handle.sets = job.map(|job| SetRecord { set, job }).into_iter().collect();
        Ok(self.plan.handle.write(&self.plan.folder.handle_file())?)
    }
}

fn interrupted(before: &str) -> Failure {
    Failure::new(Exit::Interrupted, format!("ended before {before}"))
}

/// Starts the thread that touches the lease and tells when the cluster is gone. What is returned makes it look at once;
/// the thread ends when that is dropped.
fn look_after(there: There, runner: Runner, lease: Duration, events: Sender<Event>) -> Result<Sender<()>, Failure> {
    let (look_now, wake) = channel();
    let interval = LOOK_INTERVAL.min(lease / 4);
    let work = move || {
        let mut missing = 0;
        loop {
            // A record that is being replaced is there; one that is gone for a while is gone with its cluster.
            let wait = if missing == 0 { interval } else { START_INTERVAL.min(interval) };
            match wake.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let output = runner.run(SHELL, there.look().as_bytes(), Instant::now() + LOOK_INTERVAL.max(lease));
            // The tunnel says what is wrong with the connection, and makes a new one.
            let Ok(told) = output.and_then(|output| output.text(&there.host, "a look at the cluster")) else {
                continue;
            };
            let look = there::parse_look(&told);
            missing = if look.alive { 0 } else { missing + 1 };
            let outcome = match look.outcome {
                Some(outcome) => outcome,
                None if missing < 10 => continue,
                None => Err(Failure::new(Exit::NoCluster, format!("cluster {:?} is gone", there.cluster))
                    .with_hint("was it killed, or out of reach for longer than engines.lease?")),
            };
            // The launcher may be on its way out; then nobody needs to know.
            let _ = events.send(Event::EndedElsewhere(outcome));
            return;
        }
    };
    let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(work);
    thread.map_err(Failure::io("starting a thread"))?;
    Ok(look_now)
}

/// Has the launcher there have more engines or fewer.
fn scale(there: &There, runner: &Runner, change: Change) -> Result<Scaled, Failure> {
    let change = match change {
        Change::By(by) => format!("{by:+}"),
        Change::To(count) => count.to_string(),
    };
    let output = runner.run(SHELL, there.scale(&change).as_bytes(), Instant::now() + SCALE_PATIENCE)?;
    let told = output.text(&there.host, "ipclusterz scale")?;
    there::parse_scaled(&told)
        .unwrap_or_else(|| Err(Failure::new(Exit::Unreachable, format!("ipclusterz on {} did not answer", there.host))))
}

/// How far the sets are, as the launcher there tells it.
fn progress(there: &There, runner: &Runner) -> Result<Progress, Failure> {
    let output = runner.run(SHELL, there.status().as_bytes(), Instant::now() + STATUS_PATIENCE)?;
    let told = output.text(&there.host, "ipclusterz status")?;
    there::parse_status(&told)
        .unwrap_or_else(|| Err(Failure::new(Exit::Unreachable, format!("ipclusterz on {} did not answer", there.host))))
}
