//! The loop that owns a cluster from the start of its controller to the removal of its last file.

use super::blocks::Blocks;
use super::connection::Connection;
use super::core::Core;
use super::events::{self, Event};
use super::inputs::{Action, Ending, Input};
use super::lease;
use super::log_watch::LogWatch;
use super::loss::Limit;
use super::offers::offers;
use super::policy::Policy;
use super::program::Program;
use super::tails::short_tail;
use crate::controller_process::ControllerProcess;
use crate::guard::Guard;
use crate::report::StartReport;
use crate::requests::{Reply, Request};
use crate::talk::Talk;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::{BlockedSignals, Signal};
use ipclusterz_host::system;
use ipclusterz_launchers::causes;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::alive::{Hold, Keeper};
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::contract::{Launcher, Wake};
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_runtime::client::Event as ClientEvent;
use ipclusterz_runtime::controller::Ready;
use ipclusterz_runtime::wire::message::{EnginesExpected, Resources};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Called when the cluster is ready.
pub type OnReady<'a> = &'a mut dyn FnMut(&StartReport, &mut Talk) -> Result<(), Failure>;

/// Makes the launcher of engines. Called once the controller listens.
pub type MakeLauncher<'a> = &'a mut dyn FnMut(Wake) -> Result<Box<dyn Launcher>, Failure>;

/// Everything that is decided before the first process is started.
pub struct Plan<'a> {
    /// What was asked for.
    pub settings: &'a StartSettings,
    /// The folder of the cluster's files; it is locked.
    pub folder: ClusterFolder,
    /// The cluster's record, which is kept up to date.
    pub handle: ClusterHandle,
    /// By what it knows that the cluster is still its own.
    pub hold: Hold,
    /// The path of this binary, which is also the controller.
    pub binary: PathBuf,
    /// The Python of the engines, for messages.
    pub python: PathBuf,
    /// Makes what starts engines.
    pub make_launcher: MakeLauncher<'a>,
    /// The program that the cluster is started for, if any. The cluster ends when the program exits.
    pub program: Option<Program>,
    /// The journal of an earlier run is taken up.
    pub resume: bool,
    /// The pid of the process that this one must not outlive, if any.
    pub parent: Option<u32>,
    /// A file that another host touches as long as the cluster is to live.
    pub lease_file: Option<PathBuf>,
    /// Who started it wants to know when everything is started, and waits for no engine.
    pub no_wait: bool,
    /// When the command was given.
    pub started: Instant,
}

/// A cluster and all that belongs to it.
pub struct Supervisor<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) core: Core,
    pub(super) controller: ControllerProcess,
    pub(super) launcher: Option<Box<dyn Launcher>>,
    /// Starts and ends jobs with the load.
    pub(super) blocks: Option<Blocks>,
    /// Ends what runs elsewhere if this process is killed.
    pub(super) guard: Option<Guard>,
    /// Gives signs of life for as long as it is there.
    pub(super) alive: Option<Keeper>,
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
    pub(super) connection: Connection,
    pub(super) talk: &'a mut Talk,
    /// Whether to kill rather than wait. Set by Ctrl-C during the shutdown, and by the first one while a program runs.
    pub(super) hurry: bool,
    /// Where the last controller listened that did.
    pub(super) listening: Option<Box<Ready>>,
    /// Why the last controller refuses to, if it does.
    pub(super) refusal: Option<Failure>,
    /// What its engines offer to tasks, as the settings have it.
    offers: Vec<Resources>,
}

impl<'a> Supervisor<'a> {
    /// Takes over the signals; starts no process yet.
    pub fn new(plan: Plan<'a>, signals: BlockedSignals, talk: &'a mut Talk) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        events::watch_signals(signals, sender.clone()).map_err(Failure::io("starting the thread for signals"))?;
        let engines = &plan.settings.tables.engines;
        let policy = Policy {
            restart: plan.settings.restart,
            again_in_job: false,
            own_jobs: plan.settings.engines_per_block().is_none(),
            least: engines.min,
            queue_timeout: Some(plan.settings.tables.batch.queue_timeout)
                .filter(|seconds| *seconds > 0.0)
                .map(Duration::from_secs_f64),
            restart_controller: plan.settings.tables.controller.restart,
            retries: engines.retries,
            rank_loss: None,
            restart_limit: Limit {
                most: engines.restart_limit,
                window: Duration::from_secs_f64(engines.restart_window),
            },
            end_timeout: Duration::from_secs_f64(engines.end_timeout),
            timeout: plan.settings.timeout,
            host: plan.handle.host.clone(),
        };
        let core = Core::new(policy, plan.started);
        let controller = ControllerProcess::new(plan.binary.clone());
        let blocks = Blocks::of(plan.settings);
        let offers = offers(&plan.settings.tables);
        let (launcher, guard, listening, refusal) = (None, None, None, None);
        Ok(Self {
            plan,
            core,
            controller,
            launcher,
            blocks,
            guard,
            alive: None,
            sender,
            receiver,
            connection: Connection::default(),
            talk,
            hurry: false,
            listening,
            refusal,
            offers,
        })
    }

    /// Starts the cluster and returns when nothing is left of it. Returns the exit code: the program's, if there is one
    /// and it ran.
    pub fn run(&mut self, on_ready: OnReady<'_>) -> Result<u8, Failure> {
        let _watch = self.watch_logs()?;
        let supervised = self.supervise(on_ready);
        let outcome = match &supervised {
            Ok(ending) => self.outcome(ending),
            Err(failure) => Err(failure.clone()),
        }
        .map_err(|failure| causes::advised(failure, &self.plan.python));
        if self.plan.program.is_none() {
            self.talk.say(format!("stopping cluster {:?}", self.plan.settings.cluster));
        }
        let exit = match (outcome, self.shut_down(supervised.as_ref().ok())) {
            (Ok(exit), cleaned) => cleaned.map(|()| exit)?,
            // Why the cluster has ended says more than what could not be removed because of it.
            (Err(failure), cleaned) => {
                cleaned.unwrap_or_else(|left| self.talk.warn(left.message));
                return Err(failure);
            }
        };
        match (exit, &self.plan.program) {
            (Exit::Ok, Some(program)) if program.status.is_some() => Ok(program.code()),
            (exit, _) => Ok(exit.code()),
        }
    }

    fn watch_logs(&self) -> Result<Option<LogWatch>, Failure> {
        let logs = self.plan.folder.logs();
        let watch = self.plan.settings.tables.logs.limit().map(|limit| LogWatch::start(logs, limit));
        watch.transpose().map_err(Failure::io("starting the thread that looks at the logs"))
    }

    /// Whether engines died, did not come, or were killed at their end.
    pub fn has_lost_engines(&self) -> bool {
        self.core.failed
    }

    /// From the start of the controller until there is a reason to end.
    fn supervise(&mut self, on_ready: OnReady<'_>) -> Result<Ending, Failure> {
        if let Some(file) = &self.plan.lease_file {
            let lease = Duration::from_secs_f64(self.plan.settings.tables.engines.lease);
            lease::watch(file.clone(), lease, self.sender.clone())
                .map_err(Failure::io("starting the thread that watches the lease"))?;
        }
        let sender = self.sender.clone();
        let lost = move || drop(sender.send(Event::TakenOver));
        self.alive =
            Some(self.plan.hold.clone().keep(lost).map_err(Failure::io("starting the thread of the sign of life"))?);
        self.write_handle()?;
        self.start_controller()?;
        self.write_handle()?;
        let mut actions = VecDeque::new();
        loop {
            self.connection.tell_ends(self.core.take_words());
            let follow_load = self.blocks.as_ref().is_some_and(Blocks::follow_load);
            let offers = Some(self.offers.clone());
            self.connection.tell_expected(EnginesExpected { offers, ..self.core.expected(follow_load) });
            while let Some(action) = actions.pop_front() {
                match action {
                    Action::Say(line) => self.talk.say(line),
                    Action::SayWithLog(line, log) => self.talk.warn(line + &short_tail(&log)),
                    Action::Ready => self.ready(on_ready)?,
                    Action::Start(set) => actions.extend(self.start_set(&set)?),
                    Action::End(set, force) => {
                        if let Some(launcher) = &mut self.launcher {
                            launcher.end(set, force);
                        }
                    }
                    Action::Explain(set, lost) => actions.extend(self.explain(&set, &lost)),
                    Action::TellJob(set, line) => {
                        if let Some(launcher) = &mut self.launcher
                            && let Err(failure) = launcher.tell_job(&set, &line)
                        {
                            self.talk.say(failure.message);
                        }
                    }
                    Action::Retire(engines) => self.connection.retire(&engines),
                    Action::ShutDown(engines) => self.connection.shut_down(&engines),
                    Action::Terminate(engines) => self.connection.terminate(&engines),
                    Action::Vacate(set, hosts) => {
                        if let Some(launcher) = &mut self.launcher {
                            launcher.vacate(set, hosts);
                        }
                    }
                    Action::StartController => actions.extend(self.start_controller_again()),
                    Action::Finish(ending) => return Ok(ending),
                }
            }
            self.tell_accepted();
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

    /// Translates an event into actions of the core. Events that only set something up are handled here.
    fn take(&mut self, event: Event) -> Result<Vec<Action>, Failure> {
        let now = Instant::now();
        Ok(match event {
            Event::Signal(Signal::ChildEnded) => self.reap()?,
            Event::Signal(Signal::ParentChanged) => {
                let gone = self.plan.parent.is_some_and(|parent| parent != system::parent_pid());
                if gone { self.core.handle(Input::ParentGone, now) } else { Vec::new() }
            }
            Event::Signal(signal) => self.signalled(signal, now),
            Event::Controller(said) => self.controller_says(said)?,
            Event::Launcher => self.poll_launcher(),
            Event::Connected(client) => self.connected(client)?,
            Event::NotConnected(failure) => self.not_connected(failure, now)?,
            Event::Client(event) => self.hear(event, now),
            Event::Load(status) => match &mut self.blocks {
                Some(blocks) => blocks.decide(&mut self.core, &status, now),
                None => Vec::new(),
            },
            Event::Request(Request::Scale(scaling), answer) => {
                let scaled = self.scale(&scaling);
                let (reply, actions) = match scaled {
                    Ok((scaled, actions)) => (Ok(Reply::Scaled(scaled)), actions),
                    Err(failure) => (Err(failure), Vec::new()),
                };
                // The command that asked may have exited.
                let _ = answer.send(reply);
                actions
            }
            Event::Request(Request::Restart(engines), answer) => {
                let (reply, actions) = match self.restart(engines.as_deref()) {
                    Ok((engines, actions)) => (Ok(Reply::Restarting(engines)), actions),
                    Err(failure) => (Err(failure), Vec::new()),
                };
                let _ = answer.send(reply);
                actions
            }
            Event::Request(Request::Progress, answer) => {
                let _ = answer.send(Ok(Reply::Progress(self.progress(now))));
                Vec::new()
            }
            Event::ShutdownAnswered(_) | Event::EndedElsewhere(_) => Vec::new(),
            Event::TakenOver => self.core.handle(Input::TakenOver, now),
            Event::LeaseOver(why) => {
                self.talk.say(why);
                self.core.handle(Input::ParentGone, now)
            }
        })
    }

    /// A notification of the controller.
    fn hear(&mut self, event: ClientEvent, now: Instant) -> Vec<Action> {
        self.connection.heard(&event);
        match event {
            ClientEvent::EngineJoined(info) => self.core.handle(Input::EngineJoined(info), now),
            ClientEvent::EngineLeft { id, reason } => self.core.handle(Input::EngineLeft { id, reason }, now),
            ClientEvent::EngineHangs(id) => self.core.handle(Input::EngineHangs(id), now),
            ClientEvent::Resumed => self.core.handle(Input::ControllerReached, now),
            // The end of the controller's process explains it. If only the connection is lost, it is made again.
            ClientEvent::Interrupted { .. } | ClientEvent::Disconnected { .. } => Vec::new(),
        }
    }

    fn signalled(&mut self, signal: Signal, now: Instant) -> Vec<Action> {
        if let Some(program) = self.plan.program.as_ref().filter(|program| program.is_running()) {
            // The terminal has sent Ctrl-C to the program too, and the cluster ends when the program exits.
            if signal == Signal::Interrupt && !std::mem::replace(&mut self.hurry, true) {
                let name = program.name();
                return vec![Action::Say(format!("{name} was interrupted; a second Ctrl-C stops everything"))];
            }
            self.hurry = false;
            // What hangs up or ends this process is passed on as what it is; a second Ctrl-C is to end the program.
            program.signal(if signal == Signal::Interrupt { libc::SIGTERM } else { signal.number() });
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
            actions.extend(self.core.handle(Input::ControllerEnded(status.into()), now));
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
        self.update_record();
        actions
    }
}
