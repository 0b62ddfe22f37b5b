//! `ipclusterz restart`: asks the launcher to restart engines, and waits until they are there again.

use super::waiting::Waiting;
use crate::arguments::RestartArguments;
use crate::clusters::{check_cluster_goes_on, gone_hint, no_such_cluster};
use crate::report::RestartReport;
use crate::requests;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{cluster_name, seconds};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the controller may take to tell who is there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether the cluster goes on.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Asks the launcher, and waits unless `--timeout` is 0.
pub fn run(arguments: &RestartArguments, variables: &Variables) -> Result<RestartReport, Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let timeout = if arguments.timeout == 0.0 { None } else { Some(seconds("--timeout", arguments.timeout)?) };
    let folder = ClusterFolder::of(&cluster)?;
    let handle = live(&cluster, &folder)?;
    check_cluster_goes_on(&handle)?;
    let started = Instant::now();
    let mut waiting = Waiting::connect(ConnectionFile::read(&folder.client_file())?, CONNECT_PATIENCE)?;
    let before: BTreeSet<String> = waiting.engines().into_iter().map(|engine| engine.uuid).collect();
    let named: Vec<EngineId> = arguments.engine.iter().copied().map(EngineId).collect();
    let engines = requests::restart(&handle.socket_dir, Some(named).filter(|named| !named.is_empty()))?;
    if let Some(timeout) = timeout {
        wait(&handle, &mut waiting, &before, &engines, started + timeout)?;
    }
    Ok(RestartReport { cluster, engines, there: timeout.is_some(), seconds: started.elapsed().as_secs_f64() })
}

/// The record of a cluster whose launcher runs on this host.
fn live(cluster: &str, folder: &ClusterFolder) -> Result<ClusterHandle, Failure> {
    match ClusterState::of(folder)? {
        ClusterState::Live(handle) => Ok(handle),
        ClusterState::Elsewhere(handle) => {
            let message = format!(
                "cluster {cluster:?} was started on {}, and only from there its engines are restarted",
                handle.host
            );
            let hint = format!("run `ipclusterz restart --cluster {cluster}` on {}", handle.host);
            Err(Failure::new(Exit::Usage, message).with_hint(hint))
        }
        ClusterState::Gone(handle) => {
            let message = format!("the launcher of cluster {cluster:?}, on {}, gives no sign of life", handle.host);
            Err(Failure::new(Exit::Unreachable, message).with_hint(gone_hint(cluster, &handle)))
        }
        _ => Err(no_such_cluster(cluster)),
    }
}

/// Waits until all of these engines are there that were not `before`.
fn wait(
    handle: &ClusterHandle,
    waiting: &mut Waiting,
    before: &BTreeSet<String>,
    engines: &[EngineId],
    deadline: Instant,
) -> Result<(), Failure> {
    loop {
        let there: BTreeSet<EngineId> =
            waiting.engines().into_iter().filter(|new| !before.contains(&new.uuid)).map(|new| new.id).collect();
        let missing: Vec<String> = engines.iter().filter(|id| !there.contains(id)).map(EngineId::to_string).collect();
        if missing.is_empty() {
            return Ok(());
        }
        check_cluster_goes_on(handle)?;
        let now = Instant::now();
        if now >= deadline {
            let (cluster, missing) = (&handle.cluster, missing.join(", "));
            let message = format!("of cluster {cluster:?}, these engines are not there again yet: {missing}");
            let hint = format!("`ipclusterz logs --cluster {cluster}` has what they said; the launcher goes on trying");
            return Err(Failure::new(Exit::Timeout, message).with_hint(hint));
        }
        waiting.wait(deadline.min(now + LOOK_INTERVAL))?;
    }
}
