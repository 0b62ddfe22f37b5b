//! Questions to engines what they are doing, and the answers as they come. For clients and for engines; pure.

use crate::wire::message::{Activity, Broken, Inspect, Inspected};
use ipclusterz_base::ids::EngineId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::Saturating;

/// Who answered what; none: there is no such engine.
pub type Activities = BTreeMap<EngineId, Option<Activity>>;

/// Questions under way.
#[derive(Debug, Default)]
pub struct Inspections {
    last: Saturating<u64>,
    /// By number: how many answers are awaited, and those that have come.
    open: HashMap<u64, (usize, Activities)>,
}

impl Inspections {
    /// The message that asks.
    pub fn ask(&mut self, engines: &[EngineId], stacks: bool, broken: Option<Broken>) -> Inspect {
        self.last += 1;
        // Each answers once.
        let awaited = engines.iter().collect::<BTreeSet<_>>().len();
        self.open.insert(self.last.0, (awaited, Activities::new()));
        Inspect { number: self.last.0, asker: None, engines: engines.to_vec(), stacks, broken, signal: None }
    }

    /// One has answered; perhaps too late.
    pub fn answered(&mut self, inspected: Inspected) {
        if let Some((_, answers)) = self.open.get_mut(&inspected.number)
            && let Some(engine) = inspected.engine
        {
            answers.insert(engine, inspected.activity);
        }
    }

    /// All have answered.
    pub fn is_complete(&self, number: u64) -> bool {
        self.open.get(&number).is_none_or(|(count, answers)| answers.len() >= *count)
    }

    /// What has come; no more is taken.
    pub fn take(&mut self, number: u64) -> Activities {
        self.open.remove(&number).map(|(_, answers)| answers).unwrap_or_default()
    }
}
