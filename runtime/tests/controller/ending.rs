//! Engines whose end draws near, and engines that are retired.

use crate::world::{ANYWHERE, World, at, lasting};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::TaskOutcome;
use std::time::Duration;

#[test]
fn an_engine_whose_end_draws_near_takes_what_it_will_finish() {
    let second = Duration::from_secs(1);
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let ending = world.join_until(Role::Engine, None, Some(100.0), 20.0);
    world.submit(client, ANYWHERE, false, 0);
    world.finish(ending, 80_000, TaskOutcome::Ok);
    for placement in [ANYWHERE, lasting(30.0), lasting(f64::INFINITY), lasting(f64::NAN)] {
        world.submit(client, placement, false, 0);
    }
    assert!(world.engines[&ending].inbox.is_empty());
    assert_eq!(world.core.work().queued(), 4);
    world.submit(client, lasting(20.0), false, 0);
    assert_eq!(world.engines[&ending].inbox.len(), 1);
    // What it is asked for by its id it does.
    world.submit(client, at(&[0]), false, 0);
    assert_eq!(world.engines[&ending].inbox.len(), 2);
    // However long the rest has waited, it is for whoever comes.
    world.now += 100 * second;
    world.feed(Event::Tick);
    assert_eq!(world.core.work().queued(), 4);
    let fresh = world.join(Role::Engine, None);
    assert_eq!(world.engines[&fresh].inbox.len(), 1);
    world.settle();
}

#[test]
fn an_engine_that_is_retired_gives_back_what_it_has_not_begun_and_ends_when_idle() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let [retired, other] = [0, 1].map(|_| world.join(Role::Engine, None));
    for _ in 0..2 {
        world.submit(client, ANYWHERE, false, 0);
        world.submit(client, ANYWHERE, false, 0);
        world.finish(retired, 0, TaskOutcome::Ok);
        world.finish(other, 0, TaskOutcome::Ok);
    }
    world.submit(client, at(&[0]), false, 0);
    (0..4).for_each(|_| world.submit(client, ANYWHERE, false, 0));
    world.submit(client, at(&[0]), false, 0);
    assert_eq!(world.engines[&retired].inbox.len(), 4);
    world.retire(client, vec![EngineId(0), EngineId(9)]);
    world.answer_recall(retired);
    assert_eq!((world.engines[&retired].inbox.len(), world.engines[&other].inbox.len()), (2, 4));
    let before = world.clients[&client].answered.len();
    world.submit(client, at(&[0]), false, 0);
    assert_eq!(world.clients[&client].answered.len(), before + 1, "refused");
    world.finish(retired, 1, TaskOutcome::Ok);
    assert!(!world.engines[&retired].told_to_end);
    world.finish(retired, 1, TaskOutcome::Ok);
    assert!(world.engines[&retired].told_to_end);
    world.settle();
}
