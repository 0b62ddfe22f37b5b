//! How large a log may become.

use serde::{Deserialize, Serialize};

/// How large a log may become, and how many earlier parts of it stay beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimit {
    /// Bytes of the log, and of each part.
    pub bytes: u64,
    /// Parts that stay: `FILE.1`, the latest, to `FILE.N`.
    pub files: u32,
}

impl Default for LogLimit {
    fn default() -> Self {
        LogLimit { bytes: 10 << 20, files: 2 }
    }
}
