//! How engines that died have ended: the launcher's word, and what waits for it.

use crate::world::{World, among, at};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::{Empty, Message, Placement, TaskOutcome};

const SEGFAULT: &str = "signal: 11 (SIGSEGV)";

/// A launcher, a client with a call at an engine, and that engine.
fn launched() -> (World, [u32; 3]) {
    let mut world = World::new();
    let launcher = world.launcher_joins();
    let [client, engine] = [Role::Client, Role::Engine].map(|role| world.join(role, None));
    world.submit(client, at(&[0]), false, 0);
    (world, [launcher, client, engine])
}

/// What is said of an engine that was the one with this `control` route.
fn died(engine: u32, how: &str) -> String {
    format!("engine 0 (pid {engine} on host) died: {how}")
}

#[test]
fn a_loss_is_told_at_once_and_again_with_the_word_of_the_launcher() {
    let (mut world, [launcher, client, engine]) = launched();
    world.gone(engine, false);
    assert_eq!(world.clients[&launcher].left, [died(engine, "its connection broke")]);
    assert_eq!(world.clients[&client].left, [died(engine, "its connection broke")]);
    assert!(world.clients[&client].lost.is_empty());
    world.explain(engine, Some(SEGFAULT));
    assert_eq!(world.clients[&client].lost, [died(engine, SEGFAULT)]);
    assert_eq!(world.clients[&client].left[1..], [died(engine, SEGFAULT)]);
    assert_eq!(world.clients[&launcher].left.len(), 1);
    // Also what is asked of it later is answered so.
    world.submit(client, at(&[0]), false, 0);
    world.submit(client, among(&[0]), false, 0);
    let later = format!("there is no engine 0: {}", died(engine, SEGFAULT));
    assert_eq!(world.clients[&client].lost[1..], [later.clone(), later]);
    world.settle();
}

#[test]
fn a_word_that_comes_before_the_connection_breaks_is_kept() {
    let (mut world, [_, client, engine]) = launched();
    world.explain(engine, Some("exit status: 3"));
    world.gone(engine, true);
    world.explain(engine, None);
    assert_eq!(world.clients[&client].lost, [died(engine, "exit status: 3")]);
    world.settle();
}

#[test]
fn no_loss_waits_for_a_word_that_does_not_come() {
    let grace = Limits::default().loss_grace;
    let ways: [fn(&mut World, u32); 3] = [
        |world, engine| world.explain(engine, None),
        |world, _| {
            world.now += Limits::default().loss_grace;
            world.feed(Event::Tick);
        },
        // Another one gets its id.
        |world, _| {
            world.join(Role::Engine, None);
        },
    ];
    for way in ways {
        let (mut world, [_, client, engine]) = launched();
        world.gone(engine, false);
        assert!(world.core.next_tick().is_some_and(|at| at <= world.now + grace));
        way(&mut world, engine);
        assert_eq!(world.clients[&client].lost, [died(engine, "its connection broke")]);
        assert_eq!(world.clients[&client].left.len(), 2);
        world.explain(engine, Some(SEGFAULT));
        assert_eq!(world.clients[&client].lost.len(), 1, "late");
        world.settle();
    }
}

#[test]
fn without_a_launcher_a_loss_is_told_at_once_and_what_may_be_restarted_never_waits() {
    let mut world = World::new();
    let [client, engine] = [Role::Client, Role::Engine].map(|role| world.join(role, None));
    world.submit(client, at(&[0]), false, 0);
    world.gone(engine, false);
    assert_eq!(world.clients[&client].lost, [died(engine, "its connection broke")]);
    world.settle();

    let (mut world, [_, client, engine]) = launched();
    let other = world.join(Role::Engine, None);
    world.submit(client, Placement::Balanced { retries: 1, engines: None, duration: None }, false, 0);
    world.submit(client, among(&[1]), false, 0);
    world.gone(other, false);
    world.finish(engine, 100, TaskOutcome::Ok);
    assert_eq!(world.engines[&engine].inbox.len(), 1, "what may be started again");
    assert!(world.clients[&client].lost.is_empty(), "what may not");
    world.settle();
}

#[test]
fn the_last_losses_are_part_of_the_status() {
    let mut world = World::new();
    let launcher = world.launcher_joins();
    for number in 0..12 {
        let engine = world.join(Role::Engine, None);
        world.gone(engine, false);
        world.explain(engine, Some(&format!("exit status: {number}")));
    }
    world.tell(launcher, Message::StatusRequest(Empty {}), vec![]);
    let hows: Vec<&str> = world.losses.iter().map(|loss| loss.how.as_str()).collect();
    assert_eq!((hows.len(), hows[0], hows[9]), (10, "exit status: 2", "exit status: 11"));
    world.settle();
}
