//! Where a call goes that is to run where another one did.

use crate::net::{Net, Peer};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, RequestId};
use ipclusterz_runtime::wire::message::{Ended, Fate, Message, Outcome, Placement, Targets};

/// A client with a call that an engine has done.
fn done() -> (Net, Peer, Peer, RequestId) {
    let mut net = Net::new();
    let (client, engine) = (net.client(false), net.engine("n1"));
    let request = net.submit(&client, Placement::Engines(vec![EngineId(0)]));
    let task = net.tasks(&engine)[0];
    net.finish(&engine, task);
    net.replies(&client);
    (net, client, engine, request)
}

fn ended(gone: bool) -> Option<Ended> {
    Some(Ended { fate: Fate::Ok, engine: Some(EngineId(0)), gone })
}

#[test]
fn it_goes_to_the_same_process_also_when_that_was_away() {
    for ended in [None, ended(false)] {
        let (mut net, client, engine, request) = done();
        net.falls_silent(&engine);
        let back = net.returns(&engine);
        net.sent.clear();
        net.submit_following(&client, request, ended);
        assert_eq!(net.tasks(&back).len(), 1);
    }
}

#[test]
fn it_does_not_go_to_another_process_that_has_its_id() {
    let why =
        "it was to follow tasks where they ran: engine 0 was restarted since then, and what they left there is lost";
    for ended in [None, ended(false), ended(true)] {
        let (mut net, client, engine, request) = done();
        let shut_down = Targets { engines: Some(vec![EngineId(0)]) };
        net.tell(Role::Client, client.control, Message::Shutdown(shut_down));
        net.is_closed(&engine);
        net.wait(100);
        let new = net.engine("n1 again");
        assert_eq!(net.engines(), [0]);
        let following = net.submit_following(&client, request, ended);
        assert_eq!(net.replies(&client), [(following, Outcome::Impossible(why.to_owned()))]);
        assert!(net.tasks(&new).is_empty());
    }
}

#[test]
fn nor_if_it_is_started_anew_while_it_waits_there() {
    let (mut net, client, engine, request) = done();
    net.submit(&client, Placement::Engines(vec![EngineId(0)]));
    let busy = net.tasks(&engine)[0];
    let following = net.submit_following(&client, request, None);
    net.is_closed(&engine);
    net.wait(100);
    let new = net.engine("n1 again");
    assert!(net.tasks(&new).is_empty());
    let replies = net.replies(&client);
    assert_eq!(replies.len(), 2, "{busy:?} {replies:?}");
    assert!(replies.iter().any(|(of, outcome)| *of == following && matches!(outcome, Outcome::Lost(_))), "{replies:?}");
}
