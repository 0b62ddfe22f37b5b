//! How many bytes a message to a client counts, while the client has not said that it has them. Both sides count alike.

use super::frame::Frame;
use super::message::{Message, SegmentNote};
use super::resend::is_counted;

/// Of a message without texts.
const PLAIN: usize = 128;
/// Of each engine in a status.
const ENGINE: usize = 512;

/// Bytes of a message with its payload, about; nothing for those that make or end a session.
pub fn weight(message: &Message, payload: &[Frame]) -> u64 {
    if !is_counted(message) {
        return 0;
    }
    let texts = match message {
        Message::StatusReply(status) => status.engines.len().saturating_mul(ENGINE),
        Message::EngineLeft(left) => left.reason.len(),
        Message::Inspected(inspected) => {
            inspected.activity.as_ref().map_or(0, |activity| activity.stack.len().saturating_add(activity.calls.len()))
        }
        _ => 0,
    };
    let segments = match message {
        Message::Reply(reply) => &reply.segments[..],
        _ => &[],
    };
    bytes_of(payload, segments).saturating_add(texts.saturating_add(PLAIN) as u64)
}

/// Bytes of a payload, in frames and in segments.
pub fn bytes_of(payload: &[Frame], segments: &[SegmentNote]) -> u64 {
    let mut notes = segments.iter().peekable();
    let frames = (0_u32..).zip(payload).map(|(index, frame)| {
        let note = notes.next_if(|note| note.frame == index);
        note.map_or(frame.len() as u64, |note| note.length)
    });
    frames.fold(0, u64::saturating_add)
}
