//! `[logs]`: the logs that outlive their cluster.

use serde::Deserialize;

/// `logs.keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepLogs {
    /// Those of clusters that failed or lost engines.
    #[default]
    Failures,
    /// Those of all clusters.
    All,
    /// None.
    None,
}

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct LogsTable {
    pub keep: KeepLogs,
    pub keep_number: u32,
    pub keep_days: f64,
}
