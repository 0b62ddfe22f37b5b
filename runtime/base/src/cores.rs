//! How many cores a process may use: those that the scheduler lets it run on, within the CPU quota of its cgroup. And near
//! which of them its memory is.

use std::collections::BTreeSet;
use std::num::NonZero;

/// How many this process may use, at least one.
pub fn available() -> usize {
    // The standard library reads the affinity of the calling thread, and the quotas of both versions of cgroups.
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// How many this process could use if it were bound as the process `pid` is: more than [`available`] when it is bound
/// more tightly. `None` if there is no such process, or it may not be asked.
pub fn available_as(pid: u32) -> Option<usize> {
    let bound = affinity(pid)?;
    // A thread of its own: an affinity belongs to a thread, and this one's stays as it is.
    let count = move || set_affinity(&bound).then(available);
    std::thread::Builder::new().spawn(count).ok()?.join().ok()?
}

/// Like [`available`], with the hardware threads of one core counted once, as MPI counts slots.
pub fn available_whole() -> usize {
    let Some(bound) = affinity(0) else { return available() };
    let name = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let siblings: Option<BTreeSet<String>> = cpus(&bound).map(|cpu| std::fs::read_to_string(name(cpu)).ok()).collect();
    siblings.map_or_else(available, |cores| cores.len().clamp(1, available()))
}

/// The cores that a process is bound to; 0 is the calling thread.
fn affinity(pid: u32) -> Option<libc::cpu_set_t> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    // SAFETY: cpu_set_t is plain data, for which all zeroes is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid for writing, and its size is given.
    (unsafe { libc::sched_getaffinity(pid, size_of_val(&set), &raw mut set) } == 0).then_some(set)
}

/// The numbers of the cores in a set.
fn cpus(set: &libc::cpu_set_t) -> impl Iterator<Item = usize> {
    // SAFETY: the numbers are below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE.unsigned_abs() as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, set) })
}

fn set_affinity(set: &libc::cpu_set_t) -> bool {
    // SAFETY: the set is valid for reading, and its size is given.
    unsafe { libc::sched_setaffinity(0, size_of_val(set), set) == 0 }
}

/// Has this process take memory of a NUMA node while there is some; processes that it starts do the same. `false`: the
/// kernel does not do that, or a container forbids it.
pub fn prefer_memory_of(node: u32) -> bool {
    // The kernel counts the bits, and takes one less than it is told.
    let mut mask = [0_u64; 17];
    let (word, bit) = (node as usize / 64, node % 64);
    if word + 1 >= mask.len() {
        return false;
    }
    mask[word] = 1 << bit;
    // SAFETY: the mask is valid for reading, and its size in bits is given. By number: the C library has no function.
    unsafe { libc::syscall(libc::SYS_set_mempolicy, libc::MPOL_PREFERRED, mask.as_ptr(), 64 * (mask.len() - 1)) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_tightly_bound_thread_sees_what_its_process_has() {
        let all = available();
        let first = affinity(0).expect("own affinity");
        let bound = std::thread::spawn(move || {
            let mut one = first;
            // SAFETY: the set is valid for writing.
            unsafe { libc::CPU_ZERO(&mut one) };
            let cpu = cpus(&first).next().expect("a core");
            // SAFETY: the set is valid for writing, and the number is below CPU_SETSIZE.
            unsafe { libc::CPU_SET(cpu, &mut one) };
            assert!(set_affinity(&one));
            (available(), available_as(std::process::id()), available_whole())
        });
        assert_eq!(bound.join().expect("thread"), (1, Some(all), 1));
        assert!((1..=all).contains(&available_whole()));
    }

    #[test]
    fn memory_is_preferred_of_a_node_that_there_is() {
        std::thread::spawn(|| assert!(!prefer_memory_of(1000) && !prefer_memory_of(u32::MAX))).join().expect("thread");
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        let mut child = Command::new("true").spawn().expect("true");
        child.wait().expect("wait");
        assert_eq!(available_as(child.id()), None);
    }
}
