//! What the MPI library can be asked at any time, also before MPI_Init and after MPI_Finalize: whether it runs, and its
//! version.

use mpi::ffi;
use pyo3::prelude::*;

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

/// Whether MPI is initialised and not finalised.
#[pyfunction]
pub fn is_initialized() -> bool {
    is_running()
}

/// The library's name and version: the first line of what it reports.
#[pyfunction]
pub fn library_version() -> String {
    let text = version_text();
    let line = text.lines().next().unwrap_or_default();
    line.split(',').next().unwrap_or_default().trim().replace('\t', " ")
}

/// All that the library reports about its version.
pub fn version_text() -> String {
    // SAFETY: a constant of rsmpi.
    let room = unsafe { ffi::RSMPI_MAX_LIBRARY_VERSION_STRING };
    let mut text = vec![0_u8; usize::try_from(room).unwrap_or(8192) + 1];
    let mut length = 0;
    // SAFETY: may be called at any time; the buffer is as long as MPI asks for.
    unsafe { ffi::MPI_Get_library_version(text.as_mut_ptr().cast(), &raw mut length) };
    text.truncate(usize::try_from(length).unwrap_or(0));
    String::from_utf8_lossy(&text).trim_matches(['\0', ' ', '\n']).to_owned()
}
