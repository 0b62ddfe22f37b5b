//! Bulk connections: large frames between hosts, encrypted as fast as the processor does it, beside the two connections of a
//! peer through libzmq.
//!
//! A peer that comes through TCP gets a ticket with its `welcome`: a number and a key. With that it opens a *link*, one
//! connection or several to the same port. Frames of [`lane::PARCEL_MIN`] bytes or more then travel over the link as *parcels*, and
//! the message on `data` says where each belongs. So messages keep their order, and heartbeats never wait behind large frames. A
//! link that breaks breaks the session's connections, and the session goes on over new ones: what had not arrived is sent again.
//!
//! 1. `secure`: keys, and what is proven and encrypted; [`payload`], `other_end`: where payloads are plain.
//! 2. `outbox`, `inbox`: parcels in chunks, going out and coming in; pure. `press`: chunks in fewer bytes; `thrift`: where that
//!    is worth it.
//! 3. `sockets`: what the kernel is asked; `connection`: one connection; `driver`: the thread that moves bytes over many.
//! 4. [`lane`]: messages and their parcels, at either end; pure.
//! 5. [`door`]: the controller's port; [`host`]: its side of all links.
//! 6. [`peer`]: a peer's side.
//! 7. [`sealed`]: a connection between two processes of a user that are neither, for calls that wait.

mod connection;
pub mod door;
pub mod driver;
pub mod host;
pub mod inbox;
pub mod lane;
mod other_end;
mod outbox;
pub mod payload;
pub mod peer;
mod press;
pub mod sealed;
pub mod secure;
mod sockets;
#[cfg(test)]
mod tests;
mod thrift;
