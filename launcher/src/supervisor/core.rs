//! What the launcher does when something happens, as a pure state machine: no clock, no process, no socket.

use super::restart::BackOff;
use super::signals::Signal;
use ipclusterz_runtime::ids::EngineId;
use ipclusterz_runtime::wire::message::EngineInfo;
use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long after it has left a local engine's process may take to end.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// How often a wait for engines says what it waits for.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Something that has happened.
#[derive(Debug)]
pub enum Input {
    /// The process of a local engine was started.
    EngineStarted {
        /// The id that it asks for.
        id: EngineId,
        /// Its process.
        pid: u32,
    },
    /// An engine has registered, local or not. May be told twice.
    EngineJoined(EngineInfo),
    /// An engine is registered no more.
    EngineLeft {
        /// Its id.
        id: EngineId,
        /// Why, as a sentence that names it.
        reason: String,
    },
    /// The process of a local engine has ended.
    EngineEnded {
        /// The id that it asked for.
        id: EngineId,
        /// How.
        status: ExitStatus,
    },
    /// The controller's process has ended.
    ControllerEnded(ExitStatus),
    /// A signal to stop has come.
    Stop(Signal),
    /// The process that this one must not outlive is gone.
    ParentGone,
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Say a line.
    Say(String),
    /// All engines are ready for the first time.
    Ready,
    /// Start the engine again.
    Restart(EngineId),
    /// End the cluster.
    Finish(Ending),
}

/// Why a cluster ends.
#[derive(Debug, PartialEq)]
pub enum Ending {
    /// By a signal.
    Signal(Signal),
    /// The parent is gone.
    ParentGone,
    /// The controller was told to shut down by a client.
    ShutDown,
    /// The controller ended otherwise.
    ControllerDied(ExitStatus),
    /// An engine ended before it had registered.
    EngineFailed(EngineId, ExitStatus),
    /// The deadline passed.
    TimedOut(Vec<EngineId>),
}

#[derive(Debug)]
struct LocalEngine {
    pid: u32,
    started: Instant,
    /// The id it was given, which is another than the one it asked for when that was taken.
    registered: Option<EngineId>,
    running: bool,
    /// Why it left while its process ran, and when to say so unless the process ends, which says more.
    left: Option<(Instant, String)>,
    back_off: BackOff,
    again_at: Option<Instant>,
}

/// The state.
#[derive(Debug)]
pub struct Core {
    wanted: u32,
    restart: bool,
    host: String,
    engines: BTreeMap<EngineId, LocalEngine>,
    ready: bool,
    deadline: Instant,
    next_progress: Instant,
}

impl Core {
    /// A cluster of `wanted` engines on `host`, all of which must have registered at `deadline`.
    pub fn new(wanted: u32, restart: bool, host: String, deadline: Instant, now: Instant) -> Self {
        let next_progress = now + PROGRESS_INTERVAL;
        Self { wanted, restart, host, engines: BTreeMap::new(), ready: false, deadline, next_progress }
    }

    /// Whether all engines have been ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// When [`Input::Tick`] is due.
    pub fn next_tick(&self) -> Option<Instant> {
        let restarts = self.engines.values().filter_map(|engine| engine.again_at);
        let leaves = self.engines.values().filter_map(|engine| Some(engine.left.as_ref()?.0));
        let waits = (!self.ready).then_some([self.deadline, self.next_progress]);
        restarts.chain(leaves).chain(waits.into_iter().flatten()).min()
    }

    /// What to do about `input`.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match input {
            Input::EngineStarted { id, pid } => self.started(id, pid, now),
            Input::EngineJoined(info) => self.joined(&info),
            Input::EngineLeft { id, reason } => self.left(id, reason, now),
            Input::EngineEnded { id, status } => self.ended(id, status, now),
            Input::ControllerEnded(status) if status.success() => vec![Action::Finish(Ending::ShutDown)],
            Input::ControllerEnded(status) => vec![Action::Finish(Ending::ControllerDied(status))],
            Input::Stop(signal) => vec![Action::Finish(Ending::Signal(signal))],
            Input::ParentGone => vec![Action::Finish(Ending::ParentGone)],
            Input::Tick => self.tick(now),
        }
    }

    fn started(&mut self, id: EngineId, pid: u32, now: Instant) -> Vec<Action> {
        let back_off = self.engines.remove(&id).map(|engine| engine.back_off).unwrap_or_default();
        let engine =
            LocalEngine { pid, started: now, registered: None, running: true, left: None, back_off, again_at: None };
        self.engines.insert(id, engine);
        Vec::new()
    }

    fn joined(&mut self, info: &EngineInfo) -> Vec<Action> {
        let EngineInfo { id, host, pid, .. } = info;
        // A Python that is started by a wrapper has another pid than the wrapper, but asks for the same id.
        let by_pid = self.engines.iter().find(|(_, engine)| engine.running && engine.pid == *pid && *host == self.host);
        let by_id =
            || self.engines.get_key_value(id).filter(|(_, engine)| engine.running && engine.registered.is_none());
        let Some(own) = by_pid.or_else(by_id).map(|(own, _)| *own) else {
            return vec![Action::Say(format!("engine {id} has joined from {host} (pid {pid})"))];
        };
        let Some(engine) = self.engines.get_mut(&own) else { return Vec::new() };
        engine.left = None;
        if engine.registered.replace(*id) == Some(*id) {
            return Vec::new();
        }
        let mut actions = vec![Action::Say(format!("engine {id} is ready on {host} (pid {pid})"))];
        if !self.ready && self.missing().is_empty() {
            self.ready = true;
            actions.push(Action::Ready);
        }
        actions
    }

    fn left(&mut self, id: EngineId, reason: String, now: Instant) -> Vec<Action> {
        match self.engines.values_mut().find(|engine| engine.registered == Some(id)) {
            Some(engine) => {
                engine.registered = None;
                engine.left = engine.running.then_some((now + END_PATIENCE, reason));
                Vec::new()
            }
            None => vec![Action::Say(reason)],
        }
    }

    fn ended(&mut self, id: EngineId, status: ExitStatus, now: Instant) -> Vec<Action> {
        let Some(engine) = self.engines.get_mut(&id) else { return Vec::new() };
        engine.running = false;
        engine.left = None;
        if !self.ready {
            // Even one that had registered: a cluster that loses engines while it starts is not what was asked for.
            return vec![Action::Finish(Ending::EngineFailed(id, status))];
        }
        let pid = engine.pid;
        if status.success() {
            return vec![Action::Say(format!("engine {id} (pid {pid}) was shut down"))];
        }
        let mut line = format!("engine {id} (pid {pid}) has died: {status}");
        if self.restart {
            let again_at = engine.back_off.next_start(engine.started, now);
            engine.again_at = Some(again_at);
            line.push_str(&format!("; it is started again in {:.1} s", (again_at - now).as_secs_f64()));
        }
        vec![Action::Say(line)]
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, engine) in &mut self.engines {
            if engine.again_at.is_some_and(|again_at| again_at <= now) {
                engine.again_at = None;
                actions.push(Action::Restart(*id));
            }
            if let Some((_, reason)) = engine.left.take_if(|(say_at, _)| *say_at <= now) {
                actions.push(Action::Say(format!("{reason}; its process (pid {}) has not ended", engine.pid)));
            }
        }
        if self.ready {
            return actions;
        }
        let missing = self.missing();
        if now >= self.deadline {
            return vec![Action::Finish(Ending::TimedOut(missing))];
        }
        if now >= self.next_progress {
            self.next_progress = now + PROGRESS_INTERVAL;
            let left = (self.deadline - now).as_secs_f64().ceil();
            actions.push(Action::Say(format!("waiting for {} to register; {left} s left", name_engines(&missing))));
        }
        actions
    }

    /// The engines that have not registered.
    fn missing(&self) -> Vec<EngineId> {
        let registered = |id: &EngineId| self.engines.get(id).is_some_and(|engine| engine.registered.is_some());
        (0..self.wanted).map(EngineId).filter(|id| !registered(id)).collect()
    }
}

/// `engine 3`, `engines 1, 2`, and no more than ten numbers.
pub fn name_engines(ids: &[EngineId]) -> String {
    const SHOWN: usize = 10;
    let numbers: Vec<String> = ids.iter().take(SHOWN).map(EngineId::to_string).collect();
    let more = if ids.len() > SHOWN { format!(" and {} more", ids.len() - SHOWN) } else { String::new() };
    format!("engine{} {}{more}", if ids.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

#[cfg(test)]
mod tests;
