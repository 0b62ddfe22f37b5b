//! MPI programs among the engines: who is a rank of which, and the epochs of each. Pure.
//!
//! An epoch is a set of living ranks that have a communicator. It begins when all ranks of a program are there, and
//! is over when one is lost. Then the rest forms the next one, where it survives and is to; or a new program under the same
//! ids does, and counts on. Members are told to form it by a task of the controller's own, which goes the way of all tasks:
//! what comes behind it finds the new communicator. That an epoch is over overtakes the tasks.

use super::load::Load;
use super::work::STARTS;
use crate::recent::Recent;
use crate::wire::message::{
    EpochOver, Group, Happened, Message, Op, Rank, Reform, Resources, Task, TaskOutcome, WorldStatus,
};
use crate::wire::{Channel, Frame, bounds};
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::Saturating;
use std::time::Duration;

/// Numbers of tasks from here on are these; others count from 1.
const FIRST_TASK: u64 = 1 << 63;

/// A message to an engine.
pub type ToEngine = (EngineId, Channel, Message, Vec<Frame>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Not all ranks are there.
    Gathering,
    /// These have not formed the communicator yet.
    Forming(BTreeSet<EngineId>),
    Formed,
    /// A rank was lost, or could not form it.
    Over,
}

#[derive(Debug, Serialize, Deserialize)]
struct World {
    size: u32,
    survives: bool,
    /// By rank.
    members: BTreeMap<u32, EngineId>,
    epoch: u64,
    phase: Phase,
    /// Why the last epoch ended.
    reason: Option<String>,
    /// The task that forms the epoch: the same for all members.
    task: TaskId,
    /// The members with which it began.
    began_with: Vec<EngineId>,
    /// By rank, what the user's hooks raised in this epoch.
    hook_errors: BTreeMap<u32, String>,
    /// What members do before they form it: the last of these tasks.
    before: BTreeMap<EngineId, TaskId>,
}

impl World {
    /// That its members have begun an epoch.
    fn began(&self, name: &str) -> Happened {
        let engines = self.members.values().copied().collect();
        Happened::EpochBegan { world: name.to_owned(), epoch: self.epoch, engines }
    }

    fn status(&self, name: &str, rank: u32) -> WorldStatus {
        WorldStatus {
            name: name.to_owned(),
            rank,
            size: self.size,
            epoch: self.epoch,
            formed: self.phase == Phase::Formed,
            reason: self.reason.clone(),
            held_up: None,
            hook_error: self.hook_errors.get(&rank).cloned(),
        }
    }
}

/// Why a request cannot be collective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoGroup {
    /// These engines are no group, and never were.
    Never(String),
    /// They were, until a rank was lost.
    Lost(String),
}

/// All MPI programs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Worlds {
    worlds: BTreeMap<String, World>,
    of: BTreeMap<EngineId, (String, u32)>,
    /// The last epoch in which each engine's id was a member.
    epochs: Epochs,
    last_task: Saturating<u64>,
    #[serde(skip)]
    sends: Vec<ToEngine>,
    /// What has happened to epochs, for those who look on.
    #[serde(skip)]
    notes: Vec<Happened>,
}

/// The last epoch in which an engine's id was a member, and why it ended if it did.
type Epochs = Recent<EngineId, (u64, Option<String>)>;

/// How many engines are remembered with their last epochs.
const EPOCHS_MAX: usize = 1 << 16;

impl Default for Worlds {
    fn default() -> Self {
        let (worlds, of, last_task, sends, notes) = Default::default();
        Worlds { worlds, of, epochs: Recent::new(EPOCHS_MAX), last_task, sends, notes }
    }
}

impl Worlds {
    /// Numbers of tasks go on where no controller before has been.
    pub fn restarted(&mut self, start: u32) {
        self.last_task = self.last_task.max(Saturating(u64::from(start) << STARTS));
    }

    /// What has happened to epochs since the last call.
    pub fn take_notes(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.notes)
    }

    /// The epochs that there are.
    pub fn epochs_now(&self) -> Vec<Happened> {
        let there = self.worlds.iter().filter(|(_, world)| matches!(world.phase, Phase::Forming(_) | Phase::Formed));
        there.map(|(name, world)| world.began(name)).collect()
    }

    /// What is to be sent since the last call.
    pub fn take_sends(&mut self) -> Vec<ToEngine> {
        std::mem::take(&mut self.sends)
    }

    /// An engine is there that is a rank. It may have been there before, and lost its connection.
    pub fn joined(&mut self, engine: EngineId, rank: &Rank) {
        let world = self.worlds.entry(rank.world.clone()).or_insert_with(|| World {
            size: rank.size,
            survives: rank.survives,
            members: BTreeMap::new(),
            epoch: 0,
            phase: Phase::Gathering,
            reason: None,
            task: TaskId(0),
            began_with: vec![],
            hook_errors: BTreeMap::new(),
            before: BTreeMap::new(),
        });
        world.members.insert(rank.rank, engine);
        self.of.insert(engine, (rank.world.clone(), rank.rank));
        let complete = u32::try_from(world.members.len()) == Ok(world.size);
        if complete || (world.survives && world.phase != Phase::Gathering) {
            if matches!(world.phase, Phase::Forming(_) | Phase::Formed) {
                self.end(&rank.world, &format!("rank {} (engine {engine}) came back", rank.rank));
            }
            self.form(&rank.world);
        }
    }

    /// An engine is gone.
    pub fn left(&mut self, engine: EngineId, why: &str) {
        let Some((name, rank)) = self.of.remove(&engine) else { return };
        let Some(world) = self.worlds.get_mut(&name) else { return };
        if world.members.get(&rank) == Some(&engine) {
            world.members.remove(&rank);
        }
        // Also one whose epoch is over because it could not be formed: that may have been for this rank.
        let had_begun = world.phase != Phase::Gathering;
        if matches!(world.phase, Phase::Forming(_) | Phase::Formed) {
            self.end(&name, &format!("rank {rank} is lost: {why}"));
        }
        let Some(world) = self.worlds.get(&name) else { return };
        if world.members.is_empty() {
            self.worlds.remove(&name);
        } else if world.survives && had_begun {
            self.form(&name);
        }
    }

    /// What was said of an engine that is gone is said better.
    pub fn explained(&mut self, was: &str, is: &str) {
        let of_worlds = self.worlds.values_mut().filter_map(|world| world.reason.as_mut());
        let of_epochs = self.epochs.values_mut().filter_map(|(_, reason)| reason.as_mut());
        of_worlds.chain(of_epochs).for_each(|reason| *reason = reason.replace(was, is));
    }

    /// Whether this is a task of ours.
    pub fn is_own(task: TaskId) -> bool {
        task.0 >= FIRST_TASK
    }

    /// An engine has formed the communicator of an epoch, and the text is what its hooks raised; or it could not, and the
    /// text says why.
    pub fn answered(&mut self, engine: EngineId, task: TaskId, outcome: TaskOutcome, payload: &[Frame]) {
        let Some((name, rank)) = self.of.get(&engine).cloned() else { return };
        let Some(world) = self.worlds.get_mut(&name).filter(|world| world.task == task) else { return };
        let Phase::Forming(missing) = &mut world.phase else { return };
        let mut text = payload.first().map(|frame| String::from_utf8_lossy(frame).into_owned()).unwrap_or_default();
        bounds::lines(&mut text);
        if outcome == TaskOutcome::Ok {
            if !text.is_empty() {
                world.hook_errors.insert(rank, text);
            }
            missing.remove(&engine);
            if missing.is_empty() {
                world.phase = Phase::Formed;
            }
        } else {
            let mut reason = format!("rank {rank} (engine {engine}) could not form epoch {}: {text}", world.epoch);
            bounds::reason(&mut reason);
            self.end(&name, &reason);
        }
    }

    /// The group that these engines are, in that order.
    pub fn group(&self, engines: &[EngineId]) -> Result<Group, NoGroup> {
        let mut group =
            Group { epoch: 0, ranks: Vec::with_capacity(engines.len()), timeout: None, renewal: 0, behind: None };
        let mut first: Option<&str> = None;
        for engine in engines {
            let Some((name, rank)) = self.of.get(engine) else {
                return Err(match self.epochs.get(engine) {
                    Some((epoch, Some(reason))) => NoGroup::Lost(format!("epoch {epoch} is over: {reason}")),
                    _ => NoGroup::Never(format!("engine {engine} is no rank of an MPI program")),
                });
            };
            if *first.get_or_insert(name) != name {
                return Err(NoGroup::Never(format!(
                    "engine {engine} is a rank of another MPI program than those before it"
                )));
            }
            group.ranks.push(*rank);
        }
        let Some(world) = first.and_then(|name| self.worlds.get(name)) else {
            return Err(NoGroup::Never("a group has at least one engine".to_owned()));
        };
        let distinct: BTreeSet<&u32> = group.ranks.iter().collect();
        if distinct.len() < group.ranks.len() {
            return Err(NoGroup::Never("a group has each engine once".to_owned()));
        }
        match &world.phase {
            Phase::Forming(_) | Phase::Formed => Ok(Group { epoch: world.epoch, ..group }),
            Phase::Gathering => {
                let lost = group_lost(&self.epochs, engines);
                let (there, size) = (world.members.len(), world.size);
                let text = format!("{there} of its {size} ranks are there");
                Err(match lost {
                    Some(reason) => NoGroup::Lost(format!("{reason}; of the next world {text}")),
                    None => NoGroup::Never(format!("the MPI program is still starting: {text}")),
                })
            }
            Phase::Over => {
                let reason = world.reason.as_deref().unwrap_or_default();
                Err(NoGroup::Lost(format!("epoch {} is over: {reason}", world.epoch)))
            }
        }
    }

    /// For the status; `load` is what the engine has to do.
    pub fn status(&self, engine: EngineId, load: Option<&Load>, now: Duration) -> Option<WorldStatus> {
        let (name, rank) = self.of.get(&engine)?;
        let world = self.worlds.get(name)?;
        let forms = matches!(&world.phase, Phase::Forming(missing) if missing.contains(&engine));
        let before = world.before.get(&engine).filter(|_| forms);
        let held_up = load.zip(before).and_then(|(load, last)| load.busy_until(*last, now));
        Some(WorldStatus { held_up: held_up.map(|time| time.as_secs_f64()), ..world.status(name, *rank) })
    }

    /// An engine is told to form an epoch, and does what it has up to `last` before.
    pub fn is_busy_until(&mut self, engine: EngineId, last: TaskId) {
        if let Some((name, _)) = self.of.get(&engine)
            && let Some(world) = self.worlds.get_mut(name)
        {
            world.before.insert(engine, last);
        }
    }

    /// The epoch is over: whoever waits in it need not any longer.
    fn end(&mut self, name: &str, reason: &str) {
        let Some(world) = self.worlds.get_mut(name) else { return };
        world.phase = Phase::Over;
        world.reason = Some(reason.to_owned());
        let (epoch, reason_of_it) = (world.epoch, reason.to_owned());
        self.notes.push(Happened::EpochEnded { world: name.to_owned(), epoch, reason: reason_of_it });
        for engine in world.members.values() {
            let over = EpochOver { epoch: world.epoch, reason: reason.to_owned() };
            self.sends.push((*engine, Channel::Control, Message::EpochOver(over), vec![]));
        }
        for engine in &world.began_with {
            self.epochs.insert(*engine, (world.epoch, Some(reason.to_owned())));
        }
    }

    /// The members begin the next epoch.
    fn form(&mut self, name: &str) {
        let Some(world) = self.worlds.get_mut(name) else { return };
        let before =
            world.members.values().filter_map(|engine| self.epochs.get(engine)).max_by_key(|(epoch, _)| *epoch);
        let before = before.cloned().unwrap_or_default();
        world.epoch = before.0.max(world.epoch).saturating_add(1);
        world.reason = world.reason.take().or(before.1);
        world.phase = Phase::Forming(world.members.values().copied().collect());
        self.last_task += 1;
        world.task = TaskId(FIRST_TASK.saturating_add(self.last_task.0));
        let reform = Reform {
            epoch: world.epoch,
            ranks: world.members.keys().copied().collect(),
            engines: world.members.values().copied().collect(),
            reason: world.reason.clone(),
        };
        world.began_with.clone_from(&reform.engines);
        self.notes.push(world.began(name));
        world.hook_errors.clear();
        world.before.clear();
        // Writing to memory fails for no value of that type.
        let payload = Frame::from(serde_json::to_vec(&reform).unwrap_or_default());
        for engine in world.members.values() {
            // One that comes back may be waiting in an epoch that ended while nobody could tell it.
            if let (epoch @ 1.., Some(reason)) = (world.epoch.saturating_sub(1), &reform.reason) {
                let over = EpochOver { epoch, reason: reason.clone() };
                self.sends.push((*engine, Channel::Control, Message::EpochOver(over), vec![]));
            }
            let task = Task {
                id: world.task,
                op: Op::Reform,
                function: None,
                segments: vec![],
                group: None,
                client: PeerId(0),
                needs: Resources::default(),
            };
            self.sends.push((*engine, Channel::Data, Message::Task(task), vec![payload.clone()]));
            self.epochs.insert(*engine, (world.epoch, None));
        }
    }
}

fn group_lost(epochs: &Epochs, engines: &[EngineId]) -> Option<String> {
    let (epoch, reason) = engines.iter().filter_map(|engine| epochs.get(engine)).max_by_key(|(epoch, _)| *epoch)?;
    Some(format!("epoch {epoch} is over: {}", reason.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_known_only_after_an_epoch_failed_for_it_begins_the_next() {
        let mut worlds = Worlds::default();
        let rank = |rank| Rank { world: "w".to_owned(), rank, size: 3, survives: true };
        for engine in 0..3 {
            worlds.joined(EngineId(engine), &rank(engine));
        }
        worlds.left(EngineId(2), "its host fell silent");
        let status = |worlds: &Worlds| worlds.status(EngineId(0), None, Duration::ZERO).expect("a world");
        assert_eq!((status(&worlds).epoch, status(&worlds).formed), (2, false));
        // Rank 1 was on that host too, and the library of rank 0 knows it sooner than the controller.
        let task = worlds.worlds["w"].task;
        worlds.answered(EngineId(0), task, TaskOutcome::Error, &[Frame::from(&b"rank 1 is lost"[..])]);
        worlds.left(EngineId(1), "its host fell silent");
        assert_eq!(status(&worlds).epoch, 3);
        let task = worlds.worlds["w"].task;
        worlds.answered(EngineId(0), task, TaskOutcome::Ok, &[]);
        assert!(status(&worlds).formed);
    }
}
