//! Children that cannot outlive the launcher.
//!
//! Each child leads a process group of its own, so that Ctrl-C in the terminal reaches the launcher alone and that a
//! signal to the group reaches whatever the child has started; and each has the kernel send it a signal when the
//! launcher ends, be it by `kill -9`.
//!
//! `PR_SET_PDEATHSIG` is about the *thread* that forked, not its process (prctl(2)): a child started from a thread that
//! ends is killed although the launcher lives. So children are started from threads only that live as long as they: the
//! main thread, which runs the supervisor until the launcher ends, and those that wait for a command of theirs.

use crate::identity::ProcessIdentity;
use crate::system;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// How a child differs from a plain one.
#[derive(Debug, Clone, Copy)]
pub struct ChildOptions {
    /// What the kernel sends the child when the launcher is gone.
    pub signal_at_launcher_end: i32,
    /// Raise the limit on open files to the hard limit. For the controller, which has two sockets per engine; not for
    /// engines, where `select` in user code fails on descriptors above 1023.
    pub raise_file_limit: bool,
}

/// A running child that can be recognised later, and that is reaped together with its process group.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    identity: ProcessIdentity,
}

impl ChildProcess {
    /// See [`spawn`].
    pub fn start(command: Command, options: ChildOptions) -> io::Result<Self> {
        let child = spawn(command, options)?;
        let identity = ProcessIdentity::of(child.id())?;
        Ok(Self { child, identity })
    }

    /// For the record.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Its standard output, if that is a pipe and was not taken yet.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends `signal` to its process group.
    pub fn signal_group(&self, signal: i32) {
        // A child that has ended but is not reaped yet keeps its pid, so that this cannot hit anybody else.
        let _ = system::signal_group(self.identity.pid, signal);
    }

    /// The status, if it has ended. What is left of its process group is killed first, while the zombie still keeps
    /// the number.
    pub fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        if !system::child_has_ended(self.identity.pid)? {
            return Ok(None);
        }
        self.signal_group(libc::SIGKILL);
        self.child.wait().map(Some)
    }
}

/// Starts `command` with no input, no inherited descriptors and a process group of its own.
pub fn spawn(mut command: Command, options: ChildOptions) -> io::Result<Child> {
    command.stdin(Stdio::null());
    spawn_with_input(command, options)
}

/// The same with the input that `command` has been given.
pub fn spawn_with_input(mut command: Command, options: ChildOptions) -> io::Result<Child> {
    let launcher = std::process::id();
    command.process_group(0);
    // SAFETY: the closure runs between fork and exec, and calls nothing but async-signal-safe functions on plain data.
    unsafe {
        command.pre_exec(move || prepare(launcher, options));
    }
    command.spawn()
}

/// Runs in the child. Only system calls are allowed here: no allocation, no locks.
fn prepare(launcher: u32, options: ChildOptions) -> io::Result<()> {
    // SAFETY: each call takes integers or pointers to values on this stack.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, options.signal_at_launcher_end) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The launcher may have ended before prctl took effect; nobody would send the signal then.
        if libc::getppid().unsigned_abs() != launcher {
            libc::_exit(1);
        }
        // The launcher blocks the signals that it takes in its own thread, and a shell may have started it with SIGINT
        // ignored; Python sets up KeyboardInterrupt only when it finds the default.
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
            if libc::signal(signal, libc::SIG_DFL) == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        if options.raise_file_limit {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
                limit.rlim_cur = limit.rlim_max;
                // Failing to raise it is no reason not to start: few engines need no more than the soft limit.
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
            }
        }
        close_inherited_on_exec()
    }
}

/// Marks all descriptors but the standard ones. They are not closed: one is the pipe on which the standard library
/// reports that exec has failed.
fn close_inherited_on_exec() -> io::Result<()> {
    const FIRST: u32 = 3;
    // SAFETY: close_range takes three integers. By number, because older C libraries lack the function.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return Ok(());
    }
    // Linux before 5.11.
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is valid for writing.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for descriptor in 3..i32::try_from(limit.rlim_cur).unwrap_or(i32::MAX).min(65_536) {
        // SAFETY: fcntl on a number that is not open gives EBADF and does nothing.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}
