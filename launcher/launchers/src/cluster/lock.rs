//! One launcher per cluster: the launcher holds an exclusive `flock` for as long as it lives.
//!
//! The kernel releases it when the process ends, however it ends, so that a lock is never stale.

use crate::cluster::folder::ClusterFolder;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

/// Held by the launcher of a cluster; dropping it lets the next one in.
#[derive(Debug)]
pub struct ClusterLock {
    _file: File,
}

impl ClusterLock {
    /// Takes the lock of `folder`, which must exist. `None` when another process has it; does not wait.
    pub fn take(folder: &ClusterFolder) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.lock_file())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
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
