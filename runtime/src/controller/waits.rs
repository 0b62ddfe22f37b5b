//! What a task waits for of others: a dependency, and how far it is met. Pure.

use crate::wire::message::{Dependency, Fate};
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where a task ran: an engine, and its process then.
pub(super) type Ran = (EngineId, PeerId);

/// How a task has ended, and where it ran, if it did and that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    pub fate: Fate,
    pub ran: Option<Ran>,
}

/// A dependency, as far as it is not met.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Waits {
    /// All have to end so; otherwise one is enough.
    all: bool,
    success: bool,
    failure: bool,
    /// Those that have not ended.
    open: BTreeSet<TaskId>,
    /// Where those ran that have ended as they were to; none: nobody knows.
    met: BTreeSet<Option<Ran>>,
    /// What is said of one that has ended in another way.
    other: Option<String>,
}

/// How far a dependency is met.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Waits,
    Met,
    /// It never will be, because of that.
    Never(String),
}

impl Waits {
    /// For none so far of the tasks of a dependency.
    pub fn new(dependency: &Dependency) -> Self {
        let Dependency { all, success, failure, .. } = *dependency;
        Waits { all, success, failure, open: BTreeSet::new(), met: BTreeSet::new(), other: None }
    }

    /// For this one.
    pub fn wait_for(&mut self, task: TaskId) {
        self.open.insert(task);
    }

    /// Those that it still waits for.
    pub fn open(&self) -> &BTreeSet<TaskId> {
        &self.open
    }

    /// A task that it waited for has ended, which is called `name`.
    pub fn ended(&mut self, task: TaskId, ended: Past, name: impl FnOnce() -> String) {
        if self.open.remove(&task) {
            self.knows(ended, name);
        }
    }

    /// A task had ended before.
    pub fn knows(&mut self, ended: Past, name: impl FnOnce() -> String) {
        let counts = if ended.fate == Fate::Ok { self.success } else { self.failure };
        if counts {
            self.met.insert(ended.ran);
        } else {
            self.is_against(|| format!("{}, which {}", name(), ended.fate.verb()));
        }
    }

    /// Of a task it is not known how it ended, because of that.
    pub fn is_against(&mut self, why: impl FnOnce() -> String) {
        self.other.get_or_insert_with(why);
    }

    /// How far it is met.
    pub fn standing(&self) -> Standing {
        let enough = if self.all { self.open.is_empty() } else { !self.met.is_empty() };
        match &self.other {
            Some(other) if self.all || (self.open.is_empty() && self.met.is_empty()) => Standing::Never(other.clone()),
            _ if enough || self.open.is_empty() => Standing::Met,
            _ => Standing::Waits,
        }
    }

    /// The engines on which those ran that count: the only one, if all of them count. An error says why there is none.
    pub fn engines(&self) -> Result<BTreeSet<Ran>, String> {
        if self.met.contains(&None) && (self.all || self.met.len() == 1) {
            return Err("tasks of which it is not known where they ran".to_owned());
        }
        let engines: BTreeSet<Ran> = self.met.iter().copied().flatten().collect();
        if !self.all || engines.len() <= 1 {
            return Ok(engines);
        }
        let ids: BTreeSet<EngineId> = engines.iter().map(|(engine, _)| *engine).collect();
        let named: Vec<String> = ids.iter().map(EngineId::to_string).collect();
        Err(match &named[..] {
            [engine] => format!("tasks that ran on engine {engine} before and after it was restarted"),
            _ => format!("tasks that ran on different engines: {}", named.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(all: bool, success: bool, failure: bool) -> Waits {
        let mut waits = Waits::new(&Dependency { on: vec![], all, success, failure });
        [1, 2].map(TaskId).into_iter().for_each(|task| waits.wait_for(task));
        waits
    }

    fn after(mut waits: Waits, fates: [Fate; 2]) -> [Standing; 2] {
        let mut number = 0;
        fates.map(|fate| {
            number += 1;
            waits.ended(TaskId(number), Past { fate, ran: None }, || "t".to_owned());
            waits.standing()
        })
    }

    #[test]
    fn all_or_one_of_them_as_they_were_to_end() {
        let never = |word: &str| Standing::Never(format!("t, which {word}"));
        assert_eq!(after(waits(true, true, false), [Fate::Ok, Fate::Ok]), [Standing::Waits, Standing::Met]);
        assert_eq!(after(waits(true, true, false), [Fate::Lost, Fate::Ok]), [never("was lost"), never("was lost")]);
        assert_eq!(after(waits(true, false, true), [Fate::Error, Fate::Ok]), [Standing::Waits, never("succeeded")]);
        assert_eq!(after(waits(true, true, true), [Fate::Error, Fate::Ok]), [Standing::Waits, Standing::Met]);
        assert_eq!(after(waits(false, true, false), [Fate::Error, Fate::Ok]), [Standing::Waits, Standing::Met]);
        assert_eq!(after(waits(false, true, false), [Fate::Ok, Fate::Error]), [Standing::Met, Standing::Met]);
        assert_eq!(after(waits(false, true, false), [Fate::Error, Fate::Error]), [Standing::Waits, never("failed")]);
        let none = Waits::new(&Dependency { on: vec![], all: false, success: true, failure: false });
        assert_eq!(none.standing(), Standing::Met);
    }

    #[test]
    fn one_engine_has_to_have_run_all_of_them() {
        let ran = |all, engines: [Option<u32>; 2]| {
            let mut waits = waits(all, true, false);
            for (task, engine) in (1..).map(TaskId).zip(engines) {
                let ran = engine.map(|engine| (EngineId(engine), PeerId(engine.into())));
                waits.ended(task, Past { fate: Fate::Ok, ran }, || "t".to_owned());
            }
            waits.engines().map(|engines| engines.into_iter().map(|(engine, _)| engine.0).collect::<Vec<_>>())
        };
        assert_eq!(ran(true, [Some(3), Some(3)]), Ok(vec![3]));
        assert!(ran(true, [Some(3), Some(4)]).is_err() && ran(true, [Some(3), None]).is_err());
        assert_eq!(ran(false, [Some(3), Some(4)]), Ok(vec![3, 4]));
        assert_eq!(ran(false, [Some(3), None]), Ok(vec![3]));
    }

    #[test]
    fn one_that_was_restarted_is_another_one() {
        let mut waits = waits(true, true, false);
        for (task, process) in [(TaskId(1), PeerId(7)), (TaskId(2), PeerId(8))] {
            waits.ended(task, Past { fate: Fate::Ok, ran: Some((EngineId(3), process)) }, || "t".to_owned());
        }
        let why = "tasks that ran on engine 3 before and after it was restarted";
        assert_eq!(waits.engines(), Err(why.to_owned()));
    }
}
