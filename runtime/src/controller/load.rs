//! Which engine is given the next balanced task. Knows counts and durations; not tasks themselves.
//!
//! An engine is *open* while it has fewer tasks than its prefetch allows. Which of the open ones is next, the [`Scheme`] says: the one
//! with the fewest, if nothing else is wanted; where several have as few, they have turns.
//! Unless it is given, the prefetch covers about 2 ms of work by the engine's recent durations, so that short tasks do not wait for
//! a round trip each, and a long task has nothing queued behind it. Where the guess was wrong (the head has been
//! running for [`STUCK`]), what was prefetched is taken back and goes to others.

use super::scheme::{Scheme, scattered};
use crate::wire::message::Resources;
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::Saturating;
use std::time::Duration;

/// A head task that runs for longer than this is long: nothing should wait behind it.
pub const STUCK: Duration = Duration::from_millis(10);
/// How much work, by recent durations, an engine should have at hand.
const AHEAD: f64 = 0.002;
/// Most tasks at one engine, however short they are.
const PREFETCH_MAX: usize = 32;
/// Lots of an idle engine, where engines are drawn by lot.
const WEIGHTS: u64 = 5040;
/// Weight of the newest duration in the running average.
const NEWEST: f64 = 0.3;

/// What one engine has to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    /// Its process: an engine's id may be given to another one later.
    pub peer: PeerId,
    /// Tasks given to it and not answered, oldest first; the first is running or about to.
    pub outstanding: VecDeque<TaskId>,
    /// When the first of them became the first.
    head_since: Duration,
    /// Running average of durations, seconds.
    average: Option<f64>,
    /// Its head turned out to be long: what was behind it was taken back, and nothing comes until it ends.
    held_back: bool,
    /// Its process has ended, though it is still registered.
    over: bool,
    /// It has no connection.
    away: bool,
    /// Tasks answered.
    pub completed: Saturating<u64>,
    /// Its end, as far as it is known.
    pub horizon: Horizon,
    /// What it offers to tasks.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub offers: Resources,
    /// How many tasks had been given to engines when it was given its last one.
    #[serde(default)]
    last_given: u64,
}

/// Until when an engine takes what.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Horizon {
    /// When it will be ended from outside.
    pub end: Option<Duration>,
    /// How long before that it takes no task whose duration is not stated.
    pub drain_before: Duration,
    /// It is to end when it has done what it has.
    pub retiring: bool,
}

impl Horizon {
    /// Whether it takes a balanced task now, which will take so long if that was stated.
    pub fn takes(&self, duration: Option<Duration>, now: Duration) -> bool {
        let in_time = |end: Duration| match duration {
            Some(duration) => now.saturating_add(duration) <= end,
            None => now.saturating_add(self.drain_before) < end,
        };
        !self.retiring && self.end.is_none_or(in_time)
    }
}

impl Load {
    fn new(peer: PeerId, horizon: Horizon, offers: Resources) -> Self {
        let (outstanding, head_since) = Default::default();
        let completed = Saturating(0);
        Load {
            peer,
            outstanding,
            head_since,
            average: None,
            held_back: false,
            over: false,
            away: false,
            completed,
            horizon,
            offers,
            last_given: 0,
        }
    }

    /// For how long its first task has been the first, unless it has already done all up to `last`.
    pub fn busy_until(&self, last: TaskId, now: Duration) -> Option<Duration> {
        self.outstanding.contains(&last).then(|| now.saturating_sub(self.head_since))
    }

    /// Seconds until it has done what it has: a long task takes as long again as it has run, and others what tasks took here.
    #[allow(clippy::cast_precision_loss, reason = "a guess")]
    fn time_left(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.head_since);
        let average = self.average.unwrap_or_else(|| STUCK.as_secs_f64());
        let long = if self.held_back || age >= STUCK { age.as_secs_f64() } else { 0.0 };
        if self.outstanding.is_empty() { 0.0 } else { long + average * self.outstanding.len() as f64 }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    fn prefetch(&self) -> usize {
        match self.average {
            Some(average) if average < STUCK.as_secs_f64() => {
                // An average of 0 gives the maximum.
                ((AHEAD / average).ceil() as usize).saturating_add(1).clamp(2, PREFETCH_MAX)
            }
            _ => 1,
        }
    }

    /// `ahead`: how many tasks may wait behind the one that runs, if that is not for us to say.
    fn is_open(&self, ahead: Option<u32>) -> bool {
        let most = ahead.map_or_else(|| self.prefetch(), |ahead| (ahead as usize).saturating_add(1));
        !self.held_back && self.serves() && self.outstanding.len() < most
    }

    /// Why it takes no balanced tasks now, for people; none: it does.
    pub fn state_in_words(&self) -> Option<&'static str> {
        match self {
            Load { over: true, .. } => Some("has ended"),
            Load { away: true, .. } => Some("has no connection"),
            Load { horizon: Horizon { retiring: true, .. }, .. } => Some("is being retired"),
            Load { horizon: Horizon { end: Some(_), .. }, .. } => Some("ends too soon, or is busy"),
            _ => None,
        }
    }

    /// Whether it takes balanced tasks, when it has room for one.
    fn serves(&self) -> bool {
        !self.over && !self.away && !self.horizon.retiring
    }
}

/// All engines that take work.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Loads {
    loads: BTreeMap<EngineId, Load>,
    open: BTreeSet<(usize, EngineId)>,
    /// Engines with something behind their head that may have to be taken back.
    stacked: BTreeSet<EngineId>,
    /// Behind the engine that was given the last task: whose turn it is where several have as little to do.
    #[serde(default)]
    turn: EngineId,
    /// How many tasks were given to engines.
    #[serde(default)]
    given: Saturating<u64>,
    #[serde(default)]
    scheme: Scheme,
    #[serde(default)]
    ahead: Option<u32>,
}

impl Loads {
    /// Tasks are given by this scheme from now on; `ahead`: so many wait at an engine behind the one that runs.
    pub fn set_scheme(&mut self, scheme: Scheme, ahead: Option<u32>) {
        (self.scheme, self.ahead) = (scheme, ahead);
        let engines: Vec<EngineId> = self.loads.keys().copied().collect();
        for engine in engines {
            self.update(engine, |_| ());
        }
    }

    /// An engine takes work from now on.
    pub fn insert(&mut self, engine: EngineId, peer: PeerId, horizon: Horizon, offers: Resources) {
        self.loads.insert(engine, Load::new(peer, horizon, offers));
        self.open.insert((0, engine));
    }

    /// An engine is gone; what it had, oldest first.
    pub fn remove(&mut self, engine: EngineId) -> VecDeque<TaskId> {
        let Some(load) = self.loads.remove(&engine) else { return VecDeque::new() };
        self.open.remove(&(load.outstanding.len(), engine));
        self.stacked.remove(&engine);
        load.outstanding
    }

    /// What an engine has to do.
    pub fn get(&self, engine: EngineId) -> Option<&Load> {
        self.loads.get(&engine)
    }

    /// All engines that take work.
    pub fn engines(&self) -> impl Iterator<Item = EngineId> {
        self.loads.keys().copied()
    }

    /// How many engines take work.
    pub fn len(&self) -> usize {
        self.loads.len()
    }

    /// No engine takes work.
    pub fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    /// Changes an engine's load and keeps the indexes true.
    fn update<T>(&mut self, engine: EngineId, change: impl FnOnce(&mut Load) -> T) -> Option<T> {
        let load = self.loads.get_mut(&engine)?;
        self.open.remove(&(load.outstanding.len(), engine));
        let result = change(load);
        if load.is_open(self.ahead) {
            self.open.insert((load.outstanding.len(), engine));
        }
        // So many are to wait behind a long task, too, if the user says so.
        if load.outstanding.len() > 1 && !load.held_back && self.ahead.is_none() {
            self.stacked.insert(engine);
        } else {
            self.stacked.remove(&engine);
        }
        Some(result)
    }

    /// Some engine may be given a balanced task.
    pub fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The engine for the next balanced task, of those that are `allowed`.
    pub fn next(&self, allowed: impl Fn(EngineId) -> bool) -> Option<EngineId> {
        let lots = |load: &Load| WEIGHTS.checked_div((load.outstanding.len() as u64).saturating_add(1)).unwrap_or(1);
        match self.scheme {
            Scheme::LeastLoad => self.least(allowed),
            Scheme::Lru => self.open_and(allowed).min_by_key(|(_, load)| load.last_given).map(|(engine, _)| engine),
            Scheme::Random => self.drawn(allowed, |_| 1),
            Scheme::Weighted => self.drawn(allowed, lots),
            Scheme::Pure => {
                let from_turn = |engine: EngineId| (engine < self.turn, engine);
                self.open_and(allowed).map(|(engine, _)| engine).min_by_key(|engine| from_turn(*engine))
            }
        }
    }

    fn open_and(&self, allowed: impl Fn(EngineId) -> bool) -> impl Iterator<Item = (EngineId, &Load)> {
        let open = self.open.iter().map(|(_, engine)| *engine).filter(move |engine| allowed(*engine));
        open.filter_map(|engine| Some((engine, self.loads.get(&engine)?)))
    }

    /// One that is drawn by lot: each has so many of them.
    fn drawn(&self, allowed: impl Fn(EngineId) -> bool, lots: impl Fn(&Load) -> u64) -> Option<EngineId> {
        let those: Vec<(EngineId, u64)> =
            self.open_and(allowed).map(|(engine, load)| (engine, lots(load).max(1))).collect();
        let all = those.iter().map(|(_, lots)| lots).fold(0_u64, |all, lots| all.saturating_add(*lots));
        let mut left = scattered(self.given.0).checked_rem(all)?;
        let drawn = those.iter().find(|(_, lots)| {
            let found = left < *lots;
            left = left.saturating_sub(*lots);
            found
        });
        drawn.map(|(engine, _)| *engine)
    }

    /// Whether this engine has nothing to do.
    pub fn is_idle(&self, engine: EngineId) -> bool {
        self.loads.get(&engine).is_some_and(|load| load.outstanding.is_empty())
    }

    /// The engine that will be idle first, as far as that can be guessed, of those that are `allowed`, open or not.
    pub fn soonest_idle(&self, now: Duration, allowed: impl Fn(EngineId) -> bool) -> Option<EngineId> {
        let those = self.loads.iter().filter(|(engine, load)| load.serves() && allowed(**engine));
        let time = |load: &Load| load.time_left(now);
        those.min_by(|(_, one), (_, other)| time(one).total_cmp(&time(other))).map(|(engine, _)| *engine)
    }

    /// The open engine with the fewest tasks, of those that are `allowed`.
    fn least(&self, allowed: impl Fn(EngineId) -> bool) -> Option<EngineId> {
        let mut from = 0;
        while let Some((count, _)) = self.open.range((from, EngineId(0))..).next() {
            // Those whose turn is next, then round to them.
            let (first, turn, end) = ((*count, EngineId(0)), (*count, self.turn), (*count, EngineId(u32::MAX)));
            let mut next = self.open.range(turn..=end).chain(self.open.range(first..turn));
            if let Some((_, engine)) = next.find(|(_, engine)| allowed(*engine)) {
                return Some(*engine);
            }
            from = count.saturating_add(1);
        }
        None
    }

    /// A task was given to an engine.
    pub fn give(&mut self, engine: EngineId, task: TaskId, now: Duration) {
        self.turn = EngineId(engine.0.wrapping_add(1));
        self.given += 1;
        let given = self.given.0;
        self.update(engine, |load| {
            load.last_given = given;
            if load.outstanding.is_empty() {
                load.head_since = now;
            }
            load.outstanding.push_back(task);
        });
    }

    /// A task was answered after `seconds` of work, or given back (`None`). False: the engine did not have it.
    pub fn take(&mut self, engine: EngineId, task: TaskId, seconds: Option<f64>, now: Duration) -> bool {
        self.update(engine, |load| {
            let Some(index) = load.outstanding.iter().position(|other| *other == task) else { return false };
            load.outstanding.remove(index);
            if index == 0 {
                load.head_since = now;
                load.held_back = false;
            }
            if let Some(seconds) = seconds {
                let newest = seconds.max(0.0);
                load.average = Some(load.average.map_or(newest, |old| old + NEWEST * (newest - old)));
                load.completed += 1;
            }
            true
        })
        .unwrap_or(false)
    }

    /// Nothing is to stand behind this engine's head until that ends.
    pub fn hold_back(&mut self, engine: EngineId) {
        self.update(engine, |load| load.held_back = true);
    }

    /// This engine is to end when it has done what it has.
    pub fn retire(&mut self, engine: EngineId) {
        self.update(engine, |load| load.horizon.retiring = true);
    }

    /// This engine is given no balanced task any more: its process has ended.
    pub fn end(&mut self, engine: EngineId) {
        self.update(engine, |load| load.over = true);
    }

    /// Whether this engine has no connection: then it is given no balanced task.
    pub fn set_away(&mut self, engine: EngineId, away: bool) {
        self.update(engine, |load| load.away = away);
    }

    /// Whether this engine is there and has its connections.
    pub fn is_here(&self, engine: EngineId) -> bool {
        self.loads.get(&engine).is_some_and(|load| !load.away)
    }

    /// Whether an engine was given this task, and has not answered.
    pub fn has(&self, engine: EngineId, task: TaskId) -> bool {
        self.loads.get(&engine).is_some_and(|load| load.outstanding.contains(&task))
    }

    /// Engines whose head has been running for long while others wait behind it.
    pub fn stuck(&self, now: Duration) -> Vec<EngineId> {
        let old = |load: &Load| !load.held_back && now.saturating_sub(load.head_since) >= STUCK;
        self.stacked.iter().copied().filter(|engine| self.loads.get(engine).is_some_and(old)).collect()
    }

    /// Some engine has tasks behind its head, so that `stuck` is to be asked again.
    pub fn any_stacked(&self) -> bool {
        !self.stacked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn the_least_loaded_engine_is_next_and_long_tasks_have_nothing_behind_them() {
        let mut loads = Loads::default();
        loads.insert(EngineId(0), PeerId(0), Horizon::default(), Resources::default());
        loads.insert(EngineId(1), PeerId(1), Horizon::default(), Resources::default());
        loads.give(EngineId(0), TaskId(1), NOW);
        assert_eq!(loads.least(|_| true), Some(EngineId(1)));
        assert_eq!(loads.least(|engine| engine == EngineId(0)), None);
        loads.give(EngineId(1), TaskId(2), NOW);
        assert!(!loads.any_open(), "durations are unknown: one task each");
        assert!(loads.take(EngineId(0), TaskId(1), Some(0.5), NOW));
        loads.give(EngineId(0), TaskId(3), NOW);
        assert!(!loads.any_open(), "tasks of half a second: one each");
    }

    #[test]
    fn engines_with_as_little_to_do_have_turns() {
        let mut loads = Loads::default();
        (0..4).for_each(|engine| {
            loads.insert(EngineId(engine), PeerId(engine.into()), Horizon::default(), Resources::default())
        });
        let mut next = |task, allowed: &[u32]| {
            let engine = loads.least(|engine| allowed.contains(&engine.0)).expect("one is open");
            loads.give(engine, TaskId(task), NOW);
            assert!(loads.take(engine, TaskId(task), Some(0.5), NOW));
            engine.0
        };
        let all = [0, 1, 2, 3];
        let given: Vec<u32> = (0..6).map(|task| next(task, &all)).collect();
        assert_eq!(given, [0, 1, 2, 3, 0, 1]);
        assert_eq!((6..10).map(|task| next(task, &[0, 2])).collect::<Vec<_>>(), [2, 0, 2, 0]);
        loads.give(EngineId(3), TaskId(10), NOW);
        assert_eq!(loads.least(|_| true), Some(EngineId(0)), "less to do comes before turns");
    }

    #[test]
    fn what_would_not_be_done_in_time_is_not_taken() {
        let second = Duration::from_secs(1);
        let horizon = Horizon { end: Some(100 * second), drain_before: 20 * second, retiring: false };
        assert!(horizon.takes(None, 79 * second) && !horizon.takes(None, 80 * second));
        assert!(horizon.takes(Some(10 * second), 90 * second) && !horizon.takes(Some(10 * second), 91 * second));
        assert!(!horizon.takes(Some(Duration::MAX), NOW) && Horizon::default().takes(Some(Duration::MAX), NOW));
        let mut loads = Loads::default();
        loads.insert(EngineId(0), PeerId(0), horizon, Resources::default());
        loads.retire(EngineId(0));
        assert!(!loads.any_open() && !loads.get(EngineId(0)).is_some_and(|load| load.horizon.takes(None, NOW)));
    }

    #[test]
    fn short_tasks_are_prefetched_up_to_a_bound() {
        let mut loads = Loads::default();
        loads.insert(EngineId(0), PeerId(0), Horizon::default(), Resources::default());
        loads.give(EngineId(0), TaskId(0), NOW);
        assert!(loads.take(EngineId(0), TaskId(0), Some(0.0), NOW));
        let given = (1..100).take_while(|task| {
            let open = loads.any_open();
            if open {
                loads.give(EngineId(0), TaskId(*task), NOW);
            }
            open
        });
        assert_eq!(given.count(), PREFETCH_MAX);
        assert_eq!(loads.stuck(NOW + STUCK), vec![EngineId(0)]);
    }
}
