//! The exit codes of `ipclusterz`: part of its interface, listed by `ipclusterz --help`.

use std::process::ExitCode;

/// Why the program ended, as a shell script sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well; also for a cluster that was stopped by `ipclusterz stop` or by a client.
    Ok = 0,
    /// Anything that has no code of its own.
    Failure = 1,
    /// A bad option, value or profile, or more engines than this host allows: nothing was started or changed.
    Usage = 2,
    /// There is no such cluster, or what is left of it is stale.
    NoCluster = 3,
    /// A cluster of that name is running already.
    AlreadyRunning = 4,
    /// The controller or an engine did not start.
    StartFailed = 5,
    /// A deadline passed.
    Timeout = 6,
    /// The cluster's controller does not answer.
    Unreachable = 7,
    /// An earlier cluster of that name has left a journal with work in it.
    JournalLeft = 8,
    /// Ended by Ctrl-C, or by SIGTERM before the cluster was ready.
    Interrupted = 130,
}

impl Exit {
    /// Every code with its meaning, in the order of `--help`.
    pub const TABLE: [(Exit, &'static str); 10] = [
        (Exit::Ok, "success; also a cluster that was stopped by `ipclusterz stop` or by a client"),
        (Exit::Failure, "any failure without a code of its own"),
        (Exit::Usage, "bad option, value or profile, or more engines than this host allows; nothing was started"),
        (Exit::NoCluster, "no cluster of that name, or only stale remains of one"),
        (Exit::AlreadyRunning, "a cluster of that name is running already"),
        (Exit::StartFailed, "the controller or an engine did not start"),
        (Exit::Timeout, "a deadline passed"),
        (Exit::Unreachable, "the cluster's controller does not answer"),
        (Exit::JournalLeft, "an earlier cluster of that name has left a journal with work in it"),
        (Exit::Interrupted, "Ctrl-C, or a signal before the cluster was ready"),
    ];

    /// The exit code as a number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit code that another `ipclusterz` process reported as a number; [`Exit::Failure`] if the number is
    /// unknown.
    pub fn from_code(code: u8) -> Exit {
        Exit::TABLE.iter().map(|(exit, _)| *exit).find(|exit| exit.code() == code).unwrap_or(Exit::Failure)
    }

    /// Text for the end of `--help`.
    pub fn help() -> String {
        let mut text = String::from("Exit codes:\n");
        for (exit, meaning) in Exit::TABLE {
            text.push_str(&format!("  {:>3}  {meaning}\n", exit.code()));
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_a_promise() {
        let codes: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }

    #[test]
    fn help_lists_each_code() {
        let help = Exit::help();
        for (exit, meaning) in Exit::TABLE {
            assert!(help.contains(&format!("{:>3}  {meaning}", exit.code())), "{exit:?} is missing");
        }
    }

    #[test]
    fn numbers_from_another_process_come_back() {
        assert_eq!(Exit::from_code(130), Exit::Interrupted);
        assert_eq!(Exit::from_code(99), Exit::Failure);
    }
}
