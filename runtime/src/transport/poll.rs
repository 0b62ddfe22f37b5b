//! How a thread waits for its sockets: it keeps looking for a moment before it sleeps.

use std::time::{Duration, Instant};

/// How long a thread keeps looking before it sleeps. Waking a thread on a core that has gone idle costs some 40 µs on
/// a virtual machine, and a round trip has a dozen such wake-ups; yielding leaves the core to whoever has work.
const LOOK_AGAIN: Duration = Duration::from_micros(60);

/// Waits until one of `items` is ready: first looking again and again, then asleep.
pub(crate) fn poll(items: &mut [zmq::PollItem<'_>], timeout: Duration) -> Result<(), zmq::Error> {
    let begin = Instant::now();
    let once = |items: &mut [zmq::PollItem<'_>], milliseconds| match zmq::poll(items, milliseconds) {
        Ok(count) => Ok(count > 0),
        Err(zmq::Error::EINTR) => Ok(true),
        Err(error) => Err(error),
    };
    while begin.elapsed() < LOOK_AGAIN.min(timeout) {
        if once(items, 0)? {
            return Ok(());
        }
        std::thread::yield_now();
    }
    // Rounded up: a timeout below a millisecond must not become a busy loop.
    let milliseconds = i64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
    once(items, milliseconds).map(|_| ())
}
