//! Decides what the loss of a rank means for its world. Pure; a part of [`super::core`].

use super::core::Core;
use super::inputs::Action;
use super::names::name_engines;
use super::policy::Policy;
use super::questions::Question;
use super::set::Set;
use crate::report::progress::Loss;
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{SetEnd, SetId};
use ipclusterz_profile::tables::engines::OnRankLoss;
use std::time::{Duration, Instant};

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
            // Those that a start did without join as they come.
            None if set.fails => Ok("tried again".to_owned()),
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
            set.unexplained.insert(asked, Question::new(now));
            let tell = Action::TellJob(set.set.clone(), line.clone());
            self.losses.add(set.loss_of_all(reason, &then, Some(OnRankLoss::Restart)), now);
            return vec![Action::Say(line), tell];
        }
        if !shrinks || !set.is_complete() || others.is_empty() {
            set.died = true;
            set.unexplained.insert(asked, Question::new(now));
            set.end_at.get_or_insert(now + NOTICE_PATIENCE);
            return vec![Action::Say(format!("{reason}; with it ends the whole set of {}", set.name()))];
        }
        set.lost.insert(asked);
        set.unexplained.insert(asked, Question::new(now));
        let go = if others.len() == 1 { "goes" } else { "go" };
        let then = format!("{} {go} on", name_engines(&others));
        self.losses.add(
            Loss {
                name: format!("engine {asked} (rank {})", asked.0 - set.set.first.0),
                engines: vec![asked],
                host: set.host(asked).map(str::to_owned),
                how: reason.to_owned(),
                policy: Some(OnRankLoss::Shrink),
                then: then.clone(),
                seconds_ago: 0.0,
            },
            now,
        );
        vec![Action::Say(format!("{reason}; {then}"))]
    }

    /// Handles the answer of the program that started an engine: how that ended, or `None` if it does not know yet.
    pub(super) fn explained(&mut self, id: SetId, asked: EngineId, how: Option<String>, now: Instant) -> Vec<Action> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        let Some(question) = set.unexplained.remove(&asked) else { return Vec::new() };
        let again = question.again(now).filter(|_| how.is_none());
        set.unexplained.extend(again.map(|again| (asked, again)));
        let is_world = self.policy.rank_loss.is_some();
        let name = set.engine(asked, is_world);
        if how.is_some() || again.is_none_or(|again| again.is_late()) {
            self.not_in_job(id, asked, now);
        }
        let Some(how) = how else { return Vec::new() };
        let line = format!("{name}: {how}");
        self.losses.explain(asked, &how, &line);
        self.ends.engine_ended(id, asked, &how);
        vec![Action::Say(line)]
    }
}

impl Set {
    /// `engine 2 (rank 2) on n1`, `engine 2 on n1`.
    fn engine(&self, asked: EngineId, is_world: bool) -> String {
        let place = self.host(asked).map(|host| format!(" on {host}")).unwrap_or_default();
        let rank = if is_world { format!(" (rank {})", asked.0 - self.set.first.0) } else { String::new() };
        format!("engine {asked}{rank}{place}")
    }

    /// The questions that are due now about how lost engines ended.
    pub(super) fn questions(&self, here: &str, now: Instant) -> impl Iterator<Item = Action> {
        let due = self.unexplained.iter().filter(move |(_, question)| question.ask_at <= now);
        due.map(move |(asked, _)| Action::Explain(self.set.clone(), self.lost_engine(*asked, here)))
    }

    /// Whether a set that has ended was shut down. If a rank was lost before, the program's exit status says nothing
    /// new. And an engine that nobody had told to end may have ended with 0. Engines that are no ranks of a world were lost before or shut
    /// down, one by one.
    pub(super) fn has_ended_well(&self, end: &SetEnd, is_world: bool) -> bool {
        let orderly = end.orderly && !self.left_by_itself;
        let rest = if is_world {
            !self.lost.is_empty() && self.given_ids().next().is_none()
        } else {
            !self.shut.is_empty() && self.remaining().next().is_none()
        };
        let complete = self.comebacks.coming().next().is_none();
        !self.died && complete && (orderly || self.shut_down || rest)
    }

    /// The loss of the whole set.
    pub(super) fn loss_of_all(&self, how: &str, then: &str, policy: Option<OnRankLoss>) -> Loss {
        Loss {
            name: self.name(),
            engines: self.set.engines().collect(),
            host: self.host(self.set.first).filter(|_| self.set.count == 1).map(str::to_owned),
            how: how.to_owned(),
            policy,
            then: then.to_owned(),
            seconds_ago: 0.0,
        }
    }
}
