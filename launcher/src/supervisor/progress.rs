//! How far the sets of a cluster are, and why they are no further: what `status` shows, and what `scale` and `wait` say
//! while they wait.

use super::core::Core;
use super::loss::Loss;
use super::set::{Set, Stage};
use crate::launchers::EngineSet;
use crate::launchers::rank_loss::RankLoss;
use crate::report::duration;
use ipclusterz_runtime::ids::EngineId;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// All sets, as the launcher sees them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How many engines there are to be, without those that are leaving.
    pub wanted: u32,
    /// In the order in which they were started.
    pub sets: Vec<SetProgress>,
    /// Why the set that was lost last is not started again.
    pub lost: Option<String>,
    /// What the loss of a rank means, where sets are worlds.
    #[serde(default)]
    pub rank_loss: Option<RankLoss>,
    /// The ranks and worlds that were lost, the latest last.
    #[serde(default)]
    pub losses: Vec<Loss>,
}

/// How far one set is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetProgress {
    /// What to call it: `engine 3`, `engines 4 to 7`.
    pub name: String,
    /// Its number and the ids of its engines.
    #[serde(flatten)]
    pub set: EngineSet,
    /// How many of its engines are ready.
    pub ready: u32,
    /// Those of its engines that were lost while the others go on.
    #[serde(default)]
    pub lost: Vec<EngineId>,
    /// How far it is.
    pub state: SetState,
    /// Seconds for which it has been so.
    pub seconds: f64,
    /// What its launcher told last: the job and the queue's reason, or where it runs.
    pub said: Option<String>,
    /// Seconds since that was told.
    pub said_seconds_ago: Option<f64>,
}

/// How far a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetState {
    /// Its processes have not been started: a queue may keep it waiting.
    Waiting,
    /// They have, and not all of its engines have registered.
    Starting,
    /// All its engines have been there.
    Running,
    /// It has ended, and is started again in a moment.
    Over,
    /// It was told to go.
    Leaving,
}

/// How old a text may be without a word about its age.
const FRESH: f64 = 3.0;
/// How many sets a text names.
const SHOWN: usize = 8;

impl Progress {
    /// The sets that something is waited for.
    pub fn waiting(&self) -> impl Iterator<Item = &SetProgress> {
        self.sets.iter().filter(|set| set.is_waited_for())
    }

    /// A line for each set that something is waited for, up to a number of them.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.waiting().take(SHOWN).map(SetProgress::describe).collect();
        let more = self.waiting().count().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(format!("and {more} sets more"));
        }
        lines
    }

    /// Why there are not as many engines as wanted, in one line. Empty when nothing is known.
    pub fn reason(&self) -> String {
        let more = match self.waiting().count().saturating_sub(1) {
            0 => String::new(),
            1 => "; and one set more".to_owned(),
            count => format!("; and {count} sets more"),
        };
        match (self.waiting().next(), &self.lost) {
            (Some(set), _) => set.describe() + &more,
            (None, Some(lost)) => lost.clone(),
            (None, None) => String::new(),
        }
    }
}

impl SetProgress {
    fn is_waited_for(&self) -> bool {
        matches!(self.state, SetState::Waiting | SetState::Starting | SetState::Over)
    }

    /// `engine 3: job 17 is pending: waiting for resources; 40 s so far (12 s ago)`.
    pub fn describe(&self) -> String {
        let Self { name, set, ready, state, seconds, said, said_seconds_ago, .. } = self;
        let for_long = duration(*seconds);
        let how = match state {
            SetState::Waiting => format!("{name}: to be started, for {for_long}"),
            SetState::Starting => {
                let registered = if set.count == 1 { String::new() } else { format!(", {ready} of {} are", set.count) };
                format!("{name}: started {for_long} ago, not registered yet{registered}")
            }
            SetState::Over => format!("{name}: ended {for_long} ago, to be started again"),
            SetState::Running => format!("{name}: there for {for_long}"),
            SetState::Leaving => format!("{name}: to go when it is done"),
        };
        match (said, said_seconds_ago) {
            // The queue's words tell how long it has waited.
            (Some(said), Some(ago)) if *state == SetState::Waiting => {
                let age = if *ago < FRESH { String::new() } else { format!(" ({} ago)", duration(*ago)) };
                format!("{name}: {said}{age}")
            }
            (Some(said), _) => format!("{how}; {said}"),
            (None, _) => how,
        }
    }
}

impl Core {
    /// How far all sets are.
    pub fn how_far(&self, now: Instant) -> Progress {
        let sets = self.sets().map(|set| set.progress(now)).collect();
        Progress {
            wanted: self.wanted(),
            sets,
            lost: self.lost.clone(),
            rank_loss: self.policy.rank_loss.clone(),
            losses: self.losses.told(now),
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
