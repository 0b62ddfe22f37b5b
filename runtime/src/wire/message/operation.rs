//! What requests and tasks have in common: the operation, and where its payload is.

use serde::{Deserialize, Serialize};

/// What an engine is asked to do. The payload of each is described in the Python package's `shared/serialize.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Run source text in the namespace.
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
    /// Take a file that users share among the engines of a host. Its content is the function's code, which an engine asks
    /// for while the task runs, if no other engine of its host has.
    Upload,
    /// Form the communicator of an epoch. Only the controller asks for it; the payload is a [`super::Reform`] as JSON.
    Reform,
}

impl Op {
    /// Every operation.
    pub const ALL: [Op; 8] =
        [Op::Execute, Op::Apply, Op::ApplyBound, Op::Push, Op::Pull, Op::Clear, Op::Upload, Op::Reform];

    /// Its name on the wire and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Op::Execute => "execute",
            Op::Apply => "apply",
            Op::ApplyBound => "apply_bound",
            Op::Push => "push",
            Op::Pull => "pull",
            Op::Clear => "clear",
            Op::Upload => "upload",
            Op::Reform => "reform",
        }
    }

    /// The operation called `name`.
    pub fn from_name(name: &str) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.name() == name)
    }
}

/// Marks a payload frame that holds the name of a segment instead of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentNote {
    /// Index among the operation's own payload frames.
    pub frame: u32,
    /// Bytes in the segment.
    pub length: u64,
}
