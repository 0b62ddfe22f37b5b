//! Every message of the protocol, version 1, with its frames.
//!
//! A message on the wire is a ZeroMQ multipart message `[header] [payload frame]*`; between a ROUTER and its
//! application a routing id stands before it. Long frames are several parts of that message, see `wire::pieces`, and short
//! messages go together in one part, see `wire::bundle`. The header is one MessagePack map of two entries, the version first: `{"v": 1, "<kind>": {…fields…}}`. `wire::codec`
//! encodes and decodes it; `wire::greeting`
//! says what of it never changes. Payload frames are opaque to the controller: it passes them on untouched.
//!
//! Direction: C client, E engine, K controller. Channel: `control` or `data`, see `wire::channel`. The last column
//! names the file under `message/` with the fields; a `-` stands for a message without any.
//!
//! | kind | from → to | channel | payload frames | fields |
//! |---|---|---|---|---|
//! | `hello`, `welcome`, `refused` | C E → K, K → C E, K → C E | control | none | session |
//! | `attach`, `attached` | C E → K, K → C E | data | none | session, - |
//! | `request` | C → K | data | the function's code if `carries_function`, then the operation's own | request |
//! | `task` | K → E | data | the operation's own | task |
//! | `result` | E → K | data | the value's or the error's | task |
//! | `reply` | K → C | data | the value's or the error's | request |
//! | `left`, `settled` | K → E | data, behind the tasks that they name | none | task |
//! | `need_function`, `function` | E → K, K → E | data | none; the code | functions |
//! | `forget_functions` | C → K | data | none | functions |
//! | `output`, `request_output` | E → K, K → C | data, before the result they belong to | the text, UTF-8 | output |
//! | `output_taken` | K → E | control | none | output |
//! | `abort` | C → K, K → C | data, behind the requests it names | none | stop |
//! | `fulfilled` | C → K | data, behind the abort that has claimed it | none | stop |
//! | `interrupt` | C → K → E | data, behind the requests it is meant for | none | stop |
//! | `shutdown` | C → K → E | control | none | stop |
//! | `retire` | C → K | data, behind the requests that still go there | none | stop |
//! | `recall`, `recalled` | K → E, E → K | data | none | stop |
//! | `started` | K → C | data, before the reply that it announces | none | stop |
//! | `ack` | C → K | control | none | session |
//! | `received` | K → C | control | none | session |
//! | `goodbye` | C → K, K → C | data, as the last one; control | none | session |
//! | `engine_joined`, `engine_left`, `engine_away` | K → C | control | none | engines |
//! | `engine_ended` | C → K, from the launcher | control | none | engines |
//! | `engines_expected` | C → K, from the launcher; K → C | control | none | engines |
//! | `status_request`, `status_reply` | C → K, K → C | control | none | -, status |
//! | `usage` | E → K | control | none | happened |
//! | `epoch_over` | K → E | control, so that it overtakes the work | none | world |
//! | `inspect`, `inspected` | C E → K → E, E → K → C E | control | none | inspection |
//! | `query` | C → K | control | none | history |
//! | `kept`, `found` | K → C | data | the value's or the error's; chunks of events, if those were asked for | history |
//!
//! The families in reading order, each above only those that it uses: `operation`, `functions`, `resources`, `world`, `engines`;
//! `session`, `fate`, `happened`, `terms`, `request`, `task`, `output`, `stop`, `status`, `inspection`, `history`.

mod engines;
mod fate;
mod functions;
mod happened;
mod history;
mod inspection;
mod operation;
mod output;
mod request;
mod resources;
mod session;
mod status;
mod stop;
mod task;
mod terms;
mod world;

pub use engines::{Away, EngineAway, EngineEnded, EngineInfo, EngineLeft, EnginesExpected};
pub use fate::Fate;
pub use functions::{ForgetFunctions, FunctionCode, FunctionName, NeedFunction};
pub use happened::{
    AskEvents, Bytes, Cursor, EngineJoined, EventsFound, Happened, PartOfMap, Seen, SessionBegan, Submission,
    TaskEnded, TaskName, Usage,
};
pub use history::{Ask, Filter, Found, Kept, Query, RequestRecord, SessionRecord, TaskRecord};
pub use inspection::{Activity, Inspect, Inspected};
pub use operation::{Op, SegmentNote};
pub use output::{OUTPUT_WINDOW, Output, OutputTaken, RequestOutput, Stream};
pub use request::{Outcome, Placement, Reply, Request};
pub use resources::{Amount, Resources};
pub use session::{Ack, Attach, Bulk, Counts, Goodbye, Hello, OfSession, Refused, Resume, Welcome, Window};
pub use status::{EngineLoss, EngineStatus, Status};
pub use stop::{Abort, EngineList, Fulfilled, Recall, Recalled, Started, Targets};
pub use task::{Departure, Left, Settled, Standing, Task, TaskOutcome, TaskResult};
pub use terms::{Dependency, Ended, Parent, TaskRef, Terms};
pub use world::{Broken, EpochOver, Group, Rank, Reform, WorldStatus};

use serde::{Deserialize, Serialize};

/// The header of a message. Variants in the order in which a session uses them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// First message on `control`: the peer introduces itself.
    Hello(Hello),
    /// Answer to `hello`: the peer is admitted.
    Welcome(Welcome),
    /// Answer to `hello` or `attach`: the peer is refused, and why.
    Refused(Refused),
    /// Answer to `hello`: there is no room for another peer now, and why. Later there may be.
    Crowded(Refused),
    /// First message on `data`: which `control` connection it belongs to.
    Attach(Attach),
    /// Answer to `attach`. An engine is registered, and a client may submit, from here on.
    Attached(Empty),
    /// Work for a list of engines, or for whichever is free.
    Request(Request),
    /// The part of a request that one engine executes.
    Task(Task),
    /// An engine's answer to a task.
    Result(TaskResult),
    /// Another member of a group has left what they do together.
    Left(Left),
    /// All members have ended what they did together, and whether they are still in step.
    Settled(Settled),
    /// The one final answer to one target of a request.
    Reply(Reply),
    /// The engine lacks the code of this task's function.
    NeedFunction(NeedFunction),
    /// Answer to `need_function`.
    Function(FunctionCode),
    /// The client will resend these functions before it uses them again.
    ForgetFunctions(ForgetFunctions),
    /// Text that a running task wrote.
    Output(Output),
    /// The same, on its way to the client.
    RequestOutput(RequestOutput),
    /// So much of an engine's output is not under way any more.
    OutputTaken(OutputTaken),
    /// Cancel what has not started, and interrupt what has if asked to.
    Abort(Abort),
    /// How something has ended that the client has claimed, and done itself.
    Fulfilled(Fulfilled),
    /// Raise KeyboardInterrupt in the running code.
    Interrupt(Targets),
    /// End engines, or the whole cluster.
    Shutdown(Targets),
    /// End engines once their tasks are done: they get no new ones, and those that have not started go to others.
    Retire(EngineList),
    /// Give tasks back unless they have started, or interrupt the one that has.
    Recall(Recall),
    /// Answer to `recall`.
    Recalled(Recalled),
    /// A target of an aborted request has already started: it runs to its end.
    Started(Started),
    /// What the client has received since its `welcome`.
    Ack(Ack),
    /// What the controller has received.
    Received(Counts),
    /// The session is over, and the peer will not reconnect.
    Goodbye(Goodbye),
    /// An engine has registered.
    EngineJoined(EngineInfo),
    /// An engine has left.
    EngineLeft(EngineLeft),
    /// An engine has lost its connections and is waited for, or has them again.
    EngineAway(EngineAway),
    /// How an engine's process ended, as its launcher saw it.
    EngineEnded(EngineEnded),
    /// Whether engines are to come, and what they wait for.
    EnginesExpected(EnginesExpected),
    /// Ask for `status_reply`.
    StatusRequest(Empty),
    /// The state of the cluster.
    StatusReply(Box<Status>),
    /// What an engine's process uses.
    Usage(Usage),
    /// A rank of the engine's world is lost: calls that wait for it end.
    EpochOver(EpochOver),
    /// Ask engines what they are doing.
    Inspect(Inspect),
    /// What one engine is doing.
    Inspected(Inspected),
    /// Ask for work of the past and of others.
    Query(Query),
    /// The answer, and its end.
    Found(Found),
    /// A result that is part of the answer.
    Kept(Box<Kept>),
}

impl Message {
    /// Whether it is said before both sides know that they speak the same version.
    pub fn is_greeting(&self) -> bool {
        matches!(self, Message::Hello(_) | Message::Welcome(_) | Message::Refused(_) | Message::Crowded(_))
    }
}

/// A message without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}
