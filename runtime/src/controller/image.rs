//! The core's whole state as bytes, and back. What several places of it share is written once.
//!
//! MessagePack with names, so that a later release may read what an earlier one has written: a field that is new has a default.
//! An image is the same bytes for the same state, and is compared by the tests.

use super::core::Core;
use super::oracle::Oracle;
use crate::wire::sharing::{self, Elsewhere};
use std::rc::Rc;

/// Why an image is not one.
#[derive(Debug, thiserror::Error)]
#[error("it is no state of a controller: {0}")]
pub struct ImageError(#[from] rmp_serde::decode::Error);

/// The state between two events.
pub fn write(core: &Core) -> Vec<u8> {
    write_with(core, None)
}

/// The same. Frames that are kept elsewhere are named, and not written.
pub fn write_with(core: &Core, elsewhere: Option<Rc<dyn Elsewhere>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = sharing::scope(elsewhere, || rmp_serde::encode::write_named(&mut bytes, core));
    // Writing to memory fails for no value of that type.
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

/// The core with that state. It asks `oracle` from now on.
pub fn read(bytes: &[u8], oracle: Oracle) -> Result<Core, ImageError> {
    read_with(bytes, oracle, None)
}

/// The same. Frames that are named are elsewhere.
pub fn read_with(bytes: &[u8], oracle: Oracle, elsewhere: Option<Rc<dyn Elsewhere>>) -> Result<Core, ImageError> {
    let core: Core = sharing::scope(elsewhere, || rmp_serde::from_slice(bytes))?;
    Ok(core.with_oracle(oracle))
}
