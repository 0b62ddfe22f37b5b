//! Peers that come back, too late or in time, and what is kept for them.

use crate::steps::Step;
use crate::world::{DATA, ENGINES, Link, Messages, World, standing};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::client::event::Event as ClientEvent;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Action;
use ipclusterz_runtime::transport::Admitted;
use ipclusterz_runtime::wire::message::*;

#[test]
fn a_result_that_arrives_meanwhile_is_there_when_the_client_comes_back() {
    let mut world = standing();
    world.submit(true, true);
    world.up(DATA, usize::MAX);
    world.cut();
    let happened = |world: &World, event: &ClientEvent| world.client.events.contains(event);
    assert!(happened(&world, &ClientEvent::Interrupted { reason: "cut".to_owned() }));
    // Submitted without a connection.
    world.submit(false, false);
    world.late(0, true);
    world.late(0, true);
    world.finish(0);
    world.finish(1);
    world.now += Limits::default().session_grace / 2;
    world.step(&Step::Wait(0));
    assert_eq!(world.client.under_way(), 2);
    world.settle();
}

#[test]
fn a_client_that_stays_away_is_given_up_with_what_it_has_queued() {
    let mut world = standing();
    (0..5).for_each(|_| world.submit(true, false));
    world.up(DATA, usize::MAX);
    world.cut();
    world.late(0, true);
    world.late(0, true);
    let grace = Limits::default().session_grace;
    assert!(world.controller.next_tick().is_some_and(|at| at <= world.now + grace));
    world.now += grace;
    world.step(&Step::Wait(0));
    assert_eq!(world.controller.registry().clients().count(), 0);
    assert_eq!(world.controller.work().queued(), 0);
    // It comes back too late: it is told so, and may submit anew.
    world.connect();
    world.up(0, 1);
    let Some(Link { down, .. }) = &world.link else { panic!("no link") };
    assert!(matches!(&down[0][0].0, Message::Welcome(Welcome { resumed: None, .. })));
}

#[test]
fn only_the_client_itself_gets_its_session() {
    let mut world = standing();
    world.cut();
    let resume = world.resume.clone().expect("a session");
    for (uuid, token) in [("client", "guess"), ("other", "token")] {
        let resume = Some(Resume { token: token.to_owned(), ..resume.clone() });
        let hello = Hello { resume, ..Hello::new(Role::Client, uuid.to_owned(), "there".to_owned(), 1) };
        let route = world.next_route;
        world.next_route += 2;
        let actions = world.handle(route, Admitted::Keyed(Role::Client), Message::Hello(hello), vec![]);
        let fresh = |action: &Action| matches!(action, Action::Send { message: Message::Welcome(welcome), .. } if welcome.resumed.is_none());
        assert!(actions.iter().any(fresh), "{actions:?}");
    }
}

/// A hello that arrives late has counts of what the client had received then. No connection may be admitted for it to
/// which the client has said that it received more.
#[test]
fn a_late_hello_does_not_have_answers_sent_again() {
    let mut world = standing();
    world.cut();
    // Given up before its hello arrived.
    world.connect();
    world.cut();
    let stand = |world: &mut World| {
        for channel in [0, DATA] {
            world.up(channel, 1);
            world.down(channel, 1);
        }
    };
    world.connect();
    stand(&mut world);
    world.submit(true, false);
    world.up(DATA, usize::MAX);
    (0..ENGINES).for_each(|engine| world.finish(engine));
    world.down(DATA, usize::MAX);
    assert_eq!(world.answered.len(), 1);
    world.cut();
    world.connect();
    world.up(0, 1);
    world.down(0, 1);
    let is_hello = |(_, up): &(u32, Messages)| matches!(up.front(), Some((Message::Hello(_), _)));
    let late = world.late.iter().position(is_hello).expect("a late hello");
    world.late(late, false);
    world.up(DATA, 1);
    world.down(DATA, usize::MAX);
    world.settle();
}

#[test]
fn an_engine_that_comes_back_before_its_break_is_noticed_has_its_id() {
    let mut world = standing();
    let hello = Hello::new(Role::Engine, "engine 0".to_owned(), "here".to_owned(), 0);
    let actions = world.handle(500, Admitted::Keyed(Role::Engine), Message::Hello(hello), vec![]);
    let welcome = actions.iter().find_map(|action| match action {
        Action::Send { message: Message::Welcome(welcome), .. } => welcome.engine_id,
        _ => None,
    });
    assert_eq!(welcome, Some(EngineId(0)));
}

#[test]
fn what_is_kept_is_bounded_by_acknowledgements() {
    let mut world = standing();
    for _ in 0..1000 {
        world.submit(true, false);
        for channel in [0, DATA] {
            world.up(channel, usize::MAX);
        }
        (0..ENGINES).for_each(|engine| world.finish(engine));
        for channel in [0, DATA] {
            world.down(channel, usize::MAX);
        }
    }
    let kept: Vec<usize> = world.controller.registry().clients().map(|(_, peer)| peer.sent.len()).collect();
    assert!(kept.len() == 1 && kept[0] < 200, "{kept:?} messages are kept");
    assert!(world.client.kept() < 200, "{} messages are kept", world.client.kept());
    world.settle();
}
