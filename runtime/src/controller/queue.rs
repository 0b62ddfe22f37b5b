//! Balanced tasks of one client that wait for an engine. Knows which engines a task may go to; not what it is about.
//!
//! Tasks that may go to the same engines stand in one line, in the order of their numbers, and the lines have turns: a
//! line whose engines are all busy holds up no other. A task that comes back has its place again.

use super::load::Loads;
use crate::wire::sharing;
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::num::Saturating;
use std::rc::Rc;
use std::time::Duration;

/// Which engines a balanced task may go to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// These, sorted; none: all there are.
    only: Option<Vec<EngineId>>,
    /// But not these processes, sorted: they lack what it needs.
    tried: Vec<PeerId>,
    /// How long it will take, if that was stated: it goes to no engine that ends before.
    duration: Option<Duration>,
}

impl Choice {
    /// Any of these engines, or any there is.
    pub fn of(engines: Option<Vec<EngineId>>, duration: Option<Duration>) -> Self {
        let only = engines.map(|mut engines| {
            engines.sort_unstable();
            engines.dedup();
            engines
        });
        Choice { only, tried: Vec::new(), duration }
    }

    /// The same, but not `peer`.
    pub fn without(&self, peer: PeerId) -> Self {
        let mut choice = self.clone();
        if let Err(index) = choice.tried.binary_search(&peer) {
            choice.tried.insert(index, peer);
        }
        choice
    }

    /// Whether it may go to `engine` now.
    pub fn allows_now(&self, engine: EngineId, loads: &Loads, now: Duration) -> bool {
        self.allows(engine, loads) && loads.get(engine).is_some_and(|load| load.horizon.takes(self.duration, now))
    }

    /// Whether it may go to `engine` at all.
    pub fn allows(&self, engine: EngineId, loads: &Loads) -> bool {
        let chosen = |only: &Vec<EngineId>| only.binary_search(&engine).is_ok();
        let tried = || loads.get(engine).is_some_and(|load| self.tried.binary_search(&load.peer).is_ok());
        self.only.as_ref().is_none_or(chosen) && (self.tried.is_empty() || !tried())
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
        match self.only.as_deref() {
            Some([engine]) => format!("there is no engine {engine}"),
            Some(engines) => {
                let ids: Vec<String> = engines.iter().map(EngineId::to_string).collect();
                format!("none of the engines {} is there", ids.join(", "))
            }
            None => "there is no engine".to_owned(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(with = "sharing::rc")]
    choice: Rc<Choice>,
    tasks: BTreeSet<TaskId>,
}

/// All that one client has waiting. No line is empty.
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

    /// A task is to wait, behind all that were submitted before it and may go to the same engines.
    pub fn push(&mut self, task: TaskId, choice: &Rc<Choice>) {
        match self.lines.iter_mut().find(|line| line.choice == *choice) {
            Some(line) => drop(line.tasks.insert(task)),
            None => {
                self.named += choice.named().len();
                self.lines.push_back(Line { choice: Rc::clone(choice), tasks: BTreeSet::from([task]) });
            }
        }
    }

    /// A task does not wait any more.
    pub fn remove(&mut self, task: TaskId, choice: &Rc<Choice>) {
        let Some(at) = self.lines.iter().position(|line| line.choice == *choice) else { return };
        let Some(line) = self.lines.get_mut(at) else { return };
        line.tasks.remove(&task);
        if line.tasks.is_empty() {
            self.named -= choice.named().len();
            self.lines.remove(at);
        }
    }

    /// The next task that an open engine may be given, and the least loaded of these engines. Tasks for which `waits`
    /// does not hold any more are dropped on the way.
    pub fn take(&mut self, loads: &Loads, now: Duration, waits: impl Fn(TaskId) -> bool) -> Option<(TaskId, EngineId)> {
        for _ in 0..self.lines.len() {
            let mut line = self.lines.pop_front()?;
            while line.tasks.first().is_some_and(|task| !waits(*task)) {
                line.tasks.pop_first();
            }
            let engine = loads.least(|engine| line.choice.allows_now(engine, loads, now));
            let taken = engine.and_then(|engine| line.tasks.pop_first().map(|task| (task, engine)));
            if line.tasks.is_empty() {
                self.named -= line.choice.named().len();
            } else {
                self.lines.push_back(line);
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
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
        loads.insert(EngineId(1), PeerId(1), Horizon::default());
        loads.insert(EngineId(2), PeerId(2), Horizon::default());
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
        loads.insert(EngineId(0), PeerId(0), Horizon::default());
        loads.insert(EngineId(1), PeerId(1), Horizon::default());
        loads.give(EngineId(0), TaskId(100), NOW);
        let mut queue = Queue::default();
        let (free, only_0, only_1) =
            (Choice::default(), Choice::of(Some(engines(&[0])), None), Choice::of(Some(engines(&[1])), None));
        for (number, choice) in (1..).zip([&only_0, &only_0, &free, &free, &only_1, &only_1]) {
            queue.push(TaskId(number), &Rc::new(choice.clone()));
        }
        // Engine 1 stays open: nothing is given to it here.
        let given: Vec<u64> =
            std::iter::from_fn(|| queue.take(&loads, NOW, |task| task != TaskId(4))).map(|(task, _)| task.0).collect();
        assert_eq!(given, [3, 5, 6]);
        assert!(loads.take(EngineId(0), TaskId(100), None, NOW));
        assert_eq!(queue.take(&loads, NOW, |_| true), Some((TaskId(1), EngineId(0))));
        assert_eq!(queue.take_all(|choice| !choice.allows(EngineId(1), &loads)), [TaskId(2)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn tasks_that_come_back_have_their_places_again() {
        let mut loads = Loads::default();
        loads.insert(EngineId(0), PeerId(0), Horizon::default());
        let (mut queue, anywhere) = (Queue::default(), Rc::default());
        for number in [7, 9, 8, 2, 6, 4, 2] {
            queue.push(TaskId(number), &anywhere);
        }
        let given = std::iter::from_fn(|| queue.take(&loads, NOW, |task| task != TaskId(6)));
        assert_eq!(given.map(|(task, _)| task.0).collect::<Vec<_>>(), [2, 4, 7, 8, 9]);
    }
}
