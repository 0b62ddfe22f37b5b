//! The engine's side, as far as it is not Python.
//!
//! 1. [`process`]: how an engine's process ends when it must.
//! 2. [`inspection`]: where its main thread is, told while it is busy; [`mpi`]: what MPI is told, and tells.
//!    [`keeping`]: what it keeps of its session.
//! 3. [`core`]: tasks in order, functions by hash, what is running. Pure. Text is gathered in `output`.
//! 4. [`config`]: how an engine is to be run.
//! 5. `capture`: what programs and libraries write to descriptors 1 and 2; `descriptors`: what is left of it when the process ends;
//!    `buffers`: what C and Fortran code has not written yet.
//! 6. `shared`: the core under one lock; `usage`: what the process uses; `reactor`: the I/O thread around it; `reader`: the thread that reads descriptors.
//! 7. `handle`: the calls for the thread that runs user code; `register`: how they come about.

mod buffers;
#[allow(clippy::indexing_slicing, reason = "its numbers are one of two streams, and counts of bytes that were read")]
mod capture;
pub mod config;
#[warn(clippy::arithmetic_side_effects)]
pub mod core;
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "its numbers are one of two streams, and places in a list of its own"
)]
mod descriptors;
mod handle;
pub mod inspection;
pub mod keeping;
mod logs;
pub mod mpi;
mod output;
pub mod process;
mod reactor;
mod reader;
mod register;
mod shared;
mod usage;

pub use config::{EndOfTime, EngineConfig, EngineError};
pub use handle::{Engine, PackError, TaskHandle};
pub use inspection::StackFile;
pub use mpi::MpiFunctions;
