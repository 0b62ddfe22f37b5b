//! The `zeromq-src` that `zmq-sys` builds libzmq with, exchanged by `[patch.crates-io]`.
//!
//! `zmq-sys` asks for libzmq without libsodium (then there is no CURVE) and the build script of the real
//! `zeromq-src` runs no `configure`, so that everything Linux has beyond POSIX is left out: eventfd (a pair of
//! sockets per wake-up instead), close-on-exec (children inherit the sockets), TCP keep-alive. This crate
//! answers the same three calls and passes them on with these options set.

use upstream::LibLocation;

/// What `configure` finds on every Linux of the last ten years.
const LINUX_HAS: &[&str] = &[
    "ZMQ_HAVE_EVENTFD",
    "ZMQ_HAVE_EVENTFD_CLOEXEC",
    "ZMQ_HAVE_SOCK_CLOEXEC",
    "ZMQ_HAVE_O_CLOEXEC",
    "ZMQ_HAVE_SO_PEERCRED",
    "ZMQ_HAVE_SO_KEEPALIVE",
    "ZMQ_HAVE_TCP_KEEPCNT",
    "ZMQ_HAVE_TCP_KEEPIDLE",
    "ZMQ_HAVE_TCP_KEEPINTVL",
    "ZMQ_HAVE_TCP_USER_TIMEOUT",
    "ZMQ_HAVE_PTHREAD_SETNAME_2",
    "ZMQ_HAVE_IFADDRS",
];

/// Same name and calls as in the real crate, which `zmq-sys` uses from its build script.
#[derive(Default)]
pub struct Build;

impl Build {
    pub fn new() -> Self {
        Build
    }

    /// Ignored: this build always has libsodium.
    pub fn with_libsodium(&mut self, _none: Option<LibLocation>) -> &mut Self {
        self
    }

    pub fn build(&mut self) {
        if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
            let mut flags = std::env::var("CXXFLAGS").unwrap_or_default();
            for name in LINUX_HAS {
                flags.push_str(&format!(" -D{name}=1"));
            }
            // SAFETY: a build script has one thread here.
            unsafe { std::env::set_var("CXXFLAGS", flags) };
        }
        upstream::Build::new()
            // ZMQ_ROUTER_NOTIFY, by which a ROUTER tells that a peer's connection ended, is a draft option.
            .enable_draft(true)
            .with_libsodium(Some(LibLocation::new(env!("SODIUM_LIB"), env!("SODIUM_INCLUDE"))))
            .build();
    }
}
