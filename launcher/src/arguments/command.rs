//! The command line as a whole, and the choice of a command.

use super::clusters::{
    AbortArguments, GcArguments, ListArguments, LogsArguments, ScaleArguments, StatusArguments, StopArguments,
    TunnelArguments, WaitArguments,
};
use super::others::{CompletionsArguments, ControllerArguments, GuardArguments};
use super::profiles::{DoctorArguments, ProfileArguments};
use super::start::{RunArguments, StartArguments};
use clap::{Parser, Subcommand};

/// Interactive parallel Python: start engines, watch them, stop them.
///
/// `ipclusterz -n 4` is short for `ipclusterz start -n 4`.
#[derive(Debug, Parser)]
#[command(
    name = "ipclusterz",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub struct Arguments {
    /// What to do; `start` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options of `start`.
    #[command(flatten)]
    pub start: StartArguments,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a controller and engines on this host
    Start(StartArguments),
    /// Start a cluster, run a program that uses it, stop the cluster; ends with the program's exit code
    Run(RunArguments),
    /// Have more engines in a running cluster, or fewer
    Scale(ScaleArguments),
    /// Give up the calls that wait on a cluster, those of all clients
    Abort(AbortArguments),
    /// Stop a cluster, wherever it was started from
    Stop(StopArguments),
    /// Show a cluster's engines and controller
    Status(StatusArguments),
    /// List clusters, running and stale
    List(ListArguments),
    /// Print the end of a cluster's logs
    Logs(LogsArguments),
    /// Wait until a cluster has so many engines
    Wait(WaitArguments),
    /// Reach a cluster on another host through SSH
    Tunnel(TunnelArguments),
    /// Find what crashed clusters left behind, here, on other hosts and in queues, and remove it
    Gc(GcArguments),
    /// List, show, write and check profiles
    Profile(ProfileArguments),
    /// Check this host, and what a profile needs, for trouble
    Doctor(DoctorArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Wait for the launcher's end, then end what it left elsewhere (what `start` runs)
    #[command(hide = true)]
    Guard(GuardArguments),
    /// Run a controller in this process (what `start` runs)
    #[command(hide = true)]
    Controller(ControllerArguments),
}

impl Arguments {
    /// Whether a JSON value was asked for; known before the arguments are known to be right.
    pub fn json_wanted(raw: impl IntoIterator<Item = std::ffi::OsString>) -> bool {
        raw.into_iter().any(|argument| argument == "--json")
    }
}

/// The parser, with the help's ending.
pub fn parser() -> clap::Command {
    use clap::CommandFactory;
    Arguments::command().after_help(format!(
        "{}\n{}",
        ipclusterz_host::exit_code::Exit::help(),
        ipclusterz_profile::environment::help()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        let words = line.split_whitespace();
        parser().try_get_matches_from(words).and_then(|matches| Arguments::from_arg_matches(&matches))
    }

    #[test]
    fn the_definition_is_consistent() {
        parser().debug_assert();
    }

    #[test]
    fn start_is_the_command_when_none_is_named() {
        let short = parse("ipclusterz -n 4 --cluster a").expect("short form");
        assert!(short.command.is_none());
        assert_eq!(short.start.engines, Some(4));
        let long = parse("ipclusterz start -n 4 --cluster a").expect("long form");
        let Some(Command::Start(start)) = long.command else { panic!("not start") };
        assert_eq!(start.engines, Some(4));
        assert_eq!(start.common.cluster.as_deref(), Some("a"));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert!(parse("ipclusterz logs --engine 1 --controller").is_err());
        assert!(parse("ipclusterz stop --all --cluster a").is_err());
        assert!(parse("ipclusterz start --daemonize --exit-with-parent").is_err());
    }
}
