//! The contract of every launcher: it starts, watches and ends sets. How many sets there are is the supervisor's
//! decision.

use crate::rank_loss::RankLoss;
use crate::record::SetRecord;
use crate::set::{EngineSet, Force, SetEvent, SetId};
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::failure::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Wakes the supervisor, so that it calls [`Launcher::poll`] soon. Cheap, and callable from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// An engine of a set that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LostEngine {
    /// Its place in the set, from 0.
    pub rank: u32,
    /// Its host, if it had registered.
    pub host: Option<String>,
    /// Its process, if it was one of this host.
    pub pid: Option<u32>,
}

/// What becomes of the nodes of a job that some engines of a set leave while others stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vacated {
    /// [`Launcher::vacate`] gives back those on which no engine is any more.
    GivenBack,
    /// They stay; why, for a person.
    Kept(String),
}

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

    /// Whether the job of a set starts single engines again that have ended, each time [`Launcher::tell_job`] says
    /// `engine 3: ` and why.
    fn starts_engines_again(&self) -> bool {
        false
    }

    /// How an engine ended whose parent in its job has seen that, and can start it again; in the words of an exit status.
    fn parent_said(&self, _set: &EngineSet, _engine: EngineId) -> Option<String> {
        None
    }

    /// How an engine ended while its set goes on, in the words of an exit status or of a queue; `None` until whoever
    /// started it reports that.
    fn how_engine_ended(&mut self, _set: &EngineSet, _lost: &LostEngine) -> Option<String> {
        None
    }

    /// Sends a line to the job of a set. Where the job restarts its lost ranks ([`RankLoss::in_job`]), the first line says
    /// that all ranks have registered, and each further line makes the job restart them. Where it starts single engines
    /// again, a line names the engine.
    fn tell_job(&mut self, _set: &EngineSet, _line: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// What becomes of nodes that engines leave; `None` where the end of an engine is all that there is.
    fn vacated(&self) -> Option<Vacated> {
        None
    }

    /// Begins to give back the nodes of these names in the job of a set, all on which none of its engines is any more.
    /// Reports what came of it as [`SetEvent::Vacated`].
    fn vacate(&mut self, _set: SetId, _hosts: Vec<String>) {}

    /// Checks that there is room for so many engines at a time, where the profile limits it. An error when there is
    /// not.
    fn check_room(&self, _engines: u32) -> Result<(), Failure> {
        Ok(())
    }

    /// The number of engines of one set when `count` are wanted; the last set may have fewer.
    fn set_size(&self, count: u32) -> u32;
}
