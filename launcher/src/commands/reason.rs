//! Why engines are missing, as the launcher of the cluster reports it; for commands that wait for engines.

use crate::report::progress::Progress;
use crate::requests;
use ipclusterz_launchers::cluster::handle::{ClusterHandle, Phase};
use std::time::{Duration, Instant};

/// How often a waiting command says what it waits for.
pub const SAY_INTERVAL: Duration = Duration::from_secs(5);
/// How often a waiting command asks the launcher.
pub const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the launcher may take to answer. It has the answer ready, but a launcher elsewhere is asked through SSH.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the launcher of a cluster on this host. `None` if it does not answer: it is starting, is being stopped, or has
/// just exited. In the last case, the caller sees the end of the controller.
pub fn of(handle: &ClusterHandle, deadline: Instant) -> Option<Progress> {
    // A stopping launcher answers nobody any more, and neither does one that does not go on.
    if handle.phase == Phase::Stopping || handle.launcher.halt().is_some() {
        return None;
    }
    let left = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(500), PATIENCE);
    requests::progress(&handle.socket_dir, left).ok()
}

/// The reason as the end of a sentence. Empty if there is none.
pub fn after(progress: Option<&Progress>) -> String {
    let reason = progress.map(Progress::reason).unwrap_or_default();
    if reason.is_empty() { String::new() } else { format!("; {reason}") }
}
