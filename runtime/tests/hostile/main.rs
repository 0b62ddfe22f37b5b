//! The cores among peers that say anything: every message that a decoder lets through, in any order, about what is there
//! and what is not.
//!
//! 1. `controller`: clients and engines that hold a key, around one honest client.
//! 2. `work`: what one message may cost, however much it names.
//! 3. `client`, `engine`: each before a controller that is not what it should be.

mod client;
mod controller;
mod engine;
#[path = "../messages/mod.rs"]
mod messages;
mod work;

use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::bounds;
use ipclusterz_runtime::wire::message::Message;
use proptest::prelude::*;

/// A message as it comes out of the decoder, or why it does not.
fn decoded(mut message: Message) -> Result<Message, String> {
    bounds::apply(&mut message).map_err(|wrong| wrong.to_string())?;
    Ok(message)
}

fn payload() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4)
}

fn frames(payload: Vec<Vec<u8>>) -> Vec<Frame> {
    payload.into_iter().map(Frame::from).collect()
}
