//! Whether it is worth it to compress what goes over a link: if the link is slower than the codec. Pure.
//!
//! How fast a link is shows while its sockets are full: then as much is accepted as arrives at the other end. Where the other end
//! does not read as much as comes, nothing is known of the network. A link whose sockets were not full for a while
//! may have become faster, and is measured again.

use super::sockets::Waits;
use std::time::{Duration, Instant};

/// Bytes are counted for so long at least.
const LOOK: Duration = Duration::from_millis(20);
/// What was measured holds so long.
const HOLDS: Duration = Duration::from_secs(2);
/// Bytes a second that the codec is taken to have before it was used.
const CODEC: f64 = 400e6;
/// The codec has to be so many times faster than the link: it takes the processor from others, and on a machine that has none to spare
/// a link is slow, too.
const MARGIN: f64 = 3.0;
/// A link that was faster a moment ago is taken to be as fast, but for this share of it.
const STAYS: f64 = 0.8;

#[derive(Debug)]
struct Counted {
    since: Instant,
    bytes: usize,
    waits: Waits,
}

impl Counted {
    fn new(since: Instant) -> Counted {
        Counted { since, bytes: 0, waits: Waits::default() }
    }
}

/// What is known of a link.
#[derive(Debug)]
pub(super) struct Thrift {
    /// Nothing is compressed, however slow it is.
    forbidden: bool,
    /// What sockets have accepted since they were full.
    counted: Option<Counted>,
    /// Bytes a second, and when that was measured.
    link: Option<(Instant, f64)>,
    codec: f64,
}

impl Thrift {
    /// Of a link of which nothing is known. `allowed`: anything may be compressed.
    pub fn new(allowed: bool) -> Thrift {
        Thrift { forbidden: !allowed, counted: None, link: None, codec: CODEC }
    }

    /// A socket has accepted bytes.
    pub fn wrote(&mut self, bytes: usize) {
        if let Some(counted) = &mut self.counted {
            counted.bytes = counted.bytes.saturating_add(bytes);
        }
    }

    /// A socket is full; `waits` are its own since it was full before.
    pub fn full(&mut self, now: Instant, waits: Waits) {
        let counted = self.counted.get_or_insert_with(|| Counted::new(now));
        counted.waits.busy = counted.waits.busy.saturating_add(waits.busy);
        counted.waits.for_receiver = counted.waits.for_receiver.saturating_add(waits.for_receiver);
        let passed = now.saturating_duration_since(counted.since);
        if passed >= LOOK {
            let slow_network = counted.waits.for_receiver <= counted.waits.busy / 4;
            let rate = counted.bytes as f64 / passed.as_secs_f64();
            let before = self.link.map_or(0.0, |(_, before)| before * STAYS);
            self.link = slow_network.then(|| (now, rate.max(before)));
            self.counted = Some(Counted::new(now));
        }
    }

    /// There is nothing to send: what is accepted later says nothing of the time up to then.
    pub fn idle(&mut self) {
        self.counted = None;
    }

    /// So many bytes were compressed in this time.
    pub fn pressed(&mut self, bytes: usize, took: Duration) {
        let seconds = took.as_secs_f64().max(1e-9);
        self.codec += (bytes as f64 / seconds - self.codec) / 4.0;
    }

    /// Whether it is worth it to compress now; `links` share the codec.
    pub fn is_worth_it(&self, now: Instant, links: usize) -> bool {
        let known = self.link.filter(|(at, _)| now.saturating_duration_since(*at) < HOLDS);
        !self.forbidden && known.is_some_and(|(_, rate)| rate * links.max(1) as f64 * MARGIN < self.codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that accepts so many bytes a second, for a second.
    fn measured(thrift: &mut Thrift, start: Instant, rate: usize) -> Instant {
        let step = Duration::from_millis(5);
        let mut now = start;
        for _ in 0..200 {
            thrift.full(now, Waits::default());
            thrift.wrote(rate / 200);
            now += step;
        }
        now
    }

    #[test]
    fn a_link_that_is_slower_than_the_codec_is_spared() {
        let (mut thrift, start) = (Thrift::new(true), Instant::now());
        assert!(!thrift.is_worth_it(start, 1), "nothing is known yet");
        let now = measured(&mut thrift, start, 125_000_000);
        assert!(thrift.is_worth_it(now, 1));
        assert!(!thrift.is_worth_it(now, 2), "two that share the codec");
        let now = measured(&mut thrift, now, 1_250_000_000);
        assert!(!thrift.is_worth_it(now, 1));
    }

    #[test]
    fn what_was_measured_does_not_hold_for_ever() {
        let mut thrift = Thrift::new(true);
        let now = measured(&mut thrift, Instant::now(), 1_000_000);
        assert!(thrift.is_worth_it(now + HOLDS / 2, 1));
        assert!(!thrift.is_worth_it(now + 2 * HOLDS, 1));
    }

    #[test]
    fn a_slow_codec_is_not_used() {
        let mut thrift = Thrift::new(true);
        let now = measured(&mut thrift, Instant::now(), 125_000_000);
        (0..20).for_each(|_| thrift.pressed(1 << 20, Duration::from_millis(10)));
        assert!(!thrift.is_worth_it(now, 1));
    }

    #[test]
    fn a_pause_is_not_taken_for_a_slow_link() {
        let (mut thrift, start) = (Thrift::new(true), Instant::now());
        thrift.full(start, Waits::default());
        thrift.wrote(1_000_000);
        thrift.idle();
        thrift.full(start + Duration::from_secs(10), Waits::default());
        assert!(!thrift.is_worth_it(start + Duration::from_secs(10), 1));
    }

    #[test]
    fn a_slow_receiver_is_not_taken_for_a_slow_network() {
        let mut thrift = Thrift::new(true);
        let mut now = measured(&mut thrift, Instant::now(), 1_000_000);
        assert!(thrift.is_worth_it(now, 1));
        for _ in 0..4 {
            now += LOOK;
            thrift.full(now, Waits { busy: LOOK, for_receiver: LOOK / 2 });
        }
        assert!(!thrift.is_worth_it(now, 1));
    }

    #[test]
    fn nothing_is_compressed_where_that_is_forbidden() {
        let mut thrift = Thrift::new(false);
        let now = measured(&mut thrift, Instant::now(), 1_000);
        assert!(!thrift.is_worth_it(now, 1));
    }
}
