//! Restarts engines because somebody asks for it: they end, and come back under their ids. Pure; a part of
//! [`super::core`].

use super::core::Core;
use super::inputs::Action;
use super::names::name_engines;
use super::set::{Set, Stage};
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{Force, SetId};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How much longer than `end_timeout` engines have until their processes are ended.
const MORE: Duration = Duration::from_secs(1);

/// Why these engines cannot be restarted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRestart {
    /// There are none.
    #[error("there are no engines to restart")]
    Nobody,
    /// This launcher has no such engine.
    #[error("{0}: not started by this cluster's launcher, or not there")]
    NotOurs(String),
    /// They are one program or one job, which begins and ends with all of them.
    #[error("{named} cannot be restarted without {others}: they are one {what}")]
    Together {
        /// Who was named.
        named: String,
        /// Who was not.
        others: String,
        /// A job, or an MPI_COMM_WORLD.
        what: &'static str,
    },
}

impl Core {
    /// Restarts these engines; without any, all. Nothing is ended if that is not possible with one of them.
    pub fn restart(
        &mut self,
        engines: Option<&[EngineId]>,
        now: Instant,
    ) -> Result<(Vec<EngineId>, Vec<Action>), CannotRestart> {
        let there: BTreeSet<EngineId> = self.restartable().flat_map(Set::given_ids).collect();
        let named: BTreeSet<EngineId> = engines.map_or_else(|| there.clone(), |named| named.iter().copied().collect());
        let unknown: Vec<EngineId> = named.difference(&there).copied().collect();
        if !unknown.is_empty() {
            return Err(CannotRestart::NotOurs(name_engines(&unknown)));
        }
        if named.is_empty() {
            return Err(CannotRestart::Nobody);
        }
        let sets: Vec<SetId> = self
            .restartable()
            .filter(|set| set.given_ids().any(|id| named.contains(&id)))
            .map(|set| set.set.id)
            .collect();
        let engines: Vec<EngineId> = named.iter().copied().collect();
        if self.policy.again_in_job {
            // They come back as others that die.
            return Ok((engines.clone(), vec![Action::Terminate(engines)]));
        }
        sets.iter().try_for_each(|id| self.check_whole(*id, &named))?;
        for id in sets {
            self.begin_restart(id, now);
        }
        Ok((engines.clone(), vec![Action::ShutDown(engines)]))
    }

    /// The sets that may be restarted.
    fn restartable(&self) -> impl Iterator<Item = &Set> {
        self.staying().filter(|set| set.is_running())
    }

    /// Fails if engines of a set are not among those that are named.
    fn check_whole(&self, id: SetId, named: &BTreeSet<EngineId>) -> Result<(), CannotRestart> {
        let Some(set) = self.sets.get(&id) else { return Ok(()) };
        let (of_set, others): (Vec<_>, Vec<_>) = set.given_ids().partition(|id| named.contains(id));
        if others.is_empty() {
            return Ok(());
        }
        let what = if self.policy.rank_loss.is_some() { "MPI_COMM_WORLD" } else { "job" };
        Err(CannotRestart::Together { named: name_engines(&of_set), others: name_engines(&others), what })
    }

    /// Kills an engine that does not end although it has to: its process may be stopped. It comes back as others that die. Says why
    /// not, if that is not possible.
    pub(super) fn hangs(&self, engine: EngineId) -> Vec<Action> {
        let why = match self.restartable().find(|set| set.has(engine)).map(|set| set.set.id) {
            None => Err(CannotRestart::NotOurs(name_engines(&[engine]))),
            Some(set) => self.check_whole(set, &BTreeSet::from([engine])).map(|()| set),
        };
        let what = format!("engine {engine} does not end although it has to");
        match why {
            Ok(set) => vec![Action::Say(format!("{what}; its process is killed")), Action::End(set, Force::Kill)],
            Err(why) => vec![Action::Say(format!("{what}, and is not killed: {why}"))],
        }
    }

    fn begin_restart(&mut self, id: SetId, now: Instant) {
        let patience = self.policy.end_timeout + MORE;
        if let Some(set) = self.sets.get_mut(&id) {
            set.restarting = true;
            // One that is stopped, or does not end.
            set.end_at = Some(now + patience);
        }
    }

    /// Starts a set again that has ended because it is restarted; `None` if it is not.
    pub(super) fn restarted(&mut self, id: SetId, now: Instant) -> Option<Vec<Action>> {
        let set = self.sets.get_mut(&id).filter(|set| set.restarting)?;
        let line = format!("{} {} restarted", set.name(), if set.set.count > 1 { "are" } else { "is" });
        set.over("restarted", true, now);
        set.stage = Stage::Over { ended: now, again_at: now };
        (set.restarting, set.shut) = (false, BTreeSet::new());
        Some(vec![Action::Say(line)])
    }
}

#[cfg(test)]
mod tests;
