//! Collectives of any objects, as bytes in slots of equal size, so that small ones take one step.
//!
//! # Format
//!
//! A slot is 8 bytes with a length, and then so many bytes where they fit. What does not fit is sent in a second step, by
//! who called this. Among few ranks a slot is a message, as long as it has to be; otherwise all are of full length, and
//! move by a collective of MPI's.

use crate::buffers::{View, int};
use crate::comm::Comm;
use crate::failure::{Failure, bad_value};
use crate::parts::Object;
use crate::pending::Pending;
use mpi::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::ffi::{c_int, c_void};

const HEAD: usize = 8;
/// Just below 4 KiB, up to which both libraries send at once.
const LARGEST: usize = 3968;
/// The slots of all ranks are to stay in a rank's cache, and the smallest is to be of use.
const ALL: usize = 64 << 10;
const SMALLEST: usize = 256;
/// Up to so many ranks messages are sooner there: the non-blocking collectives of MPI build a schedule first, which has
/// the same messages in it, or moves slots of full length down a tree.
const FEW: usize = 16;
/// Of these messages, which have a communicator of their own.
const TAG: c_int = 1;

fn slot(ranks: usize) -> usize {
    ((ALL / ranks.max(1)) & !(HEAD - 1)).clamp(SMALLEST, LARGEST)
}

/// A slot for each part, behind each other, and where each begins. `full`: of full length.
fn pack(parts: &[Object<'_>], slot: usize, full: bool) -> PyResult<(Vec<u8>, Vec<usize>)> {
    let (mut packed, mut starts) = (Vec::with_capacity(slot * parts.len()), Vec::with_capacity(parts.len() + 1));
    let mut fill = |bytes: &[u8]| {
        let start = packed.len();
        packed.extend_from_slice(&bytes.len().to_le_bytes());
        if bytes.len() <= slot - HEAD {
            packed.extend_from_slice(bytes);
        }
        if full {
            packed.resize(start + slot, 0);
        }
        starts.push(start);
    };
    for part in parts {
        if let Ok(bytes) = part.cast::<PyBytes>() {
            fill(bytes.as_bytes());
        } else {
            let view = View::of(part, false, "data")?;
            // SAFETY: the view has so many bytes, and nobody writes to them while the GIL is held.
            fill(unsafe { std::slice::from_raw_parts(view.address().cast::<u8>(), view.count) });
        }
    }
    starts.push(packed.len());
    Ok((packed, starts))
}

/// A call, and what it has to move.
struct Slots<'a> {
    call: &'static str,
    parts: &'a [Object<'a>],
    /// Bytes of one.
    slot: usize,
    received: usize,
    root: c_int,
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
        let slots = Slots { call, parts: &parts, slot, received, root };
        let mut pending =
            if ranks <= FEW { self.by_messages(py, &slots, timeout)? } else { self.by_collective(py, &slots)? };
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

impl Comm {
    fn by_collective(&self, py: Python<'_>, slots: &Slots<'_>) -> PyResult<Pending> {
        let (call, root, count) = (slots.call, slots.root, int(slots.slot));
        let (packed, _) = pack(slots.parts, slots.slot, true)?;
        let begun = Pending::new(&self.state, call).and_then(|mut pending| {
            let from = pending.store(packed);
            let to = pending.store(vec![0; slots.slot * slots.received]);
            let buffer = if slots.received == 0 { from } else { to };
            // SAFETY: both have as many slots as the call needs, and are kept until it is done.
            pending.begin(|comm, request| unsafe {
                let byte = ffi::RSMPI_UINT8_T;
                match call {
                    "MPI_Bcast" => ffi::MPI_Ibcast(buffer, count, byte, root, comm, request),
                    "MPI_Gather" => ffi::MPI_Igather(from, count, byte, to, count, byte, root, comm, request),
                    "MPI_Scatter" => ffi::MPI_Iscatter(from, count, byte, to, count, byte, root, comm, request),
                    "MPI_Allgather" => ffi::MPI_Iallgather(from, count, byte, to, count, byte, comm, request),
                    _ => ffi::MPI_Ialltoall(from, count, byte, to, count, byte, comm, request),
                }
            })?;
            Ok(pending)
        });
        begun.map_err(|failure| failure.into_error(py))
    }

    fn by_messages(&self, py: Python<'_>, slots: &Slots<'_>, timeout: f64) -> PyResult<Pending> {
        let side = self.side_state(py, timeout)?;
        let (call, slot, rank) = (slots.call, slots.slot, self.state.rank);
        let moves = |from: c_int, to: c_int| match call {
            "MPI_Gather" => to == slots.root,
            "MPI_Bcast" | "MPI_Scatter" => from == slots.root,
            _ => true,
        };
        let index = |rank: c_int, of: usize| if of == 1 { 0 } else { usize::try_from(rank).unwrap_or(0) };
        let (packed, starts) = pack(slots.parts, slot, false)?;
        let part = |to| index(to, slots.parts.len());
        let mut got = vec![0; slot * slots.received];
        if moves(rank, rank) && slots.received > 0 {
            let own = &packed[starts[part(rank)]..starts[part(rank) + 1]];
            got[index(rank, slots.received) * slot..][..own.len()].copy_from_slice(own);
        }
        let others = || (0..self.state.size).filter(|other| *other != rank);
        let begin = |mut pending: Pending| -> Result<Pending, Failure> {
            let from = pending.store(packed).cast::<u8>();
            let to = pending.store(got).cast::<u8>();
            for other in others().filter(|other| moves(*other, rank)) {
                let place = to.wrapping_add(index(other, slots.received) * slot).cast::<c_void>();
                // SAFETY: there is room for a slot, which is kept until it is there.
                pending.begin(|_, request| unsafe {
                    ffi::MPI_Irecv(place, int(slot), ffi::RSMPI_UINT8_T, other, TAG, side.comm, request)
                })?;
            }
            for other in others().filter(|other| moves(rank, *other)) {
                let (start, end) = (starts[part(other)], starts[part(other) + 1]);
                let place = from.wrapping_add(start).cast::<c_void>();
                // SAFETY: there are so many bytes, which are kept until they are sent.
                pending.begin(|_, request| unsafe {
                    ffi::MPI_Isend(place, int(end - start), ffi::RSMPI_UINT8_T, other, TAG, side.comm, request)
                })?;
            }
            Ok(pending)
        };
        Pending::new(&self.state, call).and_then(begin).map_err(|failure| failure.into_error(py))
    }
}
