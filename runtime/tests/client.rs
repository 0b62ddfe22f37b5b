//! The client's core and what is awaited of it, fed with the controller's messages.

use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use ipclusterz_runtime::client::core::Core;
use ipclusterz_runtime::client::request::Outgoing;
use ipclusterz_runtime::client::watched::Watched;
use ipclusterz_runtime::client::{AnswerId, Pending, Written};
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::part::Packed;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nothing here waits for another thread: what is not there at once never comes.
const AT_ONCE: Duration = Duration::ZERO;

struct Session {
    core: Core,
    watched: Arc<Watched>,
}

impl Session {
    /// A client that may have so many answers under way.
    fn new(replies: u64) -> Session {
        let window = Window { replies, bytes: 1 << 20, request_bytes: 1 << 20 };
        let mut core = Core::default();
        core.established(Welcome::new(PeerId(1), String::new(), window), 0.0);
        Session { core, watched: Arc::default() }
    }

    /// One request with so many targets; what can be sent is sent.
    fn submit(&mut self, count: u32) -> (RequestId, Arc<Pending>) {
        let submitted = self.submit_on(count, None);
        self.sent();
        submitted
    }

    /// One that waits for another one.
    fn submit_after(&mut self, request: RequestId) -> (RequestId, Arc<Pending>) {
        let task = TaskRef { session: None, request, position: 0 };
        let on = vec![Parent { task, count: 1, ended: None }];
        let after = Some(Dependency { on, all: true, success: true, failure: false });
        self.submit_on(1, Some(Terms { after, ..Terms::default() }))
    }

    fn submit_on(&mut self, count: u32, terms: Option<Terms>) -> (RequestId, Arc<Pending>) {
        let engines: Vec<EngineId> = (0..count).map(EngineId).collect();
        let targets = engines.iter().copied().map(Some).collect();
        let pending = Pending::new(targets, 0.0, Arc::clone(&self.watched), Arc::default());
        let id = self.core.number(1);
        self.core.submit(Outgoing {
            id,
            placement: Placement::Engines(engines),
            op: Op::Execute,
            function: None,
            packed: Packed::default(),
            pending: Arc::downgrade(&pending),
            base: 0,
            count: count as usize,
            collective: false,
            timeout: None,
            keep: None,
            name: None,
            about: None,
            part: 0,
            map: None,
            rank: self.core.rank_of(terms.as_ref()),
            terms: terms.map(Arc::new),
        });
        (id, pending)
    }

    /// Requests that are sent now.
    fn sent(&mut self) -> Vec<RequestId> {
        let requests = self.core.next_sends().into_iter().filter_map(|(channel, message, _)| match message {
            Message::Request(request) => Some((channel, request.id)),
            _ => None,
        });
        requests.inspect(|(channel, _)| assert_eq!(*channel, Channel::Data)).map(|(_, id)| id).collect()
    }

    fn hear(&mut self, message: Message, payload: &[&str]) {
        let payload = payload.iter().map(|text| Frame::from(text.as_bytes())).collect();
        self.core.message(Channel::Data, message, payload, 0.0, |_, _| Ok(vec![]));
    }

    fn answer(&mut self, request: RequestId, position: u32, outcome: Outcome) {
        let (engine, segments) = (Some(EngineId(position)), vec![]);
        let reply = Reply { request, position, engine, outcome, started: 0.0, completed: 0.0, segments };
        self.hear(Message::Reply(reply), &[]);
    }
}

#[test]
fn what_others_have_under_way_is_counted_until_its_answer_comes_whenever_that_is() {
    let mut session = Session::new(100);
    session.core.expect_foreign();
    let ids = |request, positions: &[u32]| -> Vec<AnswerId> {
        positions.iter().map(|position| AnswerId { request: RequestId(request), position: *position }).collect()
    };
    // These come behind the list of what is open was made, and before it is read here.
    session.answer(RequestId(7), 0, Outcome::Ok);
    session.answer(RequestId(8), 1, Outcome::Ok);
    session.core.count_foreign([ids(7, &[0]), ids(8, &[0, 1, 2])].concat());
    assert_eq!(session.core.under_way(), 1);
    session.answer(RequestId(8), 0, Outcome::Ok);
    assert_eq!(session.core.under_way(), 1);
    session.answer(RequestId(8), 2, Outcome::Lost(String::new()));
    assert_eq!(session.core.under_way(), 0);
}

#[test]
fn the_verdict_on_an_abort_is_there_when_each_call_is_given_up_or_has_begun() {
    let mut session = Session::new(100);
    let (request, pending) = session.submit(3);
    session.answer(request, 0, Outcome::Ok);
    session.answer(request, 1, Outcome::Aborted);
    assert_eq!(pending.wait_verdict(AT_ONCE), None);
    for _ in 0..2 {
        session.hear(Message::Started(Started { request, position: 2 }), &[]);
        assert_eq!(pending.wait_verdict(AT_ONCE), Some(false));
    }
    assert!(!pending.wait(AT_ONCE));
    session.answer(request, 2, Outcome::Ok);
    assert!(pending.wait(AT_ONCE));
    assert_eq!(pending.wait_verdict(AT_ONCE), Some(false));
}

#[test]
fn what_was_not_sent_is_given_up_here() {
    let mut session = Session::new(2);
    let (_sent, first) = session.submit(2);
    let (waiting, second) = session.submit(1);
    session.core.abort_unsent(Some(&(waiting..RequestId(waiting.0 + 1))), false, 0.0);
    assert_eq!((first.wait_verdict(AT_ONCE), second.wait_verdict(AT_ONCE)), (None, Some(true)));
    assert_eq!(session.core.under_way(), 1);
}

#[test]
fn what_waits_for_a_call_that_is_done_here_before_it_was_sent_is_sent_when_that_has_ended() {
    for fate in [Fate::Ok, Fate::Error] {
        let mut session = Session::new(1);
        let (sent, _first) = session.submit(1);
        let (claimed, pending) = session.submit_after(sent);
        let (waits, _second) = session.submit_after(claimed);
        let (last, _third) = session.submit_after(waits);
        let (other, _fourth) = session.submit(1);
        assert!(pending.claim(0));
        session.core.abort_unsent(Some(&(claimed..RequestId(claimed.0 + 1))), true, 0.0);
        assert_eq!(pending.wait_claim(0, AT_ONCE), Some(true));
        session.answer(sent, 0, Outcome::Ok);
        assert_eq!(session.sent(), [other], "others go before");
        session.answer(other, 0, Outcome::Ok);
        assert_eq!(session.sent(), []);
        session.core.fulfilled(&Fulfilled { request: claimed, position: 0, fate, engine: None });
        let request = session.core.next_sends().into_iter().find_map(|(_, message, _)| match message {
            Message::Request(request) => Some(request),
            _ => None,
        });
        let request = request.expect("it is sent");
        let ended = request.terms.expect("terms").after.expect("a dependency").on[0].ended.map(|ended| ended.fate);
        assert_eq!((request.id, ended), (waits, Some(fate)));
        session.answer(waits, 0, Outcome::Ok);
        assert_eq!(session.sent(), [last]);
    }
}

/// If each looked through all that wait, this would take minutes.
#[test]
fn many_requests_are_given_up_one_by_one_in_any_order() {
    const COUNT: u64 = 40_000;
    let mut session = Session::new(1);
    let (_sent, _first) = session.submit(1);
    let waiting: Vec<(RequestId, Arc<Pending>)> = (0..COUNT).map(|_| session.submit(1)).collect();
    let begin = Instant::now();
    for number in 0..COUNT {
        // A stride without a common factor comes by each of them once.
        let (request, pending) = &waiting[(number * 17_389 % COUNT) as usize];
        session.core.abort_unsent(Some(&(*request..RequestId(request.0 + 1))), false, 0.0);
        assert_eq!(pending.wait_verdict(AT_ONCE), Some(true));
    }
    assert_eq!(session.core.under_way(), 1);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let (whole, parts) = (session.submit(1).0, [session.submit(1).1, session.submit(1).1]);
    session.core.abort_unsent(Some(&(RequestId(whole.0 + 1)..RequestId(whole.0 + 3))), false, 0.0);
    assert!(parts.iter().all(|pending| pending.wait(AT_ONCE)));
    assert!(session.core.is_under_way(AnswerId { request: whole, position: 0 }));
}

#[test]
fn the_order_of_arrival_is_the_same_for_all_who_ask() {
    let mut session = Session::new(100);
    let (request, pending) = session.submit(3);
    session.answer(request, 2, Outcome::Ok);
    session.answer(request, 0, Outcome::Aborted);
    for _ in 0..2 {
        let order = [0, 1, 2, 3].map(|nth| pending.nth_done(nth, AT_ONCE));
        assert_eq!(order, [Some(Some(2)), Some(Some(0)), None, Some(None)]);
    }
    assert_eq!(pending.statuses(), [Some("aborted"), None, Some("ok")]);
    session.answer(request, 1, Outcome::Ok);
    assert_eq!(pending.nth_done(2, AT_ONCE), Some(Some(1)));
}

#[test]
fn news_are_counted_and_output_keeps_its_order() {
    let mut session = Session::new(100);
    let (request, pending) = session.submit(2);
    assert_eq!(pending.wait_news(0, AT_ONCE), None);
    for (stream, text) in
        [(Stream::Stdout, "a"), (Stream::Display, "{}\n"), (Stream::Stdout, "b"), (Stream::Stderr, "c")]
    {
        let output = RequestOutput { request, position: 1, engine: EngineId(1), stream };
        session.hear(Message::RequestOutput(output), &[text]);
    }
    assert_eq!(pending.wait_news(0, AT_ONCE), Some(4));
    assert_eq!(pending.wait_news(4, AT_ONCE), None);
    let (cursor, chunks) = pending.output_since(1, 1).expect("a cursor");
    let texts: Vec<&str> = chunks.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!((cursor, texts), (6, vec!["{}\n", "b", "c"]));
    assert_eq!(pending.outputs(1), Some(("ab".to_owned(), "c".to_owned())));
    session.answer(request, 0, Outcome::Ok);
    session.answer(request, 1, Outcome::Ok);
    assert_eq!(pending.wait_news(4, AT_ONCE), Some(6));
    assert_eq!(pending.wait_news(6, AT_ONCE), Some(6), "nothing more can come");
}

#[test]
fn output_is_taken_once_and_the_end_of_who_wrote_it_is_told() {
    let mut session = Session::new(100);
    let (request, pending) = session.submit(3);
    let write = |session: &mut Session, position, text| {
        let output = RequestOutput { request, position, engine: EngineId(7), stream: Stream::Stdout };
        session.hear(Message::RequestOutput(output), &[text]);
    };
    let take = |pending: &Pending| {
        let told = |written: Written| (written.index, written.engine, written.pieces.len(), written.done);
        pending.take_output().into_iter().map(told).collect::<Vec<_>>()
    };
    assert!(pending.watch(4) && !pending.was_written());
    write(&mut session, 2, "a");
    write(&mut session, 0, "b");
    assert_eq!(session.watched.next(), Some(4), "told once");
    assert_eq!(take(&pending), [(2, Some(EngineId(7)), 1, false), (0, Some(EngineId(7)), 1, false)]);
    assert_eq!(take(&pending), []);
    pending.takes(true);
    write(&mut session, 2, "c");
    pending.takes(false);
    assert_eq!(session.watched.next(), Some(4), "what the one who waited has not taken");
    session.answer(request, 1, Outcome::Ok);
    session.answer(request, 2, Outcome::Ok);
    let engine = pending.answer(2).expect("an answer").engine;
    assert_eq!(take(&pending), [(2, engine, 1, true)], "an end of one that wrote nothing is no news");
    session.answer(request, 0, Outcome::Ok);
    assert_eq!(session.watched.next(), Some(4), "the end is told in any case");
    assert_eq!(take(&pending).len(), 1);
    assert!(pending.was_written() && !pending.has_news());
}

#[test]
fn a_token_is_queued_with_the_last_answer_also_when_that_is_a_loss() {
    let mut session = Session::new(100);
    let (request, pending) = session.submit(2);
    let (_lost, other) = session.submit(1);
    assert!(pending.watch(7) && other.watch(8));
    session.answer(request, 0, Outcome::Ok);
    session.core.lost("the connection broke", 0.0);
    assert!(!pending.watch(9));
    let tokens: [Option<u64>; 2] = [session.watched.next(), session.watched.next()];
    assert!(tokens == [Some(7), Some(8)] || tokens == [Some(8), Some(7)], "{tokens:?}");
}

#[test]
fn a_request_is_under_way_from_its_submission_to_its_last_answer() {
    let mut session = Session::new(2);
    let (first, pending) = session.submit(2);
    let (second, dropped) = session.submit(2);
    drop(dropped);
    let id = |request, position| AnswerId { request, position };
    for unknown in [id(RequestId(0), 0), id(RequestId(3), 0), id(first, 2), id(second, 2)] {
        assert!(!session.core.was_submitted(unknown), "{unknown:?}");
    }
    assert!(session.core.was_submitted(id(second, 1)) && session.core.is_under_way(id(second, 1)), "waits here");
    session.answer(first, 1, Outcome::Ok);
    assert!(session.core.is_under_way(id(first, 0)) && !session.core.is_under_way(id(first, 1)));
    session.answer(first, 0, Outcome::Ok);
    assert!(pending.wait(AT_ONCE) && !session.core.is_under_way(id(first, 0)));
    assert_eq!(session.sent(), [second]);
    session.answer(second, 0, Outcome::Ok);
    assert!(session.core.is_under_way(id(second, 1)), "nobody holds it, and it is still to come");
    session.answer(second, 1, Outcome::Ok);
    assert!(!session.core.is_under_way(id(second, 1)) && session.core.was_submitted(id(second, 1)));
    assert_eq!(session.core.under_way(), 0);
}
