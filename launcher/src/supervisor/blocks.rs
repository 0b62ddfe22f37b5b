//! Starts and ends jobs: elastic blocks with the load-balanced work, and successors before a job's time is over.
//!
//! [`ipclusterz_launchers::batch::elastic`] and [`ipclusterz_launchers::batch::walltime`] decide which jobs there
//! should be. This file feeds them with what the controller and the sets report, and carries out their decisions on the
//! core.

use super::core::Core;
use super::inputs::Action;
use super::restart::Trust;
use super::set::{Set, Stage};
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::batch::clock;
use ipclusterz_launchers::batch::elastic::{Block, BlockState, Decision, Elastic};
use ipclusterz_launchers::batch::walltime::{Renewal, Term};
use ipclusterz_launchers::set::{EngineSet, SetId};
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::batch::BatchTable;
use ipclusterz_profile::tables::engines::LauncherKind;
use ipclusterz_runtime::wire::message::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The time limits of jobs, by groups.
struct Limits(BTreeMap<Option<String>, Duration>);

impl Limits {
    fn of(batch: &BatchTable) -> Self {
        let groups = batch.groups.iter().map(|group| Some(group.name.clone())).chain([None]);
        let limit = |group: &Option<String>| clock::time_limit(&batch.of_group(group.as_deref()).time_limit).ok()?;
        Self(groups.filter_map(|group| Some((group.clone(), limit(&group)?))).collect())
    }

    fn time_of(&self, group: Option<&str>) -> Option<Duration> {
        self.0.iter().find(|(known, _)| known.as_deref() == group).map(|(_, limit)| *limit)
    }
}

/// The jobs of a cluster that start and end with the load or with their time.
pub struct Blocks {
    elastic: Option<(Elastic, u32)>,
    renewal: Option<(Renewal, Limits)>,
    /// Since when each set has had nothing to do.
    idle: BTreeMap<SetId, Instant>,
    /// When each set that waits was first seen: tells how long the queue lets jobs wait.
    waiting: BTreeMap<SetId, Instant>,
    /// For each successor, the set that it takes over from.
    successors: BTreeMap<SetId, SetId>,
    settled: BTreeSet<SetId>,
    /// Sets that were started here, and of which no engine has registered yet.
    unproven: BTreeSet<SetId>,
    trust: Trust,
}

impl Blocks {
    /// `None` for a cluster that has neither elastic blocks nor jobs that are renewed.
    pub fn of(settings: &StartSettings) -> Option<Self> {
        let tables = &settings.tables;
        if tables.engines.launcher != LauncherKind::Batch {
            return None;
        }
        let batch = &tables.batch;
        let seconds = |value: f64| Duration::try_from_secs_f64(value).unwrap_or_default();
        let elastic = settings
            .engines_per_block()
            .map(|engines| (Elastic::new(batch.blocks, seconds(batch.idle_time), engines), engines));
        let renewal = batch.renew.then(|| (Renewal::new(seconds(batch.drain_before)), Limits::of(batch)));
        if elastic.is_none() && renewal.is_none() {
            return None;
        }
        Some(Self::new(elastic, renewal))
    }

    fn new(elastic: Option<(Elastic, u32)>, renewal: Option<(Renewal, Limits)>) -> Self {
        let (idle, waiting, successors, settled, unproven, trust) = Default::default();
        Self { elastic, renewal, idle, waiting, successors, settled, unproven, trust }
    }

    /// Whether jobs are submitted as tasks wait.
    pub fn follow_load(&self) -> bool {
        self.elastic.is_some()
    }

    /// Decides what to do, by what the controller has just reported.
    pub fn decide(&mut self, core: &mut Core, status: &Status, now: Instant) -> Vec<Action> {
        let busy: BTreeSet<EngineId> =
            status.engines.iter().filter(|engine| engine.queue > 0).map(|engine| engine.id).collect();
        self.observe(core, &busy, now);
        let mut actions: Vec<Action> = self.learn(core, now).into_iter().collect();
        actions.extend(self.renew(core, now));
        let Some((elastic, engines)) = &mut self.elastic else { return actions };
        let blocks: Vec<Block> = core
            .sets()
            .map(|set| Block { set: set.set.id, state: state_of(set, self.idle.get(&set.set.id).copied()) })
            .collect();
        let queued = usize::try_from(status.pending).unwrap_or(usize::MAX);
        let mut room = self.trust.room(now, self.unproven.len());
        for decision in elastic.decide(now, queued, &blocks) {
            match decision {
                Decision::Start if room == 0 => {}
                Decision::Start => {
                    room -= 1;
                    actions.push(Action::Say(format!("{queued} tasks wait: one more block of {engines} engines")));
                    let started = core.grow(*engines, *engines);
                    self.unproven.extend(started.iter().filter_map(set_started));
                    actions.extend(started);
                }
                Decision::Drain(set) => {
                    self.unproven.remove(&set);
                    actions.push(Action::Say(format!("{} idle for long: given back", core.name_of(set))));
                    actions.extend(core.retire_set(set));
                }
            }
        }
        actions
    }

    /// Updates since when sets have been idle or waiting.
    fn observe(&mut self, core: &Core, busy: &BTreeSet<EngineId>, now: Instant) {
        let there: BTreeSet<SetId> = core.sets().map(|set| set.set.id).collect();
        self.idle.retain(|set, _| there.contains(set));
        self.settled.retain(|set| there.contains(set));
        for set in core.sets() {
            let id = set.set.id;
            if set.given_ids().any(|engine| busy.contains(&engine)) {
                self.idle.remove(&id);
            } else if set.given_ids().next().is_some() {
                self.idle.entry(id).or_insert(now);
            }
            match set.stage {
                Stage::Waiting => {
                    self.waiting.entry(id).or_insert(now);
                }
                Stage::Running { since } => {
                    if let (Some(first), Some((renewal, _))) = (self.waiting.remove(&id), &mut self.renewal) {
                        renewal.waited(since.saturating_duration_since(first));
                    }
                }
                Stage::Over { .. } => {}
            }
        }
    }

    /// Learns whether engines of the sets started here have registered. Warns about the first set that ended without.
    fn learn(&mut self, core: &Core, now: Instant) -> Option<Action> {
        let mut lost = false;
        self.unproven.retain(|id| match core.set(*id) {
            None => {
                lost = true;
                false
            }
            Some(set) if set.given_ids().next().is_some() => {
                self.trust.proved();
                false
            }
            Some(_) => true,
        });
        if !lost {
            return None;
        }
        let known = self.trust.is_lost();
        self.trust.lost(now);
        let reason = core.lost.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let line = format!(
            "a job ended before its engines had registered{reason}: the next ones are submitted one at a time and less \
             and less often, until one works"
        );
        (!known).then_some(Action::Say(line))
    }

    /// Submits successors, and retires predecessors whose successors are complete.
    fn renew(&mut self, core: &mut Core, now: Instant) -> Vec<Action> {
        let Some((renewal, limits)) = &self.renewal else { return Vec::new() };
        let mut actions = Vec::new();
        let ready: Vec<SetId> =
            self.successors.keys().copied().filter(|set| core.set(*set).is_none_or(Set::is_complete)).collect();
        for successor in ready {
            let Some(predecessor) = self.successors.remove(&successor) else { continue };
            if core.set(successor).is_some() {
                self.unproven.remove(&predecessor);
                actions.extend(core.retire_set(predecessor));
            } else {
                // The successor has ended. There is still time for another one.
                self.settled.remove(&predecessor);
            }
        }
        let terms: Vec<Term> = core
            .sets()
            .filter_map(|set| {
                let Stage::Running { since } = set.stage else { return None };
                let settled = set.is_leaving() || self.settled.contains(&set.set.id);
                let ends = since + limits.time_of(set.set.group.as_deref())?;
                Some(Term { set: set.set.id, began: since, ends, settled })
            })
            .collect();
        let mut room = self.trust.room(now, self.unproven.len());
        for predecessor in renewal.due(now, &terms) {
            if room == 0 {
                break;
            }
            room -= 1;
            let Some(EngineSet { count, group, .. }) = core.set(predecessor).map(|set| set.set.clone()) else {
                continue;
            };
            actions.push(Action::Say(format!("the time of {} is nearly over: a new job", core.name_of(predecessor))));
            for action in core.grow_group(group.as_deref(), count, count) {
                if let Action::Start(set) = &action {
                    self.successors.insert(set.id, predecessor);
                    self.unproven.insert(set.id);
                }
                actions.push(action);
            }
            self.settled.insert(predecessor);
        }
        actions
    }
}

fn set_started(action: &Action) -> Option<SetId> {
    if let Action::Start(set) = action { Some(set.id) } else { None }
}

fn state_of(set: &Set, idle_since: Option<Instant>) -> BlockState {
    match (set.is_leaving(), set.given_ids().next(), idle_since) {
        (true, _, _) => BlockState::Draining,
        (false, None, _) => BlockState::Pending,
        (false, Some(_), Some(since)) => BlockState::Idle(since),
        (false, Some(_), None) => BlockState::Busy,
    }
}

#[cfg(test)]
mod tests;
