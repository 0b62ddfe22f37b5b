//! `ipclusterz list`: all clusters of this user, told from their records alone.

use super::existing_clusters;
use crate::arguments::ListArguments;
use crate::failure::Failure;
use crate::report::{ListReport, ListedCluster};

/// Lists them.
pub fn run(arguments: &ListArguments) -> Result<ListReport, Failure> {
    let mut clusters = Vec::new();
    for (cluster, folder, state) in existing_clusters()? {
        if arguments.common.cluster.as_ref().is_some_and(|wanted| *wanted != cluster) {
            continue;
        }
        let folder = folder.path().to_path_buf();
        let handle = state.as_ref().ok().and_then(|state| state.handle());
        clusters.push(ListedCluster {
            cluster,
            state: state.as_ref().map_or("damaged", |state| state.word()),
            host: handle.map(|handle| handle.host.clone()).unwrap_or_default(),
            launcher_pid: handle.map(|handle| handle.launcher.pid),
            engines_wanted: handle.map(|handle| handle.engines_wanted),
            started: handle.map(|handle| handle.started),
            folder,
        });
    }
    Ok(ListReport { clusters })
}
