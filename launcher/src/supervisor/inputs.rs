//! The inputs and actions of the core, and why a cluster ends: plain data.

use ipclusterz_base::ids::EngineId;
use ipclusterz_host::signals::Signal;
use ipclusterz_launchers::contract::LostEngine;
use ipclusterz_launchers::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use ipclusterz_runtime::wire::message::EngineInfo;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Something that has happened.
#[derive(Debug)]
pub enum Input {
    /// The launcher began to start a set.
    SetStarted {
        /// The set.
        set: SetId,
        /// The pid, if the set is one process on this host. Such a set runs already.
        pid: Option<u32>,
    },
    /// The launcher could not start the set; why.
    SetNotStarted(SetId, SetEnd),
    /// The launcher reports something about a set.
    Set(SetId, SetEvent),
    /// An engine has registered, of one of our sets or not. May be reported twice.
    EngineJoined(EngineInfo),
    /// An engine is not registered any more.
    EngineLeft {
        /// Its id.
        id: EngineId,
        /// Why, as a sentence that names it.
        reason: String,
    },
    /// An engine does not end although it has to, and does nothing about it itself.
    EngineHangs(EngineId),
    /// How this lost engine of a set that goes on ended; `None` if its end is not explained yet.
    Explained(SetId, EngineId, Option<String>),
    /// How this engine ended, by its parent in the job, which can start it again.
    ParentSaid(SetId, EngineId, String),
    /// The controller has printed its line, or ended without one.
    ControllerSaid(ControllerWord),
    /// This process is connected to the controller, or is so again.
    ControllerReached,
    /// The controller's process has ended.
    ControllerEnded(ControllerEnd),
    /// The controller's process was started again.
    ControllerStarted,
    /// It could not be started again; why.
    ControllerNotStarted(String),
    /// A signal to stop has come.
    Stop(Signal),
    /// The process that this one must not outlive is gone.
    ParentGone,
    /// Another process has taken the cluster over.
    TakenOver,
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Say a line.
    Say(String),
    /// Say a line, and below it the end of this log.
    SayWithLog(String, PathBuf),
    /// All engines are ready for the first time.
    Ready,
    /// Start a set. A set that is started again keeps its number.
    Start(EngineSet),
    /// End a set.
    End(SetId, Force),
    /// Ask how an engine ended.
    Explain(EngineSet, LostEngine),
    /// Write this line for the job of a set: once when all its ranks have registered, then each time they are to be
    /// restarted.
    TellJob(EngineSet, String),
    /// Have the controller give these engines no more work, and shut each down when it is idle.
    Retire(Vec<EngineId>),
    /// Have the controller shut these engines down, busy or not.
    ShutDown(Vec<EngineId>),
    /// Have these engines' processes get SIGTERM.
    Terminate(Vec<EngineId>),
    /// Give back the nodes of a set's job that have these names: no engine of it is there any more.
    Vacate(SetId, Vec<String>),
    /// Start the controller again.
    StartController,
    /// End the cluster.
    Finish(Ending),
}

/// What a controller says with its one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControllerWord {
    /// That it listens.
    Listens,
    /// Why it cannot.
    Refuses,
    /// That the disk is full. It can when there is room again.
    LacksRoom,
    /// Its output has ended without a line.
    Nothing,
}

/// How a controller's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerEnd {
    /// In words.
    pub how: String,
    /// By SIGKILL.
    pub killed: bool,
    /// Because it was asked to.
    pub orderly: bool,
}

impl ControllerEnd {
    /// It could not even begin.
    pub fn not_started(why: &str) -> Self {
        Self { how: why.to_owned(), killed: false, orderly: false }
    }
}

impl From<ExitStatus> for ControllerEnd {
    fn from(status: ExitStatus) -> Self {
        let killed = status.signal() == Some(libc::SIGKILL);
        Self { how: status.to_string(), killed, orderly: status.success() }
    }
}

/// Why a cluster ends.
#[derive(Debug, PartialEq)]
pub enum Ending {
    /// By a signal to stop.
    Signal(Signal),
    /// The parent is gone.
    ParentGone,
    /// Another process has taken the cluster over.
    TakenOver,
    /// A client told the controller to shut down.
    ShutDown,
    /// The controller did not listen within this time.
    ControllerSilent(Duration),
    /// The controller ended otherwise.
    ControllerDied {
        /// How.
        how: String,
        /// Why it is not started again, if that was tried.
        given_up: Option<String>,
    },
    /// A set ended before all its engines had registered.
    SetFailed(EngineSet, SetEnd),
    /// Engines did not register in time: the set whose deadline passed, and the missing engines of all sets.
    TimedOut(EngineSet, Vec<EngineId>),
    /// The program that the cluster was started for has ended.
    ProgramEnded,
}
