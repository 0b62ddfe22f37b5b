//! Starts, watches and ends a cluster on another host: the order of events on this side.

use super::lookout::{progress, restart, scale, watch_cluster};
use super::plan::Plan;
use super::there::{STOP_PATIENCE, There};
use super::version;
use crate::clusters::taken_over;
use crate::guard::Guard;
use crate::requests::{Reply, Request};
use crate::supervisor::events::Event;
use crate::supervisor::program::Program;
use crate::supervisor::run::OnReady;
use crate::talk::Talk;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::release;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::{BlockedSignals, Signal};
use ipclusterz_host::system;
use ipclusterz_launchers::cluster::alive::Keeper;
use ipclusterz_launchers::cluster::files::remove_files;
use ipclusterz_launchers::cluster::handle::Phase;
use ipclusterz_launchers::cluster::logs::open_log;
use ipclusterz_launchers::record::{JobRecord, SetRecord};
use ipclusterz_launchers::set::{EngineSet, SetId};
use ipclusterz_launchers::ssh::script::SHELL;
use ipclusterz_runtime::client::Event as ClientEvent;
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::tunnel::{Runner, Tunnel};
use ipclusterz_ssh::whom::of_terminal;
use ipclusterz_ssh::{Remote, connect};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long the program of `run` may take to exit after each signal.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(2);

/// Why a cluster ends.
enum Ending {
    Signal(Signal),
    ParentGone,
    ProgramEnded,
    /// Another process has taken the cluster over.
    TakenOver,
    /// The cluster there has ended by itself.
    There(Result<u8, Failure>),
}

/// Starts the cluster there and returns when nothing is left of it. Returns the exit code: the program's, if there is
/// one.
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
    let mut cluster = Cluster {
        plan,
        there,
        given_up,
        connecting,
        sender,
        receiver,
        talk,
        alive: None,
        guard: None,
        connection: None,
        hurry: false,
    };
    let supervised = cluster.supervise(asker, on_ready);
    if cluster.plan.program.is_none() {
        let (name, host) = (&cluster.there.record.cluster, &cluster.there.record.host);
        cluster.talk.say(format!("stopping cluster {name:?} on {host}"));
    }
    cluster.shut_down(matches!(supervised, Ok(Ending::There(_))))?;
    match supervised? {
        Ending::ProgramEnded => Ok(cluster.plan.program.as_ref().map_or(0, Program::code)),
        Ending::Signal(Signal::Interrupt) => Ok(Exit::Interrupted.code()),
        Ending::Signal(_) | Ending::ParentGone => Ok(Exit::Ok.code()),
        Ending::There(outcome) => outcome,
        Ending::TakenOver => Err(taken_over(&cluster.plan.settings.cluster)),
    }
}

/// The connection to the host.
pub(super) enum Connection {
    /// While the cluster is being started.
    Direct(Box<dyn Remote>),
    /// With a forward to the controller. It reconnects after an outage.
    Tunnel(Tunnel),
}

pub(super) struct Cluster<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) there: There,
    /// Set by a signal that arrives while `connecting`.
    pub(super) given_up: Arc<AtomicBool>,
    connecting: Arc<AtomicBool>,
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
    pub(super) talk: &'a mut Talk,
    /// Gives signs of life for as long as it is there.
    alive: Option<Keeper>,
    /// Ends the cluster there if this process is killed.
    guard: Option<Guard>,
    pub(super) connection: Option<Connection>,
    /// Whether Ctrl-C has interrupted the program; the second one ends the cluster.
    hurry: bool,
}

impl Cluster<'_> {
    /// From the first connection until there is a reason to end.
    fn supervise(&mut self, mut asker: Remembering, on_ready: OnReady<'_>) -> Result<Ending, Failure> {
        let sender = self.sender.clone();
        let lost = move || drop(sender.send(Event::TakenOver));
        self.alive =
            Some(self.plan.hold.clone().keep(lost).map_err(Failure::io("starting the thread of the sign of life"))?);
        self.plan.handle.engines_wanted = self.plan.settings.engines;
        self.write_handle()?;
        self.talk.say(format!("connecting to {}", self.there.record.host));
        let connected = connect(&self.there.record.host, &self.there.record.ssh, &mut asker);
        self.connecting.store(false, Ordering::Release);
        let given_up = self.given_up.load(Ordering::Acquire);
        let mut remote = match connected {
            Err(_) if given_up => return Err(interrupted("the connection was there")),
            other => other?,
        };
        let own = self.plan.binary.to_string_lossy().into_owned();
        let folder = self.there.prepare(&mut *remote, self.plan.settings.python.as_deref(), &own)?;
        if self.there.release != release::number() {
            let (host, theirs, own) = (&self.there.record.host, &self.there.release, release::number());
            self.talk.say(format!("{host} has ipclusterz {theirs}, and this host {own}: they work together"));
        }
        remote.upload(&format!("{folder}/profile.toml"), self.plan.profile.as_bytes(), 0o600)?;
        // From here on, there is something to end on the host.
        self.write_handle()?;
        let log = open_log(&self.plan.folder.logs().guard());
        let guard = log
            .and_then(|log| Guard::start(&self.plan.binary, &self.there.record.cluster, &self.plan.handle.run_id, log))
            .map_err(Failure::io("starting the guard"))?;
        self.guard = Some(guard);
        let remote = match self.connection.insert(Connection::Direct(remote)) {
            Connection::Direct(remote) => remote,
            Connection::Tunnel(_) => return Err(interrupted("there was a tunnel")),
        };
        self.there.begin(&mut **remote, self.plan.journal)?;
        self.listen()?;
        if let Some(signal) = self.wait_for_start()? {
            return Err(interrupted(&format!("all engines were ready ({signal})")));
        }
        let report = self.connect_here(&folder, asker)?;
        self.ready(&report, on_ready)?;
        self.watch()
    }

    /// Waits until there is a reason to end.
    fn watch(&mut self) -> Result<Ending, Failure> {
        let Some(runner) = self.runner() else { return Err(interrupted("there was a tunnel")) };
        let lease = Duration::from_secs_f64(self.plan.settings.tables.engines.lease);
        let look_now = watch_cluster(self.there.clone(), runner.clone(), lease, self.sender.clone())?;
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
                        // The terminal has sent Ctrl-C to the program too, and the cluster ends when the program exits.
                        let name = program.name();
                        self.talk.say(format!("{name} was interrupted; a second Ctrl-C stops everything"));
                        continue;
                    }
                    if let Some(program) = self.plan.program.as_ref().filter(|_| signal == Signal::HangUp) {
                        program.signal(signal.number());
                    }
                    return Ok(Ending::Signal(signal));
                }
                Event::TakenOver => return Ok(Ending::TakenOver),
                Event::EndedElsewhere(outcome) => {
                    return Ok(Ending::There(outcome.map_err(|failure| self.prefix_host(failure))));
                }
                // Either the cluster has ended or the tunnel is broken: the look finds out which.
                Event::Client(ClientEvent::Disconnected { .. }) => drop(look_now.send(())),
                Event::Request(request, answer) => {
                    let (there, runner) = (self.there.clone(), runner.clone());
                    let ask = move || {
                        let reply = match request {
                            Request::Scale(scaling) => scale(&there, &runner, &scaling).map(Reply::Scaled),
                            Request::Restart(engines) => {
                                restart(&there, &runner, engines.as_deref()).map(Reply::Restarting)
                            }
                            Request::Progress => progress(&there, &runner).map(Reply::Progress),
                        };
                        // The command that asked may have exited.
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
        // The shutdown goes on even if the record cannot be written.
        let _ = self.write_handle();
        self.end_program();
        // What runs there is the new owner's.
        if self.plan.hold.is_lost() {
            self.connection = None;
            return Ok(());
        }
        let end_timeout = Duration::from_secs_f64(self.plan.settings.tables.engines.end_timeout);
        let deadline = Instant::now() + STOP_PATIENCE + end_timeout;
        let script = self.there.stop();
        let output = match &mut self.connection {
            None => None,
            Some(Connection::Direct(remote)) => Some(remote.run(SHELL, script.as_bytes(), deadline)),
            Some(Connection::Tunnel(tunnel)) => Some(tunnel.runner().run(SHELL, script.as_bytes(), deadline)),
        };
        let stopped = output.map(|output| output.map_err(Failure::from).and_then(|output| self.there.stopped(output)));
        if let Some(Err(failure)) = stopped
            && !has_ended
        {
            let lease = self.plan.settings.tables.engines.lease;
            self.talk
                .say(format!("{}; it ends by itself when it has not heard from here for {lease} s", failure.message));
        }
        self.connection = None;
        Ok(remove_files(&self.plan.folder, &self.plan.handle)?)
    }

    fn end_program(&mut self) {
        let Some(program) = &mut self.plan.program else { return };
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            program.signal(signal);
            let deadline = Instant::now() + PROGRAM_PATIENCE;
            while program.is_running() && !program.has_ended() {
                match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => break,
                    // The exit of the program arrives as a signal.
                    Ok(_) | Err(RecvTimeoutError::Disconnected) => {}
                }
            }
        }
    }

    fn runner(&self) -> Option<Runner> {
        match &self.connection {
            Some(Connection::Tunnel(tunnel)) => Some(tunnel.runner()),
            _ => None,
        }
    }

    pub(super) fn parent_is_gone(&self) -> bool {
        self.plan.parent.is_some_and(|parent| parent != system::parent_pid())
    }

    pub(super) fn prefix_host(&self, mut failure: Failure) -> Failure {
        let host = &self.there.record.host;
        failure.message = format!("on {host}: {}", failure.message);
        version::with_releases(failure, host, &self.there.release)
    }

    /// All engines as one set: only the launcher there knows the real sets.
    pub(super) fn all_engines(&self) -> EngineSet {
        EngineSet { id: SetId(0), first: EngineId(0), count: self.plan.handle.engines_wanted, group: None }
    }

    /// Updates the record, which says how to end the cluster there.
    pub(super) fn write_handle(&mut self) -> Result<(), Failure> {
        if self.plan.hold.is_lost() {
            return Ok(());
        }
        let set = self.all_engines();
        // Until there is something to end on the host, the record has no job there.
        let job = self.there.record.program.is_some().then(|| JobRecord::Cluster(self.there.record.clone()));
        self.plan.handle.sets = job.map(|job| SetRecord { set, job }).into_iter().collect();
        Ok(self.plan.handle.write(&self.plan.folder.handle_file())?)
    }
}

/// The failure of a start that was ended `before` something.
pub(super) fn interrupted(before: &str) -> Failure {
    Failure::new(Exit::Interrupted, format!("ended before {before}"))
}
