//! `ipclusterz gc`: finds what crashed clusters left behind, and removes it.

use super::existing_clusters;
use crate::arguments::GcArguments;
use crate::cluster::ClusterFolder;
use crate::cluster::cleanup::take_and_remove;
use crate::cluster::handle::ClusterHandle;
use crate::cluster::state::ClusterState;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::report::{GcReport, Remains};

/// Looks at every cluster of this user whose launcher is gone, and prints what it did; fails when something is left.
pub fn run(arguments: &GcArguments, output: &mut Output) -> Result<Exit, Failure> {
    let report = remove_all(arguments)?;
    output.report(&report)?;
    Ok(if report.found.iter().all(|remains| remains.problem.is_none()) { Exit::Ok } else { Exit::Failure })
}

fn remove_all(arguments: &GcArguments) -> Result<GcReport, Failure> {
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

/// The remains of one; none when somebody else has removed them, or a new launcher has taken over.
fn collect(cluster: &str, folder: &ClusterFolder, handle: &ClusterHandle, dry_run: bool) -> Option<Remains> {
    if dry_run {
        let jobs = handle.sets.iter().map(|record| record.job.to_string()).collect();
        return Some(Remains { cluster: cluster.to_owned(), ended: jobs, problem: None });
    }
    match take_and_remove(cluster, folder, handle) {
        Ok(cleaned) => cleaned.map(|cleaned| {
            let processes = cleaned.killed.iter().map(|pid| format!("process {pid}"));
            Remains { cluster: cluster.to_owned(), ended: processes.chain(cleaned.ended).collect(), problem: None }
        }),
        Err(error) => Some(Remains::failed(cluster.to_owned(), error.to_string())),
    }
}
