//! The launchers, which start engines: on this host, on others through SSH, under mpiexec or srun, through a queue.
//! Also the record of what was started.
//!
//! A launcher is one file (or folder) behind [`contract::Launcher`]. It starts *sets*: engines that begin and end
//! together, such as one process here, the ranks of one mpiexec, or one job. Responsible for processes and jobs; the
//! supervisor decides how many sets there are, and when they start and end. In reading order:
//!
//! - [`set`], [`rank_loss`], [`record`], [`contract`]: what all launchers have in common
//! - [`engine_words`]: what the command lines of all engines have in common
//! - [`cluster`]: the folder of a cluster, its record, its lock and its logs
//! - [`local`], [`program`], [`ssh`], [`batch`]: the launchers; the first is the shortest
//! - [`maker`]: makes the launcher that a profile asks for

pub mod batch;
pub mod cluster;
pub mod contract;
pub mod engine_words;
pub mod local;
pub mod maker;
pub mod program;
pub mod rank_loss;
pub mod record;
pub mod set;
pub mod ssh;
