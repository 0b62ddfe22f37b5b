//! What the kernel tells of processes of this host.
//!
//! A pid alone does not identify a process: the kernel gives it to another process after a while, and to any process
//! after a reboot; and each pid namespace counts for itself. A pid together with the start time of its process, the id of
//! the boot and the namespace does.

use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// The part of `/proc/PID/stat` that is of interest here (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z`, `T`, `t`, `X`, …
    pub state: char,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// The wait status of a zombie; 0 also where the kernel does not tell.
    pub exit_status: i32,
}

impl Stat {
    /// Of the process that has this pid now.
    pub fn of(pid: u32) -> io::Result<Stat> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood: {stat:?}")))
    }

    /// Parses the text of `/proc/PID/stat`, of this host or another; `None` if it has an unknown form.
    pub fn parse(stat: &str) -> Option<Stat> {
        // The second field is the program's name in parentheses, and may have spaces and parentheses in it.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let start_time = fields.nth(18)?.parse().ok()?;
        let exit_status = fields.nth(29).and_then(|status| status.parse().ok()).unwrap_or_default();
        Some(Stat { state, start_time, exit_status })
    }

    /// Whether it has exited, and waits to be reaped at most.
    pub fn has_exited(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Why a process that is there does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Halt {
    /// A signal has stopped it: SIGSTOP, or Ctrl-Z in its terminal.
    Stopped,
    /// A debugger has.
    Traced,
    /// Its cgroup is frozen.
    Frozen,
}

impl Halt {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Halt::Stopped => "stopped",
            Halt::Traced => "traced",
            Halt::Frozen => "frozen",
        }
    }

    /// What has happened to a process, for people.
    pub fn what(self) -> &'static str {
        match self {
            Halt::Stopped => "is stopped by a signal",
            Halt::Traced => "is stopped by a debugger",
            Halt::Frozen => "is frozen with its cgroup",
        }
    }

    /// What lets the process `pid` go on, for people.
    pub fn remedy(self, pid: u32) -> String {
        match self {
            Halt::Stopped => format!("`kill -CONT {pid}` lets it go on"),
            Halt::Traced => "the debugger can let it go on".to_owned(),
            Halt::Frozen => "whoever froze it can thaw it".to_owned(),
        }
    }

    /// Both: `the controller (pid 17) is stopped by a signal: …`.
    pub fn of(self, what: &str, pid: u32) -> String {
        format!("{what} (pid {pid}) {}: {}", self.what(), self.remedy(pid))
    }
}

/// Why the process `pid`, which started then, does not go on; `None`: it does, or is not there.
pub fn halt(pid: u32, start_time: u64) -> Option<Halt> {
    let stat = Stat::of(pid).ok().filter(|stat| stat.start_time == start_time)?;
    match stat.state {
        'T' => Some(Halt::Stopped),
        't' => Some(Halt::Traced),
        // Those of a frozen cgroup of version 2 sleep, and those of version 1 wait in the kernel.
        'S' | 'D' => is_frozen(pid).then_some(Halt::Frozen),
        _ => None,
    }
}

/// Whether the kernel says so of its cgroup, or of one above; the controller of version 1 has a hierarchy of its own.
fn is_frozen(pid: u32) -> bool {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let says = |file: String, word: &str| std::fs::read_to_string(file).is_ok_and(|text| text.contains(word));
    cgroups.lines().any(|line| match line.splitn(3, ':').collect::<Vec<_>>()[..] {
        ["0", "", path] => {
            ["", "/unified"].iter().any(|root| says(format!("/sys/fs/cgroup{root}{path}/cgroup.events"), "frozen 1"))
        }
        [_, "freezer", path] => says(format!("/sys/fs/cgroup/freezer{path}/freezer.state"), "FROZEN"),
        _ => false,
    })
}

/// Identifies the current boot of this host. Empty if the kernel does not tell.
pub fn boot_id() -> String {
    // Without an id, all boots look the same, and only the start times distinguish processes.
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// In which process table a pid means what: that of a kernel, and of a namespace of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Identifies the kernel's boot: both halves of its UUID.
    pub boot: (u64, u64),
    /// Identifies the pid namespace.
    pub namespace: u64,
}

impl Table {
    /// This process's own; `None` where the kernel does not tell.
    pub fn own() -> Option<Table> {
        static BOOT: OnceLock<Option<(u64, u64)>> = OnceLock::new();
        let boot = *BOOT.get_or_init(|| halves(&boot_id().replace('-', "")));
        Some(Table { boot: boot?, namespace: std::fs::metadata("/proc/self/ns/pid").ok()?.ino() })
    }
}

/// What makes a pid identify a process: where it means something, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// The process table.
    pub table: Table,
    /// When the process started, in clock ticks since boot.
    pub start_time: u64,
}

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has exited.
    Gone,
    /// It is there and does not go on.
    Halted(Halt),
    /// It is there.
    Alive,
}

impl Birth {
    /// That of this process; `None` where the kernel does not tell.
    pub fn own() -> Option<Birth> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Where /proc is that of another namespace, pids in it mean other processes.
        let pid: u32 = stat.split(' ').next()?.parse().ok()?;
        let start_time = Stat::parse(&stat)?.start_time;
        (pid == std::process::id()).then_some(Birth { table: Table::own()?, start_time })
    }

    /// That of the process of this host which has this pid now; `None` where the kernel does not tell.
    pub fn of(pid: u32) -> Option<Birth> {
        let Birth { table, .. } = Birth::own()?;
        Some(Birth { table, start_time: Stat::of(pid).ok()?.start_time })
    }

    /// How the process `pid` is that was born so; `None`: it is elsewhere.
    pub fn condition(self, pid: u32) -> Option<Condition> {
        (Table::own()? == self.table).then(|| match Stat::of(pid) {
            Ok(stat) if stat.start_time == self.start_time && !stat.has_exited() => {
                halt(pid, self.start_time).map_or(Condition::Alive, Condition::Halted)
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Condition::Gone,
            // Not allowed to look, or no descriptors.
            Err(_) => Condition::Alive,
            Ok(_) => Condition::Gone,
        })
    }

    /// Why the process `pid` does not go on that was born so, where this host can see that; `what` names it.
    pub fn halted(self, what: &str, pid: u32) -> Option<String> {
        match self.condition(pid)? {
            Condition::Halted(halt) => Some(halt.of(what, pid)),
            Condition::Gone | Condition::Alive => None,
        }
    }
}

fn halves(digits: &str) -> Option<(u64, u64)> {
    let half = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok();
    Some((half(digits.get(..16))?, half(digits.get(16..))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    fn until(child: &Child, wanted: impl Fn(Stat) -> bool) -> Stat {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let stat = Stat::of(child.id()).expect("a process");
            if wanted(stat) {
                return stat;
            }
            assert!(Instant::now() < deadline, "{stat:?}");
            std::thread::yield_now();
        }
    }

    fn signal(child: &Child, number: i32) {
        let pid = i32::try_from(child.id()).expect("a pid");
        // SAFETY: kill takes two integers; the child is not reaped yet.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "4242 (a) b (c)) S 1 4242 4242 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 1";
        assert_eq!(Stat::parse(stat), Some(Stat { state: 'S', start_time: 987_654, exit_status: 0 }));
        assert_eq!(Stat::parse("garbage"), None);
    }

    #[test]
    fn a_stopped_process_is_halted_until_it_goes_on_and_a_zombie_has_its_status() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let start_time = Stat::of(child.id()).expect("a process").start_time;
        assert_eq!(halt(child.id(), start_time), None);
        signal(&child, libc::SIGSTOP);
        until(&child, |stat| stat.state == 'T');
        assert_eq!(halt(child.id(), start_time), Some(Halt::Stopped));
        assert_eq!(halt(child.id(), start_time + 1), None, "another process");
        signal(&child, libc::SIGCONT);
        until(&child, |stat| stat.state != 'T');
        assert_eq!(halt(child.id(), start_time), None);
        let birth = Birth { start_time, ..Birth::own().expect("a birth") };
        assert_eq!(birth.condition(child.id()), Some(Condition::Alive));
        let elsewhere = Birth { table: Table { namespace: 0, ..birth.table }, ..birth };
        assert_eq!(elsewhere.condition(child.id()), None);
        signal(&child, libc::SIGKILL);
        let stat = until(&child, |stat| stat.has_exited());
        assert_eq!(stat.exit_status, libc::SIGKILL);
        assert_eq!(birth.condition(child.id()), Some(Condition::Gone));
        child.wait().expect("reap");
        assert_eq!(birth.condition(child.id()), Some(Condition::Gone));
    }

    #[test]
    fn processes_of_one_host_are_in_one_table() {
        assert!(Table::own().is_some());
        assert_eq!(Table::own(), Table::own());
    }
}
