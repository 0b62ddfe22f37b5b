//! Checks the folders that every cluster uses: uses them the way a start does, and removes again what that made.

use super::scratch::Scratch;
use crate::report::finding::Finding;
use ipclusterz_base::places::{self, RUNTIME_HINT, STATE_HINT};
use ipclusterz_base::private::{self, How};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system;
use ipclusterz_host::units::bytes;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Below this much, logs and connection files may not fit.
const LITTLE_SPACE: u64 = 100 << 20;
/// Clocks may differ this much without harm.
const SMALL_SKEW: Duration = Duration::from_secs(2);

/// Checks the runtime folder, with a socket in it, and a TCP port of the loopback interface.
pub fn sockets() -> Vec<Finding> {
    const CHECK: &str = "runtime folder";
    let unix = match try_socket() {
        Ok(folder) => Finding::ok(CHECK, format!("{}: yours alone, and takes sockets", folder.display())),
        Err(failure) => Finding::failed(CHECK, failure.message, failure.hint.unwrap_or(RUNTIME_HINT.to_owned())),
    };
    let tcp = match TcpListener::bind("127.0.0.1:0") {
        Ok(_) => Finding::ok("TCP", "can listen on 127.0.0.1"),
        Err(error) => {
            Finding::failed("TCP", format!("cannot listen on 127.0.0.1: {error}"), "bring the interface lo up")
        }
    };
    vec![unix, tcp]
}

/// Listens in a folder like a cluster's, and returns the folder that contains such folders.
fn try_socket() -> Result<PathBuf, Failure> {
    let folder = places::run_dirs("doctor", &places::random_hex(4))?.socket_dir;
    let base = folder.parent().unwrap_or(&folder).to_path_buf();
    let is_new = !base.exists();
    places::make_private_dir(&base)?;
    places::make_private_dir(&folder)?;
    let path = places::socket_path(&folder);
    let result = private::listen(&path).map(drop);
    // Errors are ignored: only the socket is checked here.
    let _ = private::remove(&folder);
    if is_new {
        let _ = std::fs::remove_dir(&base);
    }
    result.map_err(Failure::io(format!("listening at {}", path.display())))?;
    Ok(base)
}

/// Checks the folder of all clusters' records: it is writable, its locks work, it has room, and its clock is like ours.
pub fn state() -> Vec<Finding> {
    match places::state_root() {
        Ok(root) => state_in(&root),
        Err(error) => {
            vec![Finding::of_failure(STATE, error.into())]
        }
    }
}

const STATE: &str = "state folder";

fn state_in(root: &Path) -> Vec<Finding> {
    match Scratch::in_folder(root) {
        Err(error) => vec![Finding::of_failure(STATE, error.into())],
        Ok(scratch) => try_files(root, scratch.path()),
    }
}

fn try_files(root: &Path, folder: &Path) -> Vec<Finding> {
    let path = folder.join("lock");
    let locked = match try_lock(&path) {
        Ok(true) => writable(root),
        Ok(false) => Finding::failed(
            STATE,
            format!("{}: a file could be locked twice, so that two launchers could run one cluster", root.display()),
            STATE_HINT,
        ),
        Err(error) => Finding::failed(STATE, format!("{}: {error}", root.display()), STATE_HINT),
    };
    let skew = match file_time(&path) {
        Ok((file, before, after)) => judge_skew(file, before, after),
        Err(error) => Finding::failed("file clock", format!("writing {}: {error}", path.display()), STATE_HINT),
    };
    vec![locked, skew]
}

fn writable(root: &Path) -> Finding {
    let message = format!("{}: writable, with locks", root.display());
    match system::space(root) {
        Ok((_, left)) if left < LITTLE_SPACE => Finding::warning(
            STATE,
            format!("{message}, but only {} are free", bytes(left)),
            "free some, or set IPCLUSTERZ_HOME to a folder elsewhere",
        ),
        Ok((_, left)) => Finding::ok(STATE, format!("{message}, {} free", bytes(left))),
        Err(error) => Finding::warning(STATE, format!("{message}; its size is not known: {error}"), ""),
    }
}

/// Whether a lock keeps a second one out.
fn try_lock(path: &Path) -> io::Result<bool> {
    let open = || private::open_to_write(path, How::Kept);
    let lock = |file: &File| match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    };
    let (first, second) = (open()?, open()?);
    Ok(lock(&first)? && !lock(&second)?)
}

/// The time that the file system gives a file written now, and our own times before and after the write.
fn file_time(path: &Path) -> io::Result<(SystemTime, SystemTime, SystemTime)> {
    let before = SystemTime::now();
    let mut file = private::open_to_write(path, How::Kept)?;
    file.write_all(b"now")?;
    file.sync_all()?;
    let modified = path.metadata()?.modified()?;
    Ok((modified, before, SystemTime::now()))
}

/// The kernel stamps files with the time of its last tick, which is a little before the call.
fn judge_skew(file: SystemTime, before: SystemTime, after: SystemTime) -> Finding {
    const CHECK: &str = "file clock";
    let behind = before.duration_since(file).unwrap_or_default();
    let ahead = file.duration_since(after).unwrap_or_default();
    let off = behind.max(ahead);
    if off <= SMALL_SKEW {
        return Finding::ok(CHECK, "files of the state folder are stamped with this host's time");
    }
    let direction = if ahead > behind { "ahead of" } else { "behind" };
    Finding::warning(
        CHECK,
        format!("the state folder's file system is {:.1} s {direction} this host's clock", off.as_secs_f64()),
        "have the clocks of this host and of the file server set by NTP",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    #[test]
    fn a_good_folder_is_left_as_it_was() {
        let parent = tempfile::tempdir().expect("folder");
        let root = parent.path().join("a/b");
        let findings = state_in(&root);
        assert!(findings.iter().all(|finding| finding.level != Level::Failed), "{findings:?}");
        assert!(!parent.path().join("a").exists(), "nothing is left");
        std::fs::create_dir_all(&root).expect("create");
        state_in(&root);
        assert_eq!(std::fs::read_dir(&root).expect("still there").count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_fails() {
        let findings = state_in(Path::new("/proc/nowhere"));
        assert!(findings[0].level == Level::Failed && findings[0].hint.is_some(), "{findings:?}");
    }

    #[test]
    fn the_kernels_tick_is_no_skew_but_seconds_are() {
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        assert_eq!(judge_skew(now - Duration::from_millis(4), now, now).level, Level::Ok);
        let late = judge_skew(now - 5 * second, now, now);
        assert_eq!(late.message, "the state folder's file system is 5.0 s behind this host's clock");
        assert_eq!(judge_skew(now + 5 * second, now, now).level, Level::Warning);
    }
}
