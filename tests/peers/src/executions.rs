//! The file that says which task was executed, once for each time.

use crate::numbers::Key;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Appended to before a task is answered, without a buffer: what was executed stands there, whoever is killed.
#[derive(Debug)]
pub struct Executions {
    file: Option<File>,
    count: u64,
}

impl Executions {
    /// None are written where there is no path.
    pub fn open(path: Option<&Path>) -> io::Result<Executions> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        Ok(Executions { file: path.map(|path| options.open(path)).transpose()?, count: 0 })
    }

    /// A task begins.
    pub fn add(&mut self, key: Key) -> io::Result<()> {
        self.count += 1;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&key.bytes()))
    }

    /// How many tasks have begun.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_appended_to_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("executions");
        let keys = [Key::new(0, 1, 2), Key::new(0, 3, 4), Key::new(0, 1, 2)];
        for key in keys {
            Executions::open(Some(&path)).and_then(|mut executions| executions.add(key)).expect("written");
        }
        let bytes = std::fs::read(&path).expect("the file");
        let read: Vec<Key> = bytes.chunks(8).filter_map(Key::read).collect();
        assert_eq!(read, keys);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().expect("the file").permissions().mode() & 0o777, 0o600);
    }
}
