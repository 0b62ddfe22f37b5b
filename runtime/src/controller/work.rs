//! Requests and their tasks: what there is to do, and who has it. Pure: time comes in, effects go out.
//!
//! Each target of a request becomes a task, and each task gets exactly one final answer: the engine's result, or
//! `Aborted`, `Lost` or `Rejected` from here. A task that may have been started is not started again unless its
//! request allows retries. A task for which an engine lacks something goes to another engine.
//!
//! This file handles clients and engines that join and leave. In `work/`, in the order of a task's life: `submit`, `parents`,
//! `dispatch`, `timing`, `elsewhere`, `output`, `together`, `answers`; `open` reads what has not ended, and `why` says what it waits for; `recall` takes tasks back, `forcing` sees to engines that have to end for that, and `holding` has those of clients that do not
//! read. The data is in `task`.

mod answers;
mod dispatch;
mod elsewhere;
mod forcing;
mod holding;
mod observing;
mod open;
mod output;
mod parents;
mod recall;
mod submit;
mod timing;
mod together;
mod why;

pub use open::OpenTask;
pub use parents::Sessions;

use super::groups::Groups;
use super::history::{Done, Submitted};
use super::limits::Limits;
use super::load::{Horizon, Loads};
use super::observed::Observed;
use super::queue::Choice;
use super::task::{Balanced, ClientState, Forced, Gate, Kept, News, Place, Span, TaskState, segment_names};
use super::turn::Turn;
use super::unread::Unread;
use super::waits::Ran;
use crate::recent::Recent;
use crate::wire::message::{EnginesExpected, Message, Outcome, Resources};
use crate::wire::{Channel, Frame, sharing};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::num::Saturating;
use std::rc::Rc;
use std::time::Duration;

/// What `Work` has the core do.
#[derive(Debug)]
pub enum Effect {
    /// Send to an engine.
    ToEngine(EngineId, Channel, Message, Vec<Frame>),
    /// Send to a client.
    ToClient(PeerId, Channel, Message, Vec<Frame>),
    /// Remove a segment: no reader needs its name any more.
    Unlink(Frame),
    /// An engine does not end: its launcher is to end it.
    Hangs(EngineId),
    /// Remember a request of this client.
    Submitted(PeerId, RequestId, Box<Submitted>),
    /// Remember how a task of this client has ended.
    Done(PeerId, Box<Done>),
}

/// The number of the controller's start stands in the numbers of tasks from this bit on.
pub(super) const STARTS: u32 = 40;

/// How many engines that are gone are remembered by their ids, with what became of them.
const GONE_MAX: usize = 4096;

/// All tasks, and who has them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Work {
    limits: Limits,
    clients: BTreeMap<PeerId, ClientState>,
    /// Clients with queued tasks that may be started, in turn.
    turns: VecDeque<PeerId>,
    tasks: BTreeMap<TaskId, TaskState>,
    /// Load of each engine.
    pub loads: Loads,
    /// Those that do not read, as far as tasks wait for that.
    holding: BTreeSet<PeerId>,
    /// Some of these may go on.
    released: bool,
    last_task: Saturating<u64>,
    queued: Saturating<u64>,
    /// How many of them of each priority.
    #[serde(default)]
    levels: BTreeMap<i32, Saturating<u64>>,
    held_bytes: Saturating<u64>,
    no_engine_since: Option<Duration>,
    /// Whether engines are to come, as the launcher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<EnginesExpected>,
    /// The engines of this cluster end, or have ended, and others may come: tasks wait for those, whatever they need.
    #[serde(default)]
    closing: bool,
    /// What became of the last engine with an id that none has now.
    gone: Recent<EngineId, String>,
    #[serde(skip)]
    effects: Vec<Effect>,
    /// What has happened, for those who look on.
    #[serde(skip)]
    pub observed: Observed,
    /// Where tasks wait for others, by number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gates: BTreeMap<u64, Gate>,
    #[serde(default)]
    last_gate: Saturating<u64>,
    /// The gates that wait for a task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    children: BTreeMap<TaskId, Vec<u64>>,
    /// What the ids of a client's tasks begin with that is being forgotten.
    #[serde(skip)]
    leaving: Option<(PeerId, String)>,
    /// What they have not been told yet.
    #[serde(skip)]
    news: VecDeque<News>,
    /// When something is due, and for which task.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    timers: BTreeSet<(Duration, TaskId)>,
    /// Engines that were told to end because somebody aborts what they run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forced: BTreeSet<Forced>,
    /// The last tasks that engines have answered: whose, and where.
    #[serde(default)]
    ran: VecDeque<((PeerId, RequestId, u32), Ran)>,
    /// The choice of an ordinary balanced task.
    #[serde(with = "sharing::rc")]
    anywhere: Rc<Choice>,
    /// What engines that come are to do first, by name.
    kept: Vec<Kept>,
    /// Bytes of output that are not under way any more, and of which the engine was not told.
    credits: BTreeMap<(PeerId, EngineId), u64>,
    /// Segments that somebody still has to read.
    segments: BTreeSet<Vec<u8>>,
    /// How groups end what they do together, by the first task.
    turns_of_groups: BTreeMap<TaskId, Turn>,
    /// What each group does now.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    groups: Groups,
}

impl Work {
    /// Nothing to do yet.
    pub fn new(limits: Limits) -> Self {
        let mut loads = Loads::default();
        loads.set_scheme(limits.scheme, limits.prefetch);
        Work {
            limits,
            clients: BTreeMap::new(),
            turns: VecDeque::new(),
            tasks: BTreeMap::new(),
            loads,
            holding: BTreeSet::new(),
            released: false,
            last_task: Saturating(0),
            queued: Saturating(0),
            levels: BTreeMap::new(),
            held_bytes: Saturating(0),
            no_engine_since: None,
            expected: None,
            closing: false,
            gone: Recent::new(GONE_MAX),
            effects: Vec::new(),
            observed: Observed::default(),
            gates: BTreeMap::new(),
            last_gate: Saturating(0),
            children: BTreeMap::new(),
            leaving: None,
            news: VecDeque::new(),
            timers: BTreeSet::new(),
            forced: BTreeSet::new(),
            ran: VecDeque::new(),
            anywhere: Rc::default(),
            kept: Vec::new(),
            credits: BTreeMap::new(),
            segments: BTreeSet::new(),
            turns_of_groups: BTreeMap::new(),
            groups: Groups::default(),
        }
    }

    /// Numbers of tasks go on where no controller before has been.
    pub fn restarted(&mut self, start: u32, limits: Limits) {
        self.limits = limits;
        self.loads.set_scheme(limits.scheme, limits.prefetch);
        self.last_task = self.last_task.max(Saturating(u64::from(start) << STARTS));
    }

    /// The engines end. What they have not begun waits for those of another cluster.
    pub fn close(&mut self) {
        (self.closing, self.no_engine_since, self.expected) = (true, None, None);
    }

    /// There are engines again.
    pub fn reopen(&mut self) {
        self.closing = false;
    }

    /// Those that waited for tasks which have ended go on.
    pub fn settle(&mut self, now: Duration) {
        if !self.news.is_empty() {
            self.dispatch(now);
        }
    }

    /// Takes what has to be done since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        let effects = std::mem::take(&mut self.effects);
        if !self.segments.is_empty() {
            for effect in &effects {
                if let Effect::Unlink(name) = effect {
                    self.segments.remove(&**name);
                }
            }
        }
        effects
    }

    /// Segments that somebody still has to read.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map(Vec::as_slice)
    }

    /// Balanced tasks not yet given to an engine.
    pub fn queued(&self) -> u64 {
        self.queued.0
    }

    /// Bytes of payload and functions held.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes.0
    }

    /// Tasks without a final answer.
    pub fn open_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Names of segments that somebody still has to read: in replies not acknowledged or not sent, and in requests not
    /// answered.
    pub fn unread_segments(&self) -> HashSet<Vec<u8>> {
        let replies = self.clients.values().flat_map(|client| &client.reply_segments).map(|(_, name)| name);
        let requests = self.tasks.values().flat_map(|task| task.job.segment_names());
        let unmet = self.tasks.values().filter_map(|task| task.balanced.as_ref()?.unmet.as_deref());
        let unmet = unmet.flat_map(|(reply, payload)| segment_names(&reply.segments, payload));
        let kept = self.kept.iter().flat_map(|kept| kept.job.segment_names());
        replies.chain(requests).chain(unmet).chain(kept).map(|name| name.to_vec()).collect()
    }

    /// A client may submit from now on. `named`: its session has a name. `id`: what the ids of its tasks begin with.
    pub fn client_joined(&mut self, client: PeerId, named: bool, id: String) {
        self.clients.insert(client, ClientState { named, id, ..ClientState::default() });
    }

    /// Another client has a session. It has been sent nothing yet, and nothing of it is unread.
    pub fn client_taken_over(&mut self, client: PeerId) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        (state.unread, state.full, state.named, state.gone) = (Unread::default(), false, true, false);
        state.last_request = state.last_request.of_next_client();
        (state.replies, state.keeps_little, state.output_dropped) = (Saturating(0), false, false);
        state.output_bytes = Saturating(0);
        self.held_bytes -= state.forget_all_functions();
        let (outputs, segments) = (std::mem::take(&mut state.outputs), std::mem::take(&mut state.reply_segments));
        self.released = true;
        let claimed = std::mem::take(&mut state.claimed);
        if !state.queue.is_empty() && !self.turns.contains(&client) {
            self.turns.push_back(client);
        }
        self.give_up_claimed(client, claimed);
        self.effects.extend(segments.into_iter().map(|(_, name)| Effect::Unlink(name)));
        self.credit_all(client, outputs);
    }

    /// The last number that a client of this session has given a request, or may have given.
    pub fn last_request(&self, client: PeerId) -> RequestId {
        self.clients.get(&client).map_or(RequestId(0), |state| state.last_request)
    }

    /// Whether there are requests of this client without all their answers.
    pub fn has_open(&self, client: PeerId) -> bool {
        self.clients.get(&client).is_some_and(|state| !state.requests.is_empty())
    }

    /// A client has left: its queued tasks are dropped. Engines give back what they have not started of it, but do what
    /// was sent to them by name if it said `goodbye`. Nobody gets the answers.
    pub fn client_left(&mut self, client: PeerId, goodbye: bool, now: Duration) {
        let Some(mut state) = self.clients.remove(&client) else { return };
        self.leaving = Some((client, state.id.clone()));
        self.give_up_claimed(client, std::mem::take(&mut state.claimed));
        for task in state.queue.take_all(|_| true) {
            if self.is_queued(task) {
                self.unqueued(task);
                self.forget(task);
            }
        }
        for task in state.requests.values().flat_map(Span::tasks) {
            let place = self.tasks.get(&task).map(|state| state.place);
            if matches!(place, Some(Place::Waiting | Place::Delayed)) {
                self.forget(task);
            }
        }
        self.recall_all_of(&state, |task| task.balanced.is_some() || !goodbye);
        self.holding.remove(&client);
        for task in std::mem::take(&mut state.held) {
            if goodbye { self.give_held(task, now) } else { self.forget(task) }
        }
        self.turns.retain(|other| *other != client);
        self.held_bytes -= state.forget_all_functions();
        self.credit_all(client, std::mem::take(&mut state.outputs));
        self.effects.extend(state.reply_segments.into_iter().map(|(_, name)| Effect::Unlink(name)));
    }

    /// An engine takes work from now on.
    pub fn engine_joined(
        &mut self,
        engine: EngineId,
        peer: PeerId,
        horizon: Horizon,
        offers: Resources,
        now: Duration,
    ) {
        self.loads.insert(engine, peer, horizon, offers);
        self.gone.remove(&engine);
        self.no_engine_since = None;
        for kept in self.kept.clone() {
            self.give_for_nobody(kept.job, engine, now);
        }
        self.dispatch(now);
    }

    /// What was said of an engine that is gone is said better.
    pub fn explained(&mut self, engine: EngineId, was: &str, is: &str) {
        if let Some(reason) = self.gone.get_mut(&engine).filter(|reason| *reason == was) {
            is.clone_into(reason);
        }
    }

    /// What became of these engines, as far as they were there, to be put behind a text.
    fn what_became_of(&self, engines: &[EngineId]) -> String {
        let reasons: Vec<&str> =
            engines.iter().filter_map(|engine| self.gone.get(engine)).map(String::as_str).collect();
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
    }

    /// An engine died while it had this task.
    fn crashed(&mut self, task: TaskId, reason: &str) {
        let balanced = self.tasks.get_mut(&task).and_then(|state| state.balanced.as_mut());
        if let Some(balanced) = balanced {
            balanced.crashes.push(reason.to_owned());
        }
    }

    /// Why a task is lost: it may have taken more engines along than this one.
    fn crash_reason(&self, task: TaskId, reason: &str) -> String {
        match self.tasks.get(&task).and_then(|state| state.balanced.as_ref()) {
            Some(balanced) if balanced.crashes.len() > 1 => {
                let (crashes, count) = (&balanced.crashes, balanced.crashes.len());
                let limit =
                    if count >= balanced.crash_limit(self.limits.crashes()) { " (controller.crash_limit)" } else { "" };
                format!(
                    "{count} engines died one after the other while they had this call, which is given to no \
                     other{limit}: {}",
                    crashes.join("; ")
                )
            }
            _ => reason.to_owned(),
        }
    }

    /// An engine has left: its tasks are lost, or restarted elsewhere if the request allows that. `died`: it was not asked to
    /// leave, and the task that it had begun may be why.
    pub fn engine_left(&mut self, engine: EngineId, died: bool, reason: &str, now: Duration) {
        let mut lost: Vec<TaskId> = self.loads.remove(engine).into();
        if let Some(task) = lost.first().copied() {
            if died {
                self.crashed(task, reason);
            }
            self.has_begun(task);
        }
        lost.extend(self.held_for(engine));
        self.gone.insert(engine, reason.to_owned());
        self.credits.retain(|(_, other), _| *other != engine);
        for task in lost {
            if self.is_given_up(task, engine) || self.falls_back(task, true) {
                continue;
            }
            if let Some(outcome) = self.time_limit_of(task, "its engine had to be ended") {
                self.answer(task, Some(engine), outcome);
                continue;
            }
            if self.is_late(task) {
                self.is_too_late(task);
                continue;
            }
            let Some(state) = self.tasks.get_mut(&task) else { continue };
            match &mut state.balanced {
                Some(balanced @ Balanced { .. })
                    if balanced.retries > 0
                        && balanced.crashes.len() < balanced.crash_limit(self.limits.crashes())
                        && !state.abort
                        && self.clients.contains_key(&state.client)
                        && (self.closing || !balanced.choice.is_hopeless(&self.loads)) =>
                {
                    balanced.retries = balanced.retries.saturating_sub(1);
                    self.requeue(task);
                }
                _ if state.job.group.is_some() => {
                    self.member_lost(task);
                    self.answer(task, Some(engine), Outcome::RankLost(reason.to_owned()));
                }
                _ => self.lose(task, engine, reason),
            }
        }
        self.groups.forget(engine);
        if !self.closing {
            self.end_hopeless();
        }
        self.dispatch(now);
    }

    /// A task is lost with its engine, unless another one may do it that was away.
    fn lose(&mut self, task: TaskId, engine: EngineId, reason: &str) {
        if !self.falls_back(task, false) {
            let reason = self.crash_reason(task, reason);
            self.answer(task, Some(engine), Outcome::Lost(reason));
        }
    }

    /// Ends queued tasks that no engine may take any more.
    fn end_hopeless(&mut self) {
        let loads = &self.loads;
        let hopeless = |choice: &Choice| choice.is_hopeless(loads);
        let waiting = self.clients.values_mut().flat_map(|client| client.queue.take_all(hopeless));
        for task in waiting.collect::<Vec<_>>() {
            if self.is_queued(task) {
                self.unqueued(task);
                self.nowhere_to_go(task);
            }
        }
    }
}
