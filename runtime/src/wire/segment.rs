//! Large payloads between processes of one host: a file in the cluster's folder under /dev/shm, written once and
//! mapped by every reader.
//!
//! The sender creates a segment and sends its name instead of the bytes. A reader maps it privately (its writes are
//! its own, copied page by page when they happen). The controller alone unlinks: a request's segments when the last
//! target has answered, a reply's when the client has acknowledged it, a peer's when the peer is gone. What is
//! mapped stays valid after that. Where the folder is full or missing, payloads travel as frames.

use super::reaper;
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::private::{Folder, How};
use ipclusterz_base::random::random_hex;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Smaller payloads are sent as frames: making, mapping and unlinking a segment costs some 40 µs.
pub const SEGMENT_MIN: usize = 256 << 10;

/// Longest name that is looked at.
const NAME_MAX: usize = 64;

/// A cluster's folder of segments, which is this user's alone.
#[derive(Debug, Clone)]
pub struct SegmentFolder {
    folder: Arc<Folder>,
}

impl SegmentFolder {
    /// Makes the folder at `path`.
    pub fn make(path: &Path) -> Result<Self, PlacesError> {
        Ok(SegmentFolder { folder: Arc::new(Folder::make(path)?) })
    }

    /// The folder at `path`; `None` if there is none, as in a container with a /dev/shm of its own.
    pub fn open(path: &Path) -> Result<Option<Self>, PlacesError> {
        match Folder::open(path) {
            Err(error) if error.is_missing() => Ok(None),
            folder => Ok(Some(SegmentFolder { folder: Arc::new(folder?) })),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `bytes` to a new segment of `owner` and gives its name.
    ///
    /// # Errors
    /// `StorageFull` where the file system has not enough room; nothing is left behind then.
    pub fn create(&self, owner: PeerId, bytes: &[u8]) -> io::Result<String> {
        let begun = self.begin(owner)?;
        // Written, not mapped: a full file system is then an error code, not a SIGBUS.
        begun.write_at(bytes, 0)?;
        Ok(begun.keep())
    }

    /// A new segment of `owner` that is written piece by piece. It goes unless it is kept.
    pub fn begin(&self, owner: PeerId) -> io::Result<Begun> {
        let name = new_name(owner);
        let file = self.folder.file(&name, How::New)?;
        Ok(Begun { folder: self.clone(), name, file })
    }

    /// Maps the segment `name` of `length` bytes.
    pub fn map(&self, name: &[u8], length: u64) -> io::Result<Mapping> {
        let file = self.folder.file(checked(name)?, How::Read)?;
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if file.metadata()?.len() != length as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the segment is not as long as announced"));
        }
        Mapping::new(&file, length)
    }

    /// Removes the segment `name`, soon; one that is gone already is fine.
    pub fn unlink(&self, name: &[u8]) {
        if let Ok(name) = checked(name) {
            let (folder, name) = (Arc::clone(&self.folder), name.to_owned());
            reaper::later(move || drop(folder.remove(&name)));
        }
    }

    /// Removes all segments of `owner` for which `keep` is false.
    pub fn unlink_owner(&self, owner: PeerId, mut keep: impl FnMut(&[u8]) -> bool) {
        let prefix = format!("{owner}-");
        for name in self.folder.names().unwrap_or_default() {
            let name = name.as_encoded_bytes();
            if name.starts_with(prefix.as_bytes()) && !keep(name) {
                self.unlink(name);
            }
        }
    }
}

/// A segment that nobody knows of yet.
#[derive(Debug)]
pub struct Begun {
    folder: SegmentFolder,
    name: String,
    file: File,
}

impl Begun {
    /// Writes at this place.
    pub fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, place)
    }

    /// Reads what is there, from the beginning, into `bytes`, which may have room for more.
    pub fn read(&self, bytes: &mut [u8]) -> io::Result<()> {
        let (mut place, file) = (0_usize, self.folder.folder.file(&self.name, How::Read)?);
        while let Some(room) = bytes.get_mut(place..).filter(|room| !room.is_empty()) {
            match file.read_at(room, place as u64) {
                Ok(0) => break,
                Ok(length) => place = place.saturating_add(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Maps it; so many bytes were written.
    pub fn map(&self, length: u64) -> io::Result<Mapping> {
        self.folder.map(self.name.as_bytes(), length)
    }

    /// It stays; its name.
    pub fn keep(mut self) -> String {
        std::mem::take(&mut self.name)
    }

    /// It stays, as a segment of `owner`; its name.
    pub fn keep_for(self, owner: PeerId) -> io::Result<String> {
        let name = new_name(owner);
        self.folder.folder.rename(&self.name, &name)?;
        self.keep();
        Ok(name)
    }

    /// Another name for it, as a segment of `owner`, which stays when this one goes.
    pub fn link(&self, owner: PeerId) -> io::Result<String> {
        let name = new_name(owner);
        self.folder.folder.link(&self.name, &name)?;
        Ok(name)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.folder.unlink(self.name.as_bytes());
        }
    }
}

/// A name that no other segment has.
fn new_name(owner: PeerId) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{owner}-{}-{}", COUNT.fetch_add(1, Ordering::Relaxed), random_hex(8))
}

/// Names come from peers: nothing but what `create` makes is taken for a name.
fn checked(name: &[u8]) -> io::Result<&str> {
    let good =
        !name.is_empty() && name.len() <= NAME_MAX && name.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    match std::str::from_utf8(name) {
        Ok(name) if good => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a segment")),
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
    /// The first `length` bytes of a file, which has at least so many and is never shortened.
    pub fn new(file: &File, length: usize) -> io::Result<Mapping> {
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
    use std::fs;

    fn folder(root: &tempfile::TempDir) -> SegmentFolder {
        SegmentFolder::make(&root.path().join("segments")).expect("make")
    }

    #[test]
    fn a_segment_is_read_back_written_privately_and_survives_its_name() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = folder(&root);
        let name = folder.create(PeerId(3), b"hello").expect("create");
        let first = folder.map(name.as_bytes(), 5).expect("map");
        let second = folder.map(name.as_bytes(), 5).expect("map again");
        // SAFETY: the mapping is private and five bytes long.
        unsafe { *first.as_mut_ptr() = b'j' };
        folder.unlink_owner(PeerId(3), |_| false);
        reaper::finish();
        assert_eq!((first.as_ref(), second.as_ref()), (&b"jello"[..], &b"hello"[..]));
        assert_eq!(fs::read_dir(root.path().join("segments")).expect("list").count(), 0);
    }

    #[test]
    fn names_from_peers_cannot_leave_the_folder() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = folder(&root);
        fs::write(root.path().join("cafe"), b"secret").expect("write");
        for name in [&b"../cafe"[..], b"/etc/passwd", b"", &[b'a'; 65]] {
            assert_eq!(folder.map(name, 6).expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = folder(&root);
        let name = folder.create(PeerId(3), b"hello").expect("create");
        assert!(folder.map(name.as_bytes(), 1 << 40).is_err());
    }

    #[test]
    fn a_link_and_what_is_not_ours_are_not_mapped() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = folder(&root);
        fs::write(root.path().join("secret"), b"secret").expect("write");
        std::os::unix::fs::symlink("../secret", root.path().join("segments/cafe")).expect("symlink");
        assert!(folder.map(b"cafe", 6).is_err());
        let name = folder.create(PeerId(3), b"hello").expect("create");
        let given = std::os::unix::fs::chown(root.path().join("segments").join(&name), Some(65_534), None);
        // Only root can give files away.
        assert_eq!(given.is_ok(), folder.map(name.as_bytes(), 5).is_err());
    }
}
