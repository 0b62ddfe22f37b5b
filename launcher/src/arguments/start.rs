//! Options of the commands that start a cluster.

use super::numbers;
use clap::Args;
use ipclusterz_profile::Options;
use std::path::PathBuf;

/// What kind of cluster to start: options of `start` and `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsArguments {
    /// How many engines to start [default: engines.count of the profile, else as many as the job has tasks that this runs in, or cores]
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::engines)]
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

    /// Python of the engines where neither options nor profile name one
    #[arg(long, hide = true, value_name = "PATH")]
    pub default_python: Option<String>,

    /// Listen on TCP as well, encrypted; port 0 for a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Host under which the TCP port can be reached from elsewhere (repeatable)
    #[arg(long, value_name = "HOST")]
    pub advertise: Vec<String>,

    /// Seconds until all engines must have registered
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = numbers::seconds)]
    pub timeout: Option<f64>,

    /// Be ready with so many engines; the others join as they come
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::engines)]
    pub min: Option<u32>,

    /// Start an engine that dies again, under its id
    #[arg(long)]
    pub restart: bool,

    /// Give up a job at once that cannot start as things are
    #[arg(long)]
    pub strict: bool,

    /// Name of the cluster [default: default]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
}

/// How a cluster is started: the options of `start`, also without that word.
#[derive(Debug, Clone, Default, Args)]
pub struct StartArguments {
    /// What kind of cluster.
    #[command(flatten)]
    pub settings: SettingsArguments,

    /// Print the script of the first job instead of starting anything
    #[arg(long)]
    pub print_script: bool,

    /// Take up the journal that an earlier cluster of that name has left: its tasks, sessions and results
    #[arg(long, conflicts_with = "discard")]
    pub resume: bool,

    /// With --resume: cut a damaged journal at the damage, and keep a copy
    #[arg(long, requires = "resume")]
    pub salvage: bool,

    /// Drop the journal that an earlier cluster of that name has left
    #[arg(long)]
    pub discard: bool,

    /// Return when the engines are ready and leave the cluster running
    #[arg(long)]
    pub daemonize: bool,

    /// The same, but return when the queue has the jobs, or the processes run: `ipclusterz wait` waits for the engines
    #[arg(long)]
    pub no_wait: bool,

    /// Stop when the parent process ends, however it ends
    #[arg(long, hide = true, conflicts_with_all = ["daemonize", "no_wait"])]
    pub exit_with_parent: bool,

    /// File descriptor on which a detached launcher reports to the one that started it
    #[arg(long, hide = true, value_name = "NUMBER", conflicts_with_all = ["daemonize", "exit_with_parent"])]
    pub report_descriptor: Option<i32>,

    /// Take settings as JSON on stdin, and report as JSON lines on stdout, where questions are asked too
    #[arg(long, hide = true, conflicts_with_all = ["daemonize", "no_wait", "report_descriptor", "json", "print_script"])]
    pub talk_on_stdio: bool,

    /// File that somebody touches as long as the cluster is to live
    #[arg(long, hide = true, value_name = "PATH")]
    pub lease_file: Option<PathBuf>,
}

/// What is to be done with the journal that an earlier cluster has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalChoice {
    /// There is to be none.
    None,
    /// It is taken up.
    Resume,
    /// The same, without what is damaged.
    Salvage,
    /// It is dropped.
    Discard,
}

impl JournalChoice {
    /// The options that say so.
    pub fn options(self) -> &'static str {
        match self {
            JournalChoice::None => "",
            JournalChoice::Resume => "--resume",
            JournalChoice::Salvage => "--resume --salvage",
            JournalChoice::Discard => "--discard",
        }
    }

    /// Whether a journal is taken up.
    pub fn takes_up(self) -> bool {
        matches!(self, JournalChoice::Resume | JournalChoice::Salvage)
    }
}

impl StartArguments {
    /// What is to be done with a journal.
    pub fn journal(&self) -> JournalChoice {
        match (self.resume, self.salvage, self.discard) {
            (true, true, _) => JournalChoice::Salvage,
            (true, false, _) => JournalChoice::Resume,
            (false, _, true) => JournalChoice::Discard,
            (false, ..) => JournalChoice::None,
        }
    }
}

/// `ipclusterz start`
#[derive(Debug, Clone, Args)]
pub struct StartCommand {
    /// Name of the cluster [default: default]
    #[arg(value_name = "NAME")]
    pub cluster_name: Option<String>,

    /// The options.
    #[command(flatten)]
    pub start: StartArguments,
}

impl SettingsArguments {
    /// Those that bear on the profile.
    pub fn options(&self) -> Options {
        let mut keys = Vec::new();
        let mut add = |option, key, value: Option<toml::Value>| keys.extend(value.map(|value| (option, key, value)));
        add("--engines", "engines.count", self.engines.map(|count| i64::from(count).into()));
        add("--python", "engines.python", self.python.as_deref().map(Into::into));
        add("--timeout", "engines.timeout", self.timeout.map(Into::into));
        add("--min", "engines.min", self.min.map(|count| i64::from(count).into()));
        add("--restart", "engines.restart", self.restart.then_some(true.into()));
        add("--strict", "batch.strict", self.strict.then_some(true.into()));
        add("--listen", "controller.listen", self.listen.as_deref().map(Into::into));
        let hosts = self.advertise.iter().flat_map(|hosts| hosts.split(','));
        add(
            "--advertise",
            "controller.advertise",
            (!self.advertise.is_empty()).then(|| ipclusterz_profile::list(hosts)),
        );
        Options { profile: self.profile.clone(), set: self.set.clone(), keys }
    }
}

/// `ipclusterz run`
#[derive(Debug, Args)]
pub struct RunArguments {
    /// What kind of cluster.
    #[command(flatten)]
    pub settings: SettingsArguments,

    /// The program and its arguments; `Client()` in it finds the cluster
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub program: Vec<std::ffi::OsString>,
}
