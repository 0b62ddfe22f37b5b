//! Connections that are not wanted any more, until their handshakes are over.
//!
//! The controller cannot tell whoever breaks a handshake off from a stranger: it counts both and warns. So a connection that has
//! lost a race, or whose session is tried anew, completes its handshake first. Nothing is said on it.

use super::dial::{SILENCE_MAX_MS, Wire};
use std::time::{Duration, Instant};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_millis(SILENCE_MAX_MS.unsigned_abs() as u64);
/// The same where somebody waits for it: as long as a socket lingers.
const AT_THE_END: Duration = Duration::from_millis(500);

/// Connections that are about to be closed.
#[derive(Default)]
pub struct Parting {
    wires: Vec<(Wire, Instant)>,
}

impl Parting {
    /// Closes `wire` as soon as its handshake is over.
    pub fn part_from(&mut self, wire: Wire) {
        wire.give_up();
        if !wire.is_up() {
            self.wires.push((wire, Instant::now() + PATIENCE));
        }
    }

    /// To be polled for reading: `settle` has something to do.
    pub fn poll_items(&self) -> impl Iterator<Item = zmq::PollItem<'_>> {
        self.wires.iter().map(|(wire, _)| wire.monitor().as_poll_item(zmq::POLLIN))
    }

    /// When `settle` is to be called at the latest.
    pub fn next_look(&self) -> Option<Instant> {
        self.wires.iter().map(|(_, until)| *until).min()
    }

    /// Closes what has completed its handshake, has failed, or takes too long.
    pub fn settle(&mut self) {
        let now = Instant::now();
        self.wires.retain(|(wire, until)| *until > now && !is_over(wire));
    }

    /// Closes everything now: what it holds is short.
    pub fn close(&mut self) {
        self.wires.clear();
    }

    /// Closes everything. Handshakes that are under way have a moment.
    pub fn finish(&mut self) {
        let end = Instant::now() + AT_THE_END;
        loop {
            self.settle();
            self.wires.retain(|(wire, _)| wire.is_in_handshake());
            let left = end.saturating_duration_since(Instant::now());
            let mut items: Vec<_> = self.poll_items().collect();
            if items.is_empty() || left.is_zero() || super::poll(&mut items, left).is_err() {
                break;
            }
        }
        self.close();
    }
}

/// Whether the handshake is over, or there will be none: that is what anything that happens to the connection means.
fn is_over(wire: &Wire) -> bool {
    !matches!(wire.next_event(), Ok(None))
}
