//! What `cluster.json` keeps of each set: enough to end it when its launcher is gone.
//!
//! Plain data. The code that ends what a record names is in the layers above the launchers.

use crate::set::EngineSet;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_profile::tables::ssh::SshTable;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A set that was started, as `cluster.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRecord {
    /// The set.
    #[serde(flatten)]
    pub set: EngineSet,
    /// Its processes or its job.
    pub job: JobRecord,
}

/// What is needed to end a set when its launcher is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRecord {
    /// A process of this host, leader of its own group.
    Process(ProcessIdentity),
    /// Processes on another host, reached by SSH.
    Remote {
        /// The host as the profile names it.
        host: String,
        /// The name of the run's folder on that host.
        run: String,
        /// Id of that host's boot; the pids are valid for this boot alone.
        boot_id: String,
        /// Leaders of process groups on that host.
        processes: Vec<ProcessIdentity>,
        /// How to connect to it.
        ssh: Box<SshTable>,
    },
    /// A job of a queue.
    Batch(BatchRecord),
    /// A whole cluster on another host.
    Cluster(ClusterElsewhere),
}

impl JobRecord {
    /// Whether it is a process of the launcher's host.
    pub fn is_here(&self) -> bool {
        matches!(self, JobRecord::Process(_))
    }
}

impl fmt::Display for JobRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobRecord::Process(process) => write!(formatter, "process {}", process.pid),
            JobRecord::Remote { host, processes, .. } => {
                let pids: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
                write!(formatter, "process {} on {host}", pids.join(", "))
            }
            JobRecord::Cluster(there) => write!(formatter, "cluster {} on {}", there.cluster, there.host),
            JobRecord::Batch(record) => write!(formatter, "{} job {}", record.queue, record.job_id),
        }
    }
}

/// A job, with the part of the queue's table that is needed to end it: the profile may have changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// The queue's name, for messages.
    pub queue: String,
    /// The job's id.
    pub job_id: String,
    /// The command that cancels it.
    pub cancel: Vec<String>,
    /// The command that cancels it with more force.
    pub kill: Vec<String>,
    /// The command that shows its state.
    pub status: Vec<String>,
    /// `queue.status_line`.
    pub status_line: String,
    /// `queue.unknown`.
    pub unknown: String,
    /// The states in which it has not ended.
    pub alive: Vec<String>,
}

/// A whole cluster on another host: what is needed to watch and to end it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterElsewhere {
    /// The host as the profile names it.
    pub host: String,
    /// The cluster's name on that host, the same as here.
    pub cluster: String,
    /// The name of the folder on that host.
    pub folder: String,
    /// The run of the cluster, once it is ready.
    pub run_id: Option<String>,
    /// The path of `ipclusterz` on that host, once it is found.
    pub program: Option<String>,
    /// How to connect to it.
    pub ssh: Box<SshTable>,
}
