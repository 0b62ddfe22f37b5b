//! What becomes of a call that may run only so long when its engine is silent.

use crate::net::Net;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::wire::message::Outcome;

/// The call's limit.
const LIMIT: u64 = 5;

#[test]
fn it_is_interrupted_when_its_engine_is_back() {
    let mut net = Net::new();
    let (client, launcher, silent) = (net.client(false), net.client(true), net.engine("n1"));
    net.submit_limited(&client, LIMIT);
    let task = net.tasks(&silent)[0];
    net.falls_silent(&silent);
    net.wait(LIMIT);
    let back = net.returns(&silent);
    net.wait(2 * Limits::default().kill_grace.as_secs());
    assert_eq!(net.interrupts(&back), [task]);
    assert!(net.hanging(&launcher).is_empty() && net.replies(&client).is_empty());
}

#[test]
fn it_is_answered_if_its_engine_stays_away_and_the_launcher_is_to_end_that() {
    let grace = Limits::default().kill_grace.as_secs();
    let mut net = Net::new();
    let (client, launcher, silent) = (net.client(false), net.client(true), net.engine("n1"));
    let request = net.submit_limited(&client, LIMIT);
    net.falls_silent(&silent);
    net.wait(LIMIT);
    net.hanging(&launcher);
    net.wait(2 * grace);
    assert_eq!(net.hanging(&launcher), [EngineId(0)]);
    assert!(net.replies(&client).is_empty());
    net.wait(grace);
    let replies = net.replies(&client);
    assert!(matches!(&replies[..], [(of, Outcome::TimedOut(_))] if *of == request), "{replies:?}");
    assert_eq!(net.core.work().open_tasks(), 0);
    // What it does all the same is nobody's any more.
    let back = net.returns(&silent);
    let task = net.tasks(&back)[0];
    net.finish(&back, task);
    assert!(net.replies(&client).is_empty());
}
