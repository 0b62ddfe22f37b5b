//! What an engine is doing, told by its I/O thread while the main thread is busy: without the interpreter.

use super::process::UserThread;
use crate::wire::message::{Broken, EpochOver};
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Seek};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// For the main thread to write its stack: it takes microseconds, unless the thread is inside the kernel for good.
const PATIENCE: Duration = Duration::from_millis(200);
/// The stack is complete when the file has not grown for so long.
const QUIET: Duration = Duration::from_millis(3);
/// No stack is longer.
const STACK_MAX: usize = 64 << 10;
/// For what is told of communicators, unless there are very many.
const CALLS_ROOM: usize = 16 << 10;

/// How the main thread is asked for its stack: Python's `faulthandler.register(signal, file)` has its handler write it.
#[derive(Debug, Clone, Copy)]
pub struct StackFile {
    /// The signal.
    pub signal: c_int,
    /// The file, which stays open; written to by the handler, and emptied here.
    pub descriptor: RawFd,
}

impl StackFile {
    /// The stack of `thread`; empty when it does not answer.
    pub fn ask(&self, thread: UserThread) -> io::Result<String> {
        // SAFETY: the descriptor is open as long as the process lives, and is not closed here.
        let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(self.descriptor) });
        file.set_len(0)?;
        // The handler writes where it wrote last.
        file.rewind()?;
        thread.signal(self.signal);
        let deadline = Instant::now() + PATIENCE;
        let (mut length, mut since) = (0, Instant::now());
        loop {
            let now = file.metadata()?.len();
            if now != length {
                (length, since) = (now, Instant::now());
            }
            if (length > 0 && since.elapsed() >= QUIET) || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or(STACK_MAX).min(STACK_MAX)];
        let count = file.read_at(&mut text, 0)?;
        text.truncate(count);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Functions of the MPI extension module that may be called without the interpreter.
#[derive(Debug, Clone, Copy)]
pub struct MpiFunctions {
    end_epoch: extern "C" fn(u64, *const u8, usize),
    calls: extern "C" fn(*mut u8, usize) -> usize,
    break_off: BreakOff,
}

/// Name and its length, epoch, reason and its length, at once.
type BreakOff = extern "C" fn(*const u8, usize, u64, *const u8, usize, bool);

impl MpiFunctions {
    /// By their addresses, as the module tells them.
    ///
    /// # Safety
    ///
    /// They must be what `end_epoch_address()`, `calls_address()` and `break_off_address()` of a module gave that stays
    /// loaded.
    pub unsafe fn at(end_epoch: usize, calls: usize, break_off: usize) -> MpiFunctions {
        // SAFETY: the caller vouches for the addresses; function pointers are as wide as `usize` here.
        unsafe {
            MpiFunctions {
                end_epoch: std::mem::transmute::<usize, extern "C" fn(u64, *const u8, usize)>(end_epoch),
                calls: std::mem::transmute::<usize, extern "C" fn(*mut u8, usize) -> usize>(calls),
                break_off: std::mem::transmute::<usize, BreakOff>(break_off),
            }
        }
    }

    /// Nobody is to wait for a rank of this epoch any longer.
    pub fn end_epoch(&self, over: &EpochOver) {
        (self.end_epoch)(over.epoch, over.reason.as_ptr(), over.reason.len());
    }

    /// Nobody is to use this communicator any more.
    pub fn break_off(&self, broken: &Broken) {
        let Broken { comm, epoch, reason, at_once } = broken;
        (self.break_off)(comm.as_ptr(), comm.len(), *epoch, reason.as_ptr(), reason.len(), *at_once);
    }

    /// The last call on each communicator, as JSON.
    pub fn calls(&self) -> String {
        let mut text = vec![0; CALLS_ROOM];
        loop {
            let length = (self.calls)(text.as_mut_ptr(), text.len());
            // Nothing was written where it did not all fit.
            if length <= text.len() {
                text.truncate(length);
                return String::from_utf8_lossy(&text).into_owned();
            }
            text.resize(2 * length, 0);
        }
    }
}
