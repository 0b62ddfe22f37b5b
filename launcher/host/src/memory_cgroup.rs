//! A cgroup for each engine of this host, which limits its memory: cgroups of version 2, where this process's own is
//! delegated to it.
//!
//! # Format
//!
//! Below the cgroup that this process is in, `C`:
//!
//! - `C/ipclusterz-starters`: what was in `C`. A cgroup that hands its controllers on has no processes of its own.
//! - `C/ipclusterz-PID-START`: of the launcher with that pid and start, with a cgroup for each engine in it.
//!
//! The last launcher moves the processes back, so that nothing is left. A lock on the folder of `C` keeps launchers apart.

use crate::identity::ProcessIdentity;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const STARTERS: &str = "ipclusterz-starters";
const PREFIX: &str = "ipclusterz-";
/// Where cgroups of version 2 are, alone or beside those of version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// What systemd says of a cgroup that it leaves to others: to users, to services.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];
/// systemd manages the cgroups of this host.
const SYSTEMD: &str = "/run/systemd/system";
/// How often processes are moved: those that are there may start others meanwhile.
const ROUNDS: u32 = 20;

/// The cgroups of this launcher's engines.
#[derive(Debug)]
pub struct MemoryCgroups {
    above: PathBuf,
    own: PathBuf,
}

impl MemoryCgroups {
    /// Makes the cgroup in which those of engines will be. `None`: this process's own is not delegated to it.
    pub fn of_this_process() -> io::Result<Option<Self>> {
        match delegated() {
            Some(above) => Self::below(above, ProcessIdentity::of(std::process::id())?).map(Some),
            None => Ok(None),
        }
    }

    fn below(above: PathBuf, owner: ProcessIdentity) -> io::Result<Self> {
        let own = above.join(format!("{PREFIX}{}-{}", owner.pid, owner.start_time));
        // Dropped, it puts everything back. It takes the lock then, so nothing else may hold it.
        let made = Self { above, own };
        lock(&made.above).and_then(|_lock| made.hand_memory_on())?;
        Ok(made)
    }

    fn hand_memory_on(&self) -> io::Result<()> {
        if !hands_memory_on(&self.above) {
            let starters = self.above.join(STARTERS);
            make(&starters)?;
            move_all(&self.above, &starters)?;
            write(&self.above.join("cgroup.subtree_control"), "+memory")?;
        }
        make(&self.own)?;
        write(&self.own.join("cgroup.subtree_control"), "+memory")
    }

    /// Makes the cgroup of an engine, which limits its memory to so many bytes.
    pub fn make(&self, name: &str, bytes: u64) -> io::Result<()> {
        let folder = self.own.join(name);
        make(&folder)?;
        write(&folder.join("memory.max"), &bytes.to_string())?;
        // A kernel may lack these: one that swaps or kills a part of an engine limits it all the same.
        let _ = write(&folder.join("memory.swap.max"), "0");
        let _ = write(&folder.join("memory.oom.group"), "1");
        Ok(())
    }

    /// Puts a process in, and what it will start.
    pub fn enter(&self, name: &str, pid: u32) -> io::Result<()> {
        write(&self.own.join(name).join("cgroup.procs"), &pid.to_string())
    }

    /// Whether the kernel has killed a process of the engine because of this limit, not of that of a cgroup above.
    pub fn has_killed(&self, name: &str) -> bool {
        let events = std::fs::read_to_string(self.own.join(name).join("memory.events")).unwrap_or_default();
        ["oom ", "oom_kill "].iter().all(|event| count(&events, event) > 0)
    }

    /// Removes the cgroup of an engine that has ended. What it has started and left goes on among the starters.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        remove(&self.own.join(name), &self.above)
    }
}

impl Drop for MemoryCgroups {
    fn drop(&mut self) {
        // Nobody is left to tell. What stays is empty, and the next launcher there removes it.
        let _ = lock(&self.above).and_then(|_lock| {
            remove_all(&self.own, &self.above)?;
            tidy(&self.above)
        });
    }
}

fn count(events: &str, event: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix(event)?.trim().parse().ok()).unwrap_or_default()
}

/// Removes the cgroups of launchers that are gone, and puts processes back where they were.
pub fn remove_left() -> io::Result<()> {
    let Some(above) = delegated().filter(|above| above.join(STARTERS).exists()) else { return Ok(()) };
    let _lock = lock(&above)?;
    tidy(&above)
}

fn tidy(above: &Path) -> io::Result<()> {
    for folder in launchers(above)? {
        let owner = folder.file_name().and_then(|name| owner_of(&name.to_string_lossy()));
        if owner.is_some_and(|owner| !owner.is_alive()) {
            remove_all(&folder, above)?;
        }
    }
    give_back(above)
}

/// The cgroup that this process was started in, if it is delegated to this user.
fn delegated() -> Option<PathBuf> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let found =
        MOUNTS.iter().find_map(|mount| Some(started_in(&cgroups, Path::new(mount))?).filter(|path| has_memory(path)));
    let managed = Path::new(SYSTEMD).exists();
    found.filter(|path| is_mine(path) && (!managed || DELEGATED.iter().any(|name| says(path, name))))
}

/// By the text of `/proc/self/cgroup`; what is among the starters was started in the cgroup above.
fn started_in(cgroups: &str, mount: &Path) -> Option<PathBuf> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let path = Path::new(path);
    let path = if path.ends_with(STARTERS) { path.parent()? } else { path };
    Some(mount.join(path))
}

fn has_memory(folder: &Path) -> bool {
    words(&folder.join("cgroup.controllers")).iter().any(|word| word == "memory")
}

fn hands_memory_on(folder: &Path) -> bool {
    words(&folder.join("cgroup.subtree_control")).iter().any(|word| word == "memory")
}

fn words(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Whether this user may make cgroups there, and move processes.
fn is_mine(folder: &Path) -> bool {
    let files = [folder.to_owned(), folder.join("cgroup.procs"), folder.join("cgroup.subtree_control")];
    files.iter().all(|file| {
        let Ok(path) = CString::new(file.as_os_str().as_bytes()) else { return false };
        // SAFETY: the path is a string that ends with NUL.
        unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
    })
}

/// Whether the folder has this attribute, as `1`.
fn says(folder: &Path, attribute: &str) -> bool {
    let (Ok(path), Ok(name)) = (CString::new(folder.as_os_str().as_bytes()), CString::new(attribute)) else {
        return false;
    };
    let mut value = [0_u8; 2];
    // SAFETY: both are strings that end with NUL, and the buffer has that length.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    length == 1 && value[0] == b'1'
}

/// Held until the file is dropped.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    file.lock()?;
    Ok(file)
}

fn make(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Only what is there: a cgroup's files cannot be made.
fn write(file: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// Moves all processes of a cgroup into another one.
fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    for _ in 0..ROUNDS {
        let processes = words(&from.join("cgroup.procs"));
        if processes.is_empty() {
            return Ok(());
        }
        for process in &processes {
            match write(&to.join("cgroup.procs"), process) {
                // It has ended.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => result?,
            }
        }
    }
    Err(io::Error::other(format!("processes of {} cannot be moved", from.display())))
}

fn remove(folder: &Path, above: &Path) -> io::Result<()> {
    if folder.exists() {
        let starters = above.join(STARTERS);
        make(&starters)?;
        move_all(folder, &starters)?;
        std::fs::remove_dir(folder)?;
    }
    Ok(())
}

/// Removes the cgroup of a launcher, with those of its engines.
fn remove_all(folder: &Path, above: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type()?.is_dir() {
            remove(&entry.path(), above)?;
        }
    }
    remove(folder, above)
}

/// Moves the starters back, unless there is another launcher.
fn give_back(above: &Path) -> io::Result<()> {
    let starters = above.join(STARTERS);
    if !launchers(above)?.is_empty() || !starters.exists() {
        return Ok(());
    }
    write(&above.join("cgroup.subtree_control"), "-memory")?;
    move_all(&starters, above)?;
    std::fs::remove_dir(starters)
}

/// The cgroups of launchers.
fn launchers(above: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(above)?.flatten();
    let named = entries.filter(|entry| owner_of(&entry.file_name().to_string_lossy()).is_some());
    Ok(named.map(|entry| entry.path()).collect())
}

/// The process that a cgroup's name tells of.
fn owner_of(name: &str) -> Option<ProcessIdentity> {
    let (pid, start_time) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some(ProcessIdentity { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn starters_are_of_the_cgroup_above() {
        let root = Path::new("/cg");
        let of = |text: &str| started_in(text, root);
        assert_eq!(of("4:memory:/job\n0::/user.slice/a.scope\n"), Some("/cg/user.slice/a.scope".into()));
        assert_eq!(of("0::/a.scope/ipclusterz-starters\n"), Some("/cg/a.scope".into()));
        assert_eq!((of("0::/\n"), of("4:memory:/job\n")), (Some("/cg/".into()), None));
    }

    #[test]
    fn the_name_of_a_cgroup_tells_its_launcher() {
        assert_eq!(owner_of("ipclusterz-17-2300"), Some(ProcessIdentity { pid: 17, start_time: 2300 }));
        for other in [STARTERS, "ipclusterz-17", "user-17-2300", "ipclusterz-a-1"] {
            assert_eq!(owner_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_is_no_cgroup_is_not_delegated() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!has_memory(folder.path()) && !is_mine(folder.path()) && !says(folder.path(), DELEGATED[0]));
        assert!(MemoryCgroups::below(folder.path().to_owned(), ProcessIdentity { pid: 1, start_time: 1 }).is_err());
    }

    /// On a host with cgroups of version 2, as root. Moves no process but its own child.
    #[test]
    fn an_engine_beyond_its_limit_is_killed_and_nothing_is_left() {
        let Some(root) = MOUNTS.iter().map(PathBuf::from).find(|mount| has_memory(mount) && is_mine(mount)) else {
            return;
        };
        let above = root.join(format!("ipclusterz-test-of-{}", std::process::id()));
        let made = hands_memory_on(&root) || write(&root.join("cgroup.subtree_control"), "+memory").is_ok();
        if !made || make(&above).is_err() {
            return;
        }
        let mut starter = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        write(&above.join("cgroup.procs"), &starter.id().to_string()).expect("move");
        let owner = ProcessIdentity::of(std::process::id()).expect("own stat");
        let cgroups = MemoryCgroups::below(above.clone(), owner).expect("cgroups");
        assert_eq!(words(&above.join(STARTERS).join("cgroup.procs")), [starter.id().to_string()]);
        cgroups.make("engine-0", 32 << 20).expect("a cgroup");
        let command = "read line; x=$(head -c 200000000 /dev/zero | tr '\\0' x)";
        let mut shell = std::process::Command::new("sh");
        let mut child = shell.args(["-c", command]).stdin(std::process::Stdio::piped()).spawn().expect("sh");
        cgroups.enter("engine-0", child.id()).expect("enter");
        assert!(!cgroups.has_killed("engine-0"));
        drop(child.stdin.take());
        assert!(!child.wait().expect("wait").success());
        assert!(cgroups.has_killed("engine-0"));
        cgroups.remove("engine-0").expect("remove");
        drop(cgroups);
        // Others of those that were killed may not be over yet.
        let deadline = Instant::now() + Duration::from_secs(10);
        while words(&above.join("cgroup.procs")) != [starter.id().to_string()] {
            assert!(Instant::now() < deadline, "{:?}", words(&above.join("cgroup.procs")));
            std::thread::yield_now();
        }
        starter.kill().expect("kill");
        starter.wait().expect("wait");
        std::fs::remove_dir(&above).expect("nothing is left");
    }
}
