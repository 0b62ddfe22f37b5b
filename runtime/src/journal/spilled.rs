//! Segments beside the log: copies on disk of what is in shared memory alone, which does not survive a loss of power, nor the end of
//! the cluster.
//!
//! A segment lives for moments mostly. So it is copied by the thread that brings the journal to the disk, and only if it is still there
//! when somebody is about to be told that what has it is kept. Where a cluster ends and its journal stays, its launcher copies those
//! that the journal names.

use ipclusterz_base::private::{Folder, How};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

/// The names of the files begin so; the segment's name follows.
const PREFIX: &str = "seg-";

/// A copy that is to be made.
#[derive(Debug)]
pub struct Copy {
    /// The folder of segments.
    pub from: std::path::PathBuf,
    /// The journal's folder.
    pub to: std::path::PathBuf,
    /// The segment's name.
    pub name: String,
}

impl Copy {
    /// Makes it, on disk. A segment that is gone is not needed any more.
    pub fn make(&self) -> io::Result<()> {
        let (from, to) = (open(&self.from)?, open(&self.to)?);
        copy(&from, &self.name, &to, &file_name(&self.name))
    }
}

fn open(path: &Path) -> io::Result<Folder> {
    Folder::open(path).map_err(|error| io::Error::other(error.to_string()))
}

fn file_name(segment: &str) -> String {
    format!("{PREFIX}{segment}")
}

fn copy(from: &Folder, name: &str, to: &Folder, new: &str) -> io::Result<()> {
    let mut source = match from.file(name, How::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut target: File = to.file(new, How::Emptied)?;
    target.set_len(0)?;
    let copied = io::copy(&mut source, &mut target).and_then(|_| target.sync_all());
    copied.inspect_err(|_| {
        // The copy's error is the one to report.
        let _ = to.remove(new);
    })
}

/// The segments that were copied, and may still be needed.
#[derive(Debug, Default)]
pub struct Spilled(BTreeSet<String>);

impl Spilled {
    /// Puts back what is not there any more.
    pub fn bring_back(journal: &Path, segments: &Path) -> io::Result<Spilled> {
        let (journal, segments) = (open(journal)?, open(segments)?);
        let mut spilled = BTreeSet::new();
        for file in journal.names()? {
            let Some(name) = file.to_str().and_then(|file| file.strip_prefix(PREFIX)) else { continue };
            if segments.file(name, How::Read).is_err() {
                copy(&journal, &file_name(name), &segments, name)?;
            }
            spilled.insert(name.to_owned());
        }
        Ok(Spilled(spilled))
    }

    /// Removes what is not needed.
    pub fn keep_only(&mut self, journal: &Path, segments: &Path, is_needed: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let (journal, segments) = (open(journal)?, open(segments)?);
        for name in self.0.extract_if(.., |name| !is_needed(name.as_bytes())) {
            journal.remove(&file_name(&name))?;
            segments.remove(&name)?;
        }
        Ok(())
    }

    /// Those of `alive` of which there is no copy; from now on there is.
    pub fn missing<'a>(&mut self, alive: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let names = alive.filter_map(|name| std::str::from_utf8(name).ok());
        let missing: Vec<String> = names.filter(|name| !self.0.contains(*name)).map(str::to_owned).collect();
        self.0.extend(missing.iter().cloned());
        missing
    }

    /// A segment is not needed any more. The name of the file that can be removed, if there is one.
    pub fn forget(&mut self, name: &[u8]) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        self.0.remove(name).then(|| file_name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_in_memory_alone_is_there_again() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (from, to) = (root.path().join("segments"), root.path().join("journal"));
        for path in [&from, &to] {
            Folder::make(path).expect("a folder");
        }
        fs::write(from.join("1-0-ab"), b"hello").expect("write");
        let mut spilled = Spilled::default();
        let alive = || [&b"1-0-ab"[..], b"1-1-cd"].into_iter();
        let missing = spilled.missing(alive());
        assert_eq!((missing.len(), spilled.missing(alive()).len()), (2, 0));
        for name in missing {
            // The second one is gone already.
            Copy { from: from.clone(), to: to.clone(), name }.make().expect("a copy");
        }
        fs::remove_file(from.join("1-0-ab")).expect("remove");
        let mut again = Spilled::bring_back(&to, &from).expect("brought back");
        assert_eq!(fs::read(from.join("1-0-ab")).expect("read"), b"hello");
        again.keep_only(&to, &from, |name| name == b"1-0-ab").expect("kept");
        assert_eq!((again.forget(b"1-0-ab"), again.forget(b"1-0-ab")), (Some("seg-1-0-ab".to_owned()), None));
        let mut again = Spilled::bring_back(&to, &from).expect("brought back");
        again.keep_only(&to, &from, |_| false).expect("removed");
        assert!(!to.join("seg-1-0-ab").exists() && !from.join("1-0-ab").exists());
    }
}
