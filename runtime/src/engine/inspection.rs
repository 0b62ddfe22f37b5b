//! What an engine is doing, told by its I/O thread while the main thread is busy: without the interpreter.

use super::process::UserThread;
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
/// A stack that is so young is told again: ranks that time out together ask one after the other.
const YOUNG: Duration = Duration::from_millis(250);

/// How the main thread is asked for its stack: Python's `faulthandler.register(signal, file)` has its handler write it.
#[derive(Debug, Clone)]
pub struct StackFile {
    signal: c_int,
    descriptor: RawFd,
    last: Option<(Instant, String)>,
}

impl StackFile {
    /// The signal, and the file, which stays open; it is written to by the handler, and emptied here.
    pub fn new(signal: c_int, descriptor: RawFd) -> StackFile {
        StackFile { signal, descriptor, last: None }
    }

    /// The stack of `thread`; empty when it does not answer.
    pub fn ask(&mut self, thread: UserThread) -> io::Result<String> {
        if let Some((_, stack)) = self.last.as_ref().filter(|(at, _)| at.elapsed() < YOUNG) {
            return Ok(stack.clone());
        }
        let stack = self.read(thread)?;
        self.last = Some((Instant::now(), stack.clone()));
        Ok(stack)
    }

    fn read(&self, thread: UserThread) -> io::Result<String> {
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
