//! What an engine keeps of its session, so that this outlives connections and controllers: what it has sent and the controller may not
//! have, and how much it has received. Pure.

use crate::wire::message::{Ack, Counts, Message, Resume, Welcome};
use crate::wire::resend::{Sending, Sent};
use crate::wire::weight::bytes_of;
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::PeerId;
use std::num::Saturating;

/// After so many messages the controller is told what has arrived.
const ACK_MESSAGES: u64 = 64;
/// The same in bytes.
const ACK_BYTES: u64 = 1 << 20;

/// How a session stands that was established.
#[derive(Debug, PartialEq)]
pub enum Course {
    /// It is a new one: nothing of a former one counts any more.
    New,
    /// It goes on: this has to be sent again. Of what has arrived on `data`, what is behind the number was given out by a
    /// controller whose journal does not have it.
    Resumed(Vec<Sending>, Option<u64>),
}

/// One session.
#[derive(Debug, Default)]
pub struct Keeping {
    session: Option<(PeerId, String)>,
    /// There is no connection.
    away: bool,
    sent: Sent,
    received: Counts,
    bytes: Saturating<u64>,
    /// What the controller was told of these: messages and bytes.
    told: (u64, u64),
}

impl Keeping {
    /// There is a connection, and the controller has said how the session stands.
    pub fn established(&mut self, welcome: &Welcome) -> Course {
        let is_this = self.session.as_ref().is_some_and(|(peer, _)| *peer == welcome.peer);
        let goes_on = std::mem::take(&mut self.away) && is_this;
        if let Some(arrived) = welcome.resumed.filter(|_| goes_on) {
            let counted = welcome.counted.unwrap_or(self.received).least(self.received);
            let lost = (counted.data < self.received.data).then_some(counted.data);
            self.received = counted;
            return Course::Resumed(self.sent.missing(arrived), lost);
        }
        let keep = welcome.grace > 0.0;
        *self = Keeping {
            session: keep.then(|| (welcome.peer, welcome.token.clone())),
            sent: Sent::new(keep),
            ..Keeping::default()
        };
        Course::New
    }

    /// The connection broke. How to go on, if the session outlives that.
    pub fn interrupted(&mut self) -> Option<Resume> {
        let (peer, token) = self.session.clone()?;
        self.away = true;
        Some(Resume { peer, token, received: self.received })
    }

    /// A message goes to the controller: now, or when there is a connection again. Whether it is to be sent now.
    pub fn say(&mut self, channel: Channel, message: &Message, payload: &[Frame]) -> bool {
        self.sent.push(channel, message, payload);
        !self.away
    }

    /// A message came. What the controller is to be told of that now.
    pub fn heard(&mut self, channel: Channel, message: &Message, payload: &[Frame]) -> Option<Message> {
        if let Message::Received(counts) = message {
            self.sent.arrived(*counts);
        }
        self.received.count(channel, message);
        self.bytes += bytes_of(payload, &[]);
        let (messages, bytes) = (self.received.total(), self.bytes.0);
        let news =
            messages.saturating_sub(self.told.0) >= ACK_MESSAGES || bytes.saturating_sub(self.told.1) >= ACK_BYTES;
        if !news || !self.sent.keeps() {
            return None;
        }
        self.told = (messages, bytes);
        Some(Message::Ack(Ack { messages: self.received, ..Ack::default() }))
    }

    /// How much has arrived on `data`.
    pub fn arrived(&self) -> u64 {
        self.received.data
    }

    /// Messages that the controller may not have.
    pub fn kept(&self) -> usize {
        self.sent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Empty, NeedFunction, Window};
    use ipclusterz_base::ids::{EngineId, TaskId};

    fn welcome(resumed: Option<Counts>, counted: Option<Counts>) -> Welcome {
        let window = Window { replies: 1, bytes: 1, request_bytes: 1 };
        let new = Welcome::new(PeerId(1), "t".to_owned(), window);
        Welcome { engine_id: Some(EngineId(0)), grace: 60.0, resumed, counted, ..new }
    }

    fn counts(data: u64) -> Counts {
        Counts { control: 0, data }
    }

    #[test]
    fn what_a_dead_controller_did_not_have_is_said_again() {
        let mut keeping = Keeping::default();
        assert!(keeping.interrupted().is_none(), "there is no session yet");
        assert_eq!(keeping.established(&welcome(None, None)), Course::New);
        let said = |number| Message::NeedFunction(NeedFunction { task: TaskId(number) });
        assert!(keeping.say(Channel::Data, &said(1), &[]));
        assert!(keeping.interrupted().is_some());
        assert!(!keeping.say(Channel::Data, &said(2), &[]), "there is nobody");
        let again = vec![(Channel::Data, said(2), vec![])];
        assert_eq!(keeping.established(&welcome(Some(counts(1)), Some(counts(0)))), Course::Resumed(again, None));
        assert!(keeping.heard(Channel::Data, &Message::Received(counts(2)), &[]).is_none());
        assert_eq!(keeping.kept(), 0);
    }

    #[test]
    fn what_the_journal_has_lost_does_not_count() {
        let mut keeping = Keeping::default();
        keeping.established(&welcome(None, None));
        let told: Vec<bool> = (0..ACK_MESSAGES)
            .map(|_| keeping.heard(Channel::Data, &Message::StatusRequest(Empty {}), &[]).is_some())
            .collect();
        assert_eq!(told.iter().position(|told| *told), Some(ACK_MESSAGES as usize - 1));
        assert_eq!(keeping.interrupted().map(|resume| resume.received), Some(counts(64)));
        let course = keeping.established(&welcome(Some(counts(0)), Some(counts(60))));
        assert_eq!((course, keeping.arrived()), (Course::Resumed(vec![], Some(60)), 60));
        keeping.interrupted();
        assert_eq!(keeping.established(&welcome(None, None)), Course::New, "it does not know this engine");
    }
}
