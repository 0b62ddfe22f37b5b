//! The client's side, as far as it is not Python.
//!
//! 1. [`pending`]: answers that are awaited, and how a thread waits for them.
//! 2. [`functions`]: code by hash, sent once.
//! 3. [`core`]: what is under way and what must wait for the window. Pure.
//! 4. [`reactor`]: the I/O thread around the core.
//! 5. [`handle`]: the calls of other threads.

pub mod core;
pub mod functions;
pub mod handle;
pub mod pending;
pub mod reactor;

pub use self::core::Event;
pub use handle::{Client, ClientError, Item, Submission};
pub use pending::{Answer, Pending};

pub use crate::wire::message::{EngineInfo, EngineStatus, Status};
