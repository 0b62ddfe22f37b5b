//! The contract of every launcher: it starts, watches and ends sets. How many sets there are is the supervisor's
//! decision.

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
/// No call may block for longer than a local fork takes. A launcher that talks to another host or to a queue does so in
/// a thread of its own, keeps what it learned, and calls [`Wake`]. The supervisor's thread lives as long as the
/// process, so that children started from it may have PR_SET_PDEATHSIG; a launcher's own thread that starts such
/// children must live as long, too.
pub trait Launcher {
    /// Begins to start a set. An error means that nothing was started; a later failure is reported as
    /// [`SetEvent::Ended`].
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure>;

    /// Begins to end a set that was started. May be called again, with more force. Never fails: a set that has already
    /// ended needs nothing more.
    fn end(&mut self, set: SetId, force: Force);

    /// The events since the last call. The supervisor calls it after [`Wake`], after SIGCHLD and at
    /// [`Launcher::next_poll`].
    fn poll(&mut self) -> Vec<(SetId, SetEvent)>;

    /// When to call [`Launcher::poll`] even if nothing woke the supervisor.
    fn next_poll(&self) -> Option<Instant> {
        None
    }

    /// The records for `cluster.json`, with which a later command can end what was started if this process is killed.
    fn records(&self) -> Vec<SetRecord>;

    /// The file on this host with the output of the set's engines; it may not exist yet.
    fn log(&self, set: &EngineSet) -> PathBuf;

    /// What happens to the other engines of a set when one is lost, where the engines of a set are the ranks of one
    /// MPI_COMM_WORLD. `None` where the engines are independent of each other.
    fn rank_loss(&self) -> Option<RankLoss> {
        None
    }

    /// How a rank ended while its set goes on, in the words of an exit status; `None` until the program that started it
    /// reports that.
    fn how_rank_ended(&self, _set: &EngineSet, _rank: u32) -> Option<String> {
        None
    }

    /// Sends a line to the job of a set, where the job restarts its lost ranks ([`RankLoss::in_job`]). The first line
    /// says that all ranks have registered; each further line makes the job restart them.
    fn tell_job(&mut self, _set: &EngineSet, _line: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Checks that there is room for so many engines at a time, where the profile limits it. An error when there is
    /// not.
    fn check_room(&self, _engines: u32) -> Result<(), Failure> {
        Ok(())
    }

    /// The number of engines of one set when `count` are wanted; the last set may have fewer.
    fn set_size(&self, count: u32) -> u32;
}
