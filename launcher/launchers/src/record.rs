//! What `cluster.json` keeps of each set: enough to end it when its launcher is gone.
//!
//! Plain data. Who can end what it names stands above all launchers.

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

/// What ends a set when its launcher is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRecord {
    /// A process of this host, leader of its own group.
    Process(ProcessIdentity),
    /// Processes on another host.
    Remote {
        /// The host as the profile names it.
        host: String,
        /// Names the folder of the run there.
        run: String,
        /// Boot of that host on which the pids mean something.
        boot_id: String,
        /// Leaders of process groups there.
        processes: Vec<ProcessIdentity>,
        /// How to get there.
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

/// A job, and what of the queue's table it takes to end it: the profile may have changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// The queue's name, for messages.
    pub queue: String,
    /// The job's id.
    pub job_id: String,
    /// The command that cancels it.
    pub cancel: Vec<String>,
    /// The same with more force.
    pub kill: Vec<String>,
    /// The command that tells of it.
    pub status: Vec<String>,
    /// `queue.status_line`.
    pub status_line: String,
    /// `queue.unknown`.
    pub unknown: String,
    /// States in which it is not over.
    pub alive: Vec<String>,
}

/// A whole cluster on another host, as far as it is needed to look after it and to end it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterElsewhere {
    /// The host as the profile names it.
    pub host: String,
    /// The cluster's name there, the same as here.
    pub cluster: String,
    /// Names the folder there.
    pub folder: String,
    /// The run of the cluster, once it is ready.
    pub run_id: Option<String>,
    /// `ipclusterz` there, once it is found.
    pub program: Option<String>,
    /// How to get there.
    pub ssh: Box<SshTable>,
}
