//! The two connections of a peer, at the address that was taken, and what goes over which.

use super::bulk::peer::BulkPeer;
use super::dial::Wire;
use super::multipart::Outgoing;
use super::through;
use crate::wire::segment::SegmentFolder;
use crate::wire::strand::Strand;
use crate::wire::{Channel, Frame, Message};
use ipclusterz_base::ids::PeerId;
use std::time::Instant;

/// Both connections at the address that was taken.
pub(super) struct Pair {
    pub control: Wire,
    pub data: Wire,
    /// What is to be sent on either.
    pub outgoing: [Outgoing; 2],
    /// For large frames, beside `data`.
    pub bulk: Option<BulkPeer>,
    /// Who this peer is, once it is known.
    pub peer: PeerId,
    /// When it broke, and why.
    pub broken: Option<(Instant, String)>,
}

impl Pair {
    pub fn wires(&self) -> [&Wire; 2] {
        [&self.control, &self.data]
    }

    pub fn send(
        &mut self,
        channel: Channel,
        message: &Message,
        mut payload: Vec<Frame>,
        agent: Option<&SegmentFolder>,
    ) -> Result<(), zmq::Error> {
        let Pair { control, data, outgoing: [to_control, to_data], bulk, peer, .. } = self;
        match channel {
            Channel::Control => to_control.send(control.socket(), None, [None, None], message, payload),
            Channel::Data => {
                let notes = match (agent, bulk) {
                    (Some(folder), _) => through::shelve(&mut payload, folder, *peer),
                    (None, Some(bulk)) => bulk.load(&mut payload),
                    (None, None) => None,
                };
                to_data.send(data.socket(), None, [None, notes], message, payload)
            }
        }
    }

    /// A message of a strand, the header's frame being the first.
    pub fn send_of_strand(
        &mut self,
        channel: Channel,
        strand: Strand,
        mut frames: Vec<Frame>,
    ) -> Result<(), zmq::Error> {
        let Pair { control, data, outgoing: [to_control, to_data], bulk, .. } = self;
        let (wire, outgoing, bulk) = match channel {
            Channel::Control => (control, to_control, None),
            Channel::Data => (data, to_data, bulk.as_mut()),
        };
        let payload = frames.get_mut(1..).unwrap_or_default();
        let notes = bulk.and_then(|bulk| bulk.load(payload));
        let frames = [strand.mark()].into_iter().chain(notes).chain(frames).collect();
        outgoing.send_frames(wire.socket(), None, frames)
    }

    pub fn flush(&mut self) -> Result<(), zmq::Error> {
        let Pair { control, data, outgoing: [to_control, to_data], .. } = self;
        to_control.flush(control.socket(), None)?;
        to_data.flush(data.socket(), None)
    }
}
