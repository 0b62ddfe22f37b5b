//! Follows a path from the root, one component at a time. Each is looked at through its descriptor, and the next one is
//! looked up in it: nobody can put another in its place in between.

use super::owner::{Fault, Trust, effective_user, is_open_to_all, judge, user_name};
use crate::error::PlacesError;
use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows (path_resolution(7)).
const LINKS_MAX: u32 = 40;
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file or folder: its descriptor, which can be looked through alone, and what was seen of it.
#[derive(Debug)]
pub(super) struct Place {
    descriptor: OwnedFd,
    pub seen: Stat,
    pub path: PathBuf,
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Where a path leads: a folder that has been accepted, and a name in it that is no link and need not exist.
#[derive(Debug)]
pub(super) struct Named {
    pub folder: Place,
    pub name: OsString,
}

impl Named {
    /// The path without links.
    pub fn path(&self) -> PathBuf {
        self.folder.path.join(&self.name)
    }

    /// What has that name, to be looked at alone.
    pub fn look(&self) -> Result<Place, PlacesError> {
        let opened = fs::openat(&self.folder, &self.name, LOOK, Mode::empty());
        Place::new(opened.map_err(|error| PlacesError::io("examining", &self.path())(error.into()))?, self.path())
    }
}

/// The folder at `path`, which is no link. With `make`, it and what is missing above it are made, each 0700.
pub(super) fn folder(path: &Path, trust: Trust, make: bool) -> Result<Place, PlacesError> {
    let mut walk = Walk::new(path, trust, make)?;
    while let Some(name) = walk.rest.pop() {
        let last = walk.rest.is_empty();
        if !walk.step(&name)? && last {
            let why = "it is a link or a file, not a folder".to_owned();
            return Err(PlacesError::NotPrivate { path: path.to_path_buf(), why });
        }
    }
    Ok(walk.here)
}

/// Where `path` leads. With `follow`, its last component may be a link, too; without, it is taken as it stands.
pub(super) fn named(path: &Path, trust: Trust, follow: bool) -> Result<Named, PlacesError> {
    let mut walk = Walk::new(path, trust, false)?;
    while let Some(name) = walk.rest.pop() {
        if !walk.rest.is_empty() || name == ".." {
            walk.step(&name)?;
        // What stands for a descriptor of this process is no link that could be followed by its text.
        } else if !follow || walk.here.is_of_processes() || !walk.follow(&name)? {
            return Ok(Named { folder: walk.here, name });
        }
    }
    Err(PlacesError::io("examining", path)(io::ErrorKind::IsADirectory.into()))
}

struct Walk {
    here: Place,
    /// The components that are left, the next one last.
    rest: Vec<OsString>,
    trust: Trust,
    make: bool,
    links: u32,
}

impl Walk {
    fn new(path: &Path, trust: Trust, make: bool) -> Result<Self, PlacesError> {
        let path = std::path::absolute(path).map_err(PlacesError::io("examining", path))?;
        let trust = trust.of_folders();
        let mut walk = Self { here: root()?, rest: Vec::new(), trust, make, links: 0 };
        walk.here.check(&walk.here.seen, trust)?;
        walk.push(&path);
        Ok(walk)
    }

    fn push(&mut self, path: &Path) {
        let names = path.components().rev().filter_map(|component| match component {
            Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
            _ => None,
        });
        self.rest.extend(names);
    }

    /// Enters the folder `name`, or begins to follow the link `name`. False if it was neither entered nor made.
    fn step(&mut self, name: &OsStr) -> Result<bool, PlacesError> {
        let path = self.here.path.join(name);
        match fs::openat(&self.here, name, LOOK | OFlags::DIRECTORY, Mode::empty()) {
            Ok(descriptor) => {
                let next = Place::new(descriptor, path)?;
                next.check(&self.here.seen, self.trust)?;
                self.here = next;
                Ok(true)
            }
            Err(Errno::NOENT) if self.make => {
                match fs::mkdirat(&self.here, name, Mode::RWXU) {
                    // To be looked at like any other.
                    Ok(()) | Err(Errno::EXIST) => self.rest.push(name.to_owned()),
                    Err(error) => return Err(PlacesError::io("creating", &path)(error.into())),
                }
                Ok(true)
            }
            Err(Errno::NOTDIR | Errno::LOOP) if self.rest.is_empty() => Ok(false),
            Err(Errno::NOTDIR | Errno::LOOP) if self.follow(name)? => Ok(true),
            Err(error) => Err(PlacesError::io("examining", &path)(error.into())),
        }
    }

    /// Replaces the link `name` by what it says; false if it is no link.
    fn follow(&mut self, name: &OsStr) -> Result<bool, PlacesError> {
        let path = self.here.path.join(name);
        let failed = |error: Errno| PlacesError::io("examining", &path)(error.into());
        let link = match fs::openat(&self.here, name, LOOK, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            opened => Place::new(opened.map_err(failed)?, path.clone())?,
        };
        if !FileType::from_raw_mode(link.seen.st_mode).is_symlink() {
            return Ok(false);
        }
        link.check_link(&self.here.seen)?;
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(failed(Errno::LOOP));
        }
        let target = fs::readlinkat(&link, "", Vec::new()).map_err(failed)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.here = root()?;
        }
        self.push(&target);
        Ok(true)
    }
}

fn root() -> Result<Place, PlacesError> {
    let path = Path::new("/");
    let opened = fs::open(path, LOOK | OFlags::DIRECTORY, Mode::empty());
    Place::new(opened.map_err(|error| PlacesError::io("examining", path)(error.into()))?, path.to_path_buf())
}

pub(super) fn foreign(path: &Path, owner: u32) -> PlacesError {
    PlacesError::Foreign { path: path.to_path_buf(), owner: user_name(owner), user: user_name(effective_user()) }
}

impl Place {
    pub fn new(descriptor: OwnedFd, path: PathBuf) -> Result<Self, PlacesError> {
        let seen = fs::fstat(&descriptor).map_err(|error| PlacesError::io("examining", &path)(error.into()))?;
        Ok(Self { descriptor, seen, path })
    }

    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    /// Refuses it if anybody could have put it there, or could change it, who is not trusted.
    pub fn check(&self, folder: &Stat, trust: Trust) -> Result<(), PlacesError> {
        let fault = match judge(&self.seen, folder, trust, || self.has_list()) {
            Ok(()) => return Ok(()),
            Err(Fault::Foreign(owner)) => return Err(foreign(&self.path, owner)),
            Err(Fault::Writable(whom)) => whom,
        };
        let who = if fault == 'o' { "every user of this host" } else { "its group" };
        let (mode, path) = (self.seen.st_mode & 0o777, self.path.display());
        let why = format!("its mode is {mode:o}, so that {who} could change it; run: chmod {fault}-w {path}");
        Err(PlacesError::NotPrivate { path: self.path.clone(), why })
    }

    /// Refuses a link that somebody else could have put there.
    fn check_link(&self, folder: &Stat) -> Result<(), PlacesError> {
        let owner = self.seen.st_uid;
        if owner != effective_user() && owner != 0 {
            return Err(foreign(&self.path, owner));
        }
        if is_open_to_all(folder) {
            let why = "it is a link in a folder to which every user of this host can write".to_owned();
            return Err(PlacesError::NotPrivate { path: self.path.clone(), why });
        }
        Ok(())
    }

    /// Whether an access control list says who else may use it (acl(5)).
    fn has_list(&self) -> bool {
        let path = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]).is_ok()
    }

    /// Whether it is in the file system of processes.
    pub fn is_of_processes(&self) -> bool {
        const PROC_SUPER_MAGIC: fs::FsWord = 0x9fa0;
        fs::fstatfs(&self.descriptor).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC)
    }
}
