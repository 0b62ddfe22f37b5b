//! What clients and engines do.

use crate::model::{Asked, Goes, Parents};
use crate::world::{FUNCTION, World};
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use std::collections::BTreeSet;
use std::time::Duration;

impl World {
    pub fn submit(&mut self, control: u32, placement: Placement, function: bool, bytes: usize) {
        self.submit_on(control, placement, Asked::default(), function, bytes);
    }

    /// The requests that are meant, of those that were made before.
    fn resolve(&self, control: u32, parents: &mut Parents) -> Dependency {
        let of = if parents.of_first { self.clients.keys().next().copied().unwrap_or(control) } else { control };
        let last = self.clients[&of].next_request;
        let made = parents.back.iter().filter_map(|back| last.checked_sub(*back)).filter(|request| *request > 0);
        parents.on = made.map(|request| (of, RequestId(request))).collect();
        let begins = |id: &str| id.get(..8).unwrap_or(id).to_owned();
        let id = self.core.registry().peer(self.greeted[&of].peer).map(|peer| begins(&peer.session.id));
        let session = id.filter(|_| of != control);
        let on = parents.on.iter().map(|(_, request)| Parent {
            task: TaskRef { session: session.clone(), request: *request, position: 0 },
            count: 1,
            ended: None,
        });
        Dependency { on: on.collect(), all: parents.all, success: parents.success, failure: parents.failure }
    }

    pub fn submit_on(&mut self, control: u32, placement: Placement, mut asked: Asked, function: bool, bytes: usize) {
        let after = asked.after.as_mut().map(|parents| self.resolve(control, parents));
        let follow = asked.follow.as_mut().map(|parents| self.resolve(control, parents));
        let mut needs = Resources::default();
        needs.amounts.extend((asked.gpus > 0).then(|| ("gpus".to_owned(), Amount(asked.gpus))));
        let terms = Terms {
            priority: asked.priority,
            after,
            follow,
            timeout: asked.timeout,
            time_limit: asked.time_limit,
            retry_delay: asked.retry_delay,
            crash_limit: None,
            needs,
        };
        let client = self.clients.get_mut(&control).expect("an existing client");
        client.next_request += 1;
        let id = RequestId(client.next_request);
        let count = match &placement {
            Placement::Engines(engines) => engines.len() as u32,
            Placement::Balanced { engines, duration, .. } => {
                let (only, duration, tried) = (engines.clone(), *duration, BTreeSet::new());
                let goes = Goes { only, duration, tried, asked, again: false, given: Duration::ZERO };
                self.balanced.insert((control, id), goes);
                1
            }
        };
        client.expected.extend((0..count).map(|position| (id, position)));
        let carries_function = function && !client.knows_function;
        client.knows_function |= function;
        let request = Request {
            id,
            placement,
            op: Op::Apply,
            function: function.then_some(FUNCTION),
            carries_function,
            segments: vec![],
            collective: false,
            timeout: None,
            keep: None,
            about: None,
            name: None,
            part: 0,
            terms: (terms != Terms::default()).then(|| Box::new(terms)),
            map: None,
        };
        let bytes = [&control.to_be_bytes()[..], &id.0.to_be_bytes(), &vec![1; bytes]].concat();
        let mut payload = vec![Frame::from(bytes)];
        if carries_function {
            payload.insert(0, Frame::from(&b"code"[..]));
        }
        self.note_hopeless();
        self.tell(control + 1, Message::Request(request), payload);
    }

    /// Everything, or the last request.
    pub fn abort(&mut self, control: u32, all: bool) {
        let client = self.clients.get_mut(&control).expect("an existing client");
        let last = RequestId(client.next_request);
        client.aborted.extend(client.expected.iter().filter(|(request, _)| all || *request == last));
        let requests = if all { None } else { Some(vec![last]) };
        self.tell(control + 1, Message::Abort(Abort { requests, ..Abort::default() }), vec![]);
    }

    /// Everything of all clients, on these engines or on any.
    pub fn abort_all(&mut self, control: u32, engines: Option<Vec<EngineId>>, interrupt: bool) {
        // Elsewhere it is not undecided: what is asked of some engines may be nothing at all.
        for client in self.clients.values_mut().filter(|_| engines.is_none()) {
            client.aborted.extend(client.expected.iter().copied());
        }
        for client in self.clients.values_mut().filter(|_| engines.is_some()) {
            client.elsewhere.extend(client.expected.iter().copied());
        }
        self.interrupts |= interrupt;
        self.clients.iter_mut().filter(|(other, _)| **other != control).for_each(|(_, client)| client.told += 1);
        let abort =
            Abort { requests: None, engines, all_clients: true, interrupt, session: None, force: false, claim: false };
        self.tell(control + 1, Message::Abort(abort), vec![]);
        self.interrupts = false;
    }

    /// The launcher says how the process of an engine ended, or that it does not know.
    pub fn explain(&mut self, engine: u32, how: Option<&str>) {
        let Some(launcher) = self.launcher.filter(|launcher| self.clients.contains_key(launcher)) else { return };
        let ended = EngineEnded { uuid: format!("uuid-{engine}"), how: how.map(str::to_owned), certain: false };
        self.tell(launcher, Message::EngineEnded(ended), vec![]);
    }

    /// A client closes its connection, or its process is killed.
    pub fn client_leaves(&mut self, control: u32, goodbye: bool, data: bool) {
        if goodbye {
            self.goodbyes.insert(control);
            self.tell(control + 1, Message::Goodbye(Goodbye { reason: "closed".to_owned(), taken: false }), vec![]);
        }
        self.gone(control, data);
    }

    /// Engines are to end when they have done what they have.
    pub fn retire(&mut self, control: u32, engines: Vec<EngineId>) {
        let asked = || self.clients.iter().map(|(control, client)| (*control, RequestId(client.next_request)));
        for engine in self.engines.values_mut().filter(|engine| !engine.retiring) {
            if engine.id.is_some_and(|id| engines.contains(&id)) {
                engine.retiring = true;
                engine.asked_before = asked().collect();
            }
        }
        self.tell(control + 1, Message::Retire(EngineList { engines }), vec![]);
    }

    /// The running task writes.
    pub fn write(&mut self, control: u32, stream: Stream, text: &str) {
        let Some(&task) = self.engines.get(&control).and_then(|engine| engine.inbox.front()) else { return };
        let client = self.askers[&task];
        let engine = self.engines.get_mut(&control).expect("there");
        *engine.under_way.entry(client).or_default() += text.len() as u64;
        self.tell(control + 1, Message::Output(Output { task, client, stream }), vec![Frame::from(text.as_bytes())]);
    }

    pub fn finish(&mut self, control: u32, milliseconds: u64, outcome: TaskOutcome) {
        self.finish_as(control, milliseconds, outcome, false);
    }

    /// With an error after which the task may be started again.
    pub fn fail_again(&mut self, control: u32, milliseconds: u64) {
        self.finish_as(control, milliseconds, TaskOutcome::Error, true);
    }

    fn finish_as(&mut self, control: u32, milliseconds: u64, outcome: TaskOutcome, again: bool) {
        let Some(engine) = self.engines.get_mut(&control) else { return };
        let Some(task) = engine.inbox.pop_front() else { return };
        let (client, request) = self.keys[&task];
        if !self.balanced.contains_key(&(client, request)) {
            let before = engine.last_done.insert(client, request);
            assert!(
                before.is_none_or(|before| before <= request),
                "done before one that was asked for earlier: {request}"
            );
        }
        if outcome == TaskOutcome::Unmet
            && let Some(goes) = self.balanced.get_mut(&self.keys[&task])
        {
            goes.tried.insert(control);
        }
        if again && let Some(goes) = self.balanced.get_mut(&self.keys[&task]) {
            goes.again |= goes.asked.retry_delay.is_some();
        }
        self.now += Duration::from_millis(milliseconds);
        let completed = milliseconds as f64 / 1000.0;
        let result = TaskResult { id: task, outcome, started: 0.0, completed, segments: vec![], standing: None, again };
        self.tell(control + 1, Message::Result(result), vec![Frame::from(outcome.name().as_bytes())]);
    }

    pub fn answer_recall(&mut self, control: u32) {
        let Some(engine) = self.engines.get_mut(&control) else { return };
        let Some(asked) = engine.recalls.pop_front() else { return };
        // The head is running; what stands behind it can be given back.
        let (kept, returned): (Vec<TaskId>, Vec<TaskId>) =
            asked.into_iter().partition(|task| !engine.inbox.iter().skip(1).any(|other| other == task));
        engine.inbox.retain(|task| !returned.contains(task));
        self.tell(control + 1, Message::Recalled(Recalled { returned, kept }), vec![]);
    }

    pub fn answer_all_recalls(&mut self) {
        let controls: Vec<u32> = self.engines.keys().copied().collect();
        for control in controls {
            while !self.engines[&control].recalls.is_empty() {
                self.answer_recall(control);
            }
        }
    }

    /// Those that were told to end do so.
    pub fn leave(&mut self) {
        let told = self.engines.iter().filter(|(_, engine)| engine.told_to_end).map(|(control, _)| *control);
        for control in told.collect::<Vec<_>>() {
            self.gone(control, control % 4 == 0);
        }
    }
}
