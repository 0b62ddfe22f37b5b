//! The one look at places that are shared with other users: files and folders, and the sockets in them.
//!
//! Other users can make files in /tmp and /dev/shm under any name, and can move what is in folders to which they can
//! write. So a path is followed from the root by descriptors ([`walk`]), and each component has to be root's or this
//! user's, and must not be writable by others ([`owner`]): then none of them can have put it there, or can put anything
//! else in its place. Files are opened, made, listed and removed through the descriptor of their folder.
//!
//! A folder may be writable by others if it is sticky, as /tmp is; what is found in it has to be this user's or root's,
//! and no link. Other symbolic links are followed if they are root's or this user's. A folder may be writable by
//! the group that is this user's own, and a folder of root's by whom root lets. A *private* folder is this user's, and
//! has the mode 0700.

mod folder;
mod owner;
mod socket;
mod walk;

pub use folder::{Folder, How};
pub use owner::{Trust, effective_user, login_name};
pub use socket::{check_peer, connect, listen};

use crate::error::PlacesError;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Makes `path` and what is missing above it, each 0700, and refuses one that is not ours alone.
pub fn make_private_dir(path: &Path) -> Result<(), PlacesError> {
    Folder::make(path).map(drop)
}

/// Refuses a folder that is a link, belongs to somebody else, lets others in, or could be moved by others.
pub fn check_private_dir(path: &Path) -> Result<(), PlacesError> {
    Folder::open(path).map(drop)
}

/// Opens a file for reading that nobody can have changed who is not trusted.
pub fn open(path: &Path, trust: Trust) -> Result<File, PlacesError> {
    let named = walk::named(path, trust, true)?;
    folder::open(&named, How::Read, trust)
}

/// The content of such a file.
pub fn read(path: &Path, trust: Trust) -> Result<Vec<u8>, PlacesError> {
    let mut content = Vec::new();
    open(path, trust)?.read_to_end(&mut content).map_err(PlacesError::io("reading", path))?;
    Ok(content)
}

/// The content of such a file of text.
pub fn read_text(path: &Path, trust: Trust) -> Result<String, PlacesError> {
    let invalid = |error| PlacesError::io("reading", path)(io::Error::new(io::ErrorKind::InvalidData, error));
    String::from_utf8(read(path, trust)?).map_err(invalid)
}

/// Opens a file of ours for writing, in a folder that nobody else can change.
pub fn open_to_write(path: &Path, how: How) -> Result<File, PlacesError> {
    let named = walk::named(path, Trust::Ours, true)?;
    folder::open(&named, how, Trust::Ours)
}

/// Writes `content` to `path` with mode 0600: into a fresh file beside it, then renamed, so that a reader sees all or
/// nothing.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), PlacesError> {
    let named = walk::named(path, Trust::Ours, true)?;
    folder::write(&named, content).map_err(PlacesError::io("writing", path))
}

/// Removes the file or the link at `path`, or the folder with all that is in it; nothing that a link leads to. It is no
/// error if it is gone, or if what has its name, or a folder above it, is somebody else's by now.
pub fn remove(path: &Path) -> Result<(), PlacesError> {
    match walk::named(path, Trust::Ours, false) {
        Err(PlacesError::Foreign { .. }) => Ok(()),
        Err(error) if error.is_missing() => Ok(()),
        named => folder::remove(&named?).map_err(PlacesError::io("removing", path)),
    }
}

/// The names in a folder that nobody else can change, sorted.
pub fn names(path: &Path) -> Result<Vec<OsString>, PlacesError> {
    let folder = walk::folder(path, Trust::Ours, false)?;
    folder::names(&folder).map_err(PlacesError::io("listing", path))
}
