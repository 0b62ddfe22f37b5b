//! A communicator, as Python has it: its making and its end. What it does is in `collective.rs` and `point.rs`.

use crate::failure::check;
use crate::making::{Making, Sent};
use crate::pending::Pending;
use crate::request::Request;
use crate::state::State;
use mpi::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::{Arc, OnceLock};

/// See the module's documentation.
#[pyclass(frozen, module = "ipclusterz_mpi")]
pub struct Comm {
    /// What its operations share.
    pub state: Arc<State>,
    side: OnceLock<Arc<State>>,
}

impl Comm {
    /// Of a handle.
    pub fn new(py: Python<'_>, comm: ffi::MPI_Comm, epoch: u64, borrowed: bool) -> PyResult<Comm> {
        let state = State::of(comm, epoch, borrowed).map_err(|failure| failure.into_error(py))?;
        Ok(Comm { state: Arc::new(state), side: OnceLock::new() })
    }

    fn duplicate(&self, py: Python<'_>, timeout: f64) -> PyResult<ffi::MPI_Comm> {
        // In a box: MPI writes to it until the end, be it after a wait that was given up.
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

    /// A duplicate for messages that belong to collectives, which a receiver of the user's, from any rank with any tag,
    /// must not see. Made by all ranks in the first call that needs it.
    pub fn side_state(&self, py: Python<'_>, timeout: f64) -> PyResult<Arc<State>> {
        if self.side.get().is_none() {
            let comm = self.duplicate(py, timeout)?;
            let state = self.state.beside(comm).map_err(|failure| failure.into_error(py))?;
            // Whoever else made one at the same time has broken MPI's rules.
            let _ = self.side.set(Arc::new(state));
        }
        self.side.get().map(Arc::clone).ok_or_else(|| PyRuntimeError::new_err("there is no side"))
    }

    /// An operation is begun, and waited for unless `timeout` is negative: then it becomes a request.
    pub fn finish(py: Python<'_>, mut pending: Pending, timeout: f64) -> PyResult<Option<Request>> {
        if timeout < 0.0 {
            return Ok(Some(Request::new(pending)));
        }
        pending.wait(py, timeout)?;
        Ok(None)
    }

    /// A communicator that is made of this one. None: this rank is not in it.
    fn make(
        &self,
        py: Python<'_>,
        call: &'static str,
        timeout: f64,
        make: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> PyResult<Option<Comm>> {
        Making::begin(py, &self.state, call, self.state.epoch, make)?.finish(py, timeout, true)
    }
}

/// MPI_Comm_create_group of some ranks.
fn group_maker(ranks: Vec<i32>, tag: i32) -> impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static {
    move |comm, new| {
        let count = c_int::try_from(ranks.len()).unwrap_or(c_int::MAX);
        // SAFETY: the communicator is alive, the ranks are as many as said, and the handles are ours to write to.
        unsafe {
            let (mut all, mut some) = (ffi::RSMPI_GROUP_NULL, ffi::RSMPI_GROUP_NULL);
            let mut code = ffi::MPI_Comm_group(comm, &raw mut all);
            if code == ffi::MPI_SUCCESS as c_int {
                code = ffi::MPI_Group_incl(all, count, ranks.as_ptr(), &raw mut some);
            }
            if code == ffi::MPI_SUCCESS as c_int {
                code = ffi::MPI_Comm_create_group(comm, some, tag, new);
            }
            for mut group in [all, some] {
                if group != ffi::RSMPI_GROUP_NULL {
                    ffi::MPI_Group_free(&raw mut group);
                }
            }
            code
        }
    }
}

/// A duplicate of MPI_COMM_WORLD, which all ranks must ask for (MPI 3.1, section 6.4.2).
#[pyfunction]
pub fn world(py: Python<'_>, epoch: u64, timeout: f64) -> PyResult<Comm> {
    // SAFETY: a constant of rsmpi.
    let all = Comm::new(py, unsafe { ffi::RSMPI_COMM_WORLD }, epoch, false)?;
    all.dup(py, timeout)
}

/// MPI_COMM_WORLD itself, which nothing may be sent through: for making others of it.
#[pyfunction]
pub fn whole_world(py: Python<'_>, epoch: u64) -> PyResult<Comm> {
    // SAFETY: a constant of rsmpi.
    Comm::new(py, unsafe { ffi::RSMPI_COMM_WORLD }, epoch, true)
}

/// Somebody else's communicator, by its handle.
#[pyfunction]
pub fn of_handle(py: Python<'_>, handle: u64, epoch: u64) -> PyResult<Comm> {
    // SAFETY: all zeros are a value of both kinds of handle.
    let mut comm: ffi::MPI_Comm = unsafe { std::mem::zeroed() };
    let bytes = handle.to_ne_bytes();
    // SAFETY: a handle has four bytes or eight, and these are its first on a machine that is little-endian.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut comm).cast::<u8>(), size_of::<ffi::MPI_Comm>());
    }
    Comm::new(py, comm, epoch, true)
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

    /// What it is called when it is told of; see `calls.rs`.
    fn set_name(&self, name: &str) {
        self.state.calls.set_name(name);
    }

    /// No call may use it from now on.
    fn break_off(&self, why: &str) {
        self.state.break_off(why);
    }

    /// MPI's handle as a number.
    #[getter]
    fn handle(&self) -> u64 {
        let mut bytes = [0_u8; 8];
        // SAFETY: a handle has four bytes or eight.
        unsafe {
            let from = (&raw const self.state.comm).cast::<u8>();
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), size_of::<ffi::MPI_Comm>());
        }
        u64::from_ne_bytes(bytes)
    }

    /// MPI_Comm_idup, MPI 3.1 section 6.4.2.
    fn dup(&self, py: Python<'_>, timeout: f64) -> PyResult<Comm> {
        Comm::new(py, self.duplicate(py, timeout)?, self.state.epoch, false)
    }

    /// See `side_state`.
    fn side(&self, py: Python<'_>, timeout: f64) -> PyResult<Comm> {
        Ok(Comm { state: self.side_state(py, timeout)?, side: OnceLock::new() })
    }

    /// MPI_Comm_split, MPI 3.1 section 6.4.2. A negative color: in none.
    fn split(&self, py: Python<'_>, color: i32, key: i32, timeout: f64) -> PyResult<Option<Comm>> {
        // SAFETY: a constant of rsmpi.
        let color = if color < 0 { unsafe { ffi::RSMPI_UNDEFINED } } else { color };
        // SAFETY: the communicator is alive, and the new handle is written to.
        self.make(py, "MPI_Comm_split", timeout, move |comm, new| unsafe { ffi::MPI_Comm_split(comm, color, key, new) })
    }

    /// The ranks that share memory: MPI_Comm_split_type, MPI 3.1 section 6.4.2.
    fn node(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Comm>> {
        let rank = self.state.rank;
        // SAFETY: the communicator is alive, and the new handle is written to.
        self.make(py, "MPI_Comm_split_type", timeout, move |comm, new| unsafe {
            ffi::MPI_Comm_split_type(comm, ffi::RSMPI_COMM_TYPE_SHARED, rank, ffi::RSMPI_INFO_NULL, new)
        })
    }

    /// MPI_Comm_create_group, MPI 3.1 section 6.4.2: called by the ranks of the group alone, with the same tag.
    fn create_group(&self, py: Python<'_>, ranks: Vec<i32>, tag: i32, timeout: f64) -> PyResult<Option<Comm>> {
        self.make(py, "MPI_Comm_create_group", timeout, group_maker(ranks, tag))
    }

    /// The same, begun, for an epoch. This communicator stays as it is when nobody waits any more.
    fn begin_group(&self, py: Python<'_>, ranks: Vec<i32>, tag: i32, epoch: u64) -> PyResult<Making> {
        Making::begin(py, &self.state, "MPI_Comm_create_group", epoch, group_maker(ranks, tag))
    }

    /// MPIX_Comm_shrink of ULFM, begun: a communicator of the ranks that live, which all of them ask for. The loss of
    /// another one meanwhile does not end it.
    fn begin_shrink(&self, py: Python<'_>) -> PyResult<Making> {
        // SAFETY: the communicator is alive, and the handle is the caller's to write to.
        let make = |comm, new| unsafe { crate::names::ipz_comm_shrink(comm, new) };
        Making::begin(py, &self.state, "MPIX_Comm_shrink", self.state.epoch, make)
    }

    /// The rank in MPI_COMM_WORLD of each of its ranks.
    #[getter]
    fn world_ranks(&self) -> Vec<i32> {
        self.state.world_ranks()
    }

    /// MPI_Comm_free, MPI 3.1 section 6.4.3. One that is broken is left to the end of the process.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        if self.state.borrowed || self.state.usable("MPI_Comm_free").is_err() {
            return Ok(());
        }
        self.state.break_off("it was freed");
        self.state.calls.set_name("");
        if let Some(state) = self.side.get() {
            Comm { state: Arc::clone(state), side: OnceLock::new() }.free(py)?;
        }
        let mut comm = Sent(self.state.comm);
        let code = py.detach(move || {
            let comm = &mut comm;
            // SAFETY: the communicator is our own and alive, and was marked so that nobody uses it again.
            unsafe { ffi::MPI_Comm_free(&raw mut comm.0) }
        });
        check(code, "MPI_Comm_free").map_err(|failure| failure.into_error(py))
    }
}
