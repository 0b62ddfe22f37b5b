//! Small questions to the operating system that more than one part asks.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CENTURY: Duration = Duration::from_secs(3_200_000_000);

/// What an address in memory has to be a multiple of to be that of a page: of any size that there is.
const PAGE: usize = 1 << 16;
/// From so many bytes on, huge pages are worth it.
const HUGE_MIN: usize = 4 << 20;

/// Seconds since 1970.
pub fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The end of a wait that begins now. One that no clock can show is as good as never.
pub fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).or_else(|| now.checked_add(CENTURY)).unwrap_or(now)
}

/// SIGTERM and SIGINT, which are blocked in this thread from now on, and in those that it starts. They arrive through a descriptor,
/// which can be polled and does not block.
pub fn signals_that_end() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before it is used; the descriptor is checked and owned here.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        let result = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// This process's id; 0: the kernel is to be asked.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// Children forget it: no, soon, yes.
static FORGOTTEN_IN_CHILDREN: AtomicU8 = AtomicU8::new(0);

/// The id of this process. What is asked at each call of a user is not asked of the kernel each time; a child that was forked off
/// asks anew.
pub fn process_id() -> u32 {
    match PROCESS.load(Ordering::Relaxed) {
        0 => ask_for_process_id(),
        id => id,
    }
}

#[cold]
fn ask_for_process_id() -> u32 {
    unsafe extern "C" fn forget() {
        PROCESS.store(0, Ordering::Relaxed);
    }
    if FORGOTTEN_IN_CHILDREN.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        // SAFETY: the function stores a number, which a child may.
        let registered = unsafe { libc::pthread_atfork(None, None, Some(forget)) } == 0;
        FORGOTTEN_IN_CHILDREN.store(if registered { 2 } else { 0 }, Ordering::Release);
    }
    let id = std::process::id();
    if FORGOTTEN_IN_CHILDREN.load(Ordering::Acquire) == 2 {
        PROCESS.store(id, Ordering::Relaxed);
    }
    id
}

/// Resident memory of this process, bytes; 0 where /proc does not tell.
pub fn resident_bytes() -> u64 {
    // SAFETY: no memory involved.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let pages = fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0).saturating_mul(page)
}

/// The user that this process is of, for people.
pub fn user_name() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

/// Time of processors that this process has had, seconds.
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to `time`, and nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    #[allow(clippy::cast_precision_loss, reason = "no process has had so much time")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9;
    seconds
}

/// So many zero bytes; none: there is no memory for them. The kernel gives it when it is written to, many of them in huge pages
/// if it can: one fault for two MiB.
pub fn zeroed_bytes(length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?;
    let layout = std::alloc::Layout::array::<u8>(length).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout has a size; a vector of bytes of that capacity is freed with the same layout.
    let bytes = unsafe {
        let start = std::alloc::alloc_zeroed(layout);
        (!start.is_null()).then(|| Vec::from_raw_parts(start, length, length))?
    };
    let pages = bytes.get(bytes.as_ptr().align_offset(PAGE)..).filter(|_| length >= HUGE_MIN);
    if let Some(pages) = pages {
        // SAFETY: the range is of this process, begins with a page, and nothing but its speed changes.
        unsafe { libc::madvise(pages.as_ptr().cast_mut().cast(), pages.len(), libc::MADV_HUGEPAGE) };
    }
    Some(bytes)
}

/// Bytes that this user may still write where `path` is; none where the file system does not tell.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path ends with a NUL, and the structure is filled before it is read.
    unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut found) == 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// How many descriptors this process may have: `ulimit -n`.
pub fn descriptor_limit() -> u64 {
    limit(libc::RLIMIT_NOFILE)
}

/// How many processes and threads this user may have: `ulimit -u`.
pub fn thread_limit() -> u64 {
    limit(libc::RLIMIT_NPROC)
}

fn limit(which: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the structure that it is given.
    unsafe { libc::getrlimit(which, &raw mut limit) };
    limit.rlim_cur
}

/// Whether so many descriptors can be opened now. They are opened, and closed again: a count would not know the gaps.
pub fn has_descriptors(count: usize) -> bool {
    // SAFETY: no memory involved; each descriptor is checked and owned by nobody else.
    let open = || unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    };
    let opened: Vec<OwnedFd> = (0..count).map_while(|_| open()).collect();
    opened.len() == count
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_an_id_of_its_own() {
        assert_eq!((process_id(), process_id()), (std::process::id(), std::process::id()));
        // SAFETY: the child compares two numbers and ends; the status is valid for writing.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(process_id() != libc::getpid().cast_unsigned()));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            status
        };
        assert_eq!(status, 0);
        assert_eq!(process_id(), std::process::id());
    }
}
