//! Simulated engines and clients, many of them in one process, against a real controller over the real wire.
//!
//! They are what a controller sees of a large cluster, without Python: their engines answer at once, and their clients know
//! the right answer to each task. So they tell whether tasks were lost, answered twice or run twice, whoever was killed
//! meanwhile. `overload.py` beside this crate starts all of it.
//!
//! 1. [`arguments`]: the command line.
//! 2. [`numbers`]: keys of tasks, their right answers, and random numbers.
//! 3. [`pool`]: many sessions in one thread.
//! 4. [`executions`]: the file that says which task was executed; [`engine`]: a simulated engine; [`engines`]: all of them.
//! 5. [`ledger`]: what was submitted and what was answered; [`client`]: a simulated client; [`clients`]: all of them.
//! 6. [`bulk`]: one link of bulk connections alone.
//! 7. [`descriptors`]: as many open files as the kernel allows.

mod arguments;
mod bulk;
mod client;
mod clients;
mod descriptors;
mod engine;
mod engines;
mod executions;
mod ledger;
mod numbers;
mod pool;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;
use std::rc::Rc;

/// Something else was answered than was to be. A bad command line ends with 2, which is clap's.
const EXIT_WRONG: u8 = 1;
/// What was asked for could not be done.
const EXIT_FAILED: u8 = 3;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Engines(options) => engines::run(&options),
        Command::Clients(options) => clients::run(&Rc::new(options)),
        Command::Bulk(options) => bulk::run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_WRONG),
        Err(error) => {
            eprintln!("error: {}", printable(&error.to_string()));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Parts of an error may come from a controller: what a terminal would obey is escaped.
fn printable(text: &str) -> String {
    let escape = |char: char| match char {
        '\n' => char.to_string(),
        char if char.is_control() => char.escape_default().to_string(),
        char => char.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(super::printable("a\u{1b}[31m \"ü\"\nhint: b"), "a\\u{1b}[31m \"ü\"\nhint: b");
    }
}
