//! What becomes of a bug of the controller.

use crate::world::{World, at};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::bug;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::{Hello, Message, Refused};
use std::cell::Cell;

thread_local! {
    /// The core panics where it makes a token.
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

fn token() -> String {
    assert!(!PANICS.get(), "a bug");
    "token".to_owned()
}

#[test]
fn a_bug_costs_whoever_ran_into_it_and_nobody_else() {
    let mut world = World::new();
    world.core = Core::new(
        Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: None },
        Limits::default(),
        Oracle::new(token, |_, _| None),
    );
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    world.submit(client, at(&[0]), true, 10);
    PANICS.set(true);
    // One that starts anew is forgotten, and admitted again: there it panics.
    let uuid = format!("uuid-{engine}");
    let message = Message::Hello(Hello::new(Role::Engine, uuid, "host".to_owned(), 1));
    let (route, admitted, payload) = (Route(engine), Admitted::Local, vec![]);
    let (actions, panicked) =
        bug::handle(&mut world.core, Event::Message { route, admitted, message, payload }, world.now);
    PANICS.set(false);
    assert!(panicked);
    let told = |action: &Action| {
        let Action::Send { route: Route(told), message: Message::Refused(Refused { reason, .. }), .. } = action else {
            return false;
        };
        *told == engine && reason.contains("a bug of the controller")
    };
    assert!(actions.iter().any(told), "{actions:?}");
    world.engines.remove(&engine);
    actions.into_iter().for_each(|action| world.take(action));
    assert_eq!(world.clients[&client].answered.len(), 1, "what the engine had is lost, and its client knows");
    // Everybody else, and whoever comes now, goes on.
    world.join(Role::Engine, None);
    world.submit(client, at(&[0]), true, 10);
    world.settle();
}
