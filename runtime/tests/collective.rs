//! The rule by which requests of groups are ordered, against a model of engines that block in collectives.
//!
//! Clients send requests for any groups at any time, engines are slow, busy, die and come back. What must hold: whoever is
//! there is never left waiting for somebody who waits for it in turn; a request of one epoch is never done in another;
//! each target gets exactly one answer.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

const CLIENTS: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A request that a client's engines do together.
    Together {
        client: u32,
        engines: Vec<u32>,
    },
    /// One that one engine does alone.
    Alone {
        client: u32,
        engine: u32,
    },
    /// A client gives up all it has, or what all have.
    Abort {
        client: u32,
        all_clients: bool,
    },
    /// An engine begins what it has, or ends it if it can.
    Work {
        engine: u32,
    },
    Dies {
        engine: u32,
    },
    /// A dead one's program is started anew; or the same process finds the controller again.
    Comes {
        engine: u32,
        anew: bool,
    },
}

fn step(engines: u32) -> impl Strategy<Value = Step> {
    let some = proptest::sample::subsequence((0..engines).collect::<Vec<_>>(), 1..=engines as usize).prop_shuffle();
    prop_oneof![
        6 => (0..CLIENTS, some).prop_map(|(client, engines)| Step::Together { client, engines }),
        2 => (0..CLIENTS, 0..engines).prop_map(|(client, engine)| Step::Alone { client, engine }),
        1 => (0..CLIENTS, any::<bool>()).prop_map(|(client, all_clients)| Step::Abort { client, all_clients }),
        10 => (0..engines).prop_map(|engine| Step::Work { engine }),
        1 => (0..engines).prop_map(|engine| Step::Dies { engine }),
        2 => (0..engines, any::<bool>()).prop_map(|(engine, anew)| Step::Comes { engine, anew }),
    ]
}

/// What an engine does together with others: a request, or an epoch's communicator. Equal where it is the same thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Request(u64, Vec<u32>, Vec<u8>),
    Epoch(u64, Vec<u32>),
}

#[derive(Debug)]
struct Process {
    alive: bool,
    connected: bool,
    /// Which incarnation of the program.
    program: u32,
    epoch: u64,
    over: u64,
    inbox: VecDeque<(Task, Vec<u8>)>,
    /// What it is inside of.
    inside: Option<(TaskId, What)>,
    route: u32,
}

struct World {
    core: Core,
    size: u32,
    survives: bool,
    processes: Vec<Process>,
    next_route: u32,
    next_request: u64,
    awaited: BTreeSet<(u32, u64, u32)>,
    welcome: Option<Welcome>,
    /// What has been left by somebody after all had entered it: the others may leave it too.
    complete: BTreeSet<What>,
}

impl World {
    fn new(size: u32, survives: bool) -> World {
        let identity = Identity { cluster: "test".to_owned(), pid: 1, table: None, halt: |_, _| None };
        let mut world = World {
            core: Core::new(identity, Limits::default(), || "token".to_owned()),
            size,
            survives,
            processes: Vec::new(),
            next_route: 2 + 2 * CLIENTS,
            next_request: 0,
            awaited: BTreeSet::new(),
            welcome: None,
            complete: BTreeSet::new(),
        };
        for client in 0..CLIENTS {
            let hello = Hello::new(Role::Client, format!("c{client}"), "h".to_owned(), 1);
            world.connect(2 + 2 * client, hello);
        }
        let process = || Process {
            alive: false,
            connected: false,
            program: 0,
            epoch: 0,
            over: 0,
            inbox: VecDeque::new(),
            inside: None,
            route: 0,
        };
        world.processes.extend((0..size).map(|_| process()));
        world.comes(0, true);
        world
    }

    fn connect(&mut self, control: u32, hello: Hello) {
        self.tell(control, Message::Hello(hello), vec![]);
        let Welcome { peer, token, .. } = self.welcome.take().expect("a welcome");
        self.tell(control + 1, Message::Attach(Attach { peer, token }), vec![]);
    }

    fn tell(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        self.feed(Event::Message { route: Route(route), admitted: Admitted::Local, message, payload });
    }

    fn feed(&mut self, event: Event) {
        for action in self.core.handle(event, Duration::ZERO) {
            let Action::Send { route: Route(route), message, payload, .. } = action else { continue };
            self.take(route, message, payload);
        }
    }

    fn take(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        if let Message::Welcome(welcome) = message {
            self.welcome = Some(welcome);
            return;
        }
        if route < 2 + 2 * CLIENTS {
            if let Message::Reply(reply) = message {
                let key = ((route - 2) / 2, reply.request.0, reply.position);
                assert!(self.awaited.remove(&key), "an answer that nobody awaits: {reply:?}");
            }
            return;
        }
        let Some(index) = self.processes.iter().position(|process| process.connected && process.route == route & !1)
        else {
            return;
        };
        match message {
            Message::Task(task) => {
                let text = payload.first().map(|frame| frame.to_vec()).unwrap_or_default();
                self.processes[index].inbox.push_back((task, text));
            }
            Message::EpochOver(over) => self.over(index, over.epoch),
            Message::Recall(list) => {
                let mut returned = Vec::new();
                let process = &mut self.processes[index];
                process.inbox.retain(|(task, _)| {
                    let recalled = list.tasks.contains(&task.id);
                    returned.extend(recalled.then_some(task.id));
                    !recalled
                });
                let kept = list.tasks.into_iter().filter(|task| !returned.contains(task)).collect();
                let route = process.route + 1;
                self.tell(route, Message::Recalled(Recalled { returned, kept }), vec![]);
            }
            _ => {}
        }
    }

    /// The watchdog of the engine's I/O thread: whoever waits in that epoch does not any more.
    fn over(&mut self, index: usize, epoch: u64) {
        let process = &mut self.processes[index];
        process.over = process.over.max(epoch);
        let waits = |what: &What| match what {
            What::Request(of, ..) | What::Epoch(of, _) => *of <= epoch,
        };
        if let Some((task, _)) = process.inside.take_if(|(_, what)| waits(what)) {
            self.answer(index, task, TaskOutcome::Error);
        }
    }

    fn answer(&mut self, index: usize, id: TaskId, outcome: TaskOutcome) {
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.0, segments: vec![] };
        let route = self.processes[index].route + 1;
        if self.processes[index].connected {
            self.tell(route, Message::Result(result), vec![Frame::from(&b"why"[..])]);
        }
    }

    /// Begins the next task, or ends the one that runs, if it can. Whether anything happened.
    fn work(&mut self, index: usize) -> bool {
        if !self.processes[index].alive {
            return false;
        }
        if let Some((task, what)) = self.processes[index].inside.clone() {
            let (What::Request(_, ranks, _) | What::Epoch(_, ranks)) = &what;
            let entered = |rank: &u32| {
                let process = &self.processes[*rank as usize];
                process.inside.as_ref().is_some_and(|(_, other)| *other == what)
            };
            if !self.complete.contains(&what) && !ranks.iter().all(entered) {
                return false;
            }
            if let What::Epoch(epoch, _) = what {
                self.processes[index].epoch = epoch;
            }
            self.complete.insert(what);
            self.processes[index].inside = None;
            self.answer(index, task, TaskOutcome::Ok);
            return true;
        }
        let process = &mut self.processes[index];
        let Some((task, text)) = process.inbox.pop_front() else { return false };
        if task.op == Op::Reform {
            let reform: Reform = serde_json::from_slice(&text).expect("JSON of ours");
            assert!(reform.epoch > process.epoch, "epochs count up");
            if reform.epoch <= process.over {
                self.answer(index, task.id, TaskOutcome::Error);
            } else {
                // Whoever forms an epoch waits in none before it.
                process.over = process.over.max(reform.epoch - 1);
                process.inside = Some((task.id, What::Epoch(reform.epoch, reform.ranks)));
            }
        } else if let Some(group) = task.group {
            if group.epoch != process.epoch || group.epoch <= process.over {
                self.answer(index, task.id, TaskOutcome::Error);
            } else {
                process.inside = Some((task.id, What::Request(group.epoch, group.ranks, text)));
            }
        } else {
            self.answer(index, task.id, TaskOutcome::Ok);
        }
        true
    }

    fn dies(&mut self, engine: u32) {
        let process = &mut self.processes[engine as usize];
        if !process.alive {
            return;
        }
        let route = process.route;
        (process.alive, process.connected) = (false, false);
        (process.inbox, process.inside) = (VecDeque::new(), None);
        if route != 0 {
            self.feed(Event::Gone(Route(route)));
            self.feed(Event::Gone(Route(route + 1)));
        }
    }

    /// A process that lives has lost its connection, and comes back; a dead one's whole program is started anew.
    fn comes(&mut self, engine: u32, anew: bool) {
        let index = engine as usize;
        if self.processes[index].alive {
            let route = self.processes[index].route;
            // What waits goes with the session; what runs goes on, for nobody.
            self.processes[index].connected = false;
            self.processes[index].inbox.clear();
            self.feed(Event::Gone(Route(route)));
            self.feed(Event::Gone(Route(route + 1)));
            self.register(engine);
        } else if anew {
            let dead: Vec<u32> = (0..self.size).filter(|rank| !self.processes[*rank as usize].alive).collect();
            // All of a program are started together, when none of the last is left.
            if self.survives && dead.len() < self.processes.len() {
                return;
            }
            for rank in 0..self.processes.len() as u32 {
                self.dies(rank);
            }
            for rank in 0..self.processes.len() as u32 {
                let process = &mut self.processes[rank as usize];
                process.alive = true;
                process.program += 1;
                (process.epoch, process.over) = (0, 0);
                self.register(rank);
            }
        }
    }

    fn register(&mut self, engine: u32) {
        let process = &mut self.processes[engine as usize];
        process.route = self.next_route;
        process.connected = true;
        self.next_route += 2;
        let world = format!("w{}", process.program);
        let mut hello = Hello::new(Role::Engine, format!("e{engine}-{}", process.program), "h".to_owned(), 1);
        hello.wanted_id = Some(EngineId(engine));
        let (rank, size, survives) = (engine, self.size, self.survives);
        hello.world = Some(Box::new(Rank { world, rank, size, survives }));
        let route = process.route;
        self.connect(route, hello);
    }

    fn submit(&mut self, client: u32, engines: &[u32], collective: bool) {
        self.next_request += 1;
        let id = self.next_request;
        self.awaited.extend((0..engines.len() as u32).map(|position| (client, id, position)));
        let placement = Placement::Engines(engines.iter().copied().map(EngineId).collect());
        let request = Request {
            id: RequestId(id),
            placement,
            op: Op::Execute,
            function: None,
            carries_function: false,
            segments: vec![],
            collective,
            keep: None,
        };
        self.tell(2 + 2 * client + 1, Message::Request(request), vec![Frame::from(id.to_be_bytes().to_vec())]);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Together { client, engines } => self.submit(client, &engines, true),
            Step::Alone { client, engine } => self.submit(client, &[engine], false),
            Step::Abort { client, all_clients } => {
                let abort = Abort { all_clients, ..Abort::default() };
                self.tell(2 + 2 * client + 1, Message::Abort(abort), vec![]);
            }
            Step::Work { engine } => drop(self.work(engine as usize)),
            Step::Dies { engine } => self.dies(engine),
            Step::Comes { engine, anew } => self.comes(engine, anew),
        }
    }

    /// Everybody works until nobody can. Nobody who lives waits then.
    fn settle(&mut self) {
        while (0..self.processes.len()).any(|index| self.work(index)) {}
        for process in &self.processes {
            assert!(process.inside.is_none(), "waits for ever: {process:?}");
            assert!(process.inbox.is_empty(), "never begun: {process:?}");
        }
        assert!(self.awaited.is_empty(), "never answered: {:?}", self.awaited);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn nobody_waits_for_ever(
        (size, steps) in (2..6_u32).prop_flat_map(|size| (Just(size), proptest::collection::vec(step(size), 0..120))),
        survives in any::<bool>(),
    ) {
        let mut world = World::new(size, survives);
        for step in steps {
            world.run(step);
        }
        world.settle();
    }
}

#[test]
fn clients_on_overlapping_groups_are_served_in_one_order() {
    let mut world = World::new(3, true);
    for round in 0..30 {
        for (client, engines) in [(0, [0, 1]), (1, [1, 2]), (2, [2, 0])] {
            world.submit(client, &engines, true);
            world.work(round % 3);
        }
    }
    world.settle();
    assert_eq!(world.complete.iter().filter(|what| matches!(what, What::Request(..))).count(), 90);
}

#[test]
fn a_lost_rank_ends_the_epoch_and_the_rest_forms_the_next() {
    let mut world = World::new(3, true);
    world.settle();
    world.submit(0, &[0, 1, 2], true);
    assert!(world.work(0) && world.work(1));
    world.dies(2);
    assert!(world.processes[..2].iter().all(|process| process.over == 1));
    world.settle();
    assert!(world.processes[..2].iter().all(|process| process.epoch == 2));
    world.submit(0, &[1, 0], true);
    world.settle();
    assert!(world.complete.contains(&What::Request(2, vec![1, 0], 2_u64.to_be_bytes().to_vec())));
}

#[test]
fn a_program_that_is_started_anew_counts_on() {
    let mut world = World::new(2, false);
    world.settle();
    world.dies(1);
    world.submit(0, &[0, 1], true);
    world.settle();
    world.comes(1, true);
    world.settle();
    assert!(world.processes.iter().all(|process| process.epoch == 2));
}
