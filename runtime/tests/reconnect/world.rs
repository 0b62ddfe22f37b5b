//! A client's core, a controller's core, two engines, and what is under way between them.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{PeerId, RequestId, TaskId};
use ipclusterz_runtime::client::Pending;
use ipclusterz_runtime::client::core::Core as Client;
use ipclusterz_runtime::client::watched::Watched;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core as Controller, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub type Messages = VecDeque<(Message, Vec<Frame>)>;

pub const ENGINES: u32 = 2;
pub const CHANNELS: [Channel; 2] = [Channel::Control, Channel::Data];
pub const DATA: usize = 1;

pub enum Stage {
    Greeted,
    Attaching(Box<Welcome>, Vec<Sending>),
    Standing,
}

/// Both connections of the client, with what is under way on each.
pub struct Link {
    pub routes: [u32; 2],
    pub up: [Messages; 2],
    pub down: [Messages; 2],
    pub stage: Stage,
}

#[derive(Default)]
pub struct ModelEngine {
    pub inbox: VecDeque<(TaskId, RequestId)>,
    pub recalls: VecDeque<Vec<TaskId>>,
}

pub struct World {
    pub controller: Controller,
    pub client: Client,
    pub watched: Arc<Watched>,
    pub now: Duration,
    pub link: Option<Link>,
    pub resume: Option<Resume>,
    pub next_route: u32,
    /// Connections that were cut, and what they still bring.
    pub late: Vec<(u32, Messages)>,
    pub engines: Vec<ModelEngine>,
    pub submitted: BTreeMap<RequestId, Arc<Pending>>,
    pub given: BTreeSet<TaskId>,
    pub ran: BTreeMap<RequestId, u32>,
    pub written: BTreeMap<RequestId, String>,
    pub answered: BTreeSet<(RequestId, u32)>,
    pub statuses: (u32, u64),
}

impl World {
    pub fn new(limits: Limits) -> World {
        let identity = Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: None };
        let mut world = World {
            controller: Controller::new(identity, limits, Oracle::new(|| "token".to_owned(), |_, _| None)),
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
            let (peer, token) = world.welcome(2 * engine, Role::Engine, &format!("engine {engine}"));
            world.handle(2 * engine + 1, Admitted::Local, Message::Attach(Attach { peer, token }), vec![]);
        }
        world.connect();
        world
    }

    /// A peer of this host says hello.
    pub fn welcome(&mut self, control: u32, role: Role, uuid: &str) -> (PeerId, String) {
        let hello = Hello::new(role, uuid.to_owned(), "here".to_owned(), control);
        let actions = self.handle(control, Admitted::Local, Message::Hello(hello), vec![]);
        let welcome = actions.into_iter().find_map(|action| match action {
            Action::Send { message: Message::Welcome(welcome), .. } => Some(welcome),
            _ => None,
        });
        let Welcome { peer, token, .. } = welcome.expect("a welcome");
        (peer, token)
    }

    pub fn handle(&mut self, route: u32, admitted: Admitted, message: Message, payload: Vec<Frame>) -> Vec<Action> {
        self.controller.handle(Event::Message { route: Route(route), admitted, message, payload }, self.now)
    }

    pub fn tell(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        let admitted = if route < 1000 { Admitted::Local } else { Admitted::Keyed(Role::Client) };
        let actions = self.handle(route, admitted, message, payload);
        self.act(actions);
    }

    pub fn gone(&mut self, route: u32) {
        let actions = self.controller.handle(Event::Gone(Route(route)), self.now);
        self.act(actions);
    }

    pub fn act(&mut self, actions: Vec<Action>) {
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

    pub fn hand_to_engine(&mut self, number: u32, message: Message, payload: &[Frame]) {
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
            Message::Recall(recall) => engine.recalls.push_back(recall.tasks),
            Message::Function(_) => assert_eq!(&*payload[0], b"code"),
            Message::Attached(_) => {}
            Message::OutputTaken(_) => {}
            other => panic!("an engine got {other:?}"),
        }
    }
}

pub fn standing() -> World {
    let mut world = World::new(Limits::default());
    for channel in [0, 0, DATA, DATA] {
        world.up(channel, 1);
        world.down(channel, 1);
    }
    world
}
