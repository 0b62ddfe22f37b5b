//! What is to be sent over a link, cut into chunks: each connection of the link takes the next one when it has room. Pure.

use super::secure::{RECORD_MAX, TAG};
use crate::wire::Frame;
use std::collections::VecDeque;
use std::ops::Range;

/// Bytes in a record of a chunk.
pub(super) const RECORD: usize = RECORD_MAX - TAG;
/// Bytes of a chunk.
pub(super) const CHUNK: usize = 16 * RECORD;

/// A part of a parcel.
pub(super) struct Chunk {
    pub parcel: u64,
    /// The whole of it.
    pub frame: Frame,
    /// Which of its bytes.
    pub range: Range<usize>,
}

/// Parcels in the order in which they go.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Chunk>,
}

impl Outbox {
    /// A parcel more. An empty one has nothing to be sent.
    pub fn push(&mut self, parcel: u64, frame: Frame) {
        let range = 0..frame.len();
        self.waiting.push_back(Chunk { parcel, frame, range });
    }

    /// The next part to send.
    pub fn next(&mut self) -> Option<Chunk> {
        let mut rest = self.waiting.pop_front()?;
        let Range { start, end } = rest.range;
        if end.saturating_sub(start) <= CHUNK {
            return Some(rest);
        }
        let middle = start.saturating_add(CHUNK);
        let first = Chunk { parcel: rest.parcel, frame: rest.frame.clone(), range: start..middle };
        rest.range = middle..end;
        self.waiting.push_front(rest);
        Some(first)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// What stands before a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub parcel: u64,
    /// Bytes of the whole parcel.
    pub length: u64,
    /// Where in it the chunk begins.
    pub start: u64,
    /// Bytes of the chunk.
    pub bytes: u64,
    /// Bytes of it that travel, if it is compressed (see `press`), or 0.
    pub pressed: u64,
}

/// Bytes of a written [`Head`]: five numbers of 8 bytes, big endian.
pub(super) const HEAD: usize = 40;

impl Head {
    pub fn of(chunk: &Chunk) -> Head {
        Head {
            parcel: chunk.parcel,
            length: chunk.frame.len() as u64,
            start: chunk.range.start as u64,
            bytes: chunk.range.len() as u64,
            pressed: 0,
        }
    }

    pub fn write(self) -> Vec<u8> {
        [self.parcel, self.length, self.start, self.bytes, self.pressed].map(u64::to_be_bytes).concat()
    }

    pub fn read(bytes: &[u8]) -> Option<Head> {
        let ([parcel, length, start, bytes, pressed], []) = bytes.as_chunks::<8>() else { return None };
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        let (length, pressed) = (number(length), number(pressed));
        Some(Head { parcel: number(parcel), length, start: number(start), bytes: number(bytes), pressed })
    }
}
