//! Whether the kernel killed a process because memory ran out, in the kernel's own words.
//!
//! There are two sources, and a host may allow neither: the kernel's log, which names the process, and the counter
//! `oom_kill` of the cgroup that this process and its children are in.

use std::path::{Path, PathBuf};

/// How old a line of the kernel's log may be, in seconds: a number of a process may have been used before.
const FRESH: f64 = 60.0;
/// The most of the kernel's log that is read, in bytes.
const LOG_MAX: usize = 4 << 20;
/// `klogctl`: read all that is in the log, and its size.
const READ_ALL: libc::c_int = 3;
const SIZE: libc::c_int = 10;

/// Watches for kills by the kernel.
#[derive(Debug)]
pub struct OutOfMemory {
    counter: Option<PathBuf>,
    kills: u64,
}

impl Default for OutOfMemory {
    fn default() -> Self {
        let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let counter = counters(&cgroups, Path::new("/sys/fs/cgroup")).into_iter().find(|path| kills(path).is_some());
        let kills = counter.as_deref().and_then(kills).unwrap_or_default();
        Self { counter, kills }
    }
}

impl OutOfMemory {
    /// Why SIGKILL has just ended this child, if the kernel says that memory ran out.
    pub fn word(&mut self, pid: u32) -> Option<String> {
        let now = self.counter.as_deref().and_then(kills).unwrap_or_default();
        let counted = now > self.kills;
        // Of several that were killed at once, each takes one.
        self.kills += u64::from(counted);
        if let Some(line) = line_about(&kernel_log(), pid, uptime()) {
            return Some(format!("out of memory, says the kernel: {line}"));
        }
        let counter = self.counter.as_deref().filter(|_| counted)?;
        Some(format!("out of memory, says its cgroup: oom_kill {now} in {}", counter.display()))
    }
}

/// The files that may hold the counter, by the text of `/proc/self/cgroup`: of version 2, then of version 1.
fn counters(cgroups: &str, root: &Path) -> Vec<PathBuf> {
    let below = |root: PathBuf, path: &str| root.join(path.trim_start_matches('/'));
    let lines = cgroups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let found = lines.filter_map(|parts| match parts[..] {
        ["0", "", path] => Some((2, below(root.to_owned(), path).join("memory.events"))),
        [_, "memory", path] => Some((1, below(root.join("memory"), path).join("memory.oom_control"))),
        _ => None,
    });
    let mut found: Vec<(u8, PathBuf)> = found.collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The line `oom_kill 3` of a file of a cgroup.
fn kills(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// The newest line of the kernel's log about the kill of a process: the text behind the time, without the sizes.
fn line_about(log: &str, pid: u32, uptime: f64) -> Option<String> {
    let about = format!("Killed process {pid} (");
    let line = log.lines().rev().find(|line| line.contains(&about))?;
    // `<3>[15787.911791] Out of memory: Killed process 17 (python3) total-vm:…, anon-rss:…`
    let (time, text) = line.split_once('[')?.1.split_once("] ")?;
    let said = time.trim().parse::<f64>().ok()?;
    let text = text.split_once(" total-vm:").map_or(text, |(text, _)| text);
    // The process chose its own name.
    (uptime - said < FRESH).then(|| text.trim().trim_end_matches(',').replace(char::is_control, "?"))
}

/// The kernel's log; empty where it may not be read.
fn kernel_log() -> String {
    // SAFETY: without a buffer the call returns a number alone.
    let size = unsafe { libc::klogctl(SIZE, std::ptr::null_mut(), 0) };
    let mut buffer = vec![0_u8; usize::try_from(size).unwrap_or_default().min(LOG_MAX)];
    let length = libc::c_int::try_from(buffer.len()).unwrap_or_default();
    // SAFETY: the buffer has that length.
    let read = unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), length) };
    buffer.truncate(usize::try_from(read).unwrap_or_default());
    String::from_utf8_lossy(&buffer).into_owned()
}

/// Seconds since the host was started, as the kernel's log counts them.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_log_names_the_process() {
        let log = "<6>[  100.000000] Killed process 17 (old)\n\
                   <3>[15787.911791] Memory cgroup out of memory: Killed process 17 (python3) total-vm:9kB, anon-rss:8kB\n\
                   <6>[15788.000000] br0: port 5(v3) entered forwarding state\n";
        let said = "Memory cgroup out of memory: Killed process 17 (python3)";
        assert_eq!(line_about(log, 17, 15_800.0).as_deref(), Some(said));
        assert_eq!(line_about(log, 17, 16_000.0), None, "that was another process");
        assert_eq!(line_about(log, 7, 15_800.0), None);
    }

    #[test]
    fn the_cgroup_counts_kills_in_either_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let hybrid = "9:name=systemd:/\n4:memory:/job/7\n0::/user.slice\n";
        let [events, control] = &counters(hybrid, root)[..] else { panic!("two") };
        assert_eq!(*events, root.join("user.slice/memory.events"));
        assert_eq!(*control, root.join("memory/job/7/memory.oom_control"));
        std::fs::create_dir_all(control.parent().expect("a folder")).expect("create");
        std::fs::write(control, "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n").expect("write");
        assert_eq!((kills(events), kills(control)), (None, Some(2)));

        let mut watch = OutOfMemory { counter: Some(control.clone()), kills: 0 };
        let said = format!("out of memory, says its cgroup: oom_kill 2 in {}", control.display());
        for _ in 0..2 {
            assert_eq!(watch.word(u32::MAX), Some(said.clone()));
        }
        assert_eq!(watch.word(u32::MAX), None, "both have been told");
    }
}
