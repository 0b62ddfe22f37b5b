//! `ipclusterz abort`: gives up what waits on a cluster, whichever client it is from, and says what still runs.

use crate::arguments::AbortArguments;
use crate::clusters::no_such_cluster;
use crate::failures;
use crate::report::AbortReport;
use ipclusterz_base::connection::{ConnectionError, ConnectionFile};
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{cluster_name, seconds};
use ipclusterz_runtime::client::Client;
use ipclusterz_runtime::wire::message::Status;
use std::time::{Duration, Instant};

/// How often to ask whether the engines have given up what they had. The controller has no notification of that.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// Aborts the calls of all clients, and waits until that is done.
pub fn run(arguments: &AbortArguments, variables: &Variables) -> Result<AbortReport, Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let timeout = seconds("--timeout", arguments.timeout)?;
    let file = ConnectionFile::read(&ClusterFolder::of(&cluster)?.client_file()).map_err(|error| match error {
        ConnectionError::Missing(_) => no_such_cluster(&cluster),
        error => error.into(),
    })?;
    let client = Client::connect(&file, timeout).map_err(failures::of_client)?;
    let before = waiting(&client.status(timeout).map_err(failures::of_client)?);
    client.abort_all(None, true, arguments.interrupt, false).map_err(failures::of_client)?;
    let after = settled(&client, arguments.interrupt, timeout)?;
    Ok(AbortReport { cluster, before, waiting: waiting(&after), busy: busy(&after), interrupted: arguments.interrupt })
}

/// The state once nothing waits any more, and nothing runs if that is to end too; or at the deadline.
fn settled(client: &Client, interrupt: bool, timeout: Duration) -> Result<Status, Failure> {
    let deadline = Instant::now() + timeout;
    loop {
        let status = client.status(timeout).map_err(failures::of_client)?;
        let done = waiting(&status) == 0 && (!interrupt || busy(&status).is_empty());
        if done || Instant::now() >= deadline {
            return Ok(status);
        }
        // Events of engines that come and go make no difference here.
        client.wait_event(ASK_INTERVAL).map_err(failures::of_client)?;
    }
}

/// Calls that wait for an engine, or behind another one.
fn waiting(status: &Status) -> u64 {
    status.pending + status.engines.iter().map(|engine| engine.queue.saturating_sub(1)).sum::<u64>()
}

/// Engines that run a call.
fn busy(status: &Status) -> Vec<EngineId> {
    status.engines.iter().filter(|engine| engine.queue > 0).map(|engine| engine.id).collect()
}
