//! How long to wait before an engine that died is started again.

use std::time::{Duration, Instant};

/// Wait after the first death.
const FIRST: Duration = Duration::from_millis(200);
/// Wait after many.
const LONGEST: Duration = Duration::from_secs(30);
/// An engine that lived so long has not died of being started.
const PROVEN: Duration = Duration::from_secs(60);

/// The deaths of one engine.
#[derive(Debug, Default)]
pub struct BackOff {
    deaths: u32,
}

impl BackOff {
    /// When to start the engine again that was started at `started` and died at `now`.
    pub fn next_start(&mut self, started: Instant, now: Instant) -> Instant {
        if now.saturating_duration_since(started) >= PROVEN {
            self.deaths = 0;
        }
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.deaths)).min(LONGEST);
        self.deaths = self.deaths.saturating_add(1);
        now + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_forgotten() {
        let mut back_off = BackOff::default();
        let now = Instant::now();
        let waits: Vec<Duration> = (0..10).map(|_| back_off.next_start(now, now) - now).collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[9], LONGEST);
        assert_eq!(back_off.next_start(now, now + PROVEN), now + PROVEN + FIRST);
    }
}
