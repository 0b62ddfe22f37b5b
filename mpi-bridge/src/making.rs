//! Communicators that are being made. MPI's functions for that have no non-blocking form: each is called on a thread
//! of its own, which is abandoned when it does not return in time.

use crate::calls::Inside;
use crate::comm::Comm;
use crate::failure::Failure;
use crate::handle::Sent;
use crate::state::{State, is_epoch_over};
use crate::waiting::deadline_of;
use mpi::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time between two checks for signals and lost ranks.
const SLICE: Duration = Duration::from_millis(20);

/// A communicator that a thread is making for an epoch.
#[pyclass(frozen, module = "ipclusterz_mpi")]
pub struct Making {
    /// The communicator that it is made from.
    from: Arc<State>,
    call: &'static str,
    epoch: u64,
    made: Mutex<Receiver<(c_int, Sent)>>,
}

impl Making {
    /// Starts a thread that calls `make`.
    pub fn begin(
        py: Python<'_>,
        from: &Arc<State>,
        call: &'static str,
        epoch: u64,
        make: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> PyResult<Making> {
        let fail = |failure: Failure| failure.into_error(py);
        from.usable(call).map_err(fail)?;
        if is_epoch_over(epoch) {
            return Err(fail(from.lost(call)));
        }
        from.calls.enter(call);
        let (sender, made) = channel();
        let parent = Sent(from.comm);
        let work = move || {
            let parent = parent;
            // SAFETY: a constant of rsmpi.
            let mut new = unsafe { ffi::RSMPI_COMM_NULL };
            let code = make(parent.0, &raw mut new);
            // An error means that the wait was given up.
            let _ = sender.send((code, Sent(new)));
        };
        std::thread::Builder::new()
            .name("ipclusterz-mpi".to_owned())
            .spawn(work)
            .map_err(|error| PyRuntimeError::new_err(format!("{call}: no thread can be started: {error}")))?;
        Ok(Making { from: Arc::clone(from), call, epoch, made: Mutex::new(made) })
    }

    /// Waits for it. None: this rank is not in it. `breaks`: when the wait is given up, the communicator that it is
    /// made from is broken, because the ranks are out of step.
    pub fn finish(&self, py: Python<'_>, timeout: f64, breaks: bool) -> PyResult<Option<Comm>> {
        let (from, call) = (&self.from, self.call);
        let fail = |failure: Failure| failure.into_error(py);
        let deadline = deadline_of(timeout);
        let _inside = Inside::of(&from.calls);
        let (code, Sent(new)) = loop {
            match py.detach(|| self.made.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SLICE)) {
                Ok(made) => break made,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err(format!("{call}: the thread that called it has ended")));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if is_epoch_over(self.epoch) {
                return Err(fail(from.lost(call)));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                if !breaks {
                    return Err(fail(Failure::TimedOut(call, timeout, String::new())));
                }
                let failure = from.timed_out(py, call, timeout);
                from.break_off(&format!("{call} did not end within {timeout} s"));
                return Err(fail(failure));
            }
            if let Some(why) = from.calls.given_up(true) {
                return Err(fail(Failure::Broken(call, why)));
            }
            py.check_signals().inspect_err(|_| {
                if breaks {
                    from.give_up(py, &format!("{call} was interrupted"));
                }
            })?;
        };
        py.detach(|| from.check_in(self.epoch, code, call)).map_err(fail)?;
        // SAFETY: a constant of rsmpi.
        if new == unsafe { ffi::RSMPI_COMM_NULL } {
            return Ok(None);
        }
        Comm::new(py, new, self.epoch, false).map(Some)
    }
}

#[pymethods]
impl Making {
    /// Waits for it. After a timeout it may be waited for again.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Comm>> {
        self.finish(py, timeout, false)
    }
}
