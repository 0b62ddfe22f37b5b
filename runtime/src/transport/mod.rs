//! ZeroMQ sockets as this project uses them.
//!
//! A controller has one ROUTER socket. Every peer dials it twice, with two DEALER sockets, `control` and `data`: see
//! [`Channel`](crate::wire::Channel). On TCP everything is encrypted and admitted by CURVE (RFC 26) with ZAP (RFC 27); the
//! unix socket is guarded by its folder.
//!
//! 1. [`context`]: what libzmq was built with.
//! 2. `multipart`: one message through a socket, sent and received.
//! 3. `poll` and [`wake`]: how a thread waits for sockets, and how another thread wakes it.
//! 4. [`monitor`]: what libzmq tells of connections; `forks`: what becomes of them in a child; `keep_alive`: how silence ends them.
//! 5. [`route`]: a connection as the controller sees it.
//! 6. [`listen`]: the controller's side; [`zap`]: which keys get in, and as what.
//! 7. [`dial`]: the peers' side: one address.
//! 8. [`race`]: all addresses at once; names and reasons are found out by `scout`. `parting`: how the others are closed.
//! 9. [`bulk`]: connections for large frames, beside those of libzmq.
//! 10. [`handover`]: bytes from one process to another, without the controller.
//! 11. `agents`: several peers on one connection, as the controller sees it; [`through`]: as they see it.
//! 12. `pair`: the two connections of a peer; [`session`]: from dialling to being let in, for both kinds of peer.

mod agents;
pub mod bulk;
pub mod context;
pub mod dial;
mod forks;
pub mod handover;
mod keep_alive;
pub mod listen;
pub mod monitor;
mod multipart;
mod pair;
mod parting;
mod poll;
pub mod race;
pub mod route;
mod scout;
pub mod session;
pub mod through;
pub mod wake;
pub mod zap;

pub use multipart::FRAMES_MAX;
pub(crate) use poll::poll;
pub use route::{Admitted, Route};
