//! Questions about work of the past and of others: what sessions there are, what was submitted in them, and what came of it.
//! Neither questions nor answers are counted: whoever gets no answer asks again.

use super::happened::{AskEvents, EventsFound};
use super::operation::Op;
use super::output::Stream;
use super::request::Reply;
use ipclusterz_base::ids::{EngineId, RequestId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// See [`super::Message::Query`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Counted by the client; the answer has it, too.
    pub number: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Which sessions there are.
    Sessions,
    /// Which tasks there are, and were.
    Tasks(Filter),
    /// What was submitted in a session, in that order.
    Submissions {
        /// Its name.
        session: String,
    },
    /// What came of these requests: a `kept` for each answer there is, and then `found`.
    Results {
        /// The name of their session.
        session: String,
        /// The session's own numbers.
        requests: Vec<RequestId>,
    },
    /// What is kept of these tasks is dropped, if they have ended.
    Purge(Filter),
    /// What these tasks wait for, or where they run: those of these requests that have not ended.
    Explain {
        /// What the ids of their session's tasks begin with.
        session: String,
        /// The session's own numbers.
        requests: Vec<RequestId>,
        /// Whether this engine would be given them is asked, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<EngineId>,
    },
    /// What happens in the cluster.
    Events(AskEvents),
}

/// Which tasks are meant: those for which all of this holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Of the session with this name.
    #[serde(default)]
    pub session: Option<String>,
    /// Of these requests of it.
    #[serde(default)]
    pub requests: Option<Vec<RequestId>>,
    /// In one of these states; see [`TaskRecord::state`]. None: in any.
    #[serde(default)]
    pub states: Vec<String>,
    /// Submitted since then, seconds since 1970.
    #[serde(default)]
    pub since: Option<f64>,
    /// With this in the name.
    #[serde(default)]
    pub name: Option<String>,
    /// So many at most, the latest.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// See [`super::Message::Found`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The question's.
    pub number: u64,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Which sessions there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionRecord>,
    /// Tasks, in the order in which they were submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskRecord>,
    /// Requests, in the order in which they were submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestRecord>,
    /// How many tasks are not kept any more.
    #[serde(default)]
    pub purged: u64,
    /// About the events that are its payload, if those were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsFound>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// What it is called.
    pub name: String,
    /// Begins the ids of its tasks.
    pub id: String,
    /// Somebody has given it that name.
    pub named: bool,
    /// Its client is connected.
    pub connected: bool,
    /// The client that it has or had last: its host and pid.
    pub host: String,
    /// See `host`.
    pub pid: u32,
    /// Tasks without an answer.
    pub open: u64,
    /// Seconds until it is given up, if nobody comes; none: it is not.
    pub ends_in: Option<f64>,
}

/// A task: one target of a request.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The name of its session.
    pub session: String,
    /// What its client calls it: `0f3c9a1e-7-0`.
    pub id: String,
    /// The name of its function, or of its operation.
    pub name: String,
    /// `queued`, `waiting` for other tasks or before it is started again, `held` while its client does not read, `running` at an engine or next there, or how it ended: `ok`, `error`,
    /// `aborted`, `lost`, `rejected`, `rank_lost`, `impossible`, `timed_out`.
    pub state: String,
    /// The engine that has it, or had.
    pub engine: Option<EngineId>,
    /// When it was submitted, began and ended, seconds since 1970; 0: not yet.
    pub submitted: f64,
    /// See `submitted`.
    pub started: f64,
    /// See `submitted`.
    pub completed: f64,
    /// Bytes of its result, if that is kept.
    pub kept_bytes: Option<u64>,
    /// Why it is not kept any more, or why the task did not succeed.
    pub why: Option<String>,
    /// What it waits for, for people, each in a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
    /// The engine of the question might be given it, if it were free.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fits: bool,
}

/// A request of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The session's own number.
    pub request: RequestId,
    /// How many answers it has, sooner or later.
    pub count: u32,
    /// How many it has.
    pub done: u32,
    /// Its place among the requests of one submission, counted from 0.
    pub part: u64,
    /// What is done.
    pub op: Op,
    /// The name of its function, or of its operation.
    pub name: String,
    /// What the client said of the submission, if this is its first request.
    pub about: Option<ByteBuf>,
    /// When it was submitted, seconds since 1970.
    pub submitted: f64,
    /// The engines that it is for; none: any.
    pub targets: Option<Vec<EngineId>>,
}

/// See [`super::Message::Kept`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The question's number.
    pub number: u64,
    /// The answer, as its client got it. Its payload is none of segments.
    pub reply: Reply,
    /// The engine's process.
    pub engine_uuid: Option<String>,
    /// What the task wrote.
    pub output: Vec<(EngineId, Stream, String)>,
    /// Its value is not kept any more, and why.
    pub dropped: Option<String>,
}
