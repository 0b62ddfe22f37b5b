//! The `zeromq-src` that `zmq-sys` builds libzmq with, exchanged by `[patch.crates-io]`.
//!
//! `zmq-sys` asks for libzmq without libsodium (then there is no CURVE) and the build script of the real
//! `zeromq-src` runs no `configure`, so that everything Linux has beyond POSIX is left out: eventfd (a pair of
//! sockets per wake-up instead), close-on-exec (children inherit the sockets), a clock that nobody sets, TCP keep-alive.
//! This crate answers the same three calls, sets these options, and changes the sources by `patches/`: each says why.

mod sources;

use std::path::Path;

/// A library that was built already, as the real crate has it.
pub struct LibLocation;

/// What libzmq is to be. ZMQ_ROUTER_NOTIFY, by which a ROUTER tells that a peer's connection ended, is a draft option.
const WANTED: &[&str] = &["ZMQ_STATIC", "ZMQ_BUILD_DRAFT_API", "ZMQ_USE_LIBSODIUM", "ZMQ_HAVE_CURVE"];

/// What `configure` finds on every Linux of the last ten years.
const LINUX_HAS: &[&str] = &[
    "ZMQ_HAVE_LINUX",
    "ZMQ_IOTHREAD_POLLER_USE_EPOLL",
    "ZMQ_IOTHREAD_POLLER_USE_EPOLL_CLOEXEC",
    "ZMQ_POLL_BASED_ON_POLL",
    "ZMQ_USE_CV_IMPL_STL11",
    "ZMQ_HAVE_EVENTFD",
    "ZMQ_HAVE_EVENTFD_CLOEXEC",
    "ZMQ_HAVE_SOCK_CLOEXEC",
    "ZMQ_HAVE_O_CLOEXEC",
    "ZMQ_HAVE_IPC",
    "ZMQ_HAVE_STRUCT_SOCKADDR_UN",
    "ZMQ_HAVE_SO_PEERCRED",
    "ZMQ_HAVE_SO_KEEPALIVE",
    "ZMQ_HAVE_TCP_KEEPCNT",
    "ZMQ_HAVE_TCP_KEEPIDLE",
    "ZMQ_HAVE_TCP_KEEPINTVL",
    "ZMQ_HAVE_TCP_USER_TIMEOUT",
    "ZMQ_HAVE_PTHREAD_SETNAME_2",
    "ZMQ_HAVE_IFADDRS",
    "ZMQ_HAVE_UIO",
    "HAVE_ACCEPT4",
    // Without it libzmq's timers go by the time of day.
    "HAVE_CLOCK_GETTIME",
    "HAVE_STRNLEN",
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
        let out = std::env::var("OUT_DIR").expect("cargo says where to build");
        let libzmq = sources::patched(&Path::new(&out).join("libzmq"));
        compile(&libzmq);
        println!("cargo:rustc-link-search=native={}", env!("SODIUM_LIB"));
        println!("cargo:rustc-link-lib=static=sodium");
        println!("cargo:include={}", libzmq.join("include").display());
        println!("cargo:out={out}");
    }
}

fn compile(libzmq: &Path) {
    let source = libzmq.join("src");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++11").warnings(false);
    for name in WANTED.iter().chain(LINUX_HAS) {
        build.define(name, "1");
    }
    // What `configure` would write; all of it is defined above.
    let platform = source.join("platform.hpp");
    std::fs::write(&platform, "").unwrap_or_else(|error| panic!("{}: {error}", platform.display()));
    // Its failed assertions name a file: not by a folder of the machine that it was built on.
    build.flag_if_supported(format!("-ffile-prefix-map={}=libzmq", libzmq.display()));
    build.include(libzmq.join("include")).include(&source).include(env!("SODIUM_INCLUDE"));
    build.files(sources::cpp(&source)).compile("zmq");
}
