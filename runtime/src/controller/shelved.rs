//! Large payloads from other hosts, which have been put into segments on their way in: as if their sender had done so here.

use crate::transport::bulk::lane::Shelved;
use crate::wire::message::{Message, SegmentNote};
use crate::wire::{Frame, codec};
use ipclusterz_base::ids::PeerId;

/// Has a message say which of its frames name segments, which from here on are the `owner`'s; without one they are whose they
/// are. Where such a frame cannot be a segment, its bytes take its place.
pub(super) fn note(message: &mut Message, frames: &mut [Frame], segments: Vec<Shelved>, owner: Option<PeerId>) {
    let (notes, first) = match message {
        // The function's code comes first, and is none of the operation's own frames.
        Message::Request(request) => (Some(&mut request.segments), if request.carries_function { 2 } else { 1 }),
        Message::Result(result) => (Some(&mut result.segments), 1),
        _ => (None, 0),
    };
    let mut found = Vec::new();
    for shelved in segments {
        let Some(place) = frames.get_mut(shelved.frame) else { continue };
        let own = shelved.frame.checked_sub(first).and_then(|frame| u32::try_from(frame).ok());
        let own = own.filter(|_| notes.is_some());
        let length = shelved.length;
        let result = match own {
            Some(_) => shelved.into_name(owner),
            None => shelved.bytes(),
        };
        match result {
            Ok(frame) => *place = frame,
            Err(error) => tracing::error!("a segment cannot be used: {error}"),
        }
        found.extend(own.map(|frame| SegmentNote { frame, length }));
    }
    if let Some(notes) = notes {
        notes.extend(found);
        notes.sort_by_key(|note| note.frame);
    }
    // What is written down is what the message says now.
    if let Some(header) = frames.first_mut() {
        *header = Frame::from(codec::encode(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Empty, TaskOutcome, TaskResult};
    use crate::wire::segment::SegmentFolder;
    use ipclusterz_base::ids::TaskId;
    use std::sync::Arc;

    #[test]
    fn segments_are_noted_where_they_may_be_and_read_elsewhere() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = SegmentFolder::make(&root.path().join("segments")).expect("a folder");
        let shelved = |frame| {
            let segment = folder.begin(PeerId(1)).expect("a segment");
            segment.write_at(b"bytes", 0).expect("written");
            vec![Shelved { frame, segment: Arc::new(segment), length: 5 }]
        };
        let (id, outcome, standing) = (TaskId(1), TaskOutcome::Ok, None);
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.0, segments: vec![], standing, again: false };
        let mut message = Message::Result(result);
        let mut frames = [Frame::new(), Frame::from(vec![1]), Frame::new()];
        note(&mut message, &mut frames, shelved(2), Some(PeerId(7)));
        let Message::Result(result) = codec::decode(&frames[0]).expect("a header") else { panic!("another message") };
        assert_eq!(result.segments, [SegmentNote { frame: 1, length: 5 }]);
        assert!(frames[2].starts_with(b"7-") && folder.map(&frames[2], 5).is_ok());
        let mut frames = [Frame::new(), Frame::new()];
        note(&mut Message::StatusRequest(Empty {}), &mut frames, shelved(1), None);
        assert_eq!(&*frames[1], b"bytes");
    }
}
