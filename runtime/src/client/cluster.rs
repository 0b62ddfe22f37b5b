//! What other threads ask about the cluster, and of it: its engines, its state, interrupts and shutdown.

use super::error::ClientError;
use super::event::Event;
use super::handle::{Client, HALTED_FOR};
use super::shared::State;
use crate::inspections::Activities;
use crate::wire::Channel;
use crate::wire::message::{
    Empty, EngineEnded, EngineInfo, EngineList, EnginesExpected, Inspect, Message, Status, Targets,
};
use ipclusterz_base::connection::ControllerProcess;
use ipclusterz_base::ids::EngineId;
use std::time::Duration;

/// How long to wait for the controller's last word about an engine; it comes earlier, see its `loss_grace`.
const LOSS_PATIENCE: Duration = Duration::from_secs(3);

impl Client {
    /// Engines that are there, by id.
    pub fn engines(&self) -> Vec<EngineInfo> {
        self.shared.lock().core.engines.values().map(|(info, _)| info.clone()).collect()
    }

    /// What identifies the process of one; none: there is none.
    pub fn engine_uuid(&self, engine: EngineId) -> Option<String> {
        self.shared.lock().core.engines.get(&engine).map(|(info, _)| info.uuid.clone())
    }

    /// Their ids, sorted.
    pub fn engine_ids(&self) -> Result<Vec<EngineId>, ClientError> {
        Ok(self.usable()?.core.engines.keys().copied().collect())
    }

    /// What became of the last engine with this id, if none has it now. Waits a moment if more will be known of it soon.
    pub fn what_became_of(&self, engine: EngineId) -> Option<String> {
        let waits = |state: &State| state.core.gone.0.get(&engine).is_some_and(|left| left.more);
        // What is known by then has to do.
        let _ = self.wait_until(LOSS_PATIENCE, |state| !waits(state) || state.core.standing.is_none());
        self.shared.lock().core.gone.0.get(&engine).map(|left| left.reason.clone())
    }

    /// Tells how an engine's process ended, or that nothing is known of it; for launchers.
    pub fn engine_ended(&self, ended: EngineEnded) -> Result<(), ClientError> {
        self.send(Channel::Control, Message::EngineEnded(ended))
    }

    /// Tells whether engines are to come, and what they wait for; for launchers.
    pub fn expect_engines(&self, expected: EnginesExpected) -> Result<(), ClientError> {
        self.send(Channel::Control, Message::EnginesExpected(expected))
    }

    /// Waits until there are `count` engines; false at the deadline.
    pub fn wait_for_engines(&self, count: usize, timeout: Duration) -> Result<bool, ClientError> {
        drop(self.usable()?);
        let enough = |state: &State| state.core.engines.len() >= count || state.core.standing.is_none();
        let in_time = self.wait_until(timeout, enough).is_ok();
        Ok(self.usable()?.core.engines.len() >= count && in_time)
    }

    /// The next event, oldest first; none at the deadline.
    pub fn wait_event(&self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        // Reaching the deadline is no error here: there was no event.
        let _ = self.wait_until(timeout, |state| !state.core.events.is_empty() || state.closed.is_some());
        Ok(self.shared.lock().core.events.pop_front())
    }

    /// The state of the cluster.
    pub fn status(&self, timeout: Duration) -> Result<Status, ClientError> {
        let before = self.usable()?.core.status.0;
        self.send(Channel::Control, Message::StatusRequest(Empty {}))?;
        // Where somebody starts a controller again that has died, one will listen in a moment.
        let nobody_listens = |state: &State| !self.returns && state.away.is_some_and(|away| away.nobody_listens);
        let answered = |state: &State| state.core.status.0 > before;
        let over = |state: &State| answered(state) || state.core.standing.is_none() || nobody_listens(state);
        let halted = || self.controller.and_then(ControllerProcess::halted);
        let in_time = self.wait_until(timeout.min(HALTED_FOR), over).is_ok()
            || (halted().is_none() && self.wait_until(timeout.saturating_sub(HALTED_FOR), over).is_ok());
        let state = self.shared.lock();
        if !answered(&state) && state.away.is_some() {
            let (refused, problem) = (nobody_listens(&state), state.problem.clone());
            drop(state);
            let trouble = self.trouble().filter(|_| refused);
            return Err(trouble.map_or(ClientError::Unreachable(timeout.as_secs_f64(), problem), ClientError::Silent));
        }
        drop(state);
        if !in_time {
            return Err(halted().map_or(ClientError::Timeout(timeout.as_secs_f64()), ClientError::Silent));
        }
        // Other threads may wait for the same answer.
        self.usable()?.core.status.1.clone().ok_or(ClientError::Timeout(timeout.as_secs_f64()))
    }

    /// What engines are doing; those that do not answer in time are left out.
    pub fn inspect(&self, engines: &[EngineId], timeout: Duration) -> Result<Activities, ClientError> {
        let inspect = self.usable()?.core.inspections.ask(engines, true, None);
        self.put(inspect, timeout)
    }

    /// Has the processes of these engines get a signal, also while they are busy; those that do not answer in time are left
    /// out.
    pub fn signal(&self, engines: &[EngineId], number: i32, timeout: Duration) -> Result<Activities, ClientError> {
        let inspect = self.usable()?.core.inspections.ask(engines, false, None);
        self.put(Inspect { signal: Some(number), ..inspect }, timeout)
    }

    fn put(&self, inspect: Inspect, timeout: Duration) -> Result<Activities, ClientError> {
        let number = inspect.number;
        self.send(Channel::Control, Message::Inspect(inspect))?;
        // At the deadline the answers that have come are returned.
        let _ = self.wait_until(timeout, |state| state.core.inspections.is_complete(number));
        Ok(self.shared.lock().core.inspections.take(number))
    }

    /// Raises KeyboardInterrupt in what runs on these engines.
    pub fn interrupt(&self, engines: Vec<EngineId>) -> Result<(), ClientError> {
        // On `data`: behind the requests that it is meant for, and before later ones.
        self.send(Channel::Data, Message::Interrupt(Targets { engines: Some(engines) }))
    }

    /// Has engines end once they have finished what was submitted to them; does not wait. They get no new tasks, and
    /// balanced tasks that they have not started go to others.
    pub fn retire(&self, engines: Vec<EngineId>) -> Result<(), ClientError> {
        self.send(Channel::Data, Message::Retire(EngineList { engines }))
    }

    /// Asks engines to end, or (none) all of them and the controller; does not wait.
    pub fn request_shutdown(&self, engines: Option<Vec<EngineId>>) -> Result<(), ClientError> {
        self.send(Channel::Control, Message::Shutdown(Targets { engines }))
    }

    /// The same, and waits until they are gone.
    pub fn shutdown(&self, engines: Option<&[EngineId]>, timeout: Duration) -> Result<(), ClientError> {
        self.request_shutdown(engines.map(<[EngineId]>::to_vec))?;
        let gone = |state: &State| match engines {
            Some(engines) => engines.iter().all(|id| !state.core.engines.contains_key(id)),
            None => state.core.standing.is_none(),
        };
        self.wait_until(timeout, gone)
    }
}
