//! Waits that release the GIL and honour Ctrl-C.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Longest time without a look at signals: short enough for Ctrl-C to feel immediate.
const SLICE: Duration = Duration::from_millis(40);

/// A timeout that means forever, as it does elsewhere. Anything else below 0 is what is left of a time that is over.
const FOREVER: f64 = -1.0;
/// As good as forever, and can be added to any clock.
const YEAR: f64 = 31_536_000.0;

/// Until when to wait; none: forever.
#[allow(clippy::float_cmp, reason = "it is no result of a calculation")]
pub fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    match timeout.filter(|seconds| *seconds != FOREVER) {
        None => Ok(None),
        Some(seconds) if seconds.is_nan() => Err(PyValueError::new_err("a timeout cannot be NaN")),
        Some(seconds) => {
            let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
            Ok(Instant::now().checked_add(duration))
        }
    }
}

/// A timeout of a call that needs one.
#[allow(clippy::float_cmp, reason = "as above")]
pub fn duration(seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err("a timeout cannot be NaN"));
    }
    let bounded = if seconds == FOREVER { YEAR } else { seconds.clamp(0.0, YEAR) };
    Ok(Duration::try_from_secs_f64(bounded).unwrap_or_default())
}

/// How often whoever waits is told why nothing comes.
const NEWS_EVERY: Duration = Duration::from_secs(1);

/// Calls `step` with short timeouts until it gives something or the deadline is over.
pub fn wait<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    step: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    wait_and(py, deadline, step, || Ok(()))
}

/// To be called while somebody waits: has `news` look now and then whether there is something to say, and says it.
pub fn telling(py: Python<'_>, news: impl Fn() -> Option<String>) -> impl FnMut() {
    let mut next = Instant::now() + NEWS_EVERY;
    move || {
        if Instant::now() >= next {
            next += NEWS_EVERY;
            if let Some(line) = news() {
                say(py, &line);
            }
        }
    }
}

/// Says a line where the user reads: on `sys.stderr`, which is the cell's in a notebook. Nobody waits for that to work.
pub fn say(py: Python<'_>, line: &str) {
    let write = || py.import("sys")?.getattr("stderr")?.call_method1("write", (format!("ipclusterz: {line}\n"),));
    let _ = write();
}

/// The same; `between` is called after each step without a result.
pub fn wait_and<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    mut step: impl FnMut(Duration) -> Option<T> + Send,
    mut between: impl FnMut() -> PyResult<()>,
) -> PyResult<Option<T>> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        if let Some(result) = py.detach(|| step(slice)) {
            return Ok(Some(result));
        }
        py.check_signals()?;
        between()?;
        if left.is_some_and(|left| left <= slice) {
            return Ok(None);
        }
    }
}
