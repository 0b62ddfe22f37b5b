//! Watches processes of this host, which the kernel does with a descriptor for each (pidfd_open(2)).

use ipclusterz_base::ids::PeerId;
use ipclusterz_base::process::Stat;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Most ends that are taken per call.
const BATCH: i32 = 64;

/// The processes of peers.
pub(super) struct Watch {
    /// Readable when one of them has ended.
    epoll: OwnedFd,
    processes: HashMap<PeerId, (u32, OwnedFd)>,
    /// Those that had ended before they could be watched.
    over: Vec<(PeerId, u32)>,
}

impl Watch {
    /// Watches nobody yet.
    pub fn new() -> io::Result<Watch> {
        // SAFETY: no memory involved; the descriptor is checked, and owned by nobody else.
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC).into())? };
        Ok(Watch { epoll, processes: HashMap::new(), over: Vec::new() })
    }

    /// To be polled for reading.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Watches the process of a peer. Where that is not possible (an old kernel, no descriptors), its connections alone
    /// tell of its end.
    pub fn add(&mut self, peer: PeerId, pid: u32, start_time: u64) {
        let gone = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT));
        // The descriptor is of the process that has the pid now, and the start time says whether that is the one meant.
        let opened = open(pid).and_then(|process| Ok((process, Stat::of(pid)?)));
        match opened {
            Ok((process, stat)) if stat.start_time == start_time => {
                let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: peer.0 };
                let (epoll, fd) = (self.fd(), process.as_raw_fd());
                // SAFETY: both descriptors are open, and the event is valid for reading.
                if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) } == 0 {
                    self.processes.insert(peer, (pid, process));
                }
            }
            Ok(_) => self.over.push((peer, pid)),
            Err(error) if gone(&error) => self.over.push((peer, pid)),
            Err(error) => tracing::debug!("process {pid} is not watched: {error}"),
        }
    }

    /// Watches it no longer.
    pub fn remove(&mut self, peer: PeerId) {
        // Closing the only descriptor takes it out of the set.
        self.processes.remove(&peer);
        self.over.retain(|(over, _)| *over != peer);
    }

    /// Whether `ended` has something that the descriptor does not tell of.
    pub fn is_due(&self) -> bool {
        !self.over.is_empty()
    }

    /// Those that have ended since the last call, their pids, and how, as far as the kernel tells.
    pub fn ended(&mut self) -> Vec<(PeerId, u32, Option<String>)> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH as usize];
        // SAFETY: the events are valid for writing, as many as is said.
        let count = unsafe { libc::epoll_wait(self.fd(), events.as_mut_ptr(), BATCH, 0) };
        let found = events.iter().take(usize::try_from(count).unwrap_or_default());
        let found: Vec<PeerId> = found.map(|event| PeerId(event.u64)).collect();
        let over = std::mem::take(&mut self.over).into_iter().map(|(peer, pid)| (peer, pid, None));
        let processes = &mut self.processes;
        let ended = |peer| processes.remove(&peer).map(|(pid, fd)| (peer, pid, how(pid, &fd)));
        found.into_iter().filter_map(ended).chain(over).collect()
    }
}

/// How a process ended, in the words of an exit status.
fn how(pid: u32, process: &OwnedFd) -> Option<String> {
    // Its parent may reap it at any moment: then the descriptor tells, on newer kernels.
    let status = exit_of(process).or_else(|| exit_of_zombie(pid)).or_else(|| exit_of(process))?;
    Some(ExitStatus::from_raw(status).to_string())
}

fn exit_of_zombie(pid: u32) -> Option<i32> {
    // 0 may also mean that the kernel does not tell.
    let stat = Stat::of(pid).ok().filter(Stat::has_exited)?;
    Some(stat.exit_status).filter(|status| *status != 0)
}

/// `struct pidfd_info` of linux/pidfd.h, in its first version.
#[repr(C)]
#[derive(Default)]
struct Information {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// The wait status of a process that was reaped (Linux 6.15).
fn exit_of(process: &OwnedFd) -> Option<i32> {
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info)
    const PIDFD_GET_INFO: u64 = (3 << 30) | ((size_of::<Information>() as u64) << 16) | (0xFF << 8) | 11;
    let mut information = Information { mask: PIDFD_INFO_EXIT, ..Information::default() };
    // SAFETY: the descriptor is open, and the information valid for writing, as large as the request says.
    let result = unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut information) };
    (result == 0 && information.mask & PIDFD_INFO_EXIT != 0).then_some(information.exit_code)
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: pidfd_open takes two integers; the descriptor is checked, and owned by nobody else.
    unsafe { owned(libc::syscall(libc::SYS_pidfd_open, pid, 0)) }
}

/// # Safety
///
/// The caller has just been given the descriptor, if it is one.
unsafe fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: as the caller says.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn wait(watch: &mut Watch) -> (PeerId, u32, Option<String>) {
        let mut items = [zmq::PollItem::from_fd(watch.fd(), zmq::POLLIN)];
        assert_eq!(zmq::poll(&mut items, 10_000), Ok(1), "an end");
        watch.ended().pop().expect("an end")
    }

    fn child(script: &str) -> (Child, u64) {
        let child = Command::new("sh").args(["-c", script]).spawn().expect("sh");
        let start_time = Stat::of(child.id()).expect("stat").start_time;
        (child, start_time)
    }

    #[test]
    fn ends_are_told_with_their_status_and_only_of_the_process_that_is_meant() {
        let mut watch = Watch::new().expect("epoll");
        for (number, script, expected) in
            [(1, "exit 3", "exit status: 3"), (2, "kill -SEGV $$", "signal: 11 (SIGSEGV)")]
        {
            let (mut child, start_time) = child(&format!("read line; {script}"));
            watch.add(PeerId(number), child.id(), start_time);
            let (peer, pid, how) = wait(&mut watch);
            assert_eq!(pid, child.id());
            // A shell may leave a core behind.
            assert_eq!(
                (peer, how.as_deref().map(|how| how.trim_end_matches(" (core dumped)"))),
                (PeerId(number), Some(expected))
            );
            child.wait().expect("reap");
        }
        let (mut other, start_time) = child("exec sleep 1000");
        watch.add(PeerId(3), other.id(), start_time + 1);
        assert_eq!(watch.ended(), [(PeerId(3), other.id(), None)], "that one has ended");
        watch.add(PeerId(4), other.id(), start_time);
        watch.remove(PeerId(4));
        other.kill().expect("kill");
        other.wait().expect("reap");
        assert_eq!(watch.ended(), []);
        watch.add(PeerId(5), other.id(), start_time);
        assert_eq!(watch.ended(), [(PeerId(5), other.id(), None)]);
    }
}
