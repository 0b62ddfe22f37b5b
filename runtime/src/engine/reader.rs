//! The thread that reads what is written to descriptors 1 and 2: at once, whatever the interpreter does, but not faster than the
//! client of the running task takes it. Programs that write more wait, as tasks that print do.

use super::capture::{self, Capture, Logged};
use super::descriptors::set_waiting;
use super::output::Room;
use super::shared::{Shared, State};
use crate::system::block_all_signals;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks whether a client that takes nothing does again.
const LOOK: Duration = Duration::from_millis(50);

/// Begins to read.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let capture = Capture::start(shared.reader.fd())?;
    shared.logs.set_descriptors(capture.logs());
    let (epoll, of_thread) = (capture.epoll(), Arc::clone(shared));
    shared.lock().capture = Some(capture);
    // It ends with the process: what a task has left behind may write for as long as that lives.
    let started = std::thread::Builder::new().name("ipclusterz-fds".to_owned()).spawn(move || run(&of_thread, epoll));
    if let Err(error) = started {
        stop(shared);
        // What it has open for the log stays in use.
        std::mem::forget(shared.lock().capture.take());
        return Err(error);
    }
    Ok(())
}

/// Descriptors 1 and 2 lead to the log again, and what was written is there.
pub(super) fn stop(shared: &Shared) {
    let mut state = shared.lock();
    state.take_descriptors();
    let unlogged = state.capture.as_mut().map(|capture| {
        capture.stop();
        capture.take_unlogged()
    });
    drop(state);
    log(shared, &unlogged.unwrap_or_default());
}

fn run(shared: &Shared, epoll: RawFd) {
    block_all_signals();
    loop {
        sleep(shared, epoll);
        let (unlogged, full) = take(shared);
        log(shared, &unlogged);
        if full {
            let state = shared.lock();
            drop(shared.wait_timeout(state, LOOK));
        }
    }
}

/// Waits until something can be read, or is to be written to the log.
fn sleep(shared: &Shared, epoll: RawFd) {
    shared.reader.prepare();
    let is_unlogged = shared.lock().capture.as_ref().is_some_and(Capture::is_unlogged);
    if !is_unlogged {
        capture::wait(epoll);
    }
    shared.reader.awake();
}

/// What is to go to the log; and whether the client takes no more now.
fn take(shared: &Shared) -> (Vec<Logged>, bool) {
    let mut state = shared.lock();
    let first = state.output.bytes() == 0;
    let full = is_full(&state);
    if full {
        shared.waker.wake();
    } else {
        state.take_descriptors();
    }
    let unlogged = state.capture.as_mut().map(|capture| {
        capture.take_left();
        capture.take_unlogged()
    });
    shared.wake(&state, first);
    (unlogged.unwrap_or_default(), full)
}

fn is_full(state: &State) -> bool {
    matches!(state.room(), Room::Until(_))
}

fn log(shared: &Shared, unlogged: &[Logged]) {
    for (to_errors, bytes) in unlogged {
        shared.logs.write(*to_errors, bytes);
    }
    // With the lock: what is read meanwhile is still to be written.
    let state = shared.lock();
    if !state.capture.as_ref().is_some_and(Capture::is_unlogged) {
        set_waiting(false);
    }
}
