//! `alive`: the sign of life of a cluster's launcher, for commands on other hosts that share its folder. They cannot see its
//! process, nor does the end of a host release its locks on every file system.
//!
//! The launcher writes the file every [`INTERVAL`]. How old it is, is told by the clock of the file system alone: the asking
//! host writes a file of its own beside it, and compares the two. Some file systems take the time from the host that
//! writes; so whoever means to act on it also looks whether the file changes ([`Watch`]).
//!
//! A launcher that was held up (a stopped process, a virtual machine that was paused) may find that its cluster was taken
//! over meanwhile. Whoever takes over puts another lock into the folder, ends what the record has, and removes that: by
//! that, or by the record of another run, the launcher knows ([`Hold`]).

use super::folder::ClusterFolder;
use super::handle::ClusterHandle;
use super::lock::{ClusterLock, LockStamp};
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private::{self, How};
use std::fs;
use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// How often a launcher gives a sign of life.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// After so long without one, the launcher counts as gone if its controller does not answer either.
pub const LEASE: Duration = Duration::from_secs(30);
/// For so long a sign that is old already is watched: an interval, and time for a slow file system.
const WATCHED: Duration = Duration::from_secs(7);

/// What a launcher knows of the cluster that it holds. Cheap to clone, and for any thread.
#[derive(Debug, Clone)]
pub struct Hold {
    folder: ClusterFolder,
    run_id: String,
    lock: LockStamp,
}

impl Hold {
    /// The hold of the run `run_id`, for whoever has `lock`. Gives the first sign of life.
    pub fn new(folder: &ClusterFolder, run_id: &str, lock: &ClusterLock) -> Result<Self, PlacesError> {
        let hold = Self { folder: folder.clone(), run_id: run_id.to_owned(), lock: lock.stamp()? };
        hold.give_sign()?;
        Ok(hold)
    }

    /// Whether another process has taken the cluster over. What is not known for sure counts as no: a file system may number its
    /// files anew, and a user may remove one.
    pub fn is_lost(&self) -> bool {
        match ClusterHandle::read(&self.folder.handle_file()) {
            Ok(Some(handle)) => handle.run_id != self.run_id,
            Ok(None) => self.lock.is_at(&self.folder) == Some(false),
            Err(_) => false,
        }
    }

    fn give_sign(&self) -> Result<(), PlacesError> {
        let path = self.folder.alive_file();
        let number = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let written = private::open_to_write(&path, How::Kept)?.write_all(format!("{number:<40}\n").as_bytes());
        written.map_err(PlacesError::io("writing", &path))
    }

    /// Starts the thread that gives signs of life until the value is dropped, and calls `lost` when the cluster was taken
    /// over. It never waits for the file system at its end.
    pub fn keep(self, lost: impl FnOnce() + Send + 'static) -> io::Result<Keeper> {
        let (stop, stopped) = channel::<()>();
        let give = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if self.is_lost() {
                    return lost();
                }
                // A file system that fails may work again at the next one.
                let _ = self.give_sign();
            }
        };
        let thread = std::thread::Builder::new().name("alive".to_owned()).spawn(give)?;
        Ok(Keeper { stop: Some(stop), thread: Some(thread) })
    }
}

/// Lets a launcher give signs of life. None comes any more when it is dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic was printed.
            let _ = thread.join();
        }
    }
}

/// One look at a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sign {
    content: Vec<u8>,
    modified: Option<SystemTime>,
}

fn look(folder: &ClusterFolder) -> Option<Sign> {
    let path = folder.alive_file();
    // Opened, not only examined: NFS then asks the server.
    let content = private::read(&path, private::Trust::Ours).ok()?;
    Some(Sign { content, modified: fs::metadata(&path).and_then(|metadata| metadata.modified()).ok() })
}

/// Whether the launcher has given no sign of life for its lease. For who only looks: where this host's own clock finds a
/// young sign, that is believed, and nothing is written.
pub fn is_silent(folder: &ClusterFolder) -> bool {
    let Some(last) = look(folder).and_then(|sign| sign.modified) else { return true };
    let young = SystemTime::now().duration_since(last).is_ok_and(|age| age < LEASE);
    !young && age_of(folder, last).is_some_and(|age| age >= LEASE)
}

/// How long ago the launcher gave a sign of life, by the clock of the file system; `None` if it never did, or if that
/// cannot be known.
pub fn age(folder: &ClusterFolder) -> Option<Duration> {
    age_of(folder, look(folder)?.modified?)
}

/// The same for a file of the folder that was written to at `last`.
pub fn age_of(folder: &ClusterFolder, last: SystemTime) -> Option<Duration> {
    let probe = folder.path().join(format!("{PROBE}{}", places::random_hex(4)));
    let now = private::open_to_write(&probe, How::New).ok().and_then(|mut file| {
        file.write_all(b"\n").ok()?;
        file.metadata().ok()?.modified().ok()
    });
    // Nobody minds one that is left.
    let _ = private::remove(&probe);
    Some(now?.duration_since(last).unwrap_or_default())
}

/// Begins the names of the files that tell the time of the file system.
pub const PROBE: &str = "alive.";

/// Watches whether the launcher of a cluster gives a sign of life.
#[derive(Debug)]
pub struct Watch {
    folder: ClusterFolder,
    before: Option<Sign>,
    began: Instant,
    /// For how long it is to be watched.
    pub time: Duration,
}

impl Watch {
    /// Begins with how it is now.
    pub fn begin(folder: &ClusterFolder) -> Self {
        let before = look(folder);
        let left = age(folder).map_or(Duration::ZERO, |age| LEASE.saturating_sub(age));
        Self { folder: folder.clone(), before, began: Instant::now(), time: left.max(WATCHED) }
    }

    /// Whether there was a sign since.
    pub fn has_seen_one(&self) -> bool {
        look(&self.folder) != self.before
    }

    /// Whether it was watched for long enough.
    pub fn is_over(&self) -> bool {
        self.began.elapsed() >= self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, ClusterFolder) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cluster = ClusterFolder::at(folder.path());
        (folder, cluster)
    }

    #[test]
    fn a_sign_is_young_by_the_clock_of_the_file_system() {
        let (_root, folder) = folder();
        assert_eq!(age(&folder), None, "there was none");
        let lock = ClusterLock::take(&folder).expect("take").expect("free");
        let hold = Hold::new(&folder, "0123", &lock).expect("a hold");
        assert!(age(&folder).expect("a sign") < INTERVAL);
        let file = fs::File::options().write(true).open(folder.alive_file()).expect("open");
        file.set_modified(SystemTime::now() - Duration::from_secs(500)).expect("set");
        assert!(age(&folder).expect("a sign") >= Duration::from_secs(499));
        let watch = Watch::begin(&folder);
        assert!(!watch.has_seen_one() && !watch.is_over() && watch.time == WATCHED);
        hold.give_sign().expect("a sign");
        assert!(watch.has_seen_one());
        assert!(Watch::begin(&folder).time > LEASE - INTERVAL);
        let left: Vec<_> =
            fs::read_dir(folder.path()).expect("list").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left.len(), 2, "the lock and the sign: {left:?}");
    }

    #[test]
    fn a_hold_is_lost_when_another_run_is_there_or_another_lock_and_no_run() {
        let (_root, folder) = folder();
        let lock = ClusterLock::take(&folder).expect("take").expect("free");
        let own = ClusterHandle::starting("lab", "slurm", 2).expect("a record");
        let hold = Hold::new(&folder, &own.run_id, &lock).expect("a hold");
        assert!(!hold.is_lost(), "before there is a record");
        own.write(&folder.handle_file()).expect("write");
        assert!(!hold.is_lost());
        ClusterHandle { run_id: "another".to_owned(), ..own.clone() }.write(&folder.handle_file()).expect("write");
        assert!(hold.is_lost());
        own.write(&folder.handle_file()).expect("write");
        let other = ClusterLock::replace(&folder).expect("replace").expect("it is free");
        assert!(!hold.is_lost(), "what is taken over is not ended yet");
        fs::remove_file(folder.handle_file()).expect("remove");
        assert!(hold.is_lost() && lock.stamp().expect("stamp").is_at(&folder) == Some(false));
        assert_eq!(other.stamp().expect("stamp").is_at(&folder), Some(true));
        assert!(ClusterLock::take(&folder).expect("take").is_none(), "the new one counts");
    }
}
