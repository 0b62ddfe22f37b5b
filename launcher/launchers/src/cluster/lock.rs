//! One launcher per cluster: the launcher holds an exclusive `flock` for as long as it lives.
//!
//! The kernel releases it when the process ends, however it ends, so that a lock is never stale.
//!
//! The folder of an ended cluster is removed together with its lock, by the holder. Another process may have opened that
//! file just before; so a lock counts only if its file still is the one in the folder.

use crate::cluster::folder::ClusterFolder;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private::{self, How};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Held by the launcher of a cluster; dropping it lets the next one in.
#[derive(Debug)]
pub struct ClusterLock {
    file: File,
}

/// Which file a lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockStamp {
    device: u64,
    inode: u64,
}

impl LockStamp {
    /// Whether this is the lock of `folder`; `None` if that cannot be seen.
    pub fn is_at(self, folder: &ClusterFolder) -> Option<bool> {
        match fs::metadata(folder.lock_file()) {
            Ok(there) => Some((there.dev(), there.ino()) == (self.device, self.inode)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }
}

impl ClusterLock {
    /// Takes the lock of `folder`. `None` when another process has it, or there is no such folder; does not wait.
    pub fn take(folder: &ClusterFolder) -> Result<Option<Self>, PlacesError> {
        let path = folder.lock_file();
        loop {
            let file = match private::open_to_write(&path, How::Kept) {
                Err(error) if error.is_missing() => return Ok(None),
                opened => opened?,
            };
            match file.try_lock() {
                Ok(()) if is_at(&file, &path).map_err(PlacesError::io("examining", &path))? => {
                    return Ok(Some(Self { file }));
                }
                // Its folder was removed meanwhile.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(PlacesError::io("locking", &path)(error)),
            }
        }
    }

    /// Puts a new lock in the place of one whose holder is gone with its host, and takes that. `None` when another process was
    /// quicker. The caller has made sure that nobody else does the same.
    pub fn replace(folder: &ClusterFolder) -> Result<Option<Self>, PlacesError> {
        private::remove(&folder.lock_file())?;
        Self::take(folder)
    }

    /// Which file it is.
    pub fn stamp(&self) -> Result<LockStamp, PlacesError> {
        let metadata = self.file.metadata().map_err(PlacesError::io("examining", Path::new("the cluster's lock")))?;
        Ok(LockStamp { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Like [`ClusterLock::take`], and makes the folder unless it is there.
    pub fn take_new(folder: &ClusterFolder) -> Result<Option<Self>, PlacesError> {
        loop {
            places::make_private_dir(folder.path())?;
            let lock = Self::take(folder)?;
            // An ended cluster's folder may be removed between the two steps.
            if lock.is_some() || folder.path().exists() {
                return Ok(lock);
            }
        }
    }
}

/// Whether `file` still is what has this path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_comes_in_when_the_first_has_left() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let folder = ClusterFolder::at(folder.path());
        let first = ClusterLock::take(&folder).expect("take");
        assert!(first.is_some());
        assert!(ClusterLock::take(&folder).expect("take").is_none());
        drop(first);
        assert!(ClusterLock::take(&folder).expect("take").is_some());
    }
}
