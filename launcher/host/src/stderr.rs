//! Lines for the user on standard error.

use ipclusterz_base::words::{printable_lines, without_codes};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether `--quiet` was given.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Has [`print_line`] print nothing from now on.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether only problems are printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
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
    let _ = writeln!(std::io::stderr(), "{}", printable_lines(&without_codes(line)));
}
