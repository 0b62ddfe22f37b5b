//! One forwarded connection: a channel on one side, a socket on the other. Opening both is done by [`super::engine`].
//!
//! Back-pressure works both ways: nothing is read from a side while the other side does not accept its bytes. The end
//! of input of a side is forwarded by itself, so that a half-closed connection goes on in the other direction.

use super::settle::Line;
use crate::ends::Stream;
use ssh2::Channel;
use std::io::{self, Read, Write};
use std::net::Shutdown;

/// Size of the buffer of each direction in bytes; a few packets of the largest size.
const BUFFER: usize = 256 * 1024;
/// Rounds of a turn before other connections get theirs.
const ROUNDS: usize = 8;

/// The bytes that were read and not written yet.
struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// The state of a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing more can be done for now.
    Idle,
    /// There is more to do at once.
    More,
    /// It has ended, and the channel is closed.
    Over,
}

/// See the module's documentation.
pub struct Link {
    /// Id of its forward; 0 for none.
    pub forward: u64,
    channel: Channel,
    stream: Stream,
    out: Buffer,
    back: Buffer,
    local_ended: bool,
    end_sent: bool,
    remote_ended: bool,
    end_passed_on: bool,
    closing: bool,
}

impl Link {
    /// Connects a channel with a socket.
    pub fn new(forward: u64, channel: Channel, stream: Stream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            forward,
            channel,
            stream,
            out: Buffer::new(),
            back: Buffer::new(),
            local_ended: false,
            end_sent: false,
            remote_ended: false,
            end_passed_on: false,
            closing: false,
        })
    }

    /// The socket of the local side.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether to poll the local side for reading.
    pub fn wants_input(&self) -> bool {
        !self.closing && !self.local_ended && self.out.is_empty()
    }

    /// Whether to poll the local side for writing.
    pub fn wants_output(&self) -> bool {
        !self.closing && !self.back.is_empty()
    }

    /// Ends it; bytes on their way are lost. The next turns close the channel.
    pub fn close(&mut self) {
        self.closing = true;
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Moves as many bytes as possible without blocking.
    pub fn turn(&mut self, line: &Line) -> Turn {
        for _ in 0..ROUNDS {
            if self.closing {
                // An error means that there is nothing left to close.
                return if let Ok(None) = line.attempt(|| self.channel.close()) { Turn::Idle } else { Turn::Over };
            }
            let moved = self.outwards(line).and_then(|out| Ok(self.inwards(line)? || out));
            match moved {
                Ok(true) => {}
                Ok(false) => return Turn::Idle,
                // One side is broken: closing tells the other one.
                Err(_) => self.close(),
            }
            if self.end_sent && self.end_passed_on {
                self.close();
            }
        }
        Turn::More
    }

    /// Moves bytes from here to there. Returns whether anything moved.
    fn outwards(&mut self, line: &Line) -> io::Result<bool> {
        let mut moved = false;
        if self.wants_input() {
            match self.stream.read(&mut self.out.bytes) {
                Ok(0) => self.local_ended = true,
                Ok(count) => (self.out.start, self.out.end) = (0, count),
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error),
            }
        }
        while !self.out.is_empty() {
            // 0 means that the window is full.
            match line.attempt(|| self.channel.write(self.out.filled()))? {
                None | Some(0) => break,
                Some(count) => self.out.start += count,
            }
            moved = true;
        }
        if self.local_ended && self.out.is_empty() && !self.end_sent {
            self.end_sent = line.attempt(|| self.channel.send_eof())?.is_some();
            moved |= self.end_sent;
        }
        Ok(moved)
    }

    /// Moves bytes from there to here. Returns whether anything moved.
    fn inwards(&mut self, line: &Line) -> io::Result<bool> {
        let mut moved = false;
        if self.back.is_empty() && !self.remote_ended {
            match line.attempt(|| self.channel.read(&mut self.back.bytes))? {
                None => {}
                Some(0) => self.remote_ended = self.channel.eof(),
                Some(count) => {
                    (self.back.start, self.back.end) = (0, count);
                    moved = true;
                }
            }
        }
        while !self.back.is_empty() {
            match self.stream.write(self.back.filled()) {
                Ok(count) => self.back.start += count,
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
            moved = true;
        }
        if self.remote_ended && self.back.is_empty() && !self.end_passed_on {
            self.end_passed_on = true;
            // Fails when the peer is gone; then nobody has to be told.
            let _ = self.stream.shutdown(Shutdown::Write);
            moved = true;
        }
        Ok(moved)
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
