//! What is sent: requests, as far as the window has room, and acknowledgements.

use super::{Core, Standing};
use crate::client::request::{Outgoing, UnderWay};
use crate::wire::Channel;
use crate::wire::message::{
    Ended, Fate, ForgetFunctions, Fulfilled, FunctionName, Message, OUTPUT_WINDOW, Outcome, Parent, Placement, Request,
    Terms, Window,
};
use crate::wire::resend::Sending;
use ipclusterz_base::ids::RequestId;
use serde_bytes::ByteBuf;
use std::cmp::Reverse;
use std::num::Saturating;
use std::ops::Range;
use std::sync::Arc;

/// After so many messages an acknowledgement is sent.
const ACK_MESSAGES: u64 = 64;
/// After so many bytes an acknowledgement is sent: before an engine waits for it ([`OUTPUT_WINDOW`]).
const ACK_BYTES: u64 = OUTPUT_WINDOW / 4;

impl Core {
    /// Reserves numbers for so many requests and returns the first; they must be submitted before any other.
    pub fn number(&mut self, requests: usize) -> RequestId {
        let first = RequestId(self.last_request.0.saturating_add(1));
        self.last_request += requests as u64;
        first
    }

    /// In which order requests with these terms are sent: those of a higher rank first.
    pub fn rank_of(&self, terms: Option<&Terms>) -> i32 {
        let Some(terms) = terms else { return 0 };
        let own = terms.parents().filter(|parent| parent.is_own_and_open());
        let unsent = own.flat_map(|parent| self.backlog.range(parent.requests())).map(|(_, parent)| parent.rank);
        // What it waits for comes first, whatever its priority is.
        unsent.fold(terms.priority, i32::min)
    }

    /// Queues a request until there is room.
    pub fn submit(&mut self, outgoing: Outgoing) {
        self.backlog_bytes += outgoing.packed.bytes;
        self.order.insert((Reverse(outgoing.rank), outgoing.id));
        self.backlog.insert(outgoing.id, outgoing);
    }

    /// Requests submitted and not sent.
    pub fn backlog(&self) -> usize {
        self.backlog.len()
    }

    /// Bytes submitted and not sent.
    pub fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes.0
    }

    /// Everything that may be sent now.
    pub fn next_sends(&mut self) -> Vec<Sending> {
        let Some(Standing { window, .. }) = self.standing else { return Vec::new() };
        let abort = self.abort.take().map(|abort| (Channel::Data, Message::Abort(abort), vec![]));
        let mut sends: Vec<Sending> = abort.into_iter().collect();
        // Before new ones: the controller keeps only so many.
        sends.extend(forget(self.functions.evict()));
        while let Some(outgoing) = self.next_that_fits(window) {
            // One that was given up before it was sent is not kept by the controller either.
            let once = outgoing.function.as_ref().map(|(name, _)| *name).filter(|name| !self.functions.knows(*name));
            sends.push(self.send(outgoing));
            sends.extend(forget(once.into_iter().collect()));
        }
        sends.extend(self.acknowledgement());
        sends
    }

    /// The next request of the backlog: none that waits for what is done here, of which the controller will not hear.
    fn next_unsent(&mut self) -> Option<RequestId> {
        while let Some((_, id)) = self.order.first()
            && !self.backlog.contains_key(id)
        {
            self.order.pop_first();
        }
        if self.doing.is_empty() {
            return self.order.first().map(|(_, id)| *id);
        }
        let may_go = |id: &RequestId| self.backlog.get(id).is_some_and(|outgoing| !self.waits_here(outgoing));
        self.order.iter().map(|(_, id)| *id).find(may_go)
    }

    fn waits_here(&self, outgoing: &Outgoing) -> bool {
        let own = outgoing.terms.iter().flat_map(|terms| terms.parents()).filter(|parent| parent.is_own_and_open());
        own.map(Parent::requests).any(|requests| {
            self.doing.range(requests.clone()).next().is_some() || self.backlog.range(requests).next().is_some()
        })
    }

    /// Takes the next request out of the backlog, if the window has room for it.
    fn next_that_fits(&mut self, window: Window) -> Option<Outgoing> {
        let id = self.next_unsent()?;
        let next = self.backlog.get(&id)?;
        let fits = (self.open_replies + Saturating(next.count as u64)).0 <= window.replies
            && (self.open_bytes + Saturating(next.packed.bytes)).0 <= window.bytes;
        // A request larger than the window goes alone.
        if fits || self.open_replies.0 == 0 { self.backlog.remove(&id) } else { None }
    }

    /// Whether results keep hardly any more text.
    pub fn set_full(&mut self, full: bool) {
        self.received.full = full;
    }

    /// Acknowledges what was received, if that is enough to be worth a message.
    fn acknowledgement(&mut self) -> Option<Sending> {
        let bytes = (self.received_bytes - self.acked_bytes).0;
        let messages = self.received.messages.total().saturating_sub(self.acked.messages.total());
        let changed = self.received.full != self.acked.full;
        if messages < ACK_MESSAGES && bytes < ACK_BYTES && !self.acknowledge && !changed {
            return None;
        }
        self.acked = self.received;
        self.acked_bytes = self.received_bytes;
        self.acknowledge = false;
        Some((Channel::Control, Message::Ack(self.acked), vec![]))
    }

    /// What is sent now: `first`, and everything that may be sent. Without a connection this is nothing: all of it is
    /// sent again when there is one.
    pub fn outgoing(&mut self, first: Vec<Sending>) -> Vec<Sending> {
        let mut sends = first;
        sends.extend(self.next_sends());
        for (channel, message, payload) in &sends {
            self.sent.push(*channel, message, payload);
        }
        if self.away { Vec::new() } else { sends }
    }

    fn send(&mut self, outgoing: Outgoing) -> Sending {
        let Outgoing { id, placement, op, function, packed, pending, base, count, .. } = outgoing;
        let Outgoing { collective, timeout, keep, name: label, about, part, terms, map, .. } = outgoing;
        let mut terms = terms.map(Arc::unwrap_or_clone).map(Box::new);
        terms.iter_mut().for_each(|terms| self.say_what_was_not_sent(terms));
        self.backlog_bytes -= packed.bytes;
        self.open_replies += count as u64;
        self.open_bytes += packed.bytes;
        let name = function.as_ref().map(|(name, _)| *name);
        let balanced = matches!(placement, Placement::Balanced { .. });
        let (open, bytes, unwanted) = (Saturating(count), packed.bytes, false);
        let under_way = UnderWay { pending, base, count, open, bytes, balanced, unwanted, function: name };
        self.requests.insert(id, under_way);
        let mut payload = packed.frames;
        let carries_function = match function {
            Some((name, code)) if self.functions.first_use(name) => {
                payload.insert(0, code);
                true
            }
            _ => false,
        };
        let segments = packed.segments;
        let about = about.map(ByteBuf::from);
        let request = Request {
            id,
            placement,
            op,
            function: name,
            carries_function,
            segments,
            collective,
            timeout,
            keep,
            name: label,
            about,
            part,
            terms,
            map,
        };
        (Channel::Data, Message::Request(request), payload)
    }

    /// The controller has never heard of requests that were given up before they were sent.
    fn say_what_was_not_sent(&self, terms: &mut Terms) {
        let is_such =
            |parent: &Parent| parent.is_own_and_open() && self.unsent.range(parent.requests()).next().is_some();
        for dependency in terms.dependencies().filter(|dependency| dependency.on.iter().any(is_such)) {
            let (such, mut others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut dependency.on).into_iter().partition(is_such);
            others.extend(such.iter().flat_map(Parent::tasks).map(|task| {
                let fate = self.unsent.get(&task.request).copied();
                let ended = fate.map(|fate| Ended { fate, engine: None, gone: false });
                Parent { task, count: 1, ended }
            }));
            dependency.on = others;
        }
    }

    /// One that was claimed has ended.
    pub fn fulfilled(&mut self, fulfilled: &Fulfilled) {
        if self.doing.remove(&fulfilled.request) {
            self.unsent.insert(fulfilled.request, fulfilled.fate);
        }
    }

    /// Aborts requests that have not been sent; for the others the controller has to be asked. With `claim` they are done here.
    pub fn abort_unsent(&mut self, requests: Option<&Range<RequestId>>, claim: bool, now: f64) {
        let aborted: Vec<Outgoing> = match requests {
            Some(Range { start, end }) => {
                self.backlog.extract_if(start..end, |_, _| true).map(|(_, unsent)| unsent).collect()
            }
            None => std::mem::take(&mut self.backlog).into_values().collect(),
        };
        let meant = |id: &RequestId| requests.is_none_or(|requests| requests.contains(id));
        self.requests.iter_mut().filter(|(id, _)| meant(id)).for_each(|(_, request)| request.unwanted = true);
        for outgoing in aborted {
            if claim {
                self.doing.insert(outgoing.id);
            } else {
                self.unsent.insert(outgoing.id, Fate::Aborted);
            }
            self.backlog_bytes -= outgoing.packed.bytes;
            if let Some(pending) = outgoing.pending.upgrade() {
                let indexes = (outgoing.base..).take(outgoing.count);
                indexes.for_each(|index| pending.abandon(index, &Outcome::Aborted, now));
            }
        }
    }
}

/// The controller is to forget these functions.
fn forget(functions: Vec<FunctionName>) -> Option<Sending> {
    let some = !functions.is_empty();
    some.then(|| (Channel::Data, Message::ForgetFunctions(ForgetFunctions { functions }), vec![]))
}
