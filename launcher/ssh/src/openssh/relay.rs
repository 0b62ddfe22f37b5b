//! Carries connections from a listener of this process to a socket of `ssh`.
//!
//! `ssh -L` could listen by itself, but its socket is gone while there is no connection. This listener stays, so that
//! peers can connect at any time and wait until the connection is restored.

use crate::ends::{LocalListener, Stream};
use crate::error::SshError;
use crate::poll::{PollSet, Waker};
use ipclusterz_base::private;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BUFFER: usize = 256 * 1024;
/// How long a connection to the socket of `ssh`, which accepts at once, may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Pause before connections are accepted again after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Ends a relay; usable from any thread.
#[derive(Clone)]
pub struct RelayHandle {
    ended: Arc<AtomicBool>,
    waker: Waker,
}

impl RelayHandle {
    /// Ends the relay and its connections. Does not wait for that.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// One direction of a connection: the bytes that were read from one socket and not written to the other yet.
struct Half {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    source_ended: bool,
    end_passed_on: bool,
}

impl Half {
    fn new() -> Self {
        let bytes = vec![0; BUFFER].into_boxed_slice();
        Self { bytes, start: 0, end: 0, source_ended: false, end_passed_on: false }
    }

    fn wants_input(&self) -> bool {
        !self.source_ended && self.start == self.end
    }

    fn wants_output(&self) -> bool {
        self.start < self.end
    }

    fn turn(&mut self, mut from: &Stream, mut to: &Stream) -> io::Result<()> {
        if self.wants_input() {
            match from.read(&mut self.bytes) {
                Ok(0) => self.source_ended = true,
                Ok(count) => (self.start, self.end) = (0, count),
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error),
            }
        }
        while self.wants_output() {
            match to.write(&self.bytes[self.start..self.end]) {
                Ok(count) => self.start += count,
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.source_ended && !self.end_passed_on {
            self.end_passed_on = true;
            let _ = to.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

struct Pair {
    near: Stream,
    far: Stream,
    out: Half,
    back: Half,
}

impl Pair {
    fn new(near: Stream, far: Stream) -> io::Result<Self> {
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far, out: Half::new(), back: Half::new() })
    }

    /// Moves bytes in both directions. Returns whether the connection goes on.
    fn turn(&mut self) -> bool {
        let moved = self.out.turn(&self.near, &self.far).and_then(|()| self.back.turn(&self.far, &self.near));
        moved.is_ok() && !(self.out.end_passed_on && self.back.end_passed_on)
    }
}

/// Starts a relay from `listener` to the unix socket `to`.
pub fn start(listener: LocalListener, to: PathBuf) -> Result<RelayHandle, SshError> {
    let waker = Waker::new().map_err(SshError::local("making an eventfd"))?;
    let handle = RelayHandle { ended: Arc::default(), waker };
    let own = handle.clone();
    std::thread::Builder::new()
        .name("ssh-relay".to_owned())
        .spawn(move || run(&listener, &to, &own))
        .map_err(SshError::local("starting a thread"))?;
    Ok(handle)
}

fn run(listener: &LocalListener, to: &std::path::Path, handle: &RelayHandle) {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut set = PollSet::default();
    let mut accept_from: Option<Instant> = None;
    while !handle.ended.load(Ordering::Acquire) {
        handle.waker.reset();
        set.clear();
        set.add(handle.waker.as_fd(), true, false);
        let accepting = set.add(listener.as_fd(), accept_from.is_none(), false);
        for pair in &pairs {
            set.add(pair.near.as_fd(), pair.out.wants_input(), pair.back.wants_output());
            set.add(pair.far.as_fd(), pair.back.wants_input(), pair.out.wants_output());
        }
        if handle.ended.load(Ordering::Acquire) || set.wait(accept_from).is_err() {
            return;
        }
        pairs.retain_mut(Pair::turn);
        if accept_from.is_some_and(|from| Instant::now() >= from) {
            accept_from = None;
        } else if !set.is_ready(accepting) {
            continue;
        }
        match listener.accept() {
            Ok(Some(near)) => match private::connect(to, CONNECT_PATIENCE).and_then(|far| Pair::new(near, far)) {
                Ok(pair) => pairs.push(pair),
                // ssh has ended. The next peers wait at the listener until there is another ssh.
                Err(_) => return,
            },
            Ok(None) => {}
            Err(_) => accept_from = Some(Instant::now() + ACCEPT_PAUSE),
        }
    }
}
