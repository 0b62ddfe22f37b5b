//! What running code writes and displays, on its way to the client.

use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use serde::{Deserialize, Serialize};

/// Bytes of output for one client that an engine may have under way: sent, and not yet said to be taken. What is written
/// beyond waits.
pub const OUTPUT_WINDOW: u64 = 1 << 20;

/// Where text was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// `sys.stdout`.
    Stdout,
    /// `sys.stderr`.
    Stderr,
    /// What code displayed: lines of JSON, none split between messages. Their content is the Python package's business.
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

/// See [`super::Message::Output`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The task that was running.
    pub task: TaskId,
    /// Its client, as the task said.
    pub client: PeerId,
    /// Which stream.
    pub stream: Stream,
}

/// See [`super::Message::OutputTaken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTaken {
    /// For whom it was.
    pub client: PeerId,
    /// How many bytes more the client has received, or will never receive.
    pub bytes: u64,
    /// It would keep hardly any more.
    pub full: bool,
}

/// See [`super::Message::RequestOutput`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOutput {
    /// The client's own number.
    pub request: RequestId,
    /// Which of its targets.
    pub position: u32,
    /// Who wrote it.
    pub engine: EngineId,
    /// Which stream.
    pub stream: Stream,
}
