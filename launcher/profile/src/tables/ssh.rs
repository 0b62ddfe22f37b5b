//! `[ssh]`: other hosts, and how to reach them.

use serde::{Deserialize, Serialize};

/// The implementation of SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The library compiled in.
    Libssh2,
    /// The system's `ssh`.
    Openssh,
}

/// One of `hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct SshHost {
    /// `host`, `user@host`, `user@host:port`, or a `Host` of ~/.ssh/config.
    pub host: String,
    pub engines: u32,
    #[serde(default)]
    pub python: String,
    #[serde(default)]
    pub directory: String,
}

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct SshTable {
    pub hosts: Vec<SshHost>,
    pub controller: String,
    pub backend: BackendKind,
    pub program: String,
    pub config: String,
    pub known_hosts: Vec<String>,
    pub identity_files: Vec<String>,
    pub agent: bool,
    pub ask: bool,
    pub reverse: bool,
    pub keep_alive: f64,
    pub connect_timeout: f64,
}
