//! The few system calls that the standard library does not offer, each behind a safe function.

pub use ipclusterz_base::private::effective_user;

use ipclusterz_base::process::Stat;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

/// Between two looks at a process that the kernel does not watch for us.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Sends `signal` to the process group that `leader` leads.
///
/// The caller must know that the group is still the intended one: its leader has not been reaped, or was identified by
/// its start time.
pub fn signal_group(leader: u32, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two integers and touches no memory of ours.
    check(unsafe { libc::kill(-pid_of(leader)?, signal) })
}

/// Sends `signal` to one process.
pub fn signal_process(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two integers and touches no memory of ours.
    check(unsafe { libc::kill(pid_of(pid)?, signal) })
}

/// Sends `signal` to a process that may be gone; does nothing if `still_meant` finds that its pid has been reused.
pub fn signal_exactly(pid: u32, signal: i32, still_meant: impl FnOnce() -> bool) -> io::Result<()> {
    // The descriptor refers to the process that has the pid now. If that is still the intended one, it stays the
    // intended one.
    let descriptor = match open_process(pid) {
        // Linux before 5.3 has no such descriptors: the pid may be reused between the check and the signal.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            return if still_meant() { signal_process(pid, signal) } else { Ok(()) };
        }
        opened => opened?,
    };
    if !still_meant() {
        return Ok(());
    }
    // SAFETY: the descriptor is open, the information may be null, and the other arguments are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            descriptor.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether our child `pid` has exited. It is not reaped, so that its pid cannot be reused yet.
pub fn child_has_ended(pid: u32) -> io::Result<bool> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: info is valid for writing, and the other arguments are integers.
    check(unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, options) })?;
    // SAFETY: waitid succeeded, so that the field is either filled in or still zero.
    Ok(unsafe { info.si_pid() } != 0)
}

/// The pid of our parent. Once the process that started us has exited, it is 1 or that of a subreaper.
pub fn parent_pid() -> u32 {
    // SAFETY: getppid cannot fail and touches no memory.
    unsafe { libc::getppid() }.unsigned_abs()
}

/// Asks the kernel to send `signal` to this process when the thread that started it exits.
///
/// A thread, not a process: [`crate::signals::Signal::ParentChanged`] says how to distinguish the two.
pub fn signal_when_parent_ends(signal: i32) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes an integer and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })
}

/// The limit on dumps of memory that this process was started with.
static CORE_LIMIT: OnceLock<libc::rlimit> = OnceLock::new();

/// Keeps the memory of this process, which may hold keys, from other processes of the same user (ptrace, /proc) and
/// out of dumps of memory. What is started later is free of it after exec, but for the limit: see
/// [`restore_core_limit`].
pub fn keep_secrets() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is valid for reading and writing, and the other arguments are integers.
    unsafe {
        check(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
        check(libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit))?;
        CORE_LIMIT.get_or_init(|| limit);
        limit.rlim_cur = 0;
        check(libc::setrlimit(libc::RLIMIT_CORE, &raw const limit))
    }
}

/// Runs in a child between fork and exec: engines and programs of the user may be dumped as the user has allowed it.
pub fn restore_core_limit() {
    if let Some(limit) = CORE_LIMIT.get() {
        // SAFETY: limit is valid for reading. A failure leaves the program without dumps, which it can do without.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, limit) };
    }
}

/// Soft and hard limit of a resource such as `RLIMIT_NOFILE`; `None` stands for unlimited.
pub fn resource_limit(resource: libc::__rlimit_resource_t) -> io::Result<(Option<u64>, Option<u64>)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is valid for writing.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    let finite = |value| (value != libc::RLIM_INFINITY).then_some(value);
    Ok((finite(limit.rlim_cur), finite(limit.rlim_max)))
}

/// The size of the file system that `path` is in, and the space available in it, both in bytes.
pub fn space(path: &std::path::Path) -> io::Result<(u64, u64)> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // SAFETY: statvfs is plain data, for which all zeroes is a value.
    let mut answer: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, and answer is valid for writing.
    check(unsafe { libc::statvfs(path.as_ptr(), &raw mut answer) })?;
    Ok((answer.f_blocks * answer.f_frsize, answer.f_bavail * answer.f_frsize))
}

/// Takes over an inherited descriptor, and has exec close it so that our children do not inherit it.
pub fn adopt_descriptor(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on any number is harmless: one that is not open gives EBADF.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, and the number was handed to us on the command line for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Runs in a child between fork and exec: leaves this descriptor to the program.
pub fn inherit(number: i32) -> io::Result<()> {
    // SAFETY: fcntl on any number is harmless: one that is not open gives EBADF.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })
}

/// Redirects the standard output and error of this process to `file`.
pub fn redirect_output(file: &impl AsRawFd) -> io::Result<()> {
    for standard in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: both descriptors are open; dup2 replaces the second.
        check(unsafe { libc::dup2(file.as_raw_fd(), standard) })?;
    }
    Ok(())
}

/// Waits until the process `pid` has exited. Returns false if `timeout` passes first, and true if there is no such
/// process.
///
/// The caller must have identified the process just before: if the pid has been reused, the other process is waited
/// for.
pub fn wait_for_end(pid: u32, timeout: Duration) -> io::Result<bool> {
    let deadline = std::time::Instant::now() + timeout;
    let descriptor = match open_process(pid) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(true),
        // Linux before 5.3 has no such descriptors.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => return Ok(look_for_end(pid, deadline)),
        opened => opened?,
    };
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let mut entry = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: entry is one valid pollfd.
        match check(unsafe { libc::poll(&raw mut entry, 1, milliseconds) }) {
            Ok(()) => return Ok(entry.revents != 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Looks again and again whether a process has exited; false at the deadline.
fn look_for_end(pid: u32, deadline: std::time::Instant) -> bool {
    loop {
        match Stat::of(pid) {
            Ok(stat) if !stat.has_exited() => {}
            _ => return true,
        }
        if std::time::Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// Opens a descriptor of a process. It keeps referring to that process when the pid is reused.
fn open_process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid_of(pid)?, 0) })
}

/// An empty file without a name, in memory.
pub fn memory_file() -> io::Result<std::fs::File> {
    // glibc has a function for it from 2.27 on.
    // SAFETY: the name is a string that ends with a zero byte.
    let file = unsafe { libc::syscall(libc::SYS_memfd_create, c"ipclusterz".as_ptr(), libc::MFD_CLOEXEC) };
    descriptor(file).map(Into::into)
}

/// What a system call returned that makes a descriptor.
fn descriptor(returned: libc::c_long) -> io::Result<OwnedFd> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(returned).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn pid_of(pid: u32) -> io::Result<i32> {
    // To `kill`, 0 and negative numbers mean groups and "everybody".
    i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or_else(|| io::Error::other(format!("{pid} is not a pid")))
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs in a child between fork and exec: unblocks all signals, and has the kernel send SIGTERM when the launcher
/// exits.
pub fn prepare_program(launcher: u32) -> io::Result<()> {
    restore_core_limit();
    // SAFETY: each call takes integers or pointers to values on this stack.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM))?;
        if libc::getppid().unsigned_abs() != launcher {
            libc::_exit(1);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()))
    }
}

/// Runs in a child between fork and exec: unblocks all signals, and starts a session of its own.
pub fn own_session() -> io::Result<()> {
    // SAFETY: each call takes integers or pointers to values on this stack.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()))?;
        check(libc::setsid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    #[test]
    fn the_end_of_a_process_is_found_without_the_kernels_help() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        assert!(!look_for_end(child.id(), Instant::now()));
        drop(child.stdin.take());
        assert!(look_for_end(child.id(), Instant::now() + Duration::from_secs(10)), "it is a zombie");
        child.wait().expect("reap");
        assert!(look_for_end(child.id(), Instant::now()), "there is no such process");
    }
}
