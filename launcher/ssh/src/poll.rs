//! poll(2), and a descriptor that wakes a thread that polls it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// Descriptors to wait for.
#[derive(Default)]
pub struct PollSet {
    entries: Vec<libc::pollfd>,
}

impl PollSet {
    /// Removes all descriptors.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds a descriptor, and returns its place. With neither `read` nor `write` it is not polled at all: a broken
    /// connection would wake the caller again and again.
    pub fn add(&mut self, descriptor: BorrowedFd<'_>, read: bool, write: bool) -> usize {
        let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
        let fd = if events == 0 { -1 } else { descriptor.as_raw_fd() };
        self.entries.push(libc::pollfd { fd, events, revents: 0 });
        self.entries.len() - 1
    }

    /// Waits until a descriptor is ready or `deadline` has passed; returns false for the latter. Goes on after signals.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            let timeout = deadline.map_or(-1, |deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up: the caller would repeat a wait that ends too early, again and again.
                i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
            });
            let count = libc::nfds_t::try_from(self.entries.len()).map_err(io::Error::other)?;
            // SAFETY: the entries are valid for reading and writing, and count is their number.
            let ready = unsafe { libc::poll(self.entries.as_mut_ptr(), count, timeout) };
            if ready >= 0 {
                return Ok(ready > 0);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Whether the descriptor at this place is ready, for reading or writing, or broken.
    pub fn is_ready(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|entry| entry.revents != 0)
    }
}

/// Wakes a thread that polls it.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<File>,
}

impl Waker {
    /// Makes a waker that is not set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { event: Arc::new(File::from(descriptor)) })
    }

    /// Sets it, which wakes the thread. Does not block.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then it is set already.
        let _ = (&*self.event).write(&1_u64.to_ne_bytes());
    }

    /// Resets it.
    pub fn reset(&self) {
        // Fails when it was not set.
        let _ = (&*self.event).read(&mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_waker_wakes_until_it_is_reset() {
        let waker = Waker::new().expect("eventfd");
        let mut set = PollSet::default();
        let place = set.add(waker.as_fd(), true, false);
        waker.wake();
        assert!(set.wait(None).expect("poll") && set.is_ready(place));
        waker.reset();
        assert!(!set.wait(Some(Instant::now() + Duration::from_millis(1))).expect("poll"));
        assert!(!set.is_ready(place));
    }
}
