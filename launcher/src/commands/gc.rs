//! `ipclusterz gc`: finds what crashed clusters left behind, and removes it.

use super::existing_clusters;
use crate::arguments::GcArguments;
use crate::cluster::ClusterFolder;
use crate::cluster::cleanup::remove_remains;
use crate::cluster::handle::ClusterHandle;
use crate::cluster::lock::ClusterLock;
use crate::cluster::state::ClusterState;
use crate::failure::Failure;
use crate::report::{GcReport, Remains};

/// Looks at every cluster of this user whose launcher is gone. What could not be removed is reported, not hidden.
pub fn run(arguments: &GcArguments) -> Result<GcReport, Failure> {
    let mut report = GcReport { dry_run: arguments.dry_run, found: Vec::new() };
    for (cluster, folder, state) in existing_clusters()? {
        if arguments.common.cluster.as_ref().is_some_and(|wanted| *wanted != cluster) {
            continue;
        }
        match state {
            Ok(ClusterState::Stale(handle)) => {
                report.found.extend(collect(&cluster, &folder, &handle, arguments.dry_run));
            }
            Ok(_) => {}
            Err(failure) => report.found.push(Remains::failed(cluster, failure.message)),
        }
    }
    Ok(report)
}

/// The remains of one; none when a new launcher has taken over.
fn collect(cluster: &str, folder: &ClusterFolder, handle: &ClusterHandle, dry_run: bool) -> Option<Remains> {
    let lock = ClusterLock::take(folder).ok()??;
    let remains = if dry_run {
        let jobs = handle.sets.iter().map(|record| record.job.to_string()).collect();
        Remains { cluster: cluster.to_owned(), ended: jobs, problem: None }
    } else {
        match remove_remains(folder, handle) {
            Ok(cleaned) => {
                let processes = cleaned.killed.iter().map(|pid| format!("process {pid}"));
                let ended = processes.chain(cleaned.ended).collect();
                Remains { cluster: cluster.to_owned(), ended, problem: None }
            }
            Err(error) => Remains::failed(cluster.to_owned(), error.to_string()),
        }
    };
    drop(lock);
    Some(remains)
}
