//! A communicator, as Python has it: its making and its end. What it does is in `collective.rs` and `point.rs`.

use crate::calls::Inside;
use crate::failure::{Failure, check};
use crate::pending::{Pending, deadline_of};
use crate::request::Request;
use crate::state::{State, is_epoch_over};
use mpi::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// See the module's documentation.
#[pyclass(frozen, module = "ipclusterz_mpi")]
pub struct Comm {
    /// What its operations share.
    pub state: Arc<State>,
    side: OnceLock<Arc<State>>,
}

/// Longest time without a look at signals and lost ranks.
const SLICE: Duration = Duration::from_millis(20);

/// A handle on its way between threads.
struct Sent(ffi::MPI_Comm);

// SAFETY: the handle is a number or an address that only MPI looks at, which was asked to be safe for threads.
unsafe impl Send for Sent {}

impl Comm {
    fn new(py: Python<'_>, comm: ffi::MPI_Comm, epoch: u64, borrowed: bool) -> PyResult<Comm> {
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
            let state = State::of(comm, self.state.epoch, false).map_err(|failure| failure.into_error(py))?;
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

    /// Calls a function of MPI that makes a communicator and has no non-blocking form, on a thread that is left alone when
    /// it does not return in time. None: this rank is not in it.
    fn make(
        &self,
        py: Python<'_>,
        call: &'static str,
        timeout: f64,
        epoch: u64,
        make: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> PyResult<Option<Comm>> {
        let fail = |failure: Failure| failure.into_error(py);
        self.state.usable(call).map_err(fail)?;
        if is_epoch_over(epoch) {
            return Err(fail(self.state.lost(call)));
        }
        self.state.calls.enter(call);
        let (sender, made) = channel();
        // For the compiler alone: this thread is the only one that receives.
        let made = Mutex::new(made);
        let from = Sent(self.state.comm);
        let work = move || {
            let from = from;
            // SAFETY: a constant of rsmpi.
            let mut new = unsafe { ffi::RSMPI_COMM_NULL };
            let code = make(from.0, &raw mut new);
            // Nobody may wait any more.
            let _ = sender.send((code, Sent(new)));
        };
        std::thread::Builder::new()
            .name("ipclusterz-mpi".to_owned())
            .spawn(work)
            .map_err(|error| PyRuntimeError::new_err(format!("{call}: no thread can be started: {error}")))?;
        let deadline = deadline_of(timeout);
        let _inside = Inside::of(&self.state.calls);
        let (code, Sent(new)) = loop {
            match py.detach(|| made.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SLICE)) {
                Ok(made) => break made,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err(format!("{call}: the thread that called it has ended")));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if is_epoch_over(epoch) {
                return Err(fail(self.state.lost(call)));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                let failure = self.state.timed_out(py, call, timeout);
                self.state.break_off(&format!("{call} did not end within {timeout} s"));
                return Err(fail(failure));
            }
            if let Some(why) = self.state.calls.given_up(true) {
                return Err(fail(Failure::Broken(call, why)));
            }
            py.check_signals().inspect_err(|_| self.state.give_up(py, &format!("{call} was interrupted")))?;
        };
        self.state.check(code, call).map_err(fail)?;
        // SAFETY: a constant of rsmpi.
        if new == unsafe { ffi::RSMPI_COMM_NULL } {
            return Ok(None);
        }
        Comm::new(py, new, epoch, false).map(Some)
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
        let epoch = self.state.epoch;
        // SAFETY: the communicator is alive, and the new handle is written to.
        self.make(py, "MPI_Comm_split", timeout, epoch, move |comm, new| unsafe {
            ffi::MPI_Comm_split(comm, color, key, new)
        })
    }

    /// The ranks that share memory: MPI_Comm_split_type, MPI 3.1 section 6.4.2.
    fn node(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Comm>> {
        let rank = self.state.rank;
        // SAFETY: the communicator is alive, and the new handle is written to.
        self.make(py, "MPI_Comm_split_type", timeout, self.state.epoch, move |comm, new| unsafe {
            ffi::MPI_Comm_split_type(comm, ffi::RSMPI_COMM_TYPE_SHARED, rank, ffi::RSMPI_INFO_NULL, new)
        })
    }

    /// MPI_Comm_create_group, MPI 3.1 section 6.4.2: called by the ranks of the group alone, with the same tag. For another
    /// epoch if one is given.
    #[pyo3(signature = (ranks, tag, timeout, epoch = None))]
    fn create_group(
        &self,
        py: Python<'_>,
        ranks: Vec<i32>,
        tag: i32,
        timeout: f64,
        epoch: Option<u64>,
    ) -> PyResult<Option<Comm>> {
        let make = move |comm: ffi::MPI_Comm, new: *mut ffi::MPI_Comm| {
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
        };
        self.make(py, "MPI_Comm_create_group", timeout, epoch.unwrap_or(self.state.epoch), make)
    }

    /// MPIX_Comm_shrink of ULFM: a communicator of the ranks that live, which all of them ask for. The loss of another one
    /// meanwhile does not end it.
    fn shrink(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Comm>> {
        // SAFETY: the communicator is alive, and the handle is the caller's to write to.
        let make = |comm, new| unsafe { crate::names::ipz_comm_shrink(comm, new) };
        self.make(py, "MPIX_Comm_shrink", timeout, self.state.epoch, make)
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
