//! What an engine's process uses, and whether that is worth telling.

use crate::system::{cpu_seconds, resident_bytes};
use crate::wire::message::Usage;
use std::time::Instant;

/// Less than that of a change is not told: bytes of memory, and processors.
const BYTES: u64 = 1 << 20;
const CPUS: f64 = 0.05;

/// Looks from time to time.
#[derive(Debug)]
pub(super) struct Meter {
    /// When it looked last, and what it saw.
    last: (Instant, f64),
    /// What it has told.
    told: Usage,
}

impl Meter {
    pub fn new(now: Instant) -> Meter {
        Meter { last: (now, cpu_seconds()), told: Usage::default() }
    }

    /// Whoever is told knows nothing yet.
    pub fn tell_again(&mut self) {
        self.told = Usage::default();
    }

    /// What is used now, if that is to be told.
    pub fn look(&mut self, now: Instant) -> Option<Usage> {
        let (resident_bytes, cpu_seconds) = (resident_bytes(), cpu_seconds());
        let (before, had) = std::mem::replace(&mut self.last, (now, cpu_seconds));
        let seconds = now.saturating_duration_since(before).as_secs_f64();
        let cpus = if seconds > 0.0 { (cpu_seconds - had) / seconds } else { 0.0 };
        let usage = Usage { resident_bytes, cpu_seconds, cpus };
        let changed = resident_bytes.abs_diff(self.told.resident_bytes) > BYTES || (cpus - self.told.cpus).abs() > CPUS;
        changed.then(|| {
            self.told = usage;
            usage
        })
    }
}
