//! The launcher of sets that are one program of this host, which starts many ranks: mpiexec, or srun in an allocation.
//!
//! In reading order:
//!
//! - [`flavour`]: which program it is; it is asked itself, with [`ask`]
//! - [`engine`]: the command of an engine that is one of many ranks
//! - [`slots`], [`argv`]: the hosts of a profile; the arguments of each flavour
//! - [`launcher`]: starts, watches and ends the sets
//! - [`ending`]: which rank ended first and how, from what the program said
//! - [`obstacle`]: whether ranks that a queue starts can outlive one of them
//! - [`segments`]: shared memory that ranks leave behind when they are killed
//! - [`srun`]: why ranks of srun do not find each other
//! - [`check`]: a hello of two ranks, for `ipclusterz doctor`

pub mod argv;
pub mod ask;
pub mod check;
pub mod ending;
pub mod engine;
pub mod flavour;
pub mod launcher;
pub mod obstacle;
pub mod segments;
pub mod slots;
pub mod srun;

pub use crate::program::engine::EngineCommand;
pub use crate::program::flavour::{Flavour, Program};
pub use crate::program::launcher::{ProgramLauncher, ProgramSettings, Starter};
