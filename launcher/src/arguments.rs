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
    /// Start a cluster, run a program that uses it, stop the cluster; ends with the program's exit code
    Run(RunArguments),
    /// Have more engines in a running cluster, or fewer
    Scale(ScaleArguments),
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

    /// Set a key of the profile, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

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

    /// Print the script of the first job instead of starting anything
    #[arg(long)]
    pub print_script: bool,

    /// Return when the engines are ready and leave the cluster running
    #[arg(long)]
    pub daemonize: bool,

    /// Stop when the parent process ends, however it ends
    #[arg(long, hide = true, conflicts_with = "daemonize")]
    pub exit_with_parent: bool,

    /// File descriptor on which a detached launcher reports to the one that started it
    #[arg(long, hide = true, value_name = "NUMBER", conflicts_with_all = ["daemonize", "exit_with_parent"])]
    pub report_descriptor: Option<i32>,

    /// File that somebody touches as long as the cluster is to live
    #[arg(long, hide = true, value_name = "PATH")]
    pub lease_file: Option<PathBuf>,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz run`
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Options of `start`.
    #[command(flatten)]
    pub start: StartArguments,

    /// The program and its arguments; `Client()` in it finds the cluster
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub program: Vec<std::ffi::OsString>,
}

/// `ipclusterz scale`
#[derive(Debug, Args)]
pub struct ScaleArguments {
    /// How many: +4 more, -2 fewer, or 16 in all
    #[arg(value_name = "+N|-N|N", allow_hyphen_values = true)]
    pub change: String,

    /// Seconds to wait until new engines have registered and others are gone; 0: do not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub timeout: f64,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz gc`
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Only say what there is
    #[arg(long)]
    pub dry_run: bool,

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

/// `ipclusterz tunnel`
#[derive(Debug, Args)]
pub struct TunnelArguments {
    /// The host that the cluster was started on, or one that can reach it
    #[arg(value_name = "USER@HOST")]
    pub host: String,

    /// Name of the cluster there [default: default, or the only one there is]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// Name for it here, for Client(cluster="LOCALNAME")
    #[arg(long = "as", value_name = "LOCALNAME")]
    pub local_name: Option<String>,

    /// Profile whose [ssh] says how to get there: a name, or the path of a .toml file
    #[arg(long, value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// One key of the profile, such as ssh.connect_timeout=60 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// What speaks SSH: libssh2 or openssh [default: ssh.backend of the profile]
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,

    /// Private key to try after those of ~/.ssh/config (repeatable)
    #[arg(short = 'i', long, value_name = "PATH")]
    pub identity: Vec<PathBuf>,

    /// Ask for passwords with JSON lines on stdout, answered by lines on stdin
    #[arg(long, hide = true, requires = "json")]
    pub ask_on_stdio: bool,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,

    /// Stop when the parent process ends, however it ends
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// `ipclusterz profile`
#[derive(Debug, Args)]
pub struct ProfileArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: ProfileCommand,
}

/// The commands about profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List profiles: yours, the site's, and those that come with the program
    List {
        /// Print one versioned JSON value on stdout
        #[arg(long)]
        json: bool,
    },
    /// Print a complete profile as TOML, all layers merged
    Show(ProfileShowArguments),
    /// Write a profile of your own to start from, every key explained
    Init(ProfileInitArguments),
    /// Try each stage of a start without starting anything, and say which one fails
    Check(ProfileCheckArguments),
}

/// `ipclusterz profile show`
#[derive(Debug, Args)]
pub struct ProfileShowArguments {
    /// A name, or the path of a .toml file [default: the one that `start` would use]
    #[arg(value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Say after each value where it came from
    #[arg(long)]
    pub origin: bool,

    /// Set a key, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,
}

/// `ipclusterz profile init`
#[derive(Debug, Args)]
pub struct ProfileInitArguments {
    /// What to call it: letters, digits, '_', '.' and '-'
    pub name: String,

    /// The profile that it is to extend [default: the one of the same name, else default]
    #[arg(long, value_name = "NAME|PATH")]
    pub from: Option<String>,

    /// Replace a profile of that name
    #[arg(long)]
    pub force: bool,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,
}

/// `ipclusterz profile check`
#[derive(Debug, Args)]
pub struct ProfileCheckArguments {
    /// A name, or the path of a .toml file [default: the one that `start` would use]
    #[arg(value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Set a key, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,
}

/// `ipclusterz doctor`
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Profile: a name, or the path of a .toml file
    #[arg(long, value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Set a key of the profile, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,
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

/// `ipclusterz guard`
#[derive(Debug, Args)]
pub struct GuardArguments {
    /// Name of the cluster
    #[arg(long)]
    pub cluster: String,

    /// The run that it guards
    #[arg(long)]
    pub run_id: String,
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

    /// Seconds that balanced tasks wait when there is no engine at all
    #[arg(long)]
    pub no_engine_grace: Option<u64>,

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
