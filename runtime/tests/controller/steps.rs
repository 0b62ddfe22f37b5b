//! What can happen to a controller, and how the model does it.

use crate::model::{Asked, Parents};
use crate::world::World;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, TaskId};
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone)]
pub enum Step {
    EngineJoins { wanted: Option<u32>, ends_in: Option<f64>, drain_before: f64, gpus: u64 },
    Retire { client: usize, engines: Vec<EngineId> },
    EngineDies(usize),
    Exits { peer: usize, client: bool, known: bool },
    Explain { engine: usize, known: bool },
    ClientJoins,
    ClientLeaves { client: usize, goodbye: bool },
    Submit { client: usize, placement: Placement, asked: Box<Asked>, function: bool, bytes: usize },
    Write { engine: usize, stream: Stream, lines: usize },
    Finish { engine: usize, milliseconds: u64, outcome: TaskOutcome },
    FailAgain { engine: usize, milliseconds: u64 },
    AnswerRecall(usize),
    Abort { client: usize, all: bool },
    AbortAll { client: usize, engines: Option<Vec<EngineId>>, interrupt: bool },
    Acknowledge(usize),
    Wait(u64),
    Reload,
    Confuse { peer: usize, task: u64 },
}

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

fn parents() -> impl Strategy<Value = Parents> {
    let counts = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    (proptest::collection::vec(0..6_u64, 0..4), any::<(bool, bool)>(), counts).prop_map(
        |(back, (of_first, all), (success, failure))| Parents { back, of_first, all, success, failure, on: vec![] },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let seconds = || proptest::option::weighted(0.15, 0.0..0.2);
    let waits = (proptest::option::weighted(0.3, parents()), proptest::option::weighted(0.15, parents()));
    let times = (seconds(), seconds(), seconds());
    let gpus = prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)];
    prop_oneof![
        1 => Just(Asked::default()),
        2 => (prop_oneof![3 => Just(0), 1 => -1..3_i32], waits, times, gpus).prop_map(
            |(priority, (after, follow), (timeout, time_limit, retry_delay), gpus)| {
                Asked { priority, after, follow, timeout, time_limit, retry_delay, gpus }
            }
        ),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let index = 0..6_usize;
    let some_engines = proptest::option::of(proptest::collection::vec((0..5_u32).prop_map(EngineId), 0..3));
    let submit = (index.clone(), placement(), asked(), any::<bool>(), 0..2000_usize);
    let outcome = proptest::sample::select(TaskOutcome::ALL.to_vec());
    prop_oneof![
        2 => (proptest::option::of(0..6_u32), proptest::option::weighted(0.3, 0.0..2.0), 0.0..1.0, 0..3_u64).prop_map(
            |(wanted, ends_in, drain_before, gpus)| Step::EngineJoins { wanted, ends_in, drain_before, gpus }
        ),
        1 => (index.clone(), proptest::collection::vec((0..5_u32).prop_map(EngineId), 0..3))
            .prop_map(|(client, engines)| Step::Retire { client, engines }),
        1 => index.clone().prop_map(Step::EngineDies),
        1 => (index.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(peer, client, known)| Step::Exits { peer, client, known }),
        1 => (index.clone(), any::<bool>()).prop_map(|(engine, known)| Step::Explain { engine, known }),
        1 => Just(Step::ClientJoins),
        1 => (index.clone(), any::<bool>()).prop_map(|(client, goodbye)| Step::ClientLeaves { client, goodbye }),
        8 => submit.prop_map(|(client, placement, asked, function, bytes)| {
            Step::Submit { client, placement, asked: Box::new(asked), function, bytes }
        }),
        12 => (index.clone(), 0..60_u64, outcome).prop_map(|(engine, milliseconds, outcome)| Step::Finish { engine, milliseconds, outcome }),
        3 => (index.clone(), 0..60_u64).prop_map(|(engine, milliseconds)| Step::FailAgain { engine, milliseconds }),
        2 => (index.clone(), proptest::sample::select(Stream::ALL.to_vec()), prop_oneof![1..9_usize, 1..60_000_usize])
            .prop_map(|(engine, stream, lines)| Step::Write { engine, stream, lines }),
        4 => index.clone().prop_map(Step::AnswerRecall),
        1 => (index.clone(), any::<bool>()).prop_map(|(client, all)| Step::Abort { client, all }),
        1 => (index.clone(), some_engines, any::<bool>())
            .prop_map(|(client, engines, interrupt)| Step::AbortAll { client, engines, interrupt }),
        2 => index.clone().prop_map(Step::Acknowledge),
        3 => (0..30_u64).prop_map(Step::Wait),
        1 => Just(Step::Reload),
        1 => (index, 0..50_u64).prop_map(|(peer, task)| Step::Confuse { peer, task }),
    ]
}

impl World {
    fn nth<T>(peers: &BTreeMap<u32, T>, index: usize) -> Option<u32> {
        peers.keys().nth(index % peers.len().max(1)).copied()
    }

    pub fn step(&mut self, step: Step) {
        match step {
            Step::EngineJoins { wanted, ends_in, drain_before, gpus } => {
                self.join_offering(Role::Engine, wanted, ends_in, drain_before, gpus);
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
                    if self.here && index % 3 == 0 {
                        let peer = self.greeted[&control].peer;
                        self.feed(Event::ProcessEnded(peer, Some("exit status: 3".to_owned())));
                    }
                }
            }
            Step::Exits { peer, client, known } => self.exits_silently(peer, client, known),
            Step::Explain { engine, known } => {
                let all: Vec<u32> = self.dead.iter().rev().chain(self.engines.keys()).copied().collect();
                if let Some(control) = all.get(engine) {
                    self.explain(*control, known.then_some("signal: 9 (SIGKILL)"));
                }
            }
            Step::ClientLeaves { client, goodbye } => {
                if let Some(control) = Self::nth(&self.clients, client) {
                    self.client_leaves(control, goodbye, client % 2 == 0);
                }
            }
            Step::Submit { client, placement, asked, function, bytes } => {
                if let Some(control) = Self::nth(&self.clients, client) {
                    self.submit_on(control, placement, *asked, function, bytes);
                }
            }
            Step::Write { engine, stream, lines } => {
                if let Some(control) = Self::nth(&self.engines, engine) {
                    self.write(control, stream, &"text\n".repeat(lines));
                }
            }
            Step::Finish { engine, milliseconds, outcome } => {
                if let Some(control) = Self::nth(&self.engines, engine) {
                    self.finish(control, milliseconds, outcome);
                }
            }
            Step::FailAgain { engine, milliseconds } => {
                if let Some(control) = Self::nth(&self.engines, engine) {
                    self.fail_again(control, milliseconds);
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
            Step::AbortAll { client, engines, interrupt } => {
                if let Some(control) = Self::nth(&self.clients, client) {
                    self.abort_all(control, engines, interrupt);
                }
            }
            Step::Acknowledge(index) => {
                if let Some(control) = Self::nth(&self.clients, index) {
                    let received = self.clients[&control].received;
                    self.tell(control, Message::Ack(received), vec![]);
                }
            }
            Step::Reload => self.reload(),
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

    fn exits_silently(&mut self, peer: usize, client: bool, known: bool) {
        let control = if client { Self::nth(&self.clients, peer) } else { Self::nth(&self.engines, peer) };
        if let Some(control) = control.filter(|control| self.here && Some(*control) != self.launcher) {
            self.exits(control, known.then_some("signal: 9 (SIGKILL)"));
            self.nothing_more_comes();
        }
    }

    /// Messages that are well formed and make no sense.
    fn confuse(&mut self, peer: usize, task: u64) {
        let result = TaskResult {
            id: TaskId(task),
            outcome: TaskOutcome::Ok,
            started: 0.0,
            completed: 0.0,
            segments: vec![],
            standing: None,
            again: false,
        };
        if let Some(control) = Self::nth(&self.clients, peer) {
            self.tell(control + 1, Message::Result(result.clone()), vec![]);
            let messages = Counts { control: u64::MAX, data: u64::MAX };
            let ack = Ack { replies: u64::MAX, messages, full: task.is_multiple_of(2) };
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
}
