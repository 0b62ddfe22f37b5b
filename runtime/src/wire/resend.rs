//! What one side of a session has sent and the other may not have received, so that a session outlives its connections.
//!
//! Either side numbers its messages, for each channel, from 1, without writing the numbers: a connection loses nothing but
//! its end, so it is enough that both count. Of what was sent a copy is kept until the other side says how much has
//! arrived. When a session goes on over new connections, each side tells its counts, and the other sends what is
//! missing, in order: so nothing is lost, and nothing comes twice. Pure.

use super::channel::Channel;
use super::frame::Frame;
use super::message::{Counts, Message};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A message on its way.
pub type Sending = (Channel, Message, Vec<Frame>);

/// Whether a message has a number. Those that have none make a session, end it, or tell what has arrived.
pub fn is_counted(message: &Message) -> bool {
    !matches!(
        message,
        Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Crowded(_)
            | Message::Attach(_)
            | Message::Attached(_)
            | Message::Ack(_)
            | Message::Received(_)
            | Message::Goodbye(_)
            | Message::Query(_)
            | Message::Found(_)
            | Message::Kept(_)
    )
}

impl Counts {
    /// One message more, if it has a number.
    pub fn count(&mut self, channel: Channel, message: &Message) {
        if is_counted(message) {
            match channel {
                Channel::Control => self.control = self.control.saturating_add(1),
                Channel::Data => self.data = self.data.saturating_add(1),
            }
        }
    }

    /// The smaller one of each.
    pub fn least(self, other: Counts) -> Counts {
        Counts { control: self.control.min(other.control), data: self.data.min(other.data) }
    }

    /// On both channels.
    pub fn total(self) -> u64 {
        self.control.saturating_add(self.data)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Messages that have arrived.
    arrived: u64,
    /// Those behind them, as far as it is known.
    kept: VecDeque<(Message, Vec<Frame>)>,
}

impl Lane {
    fn total(&self) -> u64 {
        self.arrived.saturating_add(self.kept.len() as u64)
    }

    fn arrived(&mut self, count: u64) {
        let news = usize::try_from(count.saturating_sub(self.arrived)).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.drain(..news);
        self.arrived = self.arrived.saturating_add(news as u64);
    }
}

/// One direction of a session.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sent {
    keep: bool,
    control: Lane,
    data: Lane,
}

impl Sent {
    /// Of a session that ends with its connections nothing is kept.
    pub fn new(keep: bool) -> Self {
        Sent { keep, ..Sent::default() }
    }

    /// Whether the session can outlive its connections.
    pub fn keeps(&self) -> bool {
        self.keep
    }

    /// A message is sent now, or will be when there is a connection again.
    pub fn push(&mut self, channel: Channel, message: &Message, payload: &[Frame]) {
        if self.keep && is_counted(message) {
            let lane = match channel {
                Channel::Control => &mut self.control,
                Channel::Data => &mut self.data,
            };
            // Frames are shared, not copied.
            lane.kept.push_back((message.clone(), payload.to_vec()));
        }
    }

    /// How much was sent in all.
    pub fn total(&self) -> Counts {
        Counts { control: self.control.total(), data: self.data.total() }
    }

    /// So much has arrived.
    pub fn arrived(&mut self, counts: Counts) {
        self.control.arrived(counts.control);
        self.data.arrived(counts.data);
    }

    /// What is to be sent again, when so much has arrived.
    pub fn missing(&mut self, counts: Counts) -> Vec<Sending> {
        self.arrived(counts);
        let mut missing = self.under_way(Channel::Control);
        missing.extend(self.under_way(Channel::Data));
        missing
    }

    /// What was sent on a channel, and may not have arrived.
    pub fn under_way(&self, channel: Channel) -> Vec<Sending> {
        let lane = match channel {
            Channel::Control => &self.control,
            Channel::Data => &self.data,
        };
        lane.kept.iter().map(|(message, payload)| (channel, message.clone(), payload.clone())).collect()
    }

    /// Whether any of what may be missing is like this.
    pub fn any(&self, like: impl Fn(&Message) -> bool) -> bool {
        self.control.kept.iter().chain(&self.data.kept).any(|(message, _)| like(message))
    }

    /// How much of what may be missing is like this.
    pub fn count(&self, like: impl Fn(&Message) -> bool) -> u64 {
        self.control.kept.iter().chain(&self.data.kept).filter(|(message, _)| like(message)).count() as u64
    }

    /// All that may be missing. Nothing is kept any more.
    pub fn take(&mut self) -> Vec<Sending> {
        let kept = self.missing(Counts::default());
        *self = Sent::new(self.keep);
        kept
    }

    /// Messages that are kept.
    pub fn len(&self) -> usize {
        self.control.kept.len().saturating_add(self.data.kept.len())
    }

    /// None are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Ack, Empty, NeedFunction};
    use ipclusterz_base::ids::TaskId;

    fn numbered(number: u64) -> Message {
        Message::NeedFunction(NeedFunction { task: TaskId(number) })
    }

    #[test]
    fn what_has_not_arrived_is_sent_again_in_order() {
        let mut sent = Sent::new(true);
        for number in 1..=4 {
            sent.push(Channel::Data, &numbered(number), &[]);
            sent.push(Channel::Control, &Message::StatusRequest(Empty {}), &[]);
            sent.push(Channel::Control, &Message::Ack(Ack::default()), &[]);
        }
        sent.arrived(Counts { control: 4, data: 1 });
        // An old count comes late, and one that cannot be.
        sent.arrived(Counts::default());
        let missing = sent.missing(Counts { control: 99, data: 2 });
        let expected = [3, 4].map(|number| (Channel::Data, numbered(number), vec![]));
        assert_eq!(missing, expected);
        assert_eq!(sent.missing(Counts { control: 4, data: 2 }), expected, "until it has arrived");
        sent.arrived(Counts { control: 4, data: 4 });
        assert!(sent.is_empty());
    }

    #[test]
    fn a_session_that_ends_with_its_connections_keeps_nothing() {
        let mut sent = Sent::new(false);
        sent.push(Channel::Data, &numbered(1), &[]);
        assert!(sent.is_empty() && sent.missing(Counts::default()).is_empty());
    }
}
