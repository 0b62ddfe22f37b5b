//! Peers whose processes have ended: what the kernel and the launcher say of that, with and without the connections.

use crate::world::{ANYWHERE, World, at};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::{EngineEnded, Message, TaskOutcome};

const KILLED: &str = "signal: 9 (SIGKILL)";

/// A client with a call at an engine of the controller's host.
fn called() -> (World, [u32; 2]) {
    let mut world = World::of_one_host(Limits::default());
    let [client, engine] = [Role::Client, Role::Engine].map(|role| world.join(role, None));
    world.submit(client, at(&[0]), false, 0);
    (world, [client, engine])
}

fn died(engine: u32, how: &str) -> String {
    format!("engine 0 (pid {engine} on host) died: {how}")
}

#[test]
fn an_engine_whose_process_ended_is_lost_although_its_connections_stand() {
    let (mut world, [client, engine]) = called();
    world.exits(engine, Some(KILLED));
    assert!(world.clients[&client].lost.is_empty(), "its answer may still come");
    let due = world.core.next_tick().expect("an end");
    assert!(due <= world.now + Limits::default().exit_grace);
    world.nothing_more_comes();
    assert_eq!(world.clients[&client].lost, [died(engine, KILLED)]);
    world.settle();
}

#[test]
fn what_it_sent_before_its_end_still_counts_and_no_balanced_task_goes_to_it() {
    let (mut world, [client, engine]) = called();
    world.exits(engine, Some(KILLED));
    world.now += Limits::default().exit_grace / 2;
    world.submit(client, ANYWHERE, false, 0);
    world.finish(engine, 0, TaskOutcome::Ok);
    world.now += Limits::default().exit_grace / 2;
    world.feed(Event::Tick);
    assert!(world.clients[&client].left.is_empty(), "it was heard of");
    assert!(world.engines[&engine].inbox.is_empty());
    world.nothing_more_comes();
    assert!(world.clients[&client].lost.is_empty());
    assert_eq!(world.clients[&client].left, [died(engine, KILLED)]);
    world.settle();
}

#[test]
fn the_kernel_explains_a_connection_that_broke() {
    let (mut world, [client, engine]) = called();
    let peer = world.greeted[&engine].peer;
    world.gone(engine, false);
    assert!(world.clients[&client].lost.is_empty(), "it will be known how");
    world.feed(Event::ProcessEnded(peer, Some(KILLED.to_owned())));
    assert_eq!(world.clients[&client].lost, [died(engine, KILLED)]);

    // With a launcher, which knows better.
    let mut world = World::of_one_host(Limits::default());
    world.launcher_joins();
    let [client, engine] = [Role::Client, Role::Engine].map(|role| world.join(role, None));
    world.submit(client, at(&[0]), false, 0);
    let peer = world.greeted[&engine].peer;
    world.gone(engine, false);
    world.feed(Event::ProcessEnded(peer, Some(KILLED.to_owned())));
    assert!(world.clients[&client].lost.is_empty());
    world.explain(engine, Some("out of memory"));
    assert_eq!(world.clients[&client].lost, [died(engine, "out of memory")]);
    world.settle();
}

#[test]
fn the_word_of_a_launcher_that_saw_it_end_ends_an_engine_and_that_of_a_queue_does_not() {
    for certain in [true, false] {
        let mut world = World::new();
        let launcher = world.launcher_joins();
        let [client, engine] = [Role::Client, Role::Engine].map(|role| world.join(role, None));
        world.submit(client, at(&[0]), false, 0);
        let ended = EngineEnded { uuid: format!("uuid-{engine}"), how: Some(KILLED.to_owned()), certain };
        world.tell(launcher, Message::EngineEnded(ended), vec![]);
        world.over.extend(certain.then_some(engine));
        world.nothing_more_comes();
        assert_eq!(world.clients[&client].lost.len(), usize::from(certain));
        world.settle();
    }
}

#[test]
fn one_that_is_started_in_the_place_of_another_gets_its_id_at_once() {
    let (mut world, [client, engine]) = called();
    world.exits(engine, Some(KILLED));
    let again = world.join(Role::Engine, Some(0));
    assert_eq!(world.engines[&again].id, Some(EngineId(0)));
    assert_eq!(world.clients[&client].lost, [died(engine, KILLED)]);
    world.settle();
}

#[test]
fn a_client_whose_process_ended_leaves_although_its_connections_stand() {
    let (mut world, [client, engine]) = called();
    world.submit(client, at(&[0]), false, 0);
    world.exits(client, None);
    world.nothing_more_comes();
    assert_eq!(world.core.registry().clients().count(), 0);
    assert_eq!(world.engines[&engine].recalls.len(), 1, "what has not begun is taken back");
    world.settle();
}
