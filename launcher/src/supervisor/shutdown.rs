//! The end of a cluster: asked politely, then SIGTERM, then SIGKILL, each with a deadline.

use super::core::Ending;
use super::events::{self, Event};
use super::run::Supervisor;
use super::signals::Signal;
use crate::cluster::cleanup;
use crate::cluster::handle::Phase;
use crate::failure::Failure;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// For the controller to tell its engines, and for them to end.
const POLITE: Duration = Duration::from_secs(2);
/// For processes to act on SIGTERM.
const TERMINATE: Duration = Duration::from_secs(1);
/// For the kernel to act on SIGKILL; longer only for a process that hangs in a system call.
const KILL: Duration = Duration::from_secs(5);

impl Supervisor<'_> {
    /// Ends all processes and removes all files. The one who asked has been told why.
    pub(super) fn shut_down(&mut self, ending: Option<&Ending>) -> Result<(), Failure> {
        self.set_phase(Phase::Stopping);
        let politely = self.core.is_ready() && !matches!(ending, Some(Ending::ControllerDied(_)));
        if politely && self.plan.local.has_controller() && self.ask_politely() {
            self.wait_for_children(POLITE, true);
        } else if matches!(ending, Some(Ending::ShutDown)) {
            // The controller has told the engines before it went.
            self.wait_for_children(POLITE, true);
        }
        for (signal, patience) in [(libc::SIGTERM, TERMINATE), (libc::SIGKILL, KILL)] {
            if self.hurry && signal != libc::SIGKILL {
                continue;
            }
            if !self.plan.local.is_empty() {
                self.plan.local.signal(signal);
                self.wait_for_children(patience, signal != libc::SIGKILL);
            }
        }
        Ok(cleanup::remove_files(&self.plan.folder, &self.plan.handle)?)
    }

    fn ask_politely(&mut self) -> bool {
        let Some(client) = self.client.take() else { return false };
        events::request_shutdown(client, POLITE, self.sender.clone()).is_ok()
    }

    /// Waits until no child is left, `patience` is over or, if it may be, a Ctrl-C asks to hurry.
    fn wait_for_children(&mut self, patience: Duration, may_hurry: bool) {
        let deadline = Instant::now() + patience;
        loop {
            // An error means that the children cannot be waited for; SIGKILL comes at the end in any case.
            let _ = self.plan.local.poll();
            if self.plan.local.is_empty() || (self.hurry && may_hurry) {
                return;
            }
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Signal(Signal::Interrupt)) => {
                    self.talk.say("killing all that is left");
                    self.hurry = true;
                }
                Ok(Event::ShutdownAnswered(Err(reason))) => {
                    self.talk.say(format!("the controller did not shut down: {reason}"));
                    return;
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
