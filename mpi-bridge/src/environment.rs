//! MPI's beginning and end in this process, shared with mpi4py: initialised once, by whoever comes first, and finalised by
//! the same one.

use crate::failure::{Failure, check};
use crate::library::{is_running, version_text};
use crate::pending::Pending;
use crate::state::State;
use mpi::ffi;
use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// This module has initialised MPI, and has to finalise it.
static OWNER: AtomicBool = AtomicBool::new(false);

fn level_name(level: c_int) -> &'static str {
    // SAFETY: constants of rsmpi.
    let levels = unsafe {
        [
            (ffi::RSMPI_THREAD_SINGLE, "single"),
            (ffi::RSMPI_THREAD_FUNNELED, "funneled"),
            (ffi::RSMPI_THREAD_SERIALIZED, "serialized"),
            (ffi::RSMPI_THREAD_MULTIPLE, "multiple"),
        ]
    };
    levels.iter().find(|(number, _)| *number == level).map_or("unknown", |(_, name)| name)
}

/// Initialises MPI unless somebody has. Whether it was this call, and the thread level that MPI provides.
#[pyfunction]
pub fn initialize(py: Python<'_>) -> PyResult<(bool, &'static str)> {
    let (mut initialized, mut finalized) = (0, 0);
    // SAFETY: both may be called at any time, and write one int each.
    unsafe {
        ffi::MPI_Initialized(&raw mut initialized);
        ffi::MPI_Finalized(&raw mut finalized);
    }
    if finalized != 0 {
        return Err(Failure::Broken(
            "MPI_Init_thread",
            "MPI was finalised, and can be initialised only once".to_owned(),
        )
        .into_error(py));
    }
    let mut provided = 0;
    let own = initialized == 0;
    let code = py.detach(|| {
        if own {
            // SAFETY: MPI is not initialised; null pointers stand for no arguments (MPI 3.1, section 8.7).
            unsafe {
                ffi::MPI_Init_thread(
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    ffi::RSMPI_THREAD_MULTIPLE,
                    &raw mut provided,
                )
            }
        } else {
            // SAFETY: MPI is initialised.
            unsafe { ffi::MPI_Query_thread(&raw mut provided) }
        }
    });
    check(code, "MPI_Init_thread").map_err(|failure| failure.into_error(py))?;
    if own {
        OWNER.store(true, Ordering::Release);
    }
    Ok((own, level_name(provided)))
}

/// Finalises MPI if this module has initialised it; whether it did. Waits for all ranks: not for a world that has lost one.
#[pyfunction]
pub fn finalize(py: Python<'_>) -> PyResult<bool> {
    if !is_running() || !OWNER.swap(false, Ordering::AcqRel) {
        return Ok(false);
    }
    let ranks = leave_together(py)?;
    if never_finalizes(&version_text()) && spans_hosts(ranks) {
        return Ok(false);
    }
    // SAFETY: MPI runs, and nobody but its owner calls this.
    let code = py.detach(|| unsafe { ffi::MPI_Finalize() });
    check(code, "MPI_Finalize").map_err(|failure| failure.into_error(py))?;
    Ok(true)
}

/// Waits until all ranks are here, so that none ends while others still need it; how many there are. A rank whose MPI is
/// mpi4py's to finalise does not come.
fn leave_together(py: Python<'_>) -> PyResult<c_int> {
    const SECONDS: f64 = 20.0;
    // SAFETY: a constant of rsmpi. No epoch is as high as that: this is for worlds that are whole.
    let world = State::of(unsafe { ffi::RSMPI_COMM_WORLD }, u64::MAX, true);
    let world = Arc::new(world.map_err(|failure| failure.into_error(py))?);
    let begun = Pending::new(&world, "MPI_Barrier").and_then(|mut pending| {
        // SAFETY: MPI runs, and so its world is there.
        pending.begin(|comm, request| unsafe { ffi::MPI_Ibarrier(comm, request) })?;
        Ok(pending)
    });
    match begun.map_err(|failure| failure.into_error(py))?.wait(py, SECONDS) {
        Err(error) if !error.is_instance_of::<PyTimeoutError>(py) => Err(error),
        _ => Ok(world.size),
    }
}

/// Whether MPI_Finalize of this library may wait for ever where ranks are on several hosts: MPICH before 4.2 with UCX. Its
/// ranks disconnect, and wait in PMI without moving data on, which others need to disconnect from them
/// (<https://github.com/pmodels/mpich/pull/6596>). A process that ends does what is left to do.
fn never_finalizes(version: &str) -> bool {
    let Some(number) = version.strip_prefix("MPICH Version:") else { return false };
    let mut parts = number.trim_start().split(|character: char| !character.is_ascii_digit());
    let mut part = || parts.next().and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
    (part(), part()) < (4, 2) && version.contains("ucx")
}

/// Whether mpiexec of MPICH or srun has started these ranks on several hosts.
fn spans_hosts(ranks: c_int) -> bool {
    let number = |name| std::env::var(name).ok()?.parse::<c_int>().ok();
    match number("MPI_LOCALNRANKS") {
        Some(here) => here < ranks,
        None => number("SLURM_STEP_NUM_NODES").is_some_and(|hosts| hosts > 1),
    }
}
