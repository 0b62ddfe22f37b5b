//! What the core is told, what it has done, and why a cluster ends: plain data.

use ipclusterz_base::ids::EngineId;
use ipclusterz_host::signals::Signal;
use ipclusterz_launchers::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use ipclusterz_runtime::wire::message::EngineInfo;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Something that has happened.
#[derive(Debug)]
pub enum Input {
    /// The launcher began to start a set.
    SetStarted {
        /// The set.
        set: SetId,
        /// The one process of it, if it is one on this host: then it runs already.
        pid: Option<u32>,
    },
    /// The launcher could not even begin; why.
    SetNotStarted(SetId, SetEnd),
    /// The launcher tells of a set.
    Set(SetId, SetEvent),
    /// An engine has registered, one of ours or not. May be told twice.
    EngineJoined(EngineInfo),
    /// An engine is registered no more.
    EngineLeft {
        /// Its id.
        id: EngineId,
        /// Why, as a sentence that names it.
        reason: String,
    },
    /// How the rank ended that was this engine of a set which goes on; nothing when nobody has said so yet.
    Explained(SetId, EngineId, Option<String>),
    /// The controller's process has ended.
    ControllerEnded(ExitStatus),
    /// A signal to stop has come.
    Stop(Signal),
    /// The process that this one must not outlive is gone.
    ParentGone,
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
    /// Start a set; the second time under this number when it is started again.
    Start(EngineSet),
    /// End a set.
    End(SetId, Force),
    /// Find out how the rank ended that asked for this id.
    Explain(EngineSet, EngineId),
    /// Write this line for the job of a set: the first time that all its ranks have been there, then to start them again.
    TellJob(EngineSet, String),
    /// Have the controller give these engines no more work, and shut each down when it is idle.
    Retire(Vec<EngineId>),
    /// End the cluster.
    Finish(Ending),
}

/// Why a cluster ends.
#[derive(Debug, PartialEq)]
pub enum Ending {
    /// By a signal.
    Signal(Signal),
    /// The parent is gone.
    ParentGone,
    /// The controller was told to shut down by a client.
    ShutDown,
    /// The controller ended otherwise.
    ControllerDied(ExitStatus),
    /// A set ended before all its engines had registered.
    SetFailed(EngineSet, SetEnd),
    /// The deadline passed: for this set, while these engines of all sets have not registered.
    TimedOut(EngineSet, Vec<EngineId>),
    /// The program that the cluster was started for has ended.
    ProgramEnded,
}
