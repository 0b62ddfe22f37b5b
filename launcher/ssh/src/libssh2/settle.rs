//! Calls of libssh2 that would block, and what they leave behind.
//!
//! A call that fails with EAGAIN has to be made again, and there are two kinds of that. If it waits for input, anything
//! else may be done in the meantime. If a packet is half written, nothing else may: libssh2 keeps one outgoing packet,
//! and whatever wants to write another is told EAGAIN until the *same call with the same data* has finished the first
//! (`transport_send_existing` in its transport.c). So a call that is stuck in writing is made again on the spot until it
//! is through; the connection is the bottleneck then anyway.

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

/// What libssh2 calls fail with: an error of its own, or one that was made from it.
pub trait Trouble {
    /// Whether it only means "not yet".
    fn is_not_yet(&self) -> bool;
}

impl Trouble for ssh2::Error {
    fn is_not_yet(&self) -> bool {
        self.code() == ErrorCode::Session(EAGAIN)
    }
}

impl Trouble for io::Error {
    fn is_not_yet(&self) -> bool {
        self.kind() == io::ErrorKind::WouldBlock
    }
}

/// A session in non-blocking mode with its socket. Used by one thread.
pub struct Line {
    /// The session.
    pub session: Session,
    /// Its socket.
    pub socket: Stream,
    /// How long a write may be stuck.
    pub patience: Duration,
    /// Somebody is opening a channel or a listener, of which libssh2 keeps the state in the session: one at a time.
    opening: Cell<bool>,
    /// Why the connection is over.
    lost: RefCell<Option<String>>,
}

impl Line {
    /// Takes over a session that is let in.
    pub fn new(session: Session, socket: Stream, patience: Duration) -> Self {
        session.set_blocking(false);
        Self { session, socket, patience, opening: Cell::new(false), lost: RefCell::new(None) }
    }

    /// Makes a call; `None` when it waits for input.
    pub fn attempt<T, E: Trouble>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<Option<T>, E> {
        let started = Instant::now();
        loop {
            match call() {
                Ok(done) => return Ok(Some(done)),
                Err(error) if !error.is_not_yet() => return Err(error),
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
                    // What fails here fails in the call as well.
                    let _ = set.wait(Some(started + self.patience));
                }
            }
        }
    }

    /// Makes a call until it is through; other work goes on while it waits for input.
    pub async fn settle<T, E: Trouble>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        loop {
            if let Some(done) = self.attempt(&mut call)? {
                return Ok(done);
            }
            Pause(false).await;
        }
    }

    /// The same for a call that opens something.
    pub async fn settle_opening<T, E: Trouble>(&self, call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        while self.opening.replace(true) {
            Pause(false).await;
        }
        let result = self.settle(call).await;
        self.opening.set(false);
        result
    }

    /// Whether somebody is opening something.
    pub fn is_opening(&self) -> bool {
        self.opening.get()
    }

    /// Runs `work`, such as dropping something that says goodbye to the host, with calls that block.
    pub fn blocking(&self, work: impl FnOnce()) {
        self.session.set_blocking(true);
        work();
        self.session.set_blocking(false);
    }

    /// Notes that the connection is over. The first reason is the one that counts.
    pub fn lose(&self, reason: impl Into<String>) {
        self.lost.borrow_mut().get_or_insert_with(|| reason.into());
    }

    /// Why the connection is over, if it is.
    pub fn lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }
}

fn writes(directions: BlockDirections) -> bool {
    matches!(directions, BlockDirections::Outbound | BlockDirections::Both)
}

/// Lets others have their turn, once.
pub struct Pause(pub bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}
