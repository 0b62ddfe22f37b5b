//! Decides what the loss of a rank means for its world. Pure; a part of [`super::core`].

use super::core::Core;
use super::inputs::Action;
use super::names::name_engines;
use super::policy::Policy;
use super::set::Set;
use crate::report::progress::Loss;
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{SetEnd, SetId};
use ipclusterz_profile::tables::engines::OnRankLoss;
use std::time::{Duration, Instant};

/// The time between two questions how a lost rank ended: the program that started it learns that a moment later.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How often to ask.
const ASK_TIMES: u32 = 20;

/// How long the program of a set that has lost an engine may take to end the set by itself. That program knows best
/// which rank died, and how.
pub(super) const NOTICE_PATIENCE: Duration = Duration::from_secs(3);

impl Policy {
    /// What the loss of a rank means; `None` if engines are independent.
    pub fn on_rank_loss(&self) -> Option<OnRankLoss> {
        self.rank_loss.as_ref().map(|loss| loss.policy)
    }

    /// Whether the jobs of sets restart lost ranks themselves.
    pub(super) fn restarts_in_job(&self) -> bool {
        self.rank_loss.as_ref().is_some_and(|loss| loss.in_job)
    }

    /// Whether a dead set is to be started again: what to say about it, or why not.
    pub(super) fn again(&self, set: &mut Set, now: Instant) -> Result<String, String> {
        match self.on_rank_loss() {
            Some(OnRankLoss::Restart) => {
                let then = set.restarts.take(self.restart_limit, now)?;
                // A new job may wait in the queue for hours, and a job that a user cancelled must not come back.
                let again = !self.restarts_in_job() || self.restart;
                if again {
                    Ok(then)
                } else {
                    Err("its job is not submitted again (engines.restart = false)".to_owned())
                }
            }
            Some(OnRankLoss::Stop) => Err("not started again (engines.on_rank_loss = \"stop\")".to_owned()),
            Some(OnRankLoss::Shrink) if self.restart => set.restarts.take(self.restart_limit, now),
            Some(OnRankLoss::Shrink) => Err("none of its engines is left (engines.restart = false)".to_owned()),
            None if self.restart => Ok("started again".to_owned()),
            None => Err(String::new()),
        }
    }
}

impl Core {
    /// Handles the loss of a rank that was not told to leave.
    pub(super) fn rank_lost(&mut self, id: SetId, asked: EngineId, reason: &str, now: Instant) -> Vec<Action> {
        self.failed = true;
        let shrinks = self.ready && self.policy.on_rank_loss() == Some(OnRankLoss::Shrink);
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let others: Vec<EngineId> = set.given_ids().collect();
        if self.ready
            && set.in_job.is_some()
            && let Ok(then) = set.restarts.take(self.policy.restart_limit, now)
        {
            let line = format!("{reason}; {}: {then} in the same job", set.name());
            set.restart_in_job(&then, now);
            set.unexplained.insert(asked, (now + ASK_AGAIN, ASK_TIMES));
            let tell = Action::TellJob(set.set.clone(), line.clone());
            self.losses.add(set.loss_of_all(reason, &then, OnRankLoss::Restart), now);
            return vec![Action::Say(line), tell];
        }
        if !shrinks || !set.is_complete() || others.is_empty() {
            set.died = true;
            set.end_at.get_or_insert(now + NOTICE_PATIENCE);
            return vec![Action::Say(format!("{reason}; with it ends the whole set of {}", set.name()))];
        }
        set.lost.insert(asked);
        set.unexplained.insert(asked, (now + ASK_AGAIN, ASK_TIMES));
        let go = if others.len() == 1 { "goes" } else { "go" };
        let then = format!("{} {go} on", name_engines(&others));
        self.losses.add(
            Loss {
                name: format!("engine {asked} (rank {})", asked.0 - set.set.first.0),
                engines: vec![asked],
                host: set.place(asked).map(str::to_owned),
                how: reason.to_owned(),
                policy: OnRankLoss::Shrink,
                then: then.clone(),
                seconds_ago: 0.0,
            },
            now,
        );
        vec![Action::Say(format!("{reason}; {then}"))]
    }

    /// Handles the answer of the program that started a rank: how the rank ended, or `None` if it does not know yet.
    pub(super) fn explained(&mut self, id: SetId, asked: EngineId, how: Option<String>, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let Some((_, left)) = set.unexplained.remove(&asked) else { return Vec::new() };
        let Some(how) = how else {
            if left > 1 {
                set.unexplained.insert(asked, (now + ASK_AGAIN, left - 1));
            }
            return Vec::new();
        };
        let line = format!("{}: {how}", set.rank(asked));
        self.losses.explain(asked, &how, &line);
        self.ends.engine_ended(id, asked, &how);
        vec![Action::Say(line)]
    }
}

impl Set {
    /// `engine 2 (rank 2) on n1`.
    fn rank(&self, asked: EngineId) -> String {
        let place = self.place(asked).map(|host| format!(" on {host}")).unwrap_or_default();
        format!("engine {asked} (rank {}){place}", asked.0 - self.set.first.0)
    }

    /// The questions that are due now about how lost ranks ended.
    pub(super) fn questions_about_lost_ranks(&self, now: Instant) -> impl Iterator<Item = Action> {
        let due = self.unexplained.iter().filter(move |(_, (ask_at, _))| *ask_at <= now);
        due.map(|(asked, _)| Action::Explain(self.set.clone(), *asked))
    }

    /// Whether a set that has ended was shut down. If a rank was lost before, the program's exit status says nothing
    /// new. And an engine that nobody had told to end may have ended with 0.
    pub(super) fn has_ended_well(&self, end: &SetEnd) -> bool {
        let orderly = end.orderly && !self.left_by_itself;
        !self.died && (orderly || self.shut_down || (!self.lost.is_empty() && self.given_ids().next().is_none()))
    }

    /// The loss of the whole set.
    pub(super) fn loss_of_all(&self, how: &str, then: &str, policy: OnRankLoss) -> Loss {
        Loss {
            name: self.name(),
            engines: self.set.engines().collect(),
            host: None,
            how: how.to_owned(),
            policy,
            then: then.to_owned(),
            seconds_ago: 0.0,
        }
    }
}
