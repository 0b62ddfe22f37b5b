//! How an engine's process ends when it must: at once, and with all that user code started.

use super::descriptors::settle;
use std::io::{self, Write};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// So long the answer to whoever sent a signal has to leave this process, which may be stopped then.
const ANSWER_DELAY: Duration = Duration::from_millis(20);

/// Ends this process, and its process group if it leads one (the launcher sees to that), without running anything else.
///
/// Safe in a signal handler: it calls nothing but what such a handler may.
pub fn end_group(code: i32) -> ! {
    settle();
    // SAFETY: plain system calls without memory.
    unsafe {
        if libc::getpgrp() == libc::getpid() {
            libc::kill(0, libc::SIGKILL);
        }
        libc::_exit(code);
    }
}

/// Has SIGTERM end the group, also while user code is inside a long C call. User code may install its own handler.
pub fn end_group_on_sigterm() {
    extern "C" fn handler(_signal: libc::c_int) {
        end_group(128 + libc::SIGTERM);
    }
    // SAFETY: the action is fully initialised, and the handler calls only what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGTERM, &raw const action, std::ptr::null_mut());
    }
}

/// Has the rest of this process's group, if it leads one, get SIGTERM when this process exits: what interrupted user code
/// has started ends with it. Not what a forked child of it does at its own exit.
pub fn end_group_at_exit() {
    static OWNER: AtomicI32 = AtomicI32::new(0);
    extern "C" fn end_others() {
        // SAFETY: plain system calls without memory.
        unsafe {
            if libc::getpid() == OWNER.load(Ordering::Relaxed) && libc::getpgrp() == libc::getpid() {
                libc::signal(libc::SIGTERM, libc::SIG_IGN);
                libc::kill(0, libc::SIGTERM);
            }
        }
    }
    // SAFETY: getpid cannot fail, and the function that atexit is given is never unloaded.
    unsafe {
        OWNER.store(libc::getpid(), Ordering::Relaxed);
        libc::atexit(end_others);
    }
}

/// Has this process get SIGTERM when the process `parent` ends; false: that is not its parent, or not any more.
pub fn end_with_parent(parent: u32) -> bool {
    // SAFETY: no memory involved. The order matters: whoever ends after the first call is noticed by it, and whoever
    // ended before by the second.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) == 0 && u32::try_from(libc::getppid()) == Ok(parent) }
}

/// The calling thread, to be interrupted later.
#[derive(Debug, Clone, Copy)]
pub struct UserThread(libc::pthread_t);

// SAFETY: a thread's name may be used from any thread of its process.
unsafe impl Send for UserThread {}

impl UserThread {
    /// The calling thread; it must live as long as the process.
    pub fn current() -> Self {
        // SAFETY: no memory involved.
        UserThread(unsafe { libc::pthread_self() })
    }

    /// Sends it SIGINT, so that a system call it is in ends too.
    pub fn interrupt(self) {
        self.signal(libc::SIGINT);
    }

    /// Sends it SIGUSR1: the end of its time draws near.
    pub fn warn(self) {
        self.signal(libc::SIGUSR1);
    }

    /// Sends it a signal that may stop or end this process, once the answer is on its way.
    pub fn signal_soon(self, number: libc::c_int) {
        soon("signal", move || self.signal(number));
    }

    /// Sends it a signal.
    pub fn signal(self, number: libc::c_int) {
        // SAFETY: the thread is the process's main thread, which lives as long as the process.
        unsafe { libc::pthread_kill(self.0, number) };
    }
}

/// Ends this process, with its group if it leads one, as soon as what it has said is on its way, and says why in its log.
pub fn kill_soon(why: &'static str) {
    soon("kill", move || kill(why));
}

/// Does something when what was said is on its way; at once where there is no room for another thread.
fn soon(name: &str, what: impl Fn() + Copy + Send + 'static) {
    let later = move || {
        std::thread::sleep(ANSWER_DELAY);
        what();
    };
    if std::thread::Builder::new().name(name.to_owned()).spawn(later).is_err() {
        what();
    }
}

fn kill(why: &str) {
    // The log is to have it, and what stands before it.
    settle();
    let _ = writeln!(io::stderr(), "ipclusterz: the engine is killed: {why}");
    // SAFETY: plain system calls without memory.
    unsafe {
        let its_own = libc::getpgrp() == libc::getpid();
        libc::kill(if its_own { 0 } else { libc::getpid() }, libc::SIGKILL);
    }
}
