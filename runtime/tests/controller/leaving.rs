//! What becomes of the work of a client that leaves, and of that of all clients when one gives it up.

use crate::world::{ANYWHERE, World, at};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::{Abort, Fate, Message, TaskOutcome};

/// Two clients, of which the first has three tasks at an engine, one of them begun, and the second has one behind them.
fn two_clients() -> (World, [u32; 2], u32) {
    let mut world = World::new();
    let clients = [0, 1].map(|_| world.join(Role::Client, None));
    let engine = world.join(Role::Engine, None);
    (0..3).for_each(|_| world.submit(clients[0], at(&[0]), false, 10));
    world.submit(clients[1], at(&[0]), false, 10);
    (world, clients, engine)
}

#[test]
fn a_killed_client_takes_along_what_engines_have_not_begun() {
    let (mut world, [killed, other], engine) = two_clients();
    world.submit(killed, ANYWHERE, false, 10);
    world.client_leaves(killed, false, false);
    world.answer_recall(engine);
    assert_eq!(world.engines[&engine].inbox.len(), 2, "what runs, and the other client's");
    world.finish(engine, 1, TaskOutcome::Ok);
    world.finish(engine, 1, TaskOutcome::Ok);
    assert_eq!(world.clients[&other].answered, world.clients[&other].expected);
    assert_eq!((world.core.work().open_tasks(), world.core.work().held_bytes()), (0, 0));
    world.settle();
}

#[test]
fn what_a_client_that_closes_has_sent_to_engines_by_name_is_done() {
    let (mut world, [closes, _], engine) = two_clients();
    world.client_leaves(closes, true, true);
    assert!(world.engines[&engine].recalls.is_empty());
    world.settle();
}

#[test]
fn one_client_gives_up_what_waits_for_all() {
    for interrupt in [false, true] {
        let (mut world, [first, second], engine) = two_clients();
        world.submit(first, ANYWHERE, false, 10);
        world.client_leaves(first, true, false);
        world.abort_all(second, None, interrupt);
        world.answer_recall(engine);
        assert_eq!(world.engines[&engine].inbox.len(), 1, "only what runs");
        assert_eq!(world.clients[&second].answered, world.clients[&second].expected);
        world.settle();
    }
}

#[test]
fn one_client_gives_up_what_waits_on_some_engines() {
    let (mut world, [first, second], engine) = two_clients();
    let other = world.join(Role::Engine, None);
    (0..2).for_each(|_| world.submit(first, at(&[1]), false, 10));
    (0..2).for_each(|_| world.submit(first, ANYWHERE, false, 10));
    world.abort_all(second, Some(vec![EngineId(1), EngineId(7)]), false);
    world.answer_all_recalls();
    assert_eq!((world.engines[&engine].inbox.len(), world.engines[&other].inbox.len()), (4, 1));
    assert_eq!(world.core.work().queued(), 2, "what may go anywhere waits for any engine");
    world.settle();
}

#[test]
fn of_an_engine_that_does_not_end_by_force_the_launcher_is_told_and_its_task_is_answered_whoever_can_end_it() {
    for ends in [true, false] {
        let mut world = World::new();
        let client = world.join(Role::Client, None);
        let launcher = world.launcher_joins();
        let engine = world.join(Role::Engine, None);
        world.submit(client, at(&[0]), false, 10);
        let abort = Abort { requests: Some(vec![RequestId(1)]), force: true, ..Abort::default() };
        world.clients.get_mut(&client).expect("a client").aborted.insert((RequestId(1), 0));
        world.interrupts = true;
        world.tell(client + 1, Message::Abort(abort), vec![]);
        world.interrupts = false;
        let grace = Limits::default().kill_grace;
        world.now += grace / 2;
        world.feed(Event::Tick);
        assert!(world.clients[&launcher].hanging.is_empty(), "it may end by itself");
        world.reload();
        world.now += grace;
        world.feed(Event::Tick);
        assert_eq!(world.clients[&launcher].hanging, [EngineId(0)]);
        if ends {
            world.gone(engine, false);
        } else {
            world.now += grace;
            world.feed(Event::Tick);
            assert_eq!(world.fates.get(&(client, RequestId(1))), Some(&Fate::Lost));
        }
        world.settle();
    }
}
