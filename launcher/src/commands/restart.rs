//! `ipclusterz restart`: asks the launcher to restart engines, and waits until they are there again.

use super::waiting::Waiting;
use crate::arguments::RestartArguments;
use crate::clusters::{check_cluster_goes_on, live};
use crate::report::RestartReport;
use crate::requests;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
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
    let command = format!("restart --cluster {cluster}");
    let handle = live(&cluster, &folder, "its engines are restarted", &command)?;
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
