//! What the end of an engine or of a whole set means: whether it was wanted, and whether the set is started again. Pure; a
//! part of [`super::core`].

use super::core::Core;
use super::inputs::{Action, Ending};
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{SetEnd, SetId};
use std::time::{Duration, Instant};

/// How long the process of a local engine may take to exit after the engine has left.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// How long the controller may take to say whether engines of a set that has ended had been told to end.
const WORD_PATIENCE: Duration = Duration::from_secs(3);

impl Core {
    pub(super) fn left(&mut self, id: EngineId, reason: String, now: Instant) -> Vec<Action> {
        self.announcements.forget(id);
        let Some(set) = self.sets.values_mut().find(|set| set.has(id)) else {
            self.ends.left(id, None);
            return vec![Action::Say(reason)];
        };
        let (asked, told) = set.unregister(id);
        self.ends.left(id, Some((set.set.id, asked.unwrap_or(id))));
        let orderly = told || reason.ends_with("was shut down");
        set.left_by_itself = !orderly;
        let nobody_left = set.given_ids().next().is_none();
        if let Some((_, end)) = set.over_with.take_if(|_| nobody_left) {
            set.shut_down |= orderly;
            let set = set.set.id;
            return self.over(set, end, now);
        }
        let is_world = set.set.count > 1 || self.policy.restarts_in_job();
        if self.policy.rank_loss.is_some() && is_world && !orderly && set.is_running() && !set.died {
            let (set, asked) = (set.set.id, asked.unwrap_or(id));
            return self.rank_lost(set, asked, &reason, now);
        }
        if set.is_process_of_one() {
            // The exit of its process says more, if it comes.
            set.shut_down = orderly;
            let patience = if orderly { self.policy.end_timeout } else { END_PATIENCE };
            set.left = set.is_running().then_some((now + patience, reason));
            set.kill_at = (orderly && set.is_running()).then_some(now + patience);
            return Vec::new();
        }
        vec![Action::Say(reason)]
    }

    pub(super) fn ended(&mut self, id: SetId, end: SetEnd, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        self.ends.set_ended(id, set.given_ids(), &end);
        let open = end.orderly && !set.died && !set.is_leaving() && set.given_ids().next().is_some();
        if self.ready && open {
            set.over_with = Some((now + WORD_PATIENCE, end));
            return Vec::new();
        }
        self.over(id, end, now)
    }

    /// A set has ended, and whether its engines had been told to end is known.
    pub(super) fn over(&mut self, id: SetId, end: SetEnd, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let name = set.name();
        if set.is_leaving() {
            self.sets.remove(&id);
            let mut actions = vec![Action::Say(format!("{name} ended"))];
            actions.extend(self.announce(now));
            actions.extend(self.ready_if_complete());
            return actions;
        }
        self.failed |= !(self.ready && set.has_ended_well(&end));
        if !self.ready {
            // Also a set that had registered: a cluster that loses engines while it starts is not what was asked for.
            if set.attempts > self.policy.retries {
                return vec![Action::Finish(Ending::SetFailed(set.set.clone(), end))];
            }
            let again_at = set.over(&end.how, false, now);
            let wait = (again_at - now).as_secs_f64();
            return vec![Action::Say(format!("{name} failed: {}; tried again in {wait:.1} s", end.how))];
        }
        if set.has_ended_well(&end) {
            let were = if set.set.count > 1 { "were" } else { "was" };
            self.sets.remove(&id);
            return vec![Action::Say(format!("{name} {were} shut down"))];
        }
        let mut line = format!("{name} {}", end.told(set.set.count > 1));
        let again = self.policy.again(set, now);
        let then = again.as_ref().unwrap_or_else(|why| why);
        if let Some(policy) = self.policy.on_rank_loss() {
            self.losses.add(set.loss_of_all(&end.how, then, policy), now);
        }
        if !then.is_empty() {
            line.push_str(&format!("; {then}"));
        }
        if again.is_ok() {
            let again_at = set.over(&end.how, self.policy.on_rank_loss().is_some(), now);
            line.push_str(&format!(" in {:.1} s", (again_at - now).as_secs_f64()));
        } else {
            self.sets.remove(&id);
            self.lost = Some(line.clone());
        }
        vec![match end.log {
            Some(log) => Action::SayWithLog(line, log),
            None => Action::Say(line),
        }]
    }
}
