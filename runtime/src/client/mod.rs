//! The client's side, as far as it is not Python.
//!
//! 1. [`pending`]: answers that are awaited, and how a thread waits for them; what they write is in `transcript`.
//! 2. [`watched`]: how one thread waits for whichever submission is complete next.
//! 3. [`answer_id`]: how an answer is named to the user.
//! 4. [`functions`]: code by hash, sent once.
//! 5. [`core`]: what is under way and what must wait for the window. Pure.
//! 6. [`reactor`]: the I/O thread around the core.
//! 7. [`handle`]: the calls of other threads.

pub mod answer_id;
pub mod core;
pub mod functions;
pub mod handle;
pub mod pending;
pub mod reactor;
mod transcript;
pub mod watched;

pub use self::core::Event;
pub use answer_id::{AnswerId, AnswerIdError};
pub use handle::{Client, ClientError, Item, Submission};
pub use pending::{Answer, Pending};

pub use crate::wire::message::{EngineInfo, EngineStatus, Status};
