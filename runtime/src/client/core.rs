//! A client's state: its session, the requests under way, and those that wait until the controller's window has room.
//! Pure.
//!
//! Responsible for how a session begins, breaks, resumes and ends. What is sent is in `core/sending.rs`, what arrives
//! in `core/receiving.rs`.

mod receiving;
mod sending;

use super::answer_id::AnswerId;
use super::event::Event;
use super::functions::Functions;
use super::numbers::Numbers;
use super::pending::Pending;
use super::questions::Questions;
use super::request::{Outgoing, UnderWay};
use crate::inspections::Inspections;
use crate::recent::Recent;
use crate::wire::message::{
    Abort, Ack, Away, EngineInfo, EngineLeft, EnginesExpected, Fate, OfSession, Outcome, Placement, Resume, Status,
    Welcome, Window,
};
use crate::wire::resend::{Sending, Sent};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::num::Saturating;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Most events that are kept.
const EVENTS_MAX: usize = 1024;

/// How many engines that are gone are remembered by their ids.
const GONE_MAX: usize = 4096;

/// What became of the last engine with an id that none has now.
#[derive(Debug)]
pub struct Gone(pub Recent<EngineId, EngineLeft>);

impl Default for Gone {
    fn default() -> Self {
        Gone(Recent::new(GONE_MAX))
    }
}

/// The session as far as the core cares.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// This client's number at the controller.
    pub peer: PeerId,
    window: Window,
    /// How long the session outlives its connections; zero: it ends with them.
    pub grace: Duration,
    /// The controller knows the terms of requests.
    pub terms: bool,
    /// The controller tells what happens.
    pub events: bool,
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
    /// Those of them that have no connection, as was said at that time.
    pub absent: BTreeMap<EngineId, (Away, f64)>,
    /// What the launcher says of engines that are to come.
    pub expected: Option<EnginesExpected>,
    /// What became of the last engine with an id that none has now.
    pub gone: Gone,
    /// The last answer to a status request, and how many there were.
    pub status: (u64, Option<Status>),
    /// Which session this is; none where the controller knows no sessions with names.
    pub session: Option<OfSession>,
    /// Questions about work of the past.
    pub questions: Questions,
    /// Answers to what engines were asked.
    pub inspections: Inspections,
    /// What happened; beyond a limit the oldest are dropped.
    pub events: VecDeque<Event>,
    /// What was submitted here.
    pub numbers: Numbers,
    last_request: Saturating<u64>,
    /// What waits to be sent, by number, so that each is quickly found and removed.
    backlog: BTreeMap<RequestId, Outgoing>,
    backlog_bytes: Saturating<u64>,
    /// In which order it is sent; some may have been given up.
    order: BTreeSet<(Reverse<i32>, RequestId)>,
    /// Those that were given up before they were sent, and how they ended.
    unsent: BTreeMap<RequestId, Fate>,
    /// Those that were claimed before they were sent, and are done here.
    doing: BTreeSet<RequestId>,
    requests: HashMap<RequestId, UnderWay>,
    open_replies: Saturating<u64>,
    open_bytes: Saturating<u64>,
    received: Ack,
    acked: Ack,
    /// Bytes of payload received, and as many when that was acknowledged last.
    received_bytes: Saturating<u64>,
    acked_bytes: Saturating<u64>,
    /// Acknowledge at once: a segment stays until its reply is acknowledged, and an acknowledgement may have been lost.
    acknowledge: bool,
    /// What another client aborted, to be sent behind all that was sent before.
    abort: Option<Abort>,
    token: String,
    /// There is no connection; the session is resumed when there is one.
    away: bool,
    sent: Sent,
    /// Answers to requests that this client has not submitted, while it is asked what others have under way.
    early: Option<HashSet<AnswerId>>,
}

impl Core {
    /// A session is established or resumed. What has to be sent again, before anything else.
    pub fn established(&mut self, welcome: Welcome, now: f64) -> Vec<Sending> {
        let is_this =
            self.standing.is_some_and(|standing| standing.peer == welcome.peer) && welcome.is_of_session(&self.token);
        if let Some(arrived) = welcome.resumed.filter(|_| is_this)
            && std::mem::take(&mut self.away)
        {
            self.acknowledge = true;
            self.happened(Event::Resumed);
            let heard = self.received.messages;
            self.received.messages = welcome.counted.map_or(heard, |counted| counted.least(heard));
            if self.received.messages != heard {
                // The journal has lost its end: some of what was said holds no more, and what holds is said again.
                self.know_engines(welcome.engines);
            }
            let mut again = self.sent.missing(arrived);
            again.extend(self.questions.again());
            return again;
        }
        self.lost("the controller does not know this client any more", now);
        // A session with a name is kept for longer than can be said.
        let grace = Duration::try_from_secs_f64(welcome.grace).unwrap_or(Duration::MAX);
        self.standing = Some(Standing {
            peer: welcome.peer,
            window: welcome.window,
            grace,
            terms: welcome.terms,
            events: welcome.events,
        });
        self.token = welcome.token;
        self.last_request =
            self.last_request.max(Saturating(welcome.session.as_ref().map_or(0, |session| session.last_request.0)));
        self.session = welcome.session;
        self.sent = Sent::new(!grace.is_zero());
        (self.received, self.acked) = (Ack::default(), Ack::default());
        self.know_engines(welcome.engines);
        self.gone.0.clear();
        Vec::new()
    }

    /// These are the engines that there are.
    fn know_engines(&mut self, engines: Vec<EngineInfo>) {
        let mut known = std::mem::take(&mut self.engines);
        // It is said anew of those that are.
        self.absent.clear();
        for info in engines {
            if known.remove(&info.id).is_none() {
                self.happened(Event::EngineJoined(info.clone()));
            }
            self.engines.insert(info.id, (info.clone(), Arc::from(info.uuid)));
        }
        for id in known.into_keys() {
            let reason = "the controller does not know it any more".to_owned();
            self.gone.0.insert(id, EngineLeft { id, reason: reason.clone(), more: false });
            self.happened(Event::EngineLeft { id, reason });
        }
    }

    /// The connection broke. If the session outlives that: for how long, and how to resume it.
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

    /// The session is over: everything under way is lost, because the controller drops a client that has left.
    pub fn lost(&mut self, reason: &str, now: f64) {
        self.away = false;
        self.sent = Sent::default();
        if self.standing.take().is_none() {
            return;
        }
        self.engines.clear();
        self.absent.clear();
        self.abort = None;
        self.functions.session_lost();
        (self.open_replies, self.open_bytes, self.backlog_bytes) = Default::default();
        let outcome = Outcome::Lost(reason.to_owned());
        let waiting = std::mem::take(&mut self.backlog).into_values();
        let waiting = waiting.map(|outgoing| (outgoing.pending, outgoing.base, outgoing.count));
        let under_way = self.requests.drain().map(|(_, request)| (request.pending, request.base, request.count));
        for (pending, base, count) in waiting.chain(under_way) {
            if let Some(pending) = pending.upgrade() {
                (base..).take(count).for_each(|index| pending.abandon(index, &outcome, now));
            }
        }
        self.happened(Event::Disconnected { reason: reason.to_owned() });
    }

    /// Somebody waits for the answers to a request that another client of this session has submitted.
    pub fn adopt(&mut self, request: RequestId, pending: Weak<Pending>, base: usize, count: usize) {
        if let Some(unsent) = self.backlog.get_mut(&request) {
            // It is this client's own, and nobody has waited for it any more.
            (unsent.pending, unsent.base) = (pending, base);
            return;
        }
        let known = self.requests.remove(&request);
        let (balanced, unwanted) = known.as_ref().map_or((true, false), |known| (known.balanced, known.unwanted));
        let bytes = known.as_ref().map_or(0, |known| known.bytes);
        let function = known.as_ref().and_then(|known| known.function);
        let before = known.map_or(Saturating(0), |known| known.open);
        let open = Saturating(count);
        self.requests.insert(request, UnderWay { pending, base, count, open, bytes, balanced, unwanted, function });
        self.open_replies += open.0 as u64;
        self.open_replies -= before.0 as u64;
    }

    /// It is going to be asked what other clients of this session have under way: see [`Core::count_foreign`].
    pub fn expect_foreign(&mut self) {
        self.early = Some(HashSet::new());
    }

    /// These answers are missing of requests that other clients of this session have submitted, as was found some time after
    /// [`Core::expect_foreign`]. Those that came meanwhile are not.
    pub fn count_foreign(&mut self, open: impl IntoIterator<Item = AnswerId>) {
        let early = self.early.take().unwrap_or_default();
        for id in open.into_iter().filter(|id| !early.contains(id)) {
            let request = self.requests.entry(id.request).or_insert_with(|| UnderWay {
                pending: Weak::new(),
                base: 0,
                // Nobody here knows of how many.
                count: usize::MAX,
                open: Saturating(0),
                bytes: 0,
                balanced: true,
                unwanted: false,
                function: None,
            });
            request.open += 1;
            self.open_replies += 1;
        }
    }

    fn happened(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Requests that lack answers, sent or not.
    pub fn under_way(&self) -> usize {
        self.requests.len().saturating_add(self.backlog.len())
    }

    /// How many answers will not come if this client leaves: those of tasks for any engine, and of what cannot be sent for
    /// now; and how many are missing in all.
    pub fn unanswered(&self) -> (usize, usize) {
        let full = self.standing.is_none_or(|standing| self.open_replies.0 >= standing.window.replies);
        let is_balanced = |outgoing: &Outgoing| matches!(outgoing.placement, Placement::Balanced { .. });
        let wanted = self.requests.values().filter(|request| !request.unwanted);
        let sent = wanted.map(|request| (request.balanced, request.open.0));
        let unsent = self.backlog.values().map(|unsent| (full || is_balanced(unsent), unsent.count));
        sent.chain(unsent).fold((0, 0), |(given_up, all), (is_given_up, count)| {
            let of_these = if is_given_up { count } else { 0 };
            (given_up.saturating_add(of_these), all.saturating_add(count))
        })
    }

    /// Whether the controller has all that was submitted; or there is none any more.
    pub fn is_taken(&self) -> bool {
        self.standing.is_none() || (self.backlog.is_empty() && self.sent.is_empty())
    }

    /// Whether everything that was submitted was sent; or there is no controller any more.
    pub fn is_sent(&self) -> bool {
        self.standing.is_none() || self.backlog.is_empty()
    }

    /// Whether there was such a request; the position is checked as long as the request is known.
    pub fn was_submitted(&self, id: AnswerId) -> bool {
        let count = self
            .requests
            .get(&id.request)
            .map(|request| request.count)
            .or(self.backlog.get(&id.request).map(|unsent| unsent.count));
        (1..=self.last_request.0).contains(&id.request.0) && count.is_none_or(|count| (id.position as usize) < count)
    }

    /// Whether this answer has not arrived. If nobody holds it, it counts until its request has all its answers.
    pub fn is_under_way(&self, id: AnswerId) -> bool {
        match self.requests.get(&id.request) {
            Some(under_way) => {
                let pending = under_way.pending.upgrade();
                let index = under_way.index(id.position);
                pending.zip(index).is_none_or(|(pending, index)| !pending.is_done(index))
            }
            None => self.backlog.contains_key(&id.request),
        }
    }
}
