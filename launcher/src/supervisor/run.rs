//! The loop that owns a cluster from the start of its controller to the removal of its last file.

use super::blocks::Blocks;
use super::core::{Action, Core, Ending, Input, Policy};
use super::events::{self, ControllerLine, Event};
use super::lease;
use super::loss::Limit;
use super::outcome;
use super::program::Program;
use super::requests::{Change, Reply, Request, Scaled};
use super::signals::{BlockedSignals, Signal};
use crate::cluster::ClusterFolder;
use crate::cluster::handle::{ClusterHandle, Phase};
use crate::cluster::logs::open_log;
use crate::commands::guard::Guard;
use crate::controller_process::ControllerProcess;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::launchers::rank_loss::RankLoss;
use crate::launchers::{EngineSet, JobRecord, Launcher, SetEnd, SetId, Wake};
use crate::limits;
use crate::report::StartReport;
use crate::settings::StartSettings;
use crate::system;
use crate::tables::engines::LauncherKind;
use crate::talk::Talk;
use ipclusterz_runtime::client::{Client, Event as ClientEvent};
use ipclusterz_runtime::ids::EngineId;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// What the caller does when the cluster is ready.
pub type OnReady<'a> = &'a mut dyn FnMut(&StartReport, &mut Talk) -> Result<(), Failure>;

/// Makes the launcher of engines, once the controller listens.
pub type MakeLauncher<'a> = &'a mut dyn FnMut(Wake) -> Result<Box<dyn Launcher>, Failure>;

/// For the controller to tell how busy engines are.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// All that is settled before the first process is started.
pub struct Plan<'a> {
    /// What was asked for.
    pub settings: &'a StartSettings,
    /// Where the cluster's files are; locked.
    pub folder: ClusterFolder,
    /// The record to keep.
    pub handle: ClusterHandle,
    /// This binary, which also is the controller.
    pub binary: PathBuf,
    /// The Python of the engines, for messages.
    pub python: PathBuf,
    /// What starts engines.
    pub make_launcher: MakeLauncher<'a>,
    /// What the cluster is started for, if it ends with that.
    pub program: Option<Program>,
    /// Pid of a process that must not be outlived.
    pub parent: Option<u32>,
    /// A file that somebody on another host touches as long as the cluster is to live.
    pub lease_file: Option<PathBuf>,
    /// When the command was given.
    pub started: Instant,
}

/// A cluster and all that belongs to it.
pub struct Supervisor<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) core: Core,
    pub(super) controller: ControllerProcess,
    pub(super) launcher: Option<Box<dyn Launcher>>,
    /// Has jobs come and go.
    blocks: Option<Blocks>,
    /// Ends what is elsewhere should this process be killed.
    guard: Option<Guard>,
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
    pub(super) client: Option<Arc<Client>>,
    pub(super) talk: &'a mut Talk,
    /// Set by a second Ctrl-C.
    pub(super) hurry: bool,
    /// What the controller has said, once it has ended its sentence.
    pub(super) controller_line: Option<ControllerLine>,
}

impl<'a> Supervisor<'a> {
    /// Takes over the signals; starts no process yet.
    pub fn new(plan: Plan<'a>, signals: BlockedSignals, talk: &'a mut Talk) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        events::watch_signals(signals, sender.clone()).map_err(Failure::io("starting the thread for signals"))?;
        let engines = &plan.settings.tables.engines;
        let policy = Policy {
            restart: plan.settings.restart,
            retries: engines.retries,
            rank_loss: None,
            restart_limit: Limit {
                most: engines.restart_limit,
                window: Duration::from_secs_f64(engines.restart_window),
            },
            timeout: plan.settings.timeout,
            host: plan.handle.host.clone(),
        };
        let core = Core::new(policy, plan.started);
        let controller = ControllerProcess::new(plan.binary.clone());
        let blocks = Blocks::of(plan.settings);
        let (launcher, guard, client, controller_line) = (None, None, None, None);
        Ok(Self {
            plan,
            core,
            controller,
            launcher,
            blocks,
            guard,
            sender,
            receiver,
            client,
            talk,
            hurry: false,
            controller_line,
        })
    }

    /// Starts the cluster and returns when nothing is left of it. The program's exit code, if there is one and it ran.
    pub fn run(mut self, on_ready: OnReady<'_>) -> Result<u8, Failure> {
        let supervised = self.supervise(on_ready);
        let outcome = match &supervised {
            Ok(ending) => self.outcome(ending),
            Err(failure) => Err(failure.clone()),
        };
        if self.plan.program.is_none() {
            self.talk.say(format!("stopping cluster {:?}", self.plan.settings.cluster));
        }
        self.shut_down(supervised.as_ref().ok())?;
        match (outcome?, &self.plan.program) {
            (Exit::Ok, Some(program)) if program.status.is_some() => Ok(program.code()),
            (exit, _) => Ok(exit.code()),
        }
    }

    /// From the start of the controller to a reason to end.
    fn supervise(&mut self, on_ready: OnReady<'_>) -> Result<Ending, Failure> {
        if let Some(file) = &self.plan.lease_file {
            let lease = Duration::from_secs_f64(self.plan.settings.tables.engines.lease);
            lease::watch(file.clone(), lease, self.sender.clone())
                .map_err(Failure::io("starting the thread that watches the lease"))?;
        }
        self.write_handle()?;
        let output = self.controller.start(&self.plan.folder, self.plan.settings, &self.plan.handle.run_id);
        let output = output.map_err(Failure::io("starting the controller"))?;
        self.write_handle()?;
        if let Some(output) = output {
            let watched = events::watch_controller_output(output, self.sender.clone());
            watched.map_err(Failure::io("starting the thread for the controller's output"))?;
        }
        let mut actions = VecDeque::new();
        loop {
            while let Some(action) = actions.pop_front() {
                match action {
                    Action::Say(line) => self.talk.say(line),
                    Action::SayWithLog(line, log) => self.talk.say(line + &outcome::short_tail(&log)),
                    Action::Ready => self.ready(on_ready)?,
                    Action::Start(set) => actions.extend(self.start_set(&set)?),
                    Action::End(set, force) => {
                        if let Some(launcher) = &mut self.launcher {
                            launcher.end(set, force);
                        }
                    }
                    Action::Explain(set, engine) => actions.extend(self.explain(&set, engine)),
                    Action::TellJob(set, line) => {
                        if let Some(launcher) = &mut self.launcher
                            && let Err(failure) = launcher.tell_job(&set, &line)
                        {
                            self.talk.say(failure.message);
                        }
                    }
                    Action::Retire(engines) => self.retire(&engines),
                    Action::Finish(ending) => return Ok(ending),
                }
            }
            let launcher_poll = self.launcher.as_ref().and_then(|launcher| launcher.next_poll());
            let event = match [self.core.next_tick(), launcher_poll].into_iter().flatten().min() {
                Some(tick) => self.receiver.recv_timeout(tick.saturating_duration_since(Instant::now())),
                None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(event) => actions.extend(self.take(event)?),
                Err(_) => {
                    actions.extend(self.poll_launcher());
                    actions.extend(self.core.handle(Input::Tick, Instant::now()));
                }
            }
        }
    }

    /// What an event means to the core; what only sets things up is done here.
    fn take(&mut self, event: Event) -> Result<Vec<Action>, Failure> {
        let now = Instant::now();
        Ok(match event {
            Event::Signal(Signal::ChildEnded) => self.reap()?,
            Event::Signal(Signal::ParentChanged) => {
                let gone = self.plan.parent.is_some_and(|parent| parent != system::parent_pid());
                if gone { self.core.handle(Input::ParentGone, now) } else { Vec::new() }
            }
            Event::Signal(signal) => self.signalled(signal, now),
            Event::Controller(line) => {
                let launcher = match &line {
                    ControllerLine::Ready(_) => Some((self.plan.make_launcher)(events::waker(&self.sender))?),
                    // After a refusal the controller ends at once, and its end is what is acted on.
                    _ => None,
                };
                self.controller_line = Some(line);
                if let Some(launcher) = launcher { self.start_engines(launcher)? } else { Vec::new() }
            }
            Event::Launcher => self.poll_launcher(),
            Event::Connected(client) => {
                if self.blocks.is_some() {
                    events::watch_load(Arc::clone(&client), self.sender.clone())
                        .map_err(Failure::io("starting the thread that watches the load"))?;
                }
                self.client = Some(client);
                // Engines may be none, or have registered before this.
                if self.launcher.is_some() { self.core.ready_if_complete() } else { Vec::new() }
            }
            Event::NotConnected(failure) => return Err(failure),
            Event::Client(ClientEvent::EngineJoined(info)) => self.core.handle(Input::EngineJoined(info), now),
            Event::Client(ClientEvent::EngineLeft { id, reason }) => {
                self.core.handle(Input::EngineLeft { id, reason }, now)
            }
            Event::Load(status) => match &mut self.blocks {
                Some(blocks) => blocks.decide(&mut self.core, &status, now),
                None => Vec::new(),
            },
            Event::Request(Request::Scale(change), answer) => {
                let scaled = self.scale(change);
                let (reply, actions) = match scaled {
                    Ok((scaled, actions)) => (Ok(Reply::Scaled(scaled)), actions),
                    Err(failure) => (Err(failure), Vec::new()),
                };
                // Whoever asked may be gone.
                let _ = answer.send(reply);
                actions
            }
            Event::Request(Request::Progress, answer) => {
                let _ = answer.send(Ok(Reply::Progress(self.core.how_far(now))));
                Vec::new()
            }
            // The end of the controller's process tells of a disconnection, with its status; the client goes on by
            // itself when the connection is back.
            Event::Client(_) | Event::ShutdownAnswered(_) | Event::EndedElsewhere(_) => Vec::new(),
            Event::LeaseOver(why) => {
                self.talk.say(why);
                self.core.handle(Input::ParentGone, now)
            }
        })
    }

    fn signalled(&mut self, signal: Signal, now: Instant) -> Vec<Action> {
        if let Some(program) = self.plan.program.as_ref().filter(|program| program.is_running()) {
            // The terminal sent Ctrl-C to the program too, and the cluster ends with it.
            if signal == Signal::Interrupt && !std::mem::replace(&mut self.hurry, true) {
                let name = program.name();
                return vec![Action::Say(format!("{name} was interrupted; a second Ctrl-C stops everything"))];
            }
            self.hurry = false;
            program.signal(libc::SIGTERM);
        }
        self.core.handle(Input::Stop(signal), now)
    }

    fn reap(&mut self) -> Result<Vec<Action>, Failure> {
        let now = Instant::now();
        let mut actions = Vec::new();
        if self.plan.program.as_mut().is_some_and(Program::has_ended) {
            actions.push(Action::Finish(Ending::ProgramEnded));
        }
        let ended = self.controller.poll().map_err(Failure::io("looking for processes that have ended"))?;
        if let Some(status) = ended {
            actions.extend(self.core.handle(Input::ControllerEnded(status), now));
        }
        actions.extend(self.poll_launcher());
        Ok(actions)
    }

    fn poll_launcher(&mut self) -> Vec<Action> {
        let Some(launcher) = &mut self.launcher else { return Vec::new() };
        let events = launcher.poll();
        if events.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let actions =
            events.into_iter().flat_map(|(set, event)| self.core.handle(Input::Set(set, event), now)).collect();
        self.keep_record();
        actions
    }

    /// The controller listens: now engines can register.
    fn start_engines(&mut self, launcher: Box<dyn Launcher>) -> Result<Vec<Action>, Failure> {
        let watched = events::watch_engines(self.plan.folder.client_file(), self.sender.clone());
        watched.map_err(Failure::io("starting the thread for the controller's notifications"))?;
        super::requests::listen(&self.plan.handle.socket_dir, self.sender.clone())
            .map_err(Failure::io("listening for requests of other commands"))?;
        if self.plan.settings.tables.engines.launcher != LauncherKind::Local {
            let log = open_log(&self.plan.folder.logs().guard());
            let guard = log.and_then(|log| {
                Guard::start(&self.plan.binary, &self.plan.settings.cluster, &self.plan.handle.run_id, log)
            });
            self.guard = Some(guard.map_err(Failure::io("starting the guard"))?);
        }
        let rank_loss = launcher.rank_loss();
        if let Some(notice) = rank_loss.as_ref().and_then(RankLoss::notice) {
            self.talk.say(notice);
        }
        self.core.set_rank_loss(rank_loss);
        let (wanted, set_size) = match self.plan.settings.engines_per_block() {
            Some(engines) => (self.plan.settings.tables.batch.blocks.min * engines, engines),
            None => (self.plan.settings.engines, launcher.set_size(self.plan.settings.engines)),
        };
        self.launcher = Some(launcher);
        self.plan.handle.engines_wanted = wanted;
        Ok(self.core.grow(wanted, set_size))
    }

    fn start_set(&mut self, set: &EngineSet) -> Result<Vec<Action>, Failure> {
        let Some(launcher) = &mut self.launcher else { return Ok(Vec::new()) };
        let input = match launcher.start(set) {
            Ok(()) => Input::SetStarted { set: set.id, pid: pid_of(launcher.as_ref(), set.id) },
            // A cluster that works otherwise does not end for it.
            Err(failure) if self.core.is_ready() => {
                Input::SetNotStarted(set.id, SetEnd { orderly: false, how: failure.message, log: None })
            }
            Err(failure) => return Err(failure),
        };
        let actions = self.core.handle(input, Instant::now());
        self.keep_record();
        Ok(actions)
    }

    /// Asks the launcher how a lost rank has ended.
    fn explain(&mut self, set: &EngineSet, engine: EngineId) -> Vec<Action> {
        let Some(launcher) = &self.launcher else { return Vec::new() };
        let how = launcher.how_rank_ended(set, engine.0 - set.first.0);
        self.core.handle(Input::Explained(set.id, engine, how), Instant::now())
    }

    fn scale(&mut self, change: Change) -> Result<(Scaled, Vec<Action>), Failure> {
        let before = self.core.wanted();
        let wanted = match change {
            Change::To(count) => i64::from(count),
            Change::By(by) => i64::from(before) + by,
        };
        let Some(launcher) = self.launcher.as_ref().filter(|_| self.core.is_ready()) else {
            return Err(Failure::new(Exit::Usage, "the cluster is still starting").with_hint("`ipclusterz wait` first"));
        };
        if self.plan.settings.engines_per_block().is_some() {
            return Err(Failure::new(Exit::Usage, "this cluster grows and shrinks by itself, in blocks")
                .with_hint("batch.blocks of its profile says between which bounds"));
        }
        let wanted = u32::try_from(wanted).map_err(|_| {
            let message = format!("{wanted} engines are not possible: there are {before}");
            Failure::new(Exit::Usage, message).with_hint("0 engines are the least")
        })?;
        let actions = match wanted.cmp(&before) {
            std::cmp::Ordering::Equal => Vec::new(),
            std::cmp::Ordering::Greater => {
                let more = wanted - before;
                if self.plan.settings.tables.engines.launcher == LauncherKind::Local {
                    limits::check(more, &limits::of_this_host(more))?;
                }
                // Sets that are about to go have their place until they have gone.
                let there: u32 = self.core.sets().map(|set| set.set.count).sum();
                launcher.check_room(there.saturating_add(more))?;
                self.core.grow(more, launcher.set_size(more))
            }
            std::cmp::Ordering::Less => {
                let loads = self.loads()?;
                let removed = self.core.shrink(before - wanted, |id| loads.get(&id).copied().unwrap_or_default());
                removed.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?
            }
        };
        self.plan.handle.engines_wanted = wanted;
        self.keep_record();
        Ok((Scaled { before, wanted }, actions))
    }

    /// How many tasks each engine has.
    fn loads(&self) -> Result<BTreeMap<EngineId, u64>, Failure> {
        let Some(client) = &self.client else { return Ok(BTreeMap::new()) };
        let status = client.status(STATUS_PATIENCE)?;
        Ok(status.engines.iter().map(|engine| (engine.id, engine.queue)).collect())
    }

    fn retire(&mut self, engines: &[EngineId]) {
        let Some(client) = &self.client else { return };
        if let Err(error) = client.retire(engines.to_vec()) {
            self.talk.say(format!("engines cannot be told to go: {error}"));
        }
    }

    fn ready(&mut self, on_ready: OnReady<'_>) -> Result<(), Failure> {
        self.set_phase(Phase::Running);
        let (Some(ControllerLine::Ready(controller)), Some(client)) = (&self.controller_line, &self.client) else {
            return Ok(());
        };
        let mut engines = client.engines();
        engines.sort_by_key(|engine| engine.id);
        let report = StartReport {
            cluster: self.plan.settings.cluster.clone(),
            run_id: self.plan.handle.run_id.clone(),
            host: self.plan.handle.host.clone(),
            launcher_pid: self.plan.handle.launcher.pid,
            controller_pid: controller.pid,
            addresses: controller.addresses.clone(),
            client_file: controller.client_file.clone(),
            engine_file: controller.engine_file.clone(),
            log_directory: self.plan.folder.logs().path().to_path_buf(),
            engines,
            seconds: self.plan.started.elapsed().as_secs_f64(),
        };
        on_ready(&report, self.talk)?;
        if let Some(program) = &mut self.plan.program {
            program.start(&report)?;
        }
        Ok(())
    }

    /// Brings the record up to date with what runs.
    fn write_handle(&mut self) -> Result<(), Failure> {
        self.plan.handle.controller = self.controller.identity();
        self.plan.handle.sets = self.launcher.as_ref().map(|launcher| launcher.records()).unwrap_or_default();
        Ok(self.plan.handle.write(&self.plan.folder.handle_file())?)
    }

    /// The same, where a failure is no reason to end what works.
    pub(super) fn keep_record(&mut self) {
        if let Err(failure) = self.write_handle() {
            self.talk.say(format!("the cluster's record is out of date: {}", failure.message));
        }
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.plan.handle.phase = phase;
        self.keep_record();
    }
}

/// The process of a set that is one process of this host.
fn pid_of(launcher: &dyn Launcher, set: SetId) -> Option<u32> {
    launcher.records().into_iter().find(|record| record.set.id == set).and_then(|record| match record.job {
        JobRecord::Process(process) if record.set.count == 1 => Some(process.pid),
        _ => None,
    })
}
