//! What has to be done with the pipes behind descriptors 1 and 2 where no lock may be taken and no memory be had: in a signal's
//! handler, at exit, and in a child that was forked off.
//!
//! A process that ends has its last words in these pipes, which are moved to its log. A child does not keep the ends that
//! its parent reads: whoever writes to an engine that is gone gets an error then, instead of waiting.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// So many pipes can be held.
const SLOTS: usize = 256;
const FREE: RawFd = -1;
/// Being filled in.
const TAKEN: RawFd = -2;
/// Bytes that are moved to the log at the end, in steps that a pipe takes at once.
const STEP: usize = libc::PIPE_BUF;
const STEPS: usize = 256;
/// Milliseconds that the end of a process waits until what was read is in the log.
const PATIENCE: u32 = 20;
/// What a fault in C code, or `abort`, ends a process with.
const FATAL: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// The end of a pipe that is read, recognised by its inode: its descriptor may have become another file's.
struct Slot {
    descriptor: AtomicI32,
    inode: AtomicU64,
    which: AtomicI32,
}

static HELD: [Slot; SLOTS] =
    [const { Slot { descriptor: AtomicI32::new(FREE), inode: AtomicU64::new(0), which: AtomicI32::new(0) } }; SLOTS];
/// Where descriptors 1 and 2 led.
static LOGS: [AtomicI32; 2] = [const { AtomicI32::new(FREE) }; 2];
/// Text was read that is not in the log yet.
static WAITING: AtomicBool = AtomicBool::new(false);
static BEFORE: [OnceLock<libc::sigaction>; FATAL.len()] = [const { OnceLock::new() }; FATAL.len()];

/// The end of a pipe from which what processes write to standard output (0) or error (1) is read. Never blocks.
#[derive(Debug)]
pub(super) struct ReadEnd {
    file: OwnedFd,
    pub inode: u64,
    pub which: usize,
    slot: usize,
}

impl ReadEnd {
    /// With it the end that is written to.
    pub fn pipe(which: usize) -> io::Result<(ReadEnd, OwnedFd)> {
        let mut ends = [0; 2];
        // SAFETY: there is room for two descriptors, which are owned here from then on.
        let (file, writer) = unsafe {
            check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        };
        // SAFETY: no memory involved; the descriptor is open.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
        let inode = inode(file.as_raw_fd()).ok_or_else(io::Error::last_os_error)?;
        let take =
            |slot: &Slot| slot.descriptor.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let slot = HELD.iter().position(take).ok_or_else(|| io::Error::other("too many pipes are still open"))?;
        HELD[slot].inode.store(inode, Ordering::Relaxed);
        HELD[slot].which.store(which as i32, Ordering::Relaxed);
        HELD[slot].descriptor.store(file.as_raw_fd(), Ordering::Release);
        Ok((ReadEnd { file, inode, which, slot }, writer))
    }

    /// Its number.
    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Whether somebody can still write, or something is left to read.
    pub fn is_open(&self) -> bool {
        let mut entry = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: entry is one valid pollfd.
        unsafe { libc::poll(&raw mut entry, 1, 0) };
        entry.revents & libc::POLLHUP == 0 || entry.revents & libc::POLLIN != 0
    }

    /// Reads what is there; 0 bytes: nobody can write any more. `WouldBlock`: there is nothing now.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is valid for its length.
        let count = unsafe { libc::read(self.fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        HELD[self.slot].descriptor.store(FREE, Ordering::Release);
    }
}

/// The inode of an open file.
pub(super) fn inode(descriptor: RawFd) -> Option<u64> {
    // SAFETY: the structure is plain numbers, which fstat fills in; a descriptor that is not open gives EBADF.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        (libc::fstat(descriptor, &raw mut found) == 0).then_some(found.st_ino)
    }
}

/// An error of a system call that says -1.
pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Has descriptor 1 (0) or 2 (1) lead there; programs that are started inherit it.
pub(super) fn lead(which: usize, to: RawFd) -> io::Result<()> {
    // SAFETY: no memory involved. What was there is closed, as it is meant to be.
    check(unsafe { libc::dup2(to, which as c_int + 1) }).map(drop)
}

/// Text was read that is not in the log yet, or all is.
pub(super) fn set_waiting(waits: bool) {
    WAITING.store(waits, Ordering::SeqCst);
}

/// From here on last words are kept, in the files with these descriptors, which stay open.
pub(super) fn keep_last_words(logs: [RawFd; 2]) {
    for (log, descriptor) in LOGS.iter().zip(logs) {
        log.store(descriptor, Ordering::Release);
    }
    // SAFETY: these functions call nothing but what a child and a signal's handler may.
    unsafe {
        libc::pthread_atfork(None, None, Some(close_all));
        libc::atexit(at_exit);
    }
    FATAL.iter().zip(&BEFORE).for_each(|(signal, before)| handle(*signal, before));
}

/// Moves to the log what stands in the pipes. Safe in a signal's handler.
pub(super) fn settle() {
    for _ in 0..PATIENCE {
        if !WAITING.load(Ordering::SeqCst) {
            HELD.iter().for_each(move_to_log);
            // It may have been read meanwhile, by the thread that writes it to the log.
            if !WAITING.load(Ordering::SeqCst) {
                return;
            }
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: the time is valid, and what is left of it is not asked for.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
    HELD.iter().for_each(move_to_log);
}

fn move_to_log(slot: &Slot) {
    let (from, which) = (slot.descriptor.load(Ordering::Acquire), slot.which.load(Ordering::Acquire));
    let to = LOGS[usize::from(which == 1)].load(Ordering::Acquire);
    let mut buffer = [0_u8; STEP];
    for _ in 0..STEPS {
        let mut entry = libc::pollfd { fd: to, events: libc::POLLOUT, revents: 0 };
        // SAFETY: the buffer is valid for its length; entry is one valid pollfd; the pipe does not block, and the log has room
        // for so much; a descriptor that is not open gives EBADF.
        let moved = unsafe {
            if from < 0 || to < 0 || libc::poll(&raw mut entry, 1, 0) <= 0 {
                return;
            }
            let count = libc::read(from, buffer.as_mut_ptr().cast(), STEP);
            usize::try_from(count).map_or(-1, |count| libc::write(to, buffer.as_ptr().cast(), count))
        };
        if moved <= 0 {
            return;
        }
    }
}

extern "C" fn at_exit() {
    settle();
}

/// In a child that was forked off.
unsafe extern "C" fn close_all() {
    set_waiting(false);
    for slot in &HELD {
        let descriptor = slot.descriptor.swap(FREE, Ordering::AcqRel);
        if descriptor >= 0 && inode(descriptor) == Some(slot.inode.load(Ordering::Acquire)) {
            // SAFETY: it is the parent's; nobody in this process uses it.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Has the signal's handler find descriptors 1 and 2 as they were, and last words in the log.
fn handle(signal: c_int, before: &OnceLock<libc::sigaction>) {
    // SAFETY: both actions are fully initialised, and the handler calls only what a handler may.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &raw mut old) != 0 || before.set(old).is_err() {
            return;
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// The process ends: whoever had the signal before goes on, with the log as it was.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    settle();
    for (which, log) in LOGS.iter().enumerate() {
        // What is written now goes nowhere else, or stays where it is.
        let _ = lead(which, log.load(Ordering::Acquire));
    }
    let before = FATAL.iter().position(|fatal| *fatal == signal).and_then(|index| BEFORE[index].get());
    // SAFETY: the kernel gives a valid siginfo_t, and the action is the one that was there. A fault happens again as soon as
    // this returns; a signal that was sent is sent again.
    unsafe {
        match before {
            Some(action) => libc::sigaction(signal, action, std::ptr::null_mut()),
            None => libc::sigaction(signal, &raw const DEFAULT, std::ptr::null_mut()),
        };
        if info.is_null() || (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}

// SAFETY: all zero is the default action, without flags.
static DEFAULT: libc::sigaction = unsafe { std::mem::zeroed() };
