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
use super::set::{Place, Set, Stage};
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::rank_loss::RankLoss;
use ipclusterz_launchers::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use ipclusterz_runtime::wire::message::{EngineEnded, EngineInfo};
use std::collections::{BTreeMap, BTreeSet};
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

    /// Sets what the loss of a rank means, and whether jobs start single engines again, as the launcher of the sets
    /// reports it. A world needs all its ranks.
    pub fn set_ways_back(&mut self, rank_loss: Option<RankLoss>, again_in_job: bool) {
        if rank_loss.is_some() {
            self.policy.least = 0;
        }
        (self.policy.rank_loss, self.policy.again_in_job) = (rank_loss, again_in_job);
    }

    /// How long engines may take to end once they are told to.
    pub fn end_timeout(&self) -> Duration {
        self.policy.end_timeout
    }

    /// How many engines are wanted: those that are neither lost nor leaving, registered or not.
    pub fn wanted(&self) -> u32 {
        self.staying().map(|set| set.remaining().count() as u32).sum()
    }

    /// How many of these are of a group; without one all.
    pub fn wanted_of(&self, group: Option<&str>) -> u32 {
        self.staying().filter(|set| set.is_of(group)).map(|set| set.remaining().count() as u32).sum()
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
        let queues = self.sets.values().filter_map(|set| self.queue_deadline(set));
        of_sets
            .chain(queues)
            .chain(progress)
            .chain(self.announcements.next_tick())
            .chain(self.controller.next_tick())
            .min()
    }

    /// Adds `count` engines in sets of `set_size`: the first ones of a cluster, or more later. Returns the actions to
    /// start them.
    pub fn grow(&mut self, count: u32, set_size: u32) -> Vec<Action> {
        self.grow_group(None, count, set_size)
    }

    /// The same, of a group.
    pub fn grow_group(&mut self, group: Option<&str>, count: u32, set_size: u32) -> Vec<Action> {
        let mut left = count;
        let mut actions = Vec::new();
        self.lost = None;
        while left > 0 {
            let size = set_size.clamp(1, left);
            let set = EngineSet {
                id: self.next_set(),
                first: self.free_ids(size),
                count: size,
                group: group.map(str::to_owned),
            };
            let mut new = Set::new(set.clone());
            new.of_start = !self.ready;
            self.sets.insert(set.id, new);
            actions.push(Action::Start(set));
            left -= size;
        }
        actions
    }

    /// The number of a new set.
    pub(super) fn next_set(&mut self) -> SetId {
        let next = SetId(self.next_set);
        self.next_set += 1;
        next
    }

    /// Removes `count` engines: first those that come back one by one and are not there yet, then by the rules of [`scaling::choose`]. `load` tells how many tasks an engine has.
    pub fn shrink(&mut self, count: u32, load: impl Fn(EngineId) -> u64) -> Result<Vec<Action>, CannotRemove> {
        self.shrink_group(None, count, load)
    }

    /// The same, of a group.
    pub fn shrink_group(
        &mut self,
        group: Option<&str>,
        count: u32,
        load: impl Fn(EngineId) -> u64,
    ) -> Result<Vec<Action>, CannotRemove> {
        let count = count - self.do_without_comebacks(group, count);
        let candidates: Vec<Candidate> = self
            .staying()
            .filter(|set| set.is_of(group))
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
        let there: usize = self.sets.values().map(|set| set.given_ids().count()).sum();
        let enough = self.policy.least > 0 && there >= self.policy.least as usize;
        if self.ready || (!enough && self.sets.values().any(Set::is_missing_engines)) {
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
            Input::Set(set, SetEvent::Partly(queued, why)) => self.partly(set, &queued, &why, now),
            Input::Set(set, SetEvent::Running(place)) => self.running(set, &place, now),
            Input::Set(set, SetEvent::Forked(pid)) => self.forked(set, pid, now),
            Input::Set(set, SetEvent::Suspended(why)) => self.suspended(set, true, &why, now),
            Input::Set(set, SetEvent::Resumed(place)) => self.suspended(set, false, &place, now),
            Input::Set(set, SetEvent::News(text)) => self.waits(set, text, now),
            Input::Set(_, SetEvent::Vacated(words)) => vec![Action::Say(words)],
            Input::EngineJoined(info) => self.joined(&info, now),
            Input::EngineLeft { id, reason } => self.left(id, reason, now),
            Input::EngineHangs(id) => self.hangs(id),
            Input::Explained(set, engine, how) => self.explained(set, engine, how, now),
            Input::ParentSaid(set, engine, how) => self.parent_said(set, engine, how, now),
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
            Input::TakenOver => vec![Action::Finish(Ending::TakenOver)],
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

    fn forked(&mut self, id: SetId, pid: u32, now: Instant) -> Vec<Action> {
        if let Some(set) = self.sets.get_mut(&id) {
            set.forked(pid, now);
        }
        Vec::new()
    }

    /// Some engines of a set wait in the queue while others run.
    fn partly(&mut self, id: SetId, queued: &[u32], why: &str, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let first = set.set.first.0;
        set.queue(queued.iter().map(|index| EngineId(first.saturating_add(*index))).collect(), now);
        set.tell(why, now);
        Vec::new()
    }

    /// The processes of a set have been stopped, or go on.
    fn suspended(&mut self, id: SetId, suspended: bool, text: &str, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        set.suspended = suspended;
        set.tell(text, now);
        let on = if suspended { "" } else { " again" };
        vec![Action::Say(format!("{}: {text}{on}", set.name()))]
    }

    fn joined(&mut self, info: &EngineInfo, now: Instant) -> Vec<Action> {
        let EngineInfo { id, host, pid, uuid, .. } = info;
        self.ends.joined(*id, uuid);
        let here = *host == self.policy.host;
        // A Python that a wrapper starts has another pid than the wrapper, but asks for the same id.
        let by_pid = self.sets.values().find(|set| here && set.is_process(*pid)).map(|set| (set.set.id, set.set.first));
        // One that was taken for lost may still have the id.
        let known = |set: &&Set| set.awaits(*id);
        let awaited = self.sets.values().find(|set| known(set) && !set.lost.contains(id));
        let by_id = || awaited.or_else(|| self.sets.values().find(known)).map(|set| (set.set.id, *id));
        let own = by_pid.or_else(by_id);
        let Some((set, asked)) = own.and_then(|(set, asked)| Some((self.sets.get_mut(&set)?, asked))) else {
            return vec![Action::Say(format!("engine {id} has joined from {host} (pid {pid})"))];
        };
        if !set.register(asked, *id, Place { host: host.clone(), pid: *pid }, now) {
            return Vec::new();
        }
        let id_of_set = set.set.id;
        self.sets.retain(|_, other| !(other.is_to_come() && (other.set.first, other.set.count) == (asked, 1)));
        let Some(set) = self.sets.get_mut(&id_of_set) else { return Vec::new() };
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
            actions.extend(set.questions(&self.policy.host, now));
            if set.deadline(&self.policy).is_some_and(|deadline| deadline <= now) {
                late.push(set.set.id);
            }
        }
        for (set, end) in over {
            actions.extend(self.over(set, end, now));
        }
        actions.extend(self.bring_back(now));
        if let Some(end) = self.start_is_over(&late, now) {
            return self.announce(now).into_iter().chain([Action::Finish(end)]).collect();
        }
        self.failed |= !late.is_empty();
        for id in late {
            let Some(set) = self.sets.get(&id) else { continue };
            let missing = name_engines(&set.late().collect::<Vec<_>>());
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

    /// Why a start has no time left, if it has none: engines of these sets are late, or others have waited in a queue for
    /// too long.
    fn start_is_over(&self, late: &[SetId], now: Instant) -> Option<Ending> {
        if self.ready {
            return None;
        }
        let late: Vec<&Set> = late.iter().filter_map(|id| self.sets.get(id)).collect();
        let missing: BTreeSet<EngineId> = late.iter().flat_map(|set| set.late()).collect();
        if let Some(set) = late.first().filter(|_| !self.can_do_without(&missing)) {
            return Some(Ending::TimedOut(set.set.clone(), self.missing()));
        }
        let queued = self.sets.values().find(|set| self.queue_deadline(set).is_some_and(|deadline| deadline <= now))?;
        let why = queued.said.as_ref().map(|(said, _)| said.clone()).unwrap_or_default();
        let failure = Failure::new(Exit::StartFailed, format!("waited too long (batch.queue_timeout): {why}"));
        let hint = "with engines.min a start is good with fewer, and the others join as they come";
        Some(Ending::SetFailed(queued.set.clone(), SetEnd::not_started(failure.with_hint(hint))))
    }

    /// Until when a start waits for those engines of a set that a queue holds back while others run.
    fn queue_deadline(&self, set: &Set) -> Option<Instant> {
        let needed = !self.ready && !set.queued.is_empty() && !self.can_do_without(&set.queued);
        Some(set.began.filter(|_| needed)? + self.policy.queue_timeout?)
    }

    /// Says at intervals what a start waits for.
    fn progress(&mut self, now: Instant) -> Option<Action> {
        if self.ready || now < self.next_progress {
            return None;
        }
        self.next_progress = now + PROGRESS_INTERVAL;
        let running: Vec<&Set> = self.sets.values().filter(|set| set.deadline(&self.policy).is_some()).collect();
        let deadline = running.iter().filter_map(|set| set.deadline(&self.policy)).min()?;
        let missing: Vec<EngineId> = running.iter().flat_map(|set| set.late()).collect();
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
mod group_tests;
#[cfg(test)]
pub(super) mod tests;
