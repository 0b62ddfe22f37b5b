//! Requests as they come in: checked, and made into one task for each target. The code of functions comes with them.

use super::observing::submission;
use super::{Effect, Sessions, Work};
use crate::controller::history::Submitted;
use crate::controller::load::Loads;
use crate::controller::queue::Choice;
use crate::controller::task::{Balanced, ClientState, Conditions, Job, Kept, Place, Span, TaskState};
use crate::wire::message::{
    Dependency, EnginesExpected, FunctionCode, FunctionName, Group, Message, Op, Outcome, Placement, Request,
    Resources, Terms, Window,
};
use crate::wire::weight::bytes_of;
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;
use std::num::Saturating;
use std::rc::Rc;
use std::time::Duration;

/// Most functions that are kept for a client; it forgets some before it has so many.
const FUNCTIONS_MAX: usize = 8192;
/// Most names under which something is kept for later engines.
const KEPT_MAX: usize = 1024;
/// How often an engine is sent the code of one task's function. It may have forgotten it again before the task began.
const SENT_CODE_MAX: u8 = 8;

/// A function that a request names, and its code if that is known.
type Function = (FunctionName, Option<Frame>);

impl Work {
    /// Takes a request. If something is wrong with it, each of its targets is answered so. A collective request comes
    /// with its group, or with the outcome if there is none. `sessions`: those that it names.
    pub fn submit(
        &mut self,
        client: PeerId,
        request: Request,
        group: Option<Result<Group, Outcome>>,
        mut payload: Vec<Frame>,
        sessions: &Sessions,
        now: Duration,
    ) {
        let window = self.limits.window;
        let Some(state) = self.clients.get_mut(&client) else { return };
        let code = (request.carries_function && !payload.is_empty()).then(|| payload.remove(0));
        let bytes = bytes_of(&payload, &request.segments);
        let bad = over_window(state, &request, bytes, code.as_ref(), window);
        let (function, bad) = match bad {
            // Then its code is not kept either.
            Some(bad) => (None, Some(bad)),
            None => {
                let function = take_function(state, &mut self.held_bytes, &request, code);
                let bad = objection(state, &request, function.as_ref(), &payload);
                (function, bad)
            }
        };
        let bad = bad.or_else(|| no_room_to_keep(&self.kept, &request, bytes, function.as_ref(), window));
        let bad = bad.map(Outcome::Rejected);
        // Of a session without a name only what cannot be guessed: somebody may come for it when its client has vanished.
        if state.named || request.about.is_some() {
            self.effects.push(Effect::Submitted(client, request.id, Box::new(submitted(&request, now))));
        }
        self.observed.note(|| submission(client, &request, bytes));
        let (targets, mut balanced) = targets_of(request.placement, &self.anywhere);
        let mut dependencies = [None, None];
        if let (Some(terms), Some(balanced)) = (request.terms, &mut balanced) {
            dependencies = on_terms(balanced, *terms, now);
        }
        let (group, no_group) = match group.transpose() {
            Ok(group) => (group, None),
            Err(outcome) => (None, Some(outcome)),
        };
        let full = balanced.as_ref().is_some_and(|balanced| !state.queue.has_room_for(&balanced.choice));
        let full =
            full.then(|| Outcome::Rejected("its tasks wait for too many different choices of engines".to_owned()));
        let never = balanced.as_ref().and_then(|balanced| never_offered(balanced, &self.loads, self.expected.as_ref()));
        if let Some(outcome) = bad.or(no_group).or(full).or(never) {
            return self.refuse(client, request.id, &targets, &outcome);
        }
        let function = function.and_then(|(name, code)| code.map(|code| (name, code)));
        state.last_request = state.last_request.max(request.id);
        let (op, segments, name, map) = (request.op, request.segments, request.name, request.map);
        let members = group.as_ref().map(|_| targets.iter().copied().flatten().collect()).unwrap_or_default();
        let job = Rc::new(Job { op, function, segments, payload, bytes, group, members, name, submitted: now, map });
        self.held_bytes += bytes;
        self.segments.extend(job.segment_names().map(|name| name.to_vec()));
        let kept = request.keep.map(|name| (name, targets.clone()));
        let count = count_of(&targets);
        let first = TaskId((self.last_task + Saturating(1)).0);
        self.last_task += u64::from(count);
        let span = Span { first, count, open: Saturating(count), bytes };
        state.open_replies += u64::from(count);
        state.open_bytes += bytes;
        state.requests.insert(request.id, span);
        let held_up = self.held_up(client, &targets, job.group.is_some());
        for ((position, target), task) in (0..count).zip(targets).zip(span.tasks()) {
            let place = target.map_or(Place::Queued, Place::At);
            let (job, balanced, abort, claim, sent_code) = (Rc::clone(&job), balanced.take(), false, false, 0);
            let request = request.id;
            let state = TaskState { client, request, position, job, balanced, place, abort, claim, sent_code };
            self.tasks.insert(task, state);
            match target {
                Some(engine) => self.start(task, engine, &held_up, now),
                None => self.begin(task, std::mem::take(&mut dependencies), sessions),
            }
        }
        if let Some((name, targets)) = kept {
            self.keep(name, &job, &targets, now);
        }
        self.dispose(job);
        self.dispatch(now);
    }

    /// Keeps a job for engines that come later, and gives it to those that its client does not know yet.
    fn keep(&mut self, name: String, job: &Rc<Job>, targets: &[Option<EngineId>], now: Duration) {
        self.held_bytes += job.code_bytes();
        if let Some(at) = self.kept.iter().position(|kept| kept.name == name) {
            let former = self.kept.remove(at).job;
            self.held_bytes -= former.code_bytes();
            self.dispose(former);
        }
        self.kept.push(Kept { name, job: Rc::clone(job) });
        for engine in self.loads.engines().collect::<Vec<_>>() {
            if !targets.contains(&Some(engine)) {
                self.give_for_nobody(Rc::clone(job), engine, now);
            }
        }
    }

    /// Gives an engine a task whose answer nobody gets.
    pub(super) fn give_for_nobody(&mut self, job: Rc<Job>, engine: EngineId, now: Duration) {
        self.last_task += 1;
        let (task, request, place) = (TaskId(self.last_task.0), RequestId(0), Place::At(engine));
        let (client, balanced, abort, claim, sent_code) = (TaskState::NOBODY, None, false, false, 0);
        let state = TaskState { client, request, position: 0, job, balanced, place, abort, claim, sent_code };
        self.tasks.insert(task, state);
        self.give(task, engine, now);
    }

    /// Answers for a request that is not looked at.
    pub fn refuse_request(&mut self, client: PeerId, request: &Request, outcome: &Outcome) {
        let targets = match &request.placement {
            Placement::Engines(engines) => engines.iter().copied().map(Some).collect(),
            Placement::Balanced { .. } => vec![None],
        };
        self.observed.note(|| submission(client, request, 0));
        self.refuse(client, request.id, &targets, outcome);
    }

    /// Answers for every target of a request that becomes no task.
    fn refuse(&mut self, client: PeerId, request: RequestId, targets: &[Option<EngineId>], outcome: &Outcome) {
        if let Some(state) = self.clients.get_mut(&client) {
            // The session's next client is not to give this number again.
            state.last_request = state.last_request.max(request);
        }
        for (position, target) in (0..count_of(targets)).zip(targets) {
            self.reply(client, request, position, *target, outcome.clone());
        }
    }

    /// What a call is told that is for an engine which is being retired.
    pub fn takes_nothing_new(&self, engine: EngineId) -> Outcome {
        if self.closing {
            return Outcome::Lost("the cluster is stopping".to_owned());
        }
        Outcome::Rejected(format!("engine {engine} is being retired and takes nothing new"))
    }

    /// Gives a new task to its engine.
    fn start(&mut self, task: TaskId, engine: EngineId, held_up: &BTreeSet<EngineId>, now: Duration) {
        let target = Some(engine);
        match self.loads.get(engine) {
            Some(load) if load.horizon.retiring => {
                self.answer(task, target, self.takes_nothing_new(engine));
            }
            Some(_) if held_up.contains(&engine) => self.hold(task, engine),
            Some(_) => self.give(task, engine, now),
            None => {
                let became = self.what_became_of(&[engine]);
                self.answer(task, target, Outcome::Lost(format!("there is no engine {engine}{became}")));
            }
        }
    }

    /// An engine lacks a function.
    pub fn need_function(&mut self, engine: EngineId, task: TaskId) {
        if let Some(TaskState { job, balanced, place, sent_code, .. }) = self.tasks.get_mut(&task)
            && (*place == Place::At(engine) || balanced.as_ref().is_some_and(|it| it.elsewhere.contains(&engine)))
            && *sent_code < SENT_CODE_MAX
            && let Some((function, code)) = &job.function
        {
            *sent_code = sent_code.saturating_add(1);
            let message = Message::Function(FunctionCode { function: *function });
            self.effects.push(Effect::ToEngine(engine, Channel::Data, message, vec![code.clone()]));
        }
    }

    /// The client will send these functions anew.
    pub fn forget_functions(&mut self, client: PeerId, functions: &[FunctionName]) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        for function in functions {
            if let Some(code) = state.functions.remove(function) {
                state.function_bytes -= code.len() as u64;
                self.held_bytes -= code.len() as u64;
            }
        }
    }
}

/// Keeps the code that comes with a request, and looks up the function that it names.
fn take_function(
    state: &mut ClientState,
    held_bytes: &mut Saturating<u64>,
    request: &Request,
    code: Option<Frame>,
) -> Option<Function> {
    let name = request.function?;
    if let Some(code) = code {
        let before = state.function_bytes;
        state.function_bytes += code.len() as u64;
        if let Some(old) = state.functions.insert(name, code) {
            state.function_bytes -= old.len() as u64;
        }
        *held_bytes += state.function_bytes;
        *held_bytes -= before;
    }
    Some((name, state.functions.get(&name).cloned()))
}

/// What a request is too much of, if it is: a client keeps to itself what the window has no room for, and sends what is
/// larger than the window alone.
fn over_window(
    state: &ClientState,
    request: &Request,
    bytes: u64,
    code: Option<&Frame>,
    window: Window,
) -> Option<String> {
    let replies = match &request.placement {
        Placement::Engines(engines) => engines.len() as u64,
        Placement::Balanced { .. } => 1,
    };
    let largest = bytes.max(code.map_or(0, |code| code.len() as u64));
    let (all_replies, all_bytes) =
        ((state.open_replies + Saturating(replies)).0, (state.open_bytes + Saturating(bytes)).0);
    let (functions, of_functions) = (state.functions.len(), state.function_bytes.0);
    if largest > window.request_bytes {
        Some(format!("it has {largest} bytes; the limit is {}", window.request_bytes))
    } else if state.open_replies.0 > 0 && all_replies > window.replies {
        Some(format!("with it, {all_replies} answers are under way; the window has room for {}", window.replies))
    } else if state.open_replies.0 > 0 && all_bytes > window.bytes {
        Some(format!("with it, {all_bytes} bytes are under way; the window has room for {}", window.bytes))
    } else if code.is_some() && (functions > FUNCTIONS_MAX || of_functions > window.bytes) {
        Some(format!(
            "{functions} functions of {of_functions} bytes are kept for this client, and no more: forget some"
        ))
    } else {
        None
    }
}

/// What is kept for later engines is kept for ever.
fn no_room_to_keep(
    kept: &[Kept],
    request: &Request,
    bytes: u64,
    function: Option<&Function>,
    window: Window,
) -> Option<String> {
    let name = request.keep.as_ref()?;
    let others = kept.iter().filter(|other| other.name != *name);
    let code = function.and_then(|(_, code)| code.as_ref()).map_or(0, |code| code.len() as u64);
    let all =
        others.clone().map(|kept| kept.job.bytes.saturating_add(kept.job.code_bytes())).fold(0, u64::saturating_add);
    let all = all.saturating_add(bytes).saturating_add(code);
    if others.count() >= KEPT_MAX {
        Some(format!("{KEPT_MAX} uploads are kept, and no more"))
    } else if all > window.request_bytes {
        Some(format!("with it, {all} bytes of uploads are kept; the limit is {}", window.request_bytes))
    } else {
        None
    }
}

/// What is wrong with a request, if anything is. `payload` is the operation's own.
fn objection(state: &ClientState, request: &Request, function: Option<&Function>, payload: &[Frame]) -> Option<String> {
    let last_segment = request.segments.iter().map(|note| note.frame as usize).max();
    if state.requests.contains_key(&request.id) {
        Some(format!("request {} is under way already", request.id))
    } else if request.op == Op::Reform {
        Some("communicators are formed by the controller alone".to_owned())
    } else if request.keep.is_some() && (request.collective || !matches!(request.placement, Placement::Engines(_))) {
        Some("what is kept for later engines is done by each of them alone".to_owned())
    } else if last_segment.is_some_and(|last| payload.len() <= last) {
        Some("a segment is announced for a frame that is not there".to_owned())
    } else if matches!(&request.placement, Placement::Balanced { engines: Some(engines), .. } if engines.is_empty()) {
        Some("it may go to no engine at all".to_owned())
    } else if matches!(function, Some((_, None))) {
        Some("the function's code was never sent".to_owned())
    } else {
        None
    }
}

/// The engine that each task goes to; for the one task of a balanced request none, and where it may go. `anywhere` is
/// the choice of an ordinary one.
fn targets_of(placement: Placement, anywhere: &Rc<Choice>) -> (Vec<Option<EngineId>>, Option<Balanced>) {
    let (retries, choice) = match placement {
        Placement::Engines(engines) => return (engines.into_iter().map(Some).collect(), None),
        Placement::Balanced { retries, engines: None, duration: None } => (retries, Rc::clone(anywhere)),
        Placement::Balanced { retries, engines, duration } => {
            // What is not a length of time counts as longer than any.
            let length = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            (retries, Rc::new(Choice::of(engines, duration.map(length))))
        }
    };
    let (elsewhere, crashes) = (Vec::new(), Vec::new());
    (vec![None], Some(Balanced { retries, choice, elsewhere, crashes, unmet: None, conditions: None }))
}

/// A balanced task has terms: gives back what it waits for.
fn on_terms(balanced: &mut Balanced, mut terms: Terms, now: Duration) -> [Option<Dependency>; 2] {
    let needs = std::mem::take(&mut terms.needs);
    let alone = terms.time_limit.is_some();
    if alone || !needs.is_empty() {
        balanced.choice = Rc::new((*balanced.choice).clone().needing(needs, alone));
    }
    let length = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let dependencies = [terms.after.take(), terms.follow.take()].map(|it| it.filter(|it| !it.on.is_empty()));
    let timeout = terms.timeout.map(length);
    if terms != Terms::default() || dependencies.iter().any(Option::is_some) {
        balanced.conditions = Some(Box::new(Conditions {
            priority: terms.priority,
            timeout,
            begin_by: timeout.map(|timeout| now.saturating_add(timeout)),
            time_limit: terms.time_limit.map(length),
            retry_delay: terms.retry_delay.map(length).unwrap_or_default(),
            crash_limit: terms.crash_limit,
            ..Conditions::default()
        }));
    }
    dependencies
}

/// What a task is told whose needs no engine of the cluster will ever meet.
fn never_offered(balanced: &Balanced, loads: &Loads, expected: Option<&EnginesExpected>) -> Option<Outcome> {
    let needs = balanced.choice.needs();
    let offers = expected.and_then(|expected| expected.offers.as_ref()).filter(|_| !needs.is_empty())?;
    let mut present = loads.engines().filter_map(|engine| loads.get(engine)).map(|load| &load.offers);
    if offers.iter().any(|offer| offer.meet(needs)) || present.any(|offer| offer.meet(needs)) {
        return None;
    }
    let words = |offer: &Resources| if offer.is_empty() { "nothing".to_owned() } else { offer.to_string() };
    let offers: Vec<String> = offers.iter().map(words).collect();
    let offers = if offers.is_empty() { "nothing".to_owned() } else { offers.join(", or ") };
    Some(Outcome::Rejected(format!(
        "it needs {needs}, and no engine of this cluster ever offers that: they offer {offers}"
    )))
}

fn count_of(targets: &[Option<EngineId>]) -> u32 {
    u32::try_from(targets.len()).unwrap_or(u32::MAX)
}

/// What is remembered of a request.
fn submitted(request: &Request, now: Duration) -> Submitted {
    Submitted {
        op: request.op,
        name: request.name.clone(),
        about: request.about.clone().map(ByteBuf::into_vec),
        part: request.part,
        submitted: now,
        targets: match &request.placement {
            Placement::Engines(engines) => Some(engines.clone()),
            Placement::Balanced { .. } => None,
        },
    }
}
