//! What a group does together, and how its members end it.
//!
//! A member that leaves by an exception enters nothing more, so the others are told: they do not wait for it. Of those
//! that have ended their parts without one they are told a moment later, if they still are at it. When all have ended,
//! those that have another request of the group behind this one are told so, and that the communicator is another one if
//! they were out of step. Until then they do not begin it, so that no call of theirs meets an older one of the others.

use super::{Effect, Work};
use crate::controller::task::{Job, Place};
use crate::controller::turn::Turn;
use crate::wire::Channel;
use crate::wire::message::{Departure, Group, Left, Message, Standing};
use ipclusterz_base::ids::{EngineId, TaskId};
use std::rc::Rc;
use std::time::Duration;

/// Members that end their parts at about the same time need not hear of each other.
const MOMENT: Duration = Duration::from_millis(250);

impl Work {
    /// A member of a group has ended its part.
    pub(super) fn member_ended(&mut self, engine: EngineId, task: TaskId, standing: Option<Standing>, now: Duration) {
        let Some((first, job)) = self.turn_of(task) else { return };
        let standing = standing.unwrap_or_default();
        let turn = self.turns_of_groups.entry(first).or_default();
        match &standing.departure {
            // All ranks fail in the same place often, and are told of the first.
            Some(departure) if departure.raised() && turn.told.insert(departure.entered.clone()) => {
                self.tell_of(engine, task, first, &job, departure);
            }
            Some(departure) if !departure.raised() => {
                turn.tell_at.get_or_insert(now.saturating_add(MOMENT));
            }
            _ => {}
        }
        self.turns_of_groups.entry(first).or_default().members.push((engine, task, standing));
        self.one_less(first, &job);
    }

    /// A member of a group is gone. The epoch is over with it.
    pub(super) fn member_lost(&mut self, task: TaskId) {
        if let Some((first, job)) = self.turn_of(task) {
            self.one_less(first, &job);
        }
    }

    /// When those that still are at it are told of others next.
    pub(super) fn next_word_of_members(&self) -> Option<Duration> {
        self.turns_of_groups.values().filter_map(|turn| turn.tell_at).min()
    }

    /// Tells those that still are at it of members that have ended their parts.
    pub(super) fn tell_of_members(&mut self, now: Duration) {
        let is_due = |turn: &Turn| turn.tell_at.is_some_and(|at| at <= now);
        let due = self.turns_of_groups.iter_mut().filter(|(_, turn)| is_due(turn));
        let due: Vec<_> = due.map(|(first, turn)| (*first, turn.take_returned())).collect();
        for (first, returned) in due {
            let Some(job) = self.job_at(first) else { continue };
            for (engine, task, departure) in returned {
                self.tell_of(engine, task, first, &job, &departure);
            }
        }
    }

    /// What began with this task, which may have its answer.
    fn job_at(&self, first: TaskId) -> Option<Rc<Job>> {
        let (open, _) = self.tasks.range(first..).next()?;
        self.turn_of(*open).filter(|(its_first, _)| *its_first == first).map(|(_, job)| job)
    }

    /// The first task of a group's request, and what that is; none for a task that one engine does alone.
    fn turn_of(&self, task: TaskId) -> Option<(TaskId, Rc<Job>)> {
        let state = self.tasks.get(&task).filter(|state| state.job.group.is_some())?;
        Some((TaskId(task.0.saturating_sub(u64::from(state.position))), Rc::clone(&state.job)))
    }

    fn tell_of(&mut self, engine: EngineId, task: TaskId, first: TaskId, job: &Job, departure: &Departure) {
        let ranks = job.group.as_ref().map_or(&[][..], |group| &group.ranks);
        let position = usize::try_from(task.0.saturating_sub(first.0)).unwrap_or(usize::MAX);
        let Some(rank) = ranks.get(position).copied() else { return };
        for other in (first.0..).take(ranks.len()).map(TaskId).filter(|other| *other != task) {
            let Some(Place::At(at)) = self.tasks.get(&other).map(|state| state.place) else { continue };
            let left = Left { task: other, engine, rank, departure: departure.clone() };
            self.effects.push(Effect::ToEngine(at, Channel::Data, Message::Left(left), vec![]));
        }
    }

    fn one_less(&mut self, first: TaskId, job: &Job) {
        let Some(Group { epoch, ranks, .. }) = &job.group else { return };
        let turn = self.turns_of_groups.entry(first).or_default();
        turn.ended = turn.ended.saturating_add(1);
        if turn.ended < ranks.len() {
            return;
        }
        let Some(turn) = self.turns_of_groups.remove(&first) else { return };
        let next = self.groups.ended(&job.members, *epoch, first, turn.why_given_up().is_some());
        let verdict = next.map(|renewal| turn.verdict(*epoch, renewal)).unwrap_or_default();
        let tell = |(engine, settled)| Effect::ToEngine(engine, Channel::Data, Message::Settled(settled), vec![]);
        self.effects.extend(verdict.into_iter().map(tell));
    }
}
