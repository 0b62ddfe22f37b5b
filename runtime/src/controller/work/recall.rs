//! Taking back tasks that have not started: because a client aborts them or is gone, an engine is retired, they wait
//! behind a long task, or no engine comes.

use super::{Effect, Work};
use crate::controller::limits::Limits;
use crate::controller::task::{ClientState, Place, Span, TaskState};
use crate::wire::Channel;
use crate::wire::message::{Abort, EnginesExpected, Fate, Fulfilled, Message, Outcome, Recall, Recalled, Started};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most tasks that are asked back in one message: an engine's answer is as long.
const RECALL_MAX: usize = 1 << 14;

impl Work {
    /// An engine gives tasks back that it has not started, and says which it keeps.
    pub fn recalled(&mut self, engine: EngineId, recalled: &Recalled, now: Duration) {
        for task in &recalled.kept {
            self.said(engine, *task);
            let it_is_here = self.tasks.get(task).filter(|state| state.place == Place::At(engine));
            if it_is_here.is_some_and(|state| state.abort) {
                self.tell_started(*task);
            } else if it_is_here.is_some() {
                self.has_begun(*task);
            }
        }
        for task in &recalled.returned {
            let was_asked = self.was_asked(*task);
            self.said(engine, *task);
            if !self.loads.take(engine, *task, None, now) || self.is_given_up(*task, engine) {
                continue;
            }
            let given_up = self.tasks.get(task).is_some_and(|state| state.abort);
            let late = self.is_late(*task);
            if given_up && self.falls_back(*task, false) {
                continue;
            }
            match self.tasks.get(task) {
                Some(state) if state.abort => self.answer(*task, Some(engine), Outcome::Aborted),
                Some(_) if late => self.is_too_late(*task),
                Some(state) if !self.clients.contains_key(&state.client) => self.forget(*task),
                Some(state) if state.balanced.is_some() => self.requeue(*task),
                Some(_) if was_asked => self.hold(*task, engine),
                // It may not go elsewhere, and nobody asked for it back.
                Some(_) => self.answer(*task, Some(engine), Outcome::Lost("the engine gave it back".to_owned())),
                None => {}
            }
        }
        self.dispatch(now);
    }

    /// Aborts what a client names, as far as it has not started, and interrupts the rest if it asks for that.
    pub fn abort(&mut self, client: PeerId, abort: &Abort, now: Duration) {
        let mut recalls: BTreeMap<EngineId, Recall> = BTreeMap::new();
        let mut forced: BTreeSet<EngineId> = BTreeSet::new();
        let engines: Option<BTreeSet<EngineId>> = abort.engines.as_ref().map(|ids| ids.iter().copied().collect());
        let means = |engine: EngineId| engines.as_ref().is_none_or(|engines| engines.contains(&engine));
        for task in self.named(client, abort) {
            let Some(state) = self.tasks.get_mut(&task) else { continue };
            state.claim |= abort.claim;
            match state.place {
                Place::Queued | Place::Waiting | Place::Delayed if engines.is_none() => {
                    state.abort = true;
                    self.withdraw(task);
                    if !self.falls_back(task, false) {
                        self.answer(task, None, Outcome::Aborted);
                    }
                }
                // None of its group has started either, but the others go on.
                Place::Held(engine) if means(engine) && engines.is_some() && state.job.group.is_some() => {
                    self.tell_started(task);
                }
                Place::Held(engine) if means(engine) => self.answer(task, Some(engine), Outcome::Aborted),
                Place::At(engine) if means(engine) => {
                    let recall = recalls.entry(engine).or_default();
                    recall.interrupt.extend(abort.interrupt.then_some(task));
                    recall.kill.extend(abort.force.then_some(task));
                    forced.extend(abort.force.then_some(engine));
                    if state.job.group.is_some() {
                        // If one member of a group has started, the others need it.
                        self.tell_started(task);
                    } else if !std::mem::replace(&mut state.abort, true) {
                        // Who asks again has the answer to the first question.
                        recall.tasks.push(task);
                    }
                }
                _ => {}
            }
        }
        for engine in forced {
            // What others have there, and has not begun, is not to be lost with it.
            recalls.entry(engine).or_default().tasks.extend(self.balanced_behind(engine));
        }
        recalls.retain(|_, recall| *recall != Recall::default());
        for (engine, recall) in &recalls {
            self.is_forced(*engine, &recall.kill, now);
        }
        recalls.into_iter().for_each(|(engine, recall)| self.recall(engine, recall));
        self.dispatch(now);
    }

    /// A client says how something has ended that it has claimed.
    pub fn fulfilled(&mut self, client: PeerId, fulfilled: &Fulfilled) {
        let Fulfilled { request, position, fate, engine } = *fulfilled;
        let claimed = self.clients.get_mut(&client).and_then(|state| state.claimed.remove(&(request, position)));
        if let Some(task) = claimed {
            self.is_past(client, task, (request, position), fate, engine);
        }
    }

    /// What a client has claimed is given up, for nobody will say how it ended.
    pub(super) fn give_up_claimed(&mut self, client: PeerId, claimed: BTreeMap<(RequestId, u32), TaskId>) {
        for (id, task) in claimed {
            self.is_past(client, task, id, Fate::Aborted, None);
        }
    }

    /// The tasks that an abort means, in order.
    fn named(&self, client: PeerId, abort: &Abort) -> Vec<TaskId> {
        let state = self.clients.get(&client);
        let mut tasks: Vec<TaskId> = match (&abort.requests, state) {
            _ if abort.all_clients => self.tasks.keys().copied().collect(),
            (_, None) => vec![],
            (Some(requests), Some(state)) => {
                let requests: BTreeSet<&RequestId> = requests.iter().collect();
                requests.into_iter().filter_map(|request| state.requests.get(request)).flat_map(Span::tasks).collect()
            }
            (None, Some(state)) => state.requests.values().flat_map(Span::tasks).collect(),
        };
        tasks.sort_unstable();
        tasks
    }

    /// Takes back what engines have of a client that is gone, unless it has started. What engines do together stays:
    /// if one of them has started, the others need it.
    pub(super) fn recall_all_of(&mut self, client: &ClientState, which: impl Fn(&TaskState) -> bool) {
        let mut recalls: BTreeMap<EngineId, Recall> = BTreeMap::new();
        for task in client.requests.values().flat_map(Span::tasks) {
            let state = self.tasks.get(&task).filter(|state| state.job.group.is_none() && which(state));
            if let Some(Place::At(engine)) = state.map(|state| state.place) {
                recalls.entry(engine).or_default().tasks.push(task);
            }
        }
        recalls.into_iter().for_each(|(engine, recall)| self.recall(engine, recall));
    }

    /// Tells the client of a task that it wanted to give up that this goes on.
    fn tell_started(&mut self, task: TaskId) {
        let Some(state) = self.tasks.get(&task).filter(|state| self.clients.contains_key(&state.client)) else {
            return;
        };
        let message = Message::Started(Started { request: state.request, position: state.position });
        self.effects.push(Effect::ToClient(state.client, Channel::Data, message, vec![]));
    }

    /// An engine gets no new tasks from now on; balanced tasks that it has not started go to others. True: it is asked for some.
    pub fn retire(&mut self, engine: EngineId) -> bool {
        let Some(load) = self.loads.get(engine).filter(|load| !load.horizon.retiring) else { return false };
        let balanced = |task: &TaskId| self.tasks.get(task).is_some_and(|state| state.balanced.is_some());
        let tasks: Vec<TaskId> = load.outstanding.iter().copied().filter(balanced).collect();
        self.loads.retire(engine);
        let asked = !tasks.is_empty();
        if asked {
            self.recall(engine, Recall { tasks, ..Recall::default() });
        }
        asked
    }

    /// Whether an engine is being retired and has finished everything.
    pub fn is_retired(&self, engine: EngineId) -> bool {
        let idle = self.loads.get(engine).is_none_or(|load| load.horizon.retiring && load.outstanding.is_empty());
        idle && self.held_for(engine).is_empty()
    }

    /// When `tick` should be called next, if at all.
    pub fn next_tick(&self) -> Option<Duration> {
        let (due, grace) =
            (self.next_timer(), self.no_engine_since.map(|since| since.saturating_add(self.patience().0)));
        let soon = self.loads.any_stacked().then_some(Duration::ZERO);
        [soon, grace, due, self.next_forced(), self.next_word_of_members()].into_iter().flatten().min()
    }

    /// Tells members of groups of each other; takes back what waits behind long tasks; ends queued tasks when there has been no engine for too long.
    pub fn tick(&mut self, now: Duration) {
        self.tell_of_members(now);
        self.do_what_is_due(now);
        self.look_after_forced(now);
        for engine in self.loads.stuck(now) {
            let behind = self.balanced_behind(engine);
            self.loads.hold_back(engine);
            if !behind.is_empty() {
                self.recall(engine, Recall { tasks: behind, ..Recall::default() });
            }
        }
        let (patience, reason) = self.patience();
        if self.no_engine_since.is_some_and(|since| now.saturating_sub(since) >= patience) {
            self.no_engine_since = None;
            let all = self.clients.values_mut().flat_map(|client| client.queue.take_all(|_| true));
            for task in all.collect::<Vec<_>>() {
                if self.is_queued(task) {
                    self.unqueued(task);
                    self.answer(task, None, Outcome::Lost(reason.clone()));
                }
            }
        }
    }

    /// What an engine has behind its first task that others may do.
    fn balanced_behind(&self, engine: EngineId) -> Vec<TaskId> {
        let outstanding = self.loads.get(engine).map(|load| load.outstanding.iter().skip(1).copied());
        let balanced = |task: &TaskId| self.tasks.get(task).is_some_and(|state| state.balanced.is_some());
        outstanding.into_iter().flatten().filter(balanced).collect()
    }

    /// For how long balanced tasks wait for the first engine, and why they are lost then.
    fn patience(&self) -> (Duration, String) {
        let Limits { no_engine_grace: grace, wait_for_engines: long, .. } = self.limits;
        let for_seconds = |time: Duration| format!("there has been no engine for {} s", time.as_secs());
        match &self.expected {
            Some(EnginesExpected { coming: true, why, .. }) => {
                (long, format!("{} (controller.wait_for_engines): {why}", for_seconds(long)))
            }
            Some(EnginesExpected { why, .. }) if !why.is_empty() => {
                (Duration::ZERO, format!("there is no engine, and none is to come: {why}"))
            }
            _ => (grace, for_seconds(grace)),
        }
    }

    /// The launcher says whether engines are to come.
    pub fn engines_expected(&mut self, expected: EnginesExpected, now: Duration) {
        self.expected = Some(expected);
        self.tick(now);
    }

    /// What the launcher has said of engines that are to come.
    pub fn expected(&self) -> Option<&EnginesExpected> {
        self.expected.as_ref()
    }

    pub(super) fn recall(&mut self, engine: EngineId, recall: Recall) {
        let Recall { mut tasks, mut interrupt, mut kill } = recall;
        let rest = |list: &mut Vec<TaskId>| list.split_off(list.len().min(RECALL_MAX));
        let rest = Recall { tasks: rest(&mut tasks), interrupt: rest(&mut interrupt), kill: rest(&mut kill) };
        let message = Message::Recall(Recall { tasks, interrupt, kill });
        // On `data`, behind the tasks it names, so that the engine has them all.
        self.effects.push(Effect::ToEngine(engine, Channel::Data, message, vec![]));
        if rest != Recall::default() {
            self.recall(engine, rest);
        }
    }
}
