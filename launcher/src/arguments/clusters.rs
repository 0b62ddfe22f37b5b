//! Options of the commands about clusters that were started, here or elsewhere.

use super::common::CommonArguments;
use super::numbers;
use clap::Args;
use std::path::PathBuf;

/// `ipclusterz scale`
#[derive(Debug, Args)]
pub struct ScaleArguments {
    /// How many: +4 more, -2 fewer, or 16 in all
    #[arg(value_name = "+N|-N|N", allow_hyphen_values = true)]
    pub change: String,

    /// Of this group of the profile's (batch.groups) alone
    #[arg(long, value_name = "GROUP")]
    pub set: Option<String>,

    /// Seconds to wait until new engines have registered and others are gone; 0: do not wait
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 60.0, value_parser = numbers::seconds)]
    pub timeout: f64,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz restart`
#[derive(Debug, Args)]
pub struct RestartArguments {
    /// This engine (repeatable) [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::engine_id)]
    pub engine: Vec<u32>,

    /// Seconds to wait until they are there again; 0: do not wait
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 60.0, value_parser = numbers::seconds)]
    pub timeout: f64,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz events`
#[derive(Debug, Args)]
pub struct EventsArguments {
    /// From then on: 30m, 2h or 3d ago, or a time such as 2026-11-29T14:00 [default: as long ago as is kept; with --follow: now]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Go on with what happens, until the cluster ends
    #[arg(long, short)]
    pub follow: bool,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz timeline`
#[derive(Debug, Args)]
pub struct TimelineArguments {
    /// The file to write
    #[arg(default_value = "timeline.json")]
    pub file: PathBuf,

    /// From then on: 30m, 2h or 3d ago, or a time such as 2026-11-29T14:00 [default: as long ago as is kept]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz gc`
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Only say what there is
    #[arg(long)]
    pub dry_run: bool,

    /// Also drop the journals that clusters have left, with their tasks and results
    #[arg(long)]
    pub discard: bool,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz stop`
#[derive(Debug, Args)]
pub struct StopArguments {
    /// Stop every cluster of this user on this host
    #[arg(long)]
    pub all: bool,

    /// Drop its journal, with tasks that are to be done and results that nobody has fetched
    #[arg(long)]
    pub discard: bool,

    /// Of a cluster that another host has started and that is gone with it: cancel its jobs from here
    #[arg(long)]
    pub force: bool,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz abort`
#[derive(Debug, Args)]
pub struct AbortArguments {
    /// Also raise KeyboardInterrupt in the calls that engines run
    #[arg(long)]
    pub interrupt: bool,

    /// Seconds to wait until engines have given up what they had waiting
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 10.0, value_parser = numbers::seconds)]
    pub timeout: f64,

    /// Options of most commands.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz status`
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Seconds to wait for the controller's answer
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 5.0, value_parser = numbers::seconds)]
    pub timeout: f64,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz list`
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Which cluster.
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
    #[arg(long, value_name = "N", group = "which", allow_negative_numbers = true, value_parser = numbers::engine_id)]
    pub engine: Option<u32>,

    /// The controller's log alone
    #[arg(long, group = "which")]
    pub controller: bool,

    /// The detached launcher's log alone
    #[arg(long, group = "which")]
    pub launcher: bool,

    /// How many lines of each
    #[arg(short = 'n', long, value_name = "LINES", allow_negative_numbers = true, default_value_t = 20, value_parser = numbers::lines)]
    pub lines: u32,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `ipclusterz wait`
#[derive(Debug, Args)]
pub struct WaitArguments {
    /// How many engines there must be
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, default_value_t = 1, value_parser = numbers::engines)]
    pub engines: u32,

    /// Seconds until giving up
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 60.0, value_parser = numbers::seconds)]
    pub timeout: f64,

    /// Which cluster.
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

    /// Stop when the parent process ends, however it ends
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}
