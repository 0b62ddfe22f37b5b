//! What travels between processes.
//!
//! 1. [`message`]: every message and its frames.
//! 2. [`codec`]: headers to bytes and back.
//! 3. [`frame`]: one payload frame, shared by reference.
//! 4. [`pieces`]: long frames cut for the wire and joined again.
//! 5. [`resend`]: what one side has sent and the other may not have received.
//! 6. [`segment`]: large frames in shared memory.
//! 7. [`reaper`]: a thread that gives memory back.
//! 8. [`part`]: payloads going out and coming in, by frame or by segment.

pub mod codec;
pub mod frame;
pub mod message;
pub mod part;
pub mod pieces;
pub mod reaper;
pub mod resend;
pub mod segment;

pub use frame::Frame;
pub use message::Message;
