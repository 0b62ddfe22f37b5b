//! Starts the controller, the first time and again, and hears what it says.

use super::events::{self, ControllerLine, NumberedLine};
use super::inputs::{Action, ControllerWord, Input};
use super::run::{Plan, Supervisor};
use crate::requests;
use ipclusterz_host::failure::Failure;
use ipclusterz_runtime::client::Client;
use std::sync::Arc;
use std::time::Instant;

impl Supervisor<'_> {
    /// Starts its process, and the thread that reads its line.
    pub(super) fn start_controller(&mut self) -> Result<(), Failure> {
        let again = self.controller.starts() > 0;
        let Plan { folder, settings, handle, resume, .. } = &self.plan;
        let output = self.controller.start(folder, settings, &handle.run_id, *resume);
        let Some(output) = output.map_err(Failure::io("starting the controller"))? else { return Ok(()) };
        events::watch_controller_output(output, self.controller.starts(), again, self.sender.clone())
            .map_err(Failure::io("starting the thread for the controller's output"))
    }

    /// Starts it again after it died.
    pub(super) fn start_controller_again(&mut self) -> Vec<Action> {
        let input = match self.start_controller() {
            Ok(()) => Input::ControllerStarted,
            Err(failure) => Input::ControllerNotStarted(failure.message),
        };
        self.update_record();
        self.core.handle(input, Instant::now())
    }

    /// It has printed its line. The first one that listens gets its engines.
    pub(super) fn controller_says(&mut self, said: NumberedLine) -> Result<Vec<Action>, Failure> {
        if said.start != self.controller.starts() {
            return Ok(Vec::new());
        }
        let word = match said.line {
            ControllerLine::Ready(ready) => {
                self.listening = Some(ready);
                ControllerWord::Listens
            }
            ControllerLine::Refused(failure) => {
                self.refusal = Some(failure);
                ControllerWord::Refuses
            }
            ControllerLine::Nothing => ControllerWord::Nothing,
        };
        let mut actions = self.core.handle(Input::ControllerSaid(word), Instant::now());
        match (word, self.launcher.is_some()) {
            (ControllerWord::Listens, false) => {
                let launcher = (self.plan.make_launcher)(events::waker(&self.sender))?;
                actions.extend(self.start_engines(launcher)?);
            }
            (ControllerWord::Listens, true) => self.listen_for_requests()?,
            _ => {}
        }
        Ok(actions)
    }

    /// Listens for requests of other commands, unless that is done. The socket is in the controller's folder, which a
    /// controller removes that ends by itself.
    pub(super) fn listen_for_requests(&self) -> Result<(), Failure> {
        let folder = &self.plan.handle.socket_dir;
        if requests::socket_path(folder).exists() {
            return Ok(());
        }
        events::watch_requests(folder, self.sender.clone())
            .map_err(Failure::io("listening for requests of other commands"))
    }

    /// This process is connected to the controller.
    pub(super) fn connected(&mut self, client: Arc<Client>) -> Result<Vec<Action>, Failure> {
        if self.blocks.is_some() {
            events::watch_load(Arc::clone(&client), self.sender.clone())
                .map_err(Failure::io("starting the thread that watches the load"))?;
        }
        self.connection.established(client);
        self.core.handle(Input::ControllerReached, Instant::now());
        // There may be no engines, or they may have registered before this.
        Ok(if self.launcher.is_some() { self.core.ready_if_complete() } else { Vec::new() })
    }

    /// This process could not connect, and tries again if the controller is started again when it dies.
    pub(super) fn not_connected(&self, failure: Failure, now: Instant) -> Result<Vec<Action>, Failure> {
        let may_come_back = self.plan.settings.tables.controller.restart
            && (self.core.is_ready() || self.core.controller.listens_for(now) < events::CONNECT_TIMEOUT);
        if may_come_back { Ok(Vec::new()) } else { Err(failure) }
    }
}
