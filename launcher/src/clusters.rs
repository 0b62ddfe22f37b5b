//! Lists the clusters of this user, and makes the failures for one that is not there.

use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::{Fate, Owner, ProcessIdentity};
use ipclusterz_host::record_file::RecordError;
use ipclusterz_host::suggestion::nearest;
use ipclusterz_host::units::duration;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::outcome;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::tunnel::TunnelRecord;

/// The failure for a cluster that was started in the background and has ended without that anybody was told, if it has.
pub fn ended_unheard(name: &str) -> Option<Failure> {
    let (mut failure, ago) = outcome::read(&ClusterFolder::of(name).ok()?.logs())?;
    failure.message = format!("cluster {name:?} ended {} ago: {}", duration(ago.as_secs_f64()), failure.message);
    Some(failure)
}

/// The failure for a cluster that does not exist. Its hint names those that do.
pub fn no_such_cluster(name: &str) -> Failure {
    let tunnel = ClusterFolder::of(name).ok().and_then(|folder| TunnelRecord::read(&folder).ok()?);
    if let Some(record) = tunnel {
        return is_a_tunnel(name, &record);
    }
    if let Some(failure) = ended_unheard(name) {
        return Failure::new(Exit::NoCluster, failure.message).with_hint(failure.hint.unwrap_or_default());
    }
    let failure = Failure::new(Exit::NoCluster, format!("there is no cluster {name:?}"));
    // If the clusters cannot be listed, none is suggested. The failure stands without a suggestion.
    let running: Vec<String> = existing_clusters().unwrap_or_default().into_iter().map(|(name, _, _)| name).collect();
    if running.is_empty() {
        return failure.with_hint("there are none at all; `ipclusterz -n 4` starts one");
    }
    let likely = nearest(name, running.iter().map(String::as_str)).map(|likely| format!("did you mean {likely:?}? "));
    failure.with_hint(format!(
        "{}clusters there are: {} (--cluster NAME)",
        likely.unwrap_or_default(),
        running.join(", ")
    ))
}

/// The failure for a command that works on clusters of this host only, and got the name of a tunnel.
pub fn is_a_tunnel(name: &str, record: &TunnelRecord) -> Failure {
    let Owner { host, process, .. } = &record.owner;
    let message = format!("{name:?} is no cluster but a tunnel {}", record.where_to());
    let failure = Failure::new(Exit::NoCluster, message);
    match record.owner.fate() {
        Fate::Gone => {
            failure.with_hint(format!("its process (pid {}) is gone; `ipclusterz gc` removes it", process.pid))
        }
        _ => failure.with_hint(format!("a signal ends the tunnel: `kill {}` on {host}", process.pid)),
    }
}

/// All clusters with a record, sorted by name. The state of one is a failure if its record cannot be read.
#[expect(clippy::type_complexity, reason = "a name, a folder and what is in it; used in two places")]
pub fn existing_clusters() -> Result<Vec<(String, ClusterFolder, Result<ClusterState, RecordError>)>, Failure> {
    let mut clusters = Vec::new();
    for name in places::list_clusters()? {
        let folder = ClusterFolder::of(&name)?;
        let state = ClusterState::of(&folder);
        if !matches!(state, Ok(ClusterState::Absent)) {
            clusters.push((name, folder, state));
        }
    }
    Ok(clusters)
}

/// The record of a cluster whose launcher runs on this host. Of another one, the failure says what is done only from there, and by
/// which command.
pub fn live(cluster: &str, folder: &ClusterFolder, done: &str, command: &str) -> Result<ClusterHandle, Failure> {
    match ClusterState::of(folder)? {
        ClusterState::Live(handle) => Ok(handle),
        ClusterState::Elsewhere(handle) => {
            let message = format!("cluster {cluster:?} was started on {}, and only from there {done}", handle.host);
            let hint = format!("run `ipclusterz {command}` on {}", handle.host);
            Err(Failure::new(Exit::Usage, message).with_hint(hint))
        }
        ClusterState::Gone(handle) => {
            let message = format!("the launcher of cluster {cluster:?}, on {}, gives no sign of life", handle.host);
            Err(Failure::new(Exit::Unreachable, message).with_hint(gone_hint(cluster, &handle)))
        }
        _ => Err(no_such_cluster(cluster)),
    }
}

/// The sets of a cluster whose launcher is gone, for a person.
pub fn what_is_left(handle: &ClusterHandle) -> Vec<String> {
    handle.sets.iter().map(|record| record.job.to_string()).collect()
}

/// What to do about a cluster whose launcher, on another host, gives no sign of life.
pub fn gone_hint(name: &str, handle: &ClusterHandle) -> String {
    let left = what_is_left(handle);
    let left = if left.is_empty() { String::new() } else { format!(": {}", left.join(", ")) };
    format!("`ipclusterz stop --force{}` ends what is left{left}; `ipclusterz gc` does so too", cluster_option(name))
}

/// The failure of a launcher whose cluster was taken over.
pub fn taken_over(cluster: &str) -> Failure {
    let message = format!(
        "cluster {cluster:?} was taken over from another host while this launcher gave no sign of life; what is left of it \
         is ended, and the files stay with the new owner"
    );
    Failure::new(Exit::Failure, message).with_hint("a launcher that is stopped, or whose host is, counts as gone")
}

/// Fails if a process does not go on that a command would wait for; `what` names it.
pub fn check_goes_on(what: &str, process: ProcessIdentity) -> Result<(), Failure> {
    let Some(halt) = process.halt() else { return Ok(()) };
    let message = format!("{what} (pid {}) {}", process.pid, halt.what());
    Err(Failure::new(Exit::Unreachable, message).with_hint(halt.remedy(process.pid)))
}

/// The same for all that other commands ask in a cluster of this host: its launcher and its controller.
pub fn check_cluster_goes_on(handle: &ClusterHandle) -> Result<(), Failure> {
    let name = &handle.cluster;
    check_goes_on(&format!("the launcher of cluster {name:?}"), handle.launcher)?;
    handle.controller.map_or(Ok(()), |process| check_goes_on(&format!("the controller of cluster {name:?}"), process))
}

/// `--cluster NAME` as the user has to type it, unless it is the default.
pub fn cluster_option(name: &str) -> String {
    if name == places::DEFAULT_CLUSTER { String::new() } else { format!(" --cluster {name}") }
}
