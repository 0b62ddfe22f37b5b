//! Ends what the record of one set names, whichever launcher started it.

use crate::remote::there::There;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system::signal_group;
use ipclusterz_launchers::record::JobRecord;
use ipclusterz_launchers::{batch, ssh};
use std::time::{Duration, Instant};

/// How long a queue may take to cancel a job.
const DESTROY_PATIENCE: Duration = Duration::from_secs(60);

/// Ends what `job` names, for a command that has not started it. Returns what was ended; `None` if it was gone already.
pub fn destroy(job: &JobRecord) -> Result<Option<String>, Failure> {
    match job {
        JobRecord::Process(process) => {
            let alive = process.is_alive();
            if alive {
                // The process may have exited since. Then there is nothing to kill.
                let _ = signal_group(process.pid, libc::SIGKILL);
            }
            Ok(alive.then(|| format!("process {}", process.pid)))
        }
        JobRecord::Remote { host, run, boot_id, processes, ssh } => {
            let ended = ssh::destroy(host, run, boot_id, processes, ssh)?;
            Ok((ended > 0).then(|| job.to_string()))
        }
        JobRecord::Cluster(there) => Ok(There::of(there.clone()).destroy()?.then(|| job.to_string())),
        JobRecord::Batch(record) => {
            let ended = batch::destroy(record, Instant::now() + DESTROY_PATIENCE)?;
            Ok(ended.then(|| job.to_string()))
        }
    }
}
