//! One received payload frame, wherever its bytes are.

use super::Frame;
use super::message::SegmentNote;
use super::segment::{Mapping, SEGMENT_MIN, SegmentFolder};
use ipclusterz_base::ids::PeerId;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes in a frame of their own or in a mapped segment.
#[derive(Debug, Clone)]
pub enum Part {
    /// In memory of libzmq.
    Frame(Frame),
    /// In a segment.
    Mapped(Arc<Mapping>),
}

impl Part {
    /// Start of the bytes, for a holder that knows it is the only one to write through it.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        match self {
            Part::Frame(frame) => frame.as_mut_ptr(),
            Part::Mapped(mapping) => mapping.as_mut_ptr(),
        }
    }
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Part::Frame(frame) => frame,
            Part::Mapped(mapping) => (**mapping).as_ref(),
        }
    }
}

/// Takes a payload apart: maps the segments that `notes` name.
pub fn unpack(frames: Vec<Frame>, notes: &[SegmentNote], folder: Option<&SegmentFolder>) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = frames.into_iter().map(Part::Frame).collect();
    for note in notes {
        let missing =
            || io::Error::new(io::ErrorKind::InvalidData, "a segment is announced that cannot be mapped here");
        let part = parts.get_mut(note.frame as usize).ok_or_else(missing)?;
        let mapping = folder.ok_or_else(missing)?.map(part, note.length)?;
        *part = Part::Mapped(Arc::new(mapping));
    }
    Ok(parts)
}

/// A payload on its way out: frames, and which of them name segments.
#[derive(Debug, Default)]
pub struct Packed {
    /// To be sent after the header.
    pub frames: Vec<Frame>,
    /// To be put into the header.
    pub segments: Vec<SegmentNote>,
    /// All bytes, in frames and segments.
    pub bytes: u64,
}

/// There is no memory for a payload of so many bytes.
#[derive(Debug, Clone, Copy)]
pub struct NoMemory(pub usize);

impl Packed {
    /// Copies `bytes` to the end of the payload: into a segment when they are many and there is a folder with room.
    pub fn push(&mut self, bytes: &[u8], home: Option<(&SegmentFolder, PeerId)>) -> Result<(), NoMemory> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if let (true, Some((folder, owner))) = (bytes.len() >= SEGMENT_MIN, home)
            && let Ok(name) = folder.create(owner, bytes)
        {
            let frame = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
            self.segments.push(SegmentNote { frame, length: bytes.len() as u64 });
            self.frames.push(Frame::from(name.as_bytes()));
            return Ok(());
        }
        self.frames.push(Frame::copy_from(bytes).ok_or(NoMemory(bytes.len()))?);
        Ok(())
    }
}
