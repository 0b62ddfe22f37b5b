//! Submissions that are complete or have written something, for the one thread that waits for any of them.
//!
//! Who watches a `Pending` gives it a token; the token is queued here when the last answer arrives, and when there is
//! output that nobody has taken. The I/O thread puts tokens in and never waits for who takes them out.
//!
//! Comm messages of engines, as widgets send them, are for that thread too, whichever submission they come with.

use ipclusterz_base::ids::EngineId;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The token for comm messages, and for engines that have left while somebody takes these. Submissions have others.
const COMMS: u64 = 0;
/// What a line of the displays begins with that has a comm message.
const COMM: &str = "{\"comm\": ";
/// Bytes of comm messages that wait to be taken. More are dropped.
const COMMS_MAX: usize = 64 << 20;

/// Comm messages that nobody has taken yet.
#[derive(Debug, Default)]
struct Comms {
    /// Somebody takes them.
    wanted: bool,
    lines: Vec<(EngineId, String)>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    tokens: VecDeque<u64>,
    /// No token will come any more.
    closed: bool,
    /// Nobody is to be given any more.
    stopped: bool,
}

/// Tokens in the order in which something became of their submissions.
#[derive(Debug, Default)]
pub struct Watched {
    queue: Mutex<Queue>,
    changed: Condvar,
    comms: Mutex<Comms>,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn comms(&self) -> MutexGuard<'_, Comms> {
        self.comms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes comm messages from lines of an engine's displays.
    pub(super) fn comms_of<'a>(&self, engine: EngineId, lines: &'a str) -> Cow<'a, str> {
        if !lines.contains(COMM) {
            return lines.into();
        }
        let (comms, others): (Vec<&str>, Vec<&str>) =
            lines.split_inclusive('\n').partition(|line| line.starts_with(COMM));
        let mut waiting = self.comms();
        let tell = waiting.wanted && waiting.lines.is_empty() && !comms.is_empty();
        for line in comms {
            if waiting.wanted && waiting.bytes < COMMS_MAX {
                waiting.bytes = waiting.bytes.saturating_add(line.len());
                waiting.lines.push((engine, line.to_owned()));
            }
        }
        drop(waiting);
        self.push(if tell { vec![COMMS] } else { vec![] });
        others.concat().into()
    }

    /// The comm messages that came since this was called last. Before the first call they go nowhere.
    pub fn take_comms(&self) -> Vec<(EngineId, String)> {
        let mut waiting = self.comms();
        (waiting.wanted, waiting.bytes) = (true, 0);
        std::mem::take(&mut waiting.lines)
    }

    /// Engines have left: comms that they had opened are of no use any more.
    pub(super) fn engines_left(&self) {
        let wanted = self.comms().wanted;
        self.push(if wanted { vec![COMMS] } else { vec![] });
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// These are complete, or have written something.
    pub(super) fn push(&self, tokens: Vec<u64>) {
        if tokens.is_empty() {
            return;
        }
        self.change(|queue| queue.tokens.extend(tokens));
    }

    /// Every submission is complete: the client is closed.
    pub(super) fn close(&self) {
        self.change(|queue| queue.closed = true);
    }

    /// From here on `next` gives none, whatever is queued.
    pub fn stop(&self) {
        self.change(|queue| queue.stopped = true);
    }

    /// Waits for the next one. None: there will be none, for the client is closed or `stop` was called.
    pub fn next(&self) -> Option<u64> {
        let mut queue = self.lock();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(token) = queue.tokens.pop_front() {
                return Some(token);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_is_given_after_the_end_but_not_after_a_stop() {
        let watched = Watched::default();
        watched.push(vec![1, 2]);
        watched.push(vec![3]);
        watched.close();
        assert_eq!([watched.next(), watched.next()], [Some(1), Some(2)]);
        watched.stop();
        assert_eq!(watched.next(), None);
    }

    #[test]
    fn comm_messages_are_taken_from_the_displays_once_somebody_wants_them() {
        let (watched, engine) = (Watched::default(), EngineId(3));
        let (comm, other) = ("{\"comm\": {}}\n", "{\"data\": \"{\\\"comm\\\": \"}\n");
        let lines = format!("{other}{comm}{other}");
        assert_eq!(watched.comms_of(engine, &lines), other.repeat(2));
        watched.engines_left();
        assert!(watched.take_comms().is_empty());
        watched.comms_of(engine, &lines);
        watched.comms_of(engine, comm);
        watched.close();
        assert_eq!([watched.next(), watched.next()], [Some(COMMS), None]);
        assert_eq!(watched.take_comms(), [(engine, comm.to_owned()), (engine, comm.to_owned())]);
        assert!(watched.take_comms().is_empty());
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_token_and_by_the_end() {
        let watched = Watched::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| [watched.next(), watched.next()]);
            watched.push(vec![7]);
            watched.close();
            assert_eq!(waiting.join().expect("no panic"), [Some(7), None]);
        });
    }
}
