//! `[logs]`: how large logs become, and which outlive their cluster.

use ipclusterz_base::logs::LogLimit;
use ipclusterz_host::units;
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
    pub max_size: String,
    pub files: u32,
}

impl LogsTable {
    /// How large a log may become; `None` if `max_size` is no size, which is checked before anything is started.
    pub fn limit(&self) -> Option<LogLimit> {
        units::memory(&self.max_size.replacen(' ', "", 1)).map(|bytes| LogLimit { bytes, files: self.files })
    }
}
