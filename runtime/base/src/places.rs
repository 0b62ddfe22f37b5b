//! Where a cluster keeps its files, and how those files are made private.
//!
//! Responsible for paths, modes and ownership; not for what is in the files.
//!
//! | what | where | mode |
//! |---|---|---|
//! | state root | `$IPCLUSTERZ_HOME`, `$XDG_STATE_HOME/ipclusterz` or `~/.local/state/ipclusterz` | 0700 |
//! | cluster folder | `<root>/clusters/<name>`: connection files, `cluster.json`, `logs/` | 0700, files 0600 |
//! | socket folder | `$XDG_RUNTIME_DIR/ipclusterz/<name>-<run id>` or `/tmp/ipclusterz-<uid>/…` | 0700 |
//! | shared memory folder | `/dev/shm/ipclusterz-<uid>-<name>-<run id>` | 0700 |

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The cluster that is meant when none is named.
pub const DEFAULT_CLUSTER: &str = "default";

/// Environment variable that moves the state root.
pub const HOME_VARIABLE: &str = "IPCLUSTERZ_HOME";

/// Longest path of a unix socket (`sun_path` is 108 bytes with its final NUL).
const SOCKET_PATH_MAX: usize = 107;

/// What can go wrong with a place.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// Neither `IPCLUSTERZ_HOME`, `XDG_STATE_HOME` nor `HOME` is set.
    #[error("no folder for the state of clusters: none of IPCLUSTERZ_HOME, XDG_STATE_HOME and HOME is set")]
    NoHome,
    /// A cluster's name becomes part of paths.
    #[error("{0:?} is no name for a cluster: 1 to 63 letters, digits, '_', '.' and '-', the first a letter or digit")]
    BadName(String),
    /// It belongs to somebody else, as what variables name does after `su`.
    #[error("{path} belongs to user {owner}, and this process runs as user {user}")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner: name and number.
        owner: String,
        /// The user of this process.
        user: String,
    },
    /// Records and connection files are text, and hold paths.
    #[error("{path:?}, which {variable} names, is not UTF-8 text")]
    NotText {
        /// The folder.
        path: PathBuf,
        /// The variable that names it.
        variable: &'static str,
    },
    /// Somebody else could read or replace what is in it.
    #[error("{path} is not private: {why}")]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel's limit on the path of a unix socket.
    #[error("{0} is too long for the path of a unix socket (107 bytes)")]
    SocketPathTooLong(PathBuf),
    /// The operating system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl PlacesError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| PlacesError::Io { what, path, source }
    }

    /// What the user can do about it; empty if the text says that already.
    pub fn hint(&self) -> String {
        match self {
            PlacesError::NoHome => "set HOME, or IPCLUSTERZ_HOME to a folder of yours".to_owned(),
            PlacesError::BadName(_) => String::new(),
            PlacesError::SocketPathTooLong(_) => RUNTIME_HINT.to_owned(),
            PlacesError::NotText { variable, .. } => format!("set {variable} to a folder with another name"),
            PlacesError::Foreign { path, .. } if is_of_runtime(path) => {
                format!("{RUNTIME_HINT}, or unset it; after `su` it is still the former user's, `su -` sets it anew")
            }
            PlacesError::Foreign { .. } => {
                format!("{STATE_HINT}; after `su` the variables are still the former user's, `su -` sets them anew")
            }
            PlacesError::NotPrivate { path, .. } | PlacesError::Io { path, .. } if is_of_runtime(path) => {
                RUNTIME_HINT.to_owned()
            }
            PlacesError::NotPrivate { .. } | PlacesError::Io { .. } => STATE_HINT.to_owned(),
        }
    }
}

/// What to do about a folder of sockets that cannot be used.
pub const RUNTIME_HINT: &str = "set XDG_RUNTIME_DIR to a folder of yours with a short path, mode 700, on this host";
/// What to do about a state root that cannot be used.
pub const STATE_HINT: &str =
    "set IPCLUSTERZ_HOME to a folder of yours that can be written to, on a file system with locks";

/// Whether `path` is, or is in, the folder of sockets.
fn is_of_runtime(path: &Path) -> bool {
    let runtime = variable("XDG_RUNTIME_DIR");
    runtime.is_some_and(|runtime| path.starts_with(runtime)) || path.starts_with(run_base_without_session())
}

/// The path that an environment variable names, unless it is empty.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Refuses a path that cannot be written down in a record.
fn as_text(path: PathBuf, variable: &'static str) -> Result<PathBuf, PlacesError> {
    if path.to_str().is_some() { Ok(path) } else { Err(PlacesError::NotText { path, variable }) }
}

/// Folder of everything that outlives a process; not created.
pub fn state_root() -> Result<PathBuf, PlacesError> {
    if let Some(home) = variable(HOME_VARIABLE) {
        return as_text(home, HOME_VARIABLE);
    }
    if let Some(state) = variable("XDG_STATE_HOME") {
        return as_text(state.join("ipclusterz"), "XDG_STATE_HOME");
    }
    let home = variable("HOME").ok_or(PlacesError::NoHome)?;
    as_text(home.join(".local/state/ipclusterz"), "HOME")
}

/// Folder that holds one folder per cluster; not created.
pub fn clusters_root() -> Result<PathBuf, PlacesError> {
    Ok(state_root()?.join("clusters"))
}

/// Folder of the cluster `name`; not created. The name is checked.
pub fn cluster_dir(name: &str) -> Result<PathBuf, PlacesError> {
    check_name(name)?;
    Ok(clusters_root()?.join(name))
}

/// Refuses a name that could leave the folder of clusters or break a path.
pub fn check_name(name: &str) -> Result<(), PlacesError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if first && name.len() <= 63 && name.bytes().all(good) {
        Ok(())
    } else {
        Err(PlacesError::BadName(name.to_owned()))
    }
}

/// Names of the folders in [`clusters_root`], sorted; empty when there is none.
pub fn list_clusters() -> Result<Vec<String>, PlacesError> {
    let root = clusters_root()?;
    let entries = match fs::read_dir(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(PlacesError::io("listing", &root))?,
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| check_name(name).is_ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Folders that live as long as one run of a controller.
#[derive(Debug, Clone)]
pub struct RunDirs {
    /// Holds `controller.sock`.
    pub socket_dir: PathBuf,
    /// Holds the segments of large payloads.
    pub shared_memory_dir: PathBuf,
}

/// Paths of the folders for the run `run_id` of the cluster `name`; not created.
pub fn run_dirs(name: &str, run_id: &str) -> Result<RunDirs, PlacesError> {
    check_name(name)?;
    let uid = own_uid();
    let base = as_text(run_base(), "XDG_RUNTIME_DIR")?;
    if let Some(session) = base.parent().filter(|session| variable("XDG_RUNTIME_DIR").as_deref() == Some(*session)) {
        refuse_foreign(session)?;
    }
    let socket_dir = base.join(format!("{name}-{run_id}"));
    let socket = socket_path(&socket_dir);
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(PlacesError::SocketPathTooLong(socket));
    }
    let shared_memory_dir = PathBuf::from(format!("/dev/shm/ipclusterz-{uid}-{name}-{run_id}"));
    Ok(RunDirs { socket_dir, shared_memory_dir })
}

/// Folder that holds one folder per run; not created.
pub fn run_base() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map(PathBuf::from) {
        Some(runtime) if runtime.is_dir() => runtime.join("ipclusterz"),
        _ => run_base_without_session(),
    }
}

/// [`run_base`] where no session has set `XDG_RUNTIME_DIR`.
pub fn run_base_without_session() -> PathBuf {
    PathBuf::from(format!("/tmp/ipclusterz-{}", own_uid()))
}

fn own_uid() -> u32 {
    // SAFETY: getuid cannot fail and touches no memory.
    unsafe { libc::getuid() }
}

/// The controller's socket in its folder.
pub fn socket_path(socket_dir: &Path) -> PathBuf {
    socket_dir.join("controller.sock")
}

/// Makes `path` and what is missing above it, each 0700, and refuses one that is not ours alone.
pub fn make_private_dir(path: &Path) -> Result<(), PlacesError> {
    let made = match fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // The nearest folder that is there is the one that does not let us in.
            if let Some(there) = path.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok()) {
                refuse_foreign(there)?;
            }
            Err(PlacesError::io("creating", path)(error))
        }
        made => made.map_err(PlacesError::io("creating", path)),
    };
    made?;
    check_private_dir(path)
}

/// Refuses a folder of another user, if it exists.
pub fn refuse_foreign(path: &Path) -> Result<(), PlacesError> {
    let uid = effective_uid();
    match fs::metadata(path) {
        Ok(metadata) if metadata.uid() != uid => Err(foreign(path, metadata.uid(), uid)),
        _ => Ok(()),
    }
}

fn foreign(path: &Path, owner: u32, user: u32) -> PlacesError {
    PlacesError::Foreign { path: path.to_path_buf(), owner: user_name(owner), user: user_name(user) }
}

/// `anna (1000)`; the number alone if it has no name.
fn user_name(uid: u32) -> String {
    let mut buffer = vec![0_u8; 4096];
    // SAFETY: passwd is plain data, for which all zeroes is a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are valid for writing, and the buffer has the length that is given.
    let result =
        unsafe { libc::getpwuid_r(uid, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
    if result != 0 || found.is_null() {
        return uid.to_string();
    }
    // SAFETY: the entry was filled in, and its name is a string in the buffer, which still lives.
    let name = unsafe { std::ffi::CStr::from_ptr(entry.pw_name) };
    format!("{} ({uid})", name.to_string_lossy())
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// Refuses a folder that is a link, belongs to somebody else or lets others in.
pub fn check_private_dir(path: &Path) -> Result<(), PlacesError> {
    let not_private = |why: String| Err(PlacesError::NotPrivate { path: path.to_path_buf(), why });
    let metadata = fs::symlink_metadata(path).map_err(PlacesError::io("examining", path))?;
    let uid = effective_uid();
    if !metadata.is_dir() {
        return not_private("it is a link or a file, not a folder".to_owned());
    }
    if metadata.uid() != uid {
        return Err(foreign(path, metadata.uid(), uid));
    }
    if metadata.mode() & 0o077 != 0 {
        return not_private(format!("its mode is {:o}; run: chmod 700 {}", metadata.mode() & 0o777, path.display()));
    }
    Ok(())
}

/// Writes `content` to `path` with mode 0600: into a fresh file beside it, then renamed, so that a reader sees all or nothing.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), PlacesError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", random_hex(4)));
    let temporary = PathBuf::from(temporary);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // Best effort: the error to report is the one that brought us here.
        let _ = fs::remove_file(&temporary);
        PlacesError::Io { what: "writing", path: path.to_path_buf(), source }
    })
}

/// `bytes` random bytes from the kernel, in hexadecimal.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut buffer))
        .unwrap_or_else(|error| panic!("no randomness: /dev/urandom: {error}"));
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This host's name.
pub fn host_name() -> String {
    hostname::get().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names_cannot_leave_the_folder() {
        for bad in ["", ".", "..", "a/b", ".hidden", "-n", "ä", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?} passed");
        }
        for good in ["default", "a", "run-7", "x_1.2"] {
            assert!(check_name(good).is_ok(), "{good:?} refused");
        }
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("a/b");
        make_private_dir(&path).expect("fresh folders are private");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        assert!(matches!(make_private_dir(&path), Err(PlacesError::NotPrivate { .. })));
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("a"), &link).expect("symlink");
        assert!(matches!(check_private_dir(&link), Err(PlacesError::NotPrivate { .. })));
    }

    #[test]
    fn private_files_are_0600_and_replaced_whole() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("file");
        write_private(&path, b"one").expect("first write");
        write_private(&path, b"two").expect("second write");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::metadata(&path).expect("stat").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).expect("list").count(), 1, "no temporary file stays");
    }
}
