//! Wakes a thread that waits for sockets: an eventfd, written only when that thread is about to sleep.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// One sleeper, any number of wakers.
///
/// The sleeper calls `prepare`, looks once more whether there is anything to do, polls `fd`, and calls `awake`. A waker
/// makes its work visible first and calls `wake` then; it costs a system call only if the sleeper has prepared.
#[derive(Debug)]
pub struct Waker {
    event: OwnedFd,
    asleep: AtomicBool,
}

impl Waker {
    /// Nobody sleeps yet.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: no memory involved; the descriptor is checked and owned by nobody else.
        let event = unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Waker { event, asleep: AtomicBool::new(false) })
    }

    /// To be polled for reading.
    pub fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// The sleeper is about to sleep: from here on `wake` writes.
    pub fn prepare(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The sleeper is up again.
    pub fn awake(&self) {
        if !self.asleep.swap(false, Ordering::SeqCst) {
            let mut count = 0_u64;
            // SAFETY: reads eight bytes into eight. It fails only when nothing was written yet, which is fine:
            // then the next sleep ends at once.
            unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        }
    }

    /// Wakes the sleeper if it sleeps or is about to.
    pub fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            let one = 1_u64;
            // SAFETY: writes eight bytes from eight. An eventfd at its maximum would wake the sleeper too.
            unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }
}
