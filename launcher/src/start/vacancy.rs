//! Makes sure that the name of a new cluster is free: removes a stale cluster, and refuses a name that is in use.

use crate::cleanup::remains::remove_remains;
use crate::clusters::{cluster_option, is_a_tunnel};
use crate::talk::Talk;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::Fate;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::tunnel::TunnelRecord;

/// Removes what a dead launcher or tunnel left. Fails if the name is in use. The caller must hold the cluster's lock.
pub fn free_name(name: &str, folder: &ClusterFolder, talk: &mut Talk) -> Result<(), Failure> {
    match ClusterState::of(folder)? {
        ClusterState::Absent => match TunnelRecord::read(folder)? {
            None => Ok(()),
            Some(record) if record.owner.fate() == Fate::Gone => {
                record.remove_remains(folder)?;
                talk.say(format!("{name:?} was a tunnel {}, whose process is gone", record.where_to()));
                Ok(())
            }
            Some(_) => Err(already_running(name, folder, &ClusterState::Absent)),
        },
        ClusterState::Stale(handle) => {
            let cleaned = remove_remains(folder, &handle)?;
            let killed = match cleaned.killed.len() {
                0 => String::new(),
                count => format!(", {count} of its processes still ran and were killed"),
            };
            let ended =
                if cleaned.ended.is_empty() { String::new() } else { format!(", ended {}", cleaned.ended.join(", ")) };
            talk.say(format!(
                "cluster {name:?} was stale: its launcher (pid {}) is gone{killed}{ended}",
                handle.launcher.pid
            ));
            Ok(())
        }
        // A live cluster holds the lock, unless its file system has no locks. That case is caught here.
        state => Err(already_running(name, folder, &state)),
    }
}

/// The failure for a name that is in use.
pub fn already_running(name: &str, folder: &ClusterFolder, state: &ClusterState) -> Failure {
    let Some(handle) = state.handle() else {
        if let Ok(Some(record)) = TunnelRecord::read(folder) {
            let failure = is_a_tunnel(name, &record);
            return Failure::new(Exit::AlreadyRunning, failure.message)
                .with_hint(format!("choose another name with --cluster NAME; {}", failure.hint.unwrap_or_default()));
        }
        return Failure::new(
            Exit::AlreadyRunning,
            format!("cluster {name:?} is being started or stopped by another ipclusterz"),
        )
        .with_hint("try again in a moment, or choose another name with --cluster NAME");
    };
    let message =
        format!("cluster {name:?} is {} on {} (launcher pid {})", state.word(), handle.host, handle.launcher.pid);
    match state {
        ClusterState::Elsewhere(handle) => Failure::new(Exit::AlreadyRunning, message.replace("elsewhere", "running"))
            .with_hint(format!(
                "choose another name with --cluster NAME, or stop it there; should {} be gone for good, remove {}",
                handle.host,
                ClusterFolder::of(name).map(|folder| folder.handle_file().display().to_string()).unwrap_or_default()
            )),
        _ => Failure::new(Exit::AlreadyRunning, message).with_hint(format!(
            "choose another name with --cluster NAME, or stop it: `ipclusterz stop{}`",
            cluster_option(name)
        )),
    }
}
