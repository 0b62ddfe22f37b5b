//! MPI's beginning and end in this process, shared with mpi4py: initialised once, by whoever comes first, and finalised by
//! the same one.

use crate::failure::{Failure, check};
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

/// `MPI_Initialized` and not yet `MPI_Finalized` (MPI 3.1, section 8.7).
pub fn is_running() -> bool {
    let (mut initialized, mut finalized) = (0, 0);
    // SAFETY: both may be called at any time, and write one int each.
    unsafe {
        ffi::MPI_Initialized(&raw mut initialized);
        ffi::MPI_Finalized(&raw mut finalized);
    }
    initialized != 0 && finalized == 0
}

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

/// Finalises MPI if this module has initialised it. Waits for all ranks: not for a world that has lost one.
#[pyfunction]
pub fn finalize(py: Python<'_>) -> PyResult<bool> {
    if !is_running() || !OWNER.swap(false, Ordering::AcqRel) {
        return Ok(false);
    }
    leave_together(py)?;
    // SAFETY: MPI runs, and nobody but its owner calls this.
    let code = py.detach(|| unsafe { ffi::MPI_Finalize() });
    check(code, "MPI_Finalize").map_err(|failure| failure.into_error(py))?;
    Ok(true)
}

/// Waits until all ranks are here. MPICH 4.0 with UCX over TCP may else wait for ever in MPI_Finalize, for a rank that is
/// ahead of it and no longer confirms what it was sent. A rank whose MPI is mpi4py's to finalise does not come.
fn leave_together(py: Python<'_>) -> PyResult<()> {
    const SECONDS: f64 = 20.0;
    // SAFETY: a constant of rsmpi. No epoch is as high as that: this is for worlds that are whole.
    let world = State::of(unsafe { ffi::RSMPI_COMM_WORLD }, u64::MAX, true);
    let begun = world.and_then(|world| {
        let mut pending = Pending::new(&Arc::new(world), "MPI_Barrier")?;
        // SAFETY: MPI runs, and so its world is there.
        pending.begin(|comm, request| unsafe { ffi::MPI_Ibarrier(comm, request) })?;
        Ok(pending)
    });
    match begun.map_err(|failure| failure.into_error(py))?.wait(py, SECONDS) {
        Err(error) if !error.is_instance_of::<PyTimeoutError>(py) => Err(error),
        _ => Ok(()),
    }
}

/// Whether MPI is initialised and not finalised.
#[pyfunction]
pub fn is_initialized() -> bool {
    is_running()
}

/// What the library calls itself: its first line.
#[pyfunction]
pub fn library_version() -> String {
    // SAFETY: a constant of rsmpi.
    let room = unsafe { ffi::RSMPI_MAX_LIBRARY_VERSION_STRING };
    let mut text = vec![0_u8; usize::try_from(room).unwrap_or(8192) + 1];
    let mut length = 0;
    // SAFETY: may be called at any time; the buffer is as long as MPI asks for.
    unsafe { ffi::MPI_Get_library_version(text.as_mut_ptr().cast(), &raw mut length) };
    text.truncate(usize::try_from(length).unwrap_or(0));
    let text = String::from_utf8_lossy(&text);
    let line = text.trim_matches(['\0', ' ', '\n']).lines().next().unwrap_or_default();
    line.split(',').next().unwrap_or_default().trim().replace('\t', " ")
}
