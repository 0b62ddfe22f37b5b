//! Waits that release the GIL and honour Ctrl-C.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Longest time without a look at signals: short enough for Ctrl-C to feel immediate.
const SLICE: Duration = Duration::from_millis(40);

/// Until when to wait; none: forever.
pub fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    match timeout {
        None => Ok(None),
        Some(seconds) if seconds.is_nan() => Err(PyValueError::new_err("a timeout cannot be NaN")),
        Some(seconds) => {
            let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
            Ok(Instant::now().checked_add(duration))
        }
    }
}

/// A timeout of a call that needs one.
pub fn duration(seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err("a timeout cannot be NaN"));
    }
    // A year is as good as forever, and can be added to any clock.
    Ok(Duration::try_from_secs_f64(seconds.clamp(0.0, 31_536_000.0)).unwrap_or_default())
}

/// Calls `step` with short timeouts until it gives something or the deadline is over.
pub fn wait<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    step: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    wait_and(py, deadline, step, || Ok(()))
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
