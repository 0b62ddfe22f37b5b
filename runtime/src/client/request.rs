//! A request of this client: before it is sent, and while it waits for its answers.

use super::pending::Pending;
use crate::wire::Frame;
use crate::wire::message::{FunctionName, Op, Placement, Terms};
use crate::wire::part::Packed;
use ipclusterz_base::ids::RequestId;
use std::num::Saturating;
use std::ops::Range;
use std::sync::Weak;

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
    pub terms: Option<Box<Terms>>,
    /// Those of a higher one are sent first; found out when it is submitted.
    pub rank: i32,
}

impl Outgoing {
    /// Those of a higher one are sent first.
    pub fn priority(&self) -> i32 {
        self.terms.as_ref().map_or(0, |terms| terms.priority)
    }

    /// The requests of its session that it waits for, from the first to before the last of a run.
    pub fn parents(&self) -> impl Iterator<Item = Range<RequestId>> {
        let terms = self.terms.iter().flat_map(|terms| [&terms.after, &terms.follow]).flatten();
        let parents = terms.flat_map(|dependency| &dependency.on).filter(|parent| parent.ended.is_none());
        let own = parents.filter(|parent| parent.task.session.is_none());
        own.map(|parent| {
            let first = parent.task.request;
            first..RequestId(first.0.saturating_add(parent.count.into()))
        })
    }
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
