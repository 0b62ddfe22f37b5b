//! Files in folders that have been accepted, by the descriptors of these folders.

use super::owner::{Trust, effective_user};
use super::walk::{self, Named, Place, foreign};
use crate::error::PlacesError;
use crate::random::random_hex;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How a file is opened. What has to be made is for this user alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// For reading.
    Read,
    /// For writing, anew: there must be none.
    New,
    /// Like [`How::New`], for a file that is run.
    NewProgram,
    /// For writing, emptied if it is there.
    Emptied,
    /// For writing, as it is.
    Kept,
    /// For writing at its end.
    Appending,
}

impl How {
    fn flags(self) -> OFlags {
        // Neither a pipe without a writer nor a terminal may hold up or take over this process.
        let always = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        always
            | match self {
                How::Read => OFlags::RDONLY,
                How::New | How::NewProgram => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
                // Emptied when its owner is known.
                How::Emptied | How::Kept => OFlags::WRONLY | OFlags::CREATE,
                How::Appending => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
            }
    }

    fn mode(self) -> Mode {
        if self == How::NewProgram { Mode::RWXU } else { Mode::RUSR | Mode::WUSR }
    }
}

/// An open folder that is this user's alone, mode 0700.
#[derive(Debug)]
pub struct Folder {
    place: Place,
}

impl Folder {
    /// Opens the folder at `path`, which is no link.
    pub fn open(path: &Path) -> Result<Self, PlacesError> {
        Self::private(path, false)
    }

    /// Opens it, and makes it and what is missing above it, each 0700.
    pub fn make(path: &Path) -> Result<Self, PlacesError> {
        Self::private(path, true)
    }

    fn private(path: &Path, make: bool) -> Result<Self, PlacesError> {
        let place = walk::folder(path, Trust::Ours, make)?;
        if place.seen.st_uid != effective_user() {
            return Err(foreign(&place.path, place.seen.st_uid));
        }
        if place.seen.st_mode & 0o077 != 0 {
            let (mode, shown) = (place.seen.st_mode & 0o777, place.path.display());
            let why = format!("its mode is {mode:o}; run: chmod 700 {shown}");
            return Err(PlacesError::NotPrivate { path: place.path, why });
        }
        Ok(Self { place })
    }

    /// Its path, without links.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Opens a file in it, which is this user's and no link.
    pub fn file(&self, name: &str, how: How) -> io::Result<File> {
        let file = fs::openat(&self.place, name, how.flags() | OFlags::NOFOLLOW, how.mode())?;
        let seen = fs::fstat(&file)?;
        let ours = seen.st_uid == effective_user() && FileType::from_raw_mode(seen.st_mode).is_file();
        if ours { Ok(File::from(file)) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// The names in it, sorted.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        names(&self.place)
    }

    /// Gives a file in it another name. What had that name is gone.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.place, from, &self.place, to)?)
    }

    /// Gives a file in it one more name, which nothing has yet.
    pub fn link(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::linkat(&self.place, from, &self.place, to, AtFlags::empty())?)
    }

    /// Its list of names is on disk.
    pub fn sync(&self) -> io::Result<()> {
        // The descriptor may be one that can be looked through alone.
        Ok(fs::fsync(fs::openat(&self.place, ".", LIST, Mode::empty())?)?)
    }

    /// Removes what has this name in it; see [`super::remove`].
    pub fn remove(&self, name: &str) -> io::Result<()> {
        remove_in(self.place.as_fd(), OsStr::new(name))
    }
}

/// Opens the file `named`, unless somebody who is not trusted could have changed it.
pub(super) fn open(named: &Named, how: How, trust: Trust) -> Result<File, PlacesError> {
    let path = named.path();
    let failed = |error: Errno| PlacesError::io("opening", &path)(error.into());
    // What stands for a descriptor of this process came from whoever started it.
    let given = named.folder.is_of_processes();
    let follow = if given { OFlags::empty() } else { OFlags::NOFOLLOW };
    let opened = fs::openat(&named.folder, &named.name, how.flags() | follow, how.mode());
    if matches!(opened, Err(Errno::ACCESS)) {
        // Whose it is says more.
        named.look()?.check(&named.folder.seen, trust)?;
    }
    let descriptor = opened.map_err(failed)?;
    fs::fcntl_setfl(&descriptor, fs::fcntl_getfl(&descriptor).map_err(failed)? - OFlags::NONBLOCK).map_err(failed)?;
    if given {
        return Ok(File::from(descriptor));
    }
    let place = Place::new(descriptor, path.clone())?;
    place.check(&named.folder.seen, trust)?;
    let kind = FileType::from_raw_mode(place.seen.st_mode);
    if !kind.is_file() && !kind.is_char_device() {
        return Err(failed(if kind.is_dir() { Errno::ISDIR } else { Errno::INVAL }));
    }
    let file = File::from(place.into_descriptor());
    if how == How::Emptied {
        file.set_len(0).map_err(PlacesError::io("emptying", &path))?;
    }
    Ok(file)
}

/// Writes a fresh file and gives it the name `named`, so that a reader sees all or nothing.
pub(super) fn write(named: &Named, content: &[u8]) -> io::Result<()> {
    let (folder, last) = (&named.folder, &named.name);
    let mut name = last.clone();
    name.push(format!(".{}", random_hex(4)));
    let write = || -> io::Result<()> {
        File::from(fs::openat(folder, &name, How::New.flags(), How::New.mode())?).write_all(content)?;
        Ok(fs::renameat(folder, &name, folder, last)?)
    };
    write().inspect_err(|_| {
        // Best effort: the error to report is the one that brought us here.
        let _ = fs::unlinkat(folder, &name, AtFlags::empty());
    })
}

/// Removes what has the name `named`, if it is this user's: in a folder that is shared it may have become somebody
/// else's.
pub(super) fn remove(named: &Named) -> io::Result<()> {
    match fs::statat(&named.folder, &named.name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Ok(seen) if seen.st_uid != effective_user() => Ok(()),
        seen => seen.map_err(io::Error::from).and_then(|_| remove_in(named.folder.as_fd(), &named.name)),
    }
}

fn remove_in(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let removed = match fs::unlinkat(folder, name, AtFlags::empty()) {
        // The second is what POSIX has for a folder.
        Err(Errno::ISDIR | Errno::PERM) => remove_folder(folder, name),
        removed => removed.map_err(io::Error::from),
    };
    // Another process may be removing the same.
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn remove_folder(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let inside = fs::openat(folder, name, LIST | OFlags::NOFOLLOW, Mode::empty())?;
    for entry in entries(inside.as_fd())? {
        remove_in(inside.as_fd(), &entry)?;
    }
    Ok(fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// The names in a folder, sorted.
pub(super) fn names(folder: &Place) -> io::Result<Vec<OsString>> {
    let mut names = entries(folder.as_fd())?;
    names.sort();
    Ok(names)
}

/// What is in a folder, without `.` and `..`.
fn entries(folder: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let own = |name: &CStr| !matches!(name.to_bytes(), b"." | b"..");
    let mut names = Vec::new();
    // The descriptor may be one that can be looked through alone.
    for entry in Dir::new(fs::openat(folder, ".", LIST, Mode::empty())?)? {
        let entry = entry?;
        if own(entry.file_name()) {
            names.push(OsString::from_vec(entry.file_name().to_bytes().to_vec()));
        }
    }
    Ok(names)
}
