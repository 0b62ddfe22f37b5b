//! Balanced tasks of one client that wait for an engine. Knows which engines a task may go to; not what it is about.
//!
//! Tasks of one priority that may go to the same engines stand in one line, in the order of their numbers. Lines of a higher
//! priority come first; those of one priority have turns. A line whose engines are all busy holds up no other, and keeps its turn. A
//! task that comes back has its place again.

use super::load::Loads;
use super::waits::Ran;
use crate::wire::message::Resources;
use crate::wire::sharing;
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::num::Saturating;
use std::rc::Rc;
use std::time::Duration;

/// Which engines a balanced task may go to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// These, sorted; none: all there are.
    only: Option<Vec<EngineId>>,
    /// And of those only these processes, sorted; none: whichever has the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<PeerId>>,
    /// But not these processes, sorted: they lack what it needs.
    tried: Vec<PeerId>,
    /// How long it will take, if that was stated: it goes to no engine that ends before.
    duration: Option<Duration>,
    /// What the engine has to offer.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    needs: Resources,
    /// The engine has nothing else to do meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    alone: bool,
}

impl Choice {
    /// Any of these engines, or any there is.
    pub fn of(engines: Option<Vec<EngineId>>, duration: Option<Duration>) -> Self {
        let only = engines.map(|mut engines| {
            engines.sort_unstable();
            engines.dedup();
            engines
        });
        Choice { only, duration, ..Choice::default() }
    }

    /// The same, where an engine offers `needs`; `alone`: to one that has nothing else to do.
    pub fn needing(self, needs: Resources, alone: bool) -> Self {
        Choice { needs, alone, ..self }
    }

    /// The same, among these engines, as long as they are these processes.
    pub fn among(&self, engines: &BTreeSet<Ran>) -> Self {
        let ids: BTreeSet<EngineId> = engines.iter().map(|(engine, _)| *engine).collect();
        let processes: BTreeSet<PeerId> = engines.iter().map(|(_, process)| *process).collect();
        let mut only = Vec::from_iter(ids);
        if let Some(named) = &self.only {
            only.retain(|engine| named.binary_search(engine).is_ok());
        }
        Choice { only: Some(only), processes: Some(Vec::from_iter(processes)), ..self.clone() }
    }

    /// The same, but not `peer`.
    pub fn without(&self, peer: PeerId) -> Self {
        let mut choice = self.clone();
        if let Err(index) = choice.tried.binary_search(&peer) {
            choice.tried.insert(index, peer);
        }
        choice
    }

    /// Whether it may go to `engine` as soon as that has room.
    pub fn allows_now(&self, engine: EngineId, loads: &Loads, now: Duration) -> bool {
        self.allows(engine, loads) && loads.get(engine).is_some_and(|load| load.horizon.takes(self.duration, now))
    }

    /// What its task needs of an engine.
    pub fn needs(&self) -> &Resources {
        &self.needs
    }

    /// Whether its task has an engine for itself.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether it may go to `engine` at all.
    pub fn allows(&self, engine: EngineId, loads: &Loads) -> bool {
        let chosen = |only: &Vec<EngineId>| only.binary_search(&engine).is_ok();
        self.only.as_ref().is_none_or(chosen)
            && self.is_meant(engine, loads)
            && !self.has_tried(engine, loads)
            && self.is_offered(engine, loads)
    }

    /// Whether this engine is the process that is meant: another one may have its id.
    pub fn is_meant(&self, engine: EngineId, loads: &Loads) -> bool {
        let Some(processes) = &self.processes else { return true };
        loads.get(engine).is_some_and(|load| processes.binary_search(&load.peer).is_ok())
    }

    /// Whether this engine lacks something that was not stated.
    pub fn has_tried(&self, engine: EngineId, loads: &Loads) -> bool {
        !self.tried.is_empty() && loads.get(engine).is_some_and(|load| self.tried.binary_search(&load.peer).is_ok())
    }

    fn is_offered(&self, engine: EngineId, loads: &Loads) -> bool {
        self.needs.is_empty() || loads.get(engine).is_some_and(|load| load.offers.meet(&self.needs))
    }

    /// Whether it can only wait in vain. What may go anywhere waits for the next engine, also while there is none, or
    /// only such that are about to end.
    pub fn is_hopeless(&self, loads: &Loads) -> bool {
        match &self.only {
            Some(only) => !only.iter().any(|engine| loads.get(*engine).is_some() && self.allows(*engine, loads)),
            None => !self.tried.is_empty() && !loads.engines().any(|engine| self.allows(engine, loads)),
        }
    }

    /// The engines that it names.
    pub fn named(&self) -> &[EngineId] {
        self.only.as_deref().unwrap_or_default()
    }

    /// Says that none of the engines is there.
    pub fn missing(&self) -> String {
        let missing = match self.only.as_deref() {
            Some([engine]) => format!("there is no engine {engine}"),
            Some([]) => "none of the engines where they ran is one that it may go to".to_owned(),
            Some(engines) => {
                let ids: Vec<String> = engines.iter().map(EngineId::to_string).collect();
                format!("none of the engines {} is there", ids.join(", "))
            }
            None => "there is no engine".to_owned(),
        };
        if self.needs.is_empty() { missing } else { format!("{missing} that offers {}", self.needs) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(with = "sharing::rc")]
    choice: Rc<Choice>,
    #[serde(default)]
    priority: i32,
    tasks: BTreeSet<TaskId>,
}

/// Engines that are given nothing for now, because a task that has one for itself waits until they are idle.
pub(super) type Reserved = BTreeSet<EngineId>;

/// All that one client has waiting. No line is empty, and those of a higher priority come first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Queue {
    lines: VecDeque<Line>,
    /// Engines that the lines name, added up.
    named: Saturating<usize>,
}

/// Most engines that all lines of one client name: as many choices of as many engines as anybody has.
const NAMED_MAX: usize = 1 << 20;

impl Queue {
    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a task of this choice may wait here: its line is there, or is not too long.
    pub fn has_room_for(&self, choice: &Rc<Choice>) -> bool {
        (self.named + Saturating(choice.named().len())).0 <= NAMED_MAX
            || self.lines.iter().any(|line| line.choice == *choice)
    }

    /// A task is to wait, behind all of its priority that were submitted before it and may go to the same engines.
    pub fn push(&mut self, task: TaskId, choice: &Rc<Choice>, priority: i32) {
        match self.lines.iter_mut().find(|line| line.priority == priority && line.choice == *choice) {
            Some(line) => drop(line.tasks.insert(task)),
            None => {
                self.named += choice.named().len();
                self.put(Line { choice: Rc::clone(choice), priority, tasks: BTreeSet::from([task]) });
            }
        }
    }

    /// Puts a line behind those of its priority.
    fn put(&mut self, line: Line) {
        if self.lines.back().is_none_or(|last| last.priority >= line.priority) {
            return self.lines.push_back(line);
        }
        let at = self.lines.partition_point(|other| other.priority >= line.priority);
        self.lines.insert(at, line);
    }

    /// A task does not wait any more.
    pub fn remove(&mut self, task: TaskId, choice: &Rc<Choice>, priority: i32) {
        let is_its = |line: &Line| line.priority == priority && line.choice == *choice;
        let Some(at) = self.lines.iter().position(is_its) else { return };
        let Some(line) = self.lines.get_mut(at) else { return };
        line.tasks.remove(&task);
        if line.tasks.is_empty() {
            self.named -= choice.named().len();
            self.lines.remove(at);
        }
    }

    /// The next task of this priority that an open engine may be given, and which engine. Tasks for which `waits` does not hold
    /// any more are dropped on the way. A line that has given its task stands behind the others then.
    pub fn take(
        &mut self,
        priority: i32,
        loads: &Loads,
        reserved: &mut Reserved,
        now: Duration,
        waits: impl Fn(TaskId) -> bool,
    ) -> Option<(TaskId, EngineId)> {
        let mut at = self.lines.partition_point(|line| line.priority > priority);
        while let Some(line) = self.lines.get_mut(at).filter(|line| line.priority == priority) {
            while line.tasks.first().is_some_and(|task| !waits(*task)) {
                line.tasks.pop_first();
            }
            let engine = if line.tasks.is_empty() { None } else { engine_for(&line.choice, loads, reserved, now) };
            let taken = engine.and_then(|engine| line.tasks.pop_first().map(|task| (task, engine)));
            let is_empty = line.tasks.is_empty();
            if (is_empty || taken.is_some())
                && let Some(line) = self.lines.remove(at)
            {
                if is_empty {
                    self.named -= line.choice.named().len();
                } else {
                    self.put(line);
                }
            }
            if taken.is_some() {
                return taken;
            }
            if !is_empty {
                at = at.saturating_add(1);
            }
        }
        None
    }

    /// How many tasks come before this one: of a higher priority, and in its line.
    pub fn before(&self, task: TaskId, choice: &Rc<Choice>, priority: i32) -> usize {
        let before = self.lines.iter().map(|line| match line.priority.cmp(&priority) {
            Ordering::Greater => line.tasks.len(),
            Ordering::Equal if line.choice == *choice => line.tasks.range(..task).count(),
            _ => 0,
        });
        before.sum()
    }

    /// Takes out all tasks whose choice is `lost`.
    pub fn take_all(&mut self, lost: impl Fn(&Choice) -> bool) -> Vec<TaskId> {
        let lines = std::mem::take(&mut self.lines);
        let (out, stay): (VecDeque<Line>, VecDeque<Line>) = lines.into_iter().partition(|line| lost(&line.choice));
        self.lines = stay;
        self.named -= out.iter().map(|line| line.choice.named().len()).sum::<usize>();
        out.into_iter().flat_map(|line| line.tasks).collect()
    }
}

/// The engine that a task of this choice is given now. One that wants an engine for itself reserves the one that is idle next.
fn engine_for(choice: &Choice, loads: &Loads, reserved: &mut Reserved, now: Duration) -> Option<EngineId> {
    let may = |engine| choice.allows_now(engine, loads, now);
    let engine =
        loads.next(|engine| !reserved.contains(&engine) && may(engine) && (!choice.alone || loads.is_idle(engine)));
    // One at a time, however often its line is looked at.
    if engine.is_none() && choice.alone && !reserved.iter().any(|engine| may(*engine)) {
        reserved.extend(loads.soonest_idle(now, may));
    }
    engine
}

#[cfg(test)]
mod tests {
    use super::super::load::Horizon;
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn engines(ids: &[u32]) -> Vec<EngineId> {
        ids.iter().copied().map(EngineId).collect()
    }

    #[test]
    fn a_choice_is_the_named_engines_without_those_that_were_tried() {
        let mut loads = Loads::default();
        loads.insert(EngineId(1), PeerId(1), Horizon::default(), Resources::default());
        loads.insert(EngineId(2), PeerId(2), Horizon::default(), Resources::default());
        let choice = Choice::of(Some(engines(&[7, 2, 2, 5])), None);
        let allows = |choice: &Choice, id| choice.allows(EngineId(id), &loads);
        assert!(allows(&choice, 2) && !allows(&choice, 1) && !choice.is_hopeless(&loads));
        let choice = choice.without(PeerId(2));
        assert!(!allows(&choice, 2) && choice.is_hopeless(&loads));
        assert_eq!(choice.missing(), "none of the engines 2, 5, 7 is there");
        let choice = Choice::default().without(PeerId(2));
        assert!(allows(&choice, 9) && !choice.is_hopeless(&loads));
        assert!(choice.without(PeerId(1)).is_hopeless(&loads));
        assert!(!Choice::default().is_hopeless(&Loads::default()));
    }

    #[test]
    fn a_line_that_waits_holds_up_no_other_and_lines_have_turns() {
        let mut loads = Loads::default();
        loads.insert(EngineId(0), PeerId(0), Horizon::default(), Resources::default());
        loads.insert(EngineId(1), PeerId(1), Horizon::default(), Resources::default());
        loads.give(EngineId(0), TaskId(100), NOW);
        let mut queue = Queue::default();
        let (free, only_0, only_1) =
            (Choice::default(), Choice::of(Some(engines(&[0])), None), Choice::of(Some(engines(&[1])), None));
        for (number, choice) in (1..).zip([&only_0, &only_0, &free, &free, &only_1, &only_1]) {
            queue.push(TaskId(number), &Rc::new(choice.clone()), 0);
        }
        // Engine 1 stays open: nothing is given to it here.
        let given: Vec<u64> =
            std::iter::from_fn(|| queue.take(0, &loads, &mut Reserved::new(), NOW, |task| task != TaskId(4)))
                .map(|(task, _)| task.0)
                .collect();
        assert_eq!(given, [3, 5, 6]);
        assert!(loads.take(EngineId(0), TaskId(100), None, NOW));
        assert_eq!(queue.take(0, &loads, &mut Reserved::new(), NOW, |_| true), Some((TaskId(1), EngineId(0))));
        assert_eq!(queue.take_all(|choice| !choice.allows(EngineId(1), &loads)), [TaskId(2)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn tasks_that_come_back_have_their_places_again() {
        let mut loads = Loads::default();
        loads.insert(EngineId(0), PeerId(0), Horizon::default(), Resources::default());
        let (mut queue, anywhere) = (Queue::default(), Rc::default());
        for number in [7, 9, 8, 2, 6, 4, 2] {
            queue.push(TaskId(number), &anywhere, 0);
        }
        let given = std::iter::from_fn(|| queue.take(0, &loads, &mut Reserved::new(), NOW, |task| task != TaskId(6)));
        assert_eq!(given.map(|(task, _)| task.0).collect::<Vec<_>>(), [2, 4, 7, 8, 9]);
    }
}
