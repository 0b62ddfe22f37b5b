//! Back-off: how long to wait before a dead engine is started again, and before the next job if jobs fail.

use std::time::{Duration, Instant};

/// The wait after the first death.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait before another job of a queue, which other users need too.
const LONGEST_FOR_JOBS: Duration = Duration::from_secs(600);
/// An engine that lived this long did not die of its start.
const PROVEN: Duration = Duration::from_secs(60);

/// The deaths of one engine in a row, and the longest wait.
#[derive(Debug)]
pub struct BackOff {
    deaths: u32,
    longest: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { deaths: 0, longest: LONGEST }
    }
}

impl BackOff {
    /// Forgets the deaths of an engine that has lived for long since then: it did not die of its start.
    pub fn lived_since(&mut self, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= PROVEN {
            self.deaths = 0;
        }
    }

    /// When to start an engine again that was started at `started` and died at `now`. The wait doubles with each early
    /// death.
    pub fn next_start(&mut self, started: Instant, now: Instant) -> Instant {
        self.lived_since(started, now);
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.deaths)).min(self.longest);
        self.deaths = self.deaths.saturating_add(1);
        now + wait
    }
}

/// Whether new jobs may be expected to work. If a job ends before its engines have registered, the next one will
/// probably do so too, and a queue that starts jobs at once would be flooded with them.
#[derive(Debug)]
pub struct Trust {
    back_off: BackOff,
    again_at: Option<Instant>,
}

impl Default for Trust {
    fn default() -> Self {
        Self { back_off: BackOff { deaths: 0, longest: LONGEST_FOR_JOBS }, again_at: None }
    }
}

impl Trust {
    /// Records that a job ended before its engines had registered.
    pub fn lost(&mut self, now: Instant) {
        self.again_at = Some(self.back_off.next_start(now, now));
    }

    /// Records that an engine of a new job has registered.
    pub fn proved(&mut self) {
        *self = Self::default();
    }

    /// Whether the last job with a known fate ended before its engines had registered.
    pub fn is_lost(&self) -> bool {
        self.again_at.is_some()
    }

    /// How many jobs may be started now: after a lost job only one, which must prove itself. `unproven` is the number
    /// of jobs that were started and of which no engine has registered yet.
    pub fn room(&self, now: Instant, unproven: usize) -> usize {
        match self.again_at {
            None => usize::MAX,
            Some(again_at) if now < again_at || unproven > 0 => 0,
            Some(_) => 1,
        }
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

    #[test]
    fn after_a_lost_job_one_at_a_time_may_try_until_one_is_proved() {
        let mut trust = Trust::default();
        let now = Instant::now();
        assert_eq!(trust.room(now, 7), usize::MAX);
        trust.lost(now);
        assert_eq!((trust.room(now, 0), trust.room(now + FIRST, 0), trust.room(now + FIRST, 1)), (0, 1, 0));
        trust.lost(now);
        assert_eq!((trust.room(now + FIRST, 0), trust.room(now + FIRST * 2, 0)), (0, 1));
        (0..20).for_each(|_| trust.lost(now));
        assert_eq!((trust.room(now + LONGEST * 2, 0), trust.room(now + LONGEST_FOR_JOBS, 0)), (0, 1));
        trust.proved();
        assert_eq!(trust.room(now, 7), usize::MAX);
    }
}
