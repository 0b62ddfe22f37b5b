//! Reports how far the sets of a running cluster are, as a [`Progress`].

use super::core::Core;
use super::set::{Set, Stage};
use crate::report::progress::{Progress, SetProgress, SetState};
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
}

impl Set {
    fn progress(&self, now: Instant) -> SetProgress {
        let since = |time: Instant| now.saturating_duration_since(time).as_secs_f64();
        let (state, seconds) = match self.stage {
            _ if self.is_leaving() => (SetState::Leaving, self.began.map_or(0.0, since)),
            Stage::Waiting => (SetState::Waiting, self.began.map_or(0.0, since)),
            Stage::Running { since: time } if self.is_missing_engines() && !self.is_complete() => {
                (SetState::Starting, since(time))
            }
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
            state,
            seconds,
            said,
            said_seconds_ago: said_at.map(since),
        }
    }
}
