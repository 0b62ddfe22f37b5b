//! What becomes of balanced calls that a silent engine has.

use crate::net::{LEASE, MARGIN, Net, Peer, anywhere};
use ipclusterz_base::ids::{EngineId, RequestId, TaskId};
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::transport::Route;
use ipclusterz_runtime::wire::message::{Outcome, Placement, TaskOutcome};

/// Limits::default().engine_grace
const SHORT: u64 = 10;

/// A client with a call that the first of two engines has, of which nothing is heard any more.
struct Away {
    net: Net,
    client: Peer,
    silent: Peer,
    request: RequestId,
    task: TaskId,
}

impl Away {
    fn with(retries: u32) -> Away {
        let mut net = Net::new();
        let (client, silent) = (net.client(false), net.engine("n1"));
        let request = net.submit(&client, anywhere(retries));
        let task = net.tasks(&silent)[0];
        net.falls_silent(&silent);
        Away { net, client, silent, request, task }
    }

    /// Another engine does it meanwhile.
    fn done_elsewhere(retries: u32) -> (Away, Peer) {
        let mut away = Away::with(retries);
        let other = away.net.engine("n2");
        away.net.wait(SHORT);
        assert_eq!(away.net.tasks(&other), [away.task]);
        (away, other)
    }

    fn is_answered_once(&mut self) {
        assert_eq!(self.net.replies(&self.client), [(self.request, Outcome::Ok)]);
        assert_eq!(self.net.core.work().open_tasks(), 0);
        assert_eq!(self.net.core.work().queued(), 0);
    }

    fn goes_well_with(mut self, others: &[&Peer]) {
        // Nobody is thought to be busy who is not.
        self.net.sent.clear();
        for _ in others {
            self.net.submit(&self.client, anywhere(0));
        }
        let given: usize = others.iter().map(|engine| self.net.tasks(engine).len()).sum();
        assert_eq!(given, others.len());
    }
}

#[test]
fn what_has_not_been_given_to_it_goes_to_others() {
    let Away { mut net, client, .. } = Away::with(0);
    let other = net.engine("n2");
    let engines = Some(vec![EngineId(0), EngineId(1)]);
    net.submit(&client, Placement::Balanced { retries: 0, engines, duration: None });
    let task = net.tasks(&other)[0];
    net.finish(&other, task);
    assert_eq!(net.replies(&client).len(), 1);
}

#[test]
fn what_it_may_have_begun_waits_for_it_unless_it_may_be_done_again() {
    let mut away = Away::with(0);
    let other = away.net.engine("n2");
    away.net.wait(LEASE - 1);
    assert!(away.net.tasks(&other).is_empty());
    let silent = away.net.returns(&away.silent);
    away.net.finish(&silent, away.task);
    away.is_answered_once();
    away.goes_well_with(&[&silent, &other]);
}

#[test]
fn the_first_answer_counts_and_a_later_one_does_not() {
    // The one that was away is first, or last; it is back before, or after.
    let (mut away, other) = Away::done_elsewhere(1);
    let silent = away.net.returns(&away.silent);
    assert_eq!(away.net.recalls(&silent), [away.task], "unless it has begun");
    away.net.finish(&silent, away.task);
    assert_eq!(away.net.recalls(&other), [away.task]);
    away.is_answered_once();
    away.net.finish(&other, away.task);
    assert!(away.net.replies(&away.client).is_empty());
    away.goes_well_with(&[&silent, &other]);

    let (mut away, other) = Away::done_elsewhere(1);
    away.net.finish(&other, away.task);
    away.is_answered_once();
    let silent = away.net.returns(&away.silent);
    assert_eq!(away.net.recalls(&silent), [away.task]);
    away.net.finish(&silent, away.task);
    assert!(away.net.replies(&away.client).is_empty());
    away.goes_well_with(&[&silent, &other]);
}

#[test]
fn an_engine_that_had_not_begun_it_gives_it_back() {
    let (mut away, other) = Away::done_elsewhere(1);
    let silent = away.net.returns(&away.silent);
    away.net.gives_back(&silent, away.task);
    away.net.finish(&other, away.task);
    away.is_answered_once();
    away.goes_well_with(&[&silent, &other]);
}

#[test]
fn what_waited_for_others_in_vain_is_its_own_again() {
    let mut away = Away::with(1);
    away.net.wait(SHORT + 1);
    assert_eq!(away.net.core.work().queued(), 1);
    let silent = away.net.returns(&away.silent);
    assert_eq!((away.net.core.work().queued(), away.net.recalls(&silent)), (0, vec![]));
    // It may still be done once more.
    away.net.is_closed(&silent);
    let other = away.net.engine("n2");
    away.net.wait(SHORT);
    assert_eq!(away.net.tasks(&other), [away.task]);
    away.net.finish(&other, away.task);
    away.is_answered_once();
}

#[test]
fn one_that_is_away_is_waited_for_when_the_other_is_lost() {
    for back in [false, true] {
        let (mut away, other) = Away::done_elsewhere(1);
        let mut silent = away.silent.clone();
        if back {
            silent = away.net.returns(&silent);
        }
        away.net.is_closed(&other);
        away.net.wait(SHORT + 2);
        assert!(away.net.replies(&away.client).is_empty());
        if !back {
            silent = away.net.returns(&silent);
        }
        away.net.finish(&silent, away.task);
        away.is_answered_once();
        away.goes_well_with(&[&silent]);
    }
}

#[test]
fn a_call_is_lost_once_with_both() {
    let (mut away, other) = Away::done_elsewhere(1);
    away.net.wait(LEASE + MARGIN);
    assert!(away.net.replies(&away.client).is_empty());
    away.net.is_closed(&other);
    away.net.wait(SHORT + 2);
    assert!(matches!(&away.net.replies(&away.client)[..], [(_, Outcome::Lost(_))]));
    assert_eq!(away.net.core.work().open_tasks(), 0);
}

#[test]
fn what_is_given_up_meanwhile_has_one_verdict() {
    // It waits for others, or another one has it: whether the one that is away has begun is known when that is back.
    for given in [false, true] {
        for begun in [false, true] {
            let (mut away, other) = if given {
                let (away, other) = Away::done_elsewhere(1);
                (away, Some(other))
            } else {
                let mut away = Away::with(1);
                away.net.wait(SHORT);
                (away, None)
            };
            away.net.aborts(&away.client, away.request);
            if let Some(other) = other {
                away.net.gives_back(&other, away.task);
            }
            assert!(away.net.replies(&away.client).is_empty());
            let silent = away.net.returns(&away.silent);
            assert_eq!(away.net.recalls(&silent), [away.task]);
            let expected = if begun {
                away.net.finish(&silent, away.task);
                Outcome::Ok
            } else {
                away.net.gives_back(&silent, away.task);
                Outcome::Aborted
            };
            assert_eq!(away.net.replies(&away.client), [(away.request, expected)]);
            assert_eq!((away.net.core.work().open_tasks(), away.net.core.work().queued()), (0, 0));
        }
    }
}

#[test]
fn what_one_of_both_lacks_is_no_answer_as_long_as_the_other_has_it() {
    for first in [false, true] {
        let (mut away, other) = Away::done_elsewhere(1);
        let silent = away.net.returns(&away.silent);
        let (lacks, has) = if first { (&silent, &other) } else { (&other, &silent) };
        away.net.answers(lacks, away.task, TaskOutcome::Unmet);
        assert!(away.net.replies(&away.client).is_empty());
        away.net.finish(has, away.task);
        away.is_answered_once();
    }
}

#[test]
fn it_may_go_from_one_silent_engine_to_the_next() {
    let (mut away, other) = Away::done_elsewhere(2);
    away.net.falls_silent(&other);
    let third = away.net.engine("n3");
    away.net.wait(SHORT);
    assert_eq!(away.net.tasks(&third), [away.task]);
    let silent = away.net.returns(&away.silent);
    let other = away.net.returns(&other);
    away.net.finish(&other, away.task);
    away.is_answered_once();
    away.net.finish(&silent, away.task);
    away.net.gives_back(&third, away.task);
    assert!(away.net.replies(&away.client).is_empty());
    away.goes_well_with(&[&silent, &other, &third]);
}

#[test]
fn nothing_is_left_of_a_client_that_left_meanwhile() {
    let (mut away, other) = Away::done_elsewhere(1);
    away.net.feed(Event::Gone(Route(away.client.control)));
    away.net.feed(Event::Gone(Route(away.client.control + 1)));
    let grace = away.net.core.limits().session_grace.as_secs();
    let silent = away.net.returns(&away.silent);
    away.net.wait(grace);
    assert_eq!(away.net.recalls(&other), [away.task]);
    away.net.gives_back(&other, away.task);
    away.net.finish(&silent, away.task);
    assert_eq!(away.net.core.work().open_tasks(), 0);
}
