//! Which engine gets which task, and what waits for it.

use crate::world::{ANYWHERE, World, among, at};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::{EnginesExpected, Message, TaskOutcome};
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

/// A task that waits for the first engine, and what the launcher says of that.
fn waits_for(says: &[(bool, &str)]) -> (World, u32) {
    let mut world = World::new();
    let launcher = world.launcher_joins();
    let client = world.join(Role::Client, None);
    world.submit(client, ANYWHERE, false, 0);
    for (coming, why) in says {
        let expected = EnginesExpected { coming: *coming, why: (*why).to_owned(), offers: None };
        world.tell(launcher, Message::EnginesExpected(expected), vec![]);
    }
    (world, client)
}

#[test]
fn tasks_wait_for_engines_that_are_to_come_and_no_longer_than_that() {
    let Limits { no_engine_grace: grace, wait_for_engines: long, .. } = Limits::default();
    let pending = (true, "job 7 is pending");
    let cancelled = "there is no engine, and none is to come: job 7 was cancelled";
    let too_long =
        format!("there has been no engine for {} s (controller.wait_for_engines): {}", long.as_secs(), pending.1);
    for (says, until, lost) in [
        (vec![pending], long, &*too_long),
        (vec![pending, (false, "job 7 was cancelled")], Duration::ZERO, cancelled),
        (vec![(false, "")], grace, "there has been no engine for 10 s"),
    ] {
        let (mut world, client) = waits_for(&says);
        for (now, open) in [(until.saturating_sub(Duration::from_secs(1)), until > Duration::ZERO), (until, false)] {
            world.now = now;
            world.feed(Event::Tick);
            assert_eq!(world.core.work().open_tasks(), usize::from(open), "{says:?} after {now:?}");
        }
        assert_eq!(world.clients[&client].lost, [lost]);
        world.settle();
    }
}

#[test]
fn clients_are_told_what_engines_are_to_come_also_those_that_come_later() {
    let (mut world, client) = waits_for(&[(true, "job 7 is pending")]);
    let later = world.join(Role::Client, None);
    let expected = EnginesExpected { coming: true, why: "job 7 is pending".to_owned(), offers: None };
    for each in [client, later] {
        assert_eq!(world.clients[&each].coming, std::slice::from_ref(&expected));
    }
    world.settle();
}

#[test]
fn a_client_does_not_say_which_engines_are_to_come() {
    let (mut world, client) = waits_for(&[]);
    let expected = EnginesExpected { coming: false, why: "none".to_owned(), offers: None };
    world.tell(client, Message::EnginesExpected(expected), vec![]);
    assert_eq!(world.core.work().open_tasks(), 1);
    world.settle();
}

#[test]
fn what_comes_back_from_several_engines_has_its_places_again() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engines = [0, 1, 2].map(|_| world.join(Role::Engine, None));
    // All have been quick up to now.
    for _ in 0..2 {
        engines.iter().for_each(|_| world.submit(client, ANYWHERE, false, 0));
        engines.iter().for_each(|engine| world.finish(*engine, 0, TaskOutcome::Ok));
    }
    let first = world.clients[&client].next_request + 1;
    (0..30).for_each(|_| world.submit(client, ANYWHERE, false, 0));
    world.now += Duration::from_millis(50);
    world.feed(Event::Tick);
    // The last engine is the first to give back what waits, and one dies.
    [2, 0, 1].into_iter().for_each(|index: usize| world.answer_recall(engines[index]));
    world.gone(engines[1], false);
    let mut begun = Vec::new();
    while let Some(engine) = [engines[2], engines[0]].into_iter().find(|engine| !world.engines[engine].inbox.is_empty())
    {
        let task = world.engines[&engine].inbox[0];
        begun.push(world.keys[&task].1.0 - first);
        world.finish(engine, 100, TaskOutcome::Ok);
    }
    let expected: Vec<u64> = [2, 3].into_iter().chain(4..30).chain([0]).collect();
    assert_eq!(begun, expected, "engine 2 goes on while engine 0 is at its first");
    world.settle();
}
