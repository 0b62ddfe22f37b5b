//! How far the sets of a cluster are, and why they are no further. `status` shows it; `scale` and `wait` say it while
//! they wait. The supervisor fills it in.

use ipclusterz_base::ids::EngineId;
use ipclusterz_host::units::duration;
use ipclusterz_launchers::rank_loss::RankLoss;
use ipclusterz_launchers::set::EngineSet;
use ipclusterz_profile::tables::engines::OnRankLoss;
use serde::{Deserialize, Serialize};

/// All sets, as the launcher sees them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How many engines are wanted, without those that are leaving.
    pub wanted: u32,
    /// In the order in which they were started.
    pub sets: Vec<SetProgress>,
    /// Why the set that was lost last is not started again.
    pub lost: Option<String>,
    /// What the loss of a rank means, if sets are worlds.
    #[serde(default)]
    pub rank_loss: Option<RankLoss>,
    /// The ranks and worlds that were lost, the latest last.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// Why there is no controller for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
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
    /// Its engines that were lost while the others go on.
    #[serde(default)]
    pub lost: Vec<EngineId>,
    /// Its engines, if whoever runs their processes has stopped them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<EngineId>,
    /// How far it is.
    pub state: SetState,
    /// Seconds since it reached this state.
    pub seconds: f64,
    /// What its launcher reported last: the job and the queue's reason, or where it runs.
    pub said: Option<String>,
    /// Seconds since that report.
    pub said_seconds_ago: Option<f64>,
}

/// How far a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetState {
    /// Its processes have not been started: a queue may keep it waiting.
    Waiting,
    /// They have been started, but not all engines have registered.
    Starting,
    /// All its engines have registered.
    Running,
    /// It has ended, and is started again in a moment.
    Over,
    /// It was told to leave.
    Leaving,
}

/// A text that is younger than this, in seconds, is shown without its age.
const FRESH: f64 = 3.0;
/// How many sets a text names at most.
const SHOWN: usize = 8;

impl Progress {
    /// The sets whose engines are waited for.
    pub fn waiting(&self) -> impl Iterator<Item = &SetProgress> {
        self.sets.iter().filter(|set| set.is_waited_for())
    }

    /// A line for each set whose engines are waited for, up to a number of them; then a line that counts the others.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.waiting().take(SHOWN).map(SetProgress::describe).collect();
        let more = self.waiting().count().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(format!("and {more} sets more"));
        }
        lines
    }

    /// Why there are fewer engines than wanted, in one line. Empty if nothing is known.
    pub fn reason(&self) -> String {
        let more = match self.waiting().count().saturating_sub(1) {
            0 => String::new(),
            1 => "; and one set more".to_owned(),
            count => format!("; and {count} sets more"),
        };
        if let Some(controller) = &self.controller {
            return controller.clone();
        }
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
            // The queue's text already tells how long the set has waited.
            (Some(said), Some(ago)) if *state == SetState::Waiting => {
                let age = if *ago < FRESH { String::new() } else { format!(" ({} ago)", duration(*ago)) };
                format!("{name}: {said}{age}")
            }
            (Some(said), _) => format!("{how}; {said}"),
            (None, _) => how,
        }
    }
}

/// The loss of a rank, or of a whole world with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// What was lost: `engine 3`, `engines 0 to 7`.
    pub name: String,
    /// The ids that these engines had asked for.
    pub engines: Vec<EngineId>,
    /// The host of the engine, if only one was lost.
    pub host: Option<String>,
    /// How it was lost, for a person.
    pub how: String,
    /// What was done about the other ranks, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<OnRankLoss>,
    /// What was done, in words for a person: `engines 0, 1, 2 go on`, `started again (restart 2 of 10 in 600 s)`.
    pub then: String,
    /// How long ago.
    pub seconds_ago: f64,
}

impl Loss {
    /// The loss of one engine that is no rank.
    pub fn of_engine(engine: EngineId, host: Option<String>, how: &str, then: &str) -> Self {
        let (name, how, then) = (format!("engine {engine}"), how.to_owned(), then.to_owned());
        Self { name, engines: vec![engine], host, how, policy: None, then, seconds_ago: 0.0 }
    }

    /// `12 s ago: engine 3 on n1: signal: 9 (SIGKILL); engines 0, 1, 2 go on`.
    pub fn describe(&self) -> String {
        let place = self.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
        let then = if self.then.is_empty() { String::new() } else { format!("; {}", self.then) };
        format!("{} ago: {}{place}: {}{then}", duration(self.seconds_ago), self.name, self.how)
    }
}
