//! The journal: records on disk, in order, that another process reads after this one has died. Knows bytes; not what they mean.
//!
//! 1. [`record`]: how records stand in a file, and what is wrong with one that is not whole.
//! 2. [`files`]: which files there are, and which of them count.
//! 3. [`log`]: records are appended; they survive this process from `commit` on.
//! 4. [`sync`]: a thread that brings them to the disk; from there on they survive a loss of power.
//! 5. [`journal`]: all of it: opened, appended to, and begun anew from an image of the state.
//!    [`blobs`]: large frames beside it; [`spilled`]: segments beside it.
//! 6. `salvage`: a damaged log is cut.
//! 7. [`faults`]: where tests let a process die.

pub mod blobs;
pub mod faults;
pub mod files;
#[allow(clippy::module_inception, reason = "it is the journal")]
pub mod journal;
pub mod log;
pub mod record;
mod salvage;
pub mod spilled;
pub mod sync;

pub use journal::{Journal, JournalError, Opened};
pub use salvage::{Salvaged, salvage};
