//! A controller with peers on other hosts, whose connections fall silent or are closed.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub const LEASE: u64 = 60;
/// It is waited for so much longer, for it may notice later that it has no connection.
pub const MARGIN: u64 = 10;

pub struct Net {
    pub core: Core,
    now: u64,
    next_route: u32,
    last_request: u64,
    /// What was sent since this was last taken, by connection.
    pub sent: BTreeMap<u32, Vec<Message>>,
}

/// A peer, with its `control` connection; `data` has the next number.
#[derive(Clone)]
pub struct Peer {
    pub control: u32,
    hello: Hello,
    welcome: Welcome,
}

fn identity() -> Identity {
    Identity { cluster: "test".to_owned(), host: "head".to_owned(), pid: 1, table: None }
}

impl Net {
    pub fn new() -> Net {
        let core = Core::new(identity(), Limits::default(), Oracle::new(|| "token".to_owned(), |_, _| None));
        Net { core, now: 0, next_route: 2, last_request: 0, sent: BTreeMap::new() }
    }

    pub fn feed(&mut self, event: Event) {
        for action in self.core.handle(event, Duration::from_secs(self.now)) {
            if let Action::Send { route, message, .. } = action {
                self.sent.entry(route.0).or_default().push(message);
            }
        }
        let image = image::write(&self.core);
        let again = image::read(&image, Oracle::new(|| "token".to_owned(), |_, _| None)).expect("an image");
        assert!(image::write(&again) == image, "all of the state is in the image");
    }

    pub fn tell(&mut self, role: Role, route: u32, message: Message) {
        let payload = match message {
            Message::Request(_) | Message::Result(_) => vec![Frame::from(&b"a value"[..])],
            _ => vec![],
        };
        self.feed(Event::Message { route: Route(route), admitted: Admitted::Keyed(role), message, payload });
    }

    fn greets(&mut self, hello: Hello) -> Peer {
        let control = self.next_route;
        self.next_route += 2;
        self.tell(hello.role, control, Message::Hello(hello.clone()));
        let greeted = self.sent.remove(&control).unwrap_or_default();
        let welcome = greeted.into_iter().find_map(|message| match message {
            Message::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        let welcome = welcome.expect("it is let in");
        let (peer, token) = (welcome.peer, welcome.token.clone());
        self.tell(hello.role, control + 1, Message::Attach(Attach { peer, token }));
        Peer { control, hello, welcome }
    }

    pub fn engine(&mut self, name: &str) -> Peer {
        let new = Hello::new(Role::Engine, name.to_owned(), name.to_owned(), 7);
        self.greets(Hello { lease: LEASE as f64, ..new })
    }

    /// One behind a tunnel.
    pub fn tunnelled(&mut self, name: &str) -> Peer {
        let new = Hello::new(Role::Engine, name.to_owned(), name.to_owned(), 7);
        self.greets(Hello { lease: LEASE as f64, forwarded: true, ..new })
    }

    pub fn client(&mut self, launcher: bool) -> Peer {
        let new = Hello::new(Role::Client, format!("{:08}", self.next_route), "head".to_owned(), 8);
        self.greets(Hello { launcher, ..new })
    }

    /// What an engine hears that asks for its session again; it had received nothing of it.
    pub fn asks_again(&mut self, former: &Peer) -> Vec<Message> {
        let (peer, token) = (former.welcome.peer, former.welcome.token.clone());
        let resume = Some(Resume { peer, token, received: Counts::default() });
        let control = self.next_route;
        self.tell(Role::Engine, control, Message::Hello(Hello { resume, ..former.hello.clone() }));
        self.sent.remove(&control).unwrap_or_default()
    }

    /// An engine comes back, and gets all that it was sent once more.
    pub fn returns(&mut self, former: &Peer) -> Peer {
        let (peer, token) = (former.welcome.peer, former.welcome.token.clone());
        let resume = Some(Resume { peer, token, received: Counts::default() });
        let back = self.greets(Hello { resume, ..former.hello.clone() });
        assert!(back.welcome.resumed.is_some(), "its session goes on");
        assert_eq!(back.welcome.engine_id, former.welcome.engine_id);
        back
    }

    /// The network of an engine is down: nothing is heard of it any more.
    pub fn falls_silent(&mut self, engine: &Peer) {
        self.feed(Event::Silent(Route(engine.control)));
    }

    /// Its kernel closes its connections.
    pub fn is_closed(&mut self, engine: &Peer) {
        self.feed(Event::Gone(Route(engine.control)));
        self.feed(Event::Gone(Route(engine.control + 1)));
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now += seconds;
        let due = |core: &Core, now| core.next_tick().is_some_and(|at| at <= Duration::from_secs(now));
        if due(&self.core, self.now) {
            self.feed(Event::Tick);
        }
        assert!(!due(&self.core, self.now), "it would be called again and again");
    }

    /// Another controller goes on.
    pub fn restarts(&mut self) {
        let limits = *self.core.limits();
        self.feed(Event::Restarted(Box::new((identity(), limits))));
    }

    pub fn submit(&mut self, client: &Peer, placement: Placement) -> RequestId {
        self.submit_on(client, placement, None)
    }

    /// One that may run only so long.
    pub fn submit_limited(&mut self, client: &Peer, seconds: u64) -> RequestId {
        let terms = Terms { time_limit: Some(seconds as f64), ..Terms::default() };
        self.submit_on(client, anywhere(0), Some(Box::new(terms)))
    }

    /// One that is to run where another one did; `ended`: how that ended, as the client knows.
    pub fn submit_following(&mut self, client: &Peer, request: RequestId, ended: Option<Ended>) -> RequestId {
        self.submit_behind(client, Parent { task: TaskRef { session: None, request, position: 0 }, count: 1, ended })
    }

    /// The same behind one of another client.
    pub fn submit_following_of(&mut self, client: &Peer, other: &Peer, request: RequestId) -> RequestId {
        let session = other.welcome.session.as_ref().map(|session| session.id.chars().take(8).collect());
        self.submit_behind(client, Parent { task: TaskRef { session, request, position: 0 }, count: 1, ended: None })
    }

    fn submit_behind(&mut self, client: &Peer, parent: Parent) -> RequestId {
        let follow = Some(Dependency { on: vec![parent], all: true, success: true, failure: false });
        self.submit_on(client, anywhere(0), Some(Box::new(Terms { follow, ..Terms::default() })))
    }

    /// A client is closed.
    pub fn leaves(&mut self, client: &Peer) {
        let goodbye = Message::Goodbye(Goodbye { reason: "closed".to_owned(), taken: false });
        self.tell(Role::Client, client.control + 1, goodbye);
        self.is_closed(client);
    }

    fn submit_on(&mut self, client: &Peer, placement: Placement, terms: Option<Box<Terms>>) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        let (function, carries_function, segments, collective) = (None, false, vec![], false);
        let (timeout, name, about, part, keep, op) = (None, None, None, 0, None, Op::Execute);
        let request = Request {
            id,
            placement,
            op,
            function,
            carries_function,
            segments,
            collective,
            timeout,
            name,
            about,
            part,
            keep,
            terms,
            map: None,
        };
        self.tell(Role::Client, client.control + 1, Message::Request(request));
        id
    }

    pub fn finish(&mut self, engine: &Peer, id: TaskId) {
        self.answers(engine, id, TaskOutcome::Ok);
    }

    pub fn answers(&mut self, engine: &Peer, id: TaskId, outcome: TaskOutcome) {
        let (started, completed, segments, standing) = (1.0, 2.0, vec![], None);
        let result = TaskResult { id, outcome, started, completed, segments, standing, again: false };
        self.tell(Role::Engine, engine.control + 1, Message::Result(result));
    }

    pub fn gives_back(&mut self, engine: &Peer, task: TaskId) {
        let recalled = Recalled { returned: vec![task], kept: vec![] };
        self.tell(Role::Engine, engine.control + 1, Message::Recalled(recalled));
    }

    pub fn aborts(&mut self, client: &Peer, request: RequestId) {
        let (requests, engines) = (Some(vec![request]), None);
        let abort = Abort {
            requests,
            engines,
            all_clients: false,
            interrupt: false,
            session: None,
            force: false,
            claim: false,
        };
        self.tell(Role::Client, client.control + 1, Message::Abort(abort));
    }

    /// A client does something itself that has not begun.
    pub fn claims(&mut self, client: &Peer, request: RequestId) {
        let abort = Abort { requests: Some(vec![request]), claim: true, ..Abort::default() };
        self.tell(Role::Client, client.control + 1, Message::Abort(abort));
    }

    /// And says how that has ended.
    pub fn fulfils(&mut self, client: &Peer, request: RequestId, fate: Fate) {
        let fulfilled = Fulfilled { request, position: 0, fate, engine: Some(EngineId(0)) };
        self.tell(Role::Client, client.control + 1, Message::Fulfilled(fulfilled));
    }

    /// The tasks that were sent to an engine since this was last asked.
    pub fn tasks(&mut self, engine: &Peer) -> Vec<TaskId> {
        self.taken(engine, |message| if let Message::Task(task) = message { vec![task.id] } else { vec![] })
    }

    /// Those that it was asked to give back, among all that it was sent.
    pub fn recalls(&mut self, engine: &Peer) -> Vec<TaskId> {
        self.taken(engine, |message| if let Message::Recall(recall) = message { recall.tasks } else { vec![] })
    }

    /// Those that it was told to interrupt.
    pub fn interrupts(&mut self, engine: &Peer) -> Vec<TaskId> {
        self.taken(engine, |message| if let Message::Recall(recall) = message { recall.interrupt } else { vec![] })
    }

    /// The engines that a launcher is to end.
    pub fn hanging(&mut self, launcher: &Peer) -> Vec<EngineId> {
        let sent = self.sent.remove(&launcher.control).unwrap_or_default();
        let hangs =
            |message| if let Message::EngineAway(told) = message { told.hangs.then_some(told.id) } else { None };
        sent.into_iter().filter_map(hangs).collect()
    }

    fn taken(&mut self, engine: &Peer, of: impl Fn(Message) -> Vec<TaskId>) -> Vec<TaskId> {
        self.sent.remove(&(engine.control + 1)).unwrap_or_default().into_iter().flat_map(of).collect()
    }

    /// The answers that a client has got since this was last asked.
    pub fn replies(&mut self, client: &Peer) -> Vec<(RequestId, Outcome)> {
        let sent = self.sent.remove(&(client.control + 1)).unwrap_or_default();
        let reply =
            |message| if let Message::Reply(reply) = message { Some((reply.request, reply.outcome)) } else { None };
        sent.into_iter().filter_map(reply).collect()
    }

    /// What a client was told of engines that are away.
    pub fn told_away(&mut self, client: &Peer) -> Vec<(u32, Option<Away>)> {
        let sent = self.sent.remove(&client.control).unwrap_or_default();
        let away = |message| if let Message::EngineAway(told) = message { Some((told.id.0, told.away)) } else { None };
        sent.into_iter().filter_map(away).collect()
    }

    pub fn engines(&self) -> Vec<u32> {
        self.core.registry().engines().map(|(id, _)| id.0).collect()
    }
}

pub fn at(engine: u32) -> Placement {
    Placement::Engines(vec![EngineId(engine)])
}

pub fn anywhere(retries: u32) -> Placement {
    Placement::Balanced { retries, engines: None, duration: None }
}
