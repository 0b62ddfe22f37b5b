//! Where a cluster keeps its files.
//!
//! Responsible for paths alone: [`crate::private`] makes and opens what is there.
//!
//! | what | where | mode |
//! |---|---|---|
//! | state root | `$IPCLUSTERZ_HOME`, `$XDG_STATE_HOME/ipclusterz` or `~/.local/state/ipclusterz` | 0700 |
//! | cluster folder | `<root>/clusters/<name>`: connection files, `cluster.json`, `logs/` | 0700, files 0600 |
//! | socket folder | `$XDG_RUNTIME_DIR/ipclusterz/<name>-<run id>` or `/tmp/ipclusterz-<uid>/…` | 0700 |
//! | shared memory folder | `/dev/shm/ipclusterz-<uid>-<name>-<run id>` | 0700 |

pub use crate::error::PlacesError;
pub use crate::private::{check_private_dir, make_private_dir, write_private};
pub use crate::random::random_hex;

use crate::private;
use std::path::{Path, PathBuf};

/// The cluster that is meant when none is named.
pub const DEFAULT_CLUSTER: &str = "default";

/// Environment variable that moves the state root.
pub const HOME_VARIABLE: &str = "IPCLUSTERZ_HOME";

/// Longest path of a unix socket (`sun_path` is 108 bytes with its final NUL).
const SOCKET_PATH_MAX: usize = 107;

impl PlacesError {
    /// What the user can do about it; empty if the text says that already.
    pub fn hint(&self) -> String {
        match self {
            PlacesError::NoHome => "set HOME, or IPCLUSTERZ_HOME to a folder of yours".to_owned(),
            PlacesError::BadName(_) => String::new(),
            PlacesError::SocketPathTooLong(_) => RUNTIME_HINT.to_owned(),
            PlacesError::NotText { variable, .. } => format!("set {variable} to a folder with another name"),
            PlacesError::Foreign { path, .. } if *path == run_base_without_session() => {
                format!("{RUNTIME_HINT}, or have that user or root remove {}", path.display())
            }
            PlacesError::Foreign { path, .. } | PlacesError::NotPrivate { path, .. }
                if path.starts_with("/dev/shm") =>
            {
                "restart the cluster: its folder there has a new name each time".to_owned()
            }
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
pub fn variable(name: &str) -> Option<PathBuf> {
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
    let names = match private::names(&root) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        names => names?,
    };
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| check_name(name).is_ok() && root.join(name).is_dir()).collect())
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

/// This host's name.
pub fn host_name() -> String {
    hostname::get().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for bad in ["", ".", "..", "a/b", ".hidden", "-n", "ä", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?} passed");
        }
        for good in ["default", "a", "run-7", "x_1.2"] {
            assert!(check_name(good).is_ok(), "{good:?} refused");
        }
    }
}
