//! What each group does together now, and which communicator it has. Pure.
//!
//! A group begins a request when all its members have ended the one before: so no call of the one meets a call of the
//! other, and all know by then whether they are in step. A collective that some ranks have entered cannot be taken back.
//! So a communicator whose ranks are out of step is given up on all of them, and the next request has another.

use crate::wire::message::Group;
use ipclusterz_base::ids::{EngineId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// By their members, in order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Groups(BTreeMap<Vec<EngineId>, State>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    epoch: u64,
    /// How often its communicator was made anew.
    renewal: u64,
    /// The first tasks of the last request that its members were given, and of the one before that, while they have not
    /// all ended it.
    last: Option<TaskId>,
    before: Option<TaskId>,
}

impl Groups {
    /// Nobody does anything together, and no communicator was made anew.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A member is given its part of a request that begins with the task `first`: the group as it is told of it.
    pub fn given(&mut self, engines: &[EngineId], group: Group, first: TaskId, position: u32) -> Group {
        let state = self.0.entry(engines.to_vec()).or_default();
        if state.epoch != group.epoch {
            *state = State { epoch: group.epoch, ..State::default() };
        }
        if state.last != Some(first) {
            state.before = state.last.replace(first);
        }
        let part = |first: TaskId| TaskId(first.0.saturating_add(u64::from(position)));
        Group { renewal: state.renewal, behind: state.before.map(part), ..group }
    }

    /// All have ended a request, or are gone; `given_up`: its communicator is not to be used again. The number of the
    /// next one, if members wait to be told.
    pub fn ended(&mut self, engines: &[EngineId], epoch: u64, first: TaskId, given_up: bool) -> Option<u64> {
        let state = self.0.get_mut(engines).filter(|state| state.epoch == epoch)?;
        state.renewal = state.renewal.saturating_add(u64::from(given_up));
        state.before.take_if(|before| *before == first);
        let waits = state.last.take_if(|last| *last == first).is_none();
        let renewal = state.renewal;
        if state.last.is_none() && renewal == 0 {
            self.0.remove(engines);
        }
        (waits || given_up).then_some(renewal)
    }

    /// An engine is gone, and with it the epoch of its groups.
    pub fn forget(&mut self, engine: EngineId) {
        self.0.retain(|engines, state| state.last.is_some() || !engines.contains(&engine));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINES: [EngineId; 2] = [EngineId(4), EngineId(2)];

    fn given(groups: &mut Groups, epoch: u64, first: u64) -> (u64, [Option<u64>; 2]) {
        let group = || Group { epoch, ranks: vec![1, 0], timeout: None, renewal: 0, behind: None };
        let told = [0, 1].map(|position| groups.given(&ENGINES, group(), TaskId(first), position));
        assert_eq!(told[0].renewal, told[1].renewal);
        (told[0].renewal, told.map(|group| group.behind.map(|task| task.0)))
    }

    #[test]
    fn a_request_waits_for_the_one_before() {
        let mut groups = Groups::default();
        assert_eq!(given(&mut groups, 1, 10), (0, [None, None]));
        assert_eq!(given(&mut groups, 1, 20), (0, [Some(10), Some(11)]));
        assert_eq!(groups.ended(&ENGINES, 1, TaskId(10), true), Some(1), "those behind it are told");
        assert_eq!(given(&mut groups, 1, 30), (1, [Some(20), Some(21)]));
        assert_eq!(groups.ended(&ENGINES, 1, TaskId(20), false), Some(1));
        assert_eq!(groups.ended(&ENGINES, 1, TaskId(30), false), None, "nobody waits");
        assert_eq!(given(&mut groups, 1, 40), (1, [None, None]));
    }

    #[test]
    fn each_epoch_counts_for_itself_and_nothing_is_kept_of_what_went_well() {
        let mut groups = Groups::default();
        given(&mut groups, 1, 10);
        assert_eq!(groups.ended(&ENGINES, 1, TaskId(10), true), Some(1));
        assert_eq!(given(&mut groups, 2, 20), (0, [None, None]));
        assert_eq!(groups.ended(&ENGINES, 1, TaskId(10), true), None, "of another epoch");
        assert_eq!(groups.ended(&ENGINES, 2, TaskId(20), false), None);
        assert!(groups.is_empty());
        given(&mut groups, 2, 30);
        assert_eq!(groups.ended(&ENGINES, 2, TaskId(30), true), Some(1));
        groups.forget(EngineId(2));
        assert!(groups.is_empty());
    }
}
