//! Tasks that wait for others: they are queued when these have ended as they were to, and end when they never will.

use super::Work;
use crate::controller::load::Loads;
use crate::controller::queue::Choice;
use crate::controller::task::{Conditions, Gate, News, Place, TaskState};
use crate::controller::waits::{Past, Ran, Standing, Waits};
use crate::wire::message::{Dependency, Ended, Fate, Outcome, Parent, TaskRef};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How many of the last tasks are remembered with the engines that they ran on. How a task of a session has ended is known as long
/// as that session, but for the oldest of very many failures.
const RAN_MAX: usize = 1 << 14;

/// The sessions that a request names, by what the ids of their tasks begin with.
pub type Sessions = BTreeMap<String, PeerId>;

/// Of an engine whose process is gone.
const NO_PROCESS: PeerId = PeerId(0);

/// Most tasks that a client does itself at a time and of which it is to say how they ended.
const CLAIMED_MAX: usize = 1 << 14;

/// So many tasks are looked for one after the other.
const FEW: u64 = 16;

/// Whose task, by request and position.
type Key = (PeerId, RequestId, u32);

/// What is known of a task.
enum Known {
    Open(TaskId),
    Ended(Past),
    /// Nothing, and why.
    Unknown(String),
}

impl Work {
    /// Queues a new task, or has it wait for those that it depends on.
    pub(super) fn begin(&mut self, task: TaskId, dependencies: [Option<Dependency>; 2], sessions: &Sessions) {
        let [after, follow] = dependencies.map(|it| it.map(|dependency| self.gate_for(task, dependency, sessions)));
        if let Some(conditions) = self.conditions(task) {
            (conditions.after, conditions.follow) = (after, follow);
            let begin_by = conditions.begin_by;
            self.timers.extend(begin_by.map(|at| (at, task)));
        }
        self.go_on(task);
    }

    /// Queues a task if it does not wait for others any more, or ends it if it would wait in vain.
    fn go_on(&mut self, task: TaskId) {
        let Some(Conditions { after, follow, .. }) = self.conditions(task) else { return self.enqueue(task) };
        let (after, follow) = (*after, *follow);
        let mut waiting = false;
        for (what, gate) in [("begin after", after), ("follow", follow)] {
            match gate.and_then(|gate| self.gates.get(&gate)).map(|gate| gate.waits.standing()) {
                Some(Standing::Never(why)) => {
                    let outcome = Outcome::Impossible(format!("it was to {what} {why}"));
                    return self.answer(task, None, outcome);
                }
                Some(Standing::Waits) => waiting = true,
                Some(Standing::Met) | None => {}
            }
        }
        if waiting {
            self.set_place(task, Place::Waiting);
        } else {
            self.has_parents_no_more(task, follow);
        }
    }

    /// All that a task was to wait for has ended: it goes where it is to follow.
    fn has_parents_no_more(&mut self, task: TaskId, follow: Option<u64>) {
        let engines = follow.and_then(|gate| self.gates.get(&gate)).map(|gate| gate.waits.engines());
        self.leave_gates(task);
        match engines {
            Some(Err(why)) => return self.answer(task, None, Outcome::Impossible(format!("it was to follow {why}"))),
            Some(Ok(engines)) => {
                let Some(balanced) = self.tasks.get_mut(&task).and_then(|state| state.balanced.as_mut()) else {
                    return;
                };
                balanced.choice = Rc::new(balanced.choice.among(&engines));
                if !self.closing && balanced.choice.is_hopeless(&self.loads) {
                    let why = restarted(&balanced.choice, &self.loads).unwrap_or_else(|| balanced.choice.missing());
                    let why = format!("it was to follow tasks where they ran: {why}");
                    return self.answer(task, None, Outcome::Impossible(why));
                }
            }
            None => {}
        }
        self.set_place(task, Place::Queued);
        self.enqueue(task);
    }

    pub(super) fn set_place(&mut self, task: TaskId, place: Place) {
        if let Some(state) = self.tasks.get_mut(&task) {
            state.place = place;
        }
    }

    pub(super) fn conditions(&mut self, task: TaskId) -> Option<&mut Conditions> {
        self.tasks.get_mut(&task)?.balanced.as_mut()?.conditions.as_deref_mut()
    }

    /// What a task waits at: the gate of the one before it, if that waits for the same.
    fn gate_for(&mut self, task: TaskId, dependency: Dependency, sessions: &Sessions) -> u64 {
        let client = self.tasks.get(&task).map(|state| state.client).unwrap_or_default();
        let is_its = |gate: &Gate| gate.client == client && gate.dependency == dependency;
        // One for `after` and one for `follow`.
        let mut last = self.gates.iter_mut().rev().take(2);
        if let Some((number, gate)) = last.find(|(_, gate)| is_its(gate)) {
            gate.children.insert(task);
            return *number;
        }
        self.last_gate += 1;
        let number = self.last_gate.0;
        let waits = self.waits_of(client, task, number, &dependency, sessions);
        let children = BTreeSet::from([task]);
        self.gates.insert(number, Gate { client, dependency, waits, children });
        number
    }

    fn waits_of(
        &mut self,
        client: PeerId,
        task: TaskId,
        number: u64,
        dependency: &Dependency,
        sessions: &Sessions,
    ) -> Waits {
        let mut waits = Waits::new(dependency);
        // Many of them are not looked for one by one.
        let unknown = dependency.on.iter().filter(|parent| parent.ended.is_none());
        let many = unknown.map(|parent| u64::from(parent.count)).sum::<u64>() > FEW;
        let index = LazyCell::new(|| self.ran.iter().copied().collect::<BTreeMap<Key, Ran>>());
        let ran = |key: Key| match many {
            true => index.get(&key).copied(),
            false => self.ran.iter().rev().find(|(task, _)| *task == key).map(|(_, ran)| *ran),
        };
        for parent in &dependency.on {
            if let Some(ended) = parent.ended {
                let past = self.past(client, parent, ended, sessions, ran);
                waits.knows(past, || self.name_of(client, &parent.task));
                continue;
            }
            for each in parent.tasks() {
                match self.look_up(client, &each, sessions, ran) {
                    Known::Open(open) if open == task => {
                        waits.is_against(|| format!("{}, which is itself", self.name_of(client, &each)));
                    }
                    Known::Open(open) => {
                        waits.wait_for(open);
                        self.children.entry(open).or_default().push(number);
                    }
                    Known::Ended(ended) => waits.knows(ended, || self.name_of(client, &each)),
                    Known::Unknown(why) => waits.is_against(|| format!("{}, {why}", self.name_of(client, &each))),
                }
            }
        }
        waits
    }

    /// What a client says of tasks that have ended, alike. Where they ran is known better here, if it is known.
    fn past(
        &self,
        client: PeerId,
        parent: &Parent,
        ended: Ended,
        sessions: &Sessions,
        ran: impl Fn(Key) -> Option<Ran>,
    ) -> Past {
        let TaskRef { session, request, position } = &parent.task;
        let owner = session.as_ref().map_or(Some(client), |session| sessions.get(session).copied());
        let now = |engine: EngineId| {
            let load = self.loads.get(engine).filter(|_| !ended.gone);
            (engine, load.map_or(NO_PROCESS, |load| load.peer))
        };
        let known = owner.filter(|_| ended.engine.is_some()).and_then(|owner| ran((owner, *request, *position)));
        Past { fate: ended.fate, ran: known.or_else(|| ended.engine.map(now)) }
    }

    fn look_up(&self, client: PeerId, task: &TaskRef, sessions: &Sessions, ran: impl Fn(Key) -> Option<Ran>) -> Known {
        let TaskRef { session, request, position } = task;
        let owner = session.as_ref().map_or(Some(client), |session| sessions.get(session).copied());
        let Some((owner, state)) = owner.and_then(|owner| Some((owner, self.clients.get(&owner)?))) else {
            return Known::Unknown("whose session is over or unknown".to_owned());
        };
        let span = state.requests.get(request);
        let open = span.and_then(|span| span.task(*position)).filter(|task| self.tasks.contains_key(task));
        if let Some(open) = open.or_else(|| state.claimed.get(&(*request, *position)).copied()) {
            return Known::Open(open);
        }
        if *request > state.last_request {
            return Known::Unknown("which was never submitted".to_owned());
        }
        let Some(fate) = state.failures.fate(*request, *position) else {
            return Known::Unknown("which ended so long ago that it is not known how".to_owned());
        };
        Known::Ended(Past { fate, ran: ran((owner, *request, *position)) })
    }

    /// What a task is called by a client.
    fn name_of(&self, client: PeerId, task: &TaskRef) -> String {
        let leaving = || self.leaving.as_ref().filter(|(leaving, _)| *leaving == client).map(|(_, id)| id.clone());
        let own = || self.clients.get(&client).map(|state| state.id.clone()).or_else(leaving);
        let session = task.session.clone().or_else(own).unwrap_or_default();
        format!("{session}-{}-{}", task.request, task.position)
    }

    /// What a task that has not ended is called.
    pub(super) fn id_of(&self, task: TaskId) -> String {
        let Some(state) = self.tasks.get(&task) else { return format!("task {task}") };
        let id = TaskRef { session: None, request: state.request, position: state.position };
        let name = state.job.name.as_ref().map(|name| format!(" ({name})"));
        self.name_of(state.client, &id) + &name.unwrap_or_default()
    }

    /// A task has ended: it is remembered how, and others may have waited for that. If its client does it now, they wait on.
    pub(super) fn ended(&mut self, task: TaskId, fate: Fate, engine: Option<EngineId>) {
        let Some(TaskState { client, request, position, claim, .. }) = self.tasks.get(&task) else { return };
        let (client, id, claim) = (*client, (*request, *position), *claim && fate == Fate::Aborted);
        match self.clients.get_mut(&client) {
            Some(state) if claim && state.claimed.len() < CLAIMED_MAX => drop(state.claimed.insert(id, task)),
            _ => self.is_past(client, task, id, fate, engine),
        }
    }

    pub(super) fn is_past(
        &mut self,
        client: PeerId,
        task: TaskId,
        (request, position): (RequestId, u32),
        fate: Fate,
        engine: Option<EngineId>,
    ) {
        if fate != Fate::Ok
            && let Some(state) = self.clients.get_mut(&client)
        {
            state.failures.add(request, position, fate);
        }
        let process = |engine| (engine, self.loads.get(engine).map_or(NO_PROCESS, |load| load.peer));
        let ran = engine.map(process);
        if let Some(ran) = ran {
            if self.ran.len() >= RAN_MAX {
                self.ran.pop_front();
            }
            self.ran.push_back(((client, request, position), ran));
        }
        if let Some(gates) = self.children.remove(&task) {
            let name = if self.tasks.contains_key(&task) {
                self.id_of(task)
            } else {
                self.name_of(client, &TaskRef { session: None, request, position })
            };
            self.news.push_back(News { gates, parent: task, name, ended: Past { fate, ran } });
        }
    }

    /// Those that wait for a task will hear that nobody knows how it ended, unless its client does it.
    pub(super) fn forget_for_children(&mut self, task: TaskId) {
        let Some(TaskState { client, request, position, .. }) = self.tasks.get(&task) else { return };
        let (client, id) = (*client, (*request, *position));
        let claimed = self.clients.get(&client).is_some_and(|state| state.claimed.get(&id) == Some(&task));
        if !claimed && let Some(gates) = self.children.remove(&task) {
            let ended = Past { fate: Fate::Aborted, ran: None };
            self.news.push_back(News { gates, parent: task, name: self.id_of(task), ended });
        }
    }

    /// Tells tasks what has become of others that they wait for, and so on. One after the other: a chain may be long.
    pub(super) fn settle_children(&mut self) {
        while let Some(News { gates, parent, name, ended }) = self.news.pop_front() {
            for number in gates {
                let Some(gate) = self.gates.get_mut(&number) else { continue };
                gate.waits.ended(parent, ended, || name.clone());
                if gate.waits.standing() == Standing::Waits {
                    continue;
                }
                for child in gate.children.clone() {
                    if self.tasks.get(&child).is_some_and(|state| state.place == Place::Waiting) {
                        self.go_on(child);
                    }
                }
            }
        }
    }

    /// A task waits for others no more.
    pub(super) fn leave_gates(&mut self, task: TaskId) {
        let Some(conditions) = self.conditions(task) else { return };
        let gates = [conditions.after.take(), conditions.follow.take()];
        gates.into_iter().flatten().for_each(|number| self.leave_gate(task, number));
    }

    fn leave_gate(&mut self, task: TaskId, number: u64) {
        let Some(gate) = self.gates.get_mut(&number) else { return };
        gate.children.remove(&task);
        if !gate.children.is_empty() {
            return;
        }
        let Some(gate) = self.gates.remove(&number) else { return };
        for parent in gate.waits.open() {
            if let Some(gates) = self.children.get_mut(parent) {
                gates.retain(|other| *other != number);
                if gates.is_empty() {
                    self.children.remove(parent);
                }
            }
        }
    }

    /// What a task waits for of others: after which it begins, and which it follows.
    pub(super) fn waits_for(&self, task: TaskId) -> [Option<&Waits>; 2] {
        let balanced = self.tasks.get(&task).and_then(|state| state.balanced.as_ref());
        let conditions = balanced.and_then(|balanced| balanced.conditions.as_ref());
        let gates = conditions.map(|conditions| [conditions.after, conditions.follow]).unwrap_or_default();
        gates.map(|gate| Some(&self.gates.get(&gate?)?.waits))
    }
}

/// What is said of engines that are other processes now than those that a task is to follow; none: there are none.
fn restarted(choice: &Choice, loads: &Loads) -> Option<String> {
    let others =
        choice.named().iter().filter(|engine| loads.get(**engine).is_some() && !choice.is_meant(**engine, loads));
    let ids: Vec<String> = others.map(EngineId::to_string).collect();
    match &ids[..] {
        [] => None,
        [engine] => Some(format!("engine {engine} was restarted since then, and what they left there is lost")),
        _ => Some(format!("engines {} were restarted since then, and what they left there is lost", ids.join(", "))),
    }
}
