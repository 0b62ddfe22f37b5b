//! Connections are not for children that are forked off: while one of them holds a socket, the other side does not notice
//! that the process is gone. So each child closes them, as the first thing that it does. What libzmq has in its memory
//! is never used there.
//!
//! Programs that are started in another way get none of them: libzmq opens all sockets close-on-exec.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// One more than these can be held; those beyond are not closed.
const SLOTS: usize = 256;
const FREE: RawFd = -1;
/// Being filled in.
const TAKEN: RawFd = -2;

/// A socket, which is recognised by what the kernel calls it: its descriptor may have become another file's.
struct Slot {
    descriptor: AtomicI32,
    cookie: AtomicU64,
}

// Read by a child whose parent may have forked at any moment: no lock, no allocation.
static HELD: [Slot; SLOTS] = [const { Slot { descriptor: AtomicI32::new(FREE), cookie: AtomicU64::new(0) } }; SLOTS];
static PREPARED: AtomicBool = AtomicBool::new(false);

/// As long as this is there, children close the socket.
#[derive(Debug)]
pub struct Held(usize);

impl Drop for Held {
    fn drop(&mut self) {
        HELD[self.0].descriptor.store(FREE, Ordering::Release);
    }
}

/// Has children of this process close the socket; `None`: it is none any more, or there are too many.
pub fn close_in_children(descriptor: RawFd) -> Option<Held> {
    if !PREPARED.swap(true, Ordering::AcqRel) {
        // SAFETY: the function calls nothing but getsockopt and close, which a child may.
        unsafe { libc::pthread_atfork(None, None, Some(close_all)) };
    }
    let cookie = cookie(descriptor)?;
    let take = |slot: &Slot| slot.descriptor.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let index = HELD.iter().position(take)?;
    HELD[index].cookie.store(cookie, Ordering::Release);
    HELD[index].descriptor.store(descriptor, Ordering::Release);
    Some(Held(index))
}

/// In the child.
unsafe extern "C" fn close_all() {
    for slot in &HELD {
        let descriptor = slot.descriptor.swap(FREE, Ordering::AcqRel);
        if descriptor >= 0 && cookie(descriptor) == Some(slot.cookie.load(Ordering::Acquire)) {
            // SAFETY: the socket is the parent's, which keeps it open; nobody in this process uses it.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// What the kernel calls a socket, as long as it runs.
fn cookie(descriptor: RawFd) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
    // SAFETY: both are valid for writing, and the length is that of the cookie.
    let result = unsafe {
        libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_COOKIE, (&raw mut cookie).cast(), &raw mut length)
    };
    (result == 0).then_some(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// Forks a child that waits until it is killed.
    fn child() -> libc::pid_t {
        // SAFETY: the child calls only pause.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                loop {
                    libc::pause();
                }
            }
            assert!(pid > 0);
            pid
        }
    }

    #[test]
    fn a_child_closes_what_is_held_and_nothing_else() {
        let pairs: Vec<(UnixStream, UnixStream)> = (0..3).map(|_| UnixStream::pair().expect("pair")).collect();
        let held: Vec<Option<Held>> = pairs.iter().map(|(own, _)| close_in_children(own.as_raw_fd())).collect();
        assert!(held.iter().all(Option::is_some));
        let [first, second, third] = <[_; 3]>::try_from(held).expect("three");
        // One is not held any more, and of one the descriptor is another socket's now.
        drop(second);
        let (other, other_end) = UnixStream::pair().expect("pair");
        // SAFETY: both are open; the copy belongs to the third pair from here on.
        assert!(unsafe { libc::dup2(other.as_raw_fd(), pairs[2].0.as_raw_fd()) } >= 0);
        drop(other);
        let pid = child();
        let ends: Vec<UnixStream> = pairs.into_iter().map(|(_, end)| end).collect();
        drop((first, third));
        let is_closed = |mut end: &UnixStream| {
            end.set_nonblocking(true).expect("socket");
            matches!(end.read(&mut [0]), Ok(0))
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !is_closed(&ends[0]) {
            assert!(std::time::Instant::now() < deadline, "the child holds it");
            std::thread::yield_now();
        }
        assert!(!is_closed(&ends[1]) && !is_closed(&other_end));
        let mut status = 0;
        // SAFETY: the child is ours, and the status is valid for writing.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) | libc::waitpid(pid, &raw mut status, 0) }, pid);
    }
}
