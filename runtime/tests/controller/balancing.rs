//! Which engine gets which task, and what waits for it.

use crate::world::{ANYWHERE, World, among, at};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::TaskOutcome;
use std::time::Duration;

#[test]
fn short_tasks_do_not_wait_behind_a_long_one() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let busy = world.join(Role::Engine, None);
    let free = world.join(Role::Engine, None);
    // Both engines have been quick up to now, so both get several tasks at once.
    for _ in 0..2 {
        world.submit(client, ANYWHERE, false, 0);
        world.submit(client, ANYWHERE, false, 0);
        world.finish(busy, 0, TaskOutcome::Ok);
        world.finish(free, 0, TaskOutcome::Ok);
    }
    for _ in 0..20 {
        world.submit(client, ANYWHERE, false, 0);
    }
    assert!(world.engines[&busy].inbox.len() > 1);
    // One is at its first task for long: what waits behind it goes to the other.
    while !world.engines[&free].inbox.is_empty() {
        world.finish(free, 0, TaskOutcome::Ok);
    }
    world.now += Duration::from_millis(50);
    world.feed(Event::Tick);
    world.answer_recall(busy);
    assert_eq!(world.engines[&busy].inbox.len(), 1);
    while !world.engines[&free].inbox.is_empty() {
        world.finish(free, 0, TaskOutcome::Ok);
    }
    assert_eq!(world.core.work().open_tasks(), 1);
}

#[test]
fn what_waits_for_a_busy_engine_holds_up_nothing_else() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let busy = world.join(Role::Engine, None);
    let free = world.join(Role::Engine, None);
    world.submit(client, at(&[0]), false, 0);
    for _ in 0..3 {
        world.submit(client, among(&[0, 7]), false, 0);
    }
    world.submit(client, ANYWHERE, false, 0);
    world.submit(client, among(&[1]), false, 0);
    assert_eq!(world.engines[&busy].inbox.len(), 1);
    for _ in 0..2 {
        assert_eq!(world.engines[&free].inbox.len(), 1);
        world.finish(free, 500, TaskOutcome::Ok);
    }
    assert!(world.engines[&free].inbox.is_empty(), "the rest may not go to it");
    assert_eq!(world.core.work().queued(), 3);
    world.gone(busy, false);
    assert_eq!(world.core.work().open_tasks(), 0, "engine 7 is not there either");
    world.settle();
}

#[test]
fn the_wait_for_an_engine_begins_with_what_waits() {
    let grace = Limits::default().no_engine_grace;
    let leave: [fn(&mut World, u32); 2] =
        [|world, client| world.abort(client, true), |world, client| world.gone(client, false)];
    for give_up in leave {
        let mut world = World::new();
        let [first, second] = [0, 1].map(|_| world.join(Role::Client, None));
        world.submit(first, ANYWHERE, false, 0);
        give_up(&mut world, first);
        world.now = grace / 2;
        world.submit(second, ANYWHERE, false, 0);
        for (now, open) in [(grace, 1), (grace * 3 / 2, 0)] {
            world.now = now;
            world.feed(Event::Tick);
            assert_eq!(world.core.work().open_tasks(), open, "after {now:?}");
        }
        world.settle();
    }
}
