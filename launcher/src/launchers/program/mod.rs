//! The launcher of sets that are one program of this host, which starts many ranks: mpiexec, or srun in an allocation.
//!
//! In reading order:
//!
//! - [`flavour`]: which program it is; it is asked itself, with [`ask`]
//! - [`engine`]: the command of an engine that is one of many ranks
//! - [`argv`]: the arguments of each flavour
//! - [`launcher`]: starts, watches and ends the sets
//! - [`ending`]: which rank ended first and how, from what the program said
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
pub mod segments;
pub mod srun;

pub use engine::EngineCommand;
pub use flavour::{Flavour, Program};
pub use launcher::{ProgramLauncher, ProgramSettings, Starter};
