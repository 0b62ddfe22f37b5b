//! The controller's core under random orders of events, against models of engines and clients.
//!
//! What must hold whatever happens: each target of each request gets exactly one final answer; nothing is sent to a
//! connection that is gone; an engine is never given what it gave back while it has it, nor a balanced task that may
//! not go to it, that it said it cannot do, or that it would not finish before its end; one that is being retired is
//! given nothing, and told to end once it has done everything; what a client aborts is answered, or the client is told that it has
//! begun; nothing is held in the end.

use ipclusterz_runtime::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

#[derive(Debug, Clone)]
enum Step {
    EngineJoins { wanted: Option<u32>, ends_in: Option<f64>, drain_before: f64 },
    Retire { client: usize, engines: Vec<EngineId> },
    EngineDies(usize),
    ClientJoins,
    ClientLeaves(usize),
    Submit { client: usize, placement: Placement, function: bool, bytes: usize },
    Write { engine: usize, stream: Stream },
    Finish { engine: usize, milliseconds: u64, outcome: TaskOutcome },
    AnswerRecall(usize),
    Abort { client: usize, all: bool },
    Acknowledge(usize),
    Wait(u64),
    Confuse { peer: usize, task: u64 },
}

fn at(engines: &[u32]) -> Placement {
    Placement::Engines(engines.iter().copied().map(EngineId).collect())
}

fn among(engines: &[u32]) -> Placement {
    let engines = engines.iter().copied().map(EngineId).collect();
    Placement::Balanced { retries: 0, engines: Some(engines), duration: None }
}

fn lasting(duration: f64) -> Placement {
    Placement::Balanced { retries: 0, engines: None, duration: Some(duration) }
}

const ANYWHERE: Placement = Placement::Balanced { retries: 0, engines: None, duration: None };

fn placement() -> impl Strategy<Value = Placement> {
    let engines = |least| proptest::collection::vec((0..5_u32).prop_map(EngineId), least..4);
    let some = proptest::option::of(engines(0));
    let duration = proptest::option::weighted(0.3, 0.0..1.0);
    prop_oneof![
        engines(1).prop_map(Placement::Engines),
        (0..3_u32, some, duration).prop_map(|(retries, engines, duration)| Placement::Balanced {
            retries,
            engines,
            duration
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..6_usize;
    let submit = (index.clone(), placement(), any::<bool>(), 0..2000_usize);
    let outcome = proptest::sample::select(TaskOutcome::ALL.to_vec());
    prop_oneof![
        2 => (proptest::option::of(0..6_u32), proptest::option::weighted(0.3, 0.0..2.0), 0.0..1.0).prop_map(
            |(wanted, ends_in, drain_before)| Step::EngineJoins { wanted, ends_in, drain_before }
        ),
        1 => (index.clone(), proptest::collection::vec((0..5_u32).prop_map(EngineId), 0..3))
            .prop_map(|(client, engines)| Step::Retire { client, engines }),
        1 => index.clone().prop_map(Step::EngineDies),
        1 => Just(Step::ClientJoins),
        1 => index.clone().prop_map(Step::ClientLeaves),
        8 => submit.prop_map(|(client, placement, function, bytes)| Step::Submit { client, placement, function, bytes }),
        12 => (index.clone(), 0..60_u64, outcome).prop_map(|(engine, milliseconds, outcome)| Step::Finish { engine, milliseconds, outcome }),
        1 => (index.clone(), proptest::sample::select(Stream::ALL.to_vec())).prop_map(|(engine, stream)| Step::Write { engine, stream }),
        4 => index.clone().prop_map(Step::AnswerRecall),
        1 => (index.clone(), any::<bool>()).prop_map(|(client, all)| Step::Abort { client, all }),
        2 => index.clone().prop_map(Step::Acknowledge),
        3 => (0..30_u64).prop_map(Step::Wait),
        1 => (index, 0..50_u64).prop_map(|(peer, task)| Step::Confuse { peer, task }),
    ]
}

#[derive(Debug, Default)]
struct ModelEngine {
    id: Option<EngineId>,
    inbox: VecDeque<TaskId>,
    recalls: VecDeque<Vec<TaskId>>,
    /// When it will be ended, and from when on it takes only what will be done by then.
    end: Option<(Duration, Duration)>,
    retiring: bool,
    told_to_end: bool,
}

impl ModelEngine {
    /// Whether it may be given a balanced task now.
    fn takes(&self, duration: Option<f64>, now: Duration) -> bool {
        let in_time = |(end, drain): (Duration, Duration)| match duration {
            Some(duration) => now + Duration::from_secs_f64(duration) <= end,
            None => now < drain,
        };
        !self.retiring && self.end.is_none_or(in_time)
    }
}

#[derive(Debug, Default)]
struct ModelClient {
    next_request: u64,
    expected: BTreeSet<(RequestId, u32)>,
    answered: BTreeSet<(RequestId, u32)>,
    /// Targets that it wanted to give up, and those of them that it was told have begun.
    aborted: BTreeSet<(RequestId, u32)>,
    started: BTreeSet<(RequestId, u32)>,
    received: Ack,
    read: Vec<(Stream, String)>,
    knows_function: bool,
}

/// Where a balanced task may go.
#[derive(Debug)]
struct Goes {
    only: Option<Vec<EngineId>>,
    duration: Option<f64>,
    /// Said that they cannot do it, by `control` route: another process may get an engine's id.
    tried: BTreeSet<u32>,
}

impl Goes {
    fn may_go_to(&self, control: u32, engine: EngineId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&engine)) && !self.tried.contains(&control)
    }
}

/// The client's `control` route, and its request.
type Key = (u32, RequestId);

/// A controller with models of everybody else around it.
struct World {
    core: Core,
    now: Duration,
    next_route: u32,
    /// By `control` route; `data` is the next number.
    engines: BTreeMap<u32, ModelEngine>,
    clients: BTreeMap<u32, ModelClient>,
    greeted: BTreeMap<u32, Welcome>,
    function_asks: Vec<(u32, TaskId)>,
    balanced: BTreeMap<Key, Goes>,
    /// What the tasks belong to, as their payload says.
    keys: BTreeMap<TaskId, Key>,
    unlinked: Vec<String>,
}

const FUNCTION: FunctionName = FunctionName([9; 16]);

impl World {
    fn new() -> World {
        World::with(Limits::default())
    }

    fn with(limits: Limits) -> World {
        let identity = Identity { cluster: "test".to_owned(), pid: 1 };
        World {
            core: Core::new(identity, limits, || "token".to_owned()),
            now: Duration::ZERO,
            next_route: 2,
            engines: BTreeMap::new(),
            clients: BTreeMap::new(),
            greeted: BTreeMap::new(),
            function_asks: Vec::new(),
            balanced: BTreeMap::new(),
            keys: BTreeMap::new(),
            unlinked: Vec::new(),
        }
    }

    fn feed(&mut self, event: Event) {
        let actions = self.core.handle(event, self.now);
        for action in actions {
            self.take(action);
        }
    }

    fn tell(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        self.feed(Event::Message { route: Route(route), admitted: Admitted::Local, message, payload });
    }

    fn take(&mut self, action: Action) {
        if let Action::Unlink(name) = &action {
            self.unlinked.push(String::from_utf8_lossy(name).into_owned());
        }
        let Action::Send { route: Route(route), message, payload, .. } = action else { return };
        let control = route & !1;
        if let Message::Welcome(welcome) = message {
            self.greeted.insert(control, welcome);
            return;
        }
        if let Some(engine) = self.engines.get_mut(&control) {
            match message {
                Message::Task(task) => {
                    assert!(!engine.told_to_end && !engine.retiring, "an engine that ends was given {task:?}");
                    assert!(!engine.inbox.contains(&task.id), "task {} came twice", task.id);
                    engine.inbox.push_back(task.id);
                    let (client, request) = payload[0][..12].split_at(4);
                    let request = RequestId(u64::from_be_bytes(request.try_into().expect("eight bytes")));
                    let key = (u32::from_be_bytes(client.try_into().expect("four bytes")), request);
                    self.keys.insert(task.id, key);
                    if let Some(goes) = self.balanced.get(&key) {
                        let id = engine.id.expect("registered");
                        assert!(goes.may_go_to(control, id), "{key:?} was given to engine {id}: {goes:?}");
                        assert!(engine.takes(goes.duration, self.now), "{goes:?} at {:?}: {engine:?}", self.now);
                    }
                    if task.function.is_some() {
                        self.function_asks.push((route & !1, task.id));
                    }
                }
                Message::Recall(list) => engine.recalls.push_back(list.tasks),
                Message::Function(code) => {
                    assert_eq!((code.function, &*payload[0]), (FUNCTION, &b"code"[..]));
                }
                Message::Shutdown(_) => {
                    assert!(engine.retiring && engine.inbox.is_empty(), "told to end: {engine:?}");
                    assert!(!std::mem::replace(&mut engine.told_to_end, true), "told twice");
                }
                Message::Attached(_) | Message::Refused(_) => {}
                other => panic!("an engine got {other:?}"),
            }
        } else if let Some(client) = self.clients.get_mut(&control) {
            match message {
                Message::Reply(reply) => {
                    let key = (reply.request, reply.position);
                    assert!(client.expected.contains(&key), "an answer to nothing: {reply:?}");
                    assert!(client.answered.insert(key), "a second answer: {reply:?}");
                    let begun = client.started.contains(&key);
                    assert!(!(begun && reply.outcome == Outcome::Aborted), "it had begun: {reply:?}");
                    if let Some(goes) = self.balanced.get(&(control, reply.request)) {
                        let mut engines =
                            self.engines.iter().filter_map(|(control, engine)| Some((*control, engine.id?)));
                        let nowhere = !engines.any(|(control, id)| goes.may_go_to(control, id));
                        let says = |why: &str| why.contains(" is there") || why.contains("there is no ");
                        let missing = matches!(&reply.outcome, Outcome::Lost(why) if says(why));
                        assert!(!missing || (nowhere && goes.tried.is_empty()), "{reply:?}: {goes:?}");
                        let unmet = reply.outcome == Outcome::Error && *payload[0] == *b"unmet";
                        assert!(!unmet || nowhere || client.aborted.contains(&key), "{reply:?}: {goes:?}");
                    }
                    client.received.replies += 1;
                    client.received.bytes += payload.iter().map(|frame| frame.len() as u64).sum::<u64>();
                }
                Message::Started(Started { request, position }) => {
                    let key = (request, position);
                    assert!(client.aborted.contains(&key) && !client.answered.contains(&key), "{key:?} has begun");
                    client.started.insert(key);
                }
                Message::RequestOutput(output) => {
                    let key = (output.request, output.position);
                    assert!(client.expected.contains(&key) && !client.answered.contains(&key), "late: {output:?}");
                    client.received.bytes += payload[0].len() as u64;
                    client.read.push((output.stream, String::from_utf8_lossy(&payload[0]).into_owned()));
                }
                Message::Attached(_) | Message::EngineJoined(_) | Message::EngineLeft(_) | Message::Refused(_) => {}
                other => panic!("a client got {other:?}"),
            }
        } else {
            // The only thing that a connection without a peer may be told.
            assert!(matches!(message, Message::Refused(_)), "sent to nobody: {message:?}");
        }
    }

    fn join(&mut self, role: Role, wanted: Option<u32>) -> u32 {
        self.join_until(role, wanted, None, 0.0)
    }

    fn join_until(&mut self, role: Role, wanted: Option<u32>, ends_in: Option<f64>, drain_before: f64) -> u32 {
        let control = self.next_route;
        self.next_route += 2;
        match role {
            Role::Engine => drop(self.engines.insert(control, ModelEngine::default())),
            Role::Client => drop(self.clients.insert(control, ModelClient::default())),
        }
        let uuid = format!("uuid-{control}");
        let wanted_id = wanted.map(EngineId);
        let new = Hello::new(role, uuid, "host".to_owned(), control);
        let hello = Hello { wanted_id, shared_memory: true, ends_in, drain_before, ..new };
        let taken: BTreeSet<EngineId> = self.engines.values().filter_map(|engine| engine.id).collect();
        self.tell(control, Message::Hello(hello), vec![]);
        let Welcome { peer, token, engine_id, .. } = self.greeted[&control].clone();
        if let Some(engine) = self.engines.get_mut(&control) {
            let id = engine_id.expect("an engine gets an id");
            assert!(!taken.contains(&id), "id {id} is taken");
            let lowest = (0..).map(EngineId).find(|id| !taken.contains(id)).expect("a free id");
            assert!(id == lowest || Some(id.0) == wanted, "neither the lowest free id nor the one asked for");
            engine.id = Some(id);
            let end = ends_in.map(|seconds| self.now + Duration::from_secs_f64(seconds));
            engine.end = end.map(|end| (end, end.saturating_sub(Duration::from_secs_f64(drain_before))));
        }
        self.tell(control + 1, Message::Attach(Attach { peer, token }), vec![]);
        control
    }

    fn nth<T>(peers: &BTreeMap<u32, T>, index: usize) -> Option<u32> {
        peers.keys().nth(index % peers.len().max(1)).copied()
    }

    /// The running task writes.
    fn write(&mut self, control: u32, stream: Stream, text: &str) {
        let Some(&task) = self.engines.get(&control).and_then(|engine| engine.inbox.front()) else { return };
        self.tell(control + 1, Message::Output(Output { task, stream }), vec![Frame::from(text.as_bytes())]);
    }

    fn finish(&mut self, control: u32, milliseconds: u64, outcome: TaskOutcome) {
        let Some(engine) = self.engines.get_mut(&control) else { return };
        let Some(task) = engine.inbox.pop_front() else { return };
        if outcome == TaskOutcome::Unmet
            && let Some(goes) = self.balanced.get_mut(&self.keys[&task])
        {
            goes.tried.insert(control);
        }
        self.now += Duration::from_millis(milliseconds);
        let completed = milliseconds as f64 / 1000.0;
        let result = TaskResult { id: task, outcome, started: 0.0, completed, segments: vec![] };
        self.tell(control + 1, Message::Result(result), vec![Frame::from(outcome.name().as_bytes())]);
    }

    fn answer_recall(&mut self, control: u32) {
        let Some(engine) = self.engines.get_mut(&control) else { return };
        let Some(asked) = engine.recalls.pop_front() else { return };
        // The head is running; what stands behind it can be given back.
        let (kept, returned): (Vec<TaskId>, Vec<TaskId>) =
            asked.into_iter().partition(|task| !engine.inbox.iter().skip(1).any(|other| other == task));
        engine.inbox.retain(|task| !returned.contains(task));
        self.tell(control + 1, Message::Recalled(Recalled { returned, kept }), vec![]);
    }

    /// Everything, or the last request.
    fn abort(&mut self, control: u32, all: bool) {
        let client = self.clients.get_mut(&control).expect("an existing client");
        let last = RequestId(client.next_request);
        client.aborted.extend(client.expected.iter().filter(|(request, _)| all || *request == last));
        let requests = if all { None } else { Some(vec![last]) };
        self.tell(control + 1, Message::Abort(Abort { requests, engines: None }), vec![]);
    }

    fn answer_all_recalls(&mut self) {
        let controls: Vec<u32> = self.engines.keys().copied().collect();
        for control in controls {
            while !self.engines[&control].recalls.is_empty() {
                self.answer_recall(control);
            }
        }
    }

    fn submit(&mut self, control: u32, placement: Placement, function: bool, bytes: usize) {
        let client = self.clients.get_mut(&control).expect("an existing client");
        client.next_request += 1;
        let id = RequestId(client.next_request);
        let count = match &placement {
            Placement::Engines(engines) => engines.len() as u32,
            Placement::Balanced { engines, duration, .. } => {
                let goes = Goes { only: engines.clone(), duration: *duration, tried: BTreeSet::new() };
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
        };
        let bytes = [&control.to_be_bytes()[..], &id.0.to_be_bytes(), &vec![1; bytes]].concat();
        let mut payload = vec![Frame::from(bytes)];
        if carries_function {
            payload.insert(0, Frame::from(&b"code"[..]));
        }
        self.tell(control + 1, Message::Request(request), payload);
    }

    /// Engines are to end when they have done what they have.
    fn retire(&mut self, control: u32, engines: Vec<EngineId>) {
        for engine in self.engines.values_mut() {
            engine.retiring |= engine.id.is_some_and(|id| engines.contains(&id));
        }
        self.tell(control + 1, Message::Retire(EngineList { engines }), vec![]);
    }

    /// Those that were told to end do so.
    fn leave(&mut self) {
        let told = self.engines.iter().filter(|(_, engine)| engine.told_to_end).map(|(control, _)| *control);
        for control in told.collect::<Vec<_>>() {
            self.gone(control, control % 4 == 0);
        }
    }

    fn gone(&mut self, control: u32, data: bool) {
        self.engines.remove(&control);
        self.clients.remove(&control);
        self.feed(Event::Gone(Route(control + u32::from(data))));
        // The other connection ends a moment later.
        self.feed(Event::Gone(Route(control + u32::from(!data))));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::EngineJoins { wanted, ends_in, drain_before } => {
                self.join_until(Role::Engine, wanted, ends_in, drain_before);
            }
            Step::Retire { client, engines } => {
                if let Some(control) = Self::nth(&self.clients, client) {
                    self.retire(control, engines);
                }
            }
            Step::ClientJoins => drop(self.join(Role::Client, None)),
            Step::EngineDies(index) => {
                if let Some(control) = Self::nth(&self.engines, index) {
                    self.gone(control, index % 2 == 0);
                }
            }
            Step::ClientLeaves(index) => {
                if let Some(control) = Self::nth(&self.clients, index) {
                    self.gone(control, index % 2 == 0);
                }
            }
            Step::Submit { client, placement, function, bytes } => {
                if let Some(control) = Self::nth(&self.clients, client) {
                    self.submit(control, placement, function, bytes);
                }
            }
            Step::Write { engine, stream } => {
                if let Some(control) = Self::nth(&self.engines, engine) {
                    self.write(control, stream, "text\n");
                }
            }
            Step::Finish { engine, milliseconds, outcome } => {
                if let Some(control) = Self::nth(&self.engines, engine) {
                    self.finish(control, milliseconds, outcome);
                }
            }
            Step::AnswerRecall(index) => {
                if let Some(control) = Self::nth(&self.engines, index) {
                    self.answer_recall(control);
                }
            }
            Step::Abort { client, all } => {
                if let Some(control) = Self::nth(&self.clients, client) {
                    self.abort(control, all);
                }
            }
            Step::Acknowledge(index) => {
                if let Some(control) = Self::nth(&self.clients, index) {
                    let received = self.clients[&control].received;
                    self.tell(control, Message::Ack(received), vec![]);
                }
            }
            Step::Wait(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                self.feed(Event::Tick);
            }
            Step::Confuse { peer, task } => self.confuse(peer, task),
        }
        if self.now.as_millis().is_multiple_of(3) {
            self.leave();
        }
        for (control, task) in std::mem::take(&mut self.function_asks) {
            if self.engines.contains_key(&control) {
                self.tell(control + 1, Message::NeedFunction(NeedFunction { task }), vec![]);
            }
        }
    }

    /// Messages that are well formed and make no sense.
    fn confuse(&mut self, peer: usize, task: u64) {
        let result =
            TaskResult { id: TaskId(task), outcome: TaskOutcome::Ok, started: 0.0, completed: 0.0, segments: vec![] };
        if let Some(control) = Self::nth(&self.clients, peer) {
            self.tell(control + 1, Message::Result(result.clone()), vec![]);
            let ack =
                Ack { replies: u64::MAX, bytes: u64::MAX, messages: Counts { control: u64::MAX, data: u64::MAX } };
            self.tell(control + 1, Message::Ack(ack), vec![]);
        }
        if let Some(control) = Self::nth(&self.engines, peer) {
            // A result for a task that this engine does not have.
            if !self.engines[&control].inbox.contains(&TaskId(task)) {
                let others = self.engines.values().any(|engine| engine.inbox.contains(&TaskId(task)));
                if !others {
                    self.tell(control + 1, Message::Result(result), vec![]);
                }
            }
            self.tell(control + 1, Message::StatusRequest(Empty {}), vec![]);
        }
        let stranger = 1_000_000 + peer as u32 * 2;
        self.tell(stranger, Message::StatusRequest(Empty {}), vec![]);
        let attach = Attach { peer: PeerId(task), token: "guess".to_owned() };
        self.tell(stranger, Message::Attach(attach), vec![]);
    }

    /// Lets everything that is under way come to its end, and looks at what is left.
    fn settle(mut self) {
        // What waits for an engine that is about to end goes to one that comes, or is lost with the only one that it
        // may go to.
        self.join(Role::Engine, None);
        let ending = self.engines.iter().filter(|(_, engine)| engine.end.is_some()).map(|(control, _)| *control);
        for control in ending.collect::<Vec<_>>() {
            self.gone(control, false);
        }
        self.answer_all_recalls();
        for client in self.clients.values() {
            let undecided =
                client.aborted.iter().find(|key| !client.answered.contains(key) && !client.started.contains(key));
            assert_eq!(undecided, None, "neither given up nor known to have begun");
        }
        for _ in 0..10_000 {
            let before = self.core.work().open_tasks();
            self.answer_all_recalls();
            let controls: Vec<u32> = self.engines.keys().copied().collect();
            for control in controls {
                self.finish(control, 1, TaskOutcome::Ok);
            }
            self.leave();
            self.step(Step::Wait(20));
            if before == 0 {
                break;
            }
        }
        assert_eq!(self.core.work().open_tasks(), 0, "tasks without an end");
        assert_eq!(self.engines.values().find(|engine| engine.retiring).map(|engine| engine.id), None, "not retired");
        assert_eq!(self.core.work().queued(), 0);
        for client in self.clients.values() {
            assert_eq!(client.expected, client.answered, "answers are missing");
        }
        let controls: Vec<u32> = self.clients.keys().chain(self.engines.keys()).copied().collect();
        for control in controls {
            self.gone(control, false);
        }
        assert_eq!(self.core.work().held_bytes(), 0, "payload is still held");
        assert!(self.core.registry().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn each_target_gets_exactly_one_answer_and_nothing_is_left(steps in proptest::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        world.join(Role::Client, None);
        world.join(Role::Engine, None);
        for step in steps {
            world.step(step);
        }
        world.settle();
    }
}

#[test]
fn an_engine_whose_end_draws_near_takes_what_it_will_finish() {
    let second = Duration::from_secs(1);
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let ending = world.join_until(Role::Engine, None, Some(100.0), 20.0);
    world.submit(client, ANYWHERE, false, 0);
    world.finish(ending, 80_000, TaskOutcome::Ok);
    for placement in [ANYWHERE, lasting(30.0), lasting(f64::INFINITY), lasting(f64::NAN)] {
        world.submit(client, placement, false, 0);
    }
    assert!(world.engines[&ending].inbox.is_empty());
    assert_eq!(world.core.work().queued(), 4);
    world.submit(client, lasting(20.0), false, 0);
    assert_eq!(world.engines[&ending].inbox.len(), 1);
    // What it is asked for by its id it does.
    world.submit(client, at(&[0]), false, 0);
    assert_eq!(world.engines[&ending].inbox.len(), 2);
    // However long the rest has waited, it is for whoever comes.
    world.now += 100 * second;
    world.feed(Event::Tick);
    assert_eq!(world.core.work().queued(), 4);
    let fresh = world.join(Role::Engine, None);
    assert_eq!(world.engines[&fresh].inbox.len(), 1);
    world.settle();
}

#[test]
fn an_engine_that_is_retired_gives_back_what_it_has_not_begun_and_ends_when_idle() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let [retired, other] = [0, 1].map(|_| world.join(Role::Engine, None));
    for _ in 0..2 {
        world.submit(client, ANYWHERE, false, 0);
        world.submit(client, ANYWHERE, false, 0);
        world.finish(retired, 0, TaskOutcome::Ok);
        world.finish(other, 0, TaskOutcome::Ok);
    }
    world.submit(client, at(&[0]), false, 0);
    (0..4).for_each(|_| world.submit(client, ANYWHERE, false, 0));
    world.submit(client, at(&[0]), false, 0);
    assert_eq!(world.engines[&retired].inbox.len(), 4);
    world.retire(client, vec![EngineId(0), EngineId(9)]);
    world.answer_recall(retired);
    assert_eq!((world.engines[&retired].inbox.len(), world.engines[&other].inbox.len()), (2, 4));
    let before = world.clients[&client].answered.len();
    world.submit(client, at(&[0]), false, 0);
    assert_eq!(world.clients[&client].answered.len(), before + 1, "refused");
    world.finish(retired, 1, TaskOutcome::Ok);
    assert!(!world.engines[&retired].told_to_end);
    world.finish(retired, 1, TaskOutcome::Ok);
    assert!(world.engines[&retired].told_to_end);
    world.settle();
}

#[test]
fn short_tasks_do_not_wait_behind_a_long_one() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let busy = world.join(Role::Engine, None);
    let free = world.join(Role::Engine, None);
    // Both engines have been quick up to now, so both get several tasks at once.
    for _ in 0..2 {
        world.submit(client, ANYWHERE, false, 0);
        world.submit(client, ANYWHERE, false, 0);
        world.finish(busy, 0, TaskOutcome::Ok);
        world.finish(free, 0, TaskOutcome::Ok);
    }
    for _ in 0..20 {
        world.submit(client, ANYWHERE, false, 0);
    }
    assert!(world.engines[&busy].inbox.len() > 1);
    // One is at its first task for long: what waits behind it goes to the other.
    while !world.engines[&free].inbox.is_empty() {
        world.finish(free, 0, TaskOutcome::Ok);
    }
    world.now += Duration::from_millis(50);
    world.feed(Event::Tick);
    world.answer_recall(busy);
    assert_eq!(world.engines[&busy].inbox.len(), 1);
    while !world.engines[&free].inbox.is_empty() {
        world.finish(free, 0, TaskOutcome::Ok);
    }
    assert_eq!(world.core.work().open_tasks(), 1);
}

#[test]
fn what_waits_for_a_busy_engine_holds_up_nothing_else() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let busy = world.join(Role::Engine, None);
    let free = world.join(Role::Engine, None);
    world.submit(client, at(&[0]), false, 0);
    for _ in 0..3 {
        world.submit(client, among(&[0, 7]), false, 0);
    }
    world.submit(client, ANYWHERE, false, 0);
    world.submit(client, among(&[1]), false, 0);
    assert_eq!(world.engines[&busy].inbox.len(), 1);
    for _ in 0..2 {
        assert_eq!(world.engines[&free].inbox.len(), 1);
        world.finish(free, 500, TaskOutcome::Ok);
    }
    assert!(world.engines[&free].inbox.is_empty(), "the rest may not go to it");
    assert_eq!(world.core.work().queued(), 3);
    world.gone(busy, false);
    assert_eq!(world.core.work().open_tasks(), 0, "engine 7 is not there either");
    world.settle();
}

#[test]
fn what_no_engine_can_do_ends_with_what_the_last_one_said() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engines = [0, 1, 2].map(|_| world.join(Role::Engine, None));
    for placement in [ANYWHERE, among(&[2, 0])] {
        world.submit(client, placement.clone(), false, 0);
        let mut asked = 0;
        while let Some(engine) = engines.into_iter().find(|engine| !world.engines[engine].inbox.is_empty()) {
            assert_eq!(world.clients[&client].answered.len() + 1, world.clients[&client].expected.len());
            world.finish(engine, 1, TaskOutcome::Unmet);
            asked += 1;
        }
        assert_eq!(asked, if placement == ANYWHERE { 3 } else { 2 });
        assert_eq!(world.clients[&client].answered, world.clients[&client].expected);
    }
    // The only engine left that was not asked dies before it comes to the task.
    world.submit(client, at(&[2]), false, 0);
    world.submit(client, among(&[0, 2]), false, 0);
    world.finish(engines[0], 1, TaskOutcome::Unmet);
    assert_eq!(world.core.work().queued(), 1);
    world.gone(engines[2], false);
    assert_eq!(world.clients[&client].answered, world.clients[&client].expected);
    world.settle();
}

#[test]
fn an_engine_with_the_id_of_one_that_could_not_do_it_is_asked_too() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let [lacking, _busy] = [0, 1].map(|_| world.join(Role::Engine, None));
    world.submit(client, at(&[1]), false, 0);
    world.submit(client, among(&[0, 1]), false, 0);
    world.finish(lacking, 1, TaskOutcome::Unmet);
    assert_eq!(world.core.work().queued(), 1);
    world.gone(lacking, false);
    let able = world.join(Role::Engine, Some(0));
    assert_eq!(world.engines[&able].inbox.len(), 1);
    world.settle();
}

#[test]
fn the_wait_for_an_engine_begins_with_what_waits() {
    let grace = Limits::default().no_engine_grace;
    let leave: [fn(&mut World, u32); 2] =
        [|world, client| world.abort(client, true), |world, client| world.gone(client, false)];
    for give_up in leave {
        let mut world = World::new();
        let [first, second] = [0, 1].map(|_| world.join(Role::Client, None));
        world.submit(first, ANYWHERE, false, 0);
        give_up(&mut world, first);
        world.now = grace / 2;
        world.submit(second, ANYWHERE, false, 0);
        for (now, open) in [(grace, 1), (grace * 3 / 2, 0)] {
            world.now = now;
            world.feed(Event::Tick);
            assert_eq!(world.core.work().open_tasks(), open, "after {now:?}");
        }
        world.settle();
    }
}

#[test]
fn what_an_engine_gives_back_unasked_is_answered_where_no_other_may_have_it() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    world.submit(client, at(&[0]), false, 0);
    let returned = Vec::from(std::mem::take(&mut world.engines.get_mut(&engine).expect("there").inbox));
    let message = Message::Recalled(Recalled { returned, kept: vec![] });
    let (route, admitted) = (Route(engine + 1), Admitted::Local);
    let mut actions = world.core.handle(Event::Message { route, admitted, message, payload: vec![] }, world.now);
    assert!(
        matches!(&actions[..], [Action::Send { message: Message::Reply(Reply { outcome: Outcome::Lost(_), .. }), .. }]),
        "{actions:?}"
    );
    actions.drain(..).for_each(|action| world.take(action));
    world.settle();
}

#[test]
fn the_segment_of_an_answer_that_nobody_reads_is_removed() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engines = [0, 1, 2].map(|_| world.join(Role::Engine, None));
    world.submit(client, ANYWHERE, false, 0);
    for (name, outcome) in [("first", TaskOutcome::Unmet), ("second", TaskOutcome::Unmet), ("third", TaskOutcome::Ok)] {
        let asked = engines.into_iter().find(|engine| !world.engines[engine].inbox.is_empty());
        let asked = asked.expect("an engine has the task");
        let id = world.engines.get_mut(&asked).and_then(|engine| engine.inbox.pop_front()).expect("the task");
        for goes in world.balanced.values_mut() {
            goes.tried.insert(asked);
        }
        let segments = vec![SegmentNote { frame: 0, length: 1 }];
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.0, segments };
        world.tell(asked + 1, Message::Result(result), vec![Frame::from(name.as_bytes())]);
    }
    assert_eq!(world.unlinked, ["first", "second"]);
    world.step(Step::Acknowledge(0));
    assert_eq!(world.unlinked, ["first", "second", "third"]);
    world.settle();
}

#[test]
fn a_slow_client_is_told_once_that_text_is_dropped_and_gets_no_part_of_what_is_displayed() {
    let mut world = World::with(Limits { output_bytes: 10, ..Limits::default() });
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    world.submit(client, ANYWHERE, false, 0);
    for (stream, text) in [
        (Stream::Display, "{\"a\": 1}\n"),
        (Stream::Display, "{\"b\": 2}\n"),
        (Stream::Display, "{\"c\": 3}\n"),
        (Stream::Stdout, "gone"),
        (Stream::Stderr, "gone too"),
    ] {
        world.write(engine, stream, text);
    }
    let read = std::mem::take(&mut world.clients.get_mut(&client).expect("there").read);
    let texts: Vec<&str> = read.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["{\"a\": 1}\n", "{\"b\": 2}\n", "\n[output dropped: the client is too slow]\n"]);
    world.step(Step::Acknowledge(0));
    world.write(engine, Stream::Stdout, "again");
    assert_eq!(world.clients[&client].read, [(Stream::Stdout, "again".to_owned())]);
}

#[test]
fn an_engines_key_does_not_admit_a_client() {
    let mut world = World::new();
    let hello = |role| {
        let (uuid, host) = ("u".to_owned(), "h".to_owned());
        Message::Hello(Hello::new(role, uuid, host, 1))
    };
    for (key, role) in [(Role::Engine, Role::Client), (Role::Client, Role::Engine)] {
        let (route, admitted) = (Route(77), Admitted::Keyed(key));
        let event = Event::Message { route, admitted, message: hello(role), payload: vec![] };
        let actions = world.core.handle(event, Duration::ZERO);
        assert!(matches!(&actions[0], Action::Send { message: Message::Refused(_), .. }), "{actions:?}");
        assert!(actions.iter().any(|action| matches!(action, Action::Rejected(_))));
    }
    assert!(world.core.registry().is_empty());
}

#[test]
fn what_a_client_sent_before_it_closed_still_counts() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    // Its `control` connection is found closed before what it sent through `data` is read, and the other way round.
    world.feed(Event::Gone(Route(client)));
    world.submit(client, at(&[0]), false, 10);
    assert_eq!(world.engines[&engine].inbox.len(), 1);
    world.feed(Event::Gone(Route(client + 1)));
    assert_eq!(world.core.registry().clients().count(), 0);
    let client = world.join(Role::Client, None);
    world.feed(Event::Gone(Route(client + 1)));
    let message = Message::Shutdown(Targets { engines: Some(vec![EngineId(0)]) });
    let (route, admitted) = (Route(client), Admitted::Local);
    let actions = world.core.handle(Event::Message { route, admitted, message, payload: vec![] }, world.now);
    assert!(matches!(&actions[..], [Action::Send { message: Message::Shutdown(_), .. }]), "{actions:?}");
}

#[test]
fn a_client_whose_data_connection_broke_starts_anew_on_the_other() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    world.feed(Event::Gone(Route(client + 1)));
    let (uuid, host) = ("u".to_owned(), "h".to_owned());
    let hello = Hello::new(Role::Client, uuid, host, 1);
    world.tell(client, Message::Hello(hello), vec![]);
    let Welcome { peer, token, .. } = world.greeted[&client].clone();
    world.tell(client + 1, Message::Attach(Attach { peer, token }), vec![]);
    world.join(Role::Engine, None);
    world.submit(client, at(&[0]), false, 10);
    assert_eq!(world.core.registry().clients().count(), 1);
    world.settle();
}

#[test]
fn a_returning_engine_gets_its_id_back() {
    let mut world = World::new();
    let first = world.join(Role::Engine, None);
    world.join(Role::Engine, None);
    world.gone(first, false);
    let hello = Hello::new(Role::Engine, format!("uuid-{first}"), "host".to_owned(), 1);
    world.engines.insert(500, ModelEngine::default());
    world.tell(500, Message::Hello(hello), vec![]);
    assert_eq!(world.greeted[&500].engine_id, Some(EngineId(0)));
}
