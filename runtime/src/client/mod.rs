//! The client's side, as far as it is not Python.
//!
//! 1. [`answer_id`]: how an answer is named to the user; [`event`]: what happens to the cluster.
//! 2. [`pending`]: answers that are awaited, and how a thread waits for them; what they write is in `transcript`.
//! 3. [`watched`]: how one thread waits for whichever submission is complete next.
//! 4. [`functions`]: code by hash, sent once.
//! 5. [`request`]: a request as it waits to be sent and for its answers; `maps`: which part of a map it is.
//!    [`numbers`]: all that was submitted; [`questions`]: what is asked about work of the past.
//! 6. [`core`]: what is under way and what must wait for the window. Pure.
//! 7. `shared`: the core under one lock; `reactor`: the I/O thread around it.
//! 8. `handle`: a client in the hands of other threads, with its [`error`]s; [`submit`]: what they submit and wait for;
//!    `cluster`: what they ask of the cluster; `past`: what they ask about work of the past;
//!    [`events`]: how they follow what happens; `trouble`: why they wait in vain.

pub mod answer_id;
mod cluster;
pub mod core;
pub mod error;
pub mod event;
pub mod events;
pub mod functions;
mod handle;
mod maps;
pub mod numbers;
mod past;
pub mod pending;
pub mod questions;
mod reactor;
pub mod request;
mod shared;
pub mod submit;
mod transcript;
mod trouble;
pub mod watched;

pub use answer_id::{AnswerId, AnswerIdError};
pub use error::ClientError;
pub use event::Event;
pub use handle::Client;
pub use pending::{Answer, Pending, Written};
pub use questions::Answered;
pub use submit::{Item, Submission};
pub use transcript::Kept;

pub use crate::wire::message::{EngineInfo, EngineStatus, Status};
