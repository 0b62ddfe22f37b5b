//! Finds and kills the processes of a set by a mark in their environment, whatever group or parent they have.
//!
//! Processes that mpiexec starts leave its process group and its session, and are reparented when mpiexec is killed.
//! But a process keeps the environment that it began with, and whatever it starts inherits it. So each set has a mark
//! in the environment, `IPCLUSTERZ_SET`, made of the random id of the cluster's run and the number of the set.
//!
//! Only processes of this user are searched. Each is killed through a descriptor that was opened before its start time
//! was compared, so that a process that has got a reused pid is never hit.

use crate::identity::ProcessIdentity;
use crate::system;
use std::io;
use std::os::unix::fs::MetadataExt;

/// The variable that holds the mark.
pub const VARIABLE: &str = "IPCLUSTERZ_SET";

/// What the processes of one set have in their environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// The mark of the set with this number in a run of a cluster.
    pub fn of_set(run_id: &str, set: u32) -> Self {
        Self(format!("{run_id}-{set}"))
    }

    /// The mark of something that is no set, such as a trial run.
    pub fn of_trial(id: &str) -> Self {
        Self(format!("{id}-trial"))
    }

    /// The variable's value.
    pub fn value(&self) -> &str {
        &self.0
    }

    /// The living processes of this user on this host that have the mark, except this process.
    pub fn processes(&self) -> Vec<ProcessIdentity> {
        find(|value| value == self.0)
    }
}

/// The processes of all sets of one run of a cluster.
pub fn processes_of_run(run_id: &str) -> Vec<ProcessIdentity> {
    find(|value| value.strip_prefix(run_id).is_some_and(|rest| rest.starts_with('-')))
}

/// Kills exactly these processes. A process that has got the pid of one of them since is left alone.
pub fn kill(processes: &[ProcessIdentity]) {
    for process in processes {
        // The error is ignored: a process that is gone needs no kill, and the next search finds one that may not be
        // killed.
        let _ = system::signal_exactly(process.pid, libc::SIGKILL, || process.is_alive());
    }
}

/// The processes of this user whose mark is `wanted`, except this process. Zombies have no environment any more.
fn find(wanted: impl Fn(&str) -> bool) -> Vec<ProcessIdentity> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let user = system::effective_user();
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            if pid == std::process::id() || entry.metadata().ok()?.uid() != user {
                return None;
            }
            // The identity is read first: if the pid is reused in between, the identity is that of the old process,
            // which is gone, and so nothing is killed.
            let identity = ProcessIdentity::of(pid).ok()?;
            mark_of(pid).ok()?.is_some_and(|value| wanted(&value)).then_some(identity)
        })
        .collect()
}

fn mark_of(pid: u32) -> io::Result<Option<String>> {
    Ok(value_in(&std::fs::read(format!("/proc/{pid}/environ"))?))
}

/// The mark in the text of `/proc/PID/environ`: `NAME=value`, each ended by a zero byte.
fn value_in(environment: &[u8]) -> Option<String> {
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn marked(value: &str) -> Child {
        Command::new("sleep").arg("1000").env(VARIABLE, value).spawn().expect("sleep")
    }

    #[test]
    fn the_mark_is_a_whole_variable() {
        assert_eq!(value_in(b"A=1\0IPCLUSTERZ_SET=ab12-0\0B=2\0"), Some("ab12-0".to_owned()));
        assert_eq!(value_in(b"IPCLUSTERZ_SETS=ab12-0\0X=IPCLUSTERZ_SET=1\0"), None);
        assert_eq!(value_in(b""), None);
    }

    #[test]
    fn only_what_has_the_mark_is_killed() {
        let run = ipclusterz_base::places::random_hex(8);
        let (mut first, mut second) = (marked(&format!("{run}-1")), marked(&format!("{run}-12")));
        let mut other = marked(&format!("{run}0-1"));

        let pids = |processes: Vec<ProcessIdentity>| -> Vec<u32> { processes.iter().map(|one| one.pid).collect() };
        let mark = Mark::of_set(&run, 1);
        assert_eq!(pids(mark.processes()), [first.id()]);
        let mut both = [first.id(), second.id()];
        both.sort_unstable();
        let mut found = pids(processes_of_run(&run));
        found.sort_unstable();
        assert_eq!(found, both);

        kill(&processes_of_run(&run));
        first.wait().expect("reap");
        second.wait().expect("reap");
        assert_eq!(processes_of_run(&run), []);
        assert!(ProcessIdentity::of(other.id()).expect("stat").is_alive());
        other.kill().expect("kill");
        other.wait().expect("reap");
    }

    #[test]
    fn a_process_with_another_start_time_is_left_alone() {
        let mut child = marked("x");
        let identity = ProcessIdentity::of(child.id()).expect("stat");
        kill(&[ProcessIdentity { start_time: identity.start_time + 1, ..identity }]);
        assert!(identity.is_alive());
        child.kill().expect("kill");
        child.wait().expect("reap");
    }
}
