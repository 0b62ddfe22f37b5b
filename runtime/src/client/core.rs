//! What a client has under way, and what must wait until the controller's window has room. Pure.

use super::answer_id::AnswerId;
use super::functions::Functions;
use super::pending::{Answer, Pending};
use crate::ids::{EngineId, PeerId, RequestId};
use crate::inspections::Inspections;
use crate::wire::message::{
    Ack, EngineInfo, ForgetFunctions, FunctionName, Message, Op, Outcome, Placement, Reply, Request, RequestOutput,
    Resume, Started, Status, Welcome, Window,
};
use crate::wire::part::{Packed, Part};
use crate::wire::resend::{Sending, Sent};
use crate::wire::{Channel, Frame};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Replies after which the controller is told what was received.
const ACK_REPLIES: u64 = 64;
/// Bytes after which it is.
const ACK_BYTES: u64 = 1 << 20;

/// What happened to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new engine is there.
    EngineJoined(EngineInfo),
    /// An engine is gone.
    EngineLeft {
        /// Which.
        id: EngineId,
        /// Why.
        reason: String,
    },
    /// The connection broke; the session is to go on when there is one again, and calls wait for that.
    Interrupted {
        /// Why.
        reason: String,
    },
    /// The session goes on.
    Resumed,
    /// The controller is gone, or there was no connection to it for too long: what was under way is lost.
    Disconnected {
        /// Why.
        reason: String,
    },
}

/// One request on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// Its number.
    pub id: RequestId,
    /// Who is to do it.
    pub placement: Placement,
    /// What to do.
    pub op: Op,
    /// The function to call, and its code.
    pub function: Option<(FunctionName, Frame)>,
    /// The payload.
    pub packed: Packed,
    /// Where its answers go.
    pub pending: Weak<Pending>,
    /// Index there of its first answer.
    pub base: usize,
    /// How many answers it gets.
    pub count: usize,
    /// The engines do it together.
    pub collective: bool,
}

#[derive(Debug)]
struct UnderWay {
    pending: Weak<Pending>,
    base: usize,
    count: usize,
    open: usize,
    bytes: u64,
}

/// The session as far as the core cares.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// This client's number at the controller.
    pub peer: PeerId,
    window: Window,
    /// How long the session outlives its connections; zero: it ends with them.
    pub grace: Duration,
}

impl Standing {
    /// Bytes that one request may have.
    pub fn request_limit(&self) -> u64 {
        self.window.request_bytes
    }
}

/// The state of a client.
#[derive(Debug, Default)]
pub struct Core {
    /// The session, while there is one.
    pub standing: Option<Standing>,
    /// Code of functions.
    pub functions: Functions,
    /// Engines that are there.
    pub engines: BTreeMap<EngineId, (EngineInfo, Arc<str>)>,
    /// The last answer to a status request, and how many there were.
    pub status: (u64, Option<Status>),
    /// Answers to what engines were asked.
    pub inspections: Inspections,
    /// What happened, for whoever asks; the oldest are dropped.
    pub events: VecDeque<Event>,
    last_request: u64,
    /// What waits to be sent, by number, so that any of it is quickly found and taken out.
    backlog: BTreeMap<RequestId, Outgoing>,
    backlog_bytes: u64,
    requests: HashMap<RequestId, UnderWay>,
    open_replies: u64,
    open_bytes: u64,
    received: Ack,
    acked: Ack,
    /// A reply came with a segment, which stays until it is acknowledged; or the last acknowledgement may be lost.
    acknowledge: bool,
    token: String,
    /// There is no connection; the session goes on when there is one.
    away: bool,
    sent: Sent,
}

/// Events that are kept for somebody to ask.
const EVENTS_MAX: usize = 1024;

impl Core {
    /// A session stands, anew or again; what is to be sent (once more) first.
    pub fn established(&mut self, welcome: Welcome, now: f64) -> Vec<Sending> {
        if let Some(arrived) = welcome.resumed
            && std::mem::take(&mut self.away)
        {
            self.acknowledge = true;
            self.happened(Event::Resumed);
            return self.sent.missing(arrived);
        }
        self.lost("the controller does not know this client any more", now);
        let grace = Duration::try_from_secs_f64(welcome.grace).unwrap_or_default();
        self.standing = Some(Standing { peer: welcome.peer, window: welcome.window, grace });
        self.token = welcome.token;
        self.sent = Sent::new(!grace.is_zero());
        (self.received, self.acked) = (Ack::default(), Ack::default());
        let known = std::mem::take(&mut self.engines);
        for info in welcome.engines {
            if !known.contains_key(&info.id) {
                self.happened(Event::EngineJoined(info.clone()));
            }
            self.engines.insert(info.id, (info.clone(), Arc::from(info.uuid)));
        }
        Vec::new()
    }

    /// The connection broke. Where the session outlives that: for how long, and how to ask for it.
    pub fn interrupted(&mut self, reason: &str) -> Option<(Duration, Resume)> {
        let Standing { peer, grace, .. } = self.standing.filter(|standing| !standing.grace.is_zero())?;
        if !std::mem::replace(&mut self.away, true) {
            self.happened(Event::Interrupted { reason: reason.to_owned() });
        }
        Some((grace, Resume { peer, token: self.token.clone(), received: self.received.messages }))
    }

    /// Whether there is a session without a connection.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Messages that the controller may not have received.
    pub fn kept(&self) -> usize {
        self.sent.len()
    }

    /// The session is over: everything under way is lost, for the controller gives up a client that left.
    pub fn lost(&mut self, reason: &str, now: f64) {
        self.away = false;
        self.sent = Sent::default();
        if self.standing.take().is_none() {
            return;
        }
        self.engines.clear();
        self.functions.session_lost();
        (self.open_replies, self.open_bytes, self.backlog_bytes) = (0, 0, 0);
        let outcome = Outcome::Lost(reason.to_owned());
        let waiting = std::mem::take(&mut self.backlog).into_values();
        let waiting = waiting.map(|outgoing| (outgoing.pending, outgoing.base, outgoing.count));
        let under_way = self.requests.drain().map(|(_, request)| (request.pending, request.base, request.count));
        for (pending, base, count) in waiting.chain(under_way) {
            if let Some(pending) = pending.upgrade() {
                (base..base + count).for_each(|index| pending.abandon(index, &outcome, now));
            }
        }
        self.happened(Event::Disconnected { reason: reason.to_owned() });
    }

    /// Numbers for so many requests, which are to be submitted before any other; the first of them.
    pub fn number(&mut self, requests: usize) -> RequestId {
        let first = RequestId(self.last_request + 1);
        self.last_request += requests as u64;
        first
    }

    /// A request is to be sent when there is room.
    pub fn submit(&mut self, outgoing: Outgoing) {
        self.backlog_bytes += outgoing.packed.bytes;
        self.backlog.insert(outgoing.id, outgoing);
    }

    /// Bytes submitted and not sent.
    pub fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes
    }

    /// Everything that may be sent now.
    pub fn next_sends(&mut self) -> Vec<(Channel, Message, Vec<Frame>)> {
        let Some(Standing { window, .. }) = self.standing else { return Vec::new() };
        let mut sends = Vec::new();
        while let Some(entry) = self.backlog.first_entry() {
            let next = entry.get();
            let fits = self.open_replies + next.count as u64 <= window.replies
                && self.open_bytes + next.packed.bytes <= window.bytes;
            // What is larger than the window goes alone.
            if !fits && self.open_replies > 0 {
                break;
            }
            let outgoing = entry.remove();
            sends.push(self.send(outgoing));
        }
        let forgotten = self.functions.evict();
        if !forgotten.is_empty() {
            let message = Message::ForgetFunctions(ForgetFunctions { functions: forgotten });
            sends.push((Channel::Data, message, vec![]));
        }
        let (replies, bytes) = (self.received.replies - self.acked.replies, self.received.bytes - self.acked.bytes);
        let messages = self.received.messages.total() - self.acked.messages.total();
        let kept = self.sent.keeps() && messages >= ACK_REPLIES;
        if replies >= ACK_REPLIES || bytes >= ACK_BYTES || kept || self.acknowledge {
            self.acked = self.received;
            self.acknowledge = false;
            sends.push((Channel::Control, Message::Ack(self.acked), vec![]));
        }
        sends
    }

    /// What goes out now: `first`, and everything that may be sent. Without a connection that is nothing, for all of
    /// it is sent again when there is one.
    pub fn outgoing(&mut self, first: Vec<Sending>) -> Vec<Sending> {
        let mut sends = first;
        sends.extend(self.next_sends());
        for (channel, message, payload) in &sends {
            self.sent.push(*channel, message, payload);
        }
        if self.away { Vec::new() } else { sends }
    }

    fn send(&mut self, outgoing: Outgoing) -> (Channel, Message, Vec<Frame>) {
        let Outgoing { id, placement, op, function, packed, pending, base, count, collective } = outgoing;
        self.backlog_bytes -= packed.bytes;
        self.open_replies += count as u64;
        self.open_bytes += packed.bytes;
        let under_way = UnderWay { pending, base, count, open: count, bytes: packed.bytes };
        self.requests.insert(id, under_way);
        let mut payload = packed.frames;
        let name = function.as_ref().map(|(name, _)| *name);
        let carries_function = match function {
            Some((name, code)) if self.functions.first_use(name) => {
                payload.insert(0, code);
                true
            }
            _ => false,
        };
        let segments = packed.segments;
        let request = Request { id, placement, op, function: name, carries_function, segments, collective };
        (Channel::Data, Message::Request(request), payload)
    }

    /// A message of the controller; `unpack` maps a reply's segments.
    pub fn message(
        &mut self,
        channel: Channel,
        message: Message,
        payload: Vec<Frame>,
        now: f64,
        unpack: impl FnOnce(Vec<Frame>, &Reply) -> Result<Vec<Part>, String>,
    ) {
        self.received.messages.count(channel, &message);
        match message {
            Message::Reply(reply) => self.reply(reply, payload, now, unpack),
            Message::Started(started) => self.started(started),
            Message::RequestOutput(output) => self.output(output, &payload),
            Message::EngineJoined(info) => {
                self.engines.insert(info.id, (info.clone(), Arc::from(info.uuid.as_str())));
                self.happened(Event::EngineJoined(info));
            }
            Message::EngineLeft(left) => {
                self.engines.remove(&left.id);
                self.happened(Event::EngineLeft { id: left.id, reason: left.reason });
            }
            Message::Received(counts) => self.sent.arrived(counts),
            Message::Goodbye(goodbye) => self.lost(&goodbye.reason, now),
            Message::StatusReply(status) => self.status = (self.status.0 + 1, Some(*status)),
            Message::Inspected(inspected) => self.inspections.answered(inspected),
            _ => {}
        }
    }

    fn reply(
        &mut self,
        reply: Reply,
        payload: Vec<Frame>,
        now: f64,
        unpack: impl FnOnce(Vec<Frame>, &Reply) -> Result<Vec<Part>, String>,
    ) {
        self.received.replies += 1;
        self.received.bytes += payload.iter().map(|frame| frame.len() as u64).sum::<u64>();
        self.acknowledge |= !reply.segments.is_empty();
        let Some(request) = self.requests.get_mut(&reply.request) else { return };
        request.open -= 1;
        self.open_replies -= 1;
        let index = request.base + reply.position as usize;
        if let Some(pending) = request.pending.upgrade() {
            let unpacked = unpack(payload, &reply);
            let engine_uuid = reply.engine.and_then(|id| self.engines.get(&id)).map(|(_, uuid)| Arc::clone(uuid));
            let (outcome, parts) = match unpacked {
                Ok(parts) => (reply.outcome, parts),
                Err(problem) => (Outcome::Rejected(problem), vec![]),
            };
            let (started, completed) = (reply.started, reply.completed);
            let answer =
                Answer { outcome, engine: reply.engine, engine_uuid, parts, started, completed, received: now };
            pending.resolve(index, answer);
        }
        if request.open == 0 {
            self.open_bytes -= request.bytes;
            self.requests.remove(&reply.request);
        }
    }

    fn started(&self, started: Started) {
        if let Some(request) = self.requests.get(&started.request)
            && let Some(pending) = request.pending.upgrade()
        {
            pending.started(request.base + started.position as usize);
        }
    }

    fn output(&mut self, output: RequestOutput, payload: &[Frame]) {
        let text = payload.first().map_or(&[][..], |text| text);
        self.received.bytes += text.len() as u64;
        if let Some(request) = self.requests.get(&output.request)
            && let Some(pending) = request.pending.upgrade()
        {
            pending.output(request.base + output.position as usize, output.stream, &String::from_utf8_lossy(text));
        }
    }

    /// Gives up requests that were not sent yet; for the others the controller is asked.
    pub fn abort_unsent(&mut self, requests: Option<&Range<RequestId>>, now: f64) {
        let aborted: Vec<Outgoing> = match requests {
            Some(Range { start, end }) => {
                self.backlog.extract_if(start..end, |_, _| true).map(|(_, unsent)| unsent).collect()
            }
            None => std::mem::take(&mut self.backlog).into_values().collect(),
        };
        for outgoing in aborted {
            self.backlog_bytes -= outgoing.packed.bytes;
            if let Some(pending) = outgoing.pending.upgrade() {
                let indexes = outgoing.base..outgoing.base + outgoing.count;
                indexes.for_each(|index| pending.abandon(index, &Outcome::Aborted, now));
            }
        }
    }

    fn happened(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Requests without all their answers, sent or not.
    pub fn under_way(&self) -> usize {
        self.requests.len() + self.backlog.len()
    }

    /// Whether there was such a request, with so many targets as far as that is still known.
    pub fn was_submitted(&self, id: AnswerId) -> bool {
        let count = self
            .requests
            .get(&id.request)
            .map(|request| request.count)
            .or(self.backlog.get(&id.request).map(|unsent| unsent.count));
        (1..=self.last_request).contains(&id.request.0) && count.is_none_or(|count| (id.position as usize) < count)
    }

    /// Whether an answer is still to come. One that nobody holds counts until its request has all of them.
    pub fn is_under_way(&self, id: AnswerId) -> bool {
        match self.requests.get(&id.request) {
            Some(UnderWay { pending, base, .. }) => {
                pending.upgrade().is_none_or(|pending| !pending.is_done(base + id.position as usize))
            }
            None => self.backlog.contains_key(&id.request),
        }
    }
}
