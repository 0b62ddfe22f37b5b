//! An event as it stands in the journal: its time, what the core asked the world meanwhile, and the event itself.
//!
//! Messages stand there as they came, header and frames, so that writing them costs a copy and no more.
//!
//! ```text
//! time in nanoseconds, 8 bytes | length of the answers, 4 | answers, MessagePack | kind, 1 | the rest
//! kind 0, a message: route, 4 | how it was admitted, 1 | frames, 4 | for each: length, 8 | bytes, or the number of a file
//! kind 1, any other event: MessagePack
//! ```

use super::event::Event;
use super::oracle::Answer;
use crate::transport::{Admitted, Route};
use crate::wire::codec::{self, DecodeError};
use crate::wire::{Frame, Message};
use ipclusterz_base::connection::Role;
use std::time::Duration;

const MESSAGE: u8 = 0;
const OTHER: u8 = 1;
/// Set in the length of a frame that is kept elsewhere; then a number stands for the bytes.
const ELSEWHERE: u64 = 1 << 63;

/// An event as it came, before it is handled.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it lives for a moment")]
pub enum Came {
    /// A message: on which connection, how that was admitted, and its frames, the header first.
    Message(Route, Admitted, Vec<Frame>),
    /// Anything else.
    Other(Event),
}

/// What a record says.
#[derive(Debug)]
pub struct Record {
    /// When the event was handled.
    pub now: Duration,
    /// What the world answered meanwhile.
    pub answers: Vec<Answer>,
    /// The event.
    pub event: Event,
}

/// Why a record is none.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It ends too early.
    #[error("a record ends too early")]
    Short,
    /// It has something in it that is no number of a kind.
    #[error("a record has an unknown {0}: {1}")]
    Unknown(&'static str, u8),
    /// A header is no header.
    #[error("a message in it: {0}")]
    Header(#[from] DecodeError),
    /// An event is no event.
    #[error("an event in it: {0}")]
    Event(#[from] rmp_serde::decode::Error),
    /// The file of a frame is not there, or has another length.
    #[error("the file blob-{0} is not there, or is not as long as it was")]
    Missing(u64),
    /// There is no memory for a frame.
    #[error("there is no memory for a frame of {0} bytes")]
    NoMemory(usize),
}

/// Writes a record. `kept` gives the number under which a frame is kept elsewhere.
pub fn write(
    buffer: &mut Vec<u8>,
    now: Duration,
    answers: &[Answer],
    came: &Came,
    kept: impl Fn(&Frame) -> Option<u64>,
) {
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    buffer.extend_from_slice(&nanoseconds.to_le_bytes());
    let answers = if answers.is_empty() { Vec::new() } else { packed(&answers) };
    buffer.extend_from_slice(&u32::try_from(answers.len()).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(&answers);
    match came {
        Came::Message(route, admitted, frames) => {
            buffer.push(MESSAGE);
            buffer.extend_from_slice(&route.0.to_le_bytes());
            buffer.push(number_of(*admitted));
            buffer.extend_from_slice(&u32::try_from(frames.len()).unwrap_or(u32::MAX).to_le_bytes());
            for frame in frames {
                let length = frame.len() as u64;
                match kept(frame) {
                    Some(number) => {
                        buffer.extend_from_slice(&(length | ELSEWHERE).to_le_bytes());
                        buffer.extend_from_slice(&number.to_le_bytes());
                    }
                    None => {
                        buffer.extend_from_slice(&length.to_le_bytes());
                        buffer.extend_from_slice(frame);
                    }
                }
            }
        }
        Came::Other(event) => {
            buffer.push(OTHER);
            buffer.extend_from_slice(&packed(event));
        }
    }
}

/// Writing to memory fails for no value of these types.
fn packed<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap_or_default()
}

/// Reads a record. `kept` gives the frame that is kept under a number, with its length.
pub fn read(bytes: &[u8], kept: impl Fn(u64, usize) -> Option<Frame>) -> Result<Record, RecordError> {
    let mut rest = Rest(bytes);
    let now = Duration::from_nanos(rest.u64()?);
    let length = rest.u32()? as usize;
    let answers = rest.take(length)?;
    let answers = if answers.is_empty() { Vec::new() } else { rmp_serde::from_slice(answers)? };
    let event = match rest.u8()? {
        MESSAGE => message(&mut rest, kept)?,
        OTHER => rmp_serde::from_slice(rest.0)?,
        other => return Err(RecordError::Unknown("kind", other)),
    };
    Ok(Record { now, answers, event })
}

fn message(rest: &mut Rest<'_>, kept: impl Fn(u64, usize) -> Option<Frame>) -> Result<Event, RecordError> {
    let route = Route(rest.u32()?);
    let admitted = admitted(rest.u8()?)?;
    let count = rest.u32()?.checked_sub(1).ok_or(RecordError::Short)?;
    let message: Message = codec::decode(&rest.frame(&kept)?)?;
    let frames = (0..count).map(|_| rest.frame(&kept));
    let payload = frames.collect::<Result<_, _>>()?;
    Ok(Event::Message { route, admitted, message, payload })
}

fn number_of(admitted: Admitted) -> u8 {
    match admitted {
        Admitted::Local => 0,
        Admitted::Keyed(Role::Client) => 1,
        Admitted::Keyed(Role::Engine) => 2,
    }
}

fn admitted(number: u8) -> Result<Admitted, RecordError> {
    match number {
        0 => Ok(Admitted::Local),
        1 => Ok(Admitted::Keyed(Role::Client)),
        2 => Ok(Admitted::Keyed(Role::Engine)),
        other => Err(RecordError::Unknown("admission", other)),
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Short)
    }

    fn u8(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    fn frame(&mut self, kept: &impl Fn(u64, usize) -> Option<Frame>) -> Result<Frame, RecordError> {
        let length = self.u64()?;
        let bytes = usize::try_from(length & !ELSEWHERE).map_err(|_| RecordError::Short)?;
        if length & ELSEWHERE != 0 {
            let number = self.u64()?;
            return kept(number, bytes).ok_or(RecordError::Missing(number));
        }
        let bytes = self.take(bytes)?;
        Frame::copy_from(bytes).ok_or(RecordError::NoMemory(bytes.len()))
    }
}
