//! Parcels of which not all has come. Pure.

use super::outbox::{CHUNK, Head, RECORD};
use super::press::{Unpressable, unpress};
use crate::system::zeroed_bytes;
use crate::wire::Frame;
use crate::wire::segment::{Begun, SEGMENT_MIN, SegmentFolder};
use ipclusterz_base::ids::PeerId;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Most bytes of a parcel.
const LENGTH_MAX: u64 = 1 << 40;
/// Bytes that are written to a segment at once, at most.
const PASSING: usize = 4 * RECORD;
/// Most parcels that are begun and not complete.
const OPEN_MAX: usize = 4096;

/// What a peer must not do: its link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("a part of a parcel that cannot be, or has come before")]
    Outside,
    #[error("too many parcels at once")]
    TooMany,
    #[error("no memory for a parcel of {0} bytes")]
    NoMemory(u64),
    #[error(transparent)]
    Unpressable(#[from] Unpressable),
}

/// A parcel that is complete.
#[derive(Debug, Clone)]
pub enum Parcel {
    /// In this process's memory.
    Frame(Frame),
    /// In a segment of so many bytes.
    Segment(Arc<Begun>, u64),
}

impl Parcel {
    /// Bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Parcel::Frame(frame) => frame.len() as u64,
            Parcel::Segment(_, length) => *length,
        }
    }
}

/// Where large parcels are kept, if not in memory: as segments of this peer.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// The folder.
    pub folder: SegmentFolder,
    /// Whose they are.
    pub owner: PeerId,
}

/// Where the bytes of a parcel go.
enum Store {
    Memory(Vec<u8>),
    Segment(Begun),
}

struct Open {
    store: Store,
    length: u64,
    missing: u64,
    /// Where chunks have begun: each begins once, so that a parcel whose bytes are all there has no holes.
    begun: HashSet<u64>,
}

impl Open {
    fn new(length: u64, shelf: Option<&Shelf>) -> Option<Open> {
        // A full file system, or no descriptor: there is memory, too.
        let segment =
            shelf.filter(|_| length >= SEGMENT_MIN as u64).and_then(|shelf| shelf.folder.begin(shelf.owner).ok());
        let store = match segment {
            Some(segment) => Store::Segment(segment),
            None => Store::Memory(zeroed_bytes(length)?),
        };
        Some(Open { store, length, missing: length, begun: HashSet::new() })
    }

    /// Writes to the segment, if it is in one. Where that is full, all of it goes to memory.
    fn write(&mut self, passing: &[u8], start: usize) -> Result<(), Wrong> {
        let Store::Segment(segment) = &self.store else { return Ok(()) };
        if segment.write_at(passing, start as u64).is_ok() {
            return Ok(());
        }
        let no_memory = Wrong::NoMemory(self.length);
        let mut bytes = zeroed_bytes(self.length).ok_or(no_memory)?;
        segment.read(&mut bytes).map_err(|_| no_memory)?;
        let place = bytes.get_mut(start..start.saturating_add(passing.len())).ok_or(Wrong::Outside)?;
        place.copy_from_slice(passing);
        self.store = Store::Memory(bytes);
        Ok(())
    }
}

/// A chunk that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incoming {
    pub parcel: u64,
    /// Where its next byte goes, and its end.
    pub range: Range<usize>,
    /// So many bytes of it travel, compressed; 0: it is not.
    pub pressed: usize,
}

/// See the file.
#[derive(Default)]
pub(super) struct Inbox {
    shelf: Option<Shelf>,
    open: HashMap<u64, Open>,
    /// What is on its way to a segment.
    passing: Vec<u8>,
}

impl Inbox {
    /// Large parcels go to the shelf, if there is one.
    pub fn new(shelf: Option<Shelf>) -> Inbox {
        Inbox { shelf, ..Inbox::default() }
    }

    /// A chunk begins.
    pub fn begin(&mut self, head: Head) -> Result<Incoming, Wrong> {
        let bytes = head.length.checked_sub(head.start).ok_or(Wrong::Outside)?.min(CHUNK as u64);
        let is_chunk =
            head.bytes == bytes && bytes > 0 && head.start.is_multiple_of(CHUNK as u64) && head.pressed < bytes;
        let (start, bytes) = (usize::try_from(head.start), usize::try_from(bytes));
        let (Ok(start), Ok(bytes), Ok(pressed)) = (start, bytes, usize::try_from(head.pressed)) else {
            return Err(Wrong::Outside);
        };
        if !is_chunk || head.length > LENGTH_MAX {
            return Err(Wrong::Outside);
        }
        if !self.open.contains_key(&head.parcel) {
            if self.open.len() >= OPEN_MAX {
                return Err(Wrong::TooMany);
            }
            let open = Open::new(head.length, self.shelf.as_ref()).ok_or(Wrong::NoMemory(head.length))?;
            self.open.insert(head.parcel, open);
        }
        let open = self.open.get_mut(&head.parcel).filter(|open| open.length == head.length).ok_or(Wrong::Outside)?;
        if !open.begun.insert(head.start) {
            return Err(Wrong::Outside);
        }
        let end = start.saturating_add(bytes);
        Ok(Incoming { parcel: head.parcel, range: start..end, pressed })
    }

    /// All of a chunk that is compressed is here. It takes no more memory than the chunk was announced to have.
    pub fn unpress(&mut self, chunk: &mut Incoming, pressed: &[u8]) -> Result<Option<Parcel>, Wrong> {
        let bytes = chunk.range.len();
        match self.open.get_mut(&chunk.parcel).map(|open| &mut open.store) {
            Some(Store::Memory(memory)) => unpress(pressed, memory.get_mut(chunk.range.clone()).unwrap_or_default())?,
            _ => {
                self.passing.resize(CHUNK, 0);
                unpress(pressed, self.passing.get_mut(..bytes).unwrap_or_default())?;
            }
        }
        self.filled(chunk, bytes)
    }

    /// Where the next bytes of a chunk go: [`RECORD`] at least, or all that is left of it.
    pub fn room(&mut self, chunk: &Incoming) -> &mut [u8] {
        match self.open.get_mut(&chunk.parcel).map(|open| &mut open.store) {
            Some(Store::Memory(bytes)) => bytes.get_mut(chunk.range.clone()).unwrap_or_default(),
            Some(Store::Segment(_)) => {
                self.passing.resize(PASSING, 0);
                self.passing.get_mut(..chunk.range.len().min(PASSING)).unwrap_or_default()
            }
            None => &mut [],
        }
    }

    /// So many bytes were written there. The parcel that they complete, if they do.
    pub fn filled(&mut self, chunk: &mut Incoming, bytes: usize) -> Result<Option<Parcel>, Wrong> {
        let open = self.open.get_mut(&chunk.parcel).ok_or(Wrong::Outside)?;
        let next = chunk.range.start.checked_add(bytes).filter(|at| *at <= chunk.range.end).ok_or(Wrong::Outside)?;
        open.write(self.passing.get(..bytes).unwrap_or_default(), chunk.range.start)?;
        chunk.range.start = next;
        open.missing = open.missing.checked_sub(bytes as u64).ok_or(Wrong::Outside)?;
        if open.missing > 0 {
            return Ok(None);
        }
        Ok(self.open.remove(&chunk.parcel).map(|open| match open.store {
            Store::Memory(bytes) => Parcel::Frame(Frame::from(bytes)),
            Store::Segment(segment) => Parcel::Segment(Arc::new(segment), open.length),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::{Chunk, Outbox};
    use super::super::press::press;
    use super::*;
    use proptest::prelude::*;

    fn bytes(length: usize, seed: u8) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8 ^ seed).collect()
    }

    fn put_pressed(inbox: &mut Inbox, chunk: &Chunk) -> Option<Parcel> {
        let Some(pressed) = press(&chunk.frame[chunk.range.clone()]) else { return put(inbox, chunk) };
        let head = Head { pressed: pressed.len() as u64, ..Head::of(chunk) };
        let mut incoming = inbox.begin(Head::read(&head.write()).expect("head")).expect("inside");
        assert_eq!(incoming.pressed, pressed.len());
        let complete = inbox.unpress(&mut incoming, &pressed).expect("a chunk");
        assert!(incoming.range.is_empty());
        complete
    }

    fn put(inbox: &mut Inbox, chunk: &Chunk) -> Option<Parcel> {
        let mut incoming = inbox.begin(Head::read(&Head::of(chunk).write()).expect("head")).expect("inside");
        let mut complete = None;
        while !incoming.range.is_empty() {
            let place = incoming.range.clone();
            let room = inbox.room(&incoming);
            let bytes = room.len();
            assert!(bytes >= RECORD.min(place.len()));
            room.copy_from_slice(&chunk.frame[place.start..place.start + bytes]);
            assert!(complete.is_none());
            complete = inbox.filled(&mut incoming, bytes).expect("inside");
        }
        complete
    }

    /// The bytes of a parcel.
    fn read(folder: &SegmentFolder, parcel: Parcel) -> Vec<u8> {
        match parcel {
            Parcel::Frame(frame) => frame.to_vec(),
            Parcel::Segment(segment, length) => {
                let segment = Arc::into_inner(segment).expect("one owner");
                folder.map(segment.keep().as_bytes(), length).expect("a segment").as_ref().to_vec()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parcels_come_back_in_whatever_order_their_chunks_come(
            lengths in prop::collection::vec(prop_oneof![1..2 * SEGMENT_MIN, 1..3 * CHUNK], 1..4),
            order: prop::sample::Index, with_shelf: bool, pressed: prop::sample::Index,
        ) {
            let root = tempfile::tempdir().expect("a folder");
            let folder = SegmentFolder::make(&root.path().join("segments")).expect("a folder");
            let shelf = Shelf { folder: folder.clone(), owner: PeerId(7) };
            let (mut outbox, mut inbox) = (Outbox::default(), Inbox::new(with_shelf.then_some(shelf)));
            for (number, length) in lengths.iter().enumerate() {
                outbox.push(number as u64, Frame::from(bytes(*length, number as u8)));
            }
            let mut chunks: Vec<Chunk> = std::iter::from_fn(|| outbox.next()).collect();
            prop_assert!(outbox.is_empty());
            let turn = order.index(chunks.len());
            chunks.rotate_left(turn);
            let mut found = HashMap::new();
            for (place, chunk) in chunks.iter().enumerate() {
                // Some of them travel compressed.
                let put = if (place + pressed.index(8)).is_multiple_of(2) { put } else { put_pressed };
                found.extend(put(&mut inbox, chunk).map(|parcel| (chunk.parcel, read(&folder, parcel))));
            }
            prop_assert_eq!(found.len(), lengths.len());
            for (number, length) in lengths.iter().enumerate() {
                prop_assert_eq!(&found[&(number as u64)], &bytes(*length, number as u8));
            }
        }

        #[test]
        fn any_heads_are_taken_or_refused(
            heads in prop::collection::vec((0..3_u64, number(), number(), number(), prop_oneof![Just(0), number()]), 1..20),
        ) {
            let (mut inbox, mut taken) = (Inbox::default(), HashSet::new());
            for (parcel, length, start, bytes, pressed) in heads {
                if let Ok(chunk) = inbox.begin(Head { parcel, length, start, bytes, pressed }) {
                    prop_assert!((chunk.pressed as u64) < bytes);
                    prop_assert_eq!(inbox.room(&chunk).len() as u64, bytes);
                    prop_assert!(start + bytes <= length && taken.insert((parcel, start)));
                }
            }
        }
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..3_u64, (0..3_u64).prop_map(|count| count * CHUNK as u64), Just(CHUNK as u64 + 1), Just(u64::MAX)]
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let mut inbox = Inbox::default();
        let head = Head { parcel: 1, length: 10, start: 0, bytes: 10, pressed: 0 };
        for wrong in [
            Head { start: 11, ..head },
            Head { start: 1, bytes: 9, ..head },
            Head { start: u64::MAX, ..head },
            Head { bytes: 4, ..head },
            Head { length: 0, bytes: 0, ..head },
            Head { length: LENGTH_MAX + 1, bytes: CHUNK as u64, ..head },
            Head { pressed: 10, ..head },
            Head { pressed: u64::MAX, ..head },
        ] {
            assert_eq!(inbox.begin(wrong), Err(Wrong::Outside), "{wrong:?}");
        }
        let mut chunk = inbox.begin(head).expect("inside");
        assert_eq!(inbox.begin(Head { length: 11, bytes: 11, ..head }), Err(Wrong::Outside));
        assert_eq!(inbox.begin(head), Err(Wrong::Outside), "again");
        assert_eq!(inbox.filled(&mut chunk, 11).err(), Some(Wrong::Outside));
    }

    #[test]
    fn what_becomes_more_or_less_than_was_announced_is_refused() {
        let pressed = press(&[7; 10_000]).expect("shorter");
        for length in [1_000, 9_999, 10_001, CHUNK as u64] {
            let mut inbox = Inbox::default();
            let head = Head { parcel: 1, length, start: 0, bytes: length, pressed: pressed.len() as u64 };
            let mut chunk = inbox.begin(head).expect("inside");
            assert!(matches!(inbox.unpress(&mut chunk, &pressed), Err(Wrong::Unpressable(_))), "{length}");
        }
    }
}
