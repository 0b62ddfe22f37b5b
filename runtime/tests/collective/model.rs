//! The model: engines that block in what they do together, and the controller as it is.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

pub const CLIENTS: u32 = 3;

#[derive(Debug, Clone)]
pub enum Step {
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
    /// An engine leaves the next that it does together with others, before it enters it.
    Fails {
        engine: u32,
    },
    /// An engine ends its part of the next without an error, before it enters it.
    Skips {
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

/// What an engine does together with others: a request, or an epoch's communicator. Equal where it is the same thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Request(u64, Vec<u32>, Vec<u8>),
    Epoch(u64, Vec<u32>),
}

#[derive(Debug)]
pub struct Process {
    alive: bool,
    connected: bool,
    /// Which incarnation of the program.
    program: u32,
    pub epoch: u64,
    pub over: u64,
    inbox: VecDeque<(Task, Vec<u8>)>,
    /// What it is inside of.
    inside: Option<(TaskId, What)>,
    /// How many calls it has entered on each communicator of its epoch; none: it is broken.
    entered: HashMap<String, Option<u64>>,
    /// Who has left what, by this engine's task and how many calls that one had entered.
    left: Vec<(TaskId, u64)>,
    /// How it ends its next part before it enters the call.
    ends: Option<TaskOutcome>,
    /// The communicator of what it does together.
    comm: String,
    route: u32,
    /// The session in which what runs was begun.
    session: u32,
}

impl Process {
    /// How many calls it has entered there; none: it is broken.
    pub fn number(&self, comm: &str) -> Option<u64> {
        self.entered.get(comm).copied().unwrap_or(Some(0))
    }

    /// Somebody has left that task before this call of it.
    fn in_vain(&self, task: TaskId, number: u64) -> bool {
        self.left.iter().any(|(of, entered)| *of == task && *entered < number)
    }

    fn held(&self, task: &Task) -> bool {
        task.group.as_ref().is_some_and(|group| group.behind.is_some() && group.epoch > self.over)
    }
}

pub fn name_of(ranks: &[u32], renewal: u64) -> String {
    format!("{ranks:?}#{renewal}")
}

pub struct World {
    core: Core,
    size: u32,
    survives: bool,
    pub processes: Vec<Process>,
    next_route: u32,
    next_request: u64,
    awaited: BTreeSet<(u32, u64, u32)>,
    welcome: Option<Welcome>,
    /// What has been left by somebody after all had entered it: the others may leave it too.
    pub complete: BTreeSet<What>,
    /// Which request each call of a communicator was of: by program, epoch, communicator and number.
    calls: HashMap<(u32, u64, String, u64), Vec<u8>>,
    now: Duration,
}

impl World {
    pub fn new(size: u32, survives: bool) -> World {
        let identity = Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: None };
        let mut world = World {
            core: Core::new(identity, Limits::default(), Oracle::new(|| "token".to_owned(), |_, _| None)),
            size,
            survives,
            processes: Vec::new(),
            next_route: 2 + 2 * CLIENTS,
            next_request: 0,
            awaited: BTreeSet::new(),
            welcome: None,
            complete: BTreeSet::new(),
            calls: HashMap::new(),
            now: Duration::ZERO,
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
            entered: HashMap::new(),
            left: Vec::new(),
            ends: None,
            comm: String::new(),
            route: 0,
            session: 0,
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
        for action in self.core.handle(event, self.now) {
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
            Message::Left(left) => {
                let entered = left.departure.entered.parse().expect("a number");
                self.processes[index].left.push((left.task, entered));
            }
            Message::Settled(settled) => {
                let process = &mut self.processes[index];
                let groups = process.inbox.iter_mut().filter_map(|(task, _)| task.group.as_mut());
                for group in groups.filter(|group| group.behind == Some(settled.task)) {
                    (group.behind, group.renewal) = (None, settled.renewal);
                }
                if let Some(broken) = settled.broken.filter(|broken| broken.epoch == process.epoch) {
                    process.entered.insert(broken.comm, None);
                }
            }
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
        match process.inside.take_if(|(_, what)| waits(what)) {
            Some((task, What::Request(..))) => self.answer_part(index, task, TaskOutcome::Error),
            Some((task, What::Epoch(..))) => self.answer(index, task, TaskOutcome::Error),
            None => {}
        }
    }

    /// Ends what a group does together, for one of its engines.
    fn answer_part(&mut self, index: usize, id: TaskId, outcome: TaskOutcome) {
        let process = &mut self.processes[index];
        let (comm, entered) = (process.comm.clone(), process.number(&process.comm));
        let why = if outcome == TaskOutcome::Ok { String::new() } else { "it failed".to_owned() };
        let departure = Some(Departure { why, entered: entered.unwrap_or(0).to_string() });
        self.say(index, id, outcome, Some(Standing { comm, entered, departure }));
    }

    fn answer(&mut self, index: usize, id: TaskId, outcome: TaskOutcome) {
        self.say(index, id, outcome, None);
    }

    fn say(&mut self, index: usize, id: TaskId, outcome: TaskOutcome, standing: Option<Standing>) {
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.0, segments: vec![], standing, again: false };
        let route = self.processes[index].route + 1;
        if self.processes[index].connected {
            self.tell(route, Message::Result(result), vec![Frame::from(&b"why"[..])]);
        }
    }

    /// Begins the next task, or ends the one that runs, if it can. Whether anything happened.
    pub fn work(&mut self, index: usize) -> bool {
        if !self.processes[index].alive {
            return false;
        }
        if let Some((task, what)) = self.processes[index].inside.clone() {
            let (What::Request(_, ranks, _) | What::Epoch(_, ranks)) = &what;
            let entered = |rank: &u32| {
                let process = &self.processes[*rank as usize];
                process.inside.as_ref().is_some_and(|(_, other)| *other == what)
            };
            let done = self.complete.contains(&what) || ranks.iter().all(entered);
            let process = &mut self.processes[index];
            if !done {
                let number = process.number(&process.comm).unwrap_or(0);
                let vain = matches!(what, What::Request(..)) && process.in_vain(task, number);
                if vain {
                    process.inside = None;
                    process.entered.insert(process.comm.clone(), None);
                    self.answer_part(index, task, TaskOutcome::Error);
                }
                return vain;
            }
            process.inside = None;
            if let What::Epoch(epoch, _) = what {
                process.epoch = epoch;
                process.entered.clear();
                self.answer(index, task, TaskOutcome::Ok);
            } else {
                self.answer_part(index, task, TaskOutcome::Ok);
            }
            self.complete.insert(what);
            return true;
        }
        let process = &mut self.processes[index];
        if process.inbox.front().is_none_or(|(task, _)| process.held(task)) {
            return false;
        }
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
            self.begin(index, task.id, group, text);
        } else {
            self.answer(index, task.id, TaskOutcome::Ok);
        }
        true
    }

    /// Enters the one call of a request, unless it ends its part before.
    fn begin(&mut self, index: usize, task: TaskId, group: Group, text: Vec<u8>) {
        let process = &mut self.processes[index];
        process.session = process.route;
        process.comm = name_of(&group.ranks, group.renewal);
        let number = process.number(&process.comm).map(|number| number + 1);
        if let Some(outcome) = process.ends.take() {
            return self.answer_part(index, task, outcome);
        }
        let fails = group.epoch != process.epoch || group.epoch <= process.over;
        match number.filter(|number| !fails && !process.in_vain(task, *number)) {
            Some(number) => {
                process.entered.insert(process.comm.clone(), Some(number));
                process.inside = Some((task, What::Request(group.epoch, group.ranks.clone(), text.clone())));
                let call = (process.program, group.epoch, process.comm.clone(), number);
                let met = self.calls.entry(call).or_insert_with(|| text.clone());
                assert_eq!(*met, text, "calls of two requests meet");
            }
            None => self.answer_part(index, task, TaskOutcome::Error),
        }
    }

    pub fn dies(&mut self, engine: u32) {
        let process = &mut self.processes[engine as usize];
        if !process.alive {
            return;
        }
        let route = process.route;
        (process.alive, process.connected) = (false, false);
        (process.inbox, process.inside) = (VecDeque::new(), None);
        (process.entered, process.ends) = (HashMap::new(), None);
        if route != 0 {
            self.feed(Event::Gone(Route(route)));
            self.feed(Event::Gone(Route(route + 1)));
        }
    }

    /// A process that lives has lost its connection, and comes back; a dead one's whole program is started anew.
    pub fn comes(&mut self, engine: u32, anew: bool) {
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

    pub fn submit(&mut self, client: u32, engines: &[u32], collective: bool) {
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
            timeout: None,
            keep: None,
            about: None,
            name: None,
            part: 0,
            terms: None,
            map: None,
        };
        self.tell(2 + 2 * client + 1, Message::Request(request), vec![Frame::from(id.to_be_bytes().to_vec())]);
    }

    pub fn run(&mut self, step: Step) {
        match step {
            Step::Together { client, engines } => self.submit(client, &engines, true),
            Step::Alone { client, engine } => self.submit(client, &[engine], false),
            Step::Abort { client, all_clients } => {
                let abort = Abort { all_clients, ..Abort::default() };
                self.tell(2 + 2 * client + 1, Message::Abort(abort), vec![]);
            }
            Step::Work { engine } => drop(self.work(engine as usize)),
            Step::Fails { engine } => self.processes[engine as usize].ends = Some(TaskOutcome::Error),
            Step::Skips { engine } => self.processes[engine as usize].ends = Some(TaskOutcome::Ok),
            Step::Dies { engine } => self.dies(engine),
            Step::Comes { engine, anew } => self.comes(engine, anew),
        }
    }

    /// Somebody works, or waits until there is more to hear.
    fn work_on(&mut self) -> bool {
        if (0..self.processes.len()).any(|index| self.work(index)) {
            return true;
        }
        self.now += Duration::from_secs(1);
        self.feed(Event::Tick);
        (0..self.processes.len()).any(|index| self.work(index))
    }

    /// Everybody works until nobody can. Nobody who lives waits then.
    pub fn settle(&mut self) {
        while self.work_on() {}
        for process in &self.processes {
            assert!(process.inside.is_none(), "waits for ever: {process:?}");
            assert!(process.inbox.is_empty(), "never begun: {process:?}");
        }
        assert!(self.awaited.is_empty(), "never answered: {:?}", self.awaited);
    }
}
