//! A request, as Python has it.

use crate::pending::Pending;
use crate::point::Status;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// An operation that was begun and is waited for later.
#[pyclass(frozen, module = "ipclusterz_mpi")]
pub struct Request {
    pending: Mutex<Option<Pending>>,
}

impl Request {
    /// Of an operation that has begun.
    pub fn new(pending: Pending) -> Request {
        Request { pending: Mutex::new(Some(pending)) }
    }

    fn take(&self) -> Option<Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Request {
    /// Waits for the end; source, tag and bytes of what was received. None: that was told already.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Status>> {
        let Some(mut pending) = self.take() else { return Ok(None) };
        pending.wait(py, timeout)?;
        Ok(Some(pending.received()))
    }

    /// Whether it is done: as `wait`, or False.
    fn test(&self, py: Python<'_>) -> PyResult<(bool, Option<Status>)> {
        let Some(mut pending) = self.take() else { return Ok((true, None)) };
        if pending.test().map_err(|failure| failure.into_error(py))? {
            return Ok((true, Some(pending.received())));
        }
        pending.check().map_err(|failure| failure.into_error(py))?;
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
        Ok((false, None))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(pending) = self.take() {
            pending.let_go();
        }
    }
}
