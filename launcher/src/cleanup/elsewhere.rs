//! Ends what a launcher has left that ran on another host: jobs, by their ids, and engines that are reached by SSH. What was a
//! process of that host cannot be looked at from here.
//!
//! That a launcher is gone, is known when its controller does not answer and it has given no sign of life for its lease
//! (`launchers/src/cluster/alive.rs`). Of several processes that find so at once, one takes over: the one that makes the file
//! `takeover`. Before it ends anything it puts another lock into the folder, by which a launcher that was only held up
//! knows that the cluster is not its own any more.

use super::remains::{Cleaned, CleanupError, remove_remains};
use crate::failures;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private::{self, How, Trust};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::alive::{self, Watch};
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_runtime::client::Client;
use std::io;
use std::time::Duration;

/// How long a controller on another host may take to answer.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(5);
/// The time between two looks for a sign of life.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A file `takeover` that is older was left by a process that was killed meanwhile.
const TAKEOVER_TIME: Duration = Duration::from_secs(900);

/// Whether a launcher on another host is there.
pub enum Verdict {
    /// It is, or its controller. For a person: by what that is known.
    Lives(String),
    /// It is gone. For a person: by what that is known; with what it was watched by.
    Gone(String, Watch),
}

/// Connects to the controller of a cluster on another host.
pub fn controller(folder: &ClusterFolder) -> Result<Client, Failure> {
    let file = ConnectionFile::read(&folder.client_file())?;
    Client::connect(&file, CONTROLLER_PATIENCE).map_err(failures::of_client)
}

/// Finds out whether the launcher of a cluster is there. Blocks for as long as its lease lasts, and says so.
pub fn judge(folder: &ClusterFolder, handle: &ClusterHandle) -> Verdict {
    let watch = Watch::begin(folder);
    let silence = match controller(folder) {
        Ok(_) => return Verdict::Lives("its controller answers".to_owned()),
        Err(failure) => failure.message,
    };
    let (name, host, seconds) = (&handle.cluster, &handle.host, watch.time.as_secs());
    print_line(&format!("cluster {name:?}: waiting up to {seconds} s for a sign of life of its launcher on {host}"));
    while !watch.is_over() {
        if watch.has_seen_one() {
            let signs = "its launcher gives signs of life in the cluster's folder";
            return Verdict::Lives(format!("{signs}, but its controller cannot be reached from here: {silence}"));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Verdict::Gone(format!("its launcher gives no sign of life, and its controller does not answer: {silence}"), watch)
}

/// Ends what is left of a cluster whose launcher is [`Verdict::Gone`], and removes its files. Returns the cluster's new
/// lock with what was ended; `None` if another process has done so, or the launcher is there again.
pub fn take_over(
    folder: &ClusterFolder,
    handle: &ClusterHandle,
    watch: &Watch,
) -> Result<Option<(ClusterLock, Cleaned)>, CleanupError> {
    let _claim = Claim::take(folder, &handle.cluster)?;
    let is_same = ClusterHandle::read(&folder.handle_file())
        .is_ok_and(|now| now.is_some_and(|now| now.run_id == handle.run_id && now.host == handle.host));
    if !is_same || watch.has_seen_one() {
        return Ok(None);
    }
    let lock = ClusterLock::replace(folder).map_err(CleanupError::Lock)?;
    let Some(lock) = lock else { return Err(CleanupError::Busy(handle.cluster.clone())) };
    free_journal(folder)?;
    // The record may have been written since.
    let newest = ClusterHandle::read(&folder.handle_file()).ok().flatten();
    let newest = newest.filter(|newest| newest.run_id == handle.run_id).unwrap_or_else(|| handle.clone());
    Ok(Some((lock, remove_remains(folder, &newest)?)))
}

/// Puts a copy in the place of the journal: a controller that is held up, or a file system that does not know yet that its
/// host is gone, keeps files of it locked, and the one may write to them later.
fn free_journal(folder: &ClusterFolder) -> Result<(), PlacesError> {
    let journal = folder.journal();
    if !journal.exists() {
        return Ok(());
    }
    let (copy, old) = (folder.path().join("takeover-new"), folder.path().join("takeover-old"));
    private::remove(&copy)?;
    private::remove(&old)?;
    places::make_private_dir(&copy)?;
    for name in private::names(&journal)? {
        // The index of a database's log belongs to the processes that have it open; it is made from the log.
        if name.to_string_lossy().ends_with("-shm") {
            continue;
        }
        let mut from = private::open(&journal.join(&name), Trust::Ours)?;
        let to = copy.join(&name);
        io::copy(&mut from, &mut private::open_to_write(&to, How::New)?).map_err(PlacesError::io("copying", &to))?;
    }
    std::fs::rename(&journal, &old).map_err(PlacesError::io("renaming", &journal))?;
    std::fs::rename(&copy, &journal).map_err(PlacesError::io("renaming", &copy))?;
    private::remove(&old)
}

/// Ends what is left of a cluster of another host if its launcher is gone. For `gc`: `None` if it is there.
pub fn end_if_gone(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<Option<Cleaned>, CleanupError> {
    match judge(folder, handle) {
        Verdict::Lives(_) => Ok(None),
        Verdict::Gone(_, watch) => Ok(take_over(folder, handle, &watch)?.map(|(_, cleaned)| cleaned)),
    }
}

/// The file `takeover`, removed when the value is dropped.
struct Claim(ClusterFolder);

impl Claim {
    fn take(folder: &ClusterFolder, cluster: &str) -> Result<Self, CleanupError> {
        let path = folder.takeover_file();
        let made = || private::open_to_write(&path, How::New);
        let taken = match made() {
            Err(error) if is_there(&error) && is_left(folder) => {
                private::remove(&path)?;
                made()
            }
            taken => taken,
        };
        match taken {
            Ok(_) => Ok(Self(folder.clone())),
            Err(error) if is_there(&error) => Err(CleanupError::Busy(cluster.to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_there(error: &PlacesError) -> bool {
    matches!(error, PlacesError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
}

fn is_left(folder: &ClusterFolder) -> bool {
    let made = std::fs::metadata(folder.takeover_file()).and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| alive::age_of(folder, made).is_some_and(|age| age > TAKEOVER_TIME))
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A later process finds that it is old.
        let _ = private::remove(&self.0.takeover_file());
    }
}
