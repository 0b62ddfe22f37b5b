//! How far engines have come back that were lost one by one, while the others of their set went on. Pure.

use super::restart::BackOff;
use ipclusterz_base::ids::EngineId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How far an engine that was lost has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Its job is asked how it ended. A job that does not know cannot start it again.
    Asked,
    /// Its job is told at this time.
    Due(Instant),
    /// Its job was told, and has until then.
    Told { by: Instant },
    /// It is there again.
    There { since: Instant },
}

/// The way back of one engine.
#[derive(Debug)]
struct Comeback {
    step: Step,
    how: String,
    back_off: BackOff,
}

/// Engines of one set that were lost and come back in its job, by the ids that they had asked for.
#[derive(Debug, Default)]
pub struct Comebacks(BTreeMap<EngineId, Comeback>);

impl Comebacks {
    /// Notes that an engine was lost, or was lost again.
    pub fn begin(&mut self, asked: EngineId, how: &str, now: Instant) {
        let (step, how) = (Step::Asked, how.to_owned());
        let comeback =
            self.0.entry(asked).or_insert_with(|| Comeback { step, how: String::new(), back_off: BackOff::default() });
        if let Step::There { since } = comeback.step {
            comeback.back_off.lived_since(since, now);
        }
        (comeback.step, comeback.how) = (step, how);
    }

    /// The engine has registered.
    pub fn arrived(&mut self, asked: EngineId, now: Instant) {
        if let Some(comeback) = self.0.get_mut(&asked) {
            comeback.step = Step::There { since: now };
        }
    }

    /// Its job has seen how the engine ended, and is told in a moment to start it again.
    pub fn explained(&mut self, asked: EngineId, how: &str, now: Instant) {
        if let Some(comeback) = self.0.get_mut(&asked).filter(|comeback| comeback.step == Step::Asked) {
            how.clone_into(&mut comeback.how);
            comeback.step = Step::Due(comeback.back_off.next_start(now, now));
        }
    }

    /// Whether it was lost, and its job has not said how it ended.
    pub fn is_asked_about(&self, asked: EngineId) -> bool {
        self.0.get(&asked).is_some_and(|comeback| comeback.step == Step::Asked)
    }

    /// Gives up an engine that is not there yet; returns what is known of its deaths.
    pub fn give_up(&mut self, asked: EngineId) -> Option<BackOff> {
        let coming = self.coming().any(|id| id == asked);
        coming.then(|| self.0.remove(&asked)).flatten().map(|comeback| comeback.back_off)
    }

    /// The engines that are not there yet.
    pub fn coming(&self) -> impl Iterator<Item = EngineId> {
        let coming = self.0.iter().filter(|(_, comeback)| !matches!(comeback.step, Step::There { .. }));
        coming.map(|(asked, _)| *asked)
    }

    /// When [`Comebacks::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Instant> {
        let due = self.0.values().filter_map(|comeback| match comeback.step {
            Step::Due(at) | Step::Told { by: at } => Some(at),
            Step::Asked | Step::There { .. } => None,
        });
        due.min()
    }

    /// The engines of which the job is to be told now, each with how it ended; and those that did not come in time.
    pub fn tick(&mut self, patience: Duration, now: Instant) -> (Vec<(EngineId, String)>, Vec<EngineId>) {
        let (mut told, mut late) = (Vec::new(), Vec::new());
        for (asked, comeback) in &mut self.0 {
            match comeback.step {
                Step::Due(at) if at <= now => {
                    comeback.step = Step::Told { by: now + patience };
                    told.push((*asked, comeback.how.clone()));
                }
                Step::Told { by } if by <= now => late.push(*asked),
                _ => {}
            }
        }
        (told, late)
    }
}
