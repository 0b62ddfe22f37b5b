//! One log: records are gathered in memory, and written to its file in one piece.

use super::faults;
use super::files::Kind;
use super::record;
use ipclusterz_base::private::{Folder, How};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// So much memory the buffer keeps between two batches.
const KEPT: usize = 1 << 20;

/// A log that is appended to.
#[derive(Debug)]
pub struct Log {
    file: Arc<File>,
    buffer: Vec<u8>,
    /// Of the next record.
    number: u32,
    /// Bytes in the file that count.
    length: u64,
    /// The last mark in it says that so much is on disk.
    marked: u64,
    /// So many bytes of the file system are the file's.
    allocated: u64,
}

/// So much room is taken ahead: what is under way then has its place, also when the disk gets full.
const AHEAD: u64 = 1 << 20;

impl Log {
    /// A fresh one, on disk.
    pub fn create(folder: &Folder, version: u32, number: u64) -> io::Result<Log> {
        let file = folder.file(&Kind::Log.name(number), How::Emptied)?;
        file.set_len(0)?;
        let line = Kind::Log.first_line(version, number);
        file.write_all_at(line.as_bytes(), 0)?;
        file.sync_all()?;
        Ok(Log {
            file: Arc::new(file),
            buffer: Vec::new(),
            number: 0,
            length: line.len() as u64,
            marked: 0,
            allocated: 0,
        })
    }

    /// One that is there: `length` bytes of it count, and the next record has this number.
    pub fn resume(folder: &Folder, number: u64, length: u64, next: u32) -> io::Result<Log> {
        let file = folder.file(&Kind::Log.name(number), How::Kept)?;
        file.set_len(length)?;
        Ok(Log { file: Arc::new(file), buffer: Vec::new(), number: next, length, marked: 0, allocated: length })
    }

    /// Appends an event, which `write` adds to the buffer.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        record::push_event(&mut self.buffer, self.number, write);
        self.number = self.number.wrapping_add(1);
    }

    /// Up to this offset it is on disk. Said in it before the next record, so that damage is told from a torn end.
    pub fn mark(&mut self, offset: u64) {
        if offset > self.marked && self.buffer.is_empty() {
            self.marked = offset;
            record::push_synced(&mut self.buffer, self.number, offset);
            self.number = self.number.wrapping_add(1);
        }
    }

    /// Writes what was appended. When that fails, nothing has changed, and a later call tries again.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        faults::reach("batch.before-write");
        #[cfg(debug_assertions)]
        self.write_half()?;
        self.file.write_all_at(&self.buffer, self.length)?;
        self.length = self.length.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        faults::reach("batch.written");
        Ok(())
    }

    /// Brings everything to the disk, and says so in the log: what is not whole later is damage.
    pub fn finish(&mut self) -> io::Result<()> {
        self.commit()?;
        self.file.sync_all()?;
        self.mark(self.length);
        self.commit()?;
        self.file.sync_all()
    }

    /// For tests of a process that dies in the middle of a write.
    #[cfg(debug_assertions)]
    fn write_half(&self) -> io::Result<()> {
        if std::env::var_os("IPCLUSTERZ_FAULT").is_some() {
            let half = self.buffer.get(..self.buffer.len() / 2).unwrap_or_default();
            self.file.write_all_at(half, self.length)?;
            faults::reach("batch.half-written");
        }
        Ok(())
    }

    /// Takes room for `bytes` more, and for what is under way then. None is taken while there is enough.
    pub fn take_room(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.length.saturating_add(self.buffer.len() as u64).saturating_add(bytes);
        if end.saturating_add(AHEAD / 2) <= self.allocated {
            return Ok(());
        }
        let wanted = end.saturating_add(AHEAD);
        allocate(&self.file, wanted)?;
        self.allocated = wanted;
        Ok(())
    }

    /// What was appended and not written is not to be written.
    pub fn discard(&mut self) {
        self.buffer = Vec::new();
    }

    /// Bytes that were appended and not written.
    pub fn unwritten(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// For a thread that brings it to the disk.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }
}

/// Has the file system keep so many bytes for a file. Where it cannot do that, writes take what they need.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let Ok(length) = libc::off_t::try_from(bytes) else { return Err(io::ErrorKind::StorageFull.into()) };
    // SAFETY: the descriptor is open; no memory is involved.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, length) };
    let error = io::Error::last_os_error();
    let cannot = matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS));
    if result == 0 || cannot { Ok(()) } else { Err(error) }
}
