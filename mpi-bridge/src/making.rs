//! Communicators that are being made. MPI's functions for that have no non-blocking form: each is called on a thread
//! of its own, which is abandoned when it does not return in time.

use crate::calls::Inside;
use crate::comm::Comm;
use crate::failure::Failure;
use crate::handle::Sent;
use crate::state::{State, is_epoch_over};
use crate::turns::{self, Awaited};
use crate::waiting::deadline_of;
use mpi::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    /// What it waits for: a collective, or these ranks of what it is made from.
    awaited: Vec<Awaited>,
    began: Instant,
    /// The name that it will have, and who make it, as ranks of MPI_COMM_WORLD; if all of these know both.
    named: Option<(String, Vec<u32>)>,
    made: Mutex<Receiver<(c_int, Sent)>>,
    /// What was waited for.
    done: OnceLock<Option<Py<Comm>>>,
}

impl Making {
    /// Starts a thread that calls `make`.
    pub fn begin(
        py: Python<'_>,
        from: &Arc<State>,
        call: &'static str,
        epoch: u64,
        named: Option<(String, Vec<u32>)>,
        ranks: &[c_int],
        make: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> PyResult<Making> {
        let fail = |failure: Failure| failure.into_error(py);
        from.usable(call).map_err(fail)?;
        if is_epoch_over(epoch) {
            return Err(fail(from.lost(call)));
        }
        let awaited = match turns::enter(&from.calls, call).map_err(fail)? {
            Awaited::Anybody => ranks.iter().copied().map(Awaited::Rank).collect(),
            collective => vec![collective],
        };
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
        Ok(Making {
            from: Arc::clone(from),
            call,
            epoch,
            awaited,
            began: Instant::now(),
            named,
            made: Mutex::new(made),
            done: OnceLock::new(),
        })
    }

    /// Fails if it is waited for in vain.
    fn check(&self) -> Result<(), Failure> {
        if let Some((name, members)) = &self.named {
            turns::check_making(name, self.epoch, members, self.call)?;
        }
        let check = |awaited: &Awaited| turns::check(&self.from.calls, self.call, *awaited, Some(self.began));
        self.awaited.iter().try_for_each(check)
    }

    /// Who has not come to make it, as far as the package can ask.
    fn missing(&self, py: Python<'_>) -> String {
        let explain = || -> PyResult<String> {
            let Some((name, members)) = &self.named else { return Ok(String::new()) };
            let missing = py.import("ipclusterz.mpi.missing")?;
            missing.call_method1("explain_making", (name, self.epoch, members.clone()))?.extract()
        };
        explain().unwrap_or_default()
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
                    // Who does not wait at all knows that not all are there.
                    let missing = if timeout > 0.0 { self.missing(py) } else { String::new() };
                    return Err(fail(Failure::TimedOut(call, timeout, missing)));
                }
                let failure = from.timed_out(py, call, timeout);
                from.break_off(&format!("{call} did not end within {timeout} s"));
                return Err(fail(failure));
            }
            from.worth_waiting(call).map_err(fail)?;
            if let Err(failure) = self.check() {
                if breaks {
                    from.break_off(&format!("{call} was left by another rank"));
                }
                return Err(fail(failure));
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
        let made = Comm::new(py, new, self.epoch, false)?;
        if let Some((name, _)) = &self.named {
            made.state.calls.set_name(name);
        }
        Ok(Some(made))
    }
}

#[pymethods]
impl Making {
    /// Waits for it. It may be waited for again, after a timeout and when it is there.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Py<Comm>>> {
        if self.done.get().is_none() {
            let made = self.finish(py, timeout, false)?;
            // If another thread waited at the same time, this one has an error by now.
            let _ = self.done.set(made.map(|comm| Py::new(py, comm)).transpose()?);
        }
        Ok(self.done.get().and_then(|made| made.as_ref().map(|comm| comm.clone_ref(py))))
    }
}
