//! A simulated client: the core of a real one, which submits tasks whose answers it knows.
//!
//! It checks what comes from the wire, before the core has seen it: the core drops an answer that comes twice.

use crate::arguments::ClientOptions;
use crate::ledger::Ledger;
use crate::numbers::{Key, Random};
use crate::pool::Peer;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places;
use ipclusterz_runtime::client::core::Core;
use ipclusterz_runtime::client::request::Outgoing;
use ipclusterz_runtime::system::{deadline, wall_clock};
use ipclusterz_runtime::transport::session::{Session, SessionEvent};
use ipclusterz_runtime::wire::message::{FunctionName, Goodbye, Hello, Message, Op, Placement, Reply, Welcome};
use ipclusterz_runtime::wire::part::{Packed, unpack};
use ipclusterz_runtime::wire::resend::Sending;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::rc::Rc;
use std::sync::Weak;
use std::time::Instant;

/// The function that all tasks call, as far as the controller knows: its code travels once to each engine.
const FUNCTION: FunctionName = FunctionName(*b"simulated client");
const CODE: &[u8] = b"a number that is made of the key";

/// One client.
pub struct Client {
    options: Rc<ClientOptions>,
    /// Which of all clients it is.
    number: u16,
    /// How many tasks it submits in all.
    tasks: usize,
    random: Random,
    uuid: String,
    core: Core,
    ledger: Ledger,
    /// What is sent again, before anything else.
    again: Vec<Sending>,
    /// When a session without a connection is given up.
    give_up: Option<Instant>,
    ended: Option<String>,
}

impl Client {
    /// The client of this number, which submits so many tasks.
    pub fn new(options: Rc<ClientOptions>, number: u16, tasks: usize) -> Client {
        Client {
            random: Random::new(options.seed, number),
            options,
            number,
            tasks,
            uuid: places::random_hex(16),
            core: Core::default(),
            ledger: Ledger::default(),
            again: Vec::new(),
            give_up: None,
            ended: None,
        }
    }

    /// What it has submitted, and what was answered.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Why it has ended, if it has.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    fn established(&mut self, welcome: Welcome) {
        if welcome.resumed.is_none() {
            self.ledger.lose_open("the controller does not know this client any more");
        }
        self.give_up = None;
        self.again = self.core.established(welcome, wall_clock());
    }

    fn lost(&mut self, reason: &str, session: &mut Session) {
        self.again.clear();
        match self.core.interrupted(reason) {
            Some((grace, resume)) => {
                self.give_up.get_or_insert_with(|| deadline(grace));
                session.set_resume(Some(resume));
            }
            None => self.lose_session(reason, session),
        }
    }

    /// The session is over; the next connection starts a new one.
    fn lose_session(&mut self, reason: &str, session: &mut Session) {
        self.give_up = None;
        self.again.clear();
        session.set_resume(None);
        self.core.lost(reason, wall_clock());
        self.ledger.lose_open(reason);
    }

    fn end(&mut self, reason: &str, session: &mut Session) {
        self.lose_session(reason, session);
        self.ended.get_or_insert_with(|| reason.to_owned());
    }

    fn message(&mut self, channel: Channel, message: Message, payload: Vec<Frame>, session: &mut Session) {
        match &message {
            Message::Reply(reply) => self.check(reply, &payload),
            Message::Goodbye(goodbye) => self.end(&goodbye.reason, session),
            _ => {}
        }
        // No folder of segments: it has said that it has none.
        let unpack = |frames, reply: &Reply| unpack(frames, &reply.segments, None).map_err(|error| error.to_string());
        self.core.message(channel, message, payload, wall_clock(), unpack);
    }

    fn check(&mut self, reply: &Reply, payload: &[Frame]) {
        // Requests are numbered from 1, and each has one target.
        let number = usize::try_from(reply.request.0).unwrap_or(usize::MAX).wrapping_sub(1);
        let bytes = payload.first().map_or(&[][..], |frame| frame);
        self.ledger.answer(number, reply.engine, &reply.outcome, bytes);
    }

    /// Submits as many tasks as may be under way.
    fn submit(&mut self) {
        if self.core.standing.is_none() || self.core.is_away() {
            return;
        }
        while self.ledger.submitted() < self.tasks && self.ledger.open() < self.options.window() {
            let number = u32::try_from(self.ledger.submitted()).unwrap_or(u32::MAX);
            let key = Key::new(self.options.seed, self.number, number);
            let target = self.target();
            self.ledger.submit(key, target);
            self.submit_task(key, target);
        }
    }

    /// The engine that a task is sent to by its id, if it is one of those tasks.
    fn target(&mut self) -> Option<EngineId> {
        if self.random.share() >= self.options.direct {
            return None;
        }
        let index = self.random.index(self.core.engines.len());
        self.core.engines.keys().nth(index).copied()
    }

    fn submit_task(&mut self, key: Key, target: Option<EngineId>) {
        let placement = match target {
            Some(engine) => Placement::Engines(vec![engine]),
            None => Placement::Balanced { retries: self.options.retries, engines: None, duration: None },
        };
        let bytes = key.bytes();
        let packed = Packed { frames: vec![bytes[..].into()], segments: vec![], bytes: bytes.len() as u64 };
        let id = self.core.number(1);
        let function = Some((FUNCTION, self.core.functions.code(FUNCTION, CODE)));
        self.core.submit(Outgoing {
            id,
            placement,
            op: Op::Apply,
            function,
            packed,
            pending: Weak::new(),
            base: 0,
            count: 1,
            collective: false,
            timeout: None,
            keep: None,
            name: None,
            about: None,
            part: 0,
            terms: None,
            map: None,
            rank: 0,
        });
    }

    fn is_done(&self) -> bool {
        self.ledger.submitted() == self.tasks && self.ledger.open() == 0
    }
}

impl Peer for Client {
    fn hello(&self) -> Hello {
        Hello::new(Role::Client, self.uuid.clone(), places::host_name(), std::process::id())
    }

    fn take(&mut self, event: SessionEvent, session: &mut Session) {
        match event {
            SessionEvent::Established(welcome) => self.established(welcome),
            SessionEvent::Lost(reason) => self.lost(&reason, session),
            SessionEvent::Refused(reason) | SessionEvent::Ended(reason) => self.end(&reason, session),
            SessionEvent::OtherVersion(refused) => self.end(&refused.reason, session),
            // It is asked again. The latter is for agents.
            SessionEvent::Crowded(_) | SessionEvent::OfStrand(..) => {}
            SessionEvent::Message(channel, message, payload) => self.message(channel, message, payload, session),
        }
    }

    fn sends(&mut self, session: &mut Session) -> Vec<Sending> {
        if self.give_up.is_some_and(|at| at <= Instant::now()) {
            self.lose_session("there was no connection for too long", session);
        }
        self.submit();
        let mut sends = std::mem::take(&mut self.again);
        sends.extend(self.core.outgoing(vec![]));
        if self.is_done() && self.ended.is_none() {
            let reason = "all tasks are answered".to_owned();
            sends.push((Channel::Data, Message::Goodbye(Goodbye { reason: reason.clone(), taken: false }), vec![]));
            self.ended = Some(reason);
        }
        sends
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use ipclusterz_base::ids::RequestId;
    use ipclusterz_runtime::wire::message::Outcome;

    /// A client that has submitted so many tasks, and no controller.
    fn client(tasks: u32) -> Client {
        let words = "peers clients --connection client.json -n 1 --tasks 9 --seed 5".split(' ');
        let Command::Clients(options) = Arguments::parse_from(words).command else { panic!("clients were asked for") };
        let mut client = Client::new(Rc::new(options), 3, 9);
        (0..tasks).for_each(|number| client.ledger.submit(Key::new(5, 3, number), None));
        client
    }

    fn answer(client: &mut Client, request: u64, bytes: &[u8]) {
        let (request, engine, outcome, segments) = (RequestId(request), Some(EngineId(0)), Outcome::Ok, vec![]);
        let reply = Reply { request, position: 0, engine, outcome, started: 0.0, completed: 0.0, segments };
        client.check(&reply, &[bytes.into()]);
    }

    #[test]
    fn each_reply_from_the_wire_is_checked_also_one_that_the_core_would_drop() {
        let mut client = client(3);
        let right = |number| Key::new(5, 3, number).answer();
        answer(&mut client, 1, &right(0));
        answer(&mut client, 2, &right(0));
        answer(&mut client, 1, &right(0));
        answer(&mut client, 0, &right(0));
        answer(&mut client, 4, &right(3));
        let counts = client.ledger().counts();
        assert_eq!((counts.ok, counts.wrong, counts.doubled, counts.missing), (1, 3, 1, 1), "{counts:?}");
    }

    #[test]
    fn nothing_is_submitted_without_a_session() {
        let mut client = client(0);
        client.submit();
        assert_eq!(client.ledger().submitted(), 0);
    }
}
