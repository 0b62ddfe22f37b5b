//! Identifies processes so that another program can recognise them later.
//!
//! A pid alone does not do that: see [`ipclusterz_base::process`].

use ipclusterz_base::places;
pub use ipclusterz_base::process::boot_id;
use ipclusterz_base::process::{self, Halt, Stat};
use serde::{Deserialize, Serialize};
use std::io;

/// One process on one boot of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The process that has this pid now.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, start_time: Stat::of(pid)?.start_time })
    }

    /// Parses the text of `/proc/PID/stat`, of this host or another; `None` if it has an unknown form.
    pub fn parse(pid: u32, stat: &str) -> Option<Self> {
        Some(Self { pid, start_time: Stat::parse(stat)?.start_time })
    }

    /// Whether this very process still runs. A zombie does not run: it has exited and waits to be reaped.
    pub fn is_alive(&self) -> bool {
        Stat::of(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && !stat.has_exited())
    }

    /// Why it does not go on, although it is there.
    pub fn halt(&self) -> Option<Halt> {
        process::halt(self.pid, self.start_time)
    }
}

/// The process that something on disk belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The host that the process runs on.
    pub host: String,
    /// The boot of that host during which the pid is valid.
    pub boot_id: String,
    /// The process.
    pub process: ProcessIdentity,
}

/// What this host knows about an [`Owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Alive,
    /// It has exited: what it owned is orphaned.
    Gone,
    /// It is a process of another host, which this host cannot see.
    Elsewhere,
}

impl Owner {
    /// This process.
    pub fn this_process() -> io::Result<Self> {
        let process = ProcessIdentity::of(std::process::id())?;
        Ok(Self { host: places::host_name(), boot_id: boot_id(), process })
    }

    /// Whether it still runs.
    pub fn fate(&self) -> Fate {
        if self.host != places::host_name() {
            Fate::Elsewhere
        } else if self.boot_id == boot_id() && self.process.is_alive() {
            Fate::Alive
        } else {
            Fate::Gone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_with_another_start_is_not() {
        let identity = ProcessIdentity::of(std::process::id()).expect("own stat");
        assert!(identity.is_alive());
        assert!(!ProcessIdentity { start_time: identity.start_time + 1, ..identity }.is_alive());
    }

    #[test]
    fn an_owner_is_told_by_host_boot_and_process() {
        let owner = Owner::this_process().expect("own stat");
        assert_eq!(owner.fate(), Fate::Alive);
        assert_eq!(Owner { host: "another".to_owned(), ..owner.clone() }.fate(), Fate::Elsewhere);
        assert_eq!(Owner { boot_id: "an earlier boot".to_owned(), ..owner.clone() }.fate(), Fate::Gone);
        let reused = ProcessIdentity { start_time: owner.process.start_time + 1, ..owner.process };
        assert_eq!(Owner { process: reused, ..owner }.fate(), Fate::Gone);
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let identity = ProcessIdentity::of(child.id()).expect("stat of a child not yet reaped");
        assert!(crate::system::wait_for_end(child.id(), std::time::Duration::from_secs(10)).expect("wait"));
        assert!(!identity.is_alive());
        child.wait().expect("reap");
    }
}
