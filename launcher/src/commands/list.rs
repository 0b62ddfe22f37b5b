//! `ipclusterz list`: all clusters and tunnels of this user, from their records alone.

use crate::arguments::ListArguments;
use crate::clusters::{existing_clusters, what_is_left};
use crate::report::{LeadsTo, ListReport, ListedCluster, ListedTunnel};
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::tunnel;

/// Lists them.
pub fn run(arguments: &ListArguments) -> Result<ListReport, Failure> {
    let mut clusters = Vec::new();
    for (cluster, folder, state) in existing_clusters()? {
        if arguments.common.cluster.as_ref().is_some_and(|wanted| *wanted != cluster) {
            continue;
        }
        let folder = folder.path().to_path_buf();
        let handle = state.as_ref().ok().and_then(|state| state.handle());
        let is_gone = matches!(state, Ok(ClusterState::Stale(_) | ClusterState::Gone(_)));
        clusters.push(ListedCluster {
            left: handle.filter(|_| is_gone).map(what_is_left).unwrap_or_default(),
            cluster,
            state: state.as_ref().map_or_else(|error| error.word(), |state| state.word()),
            host: handle.map(|handle| handle.host.clone()).unwrap_or_default(),
            launcher_pid: handle.map(|handle| handle.launcher.pid),
            engines_wanted: handle.map(|handle| handle.engines_wanted),
            started: handle.map(|handle| handle.started),
            folder,
        });
    }
    Ok(ListReport { clusters, tunnels: tunnels(arguments.common.cluster.as_deref())? })
}

fn tunnels(wanted: Option<&str>) -> Result<Vec<ListedTunnel>, Failure> {
    let mut tunnels = Vec::new();
    for (name, folder, record) in tunnel::all()? {
        if wanted.is_some() && wanted != name.as_deref() {
            continue;
        }
        let record = record.as_ref();
        let state = record.map_or_else(|error| error.word(), |record| record.word());
        let record = record.ok();
        tunnels.push(ListedTunnel {
            name,
            state,
            to: record.map(|record| LeadsTo { host: record.host.clone(), cluster: record.cluster.clone() }),
            host: record.map(|record| record.owner.host.clone()).unwrap_or_default(),
            pid: record.map(|record| record.owner.process.pid),
            started: record.map(|record| record.started),
            file: folder.client_file(),
        });
    }
    Ok(tunnels)
}
