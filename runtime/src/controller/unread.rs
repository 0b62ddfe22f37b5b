//! What a client was sent and has not said that it has. Data alone.

use crate::wire::message::{Counts, Message};
use crate::wire::resend::is_counted;
use crate::wire::weight::weight;
use crate::wire::{Channel, Frame};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::num::Saturating;

/// Messages on their way to one client.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Unread {
    sent: Counts,
    /// Number and bytes of each.
    control: VecDeque<(u64, u64)>,
    data: VecDeque<(u64, u64)>,
    bytes: Saturating<u64>,
}

impl Unread {
    /// One more is sent.
    pub fn push(&mut self, channel: Channel, message: &Message, payload: &[Frame]) {
        if !is_counted(message) {
            return;
        }
        self.sent.count(channel, message);
        let bytes = weight(message, payload);
        self.bytes += bytes;
        match channel {
            Channel::Control => self.control.push_back((self.sent.control, bytes)),
            Channel::Data => self.data.push_back((self.sent.data, bytes)),
        }
    }

    /// So much has arrived.
    pub fn arrived(&mut self, counts: Counts) {
        for (lane, count) in [(&mut self.control, counts.control), (&mut self.data, counts.data)] {
            while let Some((_, bytes)) = lane.pop_front_if(|(number, _)| *number <= count) {
                self.bytes -= bytes;
            }
        }
    }

    /// The number of the last message on `data`.
    pub fn last(&self) -> u64 {
        self.sent.data
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.bytes.0
    }

    /// How many are no answers: of what happened in the cluster.
    pub fn notices(&self) -> usize {
        self.control.len()
    }
}
