//! Why engines are missing, as the launcher of their cluster tells it: for commands that wait for them.

use crate::report::progress::Progress;
use crate::requests;
use ipclusterz_launchers::cluster::handle::{ClusterHandle, Phase};
use std::time::{Duration, Instant};

/// How often a command that waits says what it waits for.
pub const SAY_INTERVAL: Duration = Duration::from_secs(5);
/// How often it asks the launcher.
pub const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the launcher may take to tell: it has the answer ready, but one elsewhere has to be asked through SSH.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What the launcher of a cluster of this host tells. None when it does not answer: it is still starting, is being
/// stopped, or has just ended, of which the controller's end tells.
pub fn of(handle: &ClusterHandle, deadline: Instant) -> Option<Progress> {
    // It answers nobody any more.
    if handle.phase == Phase::Stopping {
        return None;
    }
    let left = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(500), PATIENCE);
    requests::progress(&handle.socket_dir, left).ok()
}

/// The reason as the end of a sentence; nothing when there is none.
pub fn after(progress: Option<&Progress>) -> String {
    let reason = progress.map(Progress::reason).unwrap_or_default();
    if reason.is_empty() { String::new() } else { format!("; {reason}") }
}
