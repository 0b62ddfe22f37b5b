//! How an engine is to be run, and why it may not register.

use super::inspection::{MpiFunctions, StackFile};
use crate::connection::{ConnectionError, Role};
use crate::ids::EngineId;
use crate::system::wall_clock;
use crate::transport::dial::DialError;
use crate::wire::message::Rank;
use std::time::Duration;

/// How an engine is to be run.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The id to ask for.
    pub wanted_id: Option<EngineId>,
    /// How long registration may take.
    pub timeout: Duration,
    /// How long a lost controller is waited for, where it is not this host's.
    pub lease: Duration,
    /// When it will be ended from outside, if that is known.
    pub end: Option<EndOfTime>,
    /// Which rank of an MPI program it is.
    pub world: Option<Rank>,
    /// How MPI is told what happens elsewhere.
    pub mpi: Option<MpiFunctions>,
    /// How the main thread is asked for its stack.
    pub stack: Option<StackFile>,
}

/// When an engine's process will be ended from outside, as a job is at the end of its time.
#[derive(Debug, Clone, Copy)]
pub struct EndOfTime {
    /// Seconds since 1970.
    pub at: f64,
    /// How long before that user code is warned.
    pub warn_before: Duration,
    /// How long before that it is given no balanced task whose duration is not stated.
    pub drain_before: Duration,
}

impl EndOfTime {
    /// From now on; nothing when it is over.
    pub fn left(&self) -> Duration {
        Duration::try_from_secs_f64(self.at - wall_clock()).unwrap_or_default()
    }
}

/// Why an engine could not register.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its connection file is of no use.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionError),
    /// The file is a client's.
    #[error("{0} is a connection file for a {1}, not for an engine")]
    WrongRole(String, Role),
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The deadline is over, or the controller refused.
    #[error("could not register: {0}")]
    Refused(String),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}
