//! A start: everything between the command line and the supervisor. In reading order:
//!
//! - [`events`]: the order of events
//! - [`vacancy`]: whether the name is free
//! - [`claim`]: what becomes of a journal that an earlier cluster has left
//! - [`parent`]: the process that this one must not outlive
//! - [`given`]: settings that come on standard input
//! - [`detached`]: the launcher in a session of its own, while the command waits until it is ready

pub mod claim;
pub mod detached;
pub mod events;
pub mod given;
pub mod parent;
pub mod vacancy;
