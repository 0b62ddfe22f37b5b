//! A controller's process, from its start to its end.

use super::bug;
use super::config::{ControllerConfig, ControllerError, Ready};
use super::left;
use super::opening::{Files, listen};
use crate::transport::context;
use crate::wire::reaper;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

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
    let signals = block_signals().map_err(|error| ControllerError::System("signalfd", error))?;
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
    files.remove(keep);
    result
}

/// Signals that end the controller arrive through a descriptor, between two events.
fn block_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before it is used; the descriptor is checked and owned here.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        let result = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
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
