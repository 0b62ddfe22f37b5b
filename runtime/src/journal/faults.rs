//! Places at which a test lets this process die, as `kill -9` would: `IPCLUSTERZ_FAULT=name:3` at the third time that the place is
//! reached. Only in builds for tests; elsewhere nothing is looked at.

/// The places, in the order in which a batch comes to them.
pub const PLACES: [&str; 10] = [
    "batch.before-write",
    "batch.half-written",
    "batch.written",
    "batch.half-sent",
    "sync.before",
    "sync.after",
    "image.half-written",
    "image.before-rename",
    "image.renamed",
    "image.half-removed",
];

/// Dies here, if that is asked for.
#[cfg(debug_assertions)]
pub fn reach(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("IPCLUSTERZ_FAULT").ok()?;
        let (place, count) = text.split_once(':')?;
        Some((place.to_owned(), count.parse().ok()?))
    });
    if let Some((name, count)) = wanted
        && name == place
        && REACHED.fetch_add(1, Ordering::Relaxed).saturating_add(1) == *count
    {
        // SAFETY: it only ends this process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Nothing in a release.
#[cfg(not(debug_assertions))]
#[inline]
pub fn reach(_place: &str) {}

/// How short a log may be that is worth a new image, for tests.
#[cfg(debug_assertions)]
pub fn log_min() -> Option<u64> {
    std::env::var("IPCLUSTERZ_LOG_MIN").ok()?.parse().ok()
}

/// As it is.
#[cfg(not(debug_assertions))]
#[inline]
pub fn log_min() -> Option<u64> {
    None
}
