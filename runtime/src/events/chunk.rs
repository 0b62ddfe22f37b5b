//! Many events as bytes: MessagePack, then LZ4, behind the length that they have without it (4 bytes, little-endian).

use crate::wire::message::Seen;

/// Most bytes of a chunk before it is compressed.
const LENGTH_MAX: usize = 64 << 20;

/// Why bytes are no chunk.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// They would be too many.
    #[error("a chunk of {0} bytes; the limit is {LENGTH_MAX}")]
    Length(u64),
    /// LZ4 does not understand them.
    #[error("a chunk that is not compressed as it should be: {0}")]
    Compression(#[from] lz4_flex::block::DecompressError),
    /// MessagePack does not.
    #[error("a chunk that has something else than events: {0}")]
    Events(#[from] rmp_serde::decode::Error),
}

/// These events as bytes.
pub fn encode(events: &[Seen]) -> Vec<u8> {
    // Writing to memory fails for no value of that type.
    let plain = rmp_serde::to_vec_named(events).unwrap_or_default();
    lz4_flex::compress_prepend_size(&plain)
}

/// The events in `bytes`.
///
/// # Errors
/// Anything that `encode` does not write.
pub fn decode(bytes: &[u8]) -> Result<Vec<Seen>, ChunkError> {
    let length = bytes.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
    if usize::try_from(length).is_ok_and(|length| length > LENGTH_MAX) {
        return Err(ChunkError::Length(length.into()));
    }
    Ok(rmp_serde::from_slice(&lz4_flex::decompress_size_prepended(bytes)?)?)
}
