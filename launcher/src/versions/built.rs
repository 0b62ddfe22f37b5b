//! This program: what it was built from, by what, and with which libraries.

use super::glibc;
use crate::report::versions::{Glibc, Libraries, Program};
use ipclusterz_runtime::transport::context;
use ipclusterz_ssh::libraries;

/// The commit of the source. The build backend of the wheel tells it; a program that cargo alone has built does not
/// know it.
const COMMIT: &str = match option_env!("IPCLUSTERZ_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What is known of this program.
pub fn program() -> Program {
    Program {
        commit: COMMIT,
        target: env!("IPCLUSTERZ_TARGET"),
        glibc: Glibc { needed: glibc::needed_by_this_program(), here: glibc::here() },
        rustc: env!("IPCLUSTERZ_RUSTC"),
        libraries: Libraries {
            libzmq: context::version(),
            libsodium: context::libsodium_version(),
            libssh2: libraries::libssh2(),
            openssl: libraries::openssl(),
            zlib: libraries::zlib(),
        },
    }
}
