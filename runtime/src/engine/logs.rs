//! The log of an engine: what goes to its standard output and error, and how large that may become.
//!
//! What Python code writes there comes through here, and is cut at once; so does what libraries and child processes write, unless
//! they write to the file itself. Then it is cut by the I/O thread, which looks from time to time. Files that user code
//! opens in place of the first are left alone.

use ipclusterz_base::logs::{Lines, LogLimit, OwnLog};
use std::os::fd::RawFd;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long a thread of user code waits for a pipe or a terminal that nobody reads.
const PATIENCE: Duration = Duration::from_secs(1);

/// Standard output and error of this process, as they were at its start.
#[derive(Debug)]
pub(super) struct Logs {
    lines: [Mutex<Lines>; 2],
    files: Vec<OwnLog>,
    limit: OnceLock<LogLimit>,
}

impl Logs {
    /// To be made before user code runs.
    pub fn new() -> Self {
        let descriptors = [libc::STDOUT_FILENO, libc::STDERR_FILENO];
        let mut files: Vec<OwnLog> = descriptors.into_iter().filter_map(OwnLog::of).collect();
        files.dedup();
        let lines = descriptors.map(|descriptor| Mutex::new(Lines::with_patience(descriptor, PATIENCE)));
        Logs { lines, files, limit: OnceLock::new() }
    }

    /// The controller says how large they may become. What it says later changes nothing.
    pub fn set_limit(&self, limit: LogLimit) {
        if self.limit.set(limit).is_ok() {
            for lines in &self.lines {
                lines.lock().unwrap_or_else(PoisonError::into_inner).set_limit(limit);
            }
        }
    }

    /// Writes text to standard output or error. What cannot be written is counted, and said in the log later.
    pub fn write(&self, to_errors: bool, text: impl AsRef<[u8]>) {
        let [output, errors] = &self.lines;
        let lines = if to_errors { errors } else { output };
        lines.lock().unwrap_or_else(PoisonError::into_inner).write(text);
    }

    /// The same files have these descriptors from here on.
    pub fn set_descriptors(&self, descriptors: [RawFd; 2]) {
        for (lines, descriptor) in self.lines.iter().zip(descriptors) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).set_descriptor(descriptor);
        }
    }

    /// Cuts what is too long; true if anything was. What cannot be cut is tried again at the next look.
    pub fn keep_within(&self) -> bool {
        let Some(limit) = self.limit.get() else { return false };
        self.files.iter().filter(|file| file.keep_within(*limit).unwrap_or(false)).count() > 0
    }
}
