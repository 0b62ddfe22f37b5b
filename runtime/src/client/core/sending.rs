//! What is sent: requests, as far as the window has room, and acknowledgements.

use super::{Core, Standing};
use crate::client::request::{Outgoing, UnderWay};
use crate::wire::Channel;
use crate::wire::message::{ForgetFunctions, Message, Outcome, Request, Window};
use crate::wire::resend::Sending;
use ipclusterz_base::ids::RequestId;
use std::ops::Range;

/// After so many replies an acknowledgement is sent.
const ACK_REPLIES: u64 = 64;
/// After so many bytes an acknowledgement is sent.
const ACK_BYTES: u64 = 1 << 20;

impl Core {
    /// Reserves numbers for so many requests and returns the first; they must be submitted before any other.
    pub fn number(&mut self, requests: usize) -> RequestId {
        let first = RequestId(self.last_request + 1);
        self.last_request += requests as u64;
        first
    }

    /// Queues a request until there is room.
    pub fn submit(&mut self, outgoing: Outgoing) {
        self.backlog_bytes += outgoing.packed.bytes;
        self.backlog.insert(outgoing.id, outgoing);
    }

    /// Bytes submitted and not sent.
    pub fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes
    }

    /// Everything that may be sent now.
    pub fn next_sends(&mut self) -> Vec<Sending> {
        let Some(Standing { window, .. }) = self.standing else { return Vec::new() };
        let abort = self.abort.take().map(|abort| (Channel::Data, Message::Abort(abort), vec![]));
        let mut sends: Vec<Sending> = abort.into_iter().collect();
        while let Some(outgoing) = self.next_that_fits(window) {
            sends.push(self.send(outgoing));
        }
        let forgotten = self.functions.evict();
        if !forgotten.is_empty() {
            let message = Message::ForgetFunctions(ForgetFunctions { functions: forgotten });
            sends.push((Channel::Data, message, vec![]));
        }
        sends.extend(self.acknowledgement());
        sends
    }

    /// Takes the next request out of the backlog, if the window has room for it.
    fn next_that_fits(&mut self, window: Window) -> Option<Outgoing> {
        let entry = self.backlog.first_entry()?;
        let next = entry.get();
        let fits = self.open_replies + next.count as u64 <= window.replies
            && self.open_bytes + next.packed.bytes <= window.bytes;
        // A request larger than the window goes alone.
        (fits || self.open_replies == 0).then(|| entry.remove())
    }

    /// Acknowledges what was received, if that is enough to be worth a message.
    fn acknowledgement(&mut self) -> Option<Sending> {
        let (replies, bytes) = (self.received.replies - self.acked.replies, self.received.bytes - self.acked.bytes);
        let messages = self.received.messages.total() - self.acked.messages.total();
        let kept = self.sent.keeps() && messages >= ACK_REPLIES;
        if replies < ACK_REPLIES && bytes < ACK_BYTES && !kept && !self.acknowledge {
            return None;
        }
        self.acked = self.received;
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
        let Outgoing { id, placement, op, function, packed, pending, base, count, collective, timeout, keep } =
            outgoing;
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
        let request =
            Request { id, placement, op, function: name, carries_function, segments, collective, timeout, keep };
        (Channel::Data, Message::Request(request), payload)
    }

    /// Aborts requests that have not been sent; for the others the controller has to be asked.
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
}
