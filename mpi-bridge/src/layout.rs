//! Counts that fit into C's `int`, whatever their size: large ones become a datatype of their own (MPI 3.1, section 4.1).

use crate::buffers::{Datatype, int};
use crate::failure::{Failure, check};
use crate::library;
use mpi::ffi;
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest count that is given to MPI; less in tests, so that large ones are tried with small arrays.
static LARGEST: AtomicUsize = AtomicUsize::new(c_int::MAX as usize);

/// Sets the largest count.
pub fn set_largest(count: usize) {
    LARGEST.store(count.clamp(1, c_int::MAX as usize), Ordering::Relaxed);
}

/// Whether a count, or a displacement, has to be split.
pub fn is_large(count: usize) -> bool {
    count > LARGEST.load(Ordering::Relaxed)
}

/// Offsets and sizes of the pieces of `count` elements; one piece where it is not large, also of nothing.
pub fn pieces(count: usize) -> impl Iterator<Item = (usize, c_int)> {
    let largest = LARGEST.load(Ordering::Relaxed);
    (0..count.div_ceil(largest).max(1)).map(move |piece| (piece * largest, int((count - piece * largest).min(largest))))
}

/// Count and datatype for `count` elements. The datatype is freed when this is dropped, which MPI allows at once.
pub struct Block {
    /// How many of the datatype.
    pub count: c_int,
    /// The datatype.
    pub datatype: ffi::MPI_Datatype,
    own: bool,
}

impl Block {
    /// A predefined datatype where the count is not large.
    pub fn of(datatype: Datatype, count: usize) -> Result<Block, Failure> {
        if !is_large(count) {
            return Ok(Block { count: int(count), datatype: datatype.handle, own: false });
        }
        Ok(Block { count: 1, datatype: stretch(datatype, 0, count)?, own: true })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.own {
            free(&mut self.datatype);
        }
    }
}

/// A datatype for `count` elements that begin at element `first`. To be freed.
pub fn stretch(datatype: Datatype, first: usize, count: usize) -> Result<ffi::MPI_Datatype, Failure> {
    let largest = LARGEST.load(Ordering::Relaxed);
    let (whole, rest) = (count / largest, count % largest);
    // SAFETY: a constant of rsmpi.
    let null = unsafe { ffi::RSMPI_DATATYPE_NULL };
    let (mut front, mut back, mut all) = (null, null, null);
    let address = |element: usize| ffi::MPI_Aint::try_from(element * datatype.size).unwrap_or(ffi::MPI_Aint::MAX);
    let (lengths, places) = ([1, 1], [address(first), address(first + whole * largest)]);
    // SAFETY: the arrays have two elements each, and the handles are ours to write to.
    let made = unsafe {
        check(
            ffi::MPI_Type_vector(int(whole), int(largest), int(largest), datatype.handle, &raw mut front),
            "MPI_Type_vector",
        )
        .and_then(|()| {
            check(ffi::MPI_Type_contiguous(int(rest), datatype.handle, &raw mut back), "MPI_Type_contiguous")
        })
        .and_then(|()| {
            let types = [front, back];
            let code = ffi::MPI_Type_create_struct(2, lengths.as_ptr(), places.as_ptr(), types.as_ptr(), &raw mut all);
            check(code, "MPI_Type_create_struct")
        })
        .and_then(|()| check(ffi::MPI_Type_commit(&raw mut all), "MPI_Type_commit"))
    };
    free(&mut front);
    free(&mut back);
    made.map(|()| all)
}

/// Frees a datatype that was made (MPI 3.1, section 4.1.9); MPI keeps it as long as an operation needs it.
pub fn free(datatype: &mut ffi::MPI_Datatype) {
    // SAFETY: a datatype that was made, and is freed once, while MPI runs.
    unsafe {
        if *datatype != ffi::RSMPI_DATATYPE_NULL && library::is_running() {
            ffi::MPI_Type_free(datatype);
        }
    }
}
