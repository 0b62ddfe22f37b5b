//! Reports how far the sets of a running cluster are, as a [`Progress`].

use super::core::Core;
use super::set::{Set, Stage};
use crate::report::progress::{Progress, SetProgress, SetState};
use ipclusterz_runtime::wire::message::EnginesExpected;
use std::time::Instant;

impl Core {
    /// How far all sets are.
    pub fn how_far(&self, now: Instant) -> Progress {
        let sets = self.sets().map(|set| set.progress(now)).collect();
        Progress {
            wanted: self.wanted(),
            sets,
            lost: self.lost.clone(),
            rank_loss: self.policy.rank_loss.clone(),
            losses: self.losses.with_ages(now),
            controller: self.controller.outage(),
        }
    }

    /// Whether engines may come, and what they wait for. `jobs_follow_load`: so do those of jobs that are not submitted yet.
    pub fn expected(&self, jobs_follow_load: bool) -> EnginesExpected {
        let mut waiting = self.staying().filter(|set| set.may_bring_engines());
        let (first, more) = (waiting.next(), waiting.count());
        let why = match (first, &self.lost) {
            (Some(set), _) => set.waits_for() + &if more > 0 { format!("; and {more} more") } else { String::new() },
            (None, _) if jobs_follow_load => "jobs are submitted as tasks wait".to_owned(),
            (None, Some(lost)) => lost.clone(),
            (None, None) => String::new(),
        };
        EnginesExpected { coming: first.is_some() || jobs_follow_load, why, offers: None }
    }
}

impl Set {
    /// Whether some of its engines are to come, for the first time or again.
    fn may_bring_engines(&self) -> bool {
        match self.stage {
            Stage::Waiting | Stage::Over { .. } => true,
            Stage::Running { .. } => self.is_starting() || self.comebacks.coming().next().is_some(),
        }
    }

    /// What it waits for, without figures that change all the time.
    fn waits_for(&self) -> String {
        let said = self.said.as_ref().map(|(said, _)| said.as_str());
        let how = match self.stage {
            Stage::Over { .. } => "started again soon",
            Stage::Waiting => "to be started",
            Stage::Running { .. } => "starting",
        };
        format!("{}: {}", self.name(), said.unwrap_or(how))
    }

    fn progress(&self, now: Instant) -> SetProgress {
        let since = |time: Instant| now.saturating_duration_since(time).as_secs_f64();
        let (state, seconds) = match self.stage {
            _ if self.is_leaving() => (SetState::Leaving, self.began.map_or(0.0, since)),
            Stage::Waiting => (SetState::Waiting, self.began.map_or(0.0, since)),
            Stage::Running { since: time } if self.may_bring_engines() => (SetState::Starting, since(time)),
            Stage::Running { since: time } => (SetState::Running, since(time)),
            Stage::Over { ended, .. } => (SetState::Over, since(ended)),
        };
        let missing = u32::try_from(self.missing().count()).unwrap_or(u32::MAX);
        let (said, said_at) = self.said.clone().unzip();
        SetProgress {
            name: self.name(),
            set: self.set.clone(),
            ready: self.set.count.saturating_sub(missing),
            lost: self.lost.iter().copied().collect(),
            suspended: self.given_ids().filter(|_| self.suspended).collect(),
            state,
            seconds,
            said,
            said_seconds_ago: said_at.map(since),
        }
    }
}
