//! Which connection file is meant by the name of a cluster.

use crate::places::{self, PlacesError};
use std::path::PathBuf;

/// No cluster to connect to.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The name is not valid, or there is no folder for clusters.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// It is not running.
    #[error("no cluster named {0:?} is running; running: {1}")]
    NotRunning(String, String),
    /// More than one could be meant.
    #[error("no cluster named {default:?} is running, and more than one other is: {0}", default = places::DEFAULT_CLUSTER)]
    Ambiguous(String),
}

impl FindError {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            FindError::Ambiguous(_) => "name one: Client(cluster=\"NAME\")",
            _ => "`ipclusterz list` shows clusters, `ipclusterz -n 4` starts one",
        }
    }
}

/// The connection file for clients of the cluster `name`. Without a name: of the default cluster, or of the only one
/// that runs.
pub fn find_client_file(name: Option<&str>) -> Result<PathBuf, FindError> {
    let file = |name: &str| places::cluster_dir(name).map(|folder| folder.join("client.json"));
    let wanted = file(name.unwrap_or(places::DEFAULT_CLUSTER))?;
    if wanted.exists() {
        return Ok(wanted);
    }
    let mut running = places::list_clusters()?;
    running.retain(|name| file(name).is_ok_and(|path| path.exists()));
    match (name, &running[..]) {
        (None, [only]) => Ok(file(only)?),
        (None, [_, _, ..]) => Err(FindError::Ambiguous(running.join(", "))),
        (name, _) => {
            let name = name.unwrap_or(places::DEFAULT_CLUSTER).to_owned();
            let running = if running.is_empty() { "none".to_owned() } else { running.join(", ") };
            Err(FindError::NotRunning(name, running))
        }
    }
}
