//! What `names.c` makes of MPI's macros.

use mpi::ffi::{MPI_Comm, MPI_Datatype, MPI_Op};
use std::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    static IPZ_FAMILY: c_char;
    pub static IPZ_IN_PLACE: *mut c_void;
    pub static IPZ_MINLOC: MPI_Op;
    pub static IPZ_MAXLOC: MPI_Op;
    pub static IPZ_FLOAT_INT: MPI_Datatype;
    pub static IPZ_DOUBLE_INT: MPI_Datatype;
    pub static IPZ_LONG_INT: MPI_Datatype;
    pub static IPZ_2INT: MPI_Datatype;
    pub static IPZ_SHORT_INT: MPI_Datatype;
    pub static IPZ_BYTE: MPI_Datatype;
    pub static IPZ_LONG_DOUBLE: MPI_Datatype;
    pub static IPZ_C_LONG_DOUBLE_COMPLEX: MPI_Datatype;
    pub static IPZ_ERR_PROC_FAILED: c_int;
    pub static IPZ_ERR_PROC_FAILED_PENDING: c_int;
    pub static IPZ_ERR_REVOKED: c_int;
    /// MPIX_Comm_shrink; -1 where the library has none.
    pub fn ipz_comm_shrink(comm: MPI_Comm, living: *mut MPI_Comm) -> c_int;
    /// Cores of this machine.
    pub safe fn ipz_cores() -> c_int;
}

/// Which libraries this build can be used with: "openmpi", "mpich" or "unknown".
pub fn family() -> String {
    // SAFETY: the array that begins there ends with a zero, and is constant.
    let mark = unsafe { CStr::from_ptr(&raw const IPZ_FAMILY) }.to_string_lossy();
    mark.rsplit(' ').next().unwrap_or_default().to_owned()
}
