//! Options of `completions`, and of the hidden commands that a launcher runs.

use super::common::CommonArguments;
use super::numbers;
use clap::Args;
use ipclusterz_runtime::controller::JournalMode;
use ipclusterz_runtime::controller::scheme::Scheme;
use std::ffi::OsString;
use std::path::PathBuf;

/// `ipclusterz completions`
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `ipclusterz man`
#[derive(Debug, Args)]
pub struct ManArguments {
    /// The command that the page is about, such as start or profile check [default: ipclusterz itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `ipclusterz engine`
#[derive(Debug, Args)]
pub struct EngineArguments {
    /// Connection file for engines: engine.json of the cluster's folder, or a copy [default: that of the cluster]
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,

    /// How many engines
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, default_value_t = 1, value_parser = numbers::some_engines)]
    pub engines: u32,

    /// Python of the engines [default: the one beside this program, else python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,

    /// Which cluster.
    #[command(flatten)]
    pub common: CommonArguments,

    /// Further options of the engines, behind --: `python -m ipclusterz.engine --help` lists them
    #[arg(last = true, value_name = "OPTION")]
    pub options: Vec<OsString>,
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

/// `ipclusterz agent`; its standard output is one line of JSON, a `Ready` or an error. It ends when standard input does.
#[derive(Debug, Args)]
pub struct AgentArguments {
    /// The engines' connection file
    #[arg(long)]
    pub connection_file: PathBuf,

    /// Seconds that the first connection to the controller may take
    #[arg(long)]
    pub timeout: f64,

    /// Leave what has started this process, and log to this file
    #[arg(long)]
    pub log: Option<PathBuf>,
}

/// `ipclusterz stage`
#[derive(Debug, Args)]
pub struct StageArguments {
    /// The environment that the command uses
    #[arg(long, requires = "command")]
    pub hold: Option<PathBuf>,

    /// The order for the hosts of jobs; the command runs when the environment is here
    #[arg(long, requires = "command", conflicts_with = "hold")]
    pub in_job: Option<PathBuf>,

    /// Give an environment to the hosts of jobs, by this order
    #[arg(long, requires_all = ["entry", "hash"], conflicts_with_all = ["hold", "in_job"])]
    pub give: Option<PathBuf>,

    /// The environment to give
    #[arg(long)]
    pub entry: Option<PathBuf>,

    /// The hash of its archive
    #[arg(long)]
    pub hash: Option<String>,

    /// The command
    #[arg(last = true)]
    pub command: Vec<OsString>,
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

    /// Bytes that its log and each engine's may have
    #[arg(long)]
    pub log_size: Option<u64>,

    /// Earlier parts of them that stay
    #[arg(long)]
    pub log_files: Option<u32>,

    /// Write down what it accepts: on, off or best-effort
    #[arg(long, default_value = "on")]
    pub journal: JournalMode,

    /// The process that has started it starts it again when it dies
    #[arg(long)]
    pub restart: bool,

    /// Seconds that the session of a client outlives its connections
    #[arg(long)]
    pub session_grace: Option<f64>,

    /// Seconds that an engine is waited for whose connection broke
    #[arg(long)]
    pub engine_grace: Option<f64>,

    /// Seconds that load-balanced tasks wait while there is no engine and some are to come
    #[arg(long)]
    pub wait_for_engines: Option<f64>,

    /// How many engines a task may take along before it is given to no other
    #[arg(long)]
    pub crash_limit: Option<u32>,

    /// Which engine is given the next load-balanced task
    #[arg(long)]
    pub scheme: Option<Scheme>,

    /// How many of these may wait at an engine behind the one that runs
    #[arg(long)]
    pub prefetch: Option<u32>,

    /// Seconds that a task has to end which was interrupted at its time limit, before its engine is ended
    #[arg(long)]
    pub kill_grace: Option<f64>,

    /// Seconds for which results of sessions with names are kept
    #[arg(long)]
    pub keep_results: Option<f64>,

    /// Bytes of them that are kept
    #[arg(long)]
    pub keep_results_bytes: Option<u64>,

    /// Seconds for which what has happened is kept
    #[arg(long)]
    pub keep_events: Option<f64>,

    /// Bytes of that which are kept
    #[arg(long)]
    pub keep_events_bytes: Option<u64>,

    /// Large payloads on TCP are not encrypted
    #[arg(long)]
    pub plain: bool,

    /// Large payloads are encrypted also where SSH encrypts them
    #[arg(long, conflicts_with = "plain")]
    pub encrypt_tunnels: bool,

    /// Large payloads on TCP are compressed where that saves time
    #[arg(long)]
    pub compress: bool,

    /// Take up the journal of a cluster that has ended, whose engines are gone
    #[arg(long)]
    pub resume: bool,

    /// Hosts for the connection files
    #[arg(long)]
    pub advertise: Vec<String>,
}
