//! libzmq itself: its version, what it was built with, and settings that hold for a whole process.

use crate::system::{descriptor_limit, thread_limit};
use std::ffi::CStr;
use std::io;

/// Why libzmq cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Without it TCP would be open to everybody.
    #[error("libzmq was built without CURVE (libsodium): TCP connections could not be encrypted or refused")]
    NoCurve,
    /// Needed to know at once that an engine died.
    #[error("libzmq was built without its draft API: broken connections would go unnoticed")]
    NoDraft,
}

/// What there is none left of: somebody else has to give something back first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// Of this process, or of the whole system.
    #[error("no file descriptors are left: this process may have {0} (`ulimit -n`)")]
    Descriptors(u64),
    /// Of this user.
    #[error("no more threads can be started: this user may have {0} (`ulimit -u`)")]
    Threads(u64),
    /// Of this process, or of the whole system.
    #[error("there is no memory left")]
    Memory,
}

impl Shortage {
    /// What is short, if that is why something could not be made.
    pub fn of(error: zmq::Error) -> Option<Shortage> {
        match error {
            zmq::Error::EMFILE => Some(Shortage::Descriptors(descriptor_limit())),
            zmq::Error::EAGAIN => Some(Shortage::Threads(thread_limit())),
            zmq::Error::ENOMEM | zmq::Error::ENOBUFS => Some(Shortage::Memory),
            _ => None,
        }
    }

    /// The same for what the kernel said.
    pub fn of_io(error: &io::Error) -> Option<Shortage> {
        match error.raw_os_error()? {
            libc::EMFILE | libc::ENFILE => Some(Shortage::Descriptors(descriptor_limit())),
            libc::EAGAIN => Some(Shortage::Threads(thread_limit())),
            libc::ENOMEM | libc::ENOBUFS => Some(Shortage::Memory),
            _ => None,
        }
    }
}

/// A new context; its threads start with its first socket.
pub fn open() -> Result<zmq::Context, Shortage> {
    let context = zmq::Context::new();
    // libzmq gives none when there is no descriptor for it, and the zmq crate does not look.
    match context.get_io_threads() {
        Ok(_) => Ok(context),
        Err(_) => Err(Shortage::Descriptors(descriptor_limit())),
    }
}

/// Refuses a libzmq that lacks what this project relies on.
pub fn check() -> Result<(), ContextError> {
    if zmq::has("curve") != Some(true) {
        return Err(ContextError::NoCurve);
    }
    if zmq::has("draft") != Some(true) {
        return Err(ContextError::NoDraft);
    }
    Ok(())
}

/// Its version.
pub fn version() -> String {
    let (major, minor, patch) = zmq::version();
    format!("{major}.{minor}.{patch}")
}

unsafe extern "C" {
    /// Of libsodium, which is linked with libzmq and for it alone.
    fn sodium_version_string() -> *const libc::c_char;
}

/// The version of libsodium, which encrypts for libzmq.
pub fn libsodium_version() -> String {
    // SAFETY: it may be called at any time, and returns a constant string.
    unsafe { CStr::from_ptr(sodium_version_string()) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_libzmq_that_is_built_in_has_what_is_needed() {
        super::check().expect("CURVE and draft API");
        assert!(zmq::has("ipc").is_some_and(|ipc| ipc));
    }
}
