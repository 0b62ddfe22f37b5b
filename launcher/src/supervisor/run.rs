//! The loop that owns a cluster from the start of its controller to the removal of its last file.

use super::core::{Action, Core, Ending, Input};
use super::events::{self, ControllerLine, Event};
use super::signals::{BlockedSignals, Signal};
use crate::cluster::ClusterFolder;
use crate::cluster::handle::{ClusterHandle, Phase};
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::local::{LocalLauncher, LocalProcess};
use crate::report::StartReport;
use crate::settings::StartSettings;
use crate::system;
use crate::talk::Talk;
use ipclusterz_runtime::client::{Client, Event as ClientEvent};
use ipclusterz_runtime::ids::EngineId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

/// What the caller does when the cluster is ready.
type OnReady<'a> = &'a mut dyn FnMut(&StartReport, &mut Talk) -> Result<(), Failure>;

/// All that is settled before the first process is started.
pub struct Plan<'a> {
    /// What was asked for.
    pub settings: &'a StartSettings,
    /// Where the cluster's files are; locked.
    pub folder: ClusterFolder,
    /// The record to keep.
    pub handle: ClusterHandle,
    /// What starts processes.
    pub local: LocalLauncher,
    /// Pid of a process that must not be outlived.
    pub parent: Option<u32>,
    /// When the command was given.
    pub started: Instant,
}

/// A cluster and all that belongs to it.
pub struct Supervisor<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) core: Core,
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
    pub(super) client: Option<Arc<Client>>,
    pub(super) talk: &'a mut Talk,
    /// Set by a second Ctrl-C.
    pub(super) hurry: bool,
    /// What the controller has said, once it has ended its sentence.
    pub(super) controller: Option<ControllerLine>,
}

impl<'a> Supervisor<'a> {
    /// Takes over the signals; starts no process yet.
    pub fn new(plan: Plan<'a>, signals: BlockedSignals, talk: &'a mut Talk) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        events::watch_signals(signals, sender.clone()).map_err(Failure::io("starting the thread for signals"))?;
        let (settings, started) = (plan.settings, plan.started);
        let deadline = started + settings.timeout;
        let core = Core::new(settings.engines, settings.restart, plan.handle.host.clone(), deadline, started);
        Ok(Self { plan, core, sender, receiver, client: None, talk, hurry: false, controller: None })
    }

    /// Starts the cluster and returns when nothing is left of it.
    pub fn run(mut self, on_ready: OnReady<'_>) -> Result<Exit, Failure> {
        let supervised = self.supervise(on_ready);
        let outcome = match &supervised {
            Ok(ending) => self.outcome(ending),
            Err(failure) => Err(failure.clone()),
        };
        self.talk.say(format!("stopping cluster {:?}", self.plan.settings.cluster));
        self.shut_down(supervised.as_ref().ok())?;
        outcome
    }

    /// From the start of the controller to a reason to end.
    fn supervise(&mut self, on_ready: OnReady<'_>) -> Result<Ending, Failure> {
        self.write_handle()?;
        let output = self.plan.local.start_controller(self.plan.settings, &self.plan.handle.run_id);
        let output = output.map_err(Failure::io("starting the controller"))?;
        self.write_handle()?;
        if let Some(output) = output {
            let watched = events::watch_controller_output(output, self.sender.clone());
            watched.map_err(Failure::io("starting the thread for the controller's output"))?;
        }
        let mut inputs = VecDeque::new();
        loop {
            while let Some(input) = inputs.pop_front() {
                for action in self.core.handle(input, Instant::now()) {
                    match action {
                        Action::Say(line) => self.talk.say(line),
                        Action::Ready => self.ready(on_ready)?,
                        // A cluster that works otherwise does not end for it.
                        Action::Restart(id) => match self.start_engine(id, false) {
                            Ok(input) => inputs.push_back(input),
                            Err(failure) => self.talk.say(failure.message),
                        },
                        Action::Finish(ending) => return Ok(ending),
                    }
                }
            }
            let event = match self.core.next_tick() {
                Some(tick) => self.receiver.recv_timeout(tick.saturating_duration_since(Instant::now())),
                None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(event) => inputs.extend(self.translate(event)?),
                Err(_) => inputs.push_back(Input::Tick),
            }
        }
    }

    /// What an event means to the core; what only sets things up is done here.
    fn translate(&mut self, event: Event) -> Result<Vec<Input>, Failure> {
        match event {
            Event::Signal(Signal::ChildEnded) => self.reap(),
            Event::Signal(Signal::ParentChanged) => {
                let gone = self.plan.parent.is_some_and(|parent| parent != system::parent_pid());
                Ok(if gone { vec![Input::ParentGone] } else { Vec::new() })
            }
            Event::Signal(signal) => Ok(vec![Input::Stop(signal)]),
            Event::Controller(line) => {
                // After a refusal the controller ends at once, and its end is what is acted on.
                let listens = matches!(line, ControllerLine::Ready(_));
                self.controller = Some(line);
                if listens { self.start_engines() } else { Ok(Vec::new()) }
            }
            Event::Connected(client) => {
                self.client = Some(client);
                Ok(Vec::new())
            }
            Event::NotConnected(failure) => Err(failure),
            Event::Client(ClientEvent::EngineJoined(info)) => Ok(vec![Input::EngineJoined(info)]),
            Event::Client(ClientEvent::EngineLeft { id, reason }) => Ok(vec![Input::EngineLeft { id, reason }]),
            // The end of the controller's process tells the same, with its status.
            Event::Client(ClientEvent::Disconnected { .. }) | Event::ShutdownAnswered(_) => Ok(Vec::new()),
        }
    }

    fn reap(&mut self) -> Result<Vec<Input>, Failure> {
        let ended = self.plan.local.poll().map_err(Failure::io("looking for processes that have ended"))?;
        let input = |process, status| match process {
            LocalProcess::Controller => Input::ControllerEnded(status),
            LocalProcess::Engine(id) => Input::EngineEnded { id, status },
        };
        Ok(ended.into_iter().map(|ended| input(ended.process, ended.status)).collect())
    }

    /// The controller listens: now engines can register.
    fn start_engines(&mut self) -> Result<Vec<Input>, Failure> {
        let watched = events::watch_engines(self.plan.folder.client_file(), self.sender.clone());
        watched.map_err(Failure::io("starting the thread for the controller's notifications"))?;
        let wanted = self.plan.settings.engines;
        let inputs = (0..wanted).map(|id| self.start_engine(EngineId(id), true)).collect::<Result<_, _>>()?;
        self.write_handle()?;
        Ok(inputs)
    }

    fn start_engine(&mut self, id: EngineId, first: bool) -> Result<Input, Failure> {
        let started = self.plan.local.start_engine(id, first).map_err(|error| {
            let message = format!("cannot start engine {id} with {}: {error}", self.plan.local.python().display());
            Failure::new(Exit::StartFailed, message)
                .with_hint("is it a Python that runs on this host? choose one with --python")
        })?;
        if !first {
            self.write_handle()?;
        }
        Ok(Input::EngineStarted { id, pid: started.pid })
    }

    fn ready(&mut self, on_ready: OnReady<'_>) -> Result<(), Failure> {
        self.set_phase(Phase::Running);
        let (Some(ControllerLine::Ready(controller)), Some(client)) = (&self.controller, &self.client) else {
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
        on_ready(&report, self.talk)
    }

    /// Brings the record up to date with what runs.
    fn write_handle(&mut self) -> Result<(), Failure> {
        self.plan.handle.controller = self.plan.local.controller_identity();
        self.plan.handle.engines = self.plan.local.engine_records();
        Ok(self.plan.handle.write(&self.plan.folder.handle_file())?)
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.plan.handle.phase = phase;
        if let Err(failure) = self.write_handle() {
            self.talk.say(format!("the cluster's record is out of date: {}", failure.message));
        }
    }
}
