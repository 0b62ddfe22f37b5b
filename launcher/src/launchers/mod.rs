//! What starts engines: on this host, on others through SSH, under mpiexec or srun, through a queue.
//!
//! A launcher is one file (or folder) behind [`Launcher`]. It starts *sets*: engines that begin and end together, such
//! as one process here, the ranks of one mpiexec, or one job. Responsible for processes and jobs; how many sets there
//! are, and when they start and end, is the supervisor's business.

pub mod local;
pub mod maker;
pub mod program;
pub mod rank_loss;
pub mod ssh;

use crate::failure::Failure;
use ipclusterz_runtime::ids::EngineId;
use rank_loss::RankLoss;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Counted by the supervisor, from 0; never used twice in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SetId(pub u32);

/// Engines that begin and end together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSet {
    /// Its number.
    pub id: SetId,
    /// The id that its first engine (rank 0) asks for; the others follow in order.
    pub first: EngineId,
    /// How many engines; at least one.
    pub count: u32,
}

impl EngineSet {
    /// The ids that its engines ask for.
    pub fn engines(&self) -> impl Iterator<Item = EngineId> + use<> {
        let range: Range<u32> = self.first.0..self.first.0 + self.count;
        range.map(EngineId)
    }
}

/// What became of a set since it was last asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetEvent {
    /// It is not running yet; why, for a person, such as the queue's reason and the expected start.
    Waiting(String),
    /// Its processes have been started: where, for a person.
    Running(String),
    /// It is over, wholly: no process of it is left.
    Ended(SetEnd),
}

/// How a set ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEnd {
    /// All its engines were shut down in an orderly way.
    pub orderly: bool,
    /// How, for a person: `exit status: 1`, `signal: 9 (SIGKILL)`, `job 17 was cancelled`.
    pub how: String,
    /// A log with more about it.
    pub log: Option<PathBuf>,
}

/// How a set is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// SIGTERM, scancel: engines may still end in an orderly way.
    Terminate,
    /// SIGKILL, and whatever else makes sure.
    Kill,
}

impl Force {
    /// The signal for processes.
    pub fn signal(self) -> i32 {
        match self {
            Force::Terminate => libc::SIGTERM,
            Force::Kill => libc::SIGKILL,
        }
    }
}

/// Wakes the supervisor, so that it calls [`Launcher::poll`] soon. Cheap, and callable from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Starts, watches and ends sets.
///
/// No call may block for longer than a local fork takes: what has to talk to another host or to a queue does so in a
/// thread of its own, remembers what it learned, and calls [`Wake`]. The supervisor's thread lives as long as the
/// process, so that children started from it may have PR_SET_PDEATHSIG; so must a launcher's own thread.
pub trait Launcher {
    /// Begins to start a set. An error means that nothing was started; later trouble comes as [`SetEvent::Ended`].
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure>;

    /// Begins to end a set that was started. May be called again, with more force. Never an error: a set that is gone
    /// already is what was wanted.
    fn end(&mut self, set: SetId, force: Force);

    /// What has happened since the last call. Called after [`Wake`], after SIGCHLD and at [`Launcher::next_poll`].
    fn poll(&mut self) -> Vec<(SetId, SetEvent)>;

    /// When to be polled although nothing woke the supervisor.
    fn next_poll(&self) -> Option<Instant> {
        None
    }

    /// What a later command needs to end what was started, should this process be killed; for `cluster.json`.
    fn records(&self) -> Vec<SetRecord>;

    /// Where what its engines print is to be found on this host; there may be no such file yet.
    fn log(&self, set: &EngineSet) -> PathBuf;

    /// What the loss of one engine of a set is to the others, where the engines of a set are the ranks of one
    /// MPI_COMM_WORLD; otherwise it is nothing to them.
    fn rank_loss(&self) -> Option<RankLoss> {
        None
    }

    /// How this rank of a set has ended that goes on, in the words of an exit status, once what started it has said so.
    fn how_rank_ended(&self, _set: &EngineSet, _rank: u32) -> Option<String> {
        None
    }

    /// Where lost ranks are started again in their job ([`RankLoss::in_job`]): the first line tells the job of a set that all
    /// its ranks have been there, and each further one has it start them again.
    fn tell_job(&mut self, _set: &EngineSet, _line: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether there is room for so many engines at a time, where the profile says how much there is. An error tells it.
    fn check_room(&self, _engines: u32) -> Result<(), Failure> {
        Ok(())
    }

    /// Number of engines that one set is to have when `count` are wanted; the last set may have fewer.
    fn set_size(&self, count: u32) -> u32;
}

/// A set that was started, as `cluster.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRecord {
    /// The set.
    #[serde(flatten)]
    pub set: EngineSet,
    /// Its processes or its job.
    pub job: JobRecord,
}

/// For a queue to cancel a job.
const DESTROY_PATIENCE: Duration = Duration::from_secs(60);

/// What ends a set when its launcher is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRecord {
    /// A process of this host, leader of its own group.
    Process(crate::cluster::identity::ProcessIdentity),
    /// Processes on another host.
    Remote {
        /// The host as the profile names it.
        host: String,
        /// Names the folder of the run there.
        run: String,
        /// Boot of that host on which the pids mean something.
        boot_id: String,
        /// Leaders of process groups there.
        processes: Vec<crate::cluster::identity::ProcessIdentity>,
        /// How to get there.
        ssh: Box<crate::tables::ssh::SshTable>,
    },
    /// A job of a queue.
    Batch(crate::batch::BatchRecord),
    /// A whole cluster on another host.
    Cluster(crate::remote::there::There),
}

impl JobRecord {
    /// Whether it is a process of the launcher's host.
    pub fn is_here(&self) -> bool {
        matches!(self, JobRecord::Process(_))
    }

    /// Ends what this names, from a command that has not started it; says what was ended, if it was still there.
    pub fn destroy(&self) -> Result<Option<String>, Failure> {
        match self {
            JobRecord::Process(process) => {
                let alive = process.is_alive();
                if alive {
                    // It may have ended since; then there is nothing to kill.
                    let _ = crate::system::signal_group(process.pid, libc::SIGKILL);
                }
                Ok(alive.then(|| format!("process {}", process.pid)))
            }
            JobRecord::Remote { host, run, boot_id, processes, ssh } => {
                let ended = self::ssh::destroy(host, run, boot_id, processes, ssh)?;
                Ok((ended > 0).then(|| self.to_string()))
            }
            JobRecord::Cluster(there) => Ok(there.destroy()?.then(|| self.to_string())),
            JobRecord::Batch(record) => {
                let ended = crate::batch::destroy(record, Instant::now() + DESTROY_PATIENCE)?;
                Ok(ended.then(|| self.to_string()))
            }
        }
    }
}

impl std::fmt::Display for JobRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
