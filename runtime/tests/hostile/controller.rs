//! Peers with keys say anything to the controller: nothing panics, an honest client gets each of its answers once, what is held is
//! bounded, and all of it is gone with them.

use crate::messages::message;
use crate::{decoded, frames, payload};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Routes of the honest client; `data` is the next one.
const HONEST: u32 = 2;
/// The first of the others.
const OTHERS: u32 = 10;
/// Answers that the honest client waits for: of three engines and a balanced task.
const EXPECTED: usize = 4;
/// Actions for one message, which names 20 at most of each thing: far fewer than all of them squared.
const ACTIONS_MAX: usize = 2_000;

#[derive(Debug, Clone)]
enum Step {
    Joins(Role, Option<u32>),
    Says { route: u32, message: Box<Message>, payload: Vec<Vec<u8>> },
    Gone(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let route = OTHERS..OTHERS + 12;
    prop_oneof![
        2 => (any::<bool>(), proptest::option::of(0..4_u32))
            .prop_map(|(client, wanted)| Step::Joins(if client { Role::Client } else { Role::Engine }, wanted)),
        20 => (route.clone(), message(), payload())
            .prop_map(|(route, message, payload)| Step::Says { route, message: Box::new(message), payload }),
        1 => route.prop_map(Step::Gone),
        1 => (0..20_000_u64).prop_map(Step::Wait),
    ]
}

struct World {
    core: Core,
    now: Duration,
    next_route: u32,
    welcomes: BTreeMap<u32, Welcome>,
    /// Answers of the honest client, and how many of each.
    answers: BTreeMap<(RequestId, u32), u32>,
    exits: bool,
}

impl World {
    fn new() -> World {
        let identity = Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: None };
        let window = Window { replies: 64, bytes: 2_000, request_bytes: 4_000 };
        let limits = Limits { window, output_bytes: 1_000, ..Limits::default() };
        World {
            core: Core::new(identity, limits, Oracle::new(|| "token".to_owned(), |_, _| None)),
            now: Duration::ZERO,
            next_route: OTHERS,
            welcomes: BTreeMap::new(),
            answers: BTreeMap::new(),
            exits: false,
        }
    }

    fn feed(&mut self, event: Event) {
        let actions = self.core.handle(event, self.now);
        assert!(actions.len() <= ACTIONS_MAX, "{} actions", actions.len());
        for action in actions {
            match action {
                Action::Send { route: Route(route), message: Message::Welcome(welcome), .. } => {
                    self.welcomes.insert(route, welcome);
                }
                Action::Send { route: Route(route), message: Message::Reply(reply), .. } if route == HONEST + 1 => {
                    *self.answers.entry((reply.request, reply.position)).or_default() += 1;
                }
                Action::Exit => self.exits = true,
                _ => {}
            }
        }
    }

    fn says(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        let route = Route(route);
        self.feed(match decoded(message) {
            Ok(message) => Event::Message { route, admitted: Admitted::Local, message, payload },
            Err(reason) => Event::Undecodable { route, reason },
        });
    }

    fn joins(&mut self, role: Role, wanted: Option<u32>, control: u32) {
        let hello = Hello::new(role, format!("uuid-{control}"), "host".to_owned(), control);
        self.says(control, Message::Hello(Hello { wanted_id: wanted.map(EngineId), ..hello }), vec![]);
        if let Some(Welcome { peer, token, .. }) = self.welcomes.get(&control).cloned() {
            self.says(control + 1, Message::Attach(Attach { peer, token }), vec![]);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Joins(role, wanted) => {
                let control = self.next_route;
                self.next_route += 2;
                self.joins(role, wanted, control);
            }
            Step::Says { route, message, payload } => self.says(route, *message, frames(payload)),
            Step::Gone(route) => self.feed(Event::Gone(Route(route))),
            Step::Wait(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                self.feed(Event::Tick);
            }
        }
    }

    /// The honest client asks for something; every engine is hostile.
    fn ask(&mut self) {
        let engines = [0, 1, 2].map(EngineId).to_vec();
        let balanced = Placement::Balanced { retries: 1, engines: None, duration: None };
        for (id, placement) in [(1, Placement::Engines(engines)), (2, balanced)] {
            let (op, function, carries_function) = (Op::Execute, None, false);
            let (id, segments, collective, keep) = (RequestId(id), vec![], false, None);
            let request = Request {
                id,
                placement,
                op,
                function,
                carries_function,
                segments,
                collective,
                timeout: None,
                keep,
                about: None,
                name: None,
                part: 0,
                terms: None,
                map: None,
            };
            self.says(HONEST + 1, Message::Request(request), vec![Frame::from(&b"code"[..])]);
        }
    }

    fn all_leave(&mut self) {
        for route in OTHERS..self.next_route + 12 {
            self.feed(Event::Gone(Route(route)));
        }
        for _ in 0..4 {
            self.now += Duration::from_secs(400);
            self.feed(Event::Tick);
        }
    }
}

fn without_keep(step: Step) -> Step {
    match step {
        Step::Says { route, message, payload } => match *message {
            Message::Request(request) => {
                let message = Box::new(Message::Request(Request { keep: None, ..request }));
                Step::Says { route, message, payload }
            }
            other => Step::Says { route, message: Box::new(other), payload },
        },
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_peers_say_an_honest_client_is_answered_and_nothing_is_left(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new();
        world.joins(Role::Client, None, HONEST);
        for (number, step) in steps.into_iter().enumerate() {
            if number == 20 {
                world.ask();
            }
            world.step(without_keep(step));
        }
        world.all_leave();
        let stopped = world.exits;
        let once = world.answers.values().all(|count| *count == 1);
        prop_assert!(once, "{:?}", world.answers);
        prop_assert!(stopped || world.answers.is_empty() || world.answers.len() == EXPECTED, "{:?}", world.answers);
        prop_assert_eq!(world.core.work().open_tasks(), 0);
        prop_assert_eq!(world.core.work().held_bytes(), 0);
        prop_assert_eq!(world.core.registry().clients().count(), 1);
        world.feed(Event::Gone(Route(HONEST)));
        world.feed(Event::Gone(Route(HONEST + 1)));
        prop_assert!(world.core.registry().is_empty());
    }
}
