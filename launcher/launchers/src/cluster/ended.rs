//! The folders of clusters that have ended: nothing is left in them but a lock and logs, and a folder for a journal that has
//! none. Removes them. A folder with a journal stays: that may be taken up again.
//!
//! A folder is removed by the process that holds its lock, and is first given a name that no cluster can have. So
//! nobody finds half of it, and whoever wants the cluster's name gets a new folder at once.

use super::alive::PROBE;
use super::folder::ClusterFolder;
use super::lock::ClusterLock;
use super::state::ClusterState;
use super::tunnel::TunnelRecord;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private;
use ipclusterz_profile::tables::logs::LogsTable;
use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

/// Begins the names of folders that are being removed.
const GONE: &str = ".ended-";
/// What a folder of an ended cluster has in it.
const LEFT: [&str; 5] = ["alive", "lock", "logs", "journal", "probe"];
/// Begin the names of files that were being written when a process was killed.
const UNFINISHED: [&str; 7] =
    [PROBE, "client.json.", "cluster.json.", "engine.json.", "stage.json.", "takeover", "tunnel.json."];
const DAY: f64 = 24.0 * 3600.0;

/// Removes the folder of an ended cluster, for the holder of its lock. Returns false, and removes nothing, if anything
/// else is in it, or if the lock of the folder is another one by now.
pub fn remove(folder: &ClusterFolder, lock: ClusterLock) -> io::Result<bool> {
    let is_held = lock.stamp().is_ok_and(|stamp| stamp.is_at(folder) == Some(true));
    if !is_held || written(folder).is_none() {
        return Ok(false);
    }
    let gone = folder.path().with_file_name(format!("{GONE}{}", places::random_hex(8)));
    fs::rename(folder.path(), &gone)?;
    drop(lock);
    private::remove(&gone)?;
    Ok(true)
}

/// Removes the folders of ended clusters that `limits` do not keep: the oldest ones. Returns their names. `own` is a
/// cluster that this process is starting. With `dry_run` nothing is removed. What cannot be removed stays.
pub fn prune(limits: &LogsTable, own: Option<&str>, dry_run: bool) -> Result<Vec<String>, PlacesError> {
    let mut ended: Vec<(SystemTime, String, ClusterFolder)> = Vec::new();
    for name in places::list_clusters()?.into_iter().filter(|name| Some(name.as_str()) != own) {
        let folder = ClusterFolder::of(&name)?;
        ended.extend(written(&folder).map(|at| (at, name, folder)));
    }
    ended.sort_by(|(first, ..), (second, ..)| second.cmp(first));
    let beyond = ended.into_iter().enumerate().filter(|(index, (at, ..))| !keeps(limits, *index, *at));
    let removed = beyond.filter(|(_, (_, _, folder))| dry_run || take_and_remove(folder).unwrap_or(false));
    let names = removed.map(|(_, (_, name, _))| name).collect();
    if !dry_run {
        remove_rests();
    }
    Ok(names)
}

/// Whether the limits keep the logs that are younger than all but `index` others, and were last written `at`.
fn keeps(limits: &LogsTable, index: usize, at: SystemTime) -> bool {
    // A clock that was set back makes logs of the future. They are young.
    let age = at.elapsed().unwrap_or(Duration::ZERO).as_secs_f64();
    let few = limits.keep_number == 0 || index < limits.keep_number as usize;
    few && (limits.keep_days == 0.0 || age <= limits.keep_days * DAY)
}

fn take_and_remove(folder: &ClusterFolder) -> io::Result<bool> {
    match ClusterLock::take(folder)? {
        Some(lock) => remove(folder, lock),
        None => Ok(false),
    }
}

/// When the folder of an ended cluster was last written to; `None` if it is in use, or not ours to remove.
fn written(folder: &ClusterFolder) -> Option<SystemTime> {
    let ours = |name: &str| LEFT.contains(&name) || UNFINISHED.iter().any(|begin| name.starts_with(begin));
    for entry in fs::read_dir(folder.path()).ok()? {
        if !entry.ok()?.file_name().to_str().is_some_and(ours) {
            return None;
        }
    }
    if has_journal(folder) {
        return None;
    }
    if !matches!(ClusterState::of(folder), Ok(ClusterState::Absent)) || !matches!(TunnelRecord::read(folder), Ok(None))
    {
        return None;
    }
    let modified = |path: &std::path::Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let logs = fs::read_dir(folder.logs().path()).into_iter().flatten().flatten();
    let files = logs.filter_map(|entry| modified(&entry.path()));
    files.chain(modified(folder.logs().path())).max().or_else(|| modified(folder.path()))
}

/// Whether there is the image of a controller's state.
fn has_journal(folder: &ClusterFolder) -> bool {
    let entries = fs::read_dir(folder.journal()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("image-"))
}

/// Removes what a killed process had begun to remove.
fn remove_rests() {
    let entries = places::clusters_root().ok().and_then(|root| fs::read_dir(root).ok()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(GONE)) {
        // Another process may be about to do so.
        let _ = private::remove(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_profile::tables::logs::KeepLogs;

    fn ended(root: &std::path::Path, name: &str) -> ClusterFolder {
        let folder = ClusterFolder::at(root.join(name));
        fs::create_dir_all(folder.logs().path()).expect("create");
        fs::write(folder.logs().controller(), "").expect("write");
        fs::write(folder.lock_file(), "").expect("write");
        folder
    }

    #[test]
    fn only_a_lock_and_logs_are_removed() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (first, second) = (ended(root.path(), "a"), ended(root.path(), "b"));
        fs::write(second.client_file(), "").expect("write");
        fs::write(first.path().join("client.json.0123abcd"), "").expect("write");
        assert!(take_and_remove(&first).expect("remove") && !first.path().exists());
        assert!(!take_and_remove(&second).expect("a file of somebody") && second.logs().controller().exists());
        assert_eq!(fs::read_dir(root.path()).expect("list").count(), 1, "nothing else stays");
        let third = ended(root.path(), "c");
        fs::create_dir(third.journal()).expect("create");
        fs::write(third.journal().join("image-1"), "").expect("write");
        assert!(!take_and_remove(&third).expect("a journal") && third.journal().join("image-1").exists());
        fs::remove_file(third.journal().join("image-1")).expect("remove");
        assert!(take_and_remove(&third).expect("no journal any more"));
    }

    #[test]
    fn a_folder_in_use_stays_and_its_name_can_be_used_again() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = ended(root.path(), "a");
        let lock = ClusterLock::take(&folder).expect("take").expect("free");
        assert!(!take_and_remove(&folder).expect("in use") && folder.path().exists());
        assert!(remove(&folder, lock).expect("remove"));
        assert!(ClusterLock::take(&folder).expect("no folder").is_none());
        let again = ClusterLock::take_new(&folder).expect("take");
        assert!(again.is_some() && folder.lock_file().exists());
    }

    #[test]
    fn number_and_age_are_limits() {
        let limits = |keep_number, keep_days| {
            let (max_size, files) = ("10 MiB".to_owned(), 2);
            LogsTable { keep: KeepLogs::All, keep_number, keep_days, max_size, files }
        };
        let (now, old) = (SystemTime::now(), SystemTime::now() - Duration::from_secs(3 * 24 * 3600));
        assert!(keeps(&limits(2, 7.0), 1, old) && !keeps(&limits(2, 7.0), 2, now));
        assert!(!keeps(&limits(0, 2.0), 0, old) && keeps(&limits(0, 2.0), 99, now));
        assert!(keeps(&limits(0, 0.0), 99, SystemTime::UNIX_EPOCH));
        assert!(keeps(&limits(1, 1.0), 0, now + Duration::from_secs(3600)));
    }
}
