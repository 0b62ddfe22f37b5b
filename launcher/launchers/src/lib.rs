//! The launchers, which start engines: on this host, on others through SSH, under mpiexec or srun, through a queue.
//! Also the record of what was started.
//!
//! A launcher is one file (or folder) behind [`contract::Launcher`]. It starts *sets*: engines that begin and end
//! together, such as one process here, the ranks of one mpiexec, or one job. Responsible for processes and jobs; the
//! supervisor decides how many sets there are, and when they start and end. In reading order:
//!
//! - [`set`], [`rank_loss`], [`record`], [`contract`]: what all launchers have in common
//! - [`causes`]: why engines do not start or have died, and what to do about it
//! - [`patterns`]: compiles those of a profile
//! - [`seats`], [`engine_words`]: which of the engines of its host one is; what the command lines of all engines have in common
//! - [`cluster`]: the folder of a cluster, its record, its lock and its logs
//! - [`setup`]: what runs before engines, and what is told when it fails
//! - [`stage`]: which host has the environment of engines from whom
//! - `confined`: the memory of engines of this host
//! - [`local`], [`program`], [`ssh`], [`batch`]: the launchers; `local/spawn.rs` is the shortest
//! - [`maker`]: makes the launcher that a profile asks for

pub mod batch;
pub mod causes;
pub mod cluster;
mod confined;
pub mod contract;
pub mod engine_words;
pub mod local;
pub mod maker;
pub mod patterns;
pub mod program;
pub mod rank_loss;
pub mod record;
pub mod seats;
pub mod set;
pub mod setup;
pub mod ssh;
pub mod stage;
