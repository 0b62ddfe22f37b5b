//! The way of an engine through the agent of its host.
//!
//! An agent listens at a unix socket as a controller does, and passes on what it gets. Large frames are in segments of the
//! agent's folder: a message that has such begins with notes as in [`parcels`], with the parcel 0, and the frame is the name of
//! the segment. Whoever reads it removes the name. A message of one empty frame, to an engine, ends its connection.

use super::race::Course;
use crate::wire::Frame;
use crate::wire::parcels::{self, Note};
use crate::wire::segment::{SEGMENT_MIN, SegmentFolder};
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::private;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So long an agent may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where an agent is.
#[derive(Debug, Clone)]
pub struct AgentPlace {
    socket: PathBuf,
    /// Where large frames are.
    pub segments: SegmentFolder,
}

impl AgentPlace {
    /// Of an agent that listens at this socket, and has this folder of segments. None where that cannot be used: there is a way
    /// without it.
    pub fn open(socket: &Path, segments: &Path) -> Option<AgentPlace> {
        let segments = SegmentFolder::open(segments).ok().flatten()?;
        Some(AgentPlace { socket: socket.to_owned(), segments })
    }

    /// Whether anybody is there.
    pub fn listens(&self) -> bool {
        private::connect(&self.socket, PATIENCE).is_ok()
    }

    /// How it is dialled.
    pub(super) fn course(&self) -> Course {
        Course { addresses: vec![format!("ipc://{}", self.socket.display())], local: false }
    }
}

/// Whether a message ends a connection.
pub(super) fn is_end(frames: &[Frame]) -> bool {
    matches!(frames, [only] if only.is_empty())
}

/// Puts large frames of a payload into segments of `owner`. What goes before the header, if there were any. A frame for which there is
/// no room stays.
pub fn shelve(payload: &mut [Frame], folder: &SegmentFolder, owner: PeerId) -> Option<Frame> {
    let mut notes = Vec::new();
    for (frame, place) in payload.iter_mut().zip(1_u32..) {
        if frame.len() < SEGMENT_MIN {
            continue;
        }
        let length = frame.len() as u64;
        if let Ok(name) = folder.create(owner, frame) {
            notes.push(Note { frame: place, parcel: 0, length });
            *frame = Frame::from(name.into_bytes());
        }
    }
    note(&notes)
}

/// What goes before the header of a message with frames in segments.
pub fn note(notes: &[Note]) -> Option<Frame> {
    (!notes.is_empty()).then(|| Frame::from(parcels::encode(notes)))
}

/// Takes the notes from a message, if it has any, and puts the bytes of segments in place of their names, which are removed.
pub fn unshelve(frames: &mut Vec<Frame>, folder: &SegmentFolder) -> io::Result<()> {
    if !frames.first().is_some_and(|first| parcels::begins(first)) {
        return Ok(());
    }
    let malformed = |_| io::Error::from(io::ErrorKind::InvalidData);
    for note in parcels::decode(&frames.remove(0)).map_err(malformed)? {
        let place = frames.get_mut(note.frame as usize).ok_or(io::ErrorKind::InvalidData)?;
        let mapping = folder.map(place, note.length)?;
        folder.unlink(place);
        *place = Frame::from_owner(mapping);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &tempfile::TempDir) -> SegmentFolder {
        SegmentFolder::make(&root.path().join("segments")).expect("a folder")
    }

    #[test]
    fn large_frames_go_by_segments_and_leave_none() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = folder(&root);
        let payload = [Frame::from(vec![1]), Frame::from(vec![2; SEGMENT_MIN]), Frame::new()];
        let mut sent = payload.clone();
        let notes = shelve(&mut sent, &folder, PeerId(3)).expect("one is large");
        assert!(sent[1].starts_with(b"3-"));
        let mut frames: Vec<Frame> = [notes, Frame::from(vec![0x82])].into_iter().chain(sent).collect();
        unshelve(&mut frames, &folder).expect("read");
        assert_eq!(frames[1..], payload);
        crate::wire::reaper::finish();
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
        assert_eq!(shelve(&mut [Frame::from(vec![1])], &folder, PeerId(3)), None);
    }

    #[test]
    fn notes_about_what_is_not_there_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = folder(&root);
        for (frame, name) in [(1, &b"3-0-00"[..]), (2, b"3-0-00"), (1, b"../x")] {
            let notes = note(&[Note { frame, parcel: 0, length: 1 }]).expect("one");
            let mut frames = vec![notes, Frame::from(vec![0x82]), Frame::from(name)];
            assert!(unshelve(&mut frames, &folder).is_err(), "{frame} {name:?}");
        }
        assert!(is_end(&[Frame::new()]) && !is_end(&[]) && !is_end(&[Frame::from(vec![1])]));
    }
}
