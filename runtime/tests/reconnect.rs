//! A client's core and the controller's, with a network between them that is cut wherever it hurts.
//!
//! What must hold: each request runs once, each of its targets gets exactly one answer, what it wrote arrives once and in
//! order, and nothing is kept in the end.

use ipclusterz_runtime::client::Pending;
use ipclusterz_runtime::client::core::Core as Client;
use ipclusterz_runtime::client::event::Event as ClientEvent;
use ipclusterz_runtime::client::request::Outgoing;
use ipclusterz_runtime::client::watched::Watched;
use ipclusterz_runtime::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core as Controller, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::part::Packed;
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

type Messages = VecDeque<(Message, Vec<Frame>)>;

const ENGINES: u32 = 2;
const CHANNELS: [Channel; 2] = [Channel::Control, Channel::Data];
const DATA: usize = 1;

#[derive(Debug, Clone)]
enum Step {
    Submit {
        balanced: bool,
        function: bool,
    },
    Abort {
        all: bool,
    },
    AskStatus,
    Write(u32),
    Finish(u32),
    AnswerRecall(u32),
    Up {
        channel: usize,
        count: usize,
    },
    Down {
        channel: usize,
        count: usize,
    },
    Cut,
    Connect,
    /// What a connection that was cut still brings the controller, and then its end.
    Late {
        which: usize,
        end: bool,
    },
    /// The controller drops a connection by itself.
    Drop(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let engine = 0..ENGINES;
    let move_some = (0..2_usize, 1..6_usize);
    prop_oneof![
        6 => any::<(bool, bool)>().prop_map(|(balanced, function)| Step::Submit { balanced, function }),
        1 => any::<bool>().prop_map(|all| Step::Abort { all }),
        1 => Just(Step::AskStatus),
        3 => engine.clone().prop_map(Step::Write),
        6 => engine.clone().prop_map(Step::Finish),
        2 => engine.prop_map(Step::AnswerRecall),
        8 => move_some.clone().prop_map(|(channel, count)| Step::Up { channel, count }),
        8 => move_some.prop_map(|(channel, count)| Step::Down { channel, count }),
        2 => Just(Step::Cut),
        3 => Just(Step::Connect),
        3 => (0..6_usize, any::<bool>()).prop_map(|(which, end)| Step::Late { which, end }),
        1 => (0..2_usize).prop_map(Step::Drop),
        1 => (0..30_u64).prop_map(Step::Wait),
    ]
}

enum Stage {
    Greeted,
    Attaching(Welcome, Vec<Sending>),
    Standing,
}

/// Both connections of the client, with what is under way on each.
struct Link {
    routes: [u32; 2],
    up: [Messages; 2],
    down: [Messages; 2],
    stage: Stage,
}

#[derive(Default)]
struct ModelEngine {
    inbox: VecDeque<(TaskId, RequestId)>,
    recalls: VecDeque<Vec<TaskId>>,
}

struct World {
    controller: Controller,
    client: Client,
    watched: Arc<Watched>,
    now: Duration,
    link: Option<Link>,
    resume: Option<Resume>,
    next_route: u32,
    /// Connections that were cut, and what they still bring.
    late: Vec<(u32, Messages)>,
    engines: Vec<ModelEngine>,
    submitted: BTreeMap<RequestId, Arc<Pending>>,
    given: BTreeSet<TaskId>,
    ran: BTreeMap<RequestId, u32>,
    written: BTreeMap<RequestId, String>,
    answered: BTreeSet<(RequestId, u32)>,
    statuses: (u32, u64),
}

impl World {
    fn new(limits: Limits) -> World {
        let identity = Identity { cluster: "test".to_owned(), pid: 1 };
        let mut world = World {
            controller: Controller::new(identity, limits, || "token".to_owned()),
            client: Client::default(),
            watched: Arc::default(),
            now: Duration::ZERO,
            link: None,
            resume: None,
            next_route: 1000,
            late: Vec::new(),
            engines: Vec::new(),
            submitted: BTreeMap::new(),
            given: BTreeSet::new(),
            ran: BTreeMap::new(),
            written: BTreeMap::new(),
            answered: BTreeSet::new(),
            statuses: (0, 0),
        };
        for engine in 0..ENGINES {
            world.engines.push(ModelEngine::default());
            let hello = Hello::new(Role::Engine, format!("engine {engine}"), "here".to_owned(), engine);
            let actions = world.handle(2 * engine, Admitted::Local, Message::Hello(hello), vec![]);
            let welcome = actions.into_iter().find_map(|action| match action {
                Action::Send { message: Message::Welcome(welcome), .. } => Some(welcome),
                _ => None,
            });
            let Welcome { peer, token, .. } = welcome.expect("a welcome");
            world.handle(2 * engine + 1, Admitted::Local, Message::Attach(Attach { peer, token }), vec![]);
        }
        world.connect();
        world
    }

    fn handle(&mut self, route: u32, admitted: Admitted, message: Message, payload: Vec<Frame>) -> Vec<Action> {
        self.controller.handle(Event::Message { route: Route(route), admitted, message, payload }, self.now)
    }

    fn tell(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        let admitted = if route < 1000 { Admitted::Local } else { Admitted::Keyed(Role::Client) };
        let actions = self.handle(route, admitted, message, payload);
        self.act(actions);
    }

    fn gone(&mut self, route: u32) {
        let actions = self.controller.handle(Event::Gone(Route(route)), self.now);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            let Action::Send { route: Route(route), message, payload, .. } = action else { continue };
            if route < 2 * ENGINES {
                self.hand_to_engine(route / 2, message, &payload);
            } else if let Some(link) = &mut self.link
                && let Some(channel) = link.routes.iter().position(|own| *own == route)
            {
                link.down[channel].push_back((message, payload));
            }
        }
    }

    fn hand_to_engine(&mut self, number: u32, message: Message, payload: &[Frame]) {
        let engine = &mut self.engines[number as usize];
        match message {
            Message::Task(task) => {
                assert!(self.given.insert(task.id), "a task without retries is given once");
                let id = payload[0][..8].try_into().map(u64::from_be_bytes).map(RequestId).expect("eight bytes");
                engine.inbox.push_back((task.id, id));
                if task.function.is_some() {
                    let need = Message::NeedFunction(NeedFunction { task: task.id });
                    self.tell(2 * number + 1, need, vec![]);
                }
            }
            Message::Recall(list) => engine.recalls.push_back(list.tasks),
            Message::Function(_) => assert_eq!(&*payload[0], b"code"),
            Message::Attached(_) => {}
            other => panic!("an engine got {other:?}"),
        }
    }

    fn connect(&mut self) {
        if self.link.is_some() {
            return;
        }
        let routes = [self.next_route, self.next_route + 1];
        self.next_route += 2;
        let hello =
            Hello { resume: self.resume.clone(), ..Hello::new(Role::Client, "client".into(), "there".into(), 1) };
        let mut up: [Messages; 2] = Default::default();
        up[0].push_back((Message::Hello(hello), vec![]));
        self.link = Some(Link { routes, up, down: Default::default(), stage: Stage::Greeted });
    }

    fn cut(&mut self) {
        let Some(Link { routes, up, .. }) = self.link.take() else { return };
        self.late.extend(routes.into_iter().zip(up));
        match self.client.interrupted("cut") {
            Some((_, resume)) => self.resume = Some(resume),
            None => {
                self.resume = None;
                self.client.lost("cut", 0.0);
            }
        }
    }

    fn late(&mut self, which: usize, end: bool) {
        if self.late.is_empty() {
            return;
        }
        let which = which % self.late.len();
        let route = self.late[which].0;
        if end {
            self.late.remove(which);
            self.gone(route);
        } else if let Some((message, payload)) = self.late[which].1.pop_front() {
            self.tell(route, message, payload);
        }
    }

    fn put(&mut self, sends: Vec<Sending>) {
        for (channel, message, payload) in sends {
            let channel = usize::from(channel == Channel::Data);
            self.link.as_mut().expect("a link").up[channel].push_back((message, payload));
        }
    }

    /// Has the client send what it may, as its reactor does.
    fn flush(&mut self, first: Vec<Sending>) {
        if self.client.standing.is_some() {
            let sends = self.client.outgoing(first);
            self.put(sends);
        }
    }

    fn up(&mut self, channel: usize, count: usize) {
        for _ in 0..count {
            let Some(link) = &mut self.link else { return };
            let Some((message, payload)) = link.up[channel].pop_front() else { return };
            let route = link.routes[channel];
            self.tell(route, message, payload);
        }
    }

    fn down(&mut self, channel: usize, count: usize) {
        for _ in 0..count {
            let Some(link) = &mut self.link else { return };
            let Some((message, payload)) = link.down[channel].pop_front() else { return };
            match (message, &mut link.stage) {
                (Message::Welcome(welcome), Stage::Greeted) => {
                    let attach = Attach { peer: welcome.peer, token: welcome.token.clone() };
                    link.up[DATA].push_back((Message::Attach(attach), vec![]));
                    link.stage = Stage::Attaching(welcome, Vec::new());
                }
                (Message::Attached(_), Stage::Attaching(..)) => {
                    let stage = std::mem::replace(&mut link.stage, Stage::Standing);
                    let Stage::Attaching(welcome, early) = stage else { unreachable!("it was") };
                    assert_eq!(welcome.resumed.is_some(), self.client.is_away(), "the session goes on");
                    let again = self.client.established(welcome, 0.0);
                    self.put(again);
                    early.into_iter().for_each(|(channel, message, payload)| self.hear(channel, message, payload));
                    self.flush(vec![]);
                }
                // One of the connections broke.
                (Message::Refused(_), _) => return self.cut(),
                (message, Stage::Attaching(_, early)) => early.push((CHANNELS[channel], message, payload)),
                (message, Stage::Standing) => {
                    self.hear(CHANNELS[channel], message, payload);
                    self.flush(vec![]);
                }
                (message, Stage::Greeted) => panic!("before the welcome: {message:?}"),
            }
        }
    }

    fn hear(&mut self, channel: Channel, message: Message, payload: Vec<Frame>) {
        match &message {
            Message::Reply(reply) => {
                let key = (reply.request, reply.position);
                assert!(self.answered.insert(key), "a second answer: {reply:?}");
                assert!(matches!(reply.outcome, Outcome::Ok | Outcome::Aborted), "{reply:?}");
            }
            Message::StatusReply(_) => self.statuses.1 += 1,
            _ => {}
        }
        self.client.message(channel, message, payload, 0.0, |_, _| Ok(vec![]));
    }

    fn submit(&mut self, balanced: bool, function: bool) {
        let targets = if balanced { vec![None] } else { (0..ENGINES).map(|id| Some(EngineId(id))).collect() };
        let count = targets.len();
        let pending = Pending::new(targets, 0.0, Arc::clone(&self.watched));
        let id = self.client.number(1);
        let placement = if balanced {
            Placement::Balanced { retries: 0, engines: None, duration: None }
        } else {
            Placement::Engines((0..ENGINES).map(EngineId).collect())
        };
        let name = FunctionName([9; 16]);
        let function = function.then(|| (name, self.client.functions.code(name, b"code")));
        let mut packed = Packed::default();
        packed.push(&id.0.to_be_bytes(), None).expect("memory");
        let (weak, base) = (Arc::downgrade(&pending), 0);
        self.client.submit(Outgoing {
            id,
            placement,
            op: Op::Apply,
            function,
            packed,
            pending: weak,
            base,
            count,
            collective: false,
        });
        self.submitted.insert(id, pending);
        self.flush(vec![]);
    }

    fn abort(&mut self, all: bool) {
        let Some((last, _)) = self.submitted.last_key_value() else { return };
        let requests = (!all).then(|| vec![*last]);
        // What was submitted before goes first, as from `Client::abort`.
        let mut first = self.client.next_sends();
        first.push((Channel::Data, Message::Abort(Abort { requests, engines: None }), vec![]));
        self.flush(first);
    }

    fn ask_status(&mut self) {
        self.statuses.0 += 1;
        self.flush(vec![(Channel::Control, Message::StatusRequest(Empty {}), vec![])]);
    }

    fn write(&mut self, number: u32) {
        let Some(&(task, request)) = self.engines[number as usize].inbox.front() else { return };
        let text = self.written.entry(request).or_default();
        let piece = format!("{number}:{},", text.len());
        text.push_str(&piece);
        let output = Message::Output(Output { task, stream: Stream::Stdout });
        self.tell(2 * number + 1, output, vec![Frame::from(piece.into_bytes())]);
    }

    fn finish(&mut self, number: u32) {
        let Some((id, request)) = self.engines[number as usize].inbox.pop_front() else { return };
        *self.ran.entry(request).or_default() += 1;
        let (outcome, segments) = (TaskOutcome::Ok, vec![]);
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.1, segments };
        self.tell(2 * number + 1, Message::Result(result), vec![Frame::from(&b"value"[..])]);
    }

    fn answer_recall(&mut self, number: u32) {
        let engine = &mut self.engines[number as usize];
        let Some(asked) = engine.recalls.pop_front() else { return };
        let waits = |task: &TaskId| engine.inbox.iter().skip(1).any(|(other, _)| other == task);
        let (returned, kept): (Vec<TaskId>, Vec<TaskId>) = asked.into_iter().partition(waits);
        engine.inbox.retain(|(task, _)| !returned.contains(task));
        for task in &returned {
            // A balanced one may be given again.
            self.given.remove(task);
        }
        self.tell(2 * number + 1, Message::Recalled(Recalled { returned, kept }), vec![]);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit { balanced, function } if self.client.standing.is_some() => self.submit(balanced, function),
            Step::Abort { all } if self.client.standing.is_some() => self.abort(all),
            Step::AskStatus if self.client.standing.is_some() => self.ask_status(),
            Step::Submit { .. } | Step::Abort { .. } | Step::AskStatus => {}
            Step::Write(engine) => self.write(engine),
            Step::Finish(engine) => self.finish(engine),
            Step::AnswerRecall(engine) => self.answer_recall(engine),
            Step::Up { channel, count } => self.up(channel, count),
            Step::Down { channel, count } => self.down(channel, count),
            Step::Cut => self.cut(),
            Step::Connect => self.connect(),
            Step::Late { which, end } => self.late(which, end),
            Step::Drop(channel) => {
                if let Some(route) = self.link.as_ref().map(|link| link.routes[channel]) {
                    self.gone(route);
                }
            }
            Step::Wait(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                let actions = self.controller.handle(Event::Tick, self.now);
                self.act(actions);
            }
        }
    }

    /// Lets everything come to its end over connections that hold, and looks at what is left.
    fn settle(mut self) {
        for _ in 0..10_000 {
            self.connect();
            while !self.late.is_empty() {
                self.late(0, self.late[0].1.is_empty());
            }
            for channel in [0, 1] {
                self.up(channel, usize::MAX);
                self.down(channel, usize::MAX);
            }
            for engine in 0..ENGINES {
                self.answer_recall(engine);
                self.finish(engine);
            }
            self.step(&Step::Wait(20));
            let quiet = self.link.as_ref().is_some_and(|link| {
                matches!(link.stage, Stage::Standing) && link.up.iter().chain(&link.down).all(VecDeque::is_empty)
            });
            if quiet && self.client.under_way() == 0 && self.controller.work().open_tasks() == 0 {
                break;
            }
        }
        assert_eq!(self.client.under_way(), 0, "answers are missing");
        assert_eq!(u64::from(self.statuses.0), self.statuses.1, "each question about the status is answered once");
        for (request, pending) in &self.submitted {
            let statuses = pending.statuses();
            let ran = statuses.iter().filter(|status| **status == Some("ok")).count();
            assert!(statuses.iter().all(|status| matches!(status, Some("ok" | "aborted"))), "{statuses:?}");
            assert_eq!(ran as u32, self.ran.get(request).copied().unwrap_or_default(), "{request:?}: {statuses:?}");
            let outputs: Vec<String> =
                (0..statuses.len()).filter_map(|index| pending.outputs(index)).map(|o| o.0).collect();
            let length: usize = outputs.iter().map(String::len).sum();
            let written = self.written.get(request).cloned().unwrap_or_default();
            assert_eq!(length, written.len(), "{outputs:?} of {written:?}");
            if outputs.len() == 1 {
                assert_eq!(outputs[0], written);
            }
        }
        // Nothing is kept once it is acknowledged and the client is gone.
        self.flush(vec![(Channel::Data, Message::Goodbye(Goodbye { reason: "closed".to_owned() }), vec![])]);
        self.up(DATA, usize::MAX);
        let routes = self.link.as_ref().expect("a link").routes;
        routes.into_iter().for_each(|route| self.gone(route));
        assert_eq!(self.controller.registry().clients().count(), 0);
        assert_eq!(self.controller.work().held_bytes(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nothing_is_lost_or_doubled_wherever_the_connection_is_cut(steps in proptest::collection::vec(step(), 0..150)) {
        let mut world = World::new(Limits::default());
        world.up(0, 1);
        world.down(0, 1);
        world.up(DATA, 1);
        world.down(DATA, 1);
        assert!(world.client.standing.is_some());
        for step in &steps {
            world.step(step);
        }
        world.settle();
    }
}

fn standing() -> World {
    let mut world = World::new(Limits::default());
    for channel in [0, 0, DATA, DATA] {
        world.up(channel, 1);
        world.down(channel, 1);
    }
    world
}

#[test]
fn a_result_that_arrives_meanwhile_is_there_when_the_client_comes_back() {
    let mut world = standing();
    world.submit(true, true);
    world.up(DATA, usize::MAX);
    world.cut();
    let happened = |world: &World, event: &ClientEvent| world.client.events.contains(event);
    assert!(happened(&world, &ClientEvent::Interrupted { reason: "cut".to_owned() }));
    // Submitted without a connection.
    world.submit(false, false);
    world.late(0, true);
    world.late(0, true);
    world.finish(0);
    world.finish(1);
    world.now += Limits::default().session_grace / 2;
    world.step(&Step::Wait(0));
    assert_eq!(world.client.under_way(), 2);
    world.settle();
}

#[test]
fn a_client_that_stays_away_is_given_up_with_what_it_has_queued() {
    let mut world = standing();
    (0..5).for_each(|_| world.submit(true, false));
    world.up(DATA, usize::MAX);
    world.cut();
    world.late(0, true);
    world.late(0, true);
    let grace = Limits::default().session_grace;
    assert!(world.controller.next_tick().is_some_and(|at| at <= world.now + grace));
    world.now += grace;
    world.step(&Step::Wait(0));
    assert_eq!(world.controller.registry().clients().count(), 0);
    assert_eq!(world.controller.work().queued(), 0);
    // It comes back too late: it is told so, and may submit anew.
    world.connect();
    world.up(0, 1);
    let Some(Link { down, .. }) = &world.link else { panic!("no link") };
    assert!(matches!(&down[0][0].0, Message::Welcome(Welcome { resumed: None, .. })));
}

#[test]
fn only_the_client_itself_gets_its_session() {
    let mut world = standing();
    world.cut();
    let resume = world.resume.clone().expect("a session");
    for (uuid, token) in [("client", "guess"), ("other", "token")] {
        let resume = Some(Resume { token: token.to_owned(), ..resume.clone() });
        let hello = Hello { resume, ..Hello::new(Role::Client, uuid.to_owned(), "there".to_owned(), 1) };
        let route = world.next_route;
        world.next_route += 2;
        let actions = world.handle(route, Admitted::Keyed(Role::Client), Message::Hello(hello), vec![]);
        let fresh = |action: &Action| matches!(action, Action::Send { message: Message::Welcome(welcome), .. } if welcome.resumed.is_none());
        assert!(actions.iter().any(fresh), "{actions:?}");
    }
}

#[test]
fn an_engine_that_comes_back_before_its_break_is_noticed_has_its_id() {
    let mut world = standing();
    let hello = Hello::new(Role::Engine, "engine 0".to_owned(), "here".to_owned(), 0);
    let actions = world.handle(500, Admitted::Keyed(Role::Engine), Message::Hello(hello), vec![]);
    let welcome = actions.iter().find_map(|action| match action {
        Action::Send { message: Message::Welcome(welcome), .. } => welcome.engine_id,
        _ => None,
    });
    assert_eq!(welcome, Some(EngineId(0)));
}

#[test]
fn what_is_kept_is_bounded_by_acknowledgements() {
    let mut world = standing();
    for _ in 0..1000 {
        world.submit(true, false);
        for channel in [0, DATA] {
            world.up(channel, usize::MAX);
        }
        (0..ENGINES).for_each(|engine| world.finish(engine));
        for channel in [0, DATA] {
            world.down(channel, usize::MAX);
        }
    }
    let kept: Vec<usize> = world.controller.registry().clients().map(|(_, peer)| peer.sent.len()).collect();
    assert!(kept.len() == 1 && kept[0] < 200, "{kept:?} messages are kept");
    assert!(world.client.kept() < 200, "{} messages are kept", world.client.kept());
    world.settle();
}
