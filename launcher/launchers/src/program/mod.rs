//! Starts sets that are one program of this host, which starts many ranks: mpiexec, or srun in an allocation.
//! Responsible for the program and its ranks; [`crate::batch`] submits jobs.
//!
//! In reading order:
//!
//! - [`flavour`]: which MPI the program belongs to; it is asked by [`ask`]
//! - [`engine`]: the command of an engine that is one of many ranks
//! - [`slots`], [`argv`]: the hosts of a profile; the arguments of each flavour
//! - [`launcher`]: starts, watches and ends the sets
//! - [`ending`]: which rank ended first and how, from the program's output
//! - [`said`]: how an engine died that a queue ended, from the queue's own words
//! - [`obstacle`]: whether ranks that a queue's command starts can outlive the loss of one of them
//! - [`segments`]: shared memory that ranks leave behind when they are killed
//! - [`srun`]: why ranks of srun do not find each other
//! - [`check`]: starts two ranks that say hello, for `ipclusterz doctor`

pub mod argv;
pub mod ask;
pub mod check;
pub mod ending;
pub mod engine;
pub mod flavour;
pub mod launcher;
pub mod obstacle;
pub mod said;
pub mod segments;
pub mod slots;
pub mod srun;

pub use crate::program::engine::EngineCommand;
pub use crate::program::flavour::{Flavour, Program};
pub use crate::program::launcher::{ProgramLauncher, ProgramSettings, Starter};
