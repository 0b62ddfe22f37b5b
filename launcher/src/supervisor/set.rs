//! The state of one set of engines, as the supervisor knows it.

use super::comebacks::Comebacks;
use super::loss::Restarts;
use super::policy::Policy;
use super::questions::Question;
use super::restart::BackOff;
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::contract::LostEngine;
use ipclusterz_launchers::set::{EngineSet, SetEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How far a set has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its launcher was told to start it; a queue may keep it waiting.
    Waiting,
    /// Its processes have been started.
    Running {
        /// When.
        since: Instant,
    },
    /// It has ended and is to be started again.
    Over {
        /// When it ended.
        ended: Instant,
        /// When to start it.
        again_at: Instant,
    },
}

/// Where an engine is.
#[derive(Debug)]
pub struct Place {
    /// Its host.
    pub host: String,
    /// Its process there.
    pub pid: u32,
}

/// One set.
#[derive(Debug)]
pub struct Set {
    /// Its number and ids.
    pub set: EngineSet,
    /// How far it is.
    pub stage: Stage,
    /// The ids that registered engines were given, by the ids that they asked for: another one if that was taken.
    registered: BTreeMap<EngineId, EngineId>,
    /// The hosts of engines that have registered, by the ids that the engines asked for.
    places: BTreeMap<EngineId, Place>,
    /// Ranks that were lost while the others go on, by the ids that they asked for.
    pub lost: BTreeSet<EngineId>,
    /// Engines that come back one by one while the others go on. Those of a world do not.
    pub comebacks: Comebacks,
    /// Engines that a client has shut down while the others go on, by the ids that they asked for.
    pub shut: BTreeSet<EngineId>,
    /// Engines that a queue keeps waiting while others of the set run, by the ids that they ask for.
    pub queued: BTreeSet<EngineId>,
    /// It belongs to the start of the cluster, which may be good without it.
    pub of_start: bool,
    /// Its start has failed as often as it may, and is tried on because the cluster can do without it.
    pub fails: bool,
    /// The lost engines whose end nobody has explained yet.
    pub unexplained: BTreeMap<EngineId, Question>,
    /// Its restarts, when it is a world.
    pub restarts: Restarts,
    /// How often its job has restarted its ranks. `None` until all have registered, or if jobs do not restart ranks.
    pub in_job: Option<u32>,
    /// Engines that were told to leave, by the ids that they asked for.
    pub leaving: BTreeSet<EngineId>,
    /// Why its only engine left while its process ran, and when to say so. The exit of the process says more, if it
    /// comes first.
    pub left: Option<(Instant, String)>,
    /// Whether its only engine was shut down, so that its end is orderly, however long it takes.
    pub shut_down: bool,
    /// Whether the engine that left last had not been told to.
    pub left_by_itself: bool,
    /// It has ended with 0 while engines of it were registered: how, and until when the controller may say whether these
    /// had been told to end.
    pub over_with: Option<(Instant, SetEnd)>,
    /// It ends because somebody wants it restarted.
    pub restarting: bool,
    /// When to end it, because one of its engines died.
    pub end_at: Option<Instant>,
    /// When to kill it, because it was told to end.
    pub kill_at: Option<Instant>,
    /// Whether one of its engines died, so that the others are ended.
    pub died: bool,
    /// How often it was started.
    pub attempts: u32,
    /// When its launcher last began to start it.
    pub began: Option<Instant>,
    /// What its launcher reported last, and when.
    pub said: Option<(String, Instant)>,
    /// Whether its processes are stopped by whoever runs them.
    pub suspended: bool,
    pid: Option<u32>,
    /// Whether all its engines have registered.
    complete: bool,
    gone: bool,
    back_off: BackOff,
}

impl Set {
    /// A set that is about to be started.
    pub fn new(set: EngineSet) -> Self {
        Self {
            set,
            stage: Stage::Waiting,
            registered: BTreeMap::new(),
            places: BTreeMap::new(),
            lost: BTreeSet::new(),
            comebacks: Comebacks::default(),
            shut: BTreeSet::new(),
            queued: BTreeSet::new(),
            of_start: false,
            fails: false,
            unexplained: BTreeMap::new(),
            restarts: Restarts::default(),
            in_job: None,
            leaving: BTreeSet::new(),
            left: None,
            shut_down: false,
            left_by_itself: false,
            over_with: None,
            restarting: false,
            end_at: None,
            kill_at: None,
            died: false,
            attempts: 0,
            began: None,
            said: None,
            suspended: false,
            pid: None,
            complete: false,
            gone: false,
            back_off: BackOff::default(),
        }
    }

    /// The same set, which has died before.
    pub fn with_back_off(self, back_off: BackOff) -> Self {
        Self { back_off, ..self }
    }

    /// Whether its start has failed before, in the same way.
    pub fn fails_as_before(&self, how: &str) -> bool {
        self.fails && self.said.as_ref().is_some_and(|(said, _)| said == how)
    }

    /// Whether it was never started, and is to be.
    pub fn is_to_come(&self) -> bool {
        self.attempts == 0 && matches!(self.stage, Stage::Over { .. })
    }

    /// Records that its launcher began to start it. If it is a process of this host, it runs already.
    pub fn began(&mut self, pid: Option<u32>, now: Instant) {
        self.attempts += 1;
        (self.pid, self.began) = (pid, Some(now));
        self.stage = if pid.is_some() { Stage::Running { since: now } } else { Stage::Waiting };
    }

    /// Records that it is this process from here on.
    pub fn forked(&mut self, pid: u32, now: Instant) {
        self.pid = Some(pid);
        self.stage = Stage::Running { since: now };
    }

    /// Records what its launcher reports. An empty text is no news.
    pub fn tell(&mut self, text: &str, now: Instant) {
        if !text.is_empty() {
            self.said = Some((text.to_owned(), now));
        }
    }

    /// Records that it has ended and is to be started again; returns when. `counted`: the number of restarts is
    /// limited, so a set that was complete need not back off.
    pub fn over(&mut self, how: &str, counted: bool, now: Instant) -> Instant {
        let since = if let Stage::Running { since } = self.stage { since } else { now };
        if counted && self.complete {
            self.back_off = BackOff::default();
        }
        let again_at = self.back_off.next_start(since, now);
        self.reset(how, now);
        (self.stage, self.in_job) = (Stage::Over { ended: now, again_at }, None);
        again_at
    }

    /// Records that its job goes on and starts its ranks again.
    pub fn restart_in_job(&mut self, how: &str, now: Instant) {
        self.reset(how, now);
        (self.stage, self.in_job) = (Stage::Running { since: now }, self.in_job.map(|times| times + 1));
    }

    fn reset(&mut self, how: &str, now: Instant) {
        self.tell(how, now);
        self.registered.clear();
        self.lost.clear();
        self.unexplained.clear();
        self.queued.clear();
        self.comebacks = Comebacks::default();
        (self.left, self.end_at, self.kill_at, self.died, self.complete) = (None, None, None, false, false);
        (self.shut_down, self.left_by_itself, self.suspended) = (false, false, false);
    }

    /// Whether it is to be started again now. Returns true only once.
    pub fn restart_due(&mut self, now: Instant) -> bool {
        let due = matches!(self.stage, Stage::Over { again_at, .. } if again_at <= now);
        if due {
            self.stage = Stage::Waiting;
        }
        due
    }

    /// `engine 3 (pid 17)`, `engines 4 to 7` or `engines 4 to 7 (big)`.
    pub fn name(&self) -> String {
        let EngineSet { first, count, ref group, .. } = self.set;
        let of_group = group.as_ref().map(|group| format!(" ({group})")).unwrap_or_default();
        match (count, self.pid) {
            (1, Some(pid)) => format!("engine {first} (pid {pid})"),
            (1, None) => format!("engine {first}{of_group}"),
            _ => format!("engines {first} to {}{of_group}", first.0 + count - 1),
        }
    }

    /// Whether it is of this group. Without one, any set is.
    pub fn is_of(&self, group: Option<&str>) -> bool {
        group.is_none_or(|group| self.set.group.as_deref() == Some(group))
    }

    /// `pid 17`.
    pub fn process(&self) -> String {
        self.pid.map_or_else(String::new, |pid| format!("pid {pid}"))
    }

    /// Whether it is one engine, in one process of this host, that has this pid.
    pub fn is_process(&self, pid: u32) -> bool {
        self.is_process_of_one() && self.pid == Some(pid) && self.is_running()
    }

    /// Whether it is one engine in one process of this host.
    pub fn is_process_of_one(&self) -> bool {
        self.set.count == 1 && self.pid.is_some()
    }

    /// Whether its processes have been started and have not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    /// Whether all its engines have been there.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether it is to end, or all its engines that are not lost were told to leave.
    pub fn is_leaving(&self) -> bool {
        self.gone || (!self.leaving.is_empty() && self.remaining().next().is_none())
    }

    /// The engines that are to stay: neither lost nor shut down nor told to leave.
    pub fn remaining(&self) -> impl Iterator<Item = EngineId> {
        let gone = |id: &EngineId| self.lost.contains(id) || self.shut.contains(id) || self.leaving.contains(id);
        self.set.engines().filter(move |id| !gone(id))
    }

    /// Marks it as not needed any more.
    pub fn leave(&mut self) {
        self.gone = true;
    }

    /// Marks its engines that were given one of these ids as leaving.
    pub fn retire(&mut self, given: &[EngineId]) {
        let asked = self.registered.iter().filter(|(_, id)| given.contains(id)).map(|(asked, _)| *asked);
        self.leaving.extend(asked);
    }

    /// Whether an engine that was given this id can be the one of this set that asked for it.
    pub fn awaits(&self, id: EngineId) -> bool {
        !matches!(self.stage, Stage::Over { .. })
            && self.set.engines().any(|own| own == id)
            && self.registered.get(&id).is_none_or(|given| *given == id)
    }

    /// Whether an engine of this set has this id.
    pub fn has(&self, given: EngineId) -> bool {
        self.registered.values().any(|id| *id == given)
    }

    /// The ids that its engines were given.
    pub fn given_ids(&self) -> impl Iterator<Item = EngineId> {
        self.registered.values().copied()
    }

    /// Registers an engine under the id that it was given. Returns false if that is known already.
    pub fn register(&mut self, asked: EngineId, given: EngineId, place: Place, now: Instant) -> bool {
        (self.left, self.left_by_itself, self.fails) = (None, false, false);
        self.places.insert(asked, place);
        // The engine was only out of reach.
        self.lost.remove(&asked);
        self.unexplained.remove(&asked);
        self.queued.remove(&asked);
        self.comebacks.arrived(asked, now);
        // The launcher may learn later than the controller that the set runs.
        if self.stage == Stage::Waiting {
            self.stage = Stage::Running { since: now };
        }
        let news = self.registered.insert(asked, given) != Some(given);
        let all_there = self.missing().next().is_none();
        self.complete |= all_there;
        news
    }

    /// Removes an engine that is not registered any more. Returns the id that it had asked for, and whether it was told
    /// to leave.
    pub fn unregister(&mut self, given: EngineId) -> (Option<EngineId>, bool) {
        let asked = self.registered.iter().find(|(_, id)| **id == given).map(|(asked, _)| *asked);
        let told = asked.is_some_and(|asked| {
            self.registered.remove(&asked);
            self.leaving.contains(&asked)
        });
        (asked, told || self.gone)
    }

    /// The host of the engine that asked for this id.
    pub fn host(&self, asked: EngineId) -> Option<&str> {
        self.places.get(&asked).map(|place| place.host.as_str())
    }

    /// What is to be said of the engine that asked for this id when it is asked how it ended. `here` is this host.
    pub fn lost_engine(&self, asked: EngineId, here: &str) -> LostEngine {
        let place = self.places.get(&asked);
        let pid = place.filter(|place| place.host == here).map(|place| place.pid);
        LostEngine { rank: asked.0 - self.set.first.0, host: place.map(|place| place.host.clone()), pid }
    }

    /// The hosts that engines of it have been on and on which none is any more, nor is to be.
    pub fn hosts_left(&self) -> Vec<String> {
        let stays = |asked: &EngineId| self.registered.contains_key(asked) || self.remaining().any(|id| id == *asked);
        let (there, gone): (Vec<_>, Vec<_>) = self.places.iter().partition(|(asked, _)| stays(asked));
        let there: BTreeSet<&String> = there.into_iter().map(|(_, place)| &place.host).collect();
        let left: BTreeSet<&String> = gone.into_iter().map(|(_, place)| &place.host).collect();
        left.difference(&there).map(|host| (*host).clone()).collect()
    }

    /// Whether the host of the engine that asked for this id is one of these.
    pub fn has_left_host_of(&self, asked: EngineId) -> bool {
        self.host(asked).is_some_and(|host| self.hosts_left().iter().any(|left| left == host))
    }

    /// Whether engines of it leave while others stay.
    pub fn is_shrinking(&self) -> bool {
        !self.leaving.is_empty() && !self.is_leaving()
    }

    /// The engines that have not registered.
    pub fn missing(&self) -> impl Iterator<Item = EngineId> {
        self.set.engines().filter(|id| !self.registered.contains_key(id))
    }

    /// Whether an engine is missing that is neither lost nor leaving.
    pub fn is_missing_engines(&self) -> bool {
        !self.is_leaving() && self.awaited().next().is_some()
    }

    /// The engines that are to stay and have not registered.
    pub fn awaited(&self) -> impl Iterator<Item = EngineId> {
        self.remaining().filter(|id| !self.registered.contains_key(id))
    }

    /// When all its engines must have registered that do not wait in a queue; `None` if none of these is missing, or the
    /// set does not run.
    pub fn deadline(&self, policy: &Policy) -> Option<Instant> {
        match self.stage {
            Stage::Running { since } if self.is_starting() && self.late().next().is_some() => {
                Some(since + policy.timeout)
            }
            _ => None,
        }
    }

    /// Whether engines of it are awaited for the first time since it was started.
    pub fn is_starting(&self) -> bool {
        self.is_missing_engines() && !self.complete
    }

    /// The engines that are to register and do not wait in a queue.
    pub fn late(&self) -> impl Iterator<Item = EngineId> {
        self.awaited().filter(|id| !self.queued.contains(id))
    }

    /// Records which of its engines a queue keeps waiting. Those that it has let go have their time from now on.
    pub fn queue(&mut self, queued: BTreeSet<EngineId>, now: Instant) {
        if let Stage::Running { since } = &mut self.stage
            && self.queued.difference(&queued).next().is_some()
        {
            *since = now;
        }
        self.queued = queued;
    }

    /// The times at which something about this set is due.
    pub fn next_tick(&self, policy: &Policy) -> impl Iterator<Item = Instant> {
        let again_at = if let Stage::Over { again_at, .. } = self.stage { Some(again_at) } else { None };
        let say_at = self.left.as_ref().map(|(say_at, _)| *say_at);
        let word_by = self.over_with.as_ref().map(|(word_by, _)| *word_by);
        let ask_at = self.unexplained.values().map(|question| question.ask_at).min();
        let (comeback, deadline) = (self.comebacks.next_tick(), self.deadline(policy));
        [again_at, say_at, word_by, ask_at, comeback, self.end_at, self.kill_at, deadline].into_iter().flatten()
    }
}
