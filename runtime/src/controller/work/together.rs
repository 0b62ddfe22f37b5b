//! What a group does together, and how its members end it.
//!
//! A member that leaves by an exception enters nothing more, so the others are told: they do not wait for it. When all
//! have ended their parts, those that left are told whether all are still in step. Until then they begin nothing else of
//! that group, so that no call of theirs meets an older one of the others.

use super::{Effect, Work};
use crate::controller::task::Place;
use crate::wire::Channel;
use crate::wire::message::{Departure, Group, Left, Message, Standing};
use ipclusterz_base::ids::{EngineId, TaskId};

impl Work {
    /// A member of a group has ended its part.
    pub(super) fn member_ended(&mut self, engine: EngineId, task: TaskId, standing: Option<Standing>) {
        let Some((first, group)) = self.turn_of(task) else { return };
        let standing = standing.unwrap_or_default();
        if let Some(departure) = &standing.departure {
            self.tell_of_departure(engine, task, first, &group, departure);
        }
        self.turns_of_groups.entry(first).or_default().members.push((engine, task, standing));
        self.one_less(first, &group);
    }

    /// A member of a group is gone. The epoch is over with it.
    pub(super) fn member_lost(&mut self, task: TaskId) {
        if let Some((first, group)) = self.turn_of(task) {
            self.one_less(first, &group);
        }
    }

    /// The first task of a group's request, and the group; none for a task that one engine does alone.
    fn turn_of(&self, task: TaskId) -> Option<(TaskId, Group)> {
        let state = self.tasks.get(&task)?;
        let group = state.job.group.as_ref().filter(|group| group.ranks.len() > 1)?;
        Some((TaskId(task.0.saturating_sub(u64::from(state.position))), group.clone()))
    }

    fn tell_of_departure(
        &mut self,
        engine: EngineId,
        task: TaskId,
        first: TaskId,
        group: &Group,
        departure: &Departure,
    ) {
        // All ranks fail in the same place often, and are told of the first.
        if !self.turns_of_groups.entry(first).or_default().told.insert(departure.entered.clone()) {
            return;
        }
        let position = usize::try_from(task.0.saturating_sub(first.0)).unwrap_or(usize::MAX);
        let Some(rank) = group.ranks.get(position).copied() else { return };
        for other in (first.0..).take(group.ranks.len()).map(TaskId).filter(|other| *other != task) {
            let Some(Place::At(at)) = self.tasks.get(&other).map(|state| state.place) else { continue };
            let left = Left { task: other, engine, rank, departure: departure.clone() };
            self.effects.push(Effect::ToEngine(at, Channel::Data, Message::Left(left), vec![]));
        }
    }

    fn one_less(&mut self, first: TaskId, group: &Group) {
        let turn = self.turns_of_groups.entry(first).or_default();
        turn.ended = turn.ended.saturating_add(1);
        if turn.ended < group.ranks.len() {
            return;
        }
        let verdict = self.turns_of_groups.remove(&first).map(|turn| turn.verdict(group)).unwrap_or_default();
        let tell = |(engine, settled)| Effect::ToEngine(engine, Channel::Data, Message::Settled(settled), vec![]);
        self.effects.extend(verdict.into_iter().map(tell));
    }
}
