//! The life of the controller's process: when it is started again after its death, and when not. Pure; a part of
//! [`super::core`].
//!
//! A controller that had listened is started again at once. A pause comes before that where it dies again and again, and
//! in the end it is given up.

use super::inputs::{Action, ControllerEnd, ControllerWord, Ending};
use std::time::{Duration, Instant};

/// The pause before the second start in a row. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause after SIGKILL. That comes from outside, and says nothing about the controller.
const LONGEST_PAUSE_AFTER_KILL: Duration = Duration::from_millis(500);
/// A controller that lived this long after it listened did not die of its start.
const PROVEN: Duration = Duration::from_secs(10);
/// A controller that died within this time after it listened died at once.
const AT_ONCE: Duration = Duration::from_secs(1);
/// So many controllers in a row may die at once.
const AT_ONCE_MOST: u32 = 20;
/// So many controllers in a row may be killed at once, none of which its launcher has reached.
const KILLED_MOST: u32 = 100;
/// So many controllers in a row may end before they listen.
const EARLY_MOST: u32 = 5;
/// How long the line of a controller that has ended may take to arrive: another thread reads it.
const WORD_PATIENCE: Duration = Duration::from_secs(1);

/// How far the process is.
#[derive(Debug)]
enum Stage {
    /// It is to listen by then.
    Starting { listen_by: Instant },
    /// It will not listen, and is to exit by then; perhaps it has said why.
    Exiting { refuses: bool, exit_by: Instant },
    /// It listens.
    Listening { since: Instant },
    /// It has ended, and whether it had listened is not known yet.
    Unclear { end: ControllerEnd, word_by: Instant },
    /// It is to be started again then.
    Waiting { again_at: Instant },
}

/// See the module's documentation.
#[derive(Debug)]
pub struct ControllerLife {
    /// Whether it is started again.
    restart: bool,
    /// How long it may take to listen.
    patience: Duration,
    stage: Stage,
    /// Whether one has listened. A start of a cluster is not tried again.
    has_listened: bool,
    /// When and how the last one died that had listened, until the next one listens.
    died: Option<(Instant, String)>,
    /// How many ended in a row before they listened.
    early: u32,
    /// How many died at once in a row, and not by SIGKILL.
    at_once: u32,
    /// How many were killed at once in a row, without having been reached by their launcher.
    killed: u32,
    /// Whether its launcher has reached this one.
    reached: bool,
    /// How many died since one was proven.
    deaths: u32,
}

impl ControllerLife {
    /// The first one is being started.
    pub fn new(restart: bool, patience: Duration, now: Instant) -> Self {
        Self {
            restart,
            patience,
            stage: Stage::Starting { listen_by: now + patience },
            has_listened: false,
            died: None,
            early: 0,
            at_once: 0,
            killed: 0,
            reached: false,
            deaths: 0,
        }
    }

    /// How long it has listened; zero if it does not.
    pub fn listens_for(&self, now: Instant) -> Duration {
        match self.stage {
            Stage::Listening { since } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        }
    }

    /// Why there is no controller for now, for people; `None` if there is one, or the first one is being started.
    pub fn outage(&self) -> Option<String> {
        let (_, how) = self.died.as_ref()?;
        Some(format!("the controller died ({how}) and is started again"))
    }

    /// When [`ControllerLife::tick`] is due.
    pub fn next_tick(&self) -> Option<Instant> {
        match self.stage {
            Stage::Starting { listen_by: at }
            | Stage::Unclear { word_by: at, .. }
            | Stage::Exiting { exit_by: at, .. }
            | Stage::Waiting { again_at: at } => Some(at),
            Stage::Listening { .. } => None,
        }
    }

    /// Its process has been started again.
    pub fn started(&mut self, now: Instant) {
        (self.stage, self.reached) = (Stage::Starting { listen_by: now + self.patience }, false);
    }

    /// Its launcher has reached it.
    pub fn reached(&mut self) {
        (self.killed, self.reached) = (0, true);
    }

    /// It has printed its one line, or has ended without one.
    pub fn said(&mut self, word: ControllerWord, now: Instant) -> Vec<Action> {
        match (&self.stage, word) {
            (Stage::Unclear { end, .. }, word) => {
                let end = end.clone();
                match word {
                    ControllerWord::Listens => {
                        let said = self.listening(now);
                        said.into_iter().chain(self.died(&end, now, now)).collect()
                    }
                    ControllerWord::Refuses => vec![died(&end, None)],
                    ControllerWord::Nothing => self.ended_early(&end, now),
                }
            }
            (Stage::Starting { .. }, ControllerWord::Listens) => self.listening(now),
            (Stage::Starting { listen_by }, word) => {
                self.stage = Stage::Exiting { refuses: word == ControllerWord::Refuses, exit_by: *listen_by };
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Its process has ended.
    pub fn ended(&mut self, end: ControllerEnd, now: Instant) -> Vec<Action> {
        match self.stage {
            Stage::Listening { since } => self.died(&end, since, now),
            Stage::Exiting { refuses: true, .. } => vec![died(&end, None)],
            Stage::Exiting { refuses: false, .. } => self.ended_early(&end, now),
            Stage::Starting { .. } => {
                self.stage = Stage::Unclear { end, word_by: now + WORD_PATIENCE };
                Vec::new()
            }
            Stage::Unclear { .. } | Stage::Waiting { .. } => Vec::new(),
        }
    }

    /// Its process could not be started; why.
    pub fn not_started(&mut self, why: &str, now: Instant) -> Vec<Action> {
        self.ended_early(&ControllerEnd::not_started(why), now)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        if self.next_tick().is_none_or(|at| now < at) {
            return Vec::new();
        }
        match std::mem::replace(&mut self.stage, Stage::Starting { listen_by: now + self.patience }) {
            Stage::Starting { .. } | Stage::Exiting { .. } => {
                vec![Action::Finish(Ending::ControllerSilent(self.patience))]
            }
            Stage::Unclear { end, .. } => self.ended_early(&end, now),
            Stage::Waiting { .. } => vec![Action::StartController],
            Stage::Listening { .. } => Vec::new(),
        }
    }

    fn listening(&mut self, now: Instant) -> Vec<Action> {
        (self.stage, self.has_listened, self.early) = (Stage::Listening { since: now }, true, 0);
        let Some((at, how)) = self.died.take() else { return Vec::new() };
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        vec![Action::Say(format!("the controller died ({how}) and was started again in {seconds:.2} s"))]
    }

    /// One that listened since then has ended.
    fn died(&mut self, end: &ControllerEnd, since: Instant, now: Instant) -> Vec<Action> {
        if end.orderly {
            return vec![Action::Finish(Ending::ShutDown)];
        }
        if !self.restart {
            return vec![died(end, None)];
        }
        self.died.get_or_insert_with(|| (now, end.how.clone()));
        if end.killed && self.reached {
            // It worked, and somebody else ended it.
            return self.again(0, Duration::ZERO, now);
        }
        let lived = now.saturating_duration_since(since);
        self.deaths = if lived >= PROVEN { 1 } else { self.deaths.saturating_add(1) };
        match (end.killed, lived < AT_ONCE) {
            (_, false) => (self.at_once, self.killed) = (0, 0),
            (true, true) => self.killed += 1,
            (false, true) => self.at_once += 1,
        }
        if self.at_once >= AT_ONCE_MOST || self.killed >= KILLED_MOST {
            let many = if end.killed { KILLED_MOST } else { AT_ONCE_MOST };
            let why = format!("{many} controllers in a row died within {} s", AT_ONCE.as_secs());
            return vec![died(end, Some(why))];
        }
        let longest = if end.killed { LONGEST_PAUSE_AFTER_KILL } else { LONGEST_PAUSE };
        self.again(self.deaths - 1, longest, now)
    }

    /// One has ended before it listened.
    fn ended_early(&mut self, end: &ControllerEnd, now: Instant) -> Vec<Action> {
        if !self.restart || !self.has_listened {
            return vec![died(end, None)];
        }
        self.early += 1;
        if self.early > EARLY_MOST {
            let why = format!("{} controllers in a row ended before they listened", self.early);
            return vec![died(end, Some(why))];
        }
        self.again(self.early, LONGEST_PAUSE, now)
    }

    /// Has it started again, at once or after the pause that comes after so many others.
    fn again(&mut self, pauses: u32, longest: Duration, now: Instant) -> Vec<Action> {
        let pause = match pauses {
            0 => Duration::ZERO,
            pauses => FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(pauses - 1)).min(longest),
        };
        self.stage = Stage::Waiting { again_at: now + pause };
        self.tick(now)
    }
}

fn died(end: &ControllerEnd, given_up: Option<String>) -> Action {
    Action::Finish(Ending::ControllerDied { how: end.how.clone(), given_up })
}

#[cfg(test)]
mod tests;
