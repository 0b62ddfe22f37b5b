//! Decides what the launcher does when something happens: a pure state machine, without clock, process or socket.
//!
//! Its unit is the set (see [`ipclusterz_launchers`]): engines that start and end together. `scaling.rs` chooses which
//! engines leave when a cluster shrinks.

use super::announcements::Announcements;
use super::controller_life::ControllerLife;
use super::ends::Ends;
use super::inputs::{Action, Ending, Input};
use super::loss::Losses;
use super::names::{name_engines, took_too_long};
use super::policy::Policy;
use super::scaling::{self, Candidate, CannotRemove};
use super::set::{Set, Stage};
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::rank_loss::RankLoss;
use ipclusterz_launchers::set::{EngineSet, Force, SetEvent, SetId};
use ipclusterz_runtime::wire::message::{EngineEnded, EngineInfo};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a set that is being ended may take before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(3);
/// How often a start that waits for engines says what it waits for.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The state of all sets of a cluster.
#[derive(Debug)]
pub struct Core {
    pub(super) policy: Policy,
    pub(super) sets: BTreeMap<SetId, Set>,
    next_set: u32,
    pub(super) ready: bool,
    /// Ranks and worlds that were lost.
    pub(super) losses: Losses,
    /// How engines ended.
    pub(super) ends: Ends,
    /// Why the set that was lost last is not started again.
    pub(super) lost: Option<String>,
    pub(super) announcements: Announcements,
    /// Whether engines died, did not come, or were killed at their end.
    pub(super) failed: bool,
    pub(super) controller: ControllerLife,
    next_progress: Instant,
}

impl Core {
    /// A cluster without engines.
    pub fn new(policy: Policy, now: Instant) -> Self {
        let controller = ControllerLife::new(policy.restart_controller, policy.listen_patience(), now);
        Self {
            policy,
            sets: BTreeMap::new(),
            next_set: 0,
            ready: false,
            losses: Losses::default(),
            ends: Ends::default(),
            lost: None,
            announcements: Announcements::default(),
            failed: false,
            controller,
            next_progress: now + PROGRESS_INTERVAL,
        }
    }

    /// Whether the cluster has become ready. It stays ready when it loses engines.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Sets what the loss of a rank means, as the launcher of the sets reports it.
    pub fn set_rank_loss(&mut self, rank_loss: Option<RankLoss>) {
        self.policy.rank_loss = rank_loss;
    }

    /// How long engines may take to end once they are told to.
    pub fn end_timeout(&self) -> Duration {
        self.policy.end_timeout
    }

    /// How many engines are wanted: those that are neither lost nor leaving, registered or not.
    pub fn wanted(&self) -> u32 {
        self.staying().map(|set| set.remaining().count() as u32).sum()
    }

    /// The sets that are not leaving. They may be waiting for a restart.
    pub fn staying(&self) -> impl Iterator<Item = &Set> {
        self.sets.values().filter(|set| !set.is_leaving())
    }

    /// All sets, in the order in which they were started.
    pub fn sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.values()
    }

    /// The set with this id.
    pub fn set(&self, id: SetId) -> Option<&Set> {
        self.sets.get(&id)
    }

    /// The name of a set in messages.
    pub fn name_of(&self, id: SetId) -> String {
        self.sets.get(&id).map_or_else(|| format!("set {}", id.0), Set::name)
    }

    /// What the controller is to be told of engines that ended, since the last call.
    pub fn take_words(&mut self) -> Vec<EngineEnded> {
        self.ends.take_words()
    }

    /// When [`Input::Tick`] is due next.
    pub fn next_tick(&self) -> Option<Instant> {
        let progress = (!self.ready && self.sets.values().any(Set::is_missing_engines)).then_some(self.next_progress);
        let of_sets = self.sets.values().flat_map(|set| set.next_tick(&self.policy));
        of_sets.chain(progress).chain(self.announcements.next_tick()).chain(self.controller.next_tick()).min()
    }

    /// Adds `count` engines in sets of `set_size`: the first ones of a cluster, or more later. Returns the actions to
    /// start them.
    pub fn grow(&mut self, count: u32, set_size: u32) -> Vec<Action> {
        let mut left = count;
        let mut actions = Vec::new();
        self.lost = None;
        while left > 0 {
            let size = set_size.clamp(1, left);
            let set = EngineSet { id: SetId(self.next_set), first: self.free_ids(size), count: size };
            self.next_set += 1;
            self.sets.insert(set.id, Set::new(set.clone()));
            actions.push(Action::Start(set));
            left -= size;
        }
        actions
    }

    /// Removes `count` engines, by the rules of [`scaling::choose`]. `load` tells how many tasks an engine has.
    pub fn shrink(&mut self, count: u32, load: impl Fn(EngineId) -> u64) -> Result<Vec<Action>, CannotRemove> {
        let candidates: Vec<Candidate> = self
            .staying()
            .map(|set| Candidate {
                set: set.set.id,
                engines: set.remaining().collect(),
                loads: set.given_ids().map(|given| (given, load(given))).collect(),
            })
            .collect();
        let choice = scaling::choose(&candidates, self.policy.rank_loss.is_some(), count)?;
        let mut actions = Vec::new();
        for set in choice.sets {
            actions.extend(self.end(set, Force::Terminate));
        }
        if !choice.engines.is_empty() {
            for set in self.sets.values_mut() {
                set.retire(&choice.engines);
            }
            actions.push(Action::Retire(choice.engines));
        }
        Ok(actions)
    }

    /// Retires all engines of a set. If none has registered, the set is ended.
    pub fn retire_set(&mut self, id: SetId) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let given: Vec<EngineId> = set.given_ids().collect();
        if given.is_empty() {
            return self.end(id, Force::Terminate);
        }
        set.retire(&given);
        vec![Action::Retire(given)]
    }

    /// Makes the cluster ready if no engine is missing. Without engines, a cluster is ready at once.
    pub fn ready_if_complete(&mut self) -> Vec<Action> {
        if self.ready || self.sets.values().any(Set::is_missing_engines) {
            return Vec::new();
        }
        self.ready = true;
        vec![Action::Ready]
    }

    /// Handles `input`. Returns the actions to carry out, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match input {
            Input::SetStarted { set, pid } => self.started(set, pid, now),
            Input::SetNotStarted(set, end) | Input::Set(set, SetEvent::Ended(end)) => self.ended(set, end, now),
            Input::Set(set, SetEvent::Waiting(reason)) => self.waits(set, reason, now),
            Input::Set(set, SetEvent::StillWaiting(reason)) => self.notes(set, &reason, now),
            Input::Set(set, SetEvent::Running(place)) => self.running(set, &place, now),
            Input::EngineJoined(info) => self.joined(&info, now),
            Input::EngineLeft { id, reason } => self.left(id, reason, now),
            Input::Explained(set, engine, how) => self.explained(set, engine, how, now),
            Input::ControllerSaid(word) => self.controller.said(word, now),
            Input::ControllerReached => {
                self.controller.reached();
                Vec::new()
            }
            Input::ControllerEnded(end) => self.controller.ended(end, now),
            Input::ControllerNotStarted(why) => self.controller.not_started(&why, now),
            Input::ControllerStarted => {
                self.controller.started(now);
                Vec::new()
            }
            Input::Stop(signal) => vec![Action::Finish(Ending::Signal(signal))],
            Input::ParentGone => vec![Action::Finish(Ending::ParentGone)],
            Input::Tick => self.tick(now),
        }
    }

    /// The first of the lowest `count` consecutive ids that no set has.
    fn free_ids(&self, count: u32) -> EngineId {
        let mut taken: Vec<(u32, u32)> =
            self.sets.values().map(|set| (set.set.first.0, set.set.first.0 + set.set.count)).collect();
        taken.sort_unstable();
        let first =
            taken.iter().fold(0, |free, (begin, end)| if free + count <= *begin { free } else { free.max(*end) });
        EngineId(first)
    }

    fn started(&mut self, id: SetId, pid: Option<u32>, now: Instant) -> Vec<Action> {
        if let Some(set) = self.sets.get_mut(&id) {
            set.began(pid, now);
        }
        Vec::new()
    }

    fn waits(&mut self, id: SetId, reason: String, now: Instant) -> Vec<Action> {
        self.notes(id, &reason, now);
        vec![Action::Say(reason)]
    }

    /// Keeps what a set waits for, for who asks.
    fn notes(&mut self, id: SetId, reason: &str, now: Instant) -> Vec<Action> {
        if let Some(set) = self.sets.get_mut(&id) {
            set.tell(reason, now);
        }
        Vec::new()
    }

    fn running(&mut self, id: SetId, place: &str, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        set.stage = Stage::Running { since: now };
        // Why it waited is out of date.
        set.said = None;
        set.tell(place, now);
        if place.is_empty() { Vec::new() } else { vec![Action::Say(format!("{} started: {place}", set.name()))] }
    }

    fn joined(&mut self, info: &EngineInfo, now: Instant) -> Vec<Action> {
        let EngineInfo { id, host, pid, uuid, .. } = info;
        self.ends.joined(*id, uuid);
        let here = *host == self.policy.host;
        // A Python that a wrapper starts has another pid than the wrapper, but asks for the same id.
        let by_pid = self.sets.values().find(|set| here && set.is_process(*pid)).map(|set| (set.set.id, set.set.first));
        let by_id = || self.sets.values().find(|set| set.awaits(*id)).map(|set| (set.set.id, *id));
        let own = by_pid.or_else(by_id);
        let Some((set, asked)) = own.and_then(|(set, asked)| Some((self.sets.get_mut(&set)?, asked))) else {
            return vec![Action::Say(format!("engine {id} has joined from {host} (pid {pid})"))];
        };
        if !set.register(asked, *id, host, now) {
            return Vec::new();
        }
        let mut tell = None;
        if self.policy.restarts_in_job() && set.is_complete() && set.in_job.is_none() {
            set.in_job = Some(0);
            tell = Some(Action::TellJob(set.set.clone(), "all ranks have been there".to_owned()));
        }
        self.announcements.add(info, now);
        let mut actions = self.announce(now);
        actions.extend(tell);
        actions.extend(self.ready_if_complete());
        actions
    }

    /// The announcements of engines that are due.
    pub(super) fn announce(&mut self, now: Instant) -> Vec<Action> {
        let awaited = self.staying().flat_map(Set::awaited).collect();
        self.announcements.lines(&awaited, now).into_iter().map(Action::Say).collect()
    }

    /// Ends a set that is not needed any more.
    fn end(&mut self, id: SetId, force: Force) -> Vec<Action> {
        if let Some(set) = self.sets.get_mut(&id) {
            set.leave();
        }
        vec![Action::End(id, force)]
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = self.controller.tick(now);
        let mut late = Vec::new();
        let mut over = Vec::new();
        for set in self.sets.values_mut() {
            if set.restart_due(now) {
                actions.push(Action::Start(set.set.clone()));
            }
            if set.end_at.take_if(|end_at| *end_at <= now).is_some() {
                set.kill_at = Some(now + KILL_AFTER);
                actions.push(Action::End(set.set.id, Force::Terminate));
            }
            if let Some((_, reason)) = set.left.take_if(|(say_at, _)| *say_at <= now) {
                let process = set.process();
                actions.push(Action::Say(if set.shut_down {
                    let then = took_too_long(false, self.policy.end_timeout);
                    format!("{reason}; its process ({process}) is killed: {then}")
                } else {
                    format!("{reason}; its process ({process}) has not ended")
                }));
            }
            if set.kill_at.take_if(|kill_at| *kill_at <= now).is_some() {
                actions.push(Action::End(set.set.id, Force::Kill));
            }
            let word_late = set.over_with.take_if(|(word_by, _)| *word_by <= now);
            over.extend(word_late.map(|(_, end)| (set.set.id, end)));
            actions.extend(set.questions_about_lost_ranks(now));
            if set.deadline(&self.policy).is_some_and(|deadline| deadline <= now) {
                late.push(set.set.id);
            }
        }
        for (set, end) in over {
            actions.extend(self.over(set, end, now));
        }
        if let Some(set) = late.first().and_then(|id| self.sets.get(id)).filter(|_| !self.ready) {
            let late = Action::Finish(Ending::TimedOut(set.set.clone(), self.missing()));
            return self.announce(now).into_iter().chain([late]).collect();
        }
        self.failed |= !late.is_empty();
        for id in late {
            let Some(set) = self.sets.get(&id) else { continue };
            let missing = name_engines(&set.missing().collect::<Vec<_>>());
            let seconds = self.policy.timeout.as_secs_f64();
            let line = format!("{missing} did not register within {seconds} s; given up");
            self.lost = Some(line.clone());
            actions.push(Action::Say(line));
            actions.extend(self.end(id, Force::Kill));
        }
        actions.extend(self.announce(now));
        actions.extend(self.progress(now));
        actions
    }

    /// Says at intervals what a start waits for.
    fn progress(&mut self, now: Instant) -> Option<Action> {
        if self.ready || now < self.next_progress {
            return None;
        }
        self.next_progress = now + PROGRESS_INTERVAL;
        let running: Vec<&Set> = self.sets.values().filter(|set| set.deadline(&self.policy).is_some()).collect();
        let deadline = running.iter().filter_map(|set| set.deadline(&self.policy)).min()?;
        let missing: Vec<EngineId> = running.iter().flat_map(|set| set.missing()).collect();
        let left = deadline.saturating_duration_since(now).as_secs_f64().ceil();
        Some(Action::Say(format!("waiting for {} to register; {left} s left", name_engines(&missing))))
    }

    /// The engines that have not registered.
    fn missing(&self) -> Vec<EngineId> {
        let mut missing: Vec<EngineId> = self.staying().flat_map(Set::missing).collect();
        missing.sort_unstable();
        missing
    }
}

#[cfg(test)]
mod tests;
