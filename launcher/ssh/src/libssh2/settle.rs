//! Calls of libssh2 that would block, and the state that they leave behind.
//!
//! A call that fails with EAGAIN has to be repeated, and there are two kinds. If the call waits for input, anything
//! else may be done in the meantime. If a packet is half written, nothing else may: libssh2 keeps one outgoing packet,
//! and every call that wants to write another one gets EAGAIN until the *same call with the same data* has finished the
//! first (`transport_send_existing` in its transport.c). So a call that is stuck in writing is repeated at once until
//! it is done. This costs little: the connection is the bottleneck then anyway.

use crate::ends::Stream;
use crate::poll::PollSet;
use ssh2::{BlockDirections, ErrorCode, Session};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// `LIBSSH2_ERROR_EAGAIN`.
const EAGAIN: i32 = -37;

/// The errors of libssh2 calls: its own, or one of the standard library that was made from it.
pub trait CallError {
    /// Whether the error means that the call would block (EAGAIN).
    fn would_block(&self) -> bool;
}

impl CallError for ssh2::Error {
    fn would_block(&self) -> bool {
        self.code() == ErrorCode::Session(EAGAIN)
    }
}

impl CallError for io::Error {
    fn would_block(&self) -> bool {
        self.kind() == io::ErrorKind::WouldBlock
    }
}

/// A session in non-blocking mode with its socket. Used by one thread.
pub struct Line {
    /// The session.
    pub session: Session,
    /// Its socket.
    pub socket: Stream,
    /// How long a write may be stuck before the connection is lost.
    pub patience: Duration,
    /// Whether a channel or a listener is being opened: libssh2 keeps the state of that in the session, so only one can
    /// be at a time.
    opening: Cell<bool>,
    /// Why the connection is lost.
    lost: RefCell<Option<String>>,
}

impl Line {
    /// Takes over a session that is authenticated, and sets it to non-blocking mode.
    pub fn new(session: Session, socket: Stream, patience: Duration) -> Self {
        session.set_blocking(false);
        Self { session, socket, patience, opening: Cell::new(false), lost: RefCell::new(None) }
    }

    /// Makes a call, and repeats it while it is stuck in writing. `None` when it waits for input.
    pub fn attempt<T, E: CallError>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<Option<T>, E> {
        let started = Instant::now();
        loop {
            match call() {
                Ok(done) => return Ok(Some(done)),
                Err(error) if !error.would_block() => return Err(error),
                Err(error) => {
                    if !writes(self.session.block_directions()) {
                        return Ok(None);
                    }
                    if started.elapsed() > self.patience {
                        self.lose("it takes no data any more");
                        return Err(error);
                    }
                    let mut set = PollSet::default();
                    set.add(self.socket.as_fd(), false, true);
                    // An error of poll shows in the call as well.
                    let _ = set.wait(Some(started + self.patience));
                }
            }
        }
    }

    /// Repeats a call until it is done; other work goes on while it waits for input.
    pub async fn settle<T, E: CallError>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        loop {
            if let Some(done) = self.attempt(&mut call)? {
                return Ok(done);
            }
            YieldOnce(false).await;
        }
    }

    /// The same for a call that opens a channel or a listener, one at a time.
    pub async fn settle_opening<T, E: CallError>(&self, call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        while self.opening.replace(true) {
            YieldOnce(false).await;
        }
        let result = self.settle(call).await;
        self.opening.set(false);
        result
    }

    /// Whether a channel or a listener is being opened.
    pub fn is_opening(&self) -> bool {
        self.opening.get()
    }

    /// Runs `work` with calls that block, such as dropping an object that sends a message to the host.
    pub fn blocking(&self, work: impl FnOnce()) {
        self.session.set_blocking(true);
        work();
        self.session.set_blocking(false);
    }

    /// Marks the connection as lost. The first reason is kept.
    pub fn lose(&self, reason: impl Into<String>) {
        self.lost.borrow_mut().get_or_insert_with(|| reason.into());
    }

    /// Why the connection is lost, if it is.
    pub fn lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }
}

fn writes(directions: BlockDirections) -> bool {
    matches!(directions, BlockDirections::Outbound | BlockDirections::Both)
}

/// Yields once, so that other tasks get their turn.
pub struct YieldOnce(pub bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}
