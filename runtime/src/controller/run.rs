//! A controller's process, from its start to its end.

use super::bug;
use super::config::{ControllerConfig, ControllerError, Ready};
use super::left;
use super::opening::{Files, listen};
use crate::system::signals_that_end;
use crate::transport::context;
use crate::wire::reaper;

/// Runs a controller until it is asked to stop (by a client, SIGTERM or SIGINT); `ready` is called once it listens.
///
/// The calling thread has SIGTERM and SIGINT blocked from then on. All files that it made are removed at the end, but for a
/// journal that has anything in it that would be lost.
pub fn run(config: ControllerConfig, ready: impl FnOnce(&Ready)) -> Result<(), ControllerError> {
    bug::log_panics();
    context::check()?;
    if !config.local && config.listen.is_none() {
        return Err(ControllerError::Nowhere);
    }
    let signals = signals_that_end().map_err(|error| ControllerError::System("signalfd", error))?;
    return_memory();
    let mut files = Files::default();
    // A journal that cannot be read is not removed because of that.
    let mut keep = left::is_there(&config.directory);
    let result = match listen(&config, &mut files) {
        // The next one needs them, once there is room.
        Err(error) if files.former && error.is_full_disk() => return Err(error),
        opened => opened.and_then(|mut reactor| {
            ready(&files.ready);
            let result = reactor.run(&signals);
            keep = result.is_err() || reactor.leaves_anything();
            result
        }),
    };
    reaper::finish();
    files.remove(keep, &config.run_id);
    result
}

/// Has the allocator return large and free memory to the kernel, so that memory use falls again after a burst.
fn return_memory() {
    // SAFETY: plain settings of glibc's allocator; the thresholds are fixed instead of growing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
