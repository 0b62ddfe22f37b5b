//! The command line as clap reads it: raw values, not yet weighed against variables and profile.
//!
//! Doc comments in this file are the text of `--help`.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

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
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Run a controller in this process (what `start` runs)
    #[command(hide = true)]
    Controller(ControllerArguments),
}

/// Options that most commands have.
#[derive(Debug, Clone, Args)]
pub struct CommonArguments {
    /// Name of the cluster [default: default]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,
}

/// `ipclusterz start`
#[derive(Debug, Clone, Args)]
pub struct StartArguments {
    /// How many engines to start [default: engines.count of the profile]
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true)]
    pub engines: Option<u32>,

    /// Profile: a name, or the path of a .toml file
    #[arg(long, value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Python of the engines [default: the one beside this program, else python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,

    /// Listen on TCP as well, encrypted; port 0 for a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Host under which the TCP port can be reached from elsewhere (repeatable)
    #[arg(long, value_name = "HOST")]
    pub advertise: Vec<String>,

    /// Seconds until all engines must have registered
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub timeout: Option<f64>,

    /// Start an engine that dies again, under its id
    #[arg(long)]
    pub restart: bool,

    /// Return when the engines are ready and leave the cluster running
    #[arg(long)]
    pub daemonize: bool,

    /// Stop when the parent process ends, however it ends
    #[arg(long, hide = true, conflicts_with = "daemonize")]
    pub exit_with_parent: bool,

    /// File descriptor on which a detached launcher reports to the one that started it
    #[arg(long, hide = true, value_name = "NUMBER", conflicts_with_all = ["daemonize", "exit_with_parent"])]
    pub report_descriptor: Option<i32>,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz stop`
#[derive(Debug, Args)]
pub struct StopArguments {
    /// Stop every cluster of this user on this host
    #[arg(long, conflicts_with = "cluster")]
    pub all: bool,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz status`
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Seconds to wait for the controller's answer
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 5.0)]
    pub timeout: f64,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz list`
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz logs`
#[derive(Debug, Args)]
pub struct LogsArguments {
    /// Go on printing what is appended, until the cluster stops
    #[arg(short = 'f', long)]
    pub follow: bool,

    /// The log of one engine alone
    #[arg(long, value_name = "N", group = "which")]
    pub engine: Option<u32>,

    /// The controller's log alone
    #[arg(long, group = "which")]
    pub controller: bool,

    /// The detached launcher's log alone
    #[arg(long, group = "which")]
    pub launcher: bool,

    /// How many lines of each
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 20)]
    pub lines: usize,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz wait`
#[derive(Debug, Args)]
pub struct WaitArguments {
    /// How many engines there must be
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    pub engines: u32,

    /// Seconds until giving up
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 60.0)]
    pub timeout: f64,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz completions`
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz controller`; its standard output is one line of JSON, a `Ready` or an error.
#[derive(Debug, Args)]
pub struct ControllerArguments {
    /// Name of the cluster
    #[arg(long)]
    pub cluster: String,

    /// Eight hexadecimal digits that name this run
    #[arg(long)]
    pub run_id: String,

    /// The cluster's folder
    #[arg(long)]
    pub directory: PathBuf,

    /// Do not listen on a unix socket
    #[arg(long)]
    pub no_local: bool,

    /// TCP address
    #[arg(long)]
    pub listen: Option<String>,

    /// Hosts for the connection files
    #[arg(long)]
    pub advertise: Vec<String>,
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
    Arguments::command().after_help(format!("{}\n{}", crate::exit_code::Exit::help(), crate::environment::help()))
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
