//! What a group does together, as far as its members have ended it. Data, and the verdict whether they are in step.

use crate::wire::message::{Broken, Group, Settled, Standing};
use ipclusterz_base::ids::{EngineId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How the members have ended so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Turn {
    /// So many.
    pub ended: usize,
    /// Where each stands that has answered.
    pub members: Vec<(EngineId, TaskId, Standing)>,
    /// Where those stand of whom the others were told.
    pub told: BTreeSet<String>,
}

impl Turn {
    /// What the members are told when all have ended.
    pub fn verdict(self, group: &Group) -> Vec<(EngineId, Settled)> {
        let left = |standing: &Standing| standing.departure.is_some();
        let Some(why) = self.members.iter().find_map(|(_, _, standing)| standing.departure.as_ref()) else {
            return vec![];
        };
        let Some((_, _, first)) = self.members.first() else { return vec![] };
        let same = |standing: &Standing| (&standing.comm, standing.entered) == (&first.comm, first.entered);
        let in_step = first.entered.is_some() && self.members.iter().all(|(_, _, standing)| same(standing));
        let comm = self.members.iter().map(|(_, _, standing)| &standing.comm).find(|comm| !comm.is_empty());
        let broken = comm.filter(|_| !in_step).map(|comm| {
            let reason = format!("its ranks are out of step since one left a call: {}", why.why);
            Broken { comm: comm.clone(), epoch: group.epoch, reason, at_once: true }
        });
        let concerned = self.members.iter().filter(|(_, _, standing)| broken.is_some() || left(standing));
        concerned.map(|(engine, task, _)| (*engine, Settled { task: *task, broken: broken.clone() })).collect()
    }
}
