//! `ipclusterz gc`: finds and removes what crashed clusters, tunnels and connections left behind, and logs that are not
//! kept any longer.

use crate::arguments::GcArguments;
use crate::cleanup::remains::{Cleaned, take_and_remove};
use crate::cleanup::{elsewhere, tunnels};
use crate::clusters::existing_clusters;
use crate::journals;
use crate::output::Output;
use crate::report::{GcReport, Remains};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::Fate;
use ipclusterz_host::owned;
use ipclusterz_host::record_file::RecordError;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::{ClusterFolder, ended, tunnel};
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::merged_profile;
use ipclusterz_profile::tables::logs::LogsTable;
use ipclusterz_profile::{Options, Places};

/// Finds and removes what dead processes of this user left, and prints what it did. Returns [`Exit::Failure`] if
/// something could not be removed.
pub fn run(arguments: &GcArguments, variables: &Variables, output: &mut Output) -> Result<Exit, Failure> {
    let mut report = remove_all(arguments)?;
    settle_journals(arguments, &mut report)?;
    if arguments.common.cluster.is_none() {
        report.logs = ended::prune(&limits(variables)?, None, arguments.dry_run)?;
    }
    output.report(&report)?;
    Ok(if report.found.iter().all(|remains| remains.problem.is_none()) { Exit::Ok } else { Exit::Failure })
}

fn remove_all(arguments: &GcArguments) -> Result<GcReport, Failure> {
    let (dry_run, wanted) = (arguments.dry_run, arguments.common.cluster.as_deref());
    let mut report = GcReport { dry_run, found: Vec::new(), journals: vec![], discarded: vec![], logs: vec![] };
    for (cluster, folder, state) in existing_clusters()? {
        if wanted.is_some_and(|wanted| wanted != cluster) {
            continue;
        }
        match state {
            Ok(ClusterState::Stale(handle)) => report.found.extend(collect(&cluster, &folder, &handle, dry_run)),
            Ok(ClusterState::Gone(handle)) if dry_run => report.found.push(would_be(&cluster, &handle)),
            Ok(ClusterState::Gone(handle) | ClusterState::Elsewhere(handle)) if !dry_run => {
                report.found.extend(collect_elsewhere(&cluster, &folder, &handle));
            }
            Ok(_) => {}
            Err(error) => report.found.push(Remains::of_cluster(&cluster, Err(Failure::from(error).message))),
        }
    }
    report.found.extend(tunnels(wanted, dry_run)?);
    if wanted.is_none() {
        report.found.extend(folders(dry_run));
    }
    Ok(report)
}

/// Looks at the journals that clusters have left, and drops them if that is wanted.
fn settle_journals(arguments: &GcArguments, report: &mut GcReport) -> Result<(), Failure> {
    let wanted = arguments.common.cluster.as_deref();
    for (cluster, folder) in journals::all()? {
        if wanted.is_some_and(|wanted| wanted != cluster) {
            continue;
        }
        // Whoever has the lock goes on with it.
        let Some(lock) = ClusterLock::take(&folder)? else { continue };
        match (arguments.discard, arguments.dry_run) {
            (true, true) => report.discarded.push(cluster),
            (true, false) => {
                if journals::discard(&folder, lock)? {
                    report.discarded.push(cluster);
                }
            }
            (false, _) => report.journals.extend(journals::left_by(&cluster, &folder, false)),
        }
    }
    Ok(())
}

/// What the profile says about logs of clusters that have ended.
fn limits(variables: &Variables) -> Result<LogsTable, Failure> {
    let places = Places::of_this_process(variables)?;
    Ok(merged_profile(&Options::default(), variables, &places)?.tables.logs)
}

/// The remains of one cluster. `None` if another process has removed them, or a new launcher has taken over.
fn collect(cluster: &str, folder: &ClusterFolder, handle: &ClusterHandle, dry_run: bool) -> Option<Remains> {
    if dry_run {
        return Some(would_be(cluster, handle));
    }
    let outcome = match take_and_remove(cluster, folder, handle) {
        Ok(cleaned) => {
            let cleaned = cleaned?;
            let processes = cleaned.killed.iter().map(|pid| format!("process {pid}"));
            Ok(processes.chain(cleaned.ended).collect())
        }
        Err(error) => Err(error.to_string()),
    };
    Some(Remains::of_cluster(cluster, outcome))
}

fn would_be(cluster: &str, handle: &ClusterHandle) -> Remains {
    let jobs = handle.sets.iter().map(|record| record.job.to_string()).collect();
    Remains::of_cluster(cluster, Ok(jobs))
}

/// The remains of a cluster of another host. `None` if that is there.
fn collect_elsewhere(cluster: &str, folder: &ClusterFolder, handle: &ClusterHandle) -> Option<Remains> {
    let outcome = elsewhere::end_if_gone(folder, handle).transpose()?;
    let (outcome, not_looked_at) = match outcome {
        Ok(Cleaned { ended, not_looked_at, .. }) => (Ok(ended), not_looked_at),
        Err(error) => (Err(error.to_string()), Vec::new()),
    };
    let what = format!("cluster {cluster:?} of {}, which gives no sign of life,", handle.host);
    Some(Remains { not_looked_at, ..Remains::new(Some(cluster), what, outcome) })
}

/// The remains of killed tunnels that had a name. Tunnels without a name have only a folder, which [`folders`] finds.
fn tunnels(wanted: Option<&str>, dry_run: bool) -> Result<Vec<Remains>, Failure> {
    let mut found = Vec::new();
    for (name, folder, record) in tunnel::all()? {
        let Some(name) = name.filter(|name| wanted.is_none_or(|wanted| wanted == name)) else { continue };
        let what = format!("tunnel {name:?}");
        match record {
            Ok(record) if record.owner.fate() == Fate::Gone => {
                let removed = if dry_run { Ok(true) } else { tunnels::take_and_remove(&name, &folder) };
                let what = format!("{what} {}", record.where_to());
                match removed {
                    Ok(true) => found.push(Remains::new(Some(&name), what, Ok(Vec::new()))),
                    Ok(false) => {}
                    Err(error) => found.push(Remains::new(Some(&name), what, Err(error.to_string()))),
                }
            }
            Ok(_) => {}
            Err(error) => found.push(Remains::new(Some(&name), what, Err(error.to_string()))),
        }
    }
    Ok(found)
}

/// The orphaned folders of sockets and pipes.
fn folders(dry_run: bool) -> Vec<Remains> {
    let remains = |left: Result<owned::LeftFolder, RecordError>| match left {
        Ok(left) => {
            let removed = if dry_run { Ok(()) } else { owned::remove(&left.path) };
            let outcome = removed.map(|()| Vec::new()).map_err(|error| error.to_string());
            Remains::new(None, format!("{} ({})", left.what, left.path.display()), outcome)
        }
        Err(error) => Remains::new(None, "folder of sockets".to_owned(), Err(error.to_string())),
    };
    owned::left().into_iter().map(remains).collect()
}
