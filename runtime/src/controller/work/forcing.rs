//! Engines that are to be ended because somebody aborts what they run. One that is stopped, or hangs, does not hear of it: then its
//! launcher is told, and the task has its answer even if nobody can end it.

use super::{Effect, Work};
use crate::controller::task::{Forced, Place};
use crate::wire::message::Outcome;
use ipclusterz_base::ids::{EngineId, TaskId};
use std::collections::BTreeSet;
use std::time::Duration;

impl Work {
    /// An engine is told to end for these tasks.
    pub(super) fn is_forced(&mut self, engine: EngineId, tasks: &[TaskId], now: Duration) {
        let at = now.saturating_add(self.limits.kill_grace);
        self.forced.extend(tasks.iter().map(|task| Forced { at, engine, task: *task, reported: false }));
    }

    /// When somebody is to be told of one that has not ended, if any.
    pub(super) fn next_forced(&self) -> Option<Duration> {
        self.forced.first().map(|forced| forced.at)
    }

    /// Has launchers end engines that did not end, and gives up those that nobody has ended.
    pub(super) fn look_after_forced(&mut self, now: Duration) {
        let mut hanging = BTreeSet::new();
        while let Some(forced) = self.forced.first().copied().filter(|forced| forced.at <= now) {
            self.forced.pop_first();
            let Forced { engine, task, reported, .. } = forced;
            if self.tasks.get(&task).is_none_or(|state| state.place != Place::At(engine)) {
                continue;
            }
            if reported {
                let why = "it was aborted, and neither its engine nor the launcher has ended the engine (`ipclusterz logs` \
                           has the reason)";
                self.answer(task, Some(engine), Outcome::Lost(why.to_owned()));
            } else {
                hanging.insert(engine);
                let at = now.saturating_add(self.limits.kill_grace);
                self.forced.insert(Forced { at, reported: true, ..forced });
            }
        }
        self.effects.extend(hanging.into_iter().map(Effect::Hangs));
    }
}
