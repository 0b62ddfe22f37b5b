//! A communicator, as Python has it: how it is made, what it is, and how it is freed.
//!
//! Communicators are made from others in `groups`; its calls are in `collective`, `point` and the files beside them.

use crate::failure::check;
use crate::handle::{self, Sent};
use crate::pending::Pending;
use crate::request::Request;
use crate::state::State;
use mpi::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::{Arc, OnceLock};

/// See the module's documentation.
#[pyclass(frozen, module = "ipclusterz_mpi")]
pub struct Comm {
    /// What its operations share.
    pub state: Arc<State>,
    side: OnceLock<Arc<State>>,
}

impl Comm {
    /// From a handle.
    pub fn new(py: Python<'_>, comm: ffi::MPI_Comm, epoch: u64, borrowed: bool) -> PyResult<Comm> {
        let state = State::of(comm, epoch, borrowed).map_err(|failure| failure.into_error(py))?;
        Ok(Comm { state: Arc::new(state), side: OnceLock::new() })
    }

    fn duplicate(&self, py: Python<'_>, timeout: f64) -> PyResult<ffi::MPI_Comm> {
        // In a box: MPI may still write to it after the wait has been given up.
        // SAFETY: a constant of rsmpi.
        let new = Box::into_raw(Box::new(unsafe { ffi::RSMPI_COMM_NULL }));
        let begun = Pending::new(&self.state, "MPI_Comm_idup").and_then(|mut pending| {
            // SAFETY: `new` stays where it is until it is freed below.
            pending.begin(|comm, request| unsafe { ffi::MPI_Comm_idup(comm, new, request) })?;
            Ok(pending)
        });
        let mut pending = begun.map_err(|failure| failure.into_error(py))?;
        pending.wait(py, timeout)?;
        // SAFETY: made by Box above, and MPI is done with it.
        let comm = *unsafe { Box::from_raw(new) };
        Ok(comm)
    }

    /// A duplicate for messages that belong to collectives: a receive by the user, from any rank with any tag, must not
    /// match them. All ranks make it in the first call that needs it.
    pub fn side_state(&self, py: Python<'_>, timeout: f64) -> PyResult<Arc<State>> {
        if self.side.get().is_none() {
            let comm = self.duplicate(py, timeout)?;
            let state = self.state.beside(comm).map_err(|failure| failure.into_error(py))?;
            // If another thread made one at the same time, it has broken MPI's rules.
            let _ = self.side.set(Arc::new(state));
        }
        self.side.get().map(Arc::clone).ok_or_else(|| PyRuntimeError::new_err("there is no side"))
    }

    /// Waits for an operation that has begun; with a negative `timeout` it becomes a request instead.
    pub fn finish(py: Python<'_>, mut pending: Pending, timeout: f64) -> PyResult<Option<Request>> {
        if timeout < 0.0 {
            return Ok(Some(Request::new(pending)));
        }
        pending.wait(py, timeout)?;
        Ok(None)
    }
}

/// A duplicate of MPI_COMM_WORLD, which all ranks must ask for (MPI 3.1, section 6.4.2).
#[pyfunction]
pub fn world(py: Python<'_>, epoch: u64, timeout: f64) -> PyResult<Comm> {
    // SAFETY: a constant of rsmpi.
    let all = Comm::new(py, unsafe { ffi::RSMPI_COMM_WORLD }, epoch, false)?;
    all.dup(py, timeout)
}

/// MPI_COMM_WORLD itself: only for making others from it. Nothing may be sent through it.
#[pyfunction]
pub fn whole_world(py: Python<'_>, epoch: u64) -> PyResult<Comm> {
    // SAFETY: a constant of rsmpi.
    Comm::new(py, unsafe { ffi::RSMPI_COMM_WORLD }, epoch, true)
}

/// Somebody else's communicator, by its handle.
#[pyfunction]
pub fn of_handle(py: Python<'_>, handle: u64, epoch: u64) -> PyResult<Comm> {
    Comm::new(py, handle::from_number(handle), epoch, true)
}

#[pymethods]
impl Comm {
    #[getter]
    fn rank(&self) -> i32 {
        self.state.rank
    }

    #[getter]
    fn size(&self) -> i32 {
        self.state.size
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// Why it cannot be used, if it cannot.
    #[getter]
    fn broken(&self) -> Option<String> {
        self.state.why_broken()
    }

    /// A call of several steps begins or ends; see `calls.rs`.
    fn set_amid(&self, between: bool) {
        self.state.calls.set_amid(between);
    }

    /// Its name in reports; see `calls.rs`.
    fn set_name(&self, name: &str) {
        self.state.calls.set_name(name);
    }

    /// No call may use it from now on, and none goes on waiting in it.
    fn break_off(&self, why: &str) {
        self.state.calls.give_up(why, true);
    }

    /// MPI's handle as a number.
    #[getter]
    fn handle(&self) -> u64 {
        handle::to_number(&self.state.comm)
    }

    /// MPI_Comm_idup, MPI 3.1 section 6.4.2.
    fn dup(&self, py: Python<'_>, timeout: f64) -> PyResult<Comm> {
        Comm::new(py, self.duplicate(py, timeout)?, self.state.epoch, false)
    }

    /// See `side_state`.
    fn side(&self, py: Python<'_>, timeout: f64) -> PyResult<Comm> {
        Ok(Comm { state: self.side_state(py, timeout)?, side: OnceLock::new() })
    }

    /// The rank in MPI_COMM_WORLD of each of its ranks.
    #[getter]
    fn world_ranks(&self) -> Vec<i32> {
        self.state.calls.members().to_vec()
    }

    /// Fails if it cannot be used.
    fn check_usable(&self, py: Python<'_>) -> PyResult<()> {
        self.state.usable("to_mpi4py").map_err(|failure| failure.into_error(py))
    }

    /// MPI_Comm_free, MPI 3.1 section 6.4.3. A broken one is kept until the process exits.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        if self.state.borrowed {
            return Ok(());
        }
        // Another one may get it.
        self.state.calls.set_name("");
        if self.state.usable("MPI_Comm_free").is_err() {
            return Ok(());
        }
        self.state.break_off("it was freed");
        for state in self.side.get().into_iter().chain([&self.state]) {
            let mut comm = Sent(state.comm);
            let code = py.detach(move || {
                let comm = &mut comm;
                // SAFETY: the communicator is our own and alive, and was marked so that nobody uses it again.
                unsafe { ffi::MPI_Comm_free(&raw mut comm.0) }
            });
            check(code, "MPI_Comm_free").map_err(|failure| failure.into_error(py))?;
        }
        Ok(())
    }
}
