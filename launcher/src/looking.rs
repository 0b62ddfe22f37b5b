//! The connection of commands that look on.

use crate::clusters::no_such_cluster;
use crate::failures;
use ipclusterz_base::connection::{ConnectionError, ConnectionFile};
use ipclusterz_base::words::printable;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_runtime::client::{Client, ClientError};
use std::time::Duration;

/// How long the controller may take to let this client in.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of a cluster's controller.
pub fn connect(cluster: &str) -> Result<Client, Failure> {
    let folder = ClusterFolder::of(cluster)?;
    let file = ConnectionFile::read(&folder.client_file()).map_err(|error| match error {
        ConnectionError::Missing(_) => no_such_cluster(cluster),
        error => error.into(),
    })?;
    Client::connect(&file, PATIENCE).map_err(failures::of_client)
}

/// Why nothing is told.
pub fn failure(cluster: &str, error: ClientError) -> Failure {
    match error {
        ClientError::NoHistory(why) => Failure::new(Exit::Failure, format!("cluster {cluster:?}: {}", printable(&why))),
        error => failures::of_client(error),
    }
}
