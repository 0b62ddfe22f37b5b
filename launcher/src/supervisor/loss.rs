//! Records the ranks and worlds that were lost and what became of the rest, and limits restarts of worlds. Pure.

use crate::report::progress::Loss;
use ipclusterz_base::ids::EngineId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many losses are remembered.
const KEPT: usize = 100;

/// The losses of a run, the latest last.
#[derive(Debug, Default)]
pub struct Losses(VecDeque<(Instant, Loss)>);

impl Losses {
    /// Records a loss. Only the latest are kept.
    pub fn add(&mut self, loss: Loss, now: Instant) {
        self.0.push_back((now, loss));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// Completes a loss: how the rank of `engine` ended is known only now. `line` is the same with the rank's name and
    /// host.
    pub fn explain(&mut self, engine: EngineId, how: &str, line: &str) {
        if let Some((_, loss)) = self.0.iter_mut().rev().find(|(_, loss)| loss.engines.contains(&engine)) {
            let how = if loss.engines.len() == 1 { how } else { line };
            how.clone_into(&mut loss.how);
        }
    }

    /// All losses with their ages, for a report.
    pub fn with_ages(&self, now: Instant) -> Vec<Loss> {
        let since = |at: &Instant| now.saturating_duration_since(*at).as_secs_f64();
        self.0.iter().map(|(at, loss)| Loss { seconds_ago: since(at), ..loss.clone() }).collect()
    }
}

/// How often a world may be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many restarts are allowed within `window`.
    pub most: u32,
    /// The time in which restarts are counted.
    pub window: Duration,
}

/// The restarts of one world.
#[derive(Debug, Default)]
pub struct Restarts(VecDeque<Instant>);

impl Restarts {
    /// Counts one more restart, and returns what to say about it. Fails with the reason if the limit is reached.
    pub fn take(&mut self, limit: Limit, now: Instant) -> Result<String, String> {
        let Limit { most, window } = limit;
        while self.0.front().is_some_and(|at| now.saturating_duration_since(*at) >= window) {
            self.0.pop_front();
        }
        let seconds = window.as_secs_f64();
        if self.0.len() >= most as usize {
            return Err(format!(
                "not started again: restarts in {seconds} s are limited to {most} (engines.restart_limit, restart_window)"
            ));
        }
        self.0.push_back(now);
        Ok(format!("started again (restart {} of {most} in {seconds} s)", self.0.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_profile::tables::engines::OnRankLoss;

    #[test]
    fn restarts_are_limited_in_a_window_that_moves() {
        let limit = Limit { most: 2, window: Duration::from_secs(60) };
        let mut restarts = Restarts::default();
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(restarts.take(limit, now), Ok("started again (restart 1 of 2 in 60 s)".to_owned()));
        assert_eq!(restarts.take(limit, later(10)), Ok("started again (restart 2 of 2 in 60 s)".to_owned()));
        let refused = restarts.take(limit, later(59)).expect_err("a third");
        assert!(refused.starts_with("not started again: restarts in 60 s are limited to 2"), "{refused}");
        assert_eq!(restarts.take(limit, later(60)), Ok("started again (restart 2 of 2 in 60 s)".to_owned()));
    }

    #[test]
    fn losses_are_explained_later_and_told_with_their_age() {
        let now = Instant::now();
        let mut losses = Losses::default();
        let loss = |id: u32| Loss {
            name: format!("engine {id}"),
            engines: vec![EngineId(id)],
            host: Some("n1".to_owned()),
            how: "its connection broke".to_owned(),
            policy: Some(OnRankLoss::Shrink),
            then: "engine 0 goes on".to_owned(),
            seconds_ago: 0.0,
        };
        (0..KEPT as u32 + 2).for_each(|id| losses.add(loss(id), now));
        losses.explain(EngineId(101), "signal: 9 (SIGKILL)", "engine 101: signal: 9 (SIGKILL)");
        let told = losses.with_ages(now + Duration::from_secs(5));
        assert_eq!((told.len(), told[0].engines[0]), (KEPT, EngineId(2)));
        let last = "5 s ago: engine 101 on n1: signal: 9 (SIGKILL); engine 0 goes on";
        assert_eq!(told[KEPT - 1].describe(), last);
    }
}
