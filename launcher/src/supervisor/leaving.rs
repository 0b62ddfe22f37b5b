//! What the end of an engine or of a whole set means: whether it was wanted, and whether the set is started again. Pure; a
//! part of [`super::core`].

use super::core::Core;
use super::inputs::{Action, Ending};
use super::names::name_engines;
use super::questions::Question;
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{SetEnd, SetId};
use std::collections::BTreeSet;
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
        let orderly = told || set.restarting || reason.ends_with("was shut down");
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
        if told && !set.is_leaving() && set.has_left_host_of(asked.unwrap_or(id)) {
            let vacated = Action::Vacate(set.set.id, set.hosts_left());
            return vec![Action::Say(reason), vacated];
        }
        if set.is_process_of_one() {
            // The exit of its process says more, if it comes.
            set.shut_down = orderly;
            let patience = if orderly { self.policy.end_timeout } else { END_PATIENCE };
            set.left = set.is_running().then_some((now + patience, reason));
            set.kill_at = (orderly && set.is_running()).then_some(now + patience);
            return Vec::new();
        }
        let own_ends = set.set.count > 1 || self.policy.again_in_job;
        if own_ends && self.policy.rank_loss.is_none() && set.is_running() && !told {
            let (set, asked) = (set.set.id, asked.unwrap_or(id));
            return if orderly {
                self.engine_shut(set, asked, reason)
            } else {
                self.engine_lost(set, asked, &reason, now)
            };
        }
        if !orderly && set.is_running() {
            set.unexplained.insert(asked.unwrap_or(id), Question::new(now));
        }
        vec![Action::Say(reason)]
    }

    /// A client has shut down one engine of a set that goes on.
    fn engine_shut(&mut self, id: SetId, asked: EngineId, reason: String) -> Vec<Action> {
        if let Some(set) = self.sets.get_mut(&id) {
            set.shut.insert(asked);
        }
        vec![Action::Say(reason)]
    }

    pub(super) fn ended(&mut self, id: SetId, end: SetEnd, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        self.ends.set_ended(id, set.given_ids(), &end);
        let open = end.orderly && !set.restarting && !set.died && !set.is_leaving() && set.given_ids().next().is_some();
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
        if let Some(actions) = self.restarted(id, now) {
            return actions;
        }
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let well = set.has_ended_well(&end, self.policy.rank_loss.is_some());
        self.failed |= !(self.ready && well);
        if !self.ready {
            return self.start_failed(id, end, now);
        }
        if well {
            let were = if set.set.count > 1 { "were" } else { "was" };
            self.sets.remove(&id);
            return vec![Action::Say(format!("{name} {were} shut down"))];
        }
        let mut line = format!("{name} {}", end.told(set.set.count > 1));
        let known = set.fails_as_before(&end.how);
        set.fails |= self.policy.least > 0 && set.of_start && !set.is_complete();
        let again = self.policy.again(set, now);
        let then = again.as_ref().unwrap_or_else(|why| why).clone();
        self.record_losses(id, &end.how, &then, now);
        if !then.is_empty() {
            line.push_str(&format!("; {then}"));
        }
        match again.ok().and_then(|_| self.start_again(id, &end.how, now)) {
            Some(again_at) => line.push_str(&format!(" in {:.1} s", (again_at - now).as_secs_f64())),
            None => {
                self.sets.remove(&id);
                self.lost = Some(line.clone());
            }
        }
        match end.log {
            // It fails as it did the last time.
            _ if known => Vec::new(),
            Some(log) => vec![Action::SayWithLog(line, log)],
            None => vec![Action::Say(line)],
        }
    }

    /// A set has ended before the cluster was ready. Also one that had registered: a cluster that loses engines while it
    /// starts is not what was asked for.
    fn start_failed(&mut self, id: SetId, end: SetEnd, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get(&id) else { return Vec::new() };
        let fails = set.attempts > self.policy.retries;
        if fails && !self.can_do_without(&set.set.engines().collect()) {
            return vec![Action::Finish(Ending::SetFailed(set.set.clone(), end))];
        }
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let known = set.fails_as_before(&end.how);
        set.fails |= fails;
        let (name, again_at) = (set.name(), set.over(&end.how, false, now));
        let wait = (again_at - now).as_secs_f64();
        let without = if fails { "; the start goes on without (engines.min)" } else { "" };
        let line = format!("{name} failed: {}; tried again in {wait:.1} s{without}", end.how);
        if known { Vec::new() } else { vec![Action::Say(line)] }
    }

    /// Starts a set again that has ended, without those of its engines that are lost or were shut down. Returns when.
    fn start_again(&mut self, id: SetId, how: &str, now: Instant) -> Option<Instant> {
        let counted = self.policy.on_rank_loss().is_some();
        let set = self.sets.get_mut(&id)?;
        if counted || set.remaining().count() == set.set.count as usize {
            return Some(set.over(how, counted, now));
        }
        let set = self.sets.remove(&id)?;
        self.split(set, how, now)
    }

    /// Records how those engines of a set were lost that went with it, and explains the losses of those before.
    fn record_losses(&mut self, id: SetId, how: &str, then: &str, now: Instant) {
        let policy = self.policy.on_rank_loss();
        let Some(set) = self.sets.get(&id) else { return };
        let before: BTreeSet<EngineId> = set.comebacks.coming().chain(set.lost.iter().copied()).collect();
        let mut loss = set.loss_of_all(how, then, policy);
        if policy.is_none() {
            for asked in set.unexplained.keys() {
                self.losses.explain(*asked, how, how);
            }
            loss.engines = set.remaining().filter(|asked| !before.contains(asked)).collect();
            if !before.is_empty() {
                loss.name = name_engines(&loss.engines);
            }
        }
        if !loss.engines.is_empty() {
            self.losses.add(loss, now);
        }
    }
}
