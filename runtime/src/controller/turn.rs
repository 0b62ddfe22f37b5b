//! What a group does together, as far as its members have ended it. Data, and the verdict whether they are in step.

use crate::wire::message::{Broken, Departure, Settled, Standing};
use ipclusterz_base::ids::{EngineId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// How the members have ended so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Turn {
    /// So many.
    pub ended: usize,
    /// Where each stands that has answered.
    pub members: Vec<(EngineId, TaskId, Standing)>,
    /// Where those stand of whom the others were told.
    pub told: BTreeSet<String>,
    /// When the others are told of those that have ended their parts without an exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell_at: Option<Duration>,
    /// Of so many of `members` they need not be told any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub heard_of: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Turn {
    /// Members that have ended their parts without an exception, of whom the others have not heard.
    pub fn take_returned(&mut self) -> Vec<(EngineId, TaskId, Departure)> {
        self.tell_at = None;
        let news = self.members.iter().skip(self.heard_of);
        let returned = news.filter_map(|(engine, task, standing)| {
            let departure = standing.departure.as_ref().filter(|departure| !departure.raised())?;
            Some((*engine, *task, departure.clone()))
        });
        let returned = returned.collect();
        self.heard_of = self.members.len();
        returned
    }

    /// Why its communicator is to be given up, if it is: the members are out of step, or one cannot use it any more. None
    /// can then.
    pub fn why_given_up(&self) -> Option<String> {
        let mut standings = self.members.iter().map(|(_, _, standing)| standing).filter(|own| !own.comm.is_empty());
        let first = standings.next()?;
        let same = |standing: &Standing| (&standing.comm, standing.entered) == (&first.comm, first.entered);
        let in_step = first.entered.is_some() && standings.all(same);
        let text = || match self.first_raised() {
            Some(why) => format!("its ranks are out of step since one left a call: {why}"),
            None => "its ranks are out of step: not all have entered the same collectives".to_owned(),
        };
        (!in_step).then(text)
    }

    /// What the members are told when all have ended: whether they are in step, and which communicator they have next.
    pub fn verdict(self, epoch: u64, renewal: u64) -> Vec<(EngineId, Settled)> {
        let comm = self.members.iter().map(|(_, _, standing)| &standing.comm).find(|comm| !comm.is_empty());
        let broken = comm.zip(self.why_given_up()).map(|(comm, reason)| {
            let comm = comm.clone();
            Broken { comm, epoch, reason, at_once: true }
        });
        let tell = |task| Settled { task, broken: broken.clone(), renewal };
        self.members.iter().map(|(engine, task, _)| (*engine, tell(*task))).collect()
    }

    /// Why the first member has left that has, before others left because of it.
    fn first_raised(&self) -> Option<&str> {
        let departures = self.members.iter().filter_map(|(_, _, standing)| standing.departure.as_ref());
        departures.filter(|departure| departure.raised()).map(|departure| &*departure.why).next()
    }
}
