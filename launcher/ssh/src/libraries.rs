//! The libraries of C behind the built-in SSH, and their versions.

use libc::{c_char, c_int};
use std::ffi::CStr;

unsafe extern "C" {
    /// The version as text; null if it is older than the one that is asked for. `libssh2-sys` does not declare it.
    fn libssh2_version(at_least: c_int) -> *const c_char;
}

/// The version of libssh2.
pub fn libssh2() -> String {
    // SAFETY: it may be called at any time; every version is at least 0.
    text(unsafe { libssh2_version(0) })
}

/// The version of OpenSSL, which encrypts for libssh2; that of a replacement has its name.
pub fn openssl() -> String {
    const OPENSSL_VERSION: c_int = 0;
    // SAFETY: it may be called at any time.
    let version = text(unsafe { openssl_sys::OpenSSL_version(OPENSSL_VERSION) });
    version.trim_start_matches("OpenSSL ").to_owned()
}

/// The version of zlib, which compresses for libssh2.
pub fn zlib() -> String {
    // SAFETY: it may be called at any time.
    text(unsafe { libz_sys::zlibVersion() })
}

/// The text of a constant of one of these libraries.
fn text(constant: *const c_char) -> String {
    // SAFETY: the callers have it from functions that return constant strings.
    unsafe { CStr::from_ptr(constant) }.to_string_lossy().into_owned()
}
