//! Child processes that cannot outlive the launcher.
//!
//! Each child leads a process group of its own. So Ctrl-C in the terminal reaches the launcher alone, and a signal to
//! the group reaches whatever the child has started. The kernel sends each child a signal when the launcher exits, even
//! if it is killed by `kill -9`.
//!
//! `PR_SET_PDEATHSIG` refers to the *thread* that forked, not to its process (prctl(2)): a child of a thread that exits
//! is killed although the launcher lives. So children are started only by threads that live at least as long: the main
//! thread, which runs the supervisor until the launcher exits, and threads that wait for the command they started.

use crate::identity::ProcessIdentity;
use crate::system;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// Options of a child process.
#[derive(Debug, Clone, Copy)]
pub struct ChildOptions {
    /// The signal that the kernel sends the child when the launcher exits.
    pub signal_at_launcher_end: i32,
    /// Raise the limit on open files to the hard limit. For the controller, which has two sockets per engine; not for
    /// engines, because `select` in user code fails on descriptors above 1023.
    pub raise_file_limit: bool,
}

/// A running child with its identity. It is reaped together with its process group.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    identity: ProcessIdentity,
}

impl ChildProcess {
    /// Starts the child; see [`spawn`].
    pub fn start(command: Command, options: ChildOptions) -> io::Result<Self> {
        Self::of(spawn(command, options)?)
    }

    /// Starts the child with a descriptor more, which has the same number there.
    pub fn start_with(command: Command, options: ChildOptions, descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let number = descriptor.as_raw_fd();
        let mut command = prepared(command, options);
        command.stdin(Stdio::null());
        // SAFETY: as in `prepared`, whose closure has run by then.
        unsafe {
            command.pre_exec(move || system::inherit(number));
        }
        Self::of(command.spawn()?)
    }

    fn of(child: Child) -> io::Result<Self> {
        let identity = ProcessIdentity::of(child.id())?;
        Ok(Self { child, identity })
    }

    /// Its identity, for the cluster's record.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Takes its standard output; `None` if that is no pipe or was taken already.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends `signal` to its process group, and continues processes in it that were stopped: they could not act on the
    /// signal.
    pub fn signal_group(&self, signal: i32) {
        for signal in [signal, libc::SIGCONT] {
            // A child that has exited but has not been reaped keeps its pid, so the signal cannot hit another process.
            let _ = system::signal_group(self.identity.pid, signal);
        }
    }

    /// Reaps the child and returns its status; `None` while it runs. Kills what is left of its process group first,
    /// while the zombie still holds the group's number.
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

/// Like [`spawn`], with the standard input that `command` has been given.
pub fn spawn_with_input(command: Command, options: ChildOptions) -> io::Result<Child> {
    prepared(command, options).spawn()
}

/// Starts a program in a session of its own, which has open nothing but the standard descriptors, and which nobody waits for: this
/// process is to end soon.
pub fn spawn_alone(mut command: Command) -> io::Result<Child> {
    // SAFETY: as in `prepared`.
    unsafe {
        command.pre_exec(|| system::own_session().and_then(|()| close_inherited_on_exec()));
    }
    command.spawn()
}

fn prepared(mut command: Command, options: ChildOptions) -> Command {
    let launcher = std::process::id();
    command.process_group(0);
    // SAFETY: the closure runs between fork and exec, and calls nothing but async-signal-safe functions on plain data.
    unsafe {
        command.pre_exec(move || prepare(launcher, options));
    }
    command
}

/// Runs in the child. Only system calls are allowed here: no allocation, no locks.
fn prepare(launcher: u32, options: ChildOptions) -> io::Result<()> {
    system::restore_core_limit();
    // SAFETY: each call takes integers or pointers to values on this stack.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, options.signal_at_launcher_end) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The launcher may have exited before prctl took effect. Then the kernel sends no signal.
        if libc::getppid().unsigned_abs() != launcher {
            libc::_exit(1);
        }
        // The launcher blocks the signals that a thread of its own waits for, and a shell may have started it with
        // SIGINT ignored. Python installs its handler for KeyboardInterrupt only if it finds the default.
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
                // A failure is no reason not to start: a few engines need no more than the soft limit.
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
            }
        }
        close_inherited_on_exec()
    }
}

/// Has exec close all descriptors but the standard ones. They are not closed here, because one is the pipe on which the
/// standard library reports that exec has failed.
fn close_inherited_on_exec() -> io::Result<()> {
    const FIRST: u32 = 3;
    // SAFETY: close_range takes three integers. It is called by number, because older C libraries lack the function.
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
