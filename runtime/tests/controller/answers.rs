//! Answers and output, and what becomes of them.

use crate::steps::Step;
use crate::world::{ANYWHERE, World, at};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::{
    Ack, Message, Outcome, Recalled, Reply, SegmentNote, Stream, TaskOutcome, TaskResult,
};

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
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.0, segments, standing: None, again: false };
        world.tell(asked + 1, Message::Result(result), vec![Frame::from(name.as_bytes())]);
    }
    assert_eq!(world.unlinked, ["first", "second"]);
    world.step(Step::Acknowledge(0));
    assert_eq!(world.unlinked, ["first", "second", "third"]);
    world.settle();
}

#[test]
fn a_slow_client_is_told_once_that_text_is_dropped_and_gets_no_part_of_what_is_displayed() {
    let mut world = World::with(Limits { output_bytes: 10, output_window: 0, ..Limits::default() });
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
fn an_engine_gets_credit_for_output_that_was_read_and_not_for_answers() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    world.submit(client, ANYWHERE, false, 0);
    let under_way = |world: &World| world.engines[&engine].under_way.values().sum::<u64>();
    world.write(engine, Stream::Stdout, &"line\n".repeat(60_000));
    let answers = Ack { replies: u64::MAX, ..Ack::default() };
    world.tell(client, Message::Ack(answers), vec![]);
    assert_eq!(under_way(&world), 300_000);
    world.step(Step::Acknowledge(0));
    assert_eq!(under_way(&world), 0);
    world.write(engine, Stream::Stdout, "little");
    world.step(Step::Acknowledge(0));
    assert_eq!(under_way(&world), 6, "not worth a message");
    world.client_leaves(client, true, false);
    assert_eq!(under_way(&world), 0, "nobody will read it");
    world.settle();
}
