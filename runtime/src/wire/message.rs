//! Every message of the protocol, version 1, with its frames.
//!
//! A message on the wire is a ZeroMQ multipart message `[header] [payload frame]*`; between a ROUTER and its
//! application a routing id stands before it. Long frames are several parts of that message, see `wire::pieces`. The header is one MessagePack map of two entries, the version
//! first: `{"v": 1, "<kind>": {…fields…}}`. `wire::codec` encodes and decodes it. Payload frames are opaque to
//! the controller: it passes them on untouched.
//!
//! Direction: C client, E engine, K controller. Channel: `control` or `data`, see `transport`.
//!
//! | kind | from → to | channel | payload frames |
//! |---|---|---|---|
//! | `hello`, `welcome`, `refused` | C E → K, K → C E, K → C E | control | none |
//! | `attach`, `attached` | C E → K, K → C E | data | none |
//! | `request` | C → K | data | the function's code if `carries_function`, then the operation's own |
//! | `task` | K → E | data | the operation's own |
//! | `result` | E → K | data | the value's or the error's |
//! | `reply` | K → C | data | the value's or the error's |
//! | `need_function`, `function` | E → K, K → E | data | none; the code |
//! | `forget_functions` | C → K | data | none |
//! | `output`, `request_output` | E → K, K → C | data, before the result they belong to | the text, UTF-8 |
//! | `abort` | C → K | data, behind the requests it names | none |
//! | `interrupt` | C → K → E | data, behind the requests it is meant for | none |
//! | `shutdown` | C → K → E | control | none |
//! | `retire` | C → K | data, behind the requests that still go there | none |
//! | `recall`, `recalled` | K → E, E → K | data | none |
//! | `started` | K → C | data, before the reply that it announces | none |
//! | `ack` | C → K | control | none |
//! | `received` | K → C | control | none |
//! | `goodbye` | C → K, K → C | data, as the last one; control | none |
//! | `engine_joined`, `engine_left` | K → C | control | none |
//! | `status_request`, `status_reply` | C → K, K → C | control | none |
//! | `usage` | E → K | control | none |
//! | `epoch_over` | K → E | control, so that it overtakes the work | none |
//! | `inspect`, `inspected` | C E → K → E, E → K → C E | control | none |

use crate::connection::Role;
use crate::ids::{EngineId, FunctionHash, PeerId, RequestId, TaskId};
use serde::{Deserialize, Serialize};

/// First entry of every header. A controller refuses every other.
pub const WIRE_VERSION: u8 = 1;

/// The header of a message. Variants in the order in which a session uses them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// First message on `control`: who is there.
    Hello(Hello),
    /// Answer to `hello`: let in.
    Welcome(Welcome),
    /// Answer to `hello` or `attach`: not let in, and why.
    Refused(Refused),
    /// First message on `data`: which `control` it belongs to.
    Attach(Attach),
    /// Answer to `attach`. An engine is registered, and a client may submit, from here on.
    Attached(Empty),
    /// Work for a list of engines, or for whichever is free.
    Request(Request),
    /// The part of a request that one engine does.
    Task(Task),
    /// An engine's answer to a task.
    Result(TaskResult),
    /// The one final answer to one target of a request.
    Reply(Reply),
    /// The engine lacks the code of this task's function.
    NeedFunction(NeedFunction),
    /// Answer to `need_function`.
    Function(FunctionCode),
    /// The client will send these functions anew before it uses them again.
    ForgetFunctions(ForgetFunctions),
    /// Text that a running task wrote.
    Output(Output),
    /// The same, on its way to the client.
    RequestOutput(RequestOutput),
    /// Give up what has not been started.
    Abort(Abort),
    /// Raise KeyboardInterrupt in the running code.
    Interrupt(Targets),
    /// End engines, or the whole cluster.
    Shutdown(Targets),
    /// End engines once they have done what they have: they get nothing new, and what they have not begun goes to others.
    Retire(EngineList),
    /// Give these tasks back unless they were started.
    Recall(TaskList),
    /// Answer to `recall`.
    Recalled(Recalled),
    /// One target of a request that was to be aborted has begun: it goes on to its end.
    Started(Started),
    /// What the client has received since its `welcome`.
    Ack(Ack),
    /// What the controller has received.
    Received(Counts),
    /// The session is over, and no other will be sought.
    Goodbye(Goodbye),
    /// A new engine is there.
    EngineJoined(EngineInfo),
    /// An engine is gone.
    EngineLeft(EngineLeft),
    /// Ask for `status_reply`.
    StatusRequest(Empty),
    /// The state of the cluster.
    StatusReply(Box<Status>),
    /// What an engine's process uses.
    Usage(Usage),
    /// A rank of the engine's world is gone: nobody is to wait for it any longer.
    EpochOver(EpochOver),
    /// Ask engines what they are doing.
    Inspect(Inspect),
    /// What one engine is doing.
    Inspected(Inspected),
}

/// A message without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// See [`Message::Hello`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// As what it wants to be let in; on TCP its key must be of the same role.
    pub role: Role,
    /// Names the process, also after it connects again.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The id that an engine asks for: granted when it is free.
    pub wanted_id: Option<EngineId>,
    /// It reaches the controller's shared memory folder.
    pub shared_memory: bool,
    /// The address that it reached the controller by.
    #[serde(default)]
    pub address: String,
    /// That address is the near end of a tunnel: a connection that closes says nothing of the peer's process.
    #[serde(default)]
    pub forwarded: bool,
    /// Seconds until an engine will be ended from outside, as a job is at the end of its time.
    #[serde(default)]
    pub ends_in: Option<f64>,
    /// Seconds before that from which it is given no balanced task whose duration is not stated.
    #[serde(default)]
    pub drain_before: f64,
    /// A client whose connections broke wants to go on with its session.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// Of an engine that is a rank of an MPI program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<Box<Rank>>,
}

/// A rank of an MPI program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Names the program: all its ranks say the same, and no other program does.
    pub world: String,
    /// Its number in MPI_COMM_WORLD.
    pub rank: u32,
    /// How many ranks there are.
    pub size: u32,
    /// The others live on when one is lost, and are to go on without it.
    pub survives: bool,
}

/// How many messages of a session have arrived on each channel; see [`super::resend`] for which are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// On `control`.
    pub control: u64,
    /// On `data`.
    pub data: u64,
}

/// See [`Hello::resume`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// From the session's `welcome`.
    pub peer: PeerId,
    /// From the session's `welcome`.
    pub token: String,
    /// What the client has received: the rest is to be sent again.
    pub received: Counts,
}

impl Hello {
    /// Of a peer that asks for nothing in particular.
    pub fn new(role: Role, uuid: String, host: String, pid: u32) -> Self {
        let (wanted_id, shared_memory, address, forwarded, ends_in, drain_before) = Default::default();
        let (resume, world) = (None, None);
        Hello {
            role,
            uuid,
            host,
            pid,
            wanted_id,
            shared_memory,
            address,
            forwarded,
            ends_in,
            drain_before,
            resume,
            world,
        }
    }
}

/// See [`Message::Welcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The controller's number for this peer; names its segments too.
    pub peer: PeerId,
    /// To be repeated in `attach`: ties the two connections together.
    pub token: String,
    /// For an engine: what the user calls it.
    pub engine_id: Option<EngineId>,
    /// For a client: the engines there are.
    pub engines: Vec<EngineInfo>,
    /// What a client may have under way.
    pub window: Window,
    /// How many seconds a client's session outlives its connections; 0: it ends with them.
    pub grace: f64,
    /// The session goes on, and the controller has received so much of it: the rest is to be sent again.
    pub resumed: Option<Counts>,
}

/// What a client may have under way at the controller; it keeps the rest to itself until answers arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Answers expected, one for each target.
    pub replies: u64,
    /// Bytes of payload without an answer.
    pub bytes: u64,
    /// Bytes of one request.
    pub request_bytes: u64,
}

/// See [`Message::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why, for a person.
    pub reason: String,
}

/// See [`Message::Attach`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// From `welcome`.
    pub peer: PeerId,
    /// From `welcome`.
    pub token: String,
}

/// What an engine is asked to do. The payload of each is described in the Python package's `serialize.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Run a text in the namespace.
    Execute,
    /// Call a function that does not see the namespace.
    Apply,
    /// Call a function in the namespace.
    ApplyBound,
    /// Set names.
    Push,
    /// Get names.
    Pull,
    /// Empty the namespace.
    Clear,
    /// Form the communicator of an epoch. From the controller alone; the payload is a [`Reform`] as JSON.
    Reform,
}

impl Op {
    /// Every operation.
    pub const ALL: [Op; 7] = [Op::Execute, Op::Apply, Op::ApplyBound, Op::Push, Op::Pull, Op::Clear, Op::Reform];

    /// Its name on the wire and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Op::Execute => "execute",
            Op::Apply => "apply",
            Op::ApplyBound => "apply_bound",
            Op::Push => "push",
            Op::Pull => "pull",
            Op::Clear => "clear",
            Op::Reform => "reform",
        }
    }

    /// The operation called `name`.
    pub fn from_name(name: &str) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.name() == name)
    }
}

/// Who is to do a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Each of these, once; one answer from each, in positions 0, 1, ….
    Engines(Vec<EngineId>),
    /// One engine, the least loaded.
    Balanced {
        /// How often it may be started again, on another engine, when the one that had it died.
        retries: u32,
        /// One of these; none: of all there are.
        engines: Option<Vec<EngineId>>,
        /// Seconds that it will take, where that is known: then it may go to an engine whose end draws near, if it will
        /// be done by then.
        duration: Option<f64>,
    },
}

/// Says that a payload frame does not hold the bytes but the name of a segment with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentNote {
    /// Index among the operation's own payload frames.
    pub frame: u32,
    /// Bytes in the segment.
    pub length: u64,
}

/// A function by the hash of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FunctionName(#[serde(with = "serde_bytes")] pub FunctionHash);

/// See [`Message::Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Counted by the client.
    pub id: RequestId,
    /// Who is to do it.
    pub placement: Placement,
    /// What to do.
    pub op: Op,
    /// The function to call.
    pub function: Option<FunctionName>,
    /// The first payload frame is the function's code.
    pub carries_function: bool,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
    /// The engines do it together, as a group of one MPI program: all of them or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collective: bool,
}

/// See [`Message::Task`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Counted by the controller.
    pub id: TaskId,
    /// What to do.
    pub op: Op,
    /// The function to call.
    pub function: Option<FunctionName>,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
    /// Who does it together, when it is collective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// Engines that do something together: ranks of an epoch's communicator, in the order of the request's targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which epoch of the world.
    pub epoch: u64,
    /// Ranks in MPI_COMM_WORLD.
    pub ranks: Vec<u32>,
}

/// Payload of [`Op::Reform`]: the world's members in an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reform {
    /// Which epoch.
    pub epoch: u64,
    /// Their ranks in MPI_COMM_WORLD, ascending.
    pub ranks: Vec<u32>,
    /// Their ids, in the same order.
    pub engines: Vec<EngineId>,
    /// Why the epoch before is over; none at the start of a program.
    pub reason: Option<String>,
}

/// How a task ended on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOutcome {
    /// The payload is the value.
    Ok,
    /// The payload is the error that user code raised.
    Error,
    /// The engine lacks what the task needs, and has not begun; the payload is the error that says so. A balanced task
    /// goes to another engine while there is one that has not answered this.
    Unmet,
}

impl TaskOutcome {
    /// Every outcome.
    pub const ALL: [TaskOutcome; 3] = [TaskOutcome::Ok, TaskOutcome::Error, TaskOutcome::Unmet];

    /// Its name on the wire and in Python.
    pub fn name(self) -> &'static str {
        match self {
            TaskOutcome::Ok => "ok",
            TaskOutcome::Error => "error",
            TaskOutcome::Unmet => "unmet",
        }
    }

    /// The outcome called `name`.
    pub fn from_name(name: &str) -> Option<TaskOutcome> {
        TaskOutcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// See [`Message::Result`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Which task.
    pub id: TaskId,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// When user code began, seconds since 1970 by the engine's clock.
    pub started: f64,
    /// When it ended.
    pub completed: f64,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
}

/// How a request ended on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The payload is the value.
    Ok,
    /// The payload is the error that user code raised, or that says what all engines lack.
    Error,
    /// Not started, at the client's wish.
    Aborted,
    /// The engine died, or there was none.
    Lost(String),
    /// The controller refused it.
    Rejected(String),
    /// It was collective, and a rank of its group was lost.
    RankLost(String),
}

impl Outcome {
    /// Its name in Python.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Aborted => "aborted",
            Outcome::Lost(_) => "lost",
            Outcome::Rejected(_) => "rejected",
            Outcome::RankLost(_) => "rank_lost",
        }
    }
}

/// See [`Message::Reply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The client's own number.
    pub request: RequestId,
    /// Which of the request's targets, counted from 0.
    pub position: u32,
    /// The engine that did it, if one did.
    pub engine: Option<EngineId>,
    /// How it ended.
    pub outcome: Outcome,
    /// As in [`TaskResult`]; 0 when it was not started.
    pub started: f64,
    /// As in [`TaskResult`]; 0 when it was not started.
    pub completed: f64,
    /// Which payload frames name segments.
    pub segments: Vec<SegmentNote>,
}

/// See [`Message::NeedFunction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedFunction {
    /// The task that cannot be started without it.
    pub task: TaskId,
}

/// See [`Message::Function`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCode {
    /// Hash of the code in the payload.
    pub function: FunctionName,
}

/// See [`Message::ForgetFunctions`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetFunctions {
    /// Hashes.
    pub functions: Vec<FunctionName>,
}

/// Where text was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// `sys.stdout`.
    Stdout,
    /// `sys.stderr`.
    Stderr,
    /// What code displayed: lines of JSON, each whole in one message. The Python package knows what is in them.
    Display,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::Display];

    /// Its name on the wire and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Display => "display",
        }
    }

    /// The stream called `name`.
    pub fn from_name(name: &str) -> Option<Stream> {
        Stream::ALL.into_iter().find(|stream| stream.name() == name)
    }
}

/// See [`Message::Output`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The task that was running.
    pub task: TaskId,
    /// Which stream.
    pub stream: Stream,
}

/// See [`Message::RequestOutput`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOutput {
    /// The client's own number.
    pub request: RequestId,
    /// Which of its targets.
    pub position: u32,
    /// Which stream.
    pub stream: Stream,
}

/// See [`Message::Abort`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// These; none: every request of this client.
    pub requests: Option<Vec<RequestId>>,
    /// Only on these engines; none: wherever.
    pub engines: Option<Vec<EngineId>>,
}

/// Engines; none: all of them (for `shutdown` from a client: and the controller).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Their ids. A message to an engine itself has none.
    pub engines: Option<Vec<EngineId>>,
}

/// See [`Message::Retire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineList {
    /// Their ids.
    pub engines: Vec<EngineId>,
}

/// See [`Message::Recall`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskList {
    /// Their numbers.
    pub tasks: Vec<TaskId>,
}

/// See [`Message::Recalled`]. Every task that was asked for is in one of the lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    /// Given back: not started, and not to be.
    pub returned: Vec<TaskId>,
    /// Kept: started, or not there; in the second case its result, or the answer to an earlier `recall` that gave it
    /// back, went ahead of this one.
    pub kept: Vec<TaskId>,
}

/// See [`Message::Started`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The client's own number.
    pub request: RequestId,
    /// Which of its targets.
    pub position: u32,
}

/// See [`Message::Ack`]. Counts since `welcome`, so that a lost or late one does no harm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Replies received.
    pub replies: u64,
    /// Bytes of payload in them, and of text in outputs.
    pub bytes: u64,
    /// Messages: the controller need not keep them any longer.
    pub messages: Counts,
}

/// See [`Message::Goodbye`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why, for a person.
    pub reason: String,
}

/// What a client knows of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// What the user calls it.
    pub id: EngineId,
    /// Names its process.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The controller's address that answered it.
    pub address: String,
}

/// See [`Message::EngineLeft`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLeft {
    /// Which.
    pub id: EngineId,
    /// Why, for a person.
    pub reason: String,
}

/// See [`Message::Usage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}

/// See [`Message::EpochOver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochOver {
    /// This one, and all before it.
    pub epoch: u64,
    /// Which rank was lost, and how, for a person.
    pub reason: String,
}

/// See [`Message::Inspect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    /// Of whoever asks.
    pub number: u64,
    /// Who asks; filled in by the controller, and sent back.
    pub asker: Option<PeerId>,
    /// Who is asked.
    pub engines: Vec<EngineId>,
    /// By the way: this communicator cannot be used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// A communicator that one of its ranks has given up, so that the ranks are out of step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its name, which all its ranks use.
    pub comm: String,
    /// Its epoch.
    pub epoch: u64,
    /// Which call was given up, and why, for a person.
    pub reason: String,
    /// Whoever waits in it need not wait for its own deadline.
    pub at_once: bool,
}

/// See [`Message::Inspected`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Of the question.
    pub number: u64,
    /// Who asked.
    pub asker: Option<PeerId>,
    /// Who answers; filled in by the controller.
    pub engine: Option<EngineId>,
    /// None: there is no such engine.
    pub activity: Option<Activity>,
}

/// What an engine is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// A task runs.
    pub busy: bool,
    /// The stack of its main thread, as Python's `faulthandler` writes it; empty where the thread does not answer.
    pub stack: String,
    /// The last call on each communicator, as JSON of the MPI extension module.
    pub calls: String,
}

/// See [`Message::StatusReply`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the cluster.
    pub cluster: String,
    /// The controller's process id.
    pub pid: u32,
    /// Seconds since the controller started.
    pub uptime: f64,
    /// Clients connected.
    pub clients: u32,
    /// Load-balanced tasks not yet given to an engine.
    pub pending: u64,
    /// Bytes of payload that the controller holds for tasks and functions.
    pub held_bytes: u64,
    /// Messages refused since the start: malformed, of another version, or from peers not let in.
    pub rejected: u64,
    /// The controller's resident memory, bytes.
    pub resident_bytes: u64,
    /// By id.
    pub engines: Vec<EngineStatus>,
}

/// One engine in a [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// What the user calls it.
    pub id: EngineId,
    /// Names its process.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The controller's address that answered it.
    pub address: String,
    /// `idle` or `busy`; `draining`: it is being retired, or its end draws near.
    pub state: String,
    /// Tasks given to it and not answered.
    pub queue: u64,
    /// Tasks answered.
    pub completed: u64,
    /// Resident memory, bytes, as it last told.
    pub resident_bytes: u64,
    /// Seconds since it registered.
    pub uptime: f64,
    /// Seconds until it will be ended from outside, if that is known.
    pub ends_in: Option<f64>,
    /// Of a rank of an MPI program.
    #[serde(default)]
    pub world: Option<WorldStatus>,
}

/// See [`EngineStatus::world`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldStatus {
    /// Names the program.
    pub name: String,
    /// In MPI_COMM_WORLD.
    pub rank: u32,
    /// Of MPI_COMM_WORLD.
    pub size: u32,
    /// Counts on when ranks were lost and the rest, or new ones, went on; 0 before all have come.
    pub epoch: u64,
    /// All members have the epoch's communicator.
    pub formed: bool,
    /// Why there is no communicator, or why the epoch before this one ended.
    pub reason: Option<String>,
    /// What the hooks raised that were to restore this engine's state in this epoch.
    #[serde(default)]
    pub hook_error: Option<String>,
}
