//! Waiting for what happens in a cluster, also while its controller is started again.

use crate::failures;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_runtime::client::{Client, EngineInfo, Event};
use std::time::{Duration, Instant};

/// How often to look whether a cluster without a controller goes on.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A connection to a controller that may die and come back.
pub struct Waiting {
    file: ConnectionFile,
    client: Client,
    /// Why there is no session, if there is none.
    lost: Option<String>,
}

impl Waiting {
    /// Connects.
    pub fn connect(file: ConnectionFile, timeout: Duration) -> Result<Self, Failure> {
        let client = Client::connect(&file, timeout).map_err(failures::of_client)?;
        Ok(Self { file, client, lost: None })
    }

    /// The engines that are there.
    pub fn engines(&self) -> Vec<EngineInfo> {
        self.client.engines()
    }

    /// Returns when something has happened, or may have, and no later than `until`. Fails if the cluster has ended.
    pub fn wait(&mut self, until: Instant) -> Result<(), Failure> {
        let mut left = until.saturating_duration_since(Instant::now());
        if self.lost.is_some() {
            left = left.min(LOOK_INTERVAL);
        }
        if let Some(Event::Disconnected { reason }) = self.client.wait_event(left).map_err(failures::of_client)? {
            self.lost = Some(reason);
        }
        // The client connects again by itself.
        if self.client.engine_ids().is_ok() {
            self.lost = None;
        }
        match &self.lost {
            Some(reason) if self.file.keeper.is_none() || self.file.ended().is_some() => {
                let cluster = &self.file.cluster;
                Err(Failure::new(Exit::NoCluster, format!("cluster {cluster:?} has ended: {reason}")))
            }
            _ => Ok(()),
        }
    }
}
