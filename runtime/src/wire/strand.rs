//! A connection that several peers share, as the engines of a host share their agent's: each has a *strand* of it.
//!
//! # Format
//!
//! A message on such a connection begins with a frame of five bytes: `0xc1`, with which no header begins, and the number of the
//! strand, big endian. The agent gives the numbers, from 1 on. A strand ends with a message that has nothing else. What the
//! agent itself says and is told has no such frame, with one exception: strand 0, and in a second frame the numbers of parcels,
//! 8 bytes each, which no further message has.

use super::Frame;

/// No MessagePack begins with it.
const MARK: u8 = 0xc1;

/// A strand of a shared connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Strand(pub u32);

/// The one that every connection is which is not shared; and of a shared one, what is about the connection itself.
pub const WHOLE: Strand = Strand(0);

impl Strand {
    /// The frame with which its messages begin.
    pub fn mark(self) -> Frame {
        let [first, second, third, fourth] = self.0.to_be_bytes();
        Frame::from(&[MARK, first, second, third, fourth][..])
    }

    /// Which strand a message is of, if it is of one.
    pub fn of(first: &[u8]) -> Option<Strand> {
        let number = first.strip_prefix(&[MARK])?;
        Some(Strand(u32::from_be_bytes(number.try_into().ok()?)))
    }
}

/// The frame that lists parcels.
pub fn encode_parcels(numbers: &[u64]) -> Frame {
    Frame::from(numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>())
}

/// The parcels in such a frame; none where it is no such frame.
pub fn decode_parcels(frame: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = frame.as_chunks::<8>();
    rest.is_empty().then(|| numbers.iter().map(|number| u64::from_be_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_strand_and_any_list_come_back(number: u32, parcels: Vec<u64>) {
            prop_assert_eq!(Strand::of(&Strand(number).mark()), Some(Strand(number)));
            prop_assert_eq!(decode_parcels(&encode_parcels(&parcels)), Some(parcels));
        }

        #[test]
        fn any_bytes_are_a_mark_or_not(bytes: Vec<u8>) {
            if let Some(strand) = Strand::of(&bytes) {
                prop_assert_eq!(&*strand.mark(), &bytes[..]);
            }
            if let Some(parcels) = decode_parcels(&bytes) {
                prop_assert_eq!(&*encode_parcels(&parcels), &bytes[..]);
            }
        }
    }
}
