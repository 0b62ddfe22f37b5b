//! Submissions that are complete or have written something, for the one thread that waits for any of them.
//!
//! Who watches a `Pending` gives it a token; the token is queued here when the last answer arrives, and when there is
//! output that nobody has taken. The I/O thread puts tokens in and never waits for who takes them out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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
