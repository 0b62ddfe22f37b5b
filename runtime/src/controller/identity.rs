//! Which process a controller is. Data alone.

use ipclusterz_base::process::Table;
use serde::{Deserialize, Serialize};

/// What does not change while a controller's process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the cluster.
    pub cluster: String,
    /// The host that the controller runs on.
    pub host: String,
    /// The controller's process.
    pub pid: u32,
    /// The process table that it shares with peers of this host.
    pub table: Option<Table>,
}
