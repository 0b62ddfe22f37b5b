//! Why a client cannot do what it was asked to.

use crate::transport::context::Shortage;
use crate::transport::dial::DialError;
use ipclusterz_base::connection::Role;

/// Why a client cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection file is an engine's.
    #[error("this is a connection file for an {0}, not for a client")]
    WrongRole(Role),
    /// The controller refused.
    #[error("{0}")]
    Refused(String),
    /// The controller speaks another version of the protocol.
    #[error("{message}")]
    OtherVersion {
        /// What each side speaks.
        message: String,
        /// What to install where.
        hint: String,
    },
    /// The controller has no room.
    #[error("{0}")]
    Crowded(String),
    /// No controller in time.
    #[error("no controller within {0:.1} s: {1}")]
    Unreachable(f64, String),
    /// It is there, or its session is kept, and nobody answers for now.
    #[error("{0}")]
    Silent(String),
    /// There was one.
    #[error("not connected: {0}")]
    Disconnected(String),
    /// Another client has the session now.
    #[error("{0}")]
    Taken(String),
    /// What is asked is not kept.
    #[error("{0}")]
    NoHistory(String),
    /// Closed by its owner.
    #[error("the client is closed")]
    Closed,
    /// Made by another process.
    #[error("this client was made in process {0} before a fork; make a new one here")]
    Forked(u32),
    /// Larger than the controller allows, or than there is memory for.
    #[error("a payload of {size} bytes is too large: the limit is {limit} bytes")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// No memory for a copy.
    #[error("there is no memory for a payload of {0} bytes")]
    NoMemory(usize),
    /// The deadline of a call is over.
    #[error("no answer within {0:.1} s")]
    Timeout(f64),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

impl ClientError {
    /// Of what the kernel said about `what`.
    pub(super) fn of_io(what: &'static str, error: std::io::Error) -> ClientError {
        Shortage::of_io(&error)
            .map_or_else(|| ClientError::System(what, error), |short| ClientError::Dial(short.into()))
    }
}
