//! Small questions to the operating system that more than one part asks.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Resident memory of this process, bytes; 0 where /proc does not tell.
pub fn resident_bytes() -> u64 {
    // SAFETY: no memory involved.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let pages = fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * page
}

/// A thread that gets no signals: they are for the thread that runs user code.
pub fn block_all_signals() {
    // SAFETY: the set is filled before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}
