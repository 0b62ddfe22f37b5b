//! Functions by the hash of their code, which travels once.

use ipclusterz_base::ids::{FunctionHash, TaskId};
use serde::{Deserialize, Serialize};

/// A function by the hash of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FunctionName(#[serde(with = "serde_bytes")] pub FunctionHash);

/// See [`super::Message::NeedFunction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedFunction {
    /// The task that cannot be started without it.
    pub task: TaskId,
}

/// See [`super::Message::Function`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCode {
    /// Hash of the code in the payload.
    pub function: FunctionName,
}

/// See [`super::Message::ForgetFunctions`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetFunctions {
    /// Hashes.
    pub functions: Vec<FunctionName>,
}
