//! Makes sure that the name of a new cluster is free: removes a stale cluster, takes over one whose host is gone, and refuses a
//! name that is in use.

use crate::cleanup::elsewhere::{self, Verdict};
use crate::cleanup::remains::remove_remains;
use crate::clusters::{cluster_option, is_a_tunnel};
use crate::talk::Talk;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::Fate;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::tunnel::TunnelRecord;

/// Takes the lock of the cluster's folder and frees its name. Fails if the name is in use.
pub fn take_name(name: &str, folder: &ClusterFolder, talk: &mut Talk) -> Result<ClusterLock, Failure> {
    let lock = ClusterLock::take_new(folder)?;
    let state = ClusterState::of(folder)?;
    if let ClusterState::Elsewhere(handle) | ClusterState::Gone(handle) = &state {
        // The lock says nothing: a file system may have none, or hold it for a host that is gone.
        drop(lock);
        return take_over(name, folder, handle, talk);
    }
    let lock = lock.ok_or_else(|| already_running(name, folder, &state))?;
    free_name(name, folder, talk)?;
    if lock.stamp()?.is_at(folder) == Some(false) {
        return Err(already_running(name, folder, &ClusterState::Absent));
    }
    Ok(lock)
}

/// Takes the lock and the name of a cluster of another host that is gone.
fn take_over(
    name: &str,
    folder: &ClusterFolder,
    handle: &ClusterHandle,
    talk: &mut Talk,
) -> Result<ClusterLock, Failure> {
    match elsewhere::judge(folder, handle) {
        Verdict::Lives(how) => Err(runs_elsewhere(name, handle, &how)),
        Verdict::Gone(why, watch) => {
            let taken = elsewhere::take_over(folder, handle, &watch)?;
            let (lock, cleaned) = taken.ok_or_else(|| already_running(name, folder, &ClusterState::Absent))?;
            let of = |what: &str, words: &[String]| match words {
                [] => String::new(),
                words => format!("; {what}: {}", words.join(", ")),
            };
            let (ended, left) = (of("ended", &cleaned.ended), of("not looked at", &cleaned.not_looked_at));
            talk.say(format!("cluster {name:?} of {} is taken over: {why}{ended}{left}", handle.host));
            Ok(lock)
        }
    }
}

fn runs_elsewhere(name: &str, handle: &ClusterHandle, how: &str) -> Failure {
    let (host, pid) = (&handle.host, handle.launcher.pid);
    let message = format!("cluster {name:?} is running on {host} (launcher pid {pid}): {how}");
    Failure::new(Exit::AlreadyRunning, message).with_hint(format!(
        "choose another name with --cluster NAME, or stop it: `ipclusterz stop{}`, there if not from here",
        cluster_option(name)
    ))
}

/// Removes what a dead launcher or tunnel left. Fails if the name is in use. The caller must hold the cluster's lock.
fn free_name(name: &str, folder: &ClusterFolder, talk: &mut Talk) -> Result<(), Failure> {
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
fn already_running(name: &str, folder: &ClusterFolder, state: &ClusterState) -> Failure {
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
    Failure::new(Exit::AlreadyRunning, message).with_hint(format!(
        "choose another name with --cluster NAME, or stop it: `ipclusterz stop{}`",
        cluster_option(name)
    ))
}
