//! Large payloads between processes of one host: a file in the cluster's folder under /dev/shm, written once and
//! mapped by every reader.
//!
//! The sender creates a segment and sends its name instead of the bytes. A reader maps it privately (its writes are
//! its own, copied page by page when they happen). The controller alone unlinks: a request's segments when the last
//! target has answered, a reply's when the client has acknowledged it, a peer's when the peer is gone. What is
//! mapped stays valid after that. Where the folder is full or missing, payloads travel as frames.

use super::reaper;
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::places::random_hex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Smaller payloads are sent as frames: making, mapping and unlinking a segment costs some 40 µs.
pub const SEGMENT_MIN: usize = 256 << 10;

/// Longest name that is looked at.
const NAME_MAX: usize = 64;

/// A cluster's folder of segments.
#[derive(Debug, Clone)]
pub struct SegmentFolder {
    path: PathBuf,
}

impl SegmentFolder {
    /// The folder at `path`, which exists.
    pub fn new(path: PathBuf) -> Self {
        SegmentFolder { path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` to a new segment of `owner` and gives its name.
    ///
    /// # Errors
    /// `StorageFull` where the file system has not enough room; nothing is left behind then.
    pub fn create(&self, owner: PeerId, bytes: &[u8]) -> io::Result<String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{owner}-{}-{}", COUNT.fetch_add(1, Ordering::Relaxed), random_hex(8));
        let path = self.path.join(&name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // Written, not mapped: a full file system is then an error code, not a SIGBUS.
        if let Err(error) = file.write_all(bytes) {
            // The write's error is the one to report.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(name)
    }

    /// Maps the segment `name` of `length` bytes.
    pub fn map(&self, name: &[u8], length: u64) -> io::Result<Mapping> {
        let file = File::open(self.path_of(name)?)?;
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if file.metadata()?.len() != length as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the segment is not as long as announced"));
        }
        Mapping::new(&file, length)
    }

    /// Removes the segment `name`, soon; one that is gone already is fine.
    pub fn unlink(&self, name: &[u8]) {
        if let Ok(path) = self.path_of(name) {
            reaper::later(move || drop(fs::remove_file(path)));
        }
    }

    /// Removes all segments of `owner` for which `keep` is false.
    pub fn unlink_owner(&self, owner: PeerId, keep: impl Fn(&[u8]) -> bool) {
        let prefix = format!("{owner}-");
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(prefix.as_bytes()) && !keep(name) {
                self.unlink(name);
            }
        }
    }

    /// Names come from peers: nothing but what `create` makes is taken for a path.
    fn path_of(&self, name: &[u8]) -> io::Result<PathBuf> {
        let good = !name.is_empty()
            && name.len() <= NAME_MAX
            && name.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        match std::str::from_utf8(name) {
            Ok(name) if good => Ok(self.path.join(name)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a segment")),
        }
    }
}

/// A segment in this process's memory, writable and private to it.
#[derive(Debug)]
pub struct Mapping {
    address: *mut u8,
    length: usize,
}

// SAFETY: plain memory, owned by this value alone.
unsafe impl Send for Mapping {}
// SAFETY: shared access only reads; writers go through `as_mut_ptr` and answer for themselves.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &File, length: usize) -> io::Result<Mapping> {
        if length == 0 {
            return Ok(Mapping { address: std::ptr::NonNull::dangling().as_ptr(), length });
        }
        // SAFETY: a fresh mapping of an open file, whose length was checked; the file is never shortened.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { address: address.cast(), length })
    }

    /// Start of the bytes, for a holder that knows it is the only one to write through it.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.address
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped for `length` bytes until drop.
        unsafe { std::slice::from_raw_parts(self.address, self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            let (address, length) = (self.address as usize, self.length);
            // SAFETY: exactly what mmap gave, unmapped once, and nobody has it any more.
            reaper::later(move || unsafe {
                libc::munmap(address as *mut libc::c_void, length);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_back_written_privately_and_survives_its_name() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = SegmentFolder::new(root.path().to_path_buf());
        let name = folder.create(PeerId(3), b"hello").expect("create");
        let first = folder.map(name.as_bytes(), 5).expect("map");
        let second = folder.map(name.as_bytes(), 5).expect("map again");
        // SAFETY: the mapping is private and five bytes long.
        unsafe { *first.as_mut_ptr() = b'j' };
        folder.unlink_owner(PeerId(3), |_| false);
        reaper::finish();
        assert_eq!((first.as_ref(), second.as_ref()), (&b"jello"[..], &b"hello"[..]));
        assert_eq!(fs::read_dir(root.path()).expect("list").count(), 0);
    }

    #[test]
    fn names_from_peers_cannot_leave_the_folder() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = SegmentFolder::new(root.path().join("segments"));
        fs::write(root.path().join("cafe"), b"secret").expect("write");
        for name in [&b"../cafe"[..], b"/etc/passwd", b"", &[b'a'; 65]] {
            assert_eq!(folder.map(name, 6).expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = SegmentFolder::new(root.path().to_path_buf());
        let name = folder.create(PeerId(3), b"hello").expect("create");
        assert!(folder.map(name.as_bytes(), 1 << 40).is_err());
    }
}
