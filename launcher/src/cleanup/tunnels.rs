//! Removes what is left of tunnels whose process was killed.

use super::remains::CleanupError;
use ipclusterz_host::identity::Fate;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::tunnel::TunnelRecord;

/// Removes what a killed tunnel left in the folder of the cluster `name`. Returns false if nothing is left, or if a new
/// tunnel has taken over. Fails if another process holds the cluster's lock.
pub fn take_and_remove(name: &str, folder: &ClusterFolder) -> Result<bool, CleanupError> {
    let lock = ClusterLock::take(folder).map_err(CleanupError::Lock)?;
    match TunnelRecord::read(folder) {
        Ok(Some(record)) if record.owner.fate() == Fate::Gone => {
            lock.ok_or_else(|| CleanupError::Busy(name.to_owned()))?;
            record.remove_remains(folder)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
