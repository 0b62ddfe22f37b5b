//! What the core has to say for the history. Data alone.

use crate::wire::Frame;
use crate::wire::message::{Op, Reply, Stream};
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::ids::{EngineId, RequestId};
use std::time::Duration;

/// Something that happened in a session, which is called by its id.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A request was submitted, in a session with a name.
    Request {
        /// The session.
        session: String,
        /// Its own number.
        request: RequestId,
        /// What was submitted.
        what: Box<Submitted>,
    },
    /// A task has ended.
    Done {
        /// The session.
        session: String,
        /// What is known of it.
        done: Box<Done>,
    },
    /// An answer, in a session with a name.
    Answer {
        /// The session.
        session: String,
        /// As its client gets it.
        reply: Reply,
        /// The value's frames.
        payload: Vec<Frame>,
        /// The engine's process.
        uuid: Option<String>,
        /// The value is gone, and why.
        dropped: Option<String>,
    },
    /// What a task wrote, in a session with a name.
    Output {
        /// The session.
        session: String,
        /// Which task.
        request: RequestId,
        /// Which of its request's targets.
        position: u32,
        /// Its place among all that was written in the session.
        number: u64,
        /// Who wrote it.
        engine: EngineId,
        /// Where to.
        stream: Stream,
        /// The text.
        text: String,
    },
}

impl Entry {
    /// The segments that have bytes of it.
    pub fn segments(&self) -> impl Iterator<Item = &Frame> {
        let named = match self {
            Entry::Answer { reply, payload, .. } => Some((&reply.segments, payload)),
            _ => None,
        };
        named.into_iter().flat_map(|(notes, payload)| notes.iter().filter_map(|note| payload.get(note.frame as usize)))
    }

    /// The same with the bytes of segments in place of their names. Where one is gone, the answer says that its value is.
    pub fn with_bytes(mut self, segments: Option<&SegmentFolder>) -> Self {
        if let Entry::Answer { reply, payload, dropped, .. } = &mut self {
            for note in std::mem::take(&mut reply.segments) {
                let Some(frame) = payload.get_mut(note.frame as usize) else { continue };
                match segments.map(|folder| folder.map(frame, note.length)) {
                    Some(Ok(mapping)) => *frame = Frame::from_owner(mapping),
                    _ => *dropped = Some("its value was in shared memory, and is gone".to_owned()),
                }
            }
        }
        self
    }
}

/// A request, as far as it is remembered.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// What is done.
    pub op: Op,
    /// The name of its function.
    pub name: Option<String>,
    /// What the client said of the submission.
    pub about: Option<Vec<u8>>,
    /// Its place among the requests of the submission.
    pub part: u64,
    /// When, by the core's clock.
    pub submitted: Duration,
    /// The engines that it is for; none: any.
    pub targets: Option<Vec<EngineId>>,
}

/// A task that has ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its request's number in the session.
    pub request: RequestId,
    /// Which of the request's targets.
    pub position: u32,
    /// What was done.
    pub op: Op,
    /// The name of its function.
    pub name: Option<String>,
    /// When it was submitted, by the core's clock.
    pub submitted: Duration,
    /// How it ended: the name of the outcome.
    pub state: &'static str,
    /// Why, if it did not succeed.
    pub why: Option<String>,
    /// The engine that had it.
    pub engine: Option<EngineId>,
    /// When it began and ended, seconds since 1970.
    pub times: (f64, f64),
}
