//! How much a controller holds for its clients, and for how long it waits.
//!
//! The policy: a client has at most `window` under way and keeps the rest to itself, and the controller refuses what is
//! more; while it does not take what it is sent, none of its tasks is started, and what engines have not begun is taken back.
//! So what a controller holds is bounded by the number of clients times the window, whatever they submit, and a client
//! that is stopped or slow costs the others nothing. What engines are doing at that moment comes on top: one result each.
//!
//! Other bounds stand where they are kept: functions and uploads in `work/submit.rs`, notices in `work/holding.rs`, questions
//! and interrupts in `core/sending.rs`, what is remembered of engines in `work.rs`, `registry.rs` and `worlds.rs`.

use super::history::Keep;
use super::scheme::Scheme;
use crate::events;
use crate::wire::message::{OUTPUT_WINDOW, Window};
use ipclusterz_base::logs::LogLimit;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits of one controller.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// What each client may have under way, and how many bytes may wait for it. One request, and one result, has at most
    /// `request_bytes`.
    pub window: Window,
    /// Bytes of output that may wait for a client; text beyond is dropped, and the client is told.
    pub output_bytes: u64,
    /// Bytes of output for a client that each engine may have under way: so much may wait in any case.
    pub output_window: u64,
    /// How long balanced tasks wait while there is no engine at all, and nobody knows of any that is to come.
    pub no_engine_grace: Duration,
    /// The same while the launcher says that some are to come.
    pub wait_for_engines: Duration,
    /// How long the session of a client outlives its connections.
    pub session_grace: Duration,
    /// For how long results of sessions with names are kept, and how many bytes of them.
    pub keep: Keep,
    /// How long an engine is waited for whose connection broke, though its controller lives: it dials again at once, if it lives,
    /// and others could do its work. At most its lease.
    pub engine_grace: Duration,
    /// Sessions also of peers of this host outlive their connections: the controller may be started again.
    pub durable: bool,
    /// How long answers that name an engine that died wait for the launcher's word how it ended.
    pub loss_grace: Duration,
    /// How long the connections of a peer whose process has ended may stay silent: what it sent is still taken.
    pub exit_grace: Duration,
    /// How many engines a task may take along before it is given to no other.
    pub crash_limit: u32,
    /// How long a task that was interrupted, because it has run for too long, has before its engine is ended.
    pub kill_grace: Duration,
    /// Which engine is given the next balanced task.
    pub scheme: Scheme,
    /// How many balanced tasks wait at an engine behind the one that runs; none: as many as keep it busy.
    pub prefetch: Option<u32>,
    /// How long a shutdown waits for engines to leave.
    pub shutdown_grace: Duration,
    /// How large an engine's log may become.
    pub log: LogLimit,
    /// For how long events are kept for whoever comes later to look on, and how many bytes of them. No time: none are told.
    pub events: events::Kept,
}

impl Limits {
    /// See `crash_limit`.
    pub fn crashes(&self) -> usize {
        usize::try_from(self.crash_limit).unwrap_or(usize::MAX)
    }

    /// A request may be as large as half of this host's memory, and no larger.
    pub fn with_host_memory(mut self) -> Self {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        if let Some(kib) = kib {
            self.window.request_bytes = self.window.request_bytes.min(kib.saturating_mul(1024) / 2);
        }
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            window: Window { replies: 8192, bytes: 1 << 30, request_bytes: u64::MAX },
            output_bytes: 64 << 20,
            output_window: OUTPUT_WINDOW,
            no_engine_grace: Duration::from_secs(10),
            wait_for_engines: Duration::from_secs(24 * 3600),
            session_grace: Duration::from_secs(300),
            keep: Keep::default(),
            engine_grace: Duration::from_secs(10),
            durable: false,
            loss_grace: Duration::from_secs(2),
            exit_grace: Duration::from_millis(500),
            crash_limit: 3,
            kill_grace: Duration::from_secs(10),
            scheme: Scheme::default(),
            prefetch: None,
            shutdown_grace: Duration::from_secs(1),
            log: LogLimit::default(),
            events: events::Kept::default(),
        }
    }
}
