//! Long frames, cut into pieces for the wire and joined again.
//!
//! libzmq encrypts, decrypts and queues each part of a message as a whole, in its one thread. A part of a gigabyte
//! keeps that thread from everything else for seconds, and dozens of them, one for each engine, keep it from the
//! heartbeats for so long that all engines are taken for dead. Pieces let all connections take turns instead.
//!
//! # Format
//!
//! A part of [`PIECE`] bytes is continued by the next one; a shorter one ends its frame. So a shorter frame is one
//! part, and a frame of a multiple of that length ends with an empty part.

use super::Frame;
use std::ops::Range;

/// Bytes of a piece: a millisecond of encryption.
pub const PIECE: usize = 256 << 10;

/// A range of a frame's bytes; it keeps the frame alive.
struct Slice {
    frame: Frame,
    range: Range<usize>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self.frame.get(self.range.clone()).unwrap_or_default()
    }
}

/// The parts of a frame, without a copy. There is at least one.
pub fn split(frame: Frame) -> Parts {
    Parts { frame: Some(frame), start: 0 }
}

/// See [`split`]. A short frame is handed on as it is, and nothing is allocated for it.
pub struct Parts {
    /// None when the last part has been given.
    frame: Option<Frame>,
    /// Where the next part begins.
    start: usize,
}

impl Iterator for Parts {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let frame = self.frame.take()?;
        let (start, length) = (self.start, frame.len());
        if length < PIECE {
            return Some(frame);
        }
        if start == length {
            return Some(Frame::new());
        }
        let end = length.min(start.saturating_add(PIECE));
        if end.saturating_sub(start) == PIECE {
            (self.frame, self.start) = (Some(frame.clone()), end);
        }
        Some(Frame::from_owner(Slice { frame, range: start..end }))
    }
}

/// Joins the parts that it is given into frames.
#[derive(Default)]
pub struct Joiner {
    pieces: Vec<Frame>,
}

impl Joiner {
    /// Whether it is between two frames.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Takes the next part and returns the frame that it ends, if it ends one. `last`: it is the last part of its
    /// message.
    ///
    /// # Errors
    ///
    /// When there is no memory for the frame.
    pub fn add(&mut self, part: Frame, last: bool) -> Result<Option<Frame>, zmq::Error> {
        let ends = last || part.len() < PIECE;
        if ends && self.pieces.is_empty() {
            return Ok(Some(part));
        }
        self.pieces.push(part);
        if !ends {
            return Ok(None);
        }
        let pieces = std::mem::take(&mut self.pieces);
        let length = pieces.iter().map(Frame::len).sum();
        let frame = Frame::joined(pieces, length).ok_or(zmq::Error::ENOMEM)?;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 31 % 251) as u8).collect()
    }

    fn there_and_back(lengths: &[usize]) {
        let parts: Vec<Frame> = lengths.iter().flat_map(|length| split(Frame::from(bytes(*length)))).collect();
        let (mut joiner, mut frames, count) = (Joiner::default(), Vec::new(), parts.len());
        for (index, part) in parts.into_iter().enumerate() {
            assert!(part.len() <= PIECE);
            frames.extend(joiner.add(part, index + 1 == count).expect("memory"));
        }
        assert_eq!(frames.len(), lengths.len());
        assert!(frames.iter().zip(lengths).all(|(frame, length)| **frame == bytes(*length)[..]));
    }

    #[test]
    fn frames_at_the_edges_come_back() {
        there_and_back(&[0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 0, PIECE]);
    }

    #[test]
    fn pieces_share_the_bytes_of_their_frame() {
        let frame = Frame::from(bytes(2 * PIECE + 3));
        let parts: Vec<Frame> = split(frame.clone()).collect();
        assert_eq!(parts.iter().map(Frame::len).collect::<Vec<_>>(), [PIECE, PIECE, 3]);
        assert_eq!(parts[1].as_ptr(), frame[PIECE..].as_ptr());
    }

    #[test]
    fn a_message_that_ends_in_the_middle_of_a_frame_has_what_came() {
        let mut joiner = Joiner::default();
        let cut = joiner.add(Frame::from(bytes(PIECE)), true).expect("memory").expect("a frame");
        assert_eq!(cut.len(), PIECE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_frames_come_back(lengths in prop::collection::vec(prop_oneof![0..9_usize, 0..3 * PIECE], 1..8)) {
            there_and_back(&lengths);
        }
    }
}
