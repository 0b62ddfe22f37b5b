//! What travels between processes.
//!
//! 1. [`channel`]: the two connections of each peer.
//! 2. [`message`]: every message and its frames, in one table; the fields are in `message/`.
//! 3. [`bounds`]: what a message may contain; [`codec`]: headers to bytes and back; [`greeting`]: what two sides of different
//!    wire versions understand of each other.
//! 4. [`frame`]: one payload frame, shared by reference; `socket`: what it needs of libzmq beyond the zmq crate.
//! 5. [`pieces`]: long frames cut for the wire and joined again; [`bundle`]: short messages that go together.
//!    [`sharing`]: a state is written down with what is shared in it once.
//! 6. [`resend`]: what one side has sent and the other may not have received.
//! 7. [`weight`]: how many bytes a message counts that a client has not received.
//! 8. [`segment`]: large frames in shared memory.
//! 9. [`reaper`]: a thread that gives memory back.
//! 10. [`part`]: payloads going out and coming in, by frame or by segment; [`parcels`]: frames that travel beside their message.
//! 11. [`strand`]: several peers on one connection.

pub mod bounds;
pub mod bundle;
pub mod channel;
pub mod codec;
pub mod frame;
pub mod greeting;
pub mod message;
pub mod parcels;
pub mod part;
pub mod pieces;
pub mod reaper;
pub mod resend;
pub mod segment;
pub mod sharing;
pub(crate) mod socket;
pub mod strand;
pub mod weight;

pub use channel::Channel;
pub use frame::Frame;
pub use message::Message;
