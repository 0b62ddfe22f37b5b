//! Bugs of the controller cost whoever ran into them, and nobody else.
//!
//! What panics is said in the log, with where it was. If a peer's message led there, that peer is put out, as one is that
//! breaks the rules; everything else goes on. The state is then what it was after the last step that was complete: each part of
//! the core changes its tables one entry at a time, and looks entries up again before it uses them, so that one without
//! its counterpart is passed over. Counts for people may be off from then on.

use super::core::Core;
use super::event::{Action, Event};
use crate::transport::Route;
use crate::wire::message::{Message, Refused};
use ipclusterz_base::words::printable;
use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::time::Duration;

/// What a peer is told that ran into a bug.
const REASON: &str = "a bug of the controller, whose log has more of it";

/// Has every panic of this process said in the log.
pub(super) fn log_panics() {
    set_hook(Box::new(|panic| {
        tracing::error!("this is a bug; please report it: {}", printable(&panic.to_string()));
        // Names of functions alone: the lines are not in the program.
        for line in Backtrace::force_capture().to_string().lines() {
            tracing::error!("{}", printable(line));
        }
    }));
}

/// What is to be done after an event, also if handling it panics, and whether it did.
pub fn handle(core: &mut Core, event: Event, now: Duration) -> (Vec<Action>, bool) {
    let route = event.route();
    if let Some(actions) = without_panic(|| core.handle(event, now)) {
        return (actions, false);
    }
    let actions = without_panic(|| core.handle(Event::Bug { route, reason: REASON.to_owned() }, now));
    (actions.unwrap_or_else(|| route.map(refusal).into_iter().collect()), true)
}

fn without_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    // See above for what is left of a state that was being changed.
    catch_unwind(AssertUnwindSafe(call)).ok()
}

fn refusal(route: Route) -> Action {
    let message = Message::Refused(Refused::new(REASON.to_owned()));
    Action::Send { route, message, payload: vec![], shared_memory: false }
}
