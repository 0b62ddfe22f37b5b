//! Lines for the user on standard error.
//!
//! A process that runs a cluster writes them through a thread of their own: nothing that becomes of a terminal, a pipe
//! or a disk makes it wait or ends it.

use ipclusterz_base::logs::{Log, LogLimit, Weight};
use ipclusterz_base::words::{printable_lines, without_codes};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether `--quiet` was given.
static QUIET: AtomicBool = AtomicBool::new(false);
/// Where a process that runs a cluster writes.
static LOG: OnceLock<Log> = OnceLock::new();
/// How long the end of the process waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Has [`print_line`] print nothing from now on.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether only problems are printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// From now on, printing never waits. With a limit, standard error is a log that is to be kept within it.
pub fn never_wait(limit: Option<LogLimit>) -> io::Result<()> {
    if LOG.get().is_none() {
        let log = Log::start(libc::STDERR_FILENO)?;
        if let Some(limit) = limit {
            log.set_limit(limit);
        }
        // Two starts in one process: the first one's thread does it.
        let _ = LOG.set(log);
    }
    Ok(())
}

/// Waits a moment for the lines that are not written yet.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(LAST_LINES);
    }
}

/// Prints one line about what goes on, unless the user wants quiet.
pub fn print_line(line: &str) {
    if !is_quiet() {
        print_problem(line);
    }
}

/// Prints one line about something that went wrong. No terminal obeys what is in it, wherever that came from. A terminal that has gone away is no reason to end a cluster, so
/// errors are ignored.
pub fn print_problem(line: &str) {
    let line = format!("{}\n", printable_lines(&without_codes(line)));
    match LOG.get() {
        Some(log) => log.line(line, Weight::Notice),
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}
