//! A request, as Python has it.

use crate::failure::Failure;
use crate::pending::Pending;
use crate::status::Status;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// An operation that was begun and is waited for later.
#[pyclass(frozen, module = "ipclusterz_mpi")]
pub struct Request {
    call: &'static str,
    began: Instant,
    stage: Mutex<Stage>,
}

enum Stage {
    Begun(Pending),
    /// A thread has it.
    Waited,
    Done,
    /// With this error, which is told each time.
    Failed(String),
}

impl Request {
    /// Of an operation that has begun.
    pub fn new(pending: Pending) -> Request {
        Request { call: pending.call, began: Instant::now(), stage: Mutex::new(Stage::Begun(pending)) }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: it was done before.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Pending>> {
        let mut stage = self.stage();
        match std::mem::replace(&mut *stage, Stage::Waited) {
            Stage::Begun(pending) => Ok(Some(pending)),
            Stage::Waited => {
                Err(PyRuntimeError::new_err(format!("{}: another thread waits for this request", self.call)))
            }
            Stage::Done => {
                *stage = Stage::Done;
                Ok(None)
            }
            Stage::Failed(why) => {
                *stage = Stage::Failed(why.clone());
                Err(Failure::Broken(self.call, format!("this request has failed: {why}")).into_error(py))
            }
        }
    }

    fn end(&self, result: PyResult<()>) -> PyResult<()> {
        *self.stage() = match &result {
            Ok(()) => Stage::Done,
            Err(error) => Stage::Failed(error.to_string()),
        };
        result
    }
}

#[pymethods]
impl Request {
    /// Waits for the end; source, tag and bytes of what was received. None: that was told already.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Status>> {
        let Some(mut pending) = self.take(py)? else { return Ok(None) };
        self.end(pending.wait(py, timeout))?;
        Ok(Some(pending.received()))
    }

    /// Whether it is done: as `wait`, or False.
    fn test(&self, py: Python<'_>) -> PyResult<(bool, Option<Status>)> {
        let Some(mut pending) = self.take(py)? else { return Ok((true, None)) };
        let tested =
            pending.test().and_then(|done| if done { Ok(true) } else { pending.check(self.began).map(|()| false) });
        match tested {
            Ok(true) => {
                self.end(Ok(()))?;
                Ok((true, Some(pending.received())))
            }
            Ok(false) => {
                *self.stage() = Stage::Begun(pending);
                Ok((false, None))
            }
            Err(failure) => self.end(Err(failure.into_error(py))).map(|()| (false, None)),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Stage::Begun(pending) = std::mem::replace(&mut *self.stage(), Stage::Done) {
            pending.let_go();
        }
    }
}
