//! Headers to bytes and back. Knows MessagePack and the version; not what a message means. What was decoded is within
//! [`bounds`].
//!
//! A header is `{"v": 1, "<kind>": {…}}`. The version is looked at before anything else is decoded, so that a
//! peer of another version gets an answer that says so.

use super::bounds::{self, OutOfBounds};
use super::greeting::Foreign;
use super::message::Message;
use ipclusterz_base::release::wire_version;
use rmp_serde::decode::Error;
use serde::Deserialize;
use std::io::ErrorKind;

/// Longest header of a peer that is decoded: a list of some 200,000 engines.
pub const HEADER_MAX: usize = 1 << 20;
/// Longest header of a controller that is decoded: the state of a large cluster.
pub const ANSWER_MAX: usize = 64 << 20;

/// Map of two entries, then the key `"v"`.
const PREFIX: [u8; 3] = [0x82, 0xa1, b'v'];
/// Map of one entry: how serde writes a variant by its name.
const VARIANT: u8 = 0x81;

/// Why a header was refused.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a map of two entries with the version first.
    #[error("not a header of this protocol ({0} bytes)")]
    NotAHeader(usize),
    /// Another version, and what can be read of it.
    #[error("{0}")]
    Version(Box<Foreign>),
    /// Longer than any real one.
    #[error("a header of {0} bytes; the limit is {1}")]
    TooLong(usize, usize),
    /// The right version, but no message of it.
    #[error("malformed header: {0}")]
    Malformed(#[from] Error),
    /// A message with something in it that cannot be.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// Bytes after the end.
    #[error("bytes after the end of the header")]
    Trailing,
}

/// The header of `message`.
pub fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_into(message, &mut bytes);
    bytes
}

/// Appends the header of `message`.
pub fn encode_into(message: &Message, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&PREFIX);
    let start = bytes.len();
    let written = rmp_serde::encode::write_named(bytes, message);
    // Writing to memory fails for no message: each variant is a struct of plain fields, written as a map of one entry.
    debug_assert!(written.is_ok() && bytes.get(start) == Some(&VARIANT), "{message:?}");
    // The entry is one of the header's own map.
    if let Some(place) = bytes.get_mut(start) {
        *place = wire_version();
    }
}

/// The message of a peer in `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    decode_up_to(HEADER_MAX, bytes)
}

/// The message of a controller in `bytes`.
pub fn decode_answer(bytes: &[u8]) -> Result<Message, DecodeError> {
    decode_up_to(ANSWER_MAX, bytes)
}

fn decode_up_to(most: usize, bytes: &[u8]) -> Result<Message, DecodeError> {
    if bytes.len() > most {
        return Err(DecodeError::TooLong(bytes.len(), most));
    }
    let (version, rest) = match bytes.strip_prefix(&PREFIX) {
        // MessagePack writes 0 to 127 as themselves.
        Some([version @ 0..=127, rest @ ..]) => (*version, rest),
        _ => return Err(DecodeError::NotAHeader(bytes.len())),
    };
    let mut body = Vec::with_capacity(rest.len().saturating_add(1));
    body.push(VARIANT);
    body.extend_from_slice(rest);
    if version != wire_version() {
        return Err(DecodeError::Version(Box::new(Foreign::read(version, &body))));
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(&body);
    let mut message = Message::deserialize(&mut decoder)?;
    // Nothing is read of what would be behind it but how that begins.
    match <()>::deserialize(&mut decoder) {
        Err(Error::InvalidMarkerRead(error)) if error.kind() == ErrorKind::UnexpectedEof => {}
        _ => return Err(DecodeError::Trailing),
    }
    bounds::apply(&mut message)?;
    Ok(message)
}
