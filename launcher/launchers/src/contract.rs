//! What every launcher offers: it starts, watches and ends sets.

use crate::rank_loss::RankLoss;
use crate::record::SetRecord;
use crate::set::{EngineSet, Force, SetEvent, SetId};
use ipclusterz_host::failure::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Wakes the supervisor, so that it calls [`Launcher::poll`] soon. Cheap, and callable from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Starts, watches and ends sets.
///
/// No call may block for longer than a local fork takes: what has to talk to another host or to a queue does so in a
/// thread of its own, remembers what it learned, and calls [`Wake`]. The supervisor's thread lives as long as the
/// process, so that children started from it may have PR_SET_PDEATHSIG; so must a launcher's own thread.
pub trait Launcher {
    /// Begins to start a set. An error means that nothing was started; later trouble comes as [`SetEvent::Ended`].
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure>;

    /// Begins to end a set that was started. May be called again, with more force. Never an error: a set that is gone
    /// already is what was wanted.
    fn end(&mut self, set: SetId, force: Force);

    /// What has happened since the last call. Called after [`Wake`], after SIGCHLD and at [`Launcher::next_poll`].
    fn poll(&mut self) -> Vec<(SetId, SetEvent)>;

    /// When to be polled although nothing woke the supervisor.
    fn next_poll(&self) -> Option<Instant> {
        None
    }

    /// What a later command needs to end what was started, should this process be killed; for `cluster.json`.
    fn records(&self) -> Vec<SetRecord>;

    /// Where what its engines print is to be found on this host; there may be no such file yet.
    fn log(&self, set: &EngineSet) -> PathBuf;

    /// What the loss of one engine of a set is to the others, where the engines of a set are the ranks of one
    /// MPI_COMM_WORLD; otherwise it is nothing to them.
    fn rank_loss(&self) -> Option<RankLoss> {
        None
    }

    /// How this rank of a set has ended that goes on, in the words of an exit status, once what started it has said so.
    fn how_rank_ended(&self, _set: &EngineSet, _rank: u32) -> Option<String> {
        None
    }

    /// Where lost ranks are started again in their job ([`RankLoss::in_job`]): the first line tells the job of a set that all
    /// its ranks have been there, and each further one has it start them again.
    fn tell_job(&mut self, _set: &EngineSet, _line: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether there is room for so many engines at a time, where the profile says how much there is. An error tells it.
    fn check_room(&self, _engines: u32) -> Result<(), Failure> {
        Ok(())
    }

    /// Number of engines that one set is to have when `count` are wanted; the last set may have fewer.
    fn set_size(&self, count: u32) -> u32;
}
