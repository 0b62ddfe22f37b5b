//! A request of this client: before it is sent, and while it waits for its answers.

use super::pending::Pending;
use crate::wire::Frame;
use crate::wire::message::{FunctionName, Op, PartOfMap, Placement, Terms};
use crate::wire::part::Packed;
use ipclusterz_base::ids::RequestId;
use std::num::Saturating;
use std::sync::{Arc, Weak};

/// A request before it is sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Its number.
    pub id: RequestId,
    /// Where it is executed.
    pub placement: Placement,
    /// What to do.
    pub op: Op,
    /// The function to call, and its code.
    pub function: Option<(FunctionName, Frame)>,
    /// The payload.
    pub packed: Packed,
    /// Receives its answers.
    pub pending: Weak<Pending>,
    /// Index of its first answer there.
    pub base: usize,
    /// How many answers it expects.
    pub count: usize,
    /// The engines execute it together.
    pub collective: bool,
    /// See [`crate::client::Submission::timeout`].
    pub timeout: Option<f64>,
    /// Engines that come later do it too, until another request is kept under this name.
    pub keep: Option<String>,
    /// The name of the function, for people.
    pub name: Option<String>,
    /// See [`crate::client::Submission::about`].
    pub about: Option<Vec<u8>>,
    /// Its place among the requests of the submission.
    pub part: u64,
    /// What else it asks for.
    pub terms: Option<Arc<Terms>>,
    /// The part of a map that it is.
    pub map: Option<PartOfMap>,
    /// Those of a higher one are sent first: what `Core::rank_of` says of its terms.
    pub rank: i32,
}

/// A request that was sent and lacks answers.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub pending: Weak<Pending>,
    pub base: usize,
    pub count: usize,
    pub open: Saturating<usize>,
    pub bytes: u64,
    /// Any engine may do it: when this client leaves, it is given up.
    pub balanced: bool,
    /// It is given up already, if no engine has begun it.
    pub unwanted: bool,
    pub function: Option<FunctionName>,
}

impl UnderWay {
    /// The place of the answer at this position among those of the submission; none: there is no such answer.
    pub fn index(&self, position: u32) -> Option<usize> {
        let position = usize::try_from(position).ok().filter(|position| *position < self.count)?;
        self.base.checked_add(position)
    }
}
