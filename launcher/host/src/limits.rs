//! Checks whether the limits of this host allow the wanted number of engines, before the first one starts.
//!
//! Without this check, a start with too many engines would fail halfway with "Resource temporarily unavailable", and
//! the user's own shell could not fork any more.

use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::system;
use crate::units::bytes;
use std::path::{Path, PathBuf};

/// Kernel tasks of one engine: Python's main thread, the I/O thread and two threads of libzmq. User code that starts
/// threads of its own comes on top.
const TASKS_PER_ENGINE: u64 = 4;
/// Tasks of the launcher and the controller.
const TASKS_OF_CLUSTER: u64 = 16;
/// The controller's descriptors for one engine: its control and its data connection.
const FILES_PER_ENGINE: u64 = 2;
/// The controller's descriptors without any engine.
const FILES_OF_CONTROLLER: u64 = 64;
/// The least memory that a Python with this package and nothing else needs.
const BYTES_PER_ENGINE: u64 = 10 << 20;

/// A limit on one resource of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name, with the number that the administrator set.
    pub name: String,
    /// What it counts.
    pub unit: &'static str,
    /// How much of it is left for this cluster.
    pub available: u64,
    /// What one engine takes of it.
    pub per_engine: u64,
    /// What the rest of a cluster takes of it.
    pub fixed: u64,
    /// Whether `per_engine` is an estimate. A limit that is counted exactly is reported before an estimated one.
    pub guessed: bool,
}

impl Limit {
    /// How many engines it allows.
    pub fn engines(&self) -> u64 {
        self.available.saturating_sub(self.fixed) / self.per_engine
    }

    fn amount(&self, count: u64) -> String {
        if self.guessed { bytes(count) } else { count.to_string() }
    }
}

/// More engines than a limit allows.
#[derive(Debug, thiserror::Error)]
#[error(
    "{engines} engines are more than this host allows: they need {} {}, and {} leaves {}",
    limit.amount(*needed), limit.unit, limit.name, limit.amount(limit.available)
)]
pub struct TooManyEngines {
    engines: u32,
    needed: u64,
    limit: Limit,
    most: u64,
}

impl From<TooManyEngines> for Failure {
    fn from(error: TooManyEngines) -> Self {
        let hint = match error.most {
            0 => format!("raise the limit, or free some {}", error.limit.unit),
            most => format!("start at most {most} here, or raise the limit"),
        };
        Failure::new(Exit::Usage, error.to_string()).with_hint(hint)
    }
}

/// Fails if a limit does not allow this many engines. The error names the tightest of those limits.
pub fn check(engines: u32, limits: &[Limit]) -> Result<(), TooManyEngines> {
    let wanted = u64::from(engines);
    let exceeded = limits.iter().filter(|limit| limit.engines() < wanted);
    let Some(limit) = exceeded.min_by_key(|limit| (limit.guessed, limit.engines())) else { return Ok(()) };
    let most = limits.iter().map(Limit::engines).min().unwrap_or_default();
    let needed = wanted * limit.per_engine + limit.fixed;
    Err(TooManyEngines { engines, needed, limit: limit.clone(), most })
}

/// How many descriptors a controller of this many engines needs.
pub fn files_of_controller(engines: u32) -> u64 {
    u64::from(engines) * FILES_PER_ENGINE + FILES_OF_CONTROLLER
}

/// The limits of this host, user and control group, as far as they can be read.
///
/// `engines` only decides whether the user's own tasks are counted, which is slow.
pub fn of_this_host(engines: u32) -> Vec<Limit> {
    let tasks_needed = u64::from(engines) * TASKS_PER_ENGINE + TASKS_OF_CLUSTER;
    let tasks = |name: String, available| Limit {
        name,
        unit: "processes and threads",
        available,
        per_engine: TASKS_PER_ENGINE,
        fixed: TASKS_OF_CLUSTER,
        guessed: false,
    };
    let mut limits = Vec::new();
    let running = tasks_of_host();
    for path in ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"] {
        if let Some(most) = read_number(Path::new(path)) {
            limits.push(tasks(format!("{path} ({most})"), most.saturating_sub(running)));
        }
    }
    // The kernel does not apply RLIMIT_NPROC to root.
    if system::effective_user() != 0
        && let Ok((Some(most), _)) = system::resource_limit(libc::RLIMIT_NPROC)
    {
        // Counting the user's own tasks means reading all of /proc, so they are counted only when it can matter.
        let used = if tasks_needed + running <= most { running } else { tasks_of_user(system::effective_user()) };
        limits.push(tasks(format!("ulimit -u ({most})"), most.saturating_sub(used)));
    }
    for (path, most, used) in control_groups() {
        limits.push(tasks(format!("{} ({most})", path.display()), most.saturating_sub(used)));
    }
    if let Ok((_, Some(hard))) = system::resource_limit(libc::RLIMIT_NOFILE) {
        let name = format!("ulimit -Hn ({hard})");
        let unit = "open files of the controller";
        // An engine of this host is watched besides.
        let (per_engine, fixed) = (FILES_PER_ENGINE + 1, FILES_OF_CONTROLLER);
        limits.push(Limit { name, unit, available: hard, per_engine, fixed, guessed: false });
    }
    if let Some(available) = memory_available() {
        let name = "MemAvailable of /proc/meminfo".to_owned();
        limits.push(Limit {
            name,
            unit: "of memory",
            available,
            per_engine: BYTES_PER_ENGINE,
            fixed: 0,
            guessed: true,
        });
    }
    limits
}

/// The number of all tasks on this host: the number after the slash in `/proc/loadavg`.
fn tasks_of_host() -> u64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().nth(3).and_then(|field| field.split_once('/')?.1.parse().ok()).unwrap_or(0)
}

/// Tasks of one user.
fn tasks_of_user(user: u32) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = processes
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user));
    own.map(|entry| std::fs::read_dir(entry.path().join("task")).map_or(0, |tasks| tasks.count() as u64)).sum()
}

/// The limits on tasks of this process's control group and of those around it: file, limit and use.
fn control_groups() -> Vec<(PathBuf, u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut found = Vec::new();
    for folder in text.lines().filter_map(control_group_folder) {
        for folder in folder.ancestors().take_while(|folder| *folder != Path::new("/sys/fs")) {
            // The root group has no such file, and "max" is no number: in both cases there is no limit.
            let limit = folder.join("pids.max");
            if let (Some(most), Some(used)) = (read_number(&limit), read_number(&folder.join("pids.current"))) {
                found.push((limit, most, used));
            }
        }
    }
    found
}

/// The folder that one line of `/proc/self/cgroup` stands for, if it counts tasks (cgroups(7)).
fn control_group_folder(line: &str) -> Option<PathBuf> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let root = match controllers {
        "" => "/sys/fs/cgroup",
        list if list.split(',').any(|controller| controller == "pids") => "/sys/fs/cgroup/pids",
        _ => return None,
    };
    Some(Path::new(root).join(path.trim_start_matches('/')))
}

fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, available: u64) -> Limit {
        Limit {
            name: name.to_owned(),
            unit: "processes and threads",
            available,
            per_engine: 4,
            fixed: 16,
            guessed: false,
        }
    }

    #[test]
    fn memory_is_named_when_nothing_else_is_short_but_always_bounds_the_advice() {
        let memory = Limit {
            unit: "of memory",
            per_engine: 1 << 20,
            fixed: 0,
            guessed: true,
            ..limit("MemAvailable", 10 << 20)
        };
        let error = check(100, &[memory.clone(), limit("ulimit -u (4096)", 4096)]).expect_err("too many");
        let expected = "100 engines are more than this host allows: they need 100.0 MiB of memory, and MemAvailable leaves 10.0 MiB";
        assert_eq!(error.to_string(), expected);
        let failure = Failure::from(check(2000, &[memory, limit("ulimit -u (4096)", 4096)]).expect_err("too many"));
        assert!(failure.message.contains("ulimit -u (4096)"), "{failure:?}");
        assert_eq!(failure.hint.as_deref(), Some("start at most 10 here, or raise the limit"));
    }

    #[test]
    fn the_tightest_limit_is_named_with_its_numbers() {
        let limits = [limit("ulimit -u (4096)", 4000), limit("/proc/sys/kernel/pid_max (32768)", 32_000)];
        assert!(check(996, &limits).is_ok());
        let failure = Failure::from(check(100_000, &limits).expect_err("too many"));
        assert_eq!(
            failure.message,
            "100000 engines are more than this host allows: they need 400016 processes and threads, and ulimit -u (4096) leaves 4000"
        );
        assert_eq!(failure.hint.as_deref(), Some("start at most 996 here, or raise the limit"));
        assert_eq!(failure.exit(), Exit::Usage);
    }

    #[test]
    fn without_known_limits_nothing_is_refused() {
        assert!(check(u32::MAX, &[]).is_ok());
    }

    #[test]
    fn control_groups_of_both_versions_are_found() {
        assert_eq!(control_group_folder("0::/user.slice/a"), Some(PathBuf::from("/sys/fs/cgroup/user.slice/a")));
        assert_eq!(control_group_folder("8:pids:/"), Some(PathBuf::from("/sys/fs/cgroup/pids")));
        assert_eq!(control_group_folder("4:memory:/x"), None);
    }

    #[test]
    fn this_host_allows_one_engine() {
        assert!(check(1, &of_this_host(1)).is_ok());
    }
}
