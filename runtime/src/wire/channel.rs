//! The two connections of each peer.
//!
//! `control` carries what must never wait behind large data. `data` carries requests and results, and what has to keep
//! its place among them. `message` says for each message which one it takes.

use serde::{Deserialize, Serialize};

/// Which of a peer's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// Registration, shutdown, notifications: never behind large data.
    Control,
    /// Requests, results, and what keeps its place among them.
    Data,
}
