//! Lines for the user on standard error.

use std::io::Write;

/// Prints one line. A terminal that has gone away is no reason to end a cluster, so errors are ignored.
pub fn print_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
