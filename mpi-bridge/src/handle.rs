//! MPI's handle of a communicator: as a number for Python, and as a value that may go to another thread.

use mpi::ffi;

/// A handle that may go to another thread.
pub struct Sent(pub ffi::MPI_Comm);

// SAFETY: the handle is a number or an address that only MPI looks at, which was asked to be safe for threads.
unsafe impl Send for Sent {}

/// The handle with this number.
pub fn from_number(number: u64) -> ffi::MPI_Comm {
    // SAFETY: all zeros are a value of both kinds of handle.
    let mut comm: ffi::MPI_Comm = unsafe { std::mem::zeroed() };
    let bytes = number.to_ne_bytes();
    // SAFETY: a handle has four bytes or eight, and these are its first on a machine that is little-endian.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut comm).cast::<u8>(), size_of::<ffi::MPI_Comm>());
    }
    comm
}

/// A handle as a number.
pub fn to_number(comm: &ffi::MPI_Comm) -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: a handle has four bytes or eight.
    unsafe {
        let from = std::ptr::from_ref(comm).cast::<u8>();
        std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), size_of::<ffi::MPI_Comm>());
    }
    u64::from_ne_bytes(bytes)
}
