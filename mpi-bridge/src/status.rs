//! What MPI tells of a message that was received or found.

use crate::names;
use mpi::ffi;

/// Source, tag and bytes.
pub type Status = (i32, i32, i64);

/// Reads a status that MPI has filled in.
pub fn describe(status: &ffi::MPI_Status) -> Status {
    let mut bytes = 0;
    // SAFETY: a status that MPI has filled in, and a constant of the shim.
    unsafe { ffi::MPI_Get_elements_x(status, names::IPZ_BYTE, &raw mut bytes) };
    (status.MPI_SOURCE, status.MPI_TAG, bytes)
}
