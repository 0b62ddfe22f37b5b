//! Buffers of collective operations: their parts, and checks that can be made on one rank.

use crate::buffers::{Datatype, View, int};
use crate::failure::{Failure, bad_type, bad_value};
use crate::layout::{is_large, stretch};
use crate::names;
use crate::pending::Pending;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};

/// A Python object.
pub type Object<'py> = Bound<'py, PyAny>;

/// Counts and displacements of a buffer's parts, in elements.
pub struct Parts {
    pub counts: Vec<usize>,
    pub places: Vec<usize>,
}

impl Parts {
    /// As they were given, checked against the buffer; displacements that were not given follow each other.
    pub fn of(
        name: &str,
        counts: Vec<usize>,
        places: Option<Vec<usize>>,
        view: &View,
        ranks: usize,
    ) -> PyResult<Parts> {
        if counts.len() != ranks {
            return Err(bad_value(format!(
                "{name}: there are {} counts for {ranks} ranks; give one for each",
                counts.len()
            )));
        }
        let places = places.unwrap_or_else(|| {
            let ends = counts.iter().scan(0, |end, count| {
                *end += count;
                Some(*end)
            });
            std::iter::once(0).chain(ends).take(ranks).collect()
        });
        if places.len() != ranks {
            let given = places.len();
            return Err(bad_value(format!(
                "{name}: there are {given} displacements for {ranks} ranks; give one for each"
            )));
        }
        for (rank, (count, place)) in counts.iter().zip(&places).enumerate() {
            if *count > 0 && place.checked_add(*count).is_none_or(|end| end > view.count) {
                return Err(bad_value(format!(
                    "{name}: the part of rank {rank} is elements {place} to {}, and the buffer has {}",
                    place.saturating_add(*count),
                    view.count
                )));
            }
        }
        Ok(Parts { counts, places })
    }

    pub fn is_large(&self) -> bool {
        self.counts.iter().chain(&self.places).any(|number| is_large(*number))
    }

    pub fn lists(&self, pending: &mut Pending) -> (*const c_int, *const c_int) {
        let ints = |numbers: &[usize]| numbers.iter().map(|number| int(*number)).collect();
        (pending.list(ints(&self.counts)), pending.list(ints(&self.places)))
    }

    /// One datatype for each part, which says where it is, and one of it where there is anything.
    pub fn types(
        &self,
        pending: &mut Pending,
        datatype: Datatype,
    ) -> Result<(*const c_int, *const c_int, *const ffi::MPI_Datatype), Failure> {
        let ones = self.counts.iter().map(|count| c_int::from(*count > 0)).collect();
        let zeros = vec![0; self.counts.len()];
        let mut types = Vec::with_capacity(self.counts.len());
        for (count, place) in self.counts.iter().zip(&self.places) {
            types.push(if *count > 0 { pending.own(stretch(datatype, *place, *count)?) } else { datatype.handle });
        }
        Ok((pending.list(ones), pending.list(zeros), pending.type_list(types)))
    }

    /// No parts, as an argument of alltoallw.
    pub fn none(ranks: usize) -> Parts {
        Parts { counts: vec![0; ranks], places: vec![0; ranks] }
    }
}

/// Where MPI reads from: `send`, or what is in place.
pub fn address_of(send: Option<&View>) -> *const c_void {
    match send {
        Some(view) => view.address(),
        // SAFETY: a constant of the shim.
        None => unsafe { names::IPZ_IN_PLACE },
    }
}

pub fn same_type(send: Option<&View>, receive: &View) -> PyResult<()> {
    match send {
        Some(send) if send.datatype != receive.datatype => Err(bad_type(format!(
            "sendbuf has elements of {} bytes ({:?}), recvbuf of {} bytes ({:?}); give both the same dtype",
            send.datatype.size, send.datatype.family, receive.datatype.size, receive.datatype.family
        ))),
        _ => Ok(()),
    }
}

pub fn same_count(what: &str, found: usize, wanted: usize) -> PyResult<()> {
    if found == wanted {
        return Ok(());
    }
    Err(bad_value(format!("{what} has {found} elements, and there must be {wanted}")))
}

pub fn missing(name: &str, root: i32) -> PyErr {
    bad_value(format!("{name}: it is needed on the root, which is rank {root}"))
}
/// MPI_Ialltoallw, whose datatypes say where each part is and how large, so that nothing has to fit into an int (MPI 3.1,
/// section 5.8).
pub fn exchange(
    pending: &mut Pending,
    from: *const c_void,
    out: &Parts,
    to: *mut c_void,
    inward: &Parts,
    datatype: Datatype,
) -> Result<(), Failure> {
    let (out_counts, out_places, out_types) = out.types(pending, datatype)?;
    let (in_counts, in_places, in_types) = inward.types(pending, datatype)?;
    // SAFETY: the buffers have as many elements as the types say, and are kept with the lists.
    pending.begin(|comm, request| unsafe {
        ffi::MPI_Ialltoallw(from, out_counts, out_places, out_types, to, in_counts, in_places, in_types, comm, request)
    })
}
