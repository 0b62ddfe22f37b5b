//! What commands return: plain data, printed by [`crate::output::Output`].

pub mod finding;
pub mod progress;
pub mod tasks;
pub mod versions;

mod profile;
mod text;

pub(crate) use self::text::log_line;

pub use self::profile::{CheckReport, InitReport, ListedProfile, ProfileListReport, ShowReport};

use crate::journals::KeptJournal;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::words::without_codes;
use ipclusterz_runtime::wire::message::{EngineInfo, Status};
use progress::Progress;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A cluster that has become ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartReport {
    /// Its name.
    pub cluster: String,
    /// Identifies this run of the cluster.
    pub run_id: String,
    /// Where launcher, controller and engines run.
    pub host: String,
    /// The launcher's process.
    pub launcher_pid: u32,
    /// The controller's process.
    pub controller_pid: u32,
    /// Where the controller can be reached.
    pub addresses: Vec<String>,
    /// What a client needs.
    pub client_file: PathBuf,
    /// What an engine needs.
    pub engine_file: PathBuf,
    /// Where the logs are.
    pub log_directory: PathBuf,
    /// Its engines.
    pub engines: Vec<EngineInfo>,
    /// Seconds that engines have at their end.
    #[serde(default)]
    pub end_timeout: f64,
    /// Seconds from the command to the last engine.
    pub seconds: f64,
}

impl StartReport {
    /// `1 engine` or `4 engines`.
    pub fn count(&self) -> String {
        let count = self.engines.len();
        format!("{count} engine{}", if count == 1 { "" } else { "s" })
    }
}

/// A cluster whose engines nobody waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AcceptedReport {
    /// Its name.
    pub cluster: String,
    /// Identifies this run of the cluster.
    pub run_id: String,
    /// Where launcher and controller run.
    pub host: String,
    /// The launcher's process.
    pub launcher_pid: u32,
    /// How many engines are to come.
    pub engines_wanted: u32,
    /// What was started, in words: `Slurm job 4711`.
    pub started: Vec<String>,
    /// What a client needs.
    pub client_file: PathBuf,
    /// Where the logs are.
    pub log_directory: PathBuf,
}

/// Result of `start --print-script`.
#[derive(Debug, Clone, Serialize)]
pub struct ScriptReport {
    /// The script that the queue would run.
    pub script: String,
    /// The description of the job, if the queue takes one rather than directives in the script.
    pub description: Option<String>,
}

/// One cluster that `stop` dealt with.
#[derive(Debug, Clone, Serialize)]
pub struct Stopped {
    /// Its name.
    pub cluster: String,
    /// What it was: `starting`, `running`, `stopping`, `stale`, `elsewhere`, `gone` or `ended`.
    pub was: &'static str,
    /// Whether its launcher had to be killed.
    pub forced: bool,
    /// Pids of processes that had outlived their launcher and were killed.
    pub killed: Vec<u32>,
    /// Jobs that had outlived it and were cancelled, and processes of other hosts.
    pub ended: Vec<String>,
    /// Processes of its host, which is gone, so that they cannot be looked at.
    pub not_looked_at: Vec<String>,
    /// What its launcher had to kill, because its end took too long, for a person.
    pub unfinished: Vec<String>,
    /// Its journal, if that stays.
    pub journal: Option<KeptJournal>,
    /// Its journal was dropped.
    pub discarded: bool,
    /// How long it took.
    pub seconds: f64,
}

/// Result of `stop`.
#[derive(Debug, Clone, Serialize)]
pub struct StopReport {
    /// In order of names.
    pub stopped: Vec<Stopped>,
}

/// Result of `status`.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// Name of the cluster.
    pub cluster: String,
    /// `starting`, `running`, `stopping`, `stale`, `elsewhere`, `gone` or `tunnel`.
    pub state: &'static str,
    /// Host of the launcher and the controller, or of the tunnel's end here.
    pub host: String,
    /// The launcher's process on that host, or the tunnel's.
    pub launcher_pid: u32,
    /// How many engines were asked for; not known of a cluster behind a tunnel.
    pub engines_wanted: Option<u32>,
    /// Where the controller can be reached.
    pub addresses: Vec<String>,
    /// Where the logs are; a tunnel has none.
    pub log_directory: Option<PathBuf>,
    /// Why the launcher does not go on, for a person; absent if it does, or is elsewhere.
    pub launcher_halt: Option<String>,
    /// How far the sets of engines are, as the launcher reports it; absent if it cannot be asked.
    pub progress: Option<Progress>,
    /// The controller's answer; absent while the cluster is starting.
    pub controller: Option<Status>,
    /// Where a tunnel leads.
    pub tunnel: Option<LeadsTo>,
}

/// The far end of a tunnel.
#[derive(Debug, Clone, Serialize)]
pub struct LeadsTo {
    /// The host as it was given.
    pub host: String,
    /// Name of the cluster there, once that is found.
    pub cluster: Option<String>,
}

/// A tunnel in `list`.
#[derive(Debug, Clone, Serialize)]
pub struct ListedTunnel {
    /// The name that `--as` gave it.
    pub name: Option<String>,
    /// `connecting`, `open`, `stale`, `elsewhere`, `damaged` or `other version`.
    pub state: &'static str,
    /// Where it leads; `None` if its record cannot be read.
    pub to: Option<LeadsTo>,
    /// Host of the process that keeps it.
    pub host: String,
    /// That process.
    pub pid: Option<u32>,
    /// Seconds since 1970.
    pub started: Option<u64>,
    /// Its connection file.
    pub file: PathBuf,
}

/// One line of `list`.
#[derive(Debug, Clone, Serialize)]
pub struct ListedCluster {
    /// Its name.
    pub cluster: String,
    /// `starting`, `running`, `stopping`, `stale`, `elsewhere`, `gone` (its host), `damaged` or `other version`.
    pub state: &'static str,
    /// Host of its launcher; empty when its record cannot be read.
    pub host: String,
    /// The launcher's process on that host.
    pub launcher_pid: Option<u32>,
    /// How many engines were asked for.
    pub engines_wanted: Option<u32>,
    /// Seconds since 1970.
    pub started: Option<u64>,
    /// Its folder.
    pub folder: PathBuf,
    /// Jobs and processes that may be left, where its launcher is gone.
    pub left: Vec<String>,
}

/// Result of `list`.
#[derive(Debug, Clone, Serialize)]
pub struct ListReport {
    /// In order of names.
    pub clusters: Vec<ListedCluster>,
    /// In order of names, then those without one.
    pub tunnels: Vec<ListedTunnel>,
}

/// The end of one log.
#[derive(Debug, Clone, Serialize)]
pub struct LogTail {
    /// The file's name without `.log`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its last lines.
    pub lines: Vec<String>,
}

/// Result of `logs`.
#[derive(Debug, Clone, Serialize)]
pub struct LogsReport {
    /// Name of the cluster.
    pub cluster: String,
    /// In reading order.
    pub logs: Vec<LogTail>,
}

/// Result of `wait`.
#[derive(Debug, Clone, Serialize)]
pub struct WaitReport {
    /// Name of the cluster.
    pub cluster: String,
    /// The engines that are registered.
    pub engines: Vec<EngineInfo>,
    /// How long it took.
    pub seconds: f64,
}

/// Result of `abort`.
#[derive(Debug, Clone, Serialize)]
pub struct AbortReport {
    /// Name of the cluster.
    pub cluster: String,
    /// How many calls waited for an engine, or behind another call on one.
    pub before: u64,
    /// How many wait now.
    pub waiting: u64,
    /// The engines that run a call.
    pub busy: Vec<EngineId>,
    /// Whether what runs was interrupted.
    pub interrupted: bool,
}

/// Result of `scale`.
#[derive(Debug, Clone, Serialize)]
pub struct ScaleReport {
    /// Name of the cluster.
    pub cluster: String,
    /// How many engines were wanted before.
    pub before: u32,
    /// How many engines are wanted now.
    pub wanted: u32,
    /// How many engines there are; `None` if that was not waited for.
    pub engines: Option<usize>,
    /// What becomes of the nodes that engines leave, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Result of `restart`.
#[derive(Debug, Clone, Serialize)]
pub struct RestartReport {
    /// Name of the cluster.
    pub cluster: String,
    /// The engines that were restarted.
    pub engines: Vec<EngineId>,
    /// Whether they are there again; `false` if that was not waited for.
    pub there: bool,
    /// How long it took.
    pub seconds: f64,
}

/// Result of `timeline`.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineReport {
    /// Name of the cluster.
    pub cluster: String,
    /// The file that was written.
    pub file: PathBuf,
    /// How many events it is made of.
    pub events: u64,
}

/// What one crashed cluster, tunnel or connection left.
#[derive(Debug, Clone, Serialize)]
pub struct Remains {
    /// Name of the cluster, or the name of a tunnel on this host.
    pub cluster: Option<String>,
    /// What it was, for a person: `cluster "lab"`.
    pub what: String,
    /// Processes and jobs that were ended, or would be.
    pub ended: Vec<String>,
    /// Processes of a host that is gone, which cannot be looked at.
    pub not_looked_at: Vec<String>,
    /// Why something is still there.
    pub problem: Option<String>,
}

impl Remains {
    /// The remains of a cluster: the processes and jobs that were ended or would be, or why that failed.
    pub fn of_cluster(cluster: &str, outcome: Result<Vec<String>, String>) -> Self {
        Self::new(Some(cluster), format!("cluster {cluster:?}"), outcome)
    }

    /// The remains of anything.
    pub fn new(cluster: Option<&str>, what: String, outcome: Result<Vec<String>, String>) -> Self {
        let (ended, problem) = match outcome {
            Ok(ended) => (ended, None),
            Err(problem) => (Vec::new(), Some(without_codes(&problem))),
        };
        Self { cluster: cluster.map(str::to_owned), what, ended, not_looked_at: Vec::new(), problem }
    }
}

/// Result of `gc`.
#[derive(Debug, Clone, Serialize)]
pub struct GcReport {
    /// Whether nothing was removed, only listed.
    pub dry_run: bool,
    /// In order of names.
    pub found: Vec<Remains>,
    /// Journals that stay.
    pub journals: Vec<KeptJournal>,
    /// Names of clusters whose journals were dropped, or would be.
    pub discarded: Vec<String>,
    /// Names of ended clusters whose logs were removed, or would be.
    pub logs: Vec<String>,
}

/// A tunnel that is open.
#[derive(Debug, Clone, Serialize)]
pub struct TunnelReport {
    /// What a client needs.
    pub file: PathBuf,
    /// Where the tunnel listens.
    pub address: String,
    /// Name of the cluster there.
    pub cluster: String,
    /// Identifies this run of the cluster.
    pub run_id: String,
    /// The host as it was given.
    pub host: String,
}

/// Result of `man`.
#[derive(Debug, Clone, Serialize)]
pub struct ManReport {
    /// The page's name, such as `ipclusterz-start`.
    pub name: String,
    /// The page, for `man -l -`.
    pub page: String,
}

/// Result of `completions`.
#[derive(Debug, Clone, Serialize)]
pub struct CompletionsReport {
    /// The shell's name.
    pub shell: String,
    /// The script to source.
    pub script: String,
}
