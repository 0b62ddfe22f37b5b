//! What travels between processes.
//!
//! 1. [`message`]: every message and its frames.
//! 2. [`codec`]: headers to bytes and back.
//! 3. [`frame`]: one payload frame, shared by reference.
//! 4. [`segment`]: large frames in shared memory.
//! 5. [`reaper`]: a thread that gives memory back.
//! 6. [`part`]: payloads going out and coming in, by frame or by segment.

pub mod codec;
pub mod frame;
pub mod message;
pub mod part;
pub mod reaper;
pub mod segment;

pub use frame::Frame;
pub use message::Message;
