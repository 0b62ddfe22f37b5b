//! When a connection over TCP ends of which nothing is heard: the other side's kernel answers for it.

/// Seconds without a sign until the other side's kernel is asked for one.
pub(super) const IDLE: i32 = 3;
/// Seconds until it is asked again.
pub(super) const INTERVAL: i32 = 2;
/// How often it is asked.
pub(super) const COUNT: i32 = 3;
/// Milliseconds for which it may leave something unacknowledged: the same in all.
pub(super) const UNACKNOWLEDGED_MS: i32 = 1000 * (IDLE + INTERVAL * COUNT);
