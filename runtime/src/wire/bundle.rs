//! Short messages that go together: one part of libzmq's instead of several.
//!
//! A part costs as much as a thousand bytes do: libzmq queues each, and CURVE encrypts, marks and checks each by itself. So what is
//! ready for a connection at the same time goes in one, and so do the frames of a message that is alone.
//!
//! # Format
//!
//! A message of one frame, alone, is that frame. Everything else is one part that begins with the byte `0xc0`, with which
//! neither a header nor notes about parcels begin. Then come the frames of the messages, each behind its length: 4 bytes, big
//! endian, whose highest bit is set for the last frame of a message.

use super::message::Message;
use super::pieces::PIECE;
use super::{Frame, codec};

const MARK: u8 = 0xc0;
/// Bytes before a frame.
const BEFORE: usize = 4;
const LAST: u32 = 1 << 31;
/// Most bytes of a message that goes with others. Frames of a longer one are better shared than copied.
const MESSAGE_MAX: usize = 4 << 10;
/// So many bytes go at once: whoever receives them has enough to do meanwhile.
const FULL: usize = 16 << 10;

/// Messages that are gathered for one connection.
#[derive(Debug, Default)]
pub struct Bundle {
    bytes: Vec<u8>,
    frames: usize,
}

impl Bundle {
    /// Adds a message, with what goes before its header. False: it is too long.
    #[must_use]
    pub fn add(&mut self, before: &[Option<Frame>], message: &Message, payload: &[Frame]) -> bool {
        let before = before.iter().flatten();
        if !is_short(before.clone().chain(payload)) {
            return false;
        }
        let (start, frames) = self.begin();
        before.for_each(|frame| self.push(frame, false));
        if !self.push_header(message, payload.is_empty()) {
            self.bytes.truncate(start);
            self.frames = frames;
            return false;
        }
        self.push_last(payload);
        true
    }

    /// Adds frames that are a message. False: they are too long, or a bundle could not tell them from another one.
    #[must_use]
    pub fn add_frames(&mut self, frames: &[Frame]) -> bool {
        if !is_short(frames.iter()) || frames.first().is_none_or(|first| first.is_empty()) {
            return false;
        }
        self.begin();
        self.push_last(frames);
        true
    }

    /// Begins a message: how much there was before.
    fn begin(&mut self) -> (usize, usize) {
        let before = (self.bytes.len(), self.frames);
        if self.bytes.is_empty() {
            self.bytes.push(MARK);
        }
        before
    }

    /// Adds the last frames of a message.
    fn push_last(&mut self, frames: &[Frame]) {
        for (place, frame) in (1..).zip(frames) {
            self.push(frame, place == frames.len());
        }
    }

    fn push(&mut self, frame: &[u8], last: bool) {
        self.bytes.extend_from_slice(&before(frame.len(), last));
        self.bytes.extend_from_slice(frame);
        self.frames = self.frames.saturating_add(1);
    }

    /// Writes the header where it goes; false if it is a long one.
    fn push_header(&mut self, message: &Message, last: bool) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; BEFORE]);
        codec::encode_into(message, &mut self.bytes);
        let length = self.bytes.len().saturating_sub(start).saturating_sub(BEFORE);
        if let Some(place) = self.bytes.get_mut(start..).and_then(|bytes| bytes.first_chunk_mut()) {
            *place = before(length, last);
        }
        self.frames = self.frames.saturating_add(1);
        length <= MESSAGE_MAX
    }

    /// Whether it is to be sent before more is added.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// All that was gathered, as one part.
    pub fn take(&mut self) -> Option<Frame> {
        let only = std::mem::take(&mut self.frames) == 1;
        let bytes = if only { self.bytes.get(BEFORE.saturating_add(1)..) } else { Some(self.bytes.as_slice()) };
        let frame = bytes.filter(|bytes| !bytes.is_empty()).map(Frame::from);
        self.bytes.clear();
        frame
    }
}

/// Whether a message of these frames, and a header perhaps, is better copied than sent by itself.
fn is_short<'a>(frames: impl Iterator<Item = &'a Frame>) -> bool {
    let (mut count, mut length) = (0_usize, 0_usize);
    for frame in frames {
        count = count.saturating_add(1);
        length = length.saturating_add(frame.len());
    }
    length <= MESSAGE_MAX && count <= MESSAGE_MAX
}

fn before(length: usize, last: bool) -> [u8; BEFORE] {
    let mark = if last { LAST } else { 0 };
    (u32::try_from(length).unwrap_or_default() | mark).to_be_bytes()
}

/// The messages in what has come. What only looks like a bundle is left as it is: no header begins like that.
pub fn open(frames: Vec<Frame>) -> Vec<Vec<Frame>> {
    match &frames[..] {
        [only] if only.first() == Some(&MARK) && only.len() < PIECE => {
            read(only.get(1..).unwrap_or_default()).unwrap_or_else(|| vec![frames])
        }
        _ => vec![frames],
    }
}

/// None: it ends in the middle of something, or there is no memory.
fn read(mut rest: &[u8]) -> Option<Vec<Vec<Frame>>> {
    let (mut messages, mut frames) = (Vec::new(), Vec::new());
    while let Some((before, behind)) = rest.split_first_chunk() {
        let before = u32::from_be_bytes(*before);
        let (frame, behind) = behind.split_at_checked(usize::try_from(before & !LAST).ok()?)?;
        frames.push(Frame::copy_from(frame)?);
        if before & LAST != 0 {
            messages.push(std::mem::take(&mut frames));
        }
        rest = behind;
    }
    (rest.is_empty() && frames.is_empty() && !messages.is_empty()).then_some(messages)
}

#[cfg(test)]
mod tests {
    use super::super::message::{Empty, Refused};
    use super::*;
    use proptest::prelude::*;

    fn frame(length: usize) -> Frame {
        Frame::from((0..length).map(|index| (index * 31 % 251) as u8).collect::<Vec<u8>>())
    }

    fn refused(length: usize) -> Message {
        Message::Refused(Refused { reason: "x".repeat(length), hint: None })
    }

    /// What was added, and what is there in the end.
    fn there_and_back(messages: &[(Option<usize>, usize, Vec<usize>)]) -> (Vec<Vec<Frame>>, Vec<Vec<Frame>>) {
        let (mut bundle, mut added) = (Bundle::default(), Vec::new());
        for (notes, header, payload) in messages {
            let (notes, payload) = (notes.map(frame), payload.iter().copied().map(frame).collect::<Vec<_>>());
            let message = refused(*header);
            if bundle.add(std::slice::from_ref(&notes), &message, &payload) {
                let header = Frame::from(codec::encode(&message));
                added.push(notes.into_iter().chain([header]).chain(payload).collect());
            }
        }
        (added, bundle.take().map(|part| open(vec![part])).unwrap_or_default())
    }

    #[test]
    fn a_message_of_one_frame_that_is_alone_is_that_frame() {
        let mut bundle = Bundle::default();
        let message = Message::StatusRequest(Empty {});
        assert!(bundle.add(&[], &message, &[]));
        let part = bundle.take().expect("a message");
        assert_eq!(*part, codec::encode(&message)[..]);
        assert_eq!(open(vec![part.clone()]), [[part]]);
        assert!(bundle.take().is_none());
    }

    #[test]
    fn long_messages_are_left_to_others() {
        let (added, found) = there_and_back(&[
            (None, 3, vec![MESSAGE_MAX]),
            (None, 3, vec![MESSAGE_MAX, 1]),
            (Some(MESSAGE_MAX), 3, vec![1]),
            (None, MESSAGE_MAX, vec![1]),
            (None, 3, vec![0; MESSAGE_MAX + 1]),
            (None, 5, vec![]),
        ]);
        assert_eq!(added.len(), 2);
        assert_eq!(found, added);
    }

    #[test]
    fn nothing_that_is_gathered_is_as_long_as_a_piece() {
        let mut bundle = Bundle::default();
        while !bundle.is_full() {
            assert!(bundle.add(&[], &refused(5), &vec![Frame::new(); MESSAGE_MAX]));
        }
        assert!(bundle.take().is_some_and(|part| part.len() < PIECE));
    }

    #[test]
    fn what_only_looks_like_one_is_left_as_it_is() {
        let mut bundle = Bundle::default();
        assert!(bundle.add(&[], &refused(7), &[frame(9)]));
        let whole = bundle.take().expect("a message").to_vec();
        for wrong in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat(), &[MARK], &[MARK, 0, 0, 0, 1, 7]] {
            let frames = vec![Frame::from(wrong)];
            assert_eq!(open(frames.clone()), [frames]);
        }
        let two = vec![Frame::from(&whole[..]), frame(1)];
        assert_eq!(open(two.clone()), [two]);
        assert_eq!(open(vec![Frame::from(&whole[..])]).len(), 1);
    }

    proptest! {
        #[test]
        fn any_messages_come_back(
            messages in prop::collection::vec(
                (prop::option::of(1..60_usize), 0..300_usize, prop::collection::vec(0..1500_usize, 0..5)), 0..9)
        ) {
            let (added, found) = there_and_back(&messages);
            prop_assert_eq!(found, added);
        }

        #[test]
        fn any_bytes_are_messages_or_left_as_they_are(mut bytes: Vec<u8>) {
            bytes.insert(0, MARK);
            let found = open(vec![Frame::from(&bytes[..])]);
            let opened: usize = found.iter().flatten().map(|frame| frame.len() + BEFORE).sum();
            prop_assert!(found == [[Frame::from(&bytes[..])]] || opened == bytes.len() - 1);
        }
    }
}
