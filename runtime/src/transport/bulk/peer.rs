//! A peer's side of its link.

use super::driver::{BulkEvent, Driver, LINGER, LinkId, LinkPlan, Manner};
use super::inbox::Shelf;
use super::lane::{Ends, Lane, Whole};
use super::payload::Payload;
use super::secure::Ticket;
use crate::system::has_descriptors;
use crate::transport::wake::Waker;
use crate::wire::Frame;
use crate::wire::message::Bulk;
use crate::wire::parcels::Malformed;
use crate::wire::strand::Strand;
use std::net::SocketAddr;
use std::sync::Arc;

/// How often a link is tried that cannot be made: without one, large frames go through libzmq.
const TRIES: u32 = 4;
/// It takes some descriptors, and none of the last ones.
const SPARED: usize = 16;

/// See the file.
pub struct BulkPeer {
    driver: Driver,
    waker: Arc<Waker>,
    lane: Lane,
    plan: LinkPlan,
    address: SocketAddr,
    tries: u32,
}

impl BulkPeer {
    /// Begins to open the link that a `welcome` offers, at the address of its controller. None where that cannot be.
    /// `through_ssh`: what this peer's connection file says of its addresses. An agent has a `shelf`, where large parcels are kept
    /// that come in.
    pub fn open(bulk: &Bulk, endpoint: &str, through_ssh: bool, shelf: Option<Shelf>) -> Option<BulkPeer> {
        if !has_descriptors(SPARED) {
            return None;
        }
        let address = endpoint.strip_prefix("tcp://")?.parse().ok()?;
        let (id, key) = bulk.parts()?;
        let payload = if bulk.plain { Payload::Plain } else { Payload::ThroughSsh.of_peer(through_ssh) };
        let manner = Manner { payload, compress: bulk.compress };
        let plan = LinkPlan { ticket: Ticket { id, key }, manner, shelf };
        let waker = Arc::new(Waker::new().ok()?);
        let driver = Driver::start(Arc::clone(&waker)).ok()?;
        let lane = Lane::new(LinkId(1), if plan.shelf.is_some() { Ends::AtAgent } else { Ends::Peer });
        driver.dial(lane.link, plan.clone(), address);
        Some(BulkPeer { driver, waker, lane, plan, address, tries: 1 })
    }

    /// To be polled for reading, between `prepare` and `awake` of the waker.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Has large frames of a payload go over the link, if it stands. What goes before the header.
    pub fn load(&mut self, payload: &mut [Frame]) -> Option<Frame> {
        let BulkPeer { driver, lane, .. } = self;
        let link = lane.link;
        lane.load(payload, |parcel, frame| driver.send(link, parcel, frame))
    }

    /// A message has come; it comes back if it is its turn.
    pub fn take(&mut self, strand: Strand, frames: Vec<Frame>) -> Result<Option<Whole>, Malformed> {
        self.lane.take(strand, frames)
    }

    /// No message that is still to come has these parcels.
    pub fn forgotten(&mut self, parcels: Vec<u64>) {
        self.lane.forgotten(parcels);
    }

    /// Whether [`Self::released`] may give something.
    pub fn has_news(&self) -> bool {
        self.driver.has_events()
    }

    /// Messages that wait no longer, and why the link has broken, if it has.
    pub fn released(&mut self) -> (Vec<(Strand, Whole)>, Option<String>) {
        let (mut messages, mut broken) = (Vec::new(), None);
        for event in self.driver.events() {
            match event {
                BulkEvent::Up(_) => self.lane.up = true,
                BulkEvent::Parcel(_, parcel, frame) => {
                    self.lane.arrived(parcel, frame);
                    messages.extend(std::iter::from_fn(|| self.lane.ready()));
                }
                BulkEvent::Down(_, why) if self.lane.up => {
                    self.lane.cut();
                    broken = Some(why);
                }
                BulkEvent::Down(link, why) if self.tries < TRIES => {
                    tracing::debug!("a bulk link is tried again: {why}");
                    self.tries = self.tries.saturating_add(1);
                    self.driver.dial(link, self.plan.clone(), self.address);
                }
                BulkEvent::Down(_, why) => tracing::debug!("there is no bulk link: {why}"),
            }
        }
        (messages, broken)
    }

    /// The session is over: what was sent still goes, within a moment.
    pub fn finish(mut self) {
        self.driver.finish(LINGER);
    }
}
