//! Brings back single engines of a set that goes on without them: in its job where that can start them again, else in a
//! set of their own. Pure; a part of [`super::core`]. The ranks of a world are no such engines, see [`super::world`].

use super::core::Core;
use super::inputs::{Action, Ending};
use super::questions::Question;
use super::restart::BackOff;
use super::set::{Set, Stage};
use crate::report::progress::Loss;
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{EngineSet, SetEnd, SetId};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a set of lost engines waits for others that were lost with them, such as those of one node.
const GATHER: Duration = Duration::from_secs(1);

impl Core {
    /// Handles the loss of an engine that was not told to leave, and whose set goes on.
    pub(super) fn engine_lost(&mut self, id: SetId, asked: EngineId, reason: &str, now: Instant) -> Vec<Action> {
        self.failed = true;
        let (wanted, brings_back) = (self.wanted(), self.policy.restart);
        let dispensable = self.ready || brings_back || self.can_do_without(&BTreeSet::from([asked]));
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        if !dispensable {
            return vec![Action::Finish(Ending::SetFailed(set.set.clone(), SetEnd::new(false, reason, None)))];
        }
        set.unexplained.insert(asked, Question::new(now));
        let then = if brings_back {
            set.comebacks.begin(asked, reason, now);
            set.tell(&format!("{reason}; started again"), now);
            "started again".to_owned()
        } else {
            set.lost.insert(asked);
            format!("not started again (engines.restart = false); `ipclusterz scale {wanted}` starts another")
        };
        let host = set.host(asked).map(str::to_owned);
        self.losses.add(Loss::of_engine(asked, host, reason, &then), now);
        let mut actions = vec![Action::Say(format!("{reason}; {then}"))];
        actions.extend(self.ready_if_complete());
        actions
    }

    /// Handles how an engine ended, as its parent in the job says: that starts it again.
    pub(super) fn parent_said(&mut self, id: SetId, asked: EngineId, how: String, now: Instant) -> Vec<Action> {
        if let Some(set) = self.sets.get_mut(&id) {
            set.comebacks.explained(asked, &how, now);
        }
        self.explained(id, asked, Some(how), now)
    }

    /// Handles that the job of such an engine does not start it again: how it ended is known, but not from there, or nobody
    /// knows it.
    pub(super) fn not_in_job(&mut self, id: SetId, asked: EngineId, now: Instant) {
        if self.sets.get(&id).is_some_and(|set| set.comebacks.is_asked_about(asked)) {
            self.in_own_set(id, asked, now);
        }
    }

    /// Tells jobs which engines to start again, and gives up those that they did not.
    pub(super) fn bring_back(&mut self, now: Instant) -> Vec<Action> {
        let patience = self.policy.timeout;
        let (mut actions, mut late) = (Vec::new(), Vec::new());
        for set in self.sets.values_mut() {
            let (told, not_come) = set.comebacks.tick(patience, now);
            let tell = |(asked, how)| Action::TellJob(set.set.clone(), format!("engine {asked}: {how}"));
            actions.extend(told.into_iter().map(tell));
            late.extend(not_come.into_iter().map(|asked| (set.set.id, asked)));
        }
        for (id, asked) in late {
            actions.push(Action::Say(format!("engine {asked} did not come back in its job")));
            self.in_own_set(id, asked, now);
        }
        actions
    }

    /// Gives up so many engines at most that come back and are not there yet. Returns how many.
    pub(super) fn do_without_comebacks(&mut self, group: Option<&str>, most: u32) -> u32 {
        let mut left = most;
        for set in self.sets.values_mut().filter(|set| set.is_of(group)) {
            let coming: Vec<EngineId> = set.comebacks.coming().take(left as usize).collect();
            for asked in coming {
                set.comebacks.give_up(asked);
                set.lost.insert(asked);
                left -= 1;
            }
        }
        most - left
    }

    /// Gives a lost engine to a set of its own, which is started in a moment, together with neighbours that are lost in
    /// the meantime.
    fn in_own_set(&mut self, id: SetId, asked: EngineId, now: Instant) {
        let Some(set) = self.sets.get_mut(&id) else { return };
        let Some(mut back_off) = set.comebacks.give_up(asked) else { return };
        set.lost.insert(asked);
        if !self.policy.own_jobs {
            return;
        }
        let group = set.set.group.clone();
        let fits = |set: &&mut Set| set.is_to_come() && set.set.group == group && set.set.is_next_to(asked);
        let neighbour = self.sets.values_mut().find(fits);
        if let Some(neighbour) = neighbour {
            neighbour.set = neighbour.set.with(asked);
            return;
        }
        let again_at = back_off.next_start(now, now).max(now + GATHER);
        self.add_set_to_come(EngineSet { id: SetId(0), first: asked, count: 1, group }, back_off, again_at, now);
    }

    /// Starts what is left of a set that has ended, each run of ids as a set of its own. Returns when.
    pub(super) fn split(&mut self, set: Set, how: &str, now: Instant) -> Option<Instant> {
        let mut runs: Vec<EngineSet> = Vec::new();
        for asked in set.remaining() {
            match runs.last_mut().filter(|run| run.is_next_to(asked)) {
                Some(run) => *run = run.with(asked),
                None => runs.push(EngineSet { first: asked, count: 1, ..set.set.clone() }),
            }
        }
        let again_at = now + GATHER;
        for run in &runs {
            let added = self.add_set_to_come(run.clone(), BackOff::default(), again_at, now);
            added.tell(how, now);
        }
        runs.first().map(|_| again_at)
    }

    fn add_set_to_come(&mut self, set: EngineSet, back_off: BackOff, again_at: Instant, now: Instant) -> &mut Set {
        let id = self.next_set();
        let mut set = Set::new(EngineSet { id, ..set }).with_back_off(back_off);
        set.stage = Stage::Over { ended: now, again_at };
        self.sets.entry(id).or_insert(set)
    }

    /// Whether a start goes on without these engines: there are, or may come, as many others as it needs.
    pub(super) fn can_do_without(&self, engines: &BTreeSet<EngineId>) -> bool {
        let of_set = |set: &Set| set.remaining().filter(|id| !engines.contains(id)).count();
        let others: usize = self.staying().filter(|set| !set.fails).map(of_set).sum();
        self.policy.least > 0 && others >= self.policy.least as usize
    }
}

#[cfg(test)]
mod tests;
