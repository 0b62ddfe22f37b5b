//! How a controller is to be run, what it says when it listens, and why it could not run.

use super::limits::Limits;
use crate::journal::JournalError;
use crate::transport::bulk::driver::Manner;
use crate::transport::context::{ContextError, Shortage};
use ipclusterz_base::connection::{ConnectionError, ControllerProcess};
use ipclusterz_base::places::PlacesError;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// Whether a controller keeps a journal, with which a later one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JournalMode {
    /// It does, and accepts nothing that it cannot write down.
    #[default]
    On,
    /// It does as long as that is possible.
    BestEffort,
    /// It does not.
    Off,
}

impl JournalMode {
    /// All of them, each with the word for it.
    const WORDS: [(JournalMode, &str); 3] =
        [(JournalMode::On, "on"), (JournalMode::Off, "off"), (JournalMode::BestEffort, "best-effort")];
}

impl FromStr for JournalMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(_, word)| *word == text);
        found
            .map(|(mode, _)| *mode)
            .ok_or_else(|| format!("{text:?} is none of {:?}", Self::WORDS.map(|(_, word)| word)))
    }
}

/// How a controller is to be run.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// Name of the cluster.
    pub cluster: String,
    /// Eight hexadecimal digits, fresh for every run.
    pub run_id: String,
    /// The cluster's folder, where the connection files go.
    pub directory: PathBuf,
    /// Listen at a unix socket.
    pub local: bool,
    /// Listen at this TCP address (`host:port`; port 0: a free one).
    pub listen: Option<String>,
    /// How payloads travel over bulk connections; not encrypted where the network is trusted.
    pub manner: Manner,
    /// Hosts to offer to peers; empty: the bound one, or this host's name.
    pub advertise: Vec<String>,
    /// How much is held, and for how long.
    pub limits: Limits,
    /// Whether it keeps a journal.
    pub journal: JournalMode,
    /// It takes up the journal of an earlier run of the cluster, whose engines are gone.
    pub resume: bool,
    /// The process that starts it again when it dies, if there is one.
    pub keeper: Option<ControllerProcess>,
}

/// What a controller says when it listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Its process.
    pub pid: u32,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// Connection file for clients.
    pub client_file: PathBuf,
    /// Connection file for engines.
    pub engine_file: PathBuf,
    /// Folder of its unix socket, and of the launcher's.
    pub socket_dir: Option<PathBuf>,
    /// Folder of segments.
    pub shared_memory_dir: Option<PathBuf>,
}

impl Default for Ready {
    fn default() -> Self {
        Ready {
            pid: std::process::id(),
            addresses: vec![],
            client_file: PathBuf::new(),
            engine_file: PathBuf::new(),
            socket_dir: None,
            shared_memory_dir: None,
        }
    }
}

/// Why a controller could not run.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// libzmq lacks something.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A context could not be made.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// A folder could not be made private.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// There is a journal that cannot be gone on with, or none can be begun.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A connection file could not be written.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionError),
    /// Neither `local` nor `listen`.
    #[error("the controller is to listen nowhere: neither at a unix socket nor at a TCP address")]
    Nowhere,
    /// The address is in use, or belongs to another host.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// Which address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// libzmq failed.
    #[error("the controller's socket failed: {0}")]
    Socket(#[from] zmq::Error),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

impl ControllerError {
    /// Whether something could not be written because the disk is full, or the user's share of it.
    pub fn is_full_disk(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
