//! How an engine is to be run, and why it could not register.

use super::inspection::StackFile;
use super::mpi::MpiFunctions;
use crate::system::wall_clock;
use crate::transport::context::Shortage;
use crate::transport::dial::DialError;
use crate::wire::message::{Rank, Resources};
use ipclusterz_base::connection::{ConnectionError, Role};
use ipclusterz_base::ids::EngineId;
use std::path::PathBuf;
use std::time::Duration;

/// How an engine is to be run.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The id to ask for.
    pub wanted_id: Option<EngineId>,
    /// How long registration may take.
    pub timeout: Duration,
    /// How long an engine waits for a lost controller on another host.
    pub lease: Duration,
    /// How long user code may go on after the engine was told to end.
    pub end_timeout: Duration,
    /// When it is ended from outside, if that is known.
    pub end: Option<EndOfTime>,
    /// Which rank of an MPI program it is.
    pub world: Option<Rank>,
    /// How MPI is told of events elsewhere.
    pub mpi: Option<MpiFunctions>,
    /// The group of the profile's that it is of.
    pub group: Option<String>,
    /// What it offers to tasks.
    pub offers: Resources,
    /// The agent of this host, if there is one: its socket, and its folder of segments.
    pub agent: Option<(PathBuf, PathBuf)>,
    /// What is written to descriptors 1 and 2 while a task runs goes to its client, too.
    pub capture: bool,
    /// How the main thread is asked for its stack.
    pub stack: Option<StackFile>,
}

/// When an engine's process is ended from outside, as a job is at its time limit.
#[derive(Debug, Clone, Copy)]
pub struct EndOfTime {
    /// Seconds since 1970.
    pub at: f64,
    /// How long before that user code is warned.
    pub warn_before: Duration,
    /// How long before that it stops getting balanced tasks of unstated duration.
    pub drain_before: Duration,
}

impl EndOfTime {
    /// What is left from now on; zero when it is over.
    pub fn left(&self) -> Duration {
        Duration::try_from_secs_f64(self.at - wall_clock()).unwrap_or_default()
    }
}

/// Why an engine could not register.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its connection file cannot be used.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionError),
    /// The file is a client's.
    #[error("{0} is a connection file for a {1}, not for an engine")]
    WrongRole(String, Role),
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It timed out, or the controller refused it.
    #[error("could not register: {0}")]
    Refused(String),
    /// The controller speaks another version of the protocol.
    #[error("{message}")]
    OtherVersion {
        /// What each side speaks.
        message: String,
        /// What to install where.
        hint: String,
    },
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

impl EngineError {
    /// Of what the kernel said about `what`.
    pub(super) fn of_io(what: &'static str, error: std::io::Error) -> EngineError {
        Shortage::of_io(&error)
            .map_or_else(|| EngineError::System(what, error), |short| EngineError::Dial(short.into()))
    }
}
