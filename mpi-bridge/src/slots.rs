//! Collectives of any objects, as bytes in slots of equal size, so that small ones take one step.
//!
//! # Format
//!
//! A slot is 8 bytes with a length, and then so many bytes where they fit. What does not fit is sent in a second step, by
//! who called this.

use crate::buffers::{View, int};
use crate::comm::Comm;
use crate::failure::bad_value;
use crate::parts::Object;
use crate::pending::Pending;
use mpi::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

const HEAD: usize = 8;
/// Just below 4 KiB, up to which both libraries send at once.
const LARGEST: usize = 3968;
/// The slots of all ranks are to stay in a rank's cache, and the smallest is to be of use.
const ALL: usize = 64 << 10;
const SMALLEST: usize = 256;

fn slot(ranks: usize) -> usize {
    ((ALL / ranks.max(1)) & !(HEAD - 1)).clamp(SMALLEST, LARGEST)
}

/// A slot for each part.
fn pack(parts: &[Object<'_>], slot: usize) -> PyResult<Vec<u8>> {
    let mut whole = vec![0; slot * parts.len()];
    for (part, place) in parts.iter().zip(whole.chunks_exact_mut(slot)) {
        match part.cast::<PyBytes>() {
            Ok(bytes) => fill(place, bytes.as_bytes()),
            Err(_) => {
                let view = View::of(part, false, "data")?;
                // SAFETY: the view has so many bytes, and nobody writes to them while the GIL is held.
                fill(place, unsafe { std::slice::from_raw_parts(view.address().cast::<u8>(), view.count) });
            }
        }
    }
    Ok(whole)
}

fn fill(place: &mut [u8], bytes: &[u8]) {
    place[..HEAD].copy_from_slice(&bytes.len().to_le_bytes());
    if let Some(room) = place[HEAD..].get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

#[pymethods]
impl Comm {
    /// How many bytes fit into a slot.
    #[getter]
    fn room(&self) -> usize {
        slot(self.ranks()) - HEAD
    }

    /// Moves slots by `call`: "bcast", "gather", "scatter", "allgather" or "alltoall". `parts` are those that this rank
    /// sends, of bytes. What was received: bytes where they fitted, or their length.
    fn slots<'py>(
        &self,
        py: Python<'py>,
        call: &str,
        parts: Vec<Object<'py>>,
        root: i32,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let (ranks, is_root) = (self.ranks(), self.is_root(root)?);
        let slot = slot(ranks);
        let (call, sent, received) = match call {
            "bcast" => ("MPI_Bcast", usize::from(is_root), usize::from(!is_root)),
            "gather" => ("MPI_Gather", 1, if is_root { ranks } else { 0 }),
            "scatter" => ("MPI_Scatter", if is_root { ranks } else { 0 }, 1),
            "allgather" => ("MPI_Allgather", 1, ranks),
            "alltoall" => ("MPI_Alltoall", ranks, ranks),
            _ => return Err(bad_value(format!("call: {call:?} has no slots"))),
        };
        if parts.len() != sent {
            return Err(bad_value(format!("parts: there are {}, and there must be {sent}", parts.len())));
        }
        let packed = pack(&parts, slot)?;
        let begun = Pending::new(&self.state, call).and_then(|mut pending| {
            let from = pending.store(packed);
            let to = pending.store(vec![0; slot * received]);
            let count = int(slot);
            // SAFETY: both have as many slots as the call needs, and are kept until it is done.
            pending.begin(|comm, request| unsafe {
                let byte = ffi::RSMPI_UINT8_T;
                match call {
                    "MPI_Bcast" => ffi::MPI_Ibcast(if is_root { from } else { to }, count, byte, root, comm, request),
                    "MPI_Gather" => ffi::MPI_Igather(from, count, byte, to, count, byte, root, comm, request),
                    "MPI_Scatter" => ffi::MPI_Iscatter(from, count, byte, to, count, byte, root, comm, request),
                    "MPI_Allgather" => ffi::MPI_Iallgather(from, count, byte, to, count, byte, comm, request),
                    _ => ffi::MPI_Ialltoall(from, count, byte, to, count, byte, comm, request),
                }
            })?;
            Ok(pending)
        });
        let mut pending = begun.map_err(|failure| failure.into_error(py))?;
        pending.wait(py, timeout)?;
        let got = PyList::empty(py);
        for place in pending.stored().chunks_exact(slot) {
            let (head, room) = place.split_at(HEAD);
            let length = usize::from_le_bytes(head.try_into().unwrap_or_default());
            match room.get(..length) {
                Some(bytes) => got.append(PyBytes::new(py, bytes))?,
                None => got.append(length)?,
            }
        }
        Ok(got)
    }
}
