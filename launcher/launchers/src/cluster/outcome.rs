//! Why a cluster has ended that was started in the background and of whose end nobody was told: in its folder of logs, until
//! the next start under its name.

use super::logs::LogFolder;
use ipclusterz_base::places;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::record_file::{RecordError, read_record, write_record};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// The version written, and the only one read.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    version: u32,
    failure: Failure,
}

/// Keeps why a cluster has ended.
pub fn write(logs: &LogFolder, failure: &Failure) -> Result<(), places::PlacesError> {
    write_record(&Outcome { version: VERSION, failure: failure.clone() }, &logs.outcome())
}

/// Why the last cluster with these logs has ended, and how long ago; `None` if somebody was told, or nothing is known.
pub fn read(logs: &LogFolder) -> Option<(Failure, Duration)> {
    let read: Result<Option<Outcome>, RecordError> = read_record(&logs.outcome(), VERSION);
    let written = std::fs::metadata(logs.outcome()).and_then(|file| file.modified()).ok()?;
    let ago = SystemTime::now().duration_since(written).unwrap_or_default();
    Some((read.ok()??.failure, ago))
}
