//! How a thread waits for its sockets: it keeps looking for a moment before it sleeps.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread keeps looking before it sleeps. Waking a thread on a core that has gone idle costs some 40 µs on
/// a virtual machine, and a round trip has a dozen such wake-ups; yielding leaves the core to whoever has work.
const LOOK_AGAIN: Duration = Duration::from_micros(60);
/// Who has given the core away comes back later than this only if others want it who have nothing to do with us.
const TAKEN: Duration = Duration::from_micros(500);
/// For so long a thread whose core was taken sleeps at once: whoever is woken has the core before those that compute, and
/// whoever yields has it behind them.
const CROWDED: Duration = Duration::from_millis(20);

thread_local! {
    static SLEEPS_AT_ONCE_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Waits until one of `items` is ready: first looking again and again, then asleep.
pub(crate) fn poll(items: &mut [zmq::PollItem<'_>], timeout: Duration) -> Result<(), zmq::Error> {
    let begin = Instant::now();
    let once = |items: &mut [zmq::PollItem<'_>], milliseconds| match zmq::poll(items, milliseconds) {
        Ok(count) => Ok(count > 0),
        Err(zmq::Error::EINTR) => Ok(true),
        Err(error) => Err(error),
    };
    let crowded = SLEEPS_AT_ONCE_UNTIL.get().is_some_and(|until| begin < until);
    let look = if crowded { Duration::ZERO } else { LOOK_AGAIN.min(timeout) };
    let mut now = begin;
    while now.saturating_duration_since(begin) < look {
        if once(items, 0)? {
            return Ok(());
        }
        let before = Instant::now();
        std::thread::yield_now();
        now = Instant::now();
        if now.saturating_duration_since(before) >= TAKEN {
            SLEEPS_AT_ONCE_UNTIL.set(Some(now + CROWDED));
        }
    }
    // Rounded up: a timeout below a millisecond must not become a busy loop.
    let milliseconds = i64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
    once(items, milliseconds).map(|_| ())
}
