//! The environments that this host has, and who uses them.
//!
//! # Format
//!
//! A private folder: `$IPCLUSTERZ_STAGE_DIR`, else `ipclusterz-stage-UID` in `$TMPDIR` or `/tmp`. In it are
//!
//! | what | is |
//! |---|---|
//! | `lock` | held by whoever adds or removes something |
//! | `env-HASH/` | an environment, by the hash of its archive: `about.json`, `archive`, `tree/`, and `lock`, which is held in common by whoever uses it |
//! | `key-FINGERPRINT` | the hash of what was read for a fingerprint |
//! | `new-…/` | what is being made, or was when its maker was killed |
//! | `program-…` | this program, put there by what starts it |
//!
//! An environment is made elsewhere and renamed, so that it is whole or not there. It counts only on the boot on which it was
//! made: then no file of it can be one that a crash of the host has emptied.

use super::room::{self, Kept, Removal};
use ipclusterz_base::places::{self, random_hex};
use ipclusterz_base::private::{self, How};
use ipclusterz_base::process::boot_id;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system;
use ipclusterz_host::units::bytes;
use ipclusterz_profile::environment::STAGE_FOLDER;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What to do about a folder that cannot be used.
pub const HINT: &str =
    "set IPCLUSTERZ_STAGE_DIR, in [engines.env] of the profile, to a folder of yours on a disk of each host";
const VERSION: u32 = 1;
/// Between two looks at a lock that somebody else has.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// What stands in `about.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    version: u32,
    boot_id: String,
    /// The Python, relative to the tree.
    pub python: String,
    /// Bytes of the archive, and about as many of its files.
    pub bytes: u64,
}

impl About {
    /// An environment that is made now.
    pub fn new(python: String, bytes: u64) -> Self {
        Self { version: VERSION, boot_id: boot_id(), python, bytes }
    }
}

/// The folder, locked.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    _lock: File,
}

/// An environment that is here, and in use while this value lives.
#[derive(Debug)]
pub struct Environment {
    /// Its folder.
    pub folder: PathBuf,
    /// Its Python.
    pub python: PathBuf,
    _lock: File,
}

impl Environment {
    /// Its archive, if that is still here.
    pub fn archive(&self) -> Option<PathBuf> {
        Some(archive_in(&self.folder)).filter(|archive| archive.is_file())
    }
}

/// Where an archive is, in the folder of an environment or of one that is being made.
pub fn archive_in(folder: &Path) -> PathBuf {
    folder.join("archive")
}

/// Where the files are, in such a folder.
pub fn tree_in(folder: &Path) -> PathBuf {
    folder.join("tree")
}

/// The path of the folder, as the environment of this process has it.
fn path() -> PathBuf {
    places::variable(STAGE_FOLDER).unwrap_or_else(|| {
        places::variable("TMPDIR")
            .unwrap_or_else(|| "/tmp".into())
            .join(format!("ipclusterz-stage-{}", private::effective_user()))
    })
}

impl Cache {
    /// Opens the folder, and waits until no other process of this host adds to it; tells what it waits for.
    pub fn open(deadline: Instant, tell: &mut dyn FnMut(&str)) -> Result<Self, Failure> {
        Self::at(&path(), deadline, tell)
    }

    pub(super) fn at(path: &Path, deadline: Instant, tell: &mut dyn FnMut(&str)) -> Result<Self, Failure> {
        let refused = |error: places::PlacesError| {
            Failure::new(Exit::StartFailed, format!("engines.stage: {error}")).with_hint(HINT)
        };
        let folder = private::Folder::make(path).map_err(refused)?.path().to_path_buf();
        let lock = private::open_to_write(&folder.join("lock"), How::Kept).map_err(refused)?;
        let mut told = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(
                        Failure::io(format!("locking {}", folder.join("lock").display()))(error).with_hint(HINT)
                    );
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let message = format!("engines.stage: another start still fills {} on this host", folder.display());
                    return Err(Failure::new(Exit::Timeout, message).with_hint("it may hang on a file system"));
                }
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        tell("waiting for another start on this host, which copies an environment");
                    }
                    std::thread::sleep(LOCK_INTERVAL);
                }
            }
        }
        let cache = Self { folder, _lock: lock };
        cache.remove_begun();
        Ok(cache)
    }

    /// What was begun by processes that have been killed: whoever begins something has the lock.
    fn remove_begun(&self) {
        for name in self.names().filter(|name| name.starts_with("new-")) {
            // The next start tries it again.
            let _ = private::remove(&self.folder.join(name));
        }
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        let names = private::names(&self.folder).unwrap_or_default();
        names.into_iter().filter_map(|name| name.into_string().ok())
    }

    /// The hash of what was read for a fingerprint.
    pub fn content_of(&self, fingerprint: &str) -> Option<String> {
        let mut text = String::new();
        File::open(self.key(fingerprint)).ok()?.take(100).read_to_string(&mut text).ok()?;
        is_hash(&text).then_some(text)
    }

    /// Notes it.
    pub fn remember(&self, fingerprint: &str, content: &str) -> Result<(), Failure> {
        Ok(private::write_private(&self.key(fingerprint), content.as_bytes())?)
    }

    fn key(&self, fingerprint: &str) -> PathBuf {
        self.folder.join(format!("key-{fingerprint}"))
    }

    /// The environment of this hash, if it is here; from now on it is in use.
    pub fn environment(&self, content: &str) -> Option<Environment> {
        let folder = self.folder_of(content)?;
        let about = about(&folder)?;
        let lock = hold(&folder).ok()?;
        // When it was last used only says what is removed first.
        let _ = lock.set_modified(SystemTime::now());
        let python = tree_in(&folder).join(about.python);
        python.exists().then_some(Environment { folder, python, _lock: lock })
    }

    /// Where the files of an environment are going to be.
    pub fn tree_of(&self, content: &str) -> PathBuf {
        tree_in(&self.folder.join(format!("env-{content}")))
    }

    fn folder_of(&self, content: &str) -> Option<PathBuf> {
        is_hash(content).then(|| self.folder.join(format!("env-{content}")))
    }

    /// A folder for a new environment, of about `wanted` bytes. Others that nobody uses go if it has no room.
    pub fn begin(&self, wanted: u64) -> Result<PathBuf, Failure> {
        self.make_room(wanted)?;
        let folder = self.folder.join(format!("new-{}-{}", std::process::id(), random_hex(4)));
        private::make_private_dir(&folder)?;
        places::make_private_dir(&tree_in(&folder))?;
        Ok(folder)
    }

    /// Removes what nobody uses until there is room for so many bytes.
    pub fn make_room(&self, wanted: u64) -> Result<(), Failure> {
        let space = || {
            system::space(&self.folder)
                .map_err(Failure::io(format!("asking for the room of {}", self.folder.display())))
        };
        let (size, free) = space()?;
        for removal in room::removals(&self.kept(), size, free, wanted) {
            self.remove(&removal).map_err(Failure::io("removing an environment that nobody uses"))?;
        }
        let (size, free) = space()?;
        if room::has_room(size, free, wanted) {
            return Ok(());
        }
        let folder = self.folder.display();
        let message = format!("engines.stage: {folder} has no room for {}: {} are free", bytes(wanted), bytes(free));
        Err(Failure::new(Exit::StartFailed, message).with_hint(HINT))
    }

    fn kept(&self) -> Vec<Kept> {
        self.names().filter(|name| name.starts_with("env-")).map(|name| self.one_kept(name)).collect()
    }

    fn one_kept(&self, name: String) -> Kept {
        let folder = self.folder.join(&name);
        let archive = fs::metadata(archive_in(&folder)).map_or(0, |metadata| metadata.len());
        // One that nobody can use, because it is of an earlier boot, was never used.
        let about = about(&folder);
        let files = about.as_ref().map_or(1, |about| about.bytes.max(1));
        let lock = about.and_then(|_| File::options().write(true).open(folder.join("lock")).ok());
        let unused = match lock {
            None => Some(Duration::MAX),
            Some(lock) if lock.try_lock().is_err() => None,
            Some(lock) => {
                let used = lock.metadata().and_then(|metadata| metadata.modified());
                used.ok().map(|used| SystemTime::now().duration_since(used).unwrap_or_default())
            }
        };
        Kept { name, archive, files, unused }
    }

    fn remove(&self, removal: &Removal) -> io::Result<()> {
        match removal {
            Removal::Archive(name) => fs::remove_file(archive_in(&self.folder.join(name))),
            Removal::All(name) => {
                let folder = self.folder.join(name);
                let lock = File::options().write(true).open(folder.join("lock"));
                // Somebody may have begun to use it.
                if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
                    return Ok(());
                }
                let gone = self.folder.join(format!("new-gone-{}", random_hex(4)));
                fs::rename(&folder, &gone)?;
                private::remove(&gone).map_err(io::Error::other)
            }
        }
    }

    /// Puts what was begun in its place, under the hash of its archive.
    pub fn finish(&self, begun: &Path, content: &str, about: &About) -> Result<Environment, Failure> {
        let failed = |what: &str| Failure::io(format!("{what} {}", begun.display()));
        let text = serde_json::to_vec(about).unwrap_or_default();
        let written =
            |name: &str, text: &[u8]| File::create_new(begun.join(name)).and_then(|mut file| file.write_all(text));
        written("about.json", &text).and_then(|()| written("lock", b"")).map_err(failed("writing to"))?;
        let folder =
            self.folder_of(content).ok_or_else(|| Failure::new(Exit::Failure, "this is no hash of an archive"))?;
        // One of an earlier boot, or without its Python.
        private::remove(&folder)?;
        fs::rename(begun, &folder).map_err(failed("renaming"))?;
        self.environment(content).ok_or_else(|| {
            let message = format!("engines.stage: {} has no {}", folder.display(), about.python);
            Failure::new(Exit::StartFailed, message).with_hint("what is engines.python in that environment?")
        })
    }

    /// Gives up what was begun.
    pub fn give_up(&self, begun: &Path) {
        // The next start tries it again.
        let _ = private::remove(begun);
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What is said of an environment that can be used.
fn about(folder: &Path) -> Option<About> {
    let about: About = serde_json::from_slice(&fs::read(folder.join("about.json")).ok()?).ok()?;
    (about.version == VERSION && about.boot_id == boot_id()).then_some(about)
}

/// Notes that this process uses an environment, and whatever becomes of it by exec and fork: the descriptor that is
/// returned has to stay open.
pub fn hold(folder: &Path) -> io::Result<File> {
    let path = folder.join("lock");
    let lock = File::options().write(true).open(&path)?;
    lock.try_lock_shared().map_err(io::Error::from)?;
    let (held, there) = (lock.metadata()?, fs::metadata(&path)?);
    if (held.dev(), held.ino()) == (there.dev(), there.ino()) {
        Ok(lock)
    } else {
        Err(io::Error::other("it has just been removed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn open(folder: &Path) -> Result<Cache, Failure> {
        Cache::at(&folder.join("cache"), Instant::now(), &mut |_| {})
    }

    fn add(cache: &Cache, content: &str) -> Environment {
        let begun = cache.begin(1).expect("room");
        fs::write(tree_in(&begun).join("python"), "").expect("write");
        fs::write(archive_in(&begun), "archive").expect("write");
        cache.finish(&begun, content, &About::new("python".to_owned(), 7)).expect("finished")
    }

    #[test]
    fn what_is_there_is_found_and_in_use() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = open(folder.path()).expect("a cache");
        assert!(cache.environment(CONTENT).is_none());
        let environment = add(&cache, CONTENT);
        assert!(environment.python.exists() && environment.archive().is_some());
        assert!(cache.kept()[0].unused.is_none());
        drop(environment);
        assert!(cache.kept()[0].unused.is_some());
        let held = hold(&cache.folder_of(CONTENT).expect("a hash")).expect("held");
        assert!(cache.kept()[0].unused.is_none());
        cache.remove(&Removal::All(format!("env-{CONTENT}"))).expect("left alone");
        drop(held);
        cache.remember("f", CONTENT).expect("written");
        assert_eq!(cache.content_of("f").as_deref(), Some(CONTENT));
        cache.remove(&Removal::All(format!("env-{CONTENT}"))).expect("removed");
        assert!(cache.environment(CONTENT).is_none() && cache.environment("../x").is_none());
    }

    #[test]
    fn a_second_start_waits_until_its_deadline_and_says_so() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let first = open(folder.path()).expect("a cache");
        let failure = open(folder.path()).expect_err("locked");
        assert!(
            failure.exit() == Exit::Timeout && failure.message.contains("another start still fills"),
            "{failure:?}"
        );
        let mut told = Vec::new();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let deadline = Instant::now() + Duration::from_secs(60);
                Cache::at(&folder.path().join("cache"), deadline, &mut |line| {
                    told.push(line.to_owned());
                    drop(fs::write(folder.path().join("told"), ""));
                })
            });
            let deadline = Instant::now() + Duration::from_secs(30);
            while !folder.path().join("told").exists() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            drop(first);
            second.join().expect("no panic").expect("its turn");
        });
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn what_was_begun_by_the_dead_or_before_this_boot_is_not_used() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = open(folder.path()).expect("a cache");
        let begun = cache.begin(1).expect("room");
        drop(add(&cache, CONTENT));
        let file = cache.folder_of(CONTENT).expect("a hash").join("about.json");
        let mut about: About = serde_json::from_slice(&fs::read(&file).expect("there")).expect("JSON");
        about.boot_id = "another".to_owned();
        fs::write(&file, serde_json::to_vec(&about).expect("JSON")).expect("write");
        drop(cache);
        let cache = open(folder.path()).expect("a cache");
        assert!(!begun.exists() && cache.environment(CONTENT).is_none());
        // The first that needs room has it removed, and one that is read again takes its place.
        assert_eq!(room::removals(&cache.kept(), 1, 1, 0).len(), 1);
        drop(add(&cache, CONTENT));
        assert!(cache.environment(CONTENT).is_some());
    }

    #[test]
    fn no_room_is_said_with_numbers() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = open(folder.path()).expect("a cache");
        drop(add(&cache, CONTENT));
        let failure = cache.begin(u64::MAX / 2).expect_err("no room");
        assert!(failure.message.contains(" has no room for ") && failure.hint.is_some(), "{failure:?}");
        assert!(cache.environment(CONTENT).is_none());
    }

    #[test]
    fn a_folder_of_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("cache")).expect("make");
        fs::set_permissions(folder.path().join("cache"), PermissionsExt::from_mode(0o755)).expect("mode");
        let failure = open(folder.path()).expect_err("open to others");
        assert!(failure.message.contains("its mode is 755") && failure.hint.as_deref() == Some(HINT), "{failure:?}");
    }
}
