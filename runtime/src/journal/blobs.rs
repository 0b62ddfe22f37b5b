//! Large frames beside the log: each is a file of its own, and the frame is a mapping of it. So it takes no memory twice, and does not
//! go through the log.
//!
//! A file stays as long as something may name it: a frame that is alive, or a record of the log. When a frame is dropped, its file
//! is removed when the journal begins anew.

use crate::wire::Frame;
use crate::wire::segment::Mapping;
use crate::wire::sharing::Elsewhere;
use ipclusterz_base::private::{Folder, How};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Smaller frames go through the log.
pub const BLOB_MIN: usize = 256 << 10;
/// The names of the files begin so.
const PREFIX: &str = "blob-";

/// Which frames are files.
#[derive(Debug, Default)]
struct Table {
    /// By the address of the bytes.
    alive: HashMap<usize, u64>,
    /// Files whose frames are gone, and bytes of them.
    dead: Vec<u64>,
    dead_bytes: u64,
}

/// The files of one journal.
#[derive(Debug)]
pub struct Blobs {
    folder: Folder,
    table: Arc<Mutex<Table>>,
    last: Cell<u64>,
    /// Files that are not on disk yet.
    fresh: RefCell<Vec<Arc<File>>>,
}

/// The bytes of a frame that is a file.
struct Blob {
    mapping: Mapping,
    number: u64,
    table: Arc<Mutex<Table>>,
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self.mapping.as_ref()
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        let bytes = self.mapping.as_ref();
        let mut table = lock(&self.table);
        table.alive.remove(&(bytes.as_ptr() as usize));
        table.dead.push(self.number);
        table.dead_bytes = table.dead_bytes.saturating_add(bytes.len() as u64);
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

impl Blobs {
    /// Those that are in a folder.
    pub fn of(folder: Folder) -> io::Result<Blobs> {
        let names = folder.names()?;
        let numbers = names.iter().filter_map(|name| name.to_str()?.strip_prefix(PREFIX)?.parse::<u64>().ok());
        let last = Cell::new(numbers.max().unwrap_or_default());
        Ok(Blobs { folder, table: Arc::default(), last, fresh: RefCell::default() })
    }

    /// Writes a frame to a file, and gives the frame that is this file.
    pub fn keep(&self, frame: &Frame) -> io::Result<Frame> {
        let number = self.last.get().saturating_add(1);
        let mut file = self.folder.file(&name(number), How::New)?;
        if let Err(error) = file.write_all(frame) {
            // The write's error is the one to report.
            let _ = self.folder.remove(&name(number));
            return Err(error);
        }
        self.last.set(number);
        self.fresh.borrow_mut().push(Arc::new(file));
        self.open(number, frame.len())
    }

    /// The frame that is the file with this number.
    pub fn open(&self, number: u64, length: usize) -> io::Result<Frame> {
        let file = self.folder.file(&name(number), How::Read)?;
        if file.metadata()?.len() != length as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as long as the journal says"));
        }
        let mapping = Mapping::new(&file, length)?;
        lock(&self.table).alive.insert(mapping.as_ref().as_ptr() as usize, number);
        Ok(Frame::from_owner(Blob { mapping, number, table: Arc::clone(&self.table) }))
    }

    /// The number of the file that a frame is, if it is one.
    pub fn number_of(&self, bytes: &[u8]) -> Option<u64> {
        if bytes.len() < BLOB_MIN {
            return None;
        }
        lock(&self.table).alive.get(&(bytes.as_ptr() as usize)).copied()
    }

    /// Files that are not on disk yet; they are, before anybody is told that what has them is kept.
    pub fn take_fresh(&self) -> Vec<Arc<File>> {
        self.fresh.take()
    }

    /// Bytes of files whose frames are gone.
    pub fn dead_bytes(&self) -> u64 {
        lock(&self.table).dead_bytes
    }

    /// Removes the files that nothing names any more: there is an image without them, and no log.
    pub fn remove_unnamed(&self) -> io::Result<()> {
        let mut table = lock(&self.table);
        let alive: HashSet<u64> = table.alive.values().copied().collect();
        (table.dead, table.dead_bytes) = (Vec::new(), 0);
        drop(table);
        for name in self.folder.names()? {
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u64>().ok());
            if let Some(number) = number.filter(|number| !alive.contains(number)) {
                self.folder.remove(&self::name(number))?;
            }
        }
        Ok(())
    }
}

impl Elsewhere for Blobs {
    fn number_of(&self, bytes: &[u8]) -> Option<u64> {
        Blobs::number_of(self, bytes)
    }

    fn frame(&self, number: u64, length: usize) -> Option<Rc<dyn Any>> {
        Some(Rc::new(self.open(number, length).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_file_as_long_as_something_names_it() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("journal");
        let blobs = Blobs::of(Folder::make(&path).expect("a folder")).expect("blobs");
        let bytes = vec![7_u8; BLOB_MIN];
        let frame = blobs.keep(&Frame::from(bytes.clone())).expect("room");
        assert_eq!((&*frame, blobs.number_of(&frame), blobs.number_of(&bytes)), (&bytes[..], Some(1), None));
        assert_eq!(blobs.take_fresh().len(), 1);
        let copy = frame.clone();
        drop(frame);
        blobs.remove_unnamed().expect("removed");
        assert_eq!((blobs.number_of(&copy), blobs.dead_bytes()), (Some(1), 0));
        let again = Blobs::of(Folder::open(&path).expect("a folder")).expect("blobs");
        assert_eq!(*again.open(1, bytes.len()).expect("it is there"), bytes[..]);
        assert!(again.open(1, 3).is_err() && again.open(2, bytes.len()).is_err());
        drop(copy);
        assert_eq!(blobs.dead_bytes(), bytes.len() as u64);
        blobs.remove_unnamed().expect("removed");
        assert!(again.open(1, bytes.len()).is_err());
        assert_eq!(blobs.keep(&Frame::from(bytes)).map(|frame| blobs.number_of(&frame)).expect("room"), Some(2));
    }
}
