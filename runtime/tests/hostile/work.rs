//! What one message may cost the controller, however much it names.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::bounds::LIST_MAX;
use ipclusterz_runtime::wire::message::*;
use std::time::{Duration, Instant};

/// For one message. What is done for each pair of what it names takes minutes.
const AT_MOST: Duration = Duration::from_secs(2);
const CLIENT: u32 = 2;
const ENGINE: u32 = 4;

fn controller() -> Core {
    controller_with(Limits::default())
}

fn controller_with(limits: Limits) -> Core {
    let mut core = Core::new(
        Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: None },
        limits,
        Oracle::new(|| "token".to_owned(), |_, _| None),
    );
    joins(&mut core, Role::Client, CLIENT);
    joins(&mut core, Role::Engine, ENGINE);
    core
}

fn joins(core: &mut Core, role: Role, control: u32) {
    let hello = Hello::new(role, format!("uuid-{control}"), "host".to_owned(), control);
    let actions = says(core, control, Message::Hello(hello), vec![]);
    let welcome = actions.into_iter().find_map(|action| match action {
        Action::Send { message: Message::Welcome(welcome), .. } => Some(welcome),
        _ => None,
    });
    let Welcome { peer, token, .. } = welcome.expect("a welcome");
    says(core, control + 1, Message::Attach(Attach { peer, token }), vec![]);
}

fn says(core: &mut Core, route: u32, message: Message, payload: Vec<Frame>) -> Vec<Action> {
    let (route, admitted) = (Route(route), Admitted::Local);
    let begin = Instant::now();
    let actions = core.handle(Event::Message { route, admitted, message, payload }, Duration::from_secs(1));
    assert!(begin.elapsed() < AT_MOST, "{:?}", begin.elapsed());
    actions
}

fn request(id: u64, engines: Vec<EngineId>) -> Request {
    let (placement, op, segments) = (Placement::Engines(engines), Op::Execute, vec![]);
    let (function, carries_function, collective, keep) = (None, false, false, None);
    Request {
        id: RequestId(id),
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
    }
}

fn sent(actions: &[Action], to: u32) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Send { route: Route(route), .. } if *route == to)).count()
}

#[test]
fn an_engine_that_is_named_often_is_asked_once() {
    let mut core = controller();
    let engines = vec![EngineId(0); LIST_MAX];
    let inspect =
        Inspect { number: 1, asker: None, engines: engines.clone(), stacks: true, broken: None, signal: None };
    assert_eq!(sent(&says(&mut core, CLIENT, Message::Inspect(inspect), vec![]), ENGINE), 1);
    let interrupt = Message::Interrupt(Targets { engines: Some(engines.clone()) });
    assert_eq!(sent(&says(&mut core, CLIENT + 1, interrupt, vec![]), ENGINE + 1), 1);
    let shutdown = Message::Shutdown(Targets { engines: Some(engines) });
    assert_eq!(sent(&says(&mut core, CLIENT, shutdown.clone(), vec![]), ENGINE), 1);
    assert_eq!(sent(&says(&mut core, CLIENT, shutdown, vec![]), ENGINE), 0, "it was told");
}

#[test]
fn a_signal_goes_to_engines_of_clients_and_not_from_engine_to_engine() {
    let mut core = controller();
    for (who, signal) in [(CLIENT, Some(9)), (ENGINE, None)] {
        let inspect = Inspect {
            number: 1,
            asker: None,
            engines: vec![EngineId(0)],
            stacks: false,
            broken: None,
            signal: Some(9),
        };
        let actions = says(&mut core, who, Message::Inspect(inspect), vec![]);
        let found = actions.iter().find_map(|action| match action {
            Action::Send { route: Route(ENGINE), message: Message::Inspect(inspect), .. } => Some(inspect.signal),
            _ => None,
        });
        assert_eq!(found, Some(signal));
    }
}

#[test]
fn an_engine_that_says_nothing_is_not_asked_without_end() {
    let mut core = controller();
    let mut asked = 0;
    for number in 0..10_000 {
        let inspect =
            Inspect { number, asker: None, engines: vec![EngineId(0)], stacks: true, broken: None, signal: None };
        asked += sent(&says(&mut core, CLIENT, Message::Inspect(inspect), vec![]), ENGINE);
    }
    assert!((100..5000).contains(&asked), "{asked} questions");
    says(&mut core, ENGINE, Message::Usage(Usage { resident_bytes: 1, ..Usage::default() }), vec![]);
    let inspect =
        Inspect { number: 1, asker: None, engines: vec![EngineId(0)], stacks: true, broken: None, signal: None };
    assert_eq!(sent(&says(&mut core, CLIENT, Message::Inspect(inspect), vec![]), ENGINE), 1);
}

#[test]
fn a_request_that_is_given_up_as_often_as_it_has_targets_is_given_up_once() {
    let mut core = controller();
    let message = Message::Request(request(1, vec![EngineId(0); LIST_MAX]));
    says(&mut core, CLIENT + 1, message, vec![Frame::from(&b"code"[..])]);
    let requests = Some(vec![RequestId(1); LIST_MAX]);
    let engines = Some((0..LIST_MAX as u32).rev().map(EngineId).collect());
    let abort =
        Abort { requests, engines, all_clients: false, interrupt: true, session: None, force: false, claim: false };
    let recalls = sent(&says(&mut core, CLIENT + 1, Message::Abort(abort.clone()), vec![]), ENGINE + 1);
    assert!((1..10).contains(&recalls), "{recalls} messages");
    let again = Abort { interrupt: false, ..abort };
    assert_eq!(sent(&says(&mut core, CLIENT + 1, Message::Abort(again), vec![]), ENGINE + 1), 0);
}

#[test]
fn thousands_of_engines_come_and_go_and_leave_little() {
    let mut core = controller();
    for wanted in 0..20_000 {
        let control = 100;
        let new = Hello::new(Role::Engine, format!("uuid-{wanted}"), "host".to_owned(), 1);
        let hello = Hello { wanted_id: Some(EngineId(1_000 + wanted)), ..new };
        says(&mut core, control, Message::Hello(hello), vec![]);
        core.handle(Event::Gone(Route(control)), Duration::from_secs(1));
    }
    // The oldest of these are forgotten: nothing is said of what became of them.
    says(&mut core, CLIENT + 1, Message::Request(request(1, vec![EngineId(1_000)])), vec![]);
    let actions = says(&mut core, CLIENT, Message::StatusRequest(Empty {}), vec![]);
    assert_eq!(sent(&actions, CLIENT), 1);
}

#[test]
fn a_client_that_reads_no_notice_is_put_out_some_day() {
    let mut core = controller();
    assert_eq!(core.registry().clients().count(), 1);
    let mut told = 0;
    for number in 0..40_000 {
        let control = 100 + 2 * number;
        joins(&mut core, Role::Engine, control);
        let actions = core.handle(Event::Gone(Route(control)), Duration::from_secs(1));
        let refused = |action: &&Action| matches!(action, Action::Send { message: Message::Refused(_), .. });
        told +=
            actions.iter().filter(refused).filter(|action| sent(std::slice::from_ref(*action), CLIENT) == 1).count();
        core.handle(Event::Gone(Route(control + 1)), Duration::from_secs(1));
    }
    assert_eq!((core.registry().clients().count(), told), (0, 1));
    assert_eq!(core.registry().engines().count(), 1);
}

#[test]
fn what_a_client_may_not_have_under_way_is_refused_and_says_why() {
    let limits = Limits::default();
    let window = Window { replies: 3, bytes: 100, request_bytes: 200 };
    let mut core = controller_with(Limits { window, ..limits });
    let mut asks = |id: u64, targets: usize, bytes: usize| {
        let message = Message::Request(request(id, vec![EngineId(0); targets]));
        let actions = says(&mut core, CLIENT + 1, message, vec![Frame::from(vec![0; bytes])]);
        let reason = actions.into_iter().find_map(|action| match action {
            Action::Send { message: Message::Reply(Reply { outcome: Outcome::Rejected(reason), .. }), .. } => {
                Some(reason)
            }
            _ => None,
        });
        reason.unwrap_or_default()
    };
    assert_eq!(asks(1, 1, 201), "it has 201 bytes; the limit is 200");
    assert_eq!(asks(2, 2, 150), "", "what is larger than the window goes alone");
    assert_eq!(asks(3, 1, 1), "with it, 151 bytes are under way; the window has room for 100");
    let mut core = controller_with(Limits { window: Window { bytes: 10_000, ..window }, ..limits });
    let mut asks = |id: u64, targets: usize| {
        let message = Message::Request(request(id, vec![EngineId(0); targets]));
        let actions = says(&mut core, CLIENT + 1, message, vec![]);
        sent(&actions, ENGINE + 1)
    };
    assert_eq!([asks(1, 2), asks(2, 1), asks(3, 1)], [2, 1, 0], "three answers are under way");
}

#[test]
fn as_many_choices_of_engines_as_requests_are_refused_before_they_fill_the_memory() {
    let mut core = controller();
    let mut refused = 0;
    for id in 1..=100 {
        // All of them alike to the last; engine 0 is busy with the first.
        let engines = Some((0..LIST_MAX as u32 - 1).chain([1 << 20 | id]).map(EngineId).collect());
        let placement = Placement::Balanced { retries: 0, engines, duration: None };
        let message = Message::Request(Request { placement, ..request(u64::from(id), vec![]) });
        let actions = says(&mut core, CLIENT + 1, message, vec![]);
        refused += sent(&actions, CLIENT + 1);
    }
    assert!((70..95).contains(&refused), "{refused} refused");
}

#[test]
fn a_result_that_is_too_large_is_no_answer() {
    let limits = Limits::default();
    let window = Window { request_bytes: 100, ..limits.window };
    let mut core = controller_with(Limits { window, ..limits });
    says(&mut core, CLIENT + 1, Message::Request(request(1, vec![EngineId(0)])), vec![]);
    let (id, outcome, segments) = (TaskId(1), TaskOutcome::Ok, vec![]);
    let result = TaskResult { id, outcome, started: 0.0, completed: 0.0, segments, standing: None, again: false };
    let actions = says(&mut core, ENGINE + 1, Message::Result(result), vec![Frame::from(vec![0; 101])]);
    let refused = |action: &Action| {
        let Action::Send { message: Message::Reply(reply), payload, .. } = action else { return false };
        matches!(&reply.outcome, Outcome::Rejected(reason) if reason.contains("101 bytes")) && payload.is_empty()
    };
    assert!(actions.iter().any(refused), "{actions:?}");
}

#[test]
fn a_client_that_does_not_read_has_a_window_of_answers_waiting_and_no_more() {
    const WINDOW: u64 = 10_000;
    const RESULT: usize = 1_000;
    let limits = Limits::default();
    let window = Window { bytes: WINDOW, ..limits.window };
    let mut core = controller_with(Limits { window, ..limits });
    // What the engine has, in order; it does one after the other, and gives back what it is asked for.
    let (mut inbox, mut answered, mut done) = (Vec::new(), 0, Vec::new());
    let take = |actions: Vec<Action>, inbox: &mut Vec<TaskId>, returned: &mut Vec<Recalled>, answered: &mut usize| {
        for action in actions {
            let Action::Send { message, .. } = action else { continue };
            match message {
                Message::Task(task) => inbox.push(task.id),
                Message::Recall(Recall { tasks, .. }) => {
                    let (kept, back): (Vec<TaskId>, Vec<TaskId>) =
                        tasks.into_iter().partition(|task| !inbox.iter().skip(1).any(|other| other == task));
                    inbox.retain(|task| !back.contains(task));
                    returned.push(Recalled { returned: back, kept });
                }
                Message::Reply(_) => *answered += 1,
                _ => {}
            }
        }
    };
    let mut answers = Vec::new();
    for id in 1..=100 {
        let actions = says(&mut core, CLIENT + 1, Message::Request(request(id, vec![EngineId(0)])), vec![]);
        take(actions, &mut inbox, &mut answers, &mut answered);
    }
    let (mut read, mut acknowledged) = (0, 0);
    for round in 0..1_000 {
        while let Some(recalled) = answers.pop() {
            let actions = says(&mut core, ENGINE + 1, Message::Recalled(recalled), vec![]);
            take(actions, &mut inbox, &mut answers, &mut answered);
        }
        if !inbox.is_empty() {
            let id = inbox.remove(0);
            done.push(id);
            let (outcome, segments) = (TaskOutcome::Ok, vec![]);
            let result =
                TaskResult { id, outcome, started: 0.0, completed: 0.0, segments, standing: None, again: false };
            let actions = says(&mut core, ENGINE + 1, Message::Result(result), vec![Frame::from(vec![0; RESULT])]);
            take(actions, &mut inbox, &mut answers, &mut answered);
        } else if answered < 100 {
            // It reads now and then.
            (read, acknowledged) = (read + 1, answered);
            let messages = Counts { control: u64::MAX, data: answered as u64 };
            let ack = Ack { replies: answered as u64, messages, full: false };
            let actions = says(&mut core, CLIENT, Message::Ack(ack), vec![]);
            take(actions, &mut inbox, &mut answers, &mut answered);
            assert!(!inbox.is_empty(), "round {round}: it goes on when there is room");
        }
        let unread = (answered - acknowledged) as u64 * RESULT as u64;
        assert!(unread <= WINDOW + 3 * RESULT as u64, "{unread} bytes wait");
    }
    assert_eq!(answered, 100);
    assert!(read >= 5, "it was not held up: {read}");
    assert!(done.is_sorted(), "in the order in which they were asked for: {done:?}");
}
