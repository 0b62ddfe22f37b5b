//! Turns signals into events: they are blocked in all threads, and one thread waits for them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a signal has told this process to end.
static TOLD_TO_END: AtomicBool = AtomicBool::new(false);

/// Records that a signal has told this process to end.
pub fn tell_to_end() {
    TOLD_TO_END.store(true, Ordering::Release);
}

/// Whether a signal has told this process to end. Code that waits for a person's answer must then give up.
pub fn told_to_end() -> bool {
    TOLD_TO_END.load(Ordering::Acquire)
}

/// Has a write beyond the limit of file sizes (`ulimit -f`) fail, as on a full disk; the signal for it would end this
/// process. A handler, and not that the signal is ignored, because programs that this process starts would inherit that.
pub fn survive_file_limit() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
}

/// A signal that means something to the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: `ipclusterz stop`.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGCHLD: a child has exited, perhaps several.
    ChildEnded,
    /// SIGUSR1: the thread that started this process has exited; sent because of `--exit-with-parent`.
    ///
    /// The kernel reports the exit of a thread (prctl(2)). The Python process of that thread may well live on: the
    /// parent has exited only if this process has another parent now.
    ParentChanged,
}

impl Signal {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "Ctrl-C",
            Signal::Terminate => "SIGTERM",
            Signal::HangUp => "SIGHUP",
            Signal::ChildEnded => "SIGCHLD",
            Signal::ParentChanged => "SIGUSR1",
        }
    }

    /// Its number.
    pub fn number(self) -> i32 {
        match self {
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
            Signal::HangUp => libc::SIGHUP,
            Signal::ChildEnded => libc::SIGCHLD,
            Signal::ParentChanged => libc::SIGUSR1,
        }
    }

    /// Whether it tells this process to end.
    fn ends(self) -> bool {
        matches!(self, Signal::Interrupt | Signal::Terminate | Signal::HangUp)
    }

    fn from_number(number: i32) -> Option<Self> {
        match number {
            libc::SIGINT => Some(Signal::Interrupt),
            libc::SIGTERM => Some(Signal::Terminate),
            libc::SIGHUP => Some(Signal::HangUp),
            libc::SIGCHLD => Some(Signal::ChildEnded),
            libc::SIGUSR1 => Some(Signal::ParentChanged),
            _ => None,
        }
    }
}

/// The launcher's signals, blocked and ready to be waited for.
pub struct BlockedSignals {
    set: libc::sigset_t,
}

impl BlockedSignals {
    /// Blocks the signals in this thread, and so in every thread that it starts later. Call it before there is any
    /// other.
    ///
    /// SIGINT and SIGHUP stay ignored if they are, as for `nohup ipclusterz` and for background jobs of a script.
    pub fn block() -> io::Result<Self> {
        // SAFETY: sigset_t is plain data; sigemptyset and sigaddset write to it alone.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::sigemptyset(&raw mut set) };
        for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD, libc::SIGUSR1] {
            let may_stay_ignored = matches!(number, libc::SIGINT | libc::SIGHUP);
            if !may_stay_ignored || !is_ignored(number)? {
                // SAFETY: as above.
                unsafe { libc::sigaddset(&raw mut set, number) };
            }
        }
        // Blocked but not waited for: a launcher that Ctrl-Z has stopped goes on in the background, where a terminal may
        // stop again whoever prints (`stty tostop`).
        let mut blocked = set;
        // SAFETY: as above.
        unsafe { libc::sigaddset(&raw mut blocked, libc::SIGTTOU) };
        // The kernel reports no child to a process that ignores SIGCHLD, as some start their children.
        // SAFETY: signal takes two integers.
        if unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: blocked is initialised, and the old mask is not asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, std::ptr::null_mut()) } {
            0 => Ok(Self { set }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Starts the thread that waits for the signals. It passes each to `take`, and ends when `take` returns false.
    pub fn forward(self, mut take: impl FnMut(Signal) -> bool + Send + 'static) -> io::Result<()> {
        let wait = move || {
            loop {
                let mut number = 0;
                // SAFETY: the set is initialised and number is valid for writing.
                let result = unsafe { libc::sigwait(&raw const self.set, &raw mut number) };
                if result == 0
                    && let Some(signal) = Signal::from_number(number)
                {
                    let goes_on = take(signal);
                    // After `take`, so that the signal is known as the reason before a pending question fails for want
                    // of an answer.
                    if signal.ends() {
                        tell_to_end();
                    }
                    if !goes_on {
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
    }
}

fn is_ignored(number: i32) -> io::Result<bool> {
    // SAFETY: sigaction is plain data; with no new action the call only writes the old one to it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    if unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(action.sa_sigaction == libc::SIG_IGN)
}
