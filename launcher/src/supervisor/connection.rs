//! The launcher's own connection to the controller, and what waits to be said through it: a controller that is started
//! again hears of what happened meanwhile.

use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::client::{Client, Event};
use ipclusterz_runtime::wire::message::{EngineEnded, EnginesExpected};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// See the module's documentation.
#[derive(Default)]
pub struct Connection {
    client: Option<Arc<Client>>,
    /// Whether the controller hears what is said now.
    is_up: bool,
    /// How engines ended.
    ended: VecDeque<EngineEnded>,
    /// Engines that are to go.
    retired: Vec<EngineId>,
    /// Whether engines are to come, and whether that was said.
    expected: (EnginesExpected, bool),
}

impl Connection {
    /// There is one.
    pub fn established(&mut self, client: Arc<Client>) {
        (self.client, self.is_up) = (Some(client), true);
    }

    /// Notes whether it goes on.
    pub fn heard(&mut self, event: &Event) {
        match event {
            Event::Resumed => self.is_up = true,
            Event::Interrupted { .. } => self.is_up = false,
            // Another controller may come, which has heard nothing.
            Event::Disconnected { .. } => (self.is_up, self.expected.1) = (false, false),
            Event::EngineJoined(_) | Event::EngineLeft { .. } | Event::EngineHangs(_) => {}
        }
    }

    /// The client, once there is one. It may be waiting for the next controller.
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// The client, while the controller hears it.
    pub fn up(&self) -> Option<&Arc<Client>> {
        self.client().filter(|_| self.is_up)
    }

    /// Takes the client, for the end.
    pub fn take(&mut self) -> Option<Arc<Client>> {
        self.client.take()
    }

    /// Tells how engines ended, which the controller passes on to clients.
    pub fn tell_ends(&mut self, ended: Vec<EngineEnded>) {
        self.ended.extend(ended);
        self.catch_up();
    }

    /// Tells whether engines are to come, if that is new.
    pub fn tell_expected(&mut self, expected: EnginesExpected) {
        if self.expected.0 != expected {
            self.expected = (expected, false);
        }
        self.catch_up();
    }

    /// Has these engines get no more work, and shut down when they are idle.
    pub fn retire(&mut self, engines: &[EngineId]) {
        self.retired.extend(engines);
        self.catch_up();
    }

    /// Has these engines end now.
    pub fn shut_down(&self, engines: &[EngineId]) {
        // An error means that the connection has just broken: their processes are ended a little later.
        if let Some(client) = self.up() {
            let _ = client.request_shutdown(Some(engines.to_vec()));
        }
    }

    /// Has the processes of these engines get SIGTERM.
    pub fn terminate(&self, engines: &[EngineId]) {
        if let Some(client) = self.up() {
            // Nobody waits for their answers.
            let _ = client.signal(engines, libc::SIGTERM, Duration::ZERO);
        }
    }

    /// Says what waits to be said.
    fn catch_up(&mut self) {
        let Some(client) = self.up().cloned() else { return };
        // An error means that the connection has just broken. What could not be said waits for the next one.
        while let Some(ended) = self.ended.front()
            && client.engine_ended(ended.clone()).is_ok()
        {
            self.ended.pop_front();
        }
        if !self.expected.1 {
            self.expected.1 = client.expect_engines(self.expected.0.clone()).is_ok();
        }
        if !self.retired.is_empty() && client.retire(self.retired.clone()).is_ok() {
            self.retired.clear();
        }
    }
}
