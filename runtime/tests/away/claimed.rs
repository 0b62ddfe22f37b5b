//! Calls that a client does itself while others wait for them.

use crate::net::{Net, anywhere};
use ipclusterz_runtime::wire::message::{Fate, Outcome};

#[test]
fn others_wait_until_its_client_says_how_it_ended() {
    for early in [true, false] {
        for fate in [Fate::Ok, Fate::Error] {
            let mut net = Net::new();
            let client = net.client(false);
            let request = net.submit(&client, anywhere(0));
            net.claims(&client, request);
            assert_eq!(net.replies(&client), [(request, Outcome::Aborted)]);
            let engine = net.engine("n1");
            let waits = early.then(|| net.submit_following(&client, request, None));
            assert!(net.replies(&client).is_empty() && net.tasks(&engine).is_empty());
            net.fulfils(&client, request, fate);
            let waits = waits.unwrap_or_else(|| net.submit_following(&client, request, None));
            let (replies, tasks) = (net.replies(&client), net.tasks(&engine));
            if fate == Fate::Ok {
                assert_eq!((replies.len(), tasks.len()), (0, 1));
            } else {
                let [(of, Outcome::Impossible(why))] = &replies[..] else { panic!("{replies:?}") };
                assert!(*of == waits && why.ends_with("which failed") && tasks.is_empty(), "{why}");
            }
        }
    }
}

#[test]
fn nobody_waits_for_what_a_client_has_left_undone() {
    let mut net = Net::new();
    let (first, second) = (net.client(false), net.client(false));
    let request = net.submit(&first, anywhere(0));
    net.claims(&first, request);
    let engine = net.engine("n1");
    let waits = net.submit_following_of(&second, &first, request);
    assert!(net.replies(&second).is_empty());
    net.leaves(&first);
    let replies = net.replies(&second);
    assert!(matches!(&replies[..], [(of, Outcome::Impossible(_))] if *of == waits), "{replies:?}");
    assert!(net.tasks(&engine).is_empty());
    assert_eq!(net.core.work().open_tasks(), 0);
}
