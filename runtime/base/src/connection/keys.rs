//! What a peer is, and the keys that admit it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a peer is; its key admits it in this role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Submits work.
    Client,
    /// Executes it.
    Engine,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Role::Client => "client",
            Role::Engine => "engine",
        })
    }
}

/// A peer's CURVE keys, each 40 characters of Z85 (ZeroMQ RFC 32).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurveKeys {
    /// The controller's public key.
    pub server: String,
    /// The peer's public key.
    pub public: String,
    /// The peer's secret key.
    pub secret: String,
}

impl fmt::Debug for CurveKeys {
    /// Leaves the secret out, so that no log or error can carry it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CurveKeys").field("server", &self.server).field("public", &self.public).finish()
    }
}
