//! What running code writes and displays, on its way to the client.

use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use serde::{Deserialize, Serialize};

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
    /// Which stream.
    pub stream: Stream,
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
