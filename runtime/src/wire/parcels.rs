//! Frames that travel beside their message, on a bulk connection: parcels.
//!
//! # Format
//!
//! A message with such frames begins with a frame that others do not have: the byte `0xc1`, with which no header begins, and for
//! each parcel the place of its frame among the message's frames (the header's is 0), its number, and its length in bytes: 4, 8
//! and 8 bytes, big endian. An empty frame stands in its place.

use std::fmt;

/// No MessagePack begins with it.
const MARK: u8 = 0xc1;
const NOTE: usize = 20;

/// A frame that travels as a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Which frame of the message it is.
    pub frame: u32,
    /// The number of its parcel: each direction of a link counts its own.
    pub parcel: u64,
    /// Bytes.
    pub length: u64,
}

/// Notes that nobody of this project writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("malformed notes about parcels")
    }
}

/// The frame that goes before the header.
pub fn encode(notes: &[Note]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(notes.len().saturating_mul(NOTE).saturating_add(1));
    bytes.push(MARK);
    for note in notes {
        bytes.extend_from_slice(&note.frame.to_be_bytes());
        bytes.extend_from_slice(&note.parcel.to_be_bytes());
        bytes.extend_from_slice(&note.length.to_be_bytes());
    }
    bytes
}

/// Whether a message that begins with this frame has parcels.
pub fn begins(frame: &[u8]) -> bool {
    frame.first() == Some(&MARK)
}

/// The notes in such a frame, in the order of their frames.
///
/// # Errors
/// Where there is none, a rest, or a frame that is named twice or is the header.
pub fn decode(frame: &[u8]) -> Result<Vec<Note>, Malformed> {
    let (notes, rest) = frame.strip_prefix(&[MARK]).ok_or(Malformed)?.as_chunks::<NOTE>();
    let notes: Vec<Note> = notes.iter().map(read).collect();
    let ordered = notes.windows(2).all(|pair| matches!(pair, [one, next] if one.frame < next.frame));
    match notes.first() {
        Some(first) if rest.is_empty() && first.frame > 0 && ordered => Ok(notes),
        _ => Err(Malformed),
    }
}

fn read(bytes: &[u8; NOTE]) -> Note {
    let number = |range: std::ops::Range<usize>| {
        bytes.get(range).unwrap_or_default().iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    Note { frame: u32::try_from(number(0..4)).unwrap_or_default(), parcel: number(4..12), length: number(12..20) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_notes_come_back(frames in prop::collection::btree_set(1..u32::MAX, 1..9), parcel: u64, length: u64) {
            let note = |frame| Note { frame, parcel, length };
            let notes: Vec<Note> = frames.into_iter().map(note).collect();
            let bytes = encode(&notes);
            prop_assert!(begins(&bytes));
            prop_assert_eq!(decode(&bytes), Ok(notes));
            prop_assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(Malformed));
        }

        #[test]
        fn any_bytes_are_notes_or_refused(bytes: Vec<u8>) {
            if let Ok(notes) = decode(&bytes) {
                prop_assert_eq!(encode(&notes), bytes);
            }
        }
    }

    #[test]
    fn a_frame_is_named_once_and_is_no_header() {
        let note = |frame| Note { frame, parcel: 1, length: 2 };
        for notes in [&[][..], &[note(0)], &[note(2), note(2)], &[note(2), note(1)]] {
            assert_eq!(decode(&encode(notes)), Err(Malformed));
        }
        assert!(!begins(&[0x82, 0xa1]) && !begins(&[]));
    }
}
