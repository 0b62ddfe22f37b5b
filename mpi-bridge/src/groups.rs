//! Communicators made from others: of some of the ranks, of those on one host, of those that survive (MPI 3.1,
//! chapter 6).

use crate::comm::Comm;
use crate::making::Making;
use crate::names;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;

impl Comm {
    /// Makes a communicator from this one and waits for it. None: this rank is not in it.
    fn make(
        &self,
        py: Python<'_>,
        call: &'static str,
        timeout: f64,
        make: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> PyResult<Option<Comm>> {
        self.make_with(py, call, &[], timeout, make)
    }

    /// The same by a call that only these ranks enter.
    fn make_with(
        &self,
        py: Python<'_>,
        call: &'static str,
        ranks: &[c_int],
        timeout: f64,
        make: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> PyResult<Option<Comm>> {
        Making::begin(py, &self.state, call, self.state.epoch, None, ranks, make)?.finish(py, timeout, true)
    }
}

/// Calls MPI_Comm_create_group for some ranks.
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

#[pymethods]
impl Comm {
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
        self.make_with(py, "MPI_Comm_create_group", &ranks.clone(), timeout, group_maker(ranks, tag))
    }

    /// Begins the same for an epoch, of `members` of MPI_COMM_WORLD, which will call it by that name. This communicator
    /// stays usable when the wait is given up.
    fn begin_group(
        &self,
        py: Python<'_>,
        ranks: Vec<i32>,
        tag: i32,
        epoch: u64,
        name: String,
        members: Vec<u32>,
    ) -> PyResult<Making> {
        let named = Some((name, members));
        Making::begin(py, &self.state, "MPI_Comm_create_group", epoch, named, &ranks.clone(), group_maker(ranks, tag))
    }

    /// Begins MPIX_Comm_shrink of ULFM: a communicator of the surviving ranks, all of which must call it. The loss of
    /// another rank meanwhile does not end it.
    fn begin_shrink(&self, py: Python<'_>) -> PyResult<Making> {
        // SAFETY: the communicator is alive, and the handle is the caller's to write to.
        let make = |comm, new| unsafe { names::ipz_comm_shrink(comm, new) };
        Making::begin(py, &self.state, "MPIX_Comm_shrink", self.state.epoch, None, &[], make)
    }
}
