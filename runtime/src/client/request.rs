//! A request of this client: as it waits to be sent, and as it waits for its answers.

use super::pending::Pending;
use crate::ids::RequestId;
use crate::wire::Frame;
use crate::wire::message::{FunctionName, Op, Placement};
use crate::wire::part::Packed;
use std::sync::Weak;

/// One request on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// Its number.
    pub id: RequestId,
    /// Who is to do it.
    pub placement: Placement,
    /// What to do.
    pub op: Op,
    /// The function to call, and its code.
    pub function: Option<(FunctionName, Frame)>,
    /// The payload.
    pub packed: Packed,
    /// Where its answers go.
    pub pending: Weak<Pending>,
    /// Index there of its first answer.
    pub base: usize,
    /// How many answers it gets.
    pub count: usize,
    /// The engines do it together.
    pub collective: bool,
}

/// A request that was sent and lacks answers.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub pending: Weak<Pending>,
    pub base: usize,
    pub count: usize,
    pub open: usize,
    pub bytes: u64,
}
