//! Private folders for sockets and pipes. Each belongs to one process, and can be found and removed if that is killed.
//!
//! # Format
//!
//! Beside each folder is `NAME.owner`: JSON, mode 0600, `version` read first. It is written before the folder is made
//! and removed after it, so that the owner of every folder is known.

use crate::identity::{Fate, Owner, ProcessIdentity};
use crate::record_file::{RecordError, read_record, write_record};
use crate::stderr::print_problem;
use ipclusterz_base::places::{self, PlacesError, RunDirs};
use ipclusterz_base::private::{self, Folder};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
const SUFFIX: &str = ".owner";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    owner: Owner,
    /// What the folder is for, in words for a person.
    what: String,
    /// A folder in shared memory that belongs to it, and is removed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segments: Option<PathBuf>,
}

/// A private folder of this process. Dropping it removes the folder with its content, and then the record.
#[derive(Debug)]
pub struct OwnedFolder {
    path: PathBuf,
}

impl OwnedFolder {
    /// Makes a folder whose name begins with `kind`. `what` says what it is for, in words for a person.
    pub fn new(kind: &str, what: &str) -> Result<Self, PlacesError> {
        Self::at(places::run_dirs(kind, &places::random_hex(4))?.socket_dir, what, None)
    }

    /// The same, with a folder for segments in shared memory, which is not made yet.
    pub fn with_segments(kind: &str, what: &str) -> Result<(Self, PathBuf), PlacesError> {
        let RunDirs { socket_dir, shared_memory_dir } = places::run_dirs(kind, &places::random_hex(4))?;
        Ok((Self::at(socket_dir, what, Some(shared_memory_dir.clone()))?, shared_memory_dir))
    }

    fn at(path: PathBuf, what: &str, segments: Option<PathBuf>) -> Result<Self, PlacesError> {
        if let Some(base) = path.parent() {
            places::make_private_dir(base)?;
        }
        let owner = Owner::this_process().map_err(|source| PlacesError::Io {
            what: "reading",
            path: PathBuf::from("/proc/self/stat"),
            source,
        })?;
        // From here on, dropping `folder` removes what has been made.
        let folder = Self { path };
        write_record(&Record { version: VERSION, owner, what: what.to_owned(), segments }, &record_of(&folder.path))?;
        places::make_private_dir(&folder.path)?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            print_problem(&error.to_string());
        }
    }
}

/// A folder whose owner is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftFolder {
    /// Where it is.
    pub path: PathBuf,
    /// What it was for.
    pub what: String,
    /// The process that owned it.
    pub owner: ProcessIdentity,
}

/// The folders on this host whose owners are gone, and an error for each record that cannot be read.
pub fn left() -> Vec<Result<LeftFolder, RecordError>> {
    let mut bases = vec![places::run_base(), places::run_base_without_session()];
    bases.dedup();
    bases.iter().flat_map(|base| left_in(base)).collect()
}

fn left_in(base: &Path) -> Vec<Result<LeftFolder, RecordError>> {
    // Nothing is listed if another user could write to `base`, or if it does not exist because nothing was ever made.
    let names = Folder::open(base).ok().and_then(|folder| folder.names().ok()).unwrap_or_default();
    let records = names.into_iter().map(|name| base.join(name)).filter(|path| folder_of(path).is_some());
    let left = |file: PathBuf| {
        let path = folder_of(&file)?;
        match read_record::<Record>(&file, VERSION) {
            Ok(Some(record)) if record.owner.fate() == Fate::Gone => {
                Some(Ok(LeftFolder { path, what: record.what, owner: record.owner.process }))
            }
            // The owner lives, or has just removed its record.
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    };
    records.filter_map(left).collect()
}

/// Removes a folder and then the record of its owner. It is no error if they are gone already.
pub fn remove(path: &Path) -> Result<(), PlacesError> {
    let record = record_of(path);
    let segments = read_record::<Record>(&record, VERSION).ok().flatten().and_then(|record| record.segments);
    for folder in segments.iter().map(PathBuf::as_path).chain([path, &record]) {
        private::remove(folder)?;
    }
    Ok(())
}

/// The path of the record for the folder `path`.
fn record_of(path: &Path) -> PathBuf {
    let mut record = path.as_os_str().to_owned();
    record.push(SUFFIX);
    PathBuf::from(record)
}

/// The folder that `record` belongs to; `None` if the file is no record.
fn folder_of(record: &Path) -> Option<PathBuf> {
    let name = record.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    record.is_file().then(|| record.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_a_dead_owner_left_is_found_and_the_rest_stays() {
        let base = tempfile::tempdir().expect("temporary folder");
        let private = base.path().join("run");
        let alive = OwnedFolder::at(private.join("ssh-1"), "a test", None).expect("a folder");
        assert_eq!(left_in(&private).len(), 0);

        let owner = Owner::this_process().expect("own stat");
        let process = ProcessIdentity { start_time: owner.process.start_time + 1, ..owner.process };
        let dead = Record {
            version: VERSION,
            owner: Owner { process, ..owner },
            what: "a tunnel".to_owned(),
            segments: Some(base.path().join("segments")),
        };
        places::make_private_dir(&base.path().join("segments/inside")).expect("a folder");
        let path = private.join("tunnel-2");
        places::make_private_dir(&path.join("inside")).expect("a folder");
        write_record(&dead, &record_of(&path)).expect("write");
        // An owner that was killed before it made its folder; and a cluster's folder, which `cluster.json` records.
        write_record(&dead, &record_of(&private.join("tunnel-3"))).expect("write");
        places::make_private_dir(&private.join("default-4")).expect("a folder");
        let found: Vec<LeftFolder> = left_in(&private).into_iter().map(|left| left.expect("readable")).collect();
        assert_eq!(found[0], LeftFolder { path, what: "a tunnel".to_owned(), owner: process });
        assert_eq!(found.len(), 2);
        for folder in &found {
            remove(&folder.path).expect("removed");
        }
        drop(alive);
        let names: Vec<_> = fs::read_dir(&private).expect("list").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["default-4"]);
        assert!(!base.path().join("segments").exists());
    }

    #[test]
    fn a_damaged_record_is_an_error_that_names_it() {
        let base = tempfile::tempdir().expect("temporary folder");
        let private = base.path().join("run");
        places::make_private_dir(&private).expect("a folder");
        fs::write(private.join("ssh-1.owner"), "{").expect("write");
        let found = left_in(&private);
        let error = found[0].as_ref().expect_err("damaged").to_string();
        assert!(error.contains("ssh-1.owner is damaged"), "{error}");
    }
}
