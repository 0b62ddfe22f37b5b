//! How long an engine without a connection is waited for.

use crate::net::{LEASE, MARGIN, Net, Peer, at};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::transport::Route;
use ipclusterz_runtime::wire::message::*;

/// Limits::default().engine_grace
const SHORT: u64 = 10;

/// A launcher, a client with a call at an engine, and that engine.
fn working() -> (Net, [Peer; 3]) {
    let mut net = Net::new();
    let (launcher, client, engine) = (net.client(true), net.client(false), net.engine("n1"));
    net.submit(&client, at(0));
    assert_eq!(Limits::default().engine_grace.as_secs(), SHORT);
    (net, [launcher, client, engine])
}

fn lost(net: &mut Net, client: &Peer) -> String {
    match &net.replies(client)[..] {
        [(_, Outcome::Lost(why))] => why.clone(),
        other => panic!("{other:?}"),
    }
}

/// The launcher says how an engine ended.
fn says_ended(net: &mut Net, launcher: &Peer, certain: bool) {
    let ended = EngineEnded { uuid: "n1".to_owned(), how: Some("the node failed".to_owned()), certain };
    net.tell(Role::Client, launcher.control, Message::EngineEnded(ended));
}

#[test]
fn a_silent_engine_has_lost_nothing_when_it_comes_back_within_its_lease() {
    let (mut net, [_, client, engine]) = working();
    let begun = net.tasks(&engine)[0];
    net.falls_silent(&engine);
    net.wait(LEASE - 1);
    assert_eq!(net.engines(), [0]);
    // What is asked of it meanwhile waits, too.
    let meanwhile = net.submit(&client, at(0));
    assert_eq!(net.replies(&client), []);
    let engine = net.returns(&engine);
    let tasks = net.tasks(&engine);
    assert_eq!((tasks.len(), tasks[0]), (2, begun));
    tasks.iter().for_each(|task| net.finish(&engine, *task));
    let answered = net.replies(&client);
    assert_eq!((answered.len(), &answered[1]), (2, &(meanwhile, Outcome::Ok)));
    net.wait(2 * LEASE);
    assert_eq!(net.engines(), [0]);
}

#[test]
fn clients_hear_that_it_is_away_and_back_also_those_that_come_meanwhile() {
    let (mut net, [_, client, engine]) = working();
    net.falls_silent(&engine);
    let left = LEASE + MARGIN;
    assert_eq!(net.told_away(&client), [(0, Some(Away { seconds: 0, left, silent: true }))]);
    net.wait(4);
    let other = net.client(true);
    assert_eq!(net.told_away(&other), [(0, Some(Away { seconds: 4, left: left - 4, silent: true }))]);
    net.tell(Role::Client, client.control, Message::StatusRequest(Empty {}));
    let status = net.sent.remove(&client.control).expect("an answer").pop();
    let Some(Message::StatusReply(status)) = status else { panic!("{status:?}") };
    assert_eq!((&status.engines[0].state[..], status.engines[0].away), ("away", true));
    assert_eq!(status.engines[0].absence, Some(Away { seconds: 4, left: left - 4, silent: true }));
    net.returns(&engine);
    assert_eq!(net.told_away(&client), [(0, None)]);
}

#[test]
fn its_calls_are_lost_when_its_lease_is_over_and_not_before() {
    let (mut net, [_, client, engine]) = working();
    net.falls_silent(&engine);
    net.wait(LEASE + MARGIN - 1);
    assert_eq!(net.engines(), [0]);
    net.wait(1);
    assert!(net.engines().is_empty());
    net.wait(2);
    assert!(lost(&mut net, &client).contains("nothing was heard of it for longer than its lease of 60 s"));
}

#[test]
fn one_whose_kernel_closed_its_connections_is_waited_for_shortly_whichever_it_says_first() {
    let ways: [fn(&mut Net, &Peer); 3] = [
        Net::is_closed,
        // A process that was stopped, and is killed.
        |net, engine| {
            net.falls_silent(engine);
            net.feed(Event::Gone(Route(engine.control + 1)));
        },
        |net, engine| {
            net.feed(Event::Gone(Route(engine.control + 1)));
            net.falls_silent(engine);
        },
    ];
    for way in ways {
        let (mut net, [_, client, engine]) = working();
        way(&mut net, &engine);
        net.wait(SHORT);
        assert!(net.engines().is_empty());
        net.wait(2);
        assert!(lost(&mut net, &client).contains("its connection broke, and it did not come back in time"));
    }
}

#[test]
fn what_the_end_of_a_tunnel_closes_says_nothing_of_the_engine() {
    let mut net = Net::new();
    let engine = net.tunnelled("n1");
    net.is_closed(&engine);
    net.wait(LEASE - 1);
    let engine = net.returns(&engine);
    net.falls_silent(&engine);
    net.feed(Event::Gone(Route(engine.control + 1)));
    net.wait(LEASE - 1);
    net.returns(&engine);
}

#[test]
fn the_launcher_ends_the_wait_at_once_and_a_queue_shortens_it() {
    for (certain, seconds) in [(true, 1), (false, SHORT)] {
        for before in [true, false] {
            let (mut net, [launcher, client, engine]) = working();
            // What is certain before it falls silent needs no silence.
            let is_said_before = before && !certain;
            if is_said_before {
                says_ended(&mut net, &launcher, certain);
            }
            net.falls_silent(&engine);
            if !is_said_before {
                says_ended(&mut net, &launcher, certain);
            }
            net.wait(seconds);
            assert!(net.engines().is_empty(), "certain: {certain}, before: {before}");
            assert!(lost(&mut net, &client).contains("died: the node failed"));
        }
    }
}

#[test]
fn an_engine_that_is_shut_down_while_it_is_away_is_told_so_when_it_is_back() {
    let (mut net, [_, client, engine]) = working();
    net.falls_silent(&engine);
    let shutdown = Message::Shutdown(Targets { engines: Some(vec![EngineId(0)]) });
    net.tell(Role::Client, client.control, shutdown.clone());
    let back = net.returns(&engine);
    let heard = net.sent.remove(&back.control).expect("something");
    assert!(heard.iter().any(|message| matches!(message, Message::Shutdown(_))), "{heard:?}");
    net.is_closed(&back);
    assert!(lost(&mut net, &client).contains("was shut down"));

    let (mut net, [_, client, engine]) = working();
    net.falls_silent(&engine);
    net.tell(Role::Client, client.control, shutdown);
    net.wait(SHORT);
    assert!(net.engines().is_empty(), "it is not waited for longer");
    let heard = net.asks_again(&engine);
    assert!(matches!(&heard[..], [Message::Refused(why)] if why.reason.contains("it was shut down")), "{heard:?}");
}

#[test]
fn a_cluster_that_stops_waits_for_none_that_is_away() {
    let (mut net, [_, client, engine]) = working();
    net.falls_silent(&engine);
    net.feed(Event::Stop);
    let heard = net.sent.remove(&client.control).expect("something");
    assert!(heard.iter().any(|message| matches!(message, Message::Goodbye(_))), "{heard:?}");
}

#[test]
fn another_controller_waits_for_it_as_long() {
    let (mut net, [_, _, engine]) = working();
    net.falls_silent(&engine);
    net.wait(LEASE / 2);
    net.restarts();
    net.wait(LEASE - 1);
    net.returns(&engine);
    assert_eq!(net.engines(), [0]);
}
