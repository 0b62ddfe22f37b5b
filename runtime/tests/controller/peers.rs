//! Who is let in, and whose connections break.

use crate::model::ModelEngine;
use crate::world::{World, at};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::{Attach, Hello, Message, Targets, Welcome};
use std::time::Duration;

#[test]
fn an_engines_key_does_not_admit_a_client() {
    let mut world = World::new();
    let hello = |role| {
        let (uuid, host) = ("u".to_owned(), "h".to_owned());
        Message::Hello(Hello::new(role, uuid, host, 1))
    };
    for (key, role) in [(Role::Engine, Role::Client), (Role::Client, Role::Engine)] {
        let (route, admitted) = (Route(77), Admitted::Keyed(key));
        let event = Event::Message { route, admitted, message: hello(role), payload: vec![] };
        let actions = world.core.handle(event, Duration::ZERO);
        assert!(matches!(&actions[0], Action::Send { message: Message::Refused(_), .. }), "{actions:?}");
        assert!(actions.iter().any(|action| matches!(action, Action::Rejected(_))));
    }
    assert!(world.core.registry().is_empty());
}

#[test]
fn a_peer_for_which_there_is_no_room_is_told_so() {
    let mut world = World::new();
    let (route, reason) = (Route(77), "no file descriptors".to_owned());
    let actions = world.core.handle(Event::Crowded { route, reason }, Duration::ZERO);
    assert!(
        matches!(&actions[0], Action::Send { message: Message::Crowded(why), .. } if why.reason == "no file descriptors")
    );
    assert!(matches!(&actions[1], Action::Rejected(_)), "{actions:?}");
    assert!(world.core.registry().is_empty());
}

#[test]
fn what_a_client_sent_before_it_closed_still_counts() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    // Its `control` connection is found closed before what it sent through `data` is read, and the other way round.
    world.feed(Event::Gone(Route(client)));
    world.submit(client, at(&[0]), false, 10);
    assert_eq!(world.engines[&engine].inbox.len(), 1);
    world.feed(Event::Gone(Route(client + 1)));
    assert_eq!(world.core.registry().clients().count(), 0);
    let client = world.join(Role::Client, None);
    world.feed(Event::Gone(Route(client + 1)));
    let message = Message::Shutdown(Targets { engines: Some(vec![EngineId(0)]) });
    let (route, admitted) = (Route(client), Admitted::Local);
    let actions = world.core.handle(Event::Message { route, admitted, message, payload: vec![] }, world.now);
    assert!(matches!(&actions[..], [Action::Send { message: Message::Shutdown(_), .. }]), "{actions:?}");
}

#[test]
fn a_client_whose_data_connection_broke_starts_anew_on_the_other() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    world.feed(Event::Gone(Route(client + 1)));
    let (uuid, host) = ("u".to_owned(), "h".to_owned());
    let hello = Hello::new(Role::Client, uuid, host, 1);
    world.tell(client, Message::Hello(hello), vec![]);
    let Welcome { peer, token, .. } = world.greeted[&client].clone();
    world.tell(client + 1, Message::Attach(Attach { peer, token }), vec![]);
    world.join(Role::Engine, None);
    world.submit(client, at(&[0]), false, 10);
    assert_eq!(world.core.registry().clients().count(), 1);
    world.settle();
}

#[test]
fn a_returning_engine_gets_its_id_back() {
    let mut world = World::new();
    let first = world.join(Role::Engine, None);
    world.join(Role::Engine, None);
    world.gone(first, false);
    let hello = Hello::new(Role::Engine, format!("uuid-{first}"), "host".to_owned(), 1);
    world.engines.insert(500, ModelEngine::default());
    world.tell(500, Message::Hello(hello), vec![]);
    assert_eq!(world.greeted[&500].engine_id, Some(EngineId(0)));
}
