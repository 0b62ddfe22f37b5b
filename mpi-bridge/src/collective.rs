//! Collective operations on buffers (MPI 3.1, chapter 5), each by its non-blocking form of section 5.12.
//!
//! What can be checked on one rank is checked before MPI is called: types, counts, roots, operators. `None` for a send
//! buffer is MPI_IN_PLACE.

use crate::buffers::{Datatype, View, int, operator};
use crate::comm::Comm;
use crate::failure::{Failure, bad_type, bad_value};
use crate::layout::{Block, is_large, pieces, stretch};
use crate::names;
use crate::pending::Pending;
use crate::request::Request;
use crate::state::State;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

type Object<'py> = Bound<'py, PyAny>;

/// Counts and displacements of a buffer's parts, in elements.
struct Parts {
    counts: Vec<usize>,
    places: Vec<usize>,
}

impl Parts {
    /// As they were given, checked against the buffer; displacements that were not given follow each other.
    fn of(name: &str, counts: Vec<usize>, places: Option<Vec<usize>>, view: &View, ranks: usize) -> PyResult<Parts> {
        if counts.len() != ranks {
            return Err(bad_value(format!("{name}: there are {} counts for {ranks} ranks; give one for each", counts.len())));
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
            return Err(bad_value(format!("{name}: there are {given} displacements for {ranks} ranks; give one for each")));
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

    fn is_large(&self) -> bool {
        self.counts.iter().chain(&self.places).any(|number| is_large(*number))
    }

    fn lists(&self, pending: &mut Pending) -> (*const c_int, *const c_int) {
        let ints = |numbers: &[usize]| numbers.iter().map(|number| int(*number)).collect();
        (pending.list(ints(&self.counts)), pending.list(ints(&self.places)))
    }

    /// One datatype for each part, which says where it is, and one of it where there is anything.
    fn types(
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
    fn none(ranks: usize) -> Parts {
        Parts { counts: vec![0; ranks], places: vec![0; ranks] }
    }
}

/// Where MPI reads from: `send`, or what is in place.
fn address_of(send: Option<&View>) -> *const c_void {
    match send {
        Some(view) => view.address(),
        // SAFETY: a constant of the shim.
        None => unsafe { names::IPZ_IN_PLACE },
    }
}

fn same_type(send: Option<&View>, receive: &View) -> PyResult<()> {
    match send {
        Some(send) if send.datatype != receive.datatype => Err(bad_type(format!(
            "sendbuf has elements of {} bytes ({:?}), recvbuf of {} bytes ({:?}); give both the same dtype",
            send.datatype.size, send.datatype.family, receive.datatype.size, receive.datatype.family
        ))),
        _ => Ok(()),
    }
}

fn same_count(what: &str, found: usize, wanted: usize) -> PyResult<()> {
    if found == wanted {
        return Ok(());
    }
    Err(bad_value(format!("{what} has {found} elements, and there must be {wanted}")))
}

fn missing(name: &str, root: i32) -> PyErr {
    bad_value(format!("{name}: it is needed on the root, which is rank {root}"))
}

impl Comm {
    fn ranks(&self) -> usize {
        usize::try_from(self.state.size).unwrap_or(0)
    }

    fn is_root(&self, root: i32) -> PyResult<bool> {
        if (0..self.state.size).contains(&root) {
            return Ok(root == self.state.rank);
        }
        Err(bad_value(format!("root: there is no rank {root}; ranks are 0 to {}", self.state.size - 1)))
    }

    /// Begins an operation, keeps the buffers, and waits unless told not to.
    fn operate(
        &self,
        py: Python<'_>,
        call: &'static str,
        timeout: f64,
        views: Vec<View>,
        begin: impl FnOnce(&mut Pending, &[View]) -> Result<(), Failure>,
    ) -> PyResult<Option<Request>> {
        let state: &Arc<State> = &self.state;
        let begun = Pending::new(state, call).and_then(|mut pending| {
            let result = begin(&mut pending, &views);
            for view in views {
                pending.keep(view);
            }
            result.map(|()| pending)
        });
        Comm::finish(py, begun.map_err(|failure| failure.into_error(py))?, timeout)
    }

    /// The reductions, in pieces where there are very many elements: they work element by element.
    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn reduction(
        &self,
        py: Python<'_>,
        call: &'static str,
        timeout: f64,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        op: &str,
        function: unsafe extern "C" fn(
            *const c_void,
            *mut c_void,
            c_int,
            ffi::MPI_Datatype,
            ffi::MPI_Op,
            ffi::MPI_Comm,
            *mut ffi::MPI_Request,
        ) -> c_int,
    ) -> PyResult<Option<Request>> {
        let receive = View::of(receive, true, "recvbuf")?;
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        same_type(send.as_ref(), &receive)?;
        if let Some(send) = &send {
            same_count("recvbuf", receive.count, send.count)?;
        }
        let op = operator(op, receive.datatype)?;
        let (count, datatype) = (receive.count, receive.datatype.handle);
        let views: Vec<View> = std::iter::once(receive).chain(send).collect();
        self.operate(py, call, timeout, views, |pending, views| {
            for (first, some) in pieces(count) {
                let from = views.get(1).map_or_else(|| address_of(None), |send| send.at(first).cast_const());
                // SAFETY: both buffers have that many elements and are kept until the operation is done.
                pending.begin(|comm, request| unsafe {
                    function(from, views[0].at(first), some, datatype, op, comm, request)
                })?;
            }
            Ok(())
        })
    }
}

#[pymethods]
impl Comm {
    fn barrier(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Request>> {
        self.operate(py, "MPI_Barrier", timeout, Vec::new(), |pending, _| {
            // SAFETY: the communicator is alive.
            pending.begin(|comm, request| unsafe { ffi::MPI_Ibarrier(comm, request) })
        })
    }

    fn bcast(&self, py: Python<'_>, buffer: &Object<'_>, root: i32, timeout: f64) -> PyResult<Option<Request>> {
        let is_root = self.is_root(root)?;
        let view = View::of(buffer, !is_root, "buf")?;
        self.operate(py, "MPI_Bcast", timeout, vec![view], |pending, views| {
            let block = Block::of(views[0].datatype, views[0].count)?;
            // SAFETY: the buffer has that many elements and is kept until the operation is done.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Ibcast(views[0].address(), block.count, block.datatype, root, comm, request)
            })
        })
    }

    fn allreduce(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        op: &str,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        self.reduction(py, "MPI_Allreduce", timeout, send, receive, op, ffi::MPI_Iallreduce)
    }

    fn scan(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        op: &str,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        self.reduction(py, "MPI_Scan", timeout, send, receive, op, ffi::MPI_Iscan)
    }

    fn exscan(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        op: &str,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        self.reduction(py, "MPI_Exscan", timeout, send, receive, op, ffi::MPI_Iexscan)
    }

    /// On the root, no send buffer stands for in place; elsewhere there is no receive buffer.
    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn reduce(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: Option<&Object<'_>>,
        op: &str,
        root: i32,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let is_root = self.is_root(root)?;
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        let receive = match (is_root, receive) {
            (true, Some(receive)) => Some(View::of(receive, true, "recvbuf")?),
            (true, None) => return Err(missing("recvbuf", root)),
            (false, _) => None,
        };
        if let (Some(send), Some(receive)) = (&send, &receive) {
            same_type(Some(send), receive)?;
            same_count("recvbuf", receive.count, send.count)?;
        }
        let Some(first) = send.as_ref().or(receive.as_ref()) else {
            return Err(bad_value("sendbuf: only the root may leave it out".to_owned()));
        };
        let (count, datatype) = (first.count, first.datatype);
        let op = operator(op, datatype)?;
        let (has_send, has_receive) = (send.is_some(), receive.is_some());
        let views: Vec<View> = send.into_iter().chain(receive).collect();
        self.operate(py, "MPI_Reduce", timeout, views, |pending, views| {
            for (first, some) in pieces(count) {
                let from = if has_send { views[0].at(first).cast_const() } else { address_of(None) };
                let to = if has_receive { views[views.len() - 1].at(first) } else { std::ptr::null_mut() };
                // SAFETY: both buffers have that many elements and are kept until the operation is done.
                pending.begin(|comm, request| unsafe {
                    ffi::MPI_Ireduce(from, to, some, datatype.handle, op, root, comm, request)
                })?;
            }
            Ok(())
        })
    }

    fn reduce_scatter(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        counts: Vec<usize>,
        op: &str,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let receive = View::of(receive, true, "recvbuf")?;
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        same_type(send.as_ref(), &receive)?;
        let parts = Parts::of("recvcounts", counts, None, send.as_ref().unwrap_or(&receive), self.ranks())?;
        let total: usize = parts.counts.iter().sum();
        let own = parts.counts.get(usize::try_from(self.state.rank).unwrap_or(0)).copied().unwrap_or(0);
        match &send {
            Some(send) => {
                same_count("sendbuf", send.count, total)?;
                same_count("recvbuf", receive.count, own)?;
            }
            None => same_count("recvbuf", receive.count, total)?,
        }
        let datatype = receive.datatype;
        let op = operator(op, datatype)?;
        let rank = self.state.rank;
        let views: Vec<View> = std::iter::once(receive).chain(send).collect();
        self.operate(py, "MPI_Reduce_scatter", timeout, views, |pending, views| {
            let send = views.get(1);
            if !parts.is_large() {
                let (counts, _) = parts.lists(pending);
                // SAFETY: the buffers have as many elements as the counts say, and are kept with these.
                return pending.begin(|comm, request| unsafe {
                    ffi::MPI_Ireduce_scatter(
                        address_of(send),
                        views[0].address(),
                        counts,
                        datatype.handle,
                        op,
                        comm,
                        request,
                    )
                });
            }
            // A reduction to each rank. In place, its result is at the front, where rank 0's part is: so from the last.
            for (root, (count, place)) in parts.counts.iter().zip(&parts.places).enumerate().rev() {
                for (first, some) in pieces(*count) {
                    let from = send.unwrap_or(&views[0]).at(place + first).cast_const();
                    let is_root = int(root) == rank;
                    let in_place = is_root && send.is_none() && *place == 0;
                    let from = if in_place { address_of(None) } else { from };
                    // SAFETY: as above.
                    pending.begin(|comm, request| unsafe {
                        let to = if is_root { views[0].at(first) } else { std::ptr::null_mut() };
                        ffi::MPI_Ireduce(from, to, some, datatype.handle, op, int(root), comm, request)
                    })?;
                }
            }
            Ok(())
        })
    }

    fn allgather(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let receive = View::of(receive, true, "recvbuf")?;
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        same_type(send.as_ref(), &receive)?;
        let each = self.share("recvbuf", receive.count)?;
        if let Some(send) = &send {
            same_count("recvbuf", receive.count, send.count * self.ranks())?;
        }
        let views: Vec<View> = std::iter::once(receive).chain(send).collect();
        self.operate(py, "MPI_Allgather", timeout, views, |pending, views| {
            let block = Block::of(views[0].datatype, each)?;
            // SAFETY: the buffers have as many elements and are kept until the operation is done.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Iallgather(
                    address_of(views.get(1)),
                    block.count,
                    block.datatype,
                    views[0].address(),
                    block.count,
                    block.datatype,
                    comm,
                    request,
                )
            })
        })
    }

    fn alltoall(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let receive = View::of(receive, true, "recvbuf")?;
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        same_type(send.as_ref(), &receive)?;
        let each = self.share("recvbuf", receive.count)?;
        if let Some(send) = &send {
            same_count("recvbuf", receive.count, send.count)?;
        }
        let views: Vec<View> = std::iter::once(receive).chain(send).collect();
        self.operate(py, "MPI_Alltoall", timeout, views, |pending, views| {
            let block = Block::of(views[0].datatype, each)?;
            // SAFETY: the buffers have as many elements and are kept until the operation is done.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Ialltoall(
                    address_of(views.get(1)),
                    block.count,
                    block.datatype,
                    views[0].address(),
                    block.count,
                    block.datatype,
                    comm,
                    request,
                )
            })
        })
    }

    fn gather(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: Option<&Object<'_>>,
        root: i32,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let (send, receive) = self.for_root(send, receive, root, "sendbuf", "recvbuf")?;
        let each = match (&send, &receive) {
            (Some(send), Some(receive)) => {
                same_count("recvbuf", receive.count, send.count * self.ranks())?;
                send.count
            }
            (Some(send), None) => send.count,
            (None, Some(receive)) => self.share("recvbuf", receive.count)?,
            (None, None) => 0,
        };
        self.rooted(py, "MPI_Gather", timeout, send, receive, |from, to, datatype, pending| {
            let block = Block::of(datatype, each)?;
            // SAFETY: the buffers have as many elements and are kept until the operation is done.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Igather(from, block.count, block.datatype, to, block.count, block.datatype, root, comm, request)
            })
        })
    }

    fn scatter(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: Option<&Object<'_>>,
        root: i32,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let is_root = self.is_root(root)?;
        let send = match (is_root, send) {
            (true, Some(send)) => Some(View::of(send, false, "sendbuf")?),
            (true, None) => return Err(missing("sendbuf", root)),
            (false, _) => None,
        };
        let receive = receive.map(|receive| View::of(receive, true, "recvbuf")).transpose()?;
        if receive.is_none() && !is_root {
            return Err(bad_value("recvbuf: only the root may leave it out".to_owned()));
        }
        if let (Some(send), Some(receive)) = (&send, &receive) {
            same_type(Some(send), receive)?;
            same_count("sendbuf", send.count, receive.count * self.ranks())?;
        }
        let each = match (&send, &receive) {
            (_, Some(receive)) => receive.count,
            (Some(send), None) => self.share("sendbuf", send.count)?,
            (None, None) => 0,
        };
        let in_place = receive.is_none();
        self.rooted(py, "MPI_Scatter", timeout, send, receive, |from, to, datatype, pending| {
            let block = Block::of(datatype, each)?;
            let from = if is_root { from } else { std::ptr::null() };
            let to = if in_place { address_of(None).cast_mut() } else { to };
            // SAFETY: the buffers have as many elements and are kept until the operation is done.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Iscatter(from, block.count, block.datatype, to, block.count, block.datatype, root, comm, request)
            })
        })
    }

    /// Counts and displacements are those of the receive buffer, and matter on the root.
    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn gatherv(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: Option<&Object<'_>>,
        counts: Option<Vec<usize>>,
        places: Option<Vec<usize>>,
        root: i32,
        large: bool,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let (send, receive) = self.for_root(send, receive, root, "sendbuf", "recvbuf")?;
        let parts = match &receive {
            Some(receive) => {
                let counts = counts.ok_or_else(|| missing("recvcounts", root))?;
                let parts = Parts::of("recvcounts", counts, places, receive, self.ranks())?;
                if let Some(send) = &send {
                    let own = parts.counts[usize::try_from(root).unwrap_or(0)];
                    same_count("sendbuf", send.count, own)?;
                }
                Some(parts)
            }
            None => None,
        };
        let (ranks, own) = (self.ranks(), send.as_ref().map_or(0, |send| send.count));
        self.rooted(py, "MPI_Gatherv", timeout, send, receive, |from, to, datatype, pending| {
            if large {
                let here = usize::try_from(root).unwrap_or(0);
                let mut out = Parts::none(ranks);
                let mut inward = parts.unwrap_or_else(|| Parts::none(ranks));
                if own > 0 {
                    out.counts[here] = own;
                } else if let Some(count) = inward.counts.get_mut(here) {
                    // In place: the root's own part is there.
                    *count = 0;
                }
                return exchange(pending, from, &out, to, &inward, datatype);
            }
            let (counts, places) = match &parts {
                Some(parts) => parts.lists(pending),
                None => (std::ptr::null(), std::ptr::null()),
            };
            // SAFETY: the buffers have as many elements as the counts say, and are kept with these.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Igatherv(from, int(own), datatype.handle, to, counts, places, datatype.handle, root, comm, request)
            })
        })
    }

    /// Counts and displacements are those of the send buffer, and matter on the root.
    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn scatterv(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: Option<&Object<'_>>,
        counts: Option<Vec<usize>>,
        places: Option<Vec<usize>>,
        root: i32,
        large: bool,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let is_root = self.is_root(root)?;
        let send = match (is_root, send) {
            (true, Some(send)) => Some(View::of(send, false, "sendbuf")?),
            (true, None) => return Err(missing("sendbuf", root)),
            (false, _) => None,
        };
        let receive = receive.map(|receive| View::of(receive, true, "recvbuf")).transpose()?;
        if receive.is_none() && !is_root {
            return Err(bad_value("recvbuf: only the root may leave it out".to_owned()));
        }
        let parts = match &send {
            Some(send) => {
                let counts = counts.ok_or_else(|| missing("sendcounts", root))?;
                let parts = Parts::of("sendcounts", counts, places, send, self.ranks())?;
                if let Some(receive) = &receive {
                    same_type(Some(send), receive)?;
                    same_count("recvbuf", receive.count, parts.counts[usize::try_from(root).unwrap_or(0)])?;
                }
                Some(parts)
            }
            None => None,
        };
        let (ranks, own, in_place) =
            (self.ranks(), receive.as_ref().map_or(0, |receive| receive.count), receive.is_none());
        self.rooted(py, "MPI_Scatterv", timeout, send, receive, |from, to, datatype, pending| {
            let from = if is_root { from } else { std::ptr::null() };
            if large {
                let here = usize::try_from(root).unwrap_or(0);
                let mut inward = Parts::none(ranks);
                let mut out = parts.unwrap_or_else(|| Parts::none(ranks));
                if own > 0 {
                    inward.counts[here] = own;
                } else if let Some(count) = out.counts.get_mut(here).filter(|_| in_place) {
                    *count = 0;
                }
                let to = if in_place { std::ptr::null_mut() } else { to };
                return exchange(pending, from, &out, to, &inward, datatype);
            }
            let to = if in_place { address_of(None).cast_mut() } else { to };
            let (counts, places) = match &parts {
                Some(parts) => parts.lists(pending),
                None => (std::ptr::null(), std::ptr::null()),
            };
            // SAFETY: the buffers have as many elements as the counts say, and are kept with these.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Iscatterv(from, counts, places, datatype.handle, to, int(own), datatype.handle, root, comm, request)
            })
        })
    }

    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn allgatherv(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        counts: Vec<usize>,
        places: Option<Vec<usize>>,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let receive = View::of(receive, true, "recvbuf")?;
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        same_type(send.as_ref(), &receive)?;
        let parts = Parts::of("recvcounts", counts, places, &receive, self.ranks())?;
        let rank = usize::try_from(self.state.rank).unwrap_or(0);
        let own = parts.counts[rank];
        if let Some(send) = &send {
            same_count("sendbuf", send.count, own)?;
        }
        let ranks = self.ranks();
        let views: Vec<View> = std::iter::once(receive).chain(send).collect();
        self.operate(py, "MPI_Allgatherv", timeout, views, |pending, views| {
            let (datatype, to) = (views[0].datatype, views[0].address());
            if parts.is_large() {
                let from = match views.get(1) {
                    Some(send) => send.address().cast_const(),
                    // Open MPI takes equal buffers for MPI_IN_PLACE, also where parts of them are meant.
                    // SAFETY: the part was checked to be in the buffer.
                    None => unsafe { pending.copy(views[0].at(parts.places[rank]), own * datatype.size) },
                };
                let out = Parts { counts: vec![own; ranks], places: vec![0; ranks] };
                return exchange(pending, from, &out, to, &parts, datatype);
            }
            let (counts, places) = parts.lists(pending);
            // SAFETY: the buffers have as many elements as the counts say, and are kept with these.
            pending.begin(|comm, request| unsafe {
                let from = address_of(views.get(1));
                ffi::MPI_Iallgatherv(from, int(own), datatype.handle, to, counts, places, datatype.handle, comm, request)
            })
        })
    }

    /// `large` is to be the same on all ranks, which cannot see each other's counts.
    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn alltoallv(
        &self,
        py: Python<'_>,
        send: &Object<'_>,
        send_counts: Vec<usize>,
        send_places: Option<Vec<usize>>,
        receive: &Object<'_>,
        receive_counts: Vec<usize>,
        receive_places: Option<Vec<usize>>,
        large: bool,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let (send, receive) = (View::of(send, false, "sendbuf")?, View::of(receive, true, "recvbuf")?);
        same_type(Some(&send), &receive)?;
        let out = Parts::of("sendcounts", send_counts, send_places, &send, self.ranks())?;
        let inward = Parts::of("recvcounts", receive_counts, receive_places, &receive, self.ranks())?;
        self.operate(py, "MPI_Alltoallv", timeout, vec![receive, send], |pending, views| {
            let (datatype, to, from) = (views[0].datatype, views[0].address(), views[1].address());
            if large {
                return exchange(pending, from, &out, to, &inward, datatype);
            }
            let ((out_counts, out_places), (in_counts, in_places)) = (out.lists(pending), inward.lists(pending));
            let handle = datatype.handle;
            // SAFETY: the buffers have as many elements as the counts say, and are kept with these.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Ialltoallv(
                    from, out_counts, out_places, handle, to, in_counts, in_places, handle, comm, request,
                )
            })
        })
    }
}

impl Comm {
    /// Send buffers of all, and the receive buffer of the root.
    fn for_root(
        &self,
        send: Option<&Object<'_>>,
        receive: Option<&Object<'_>>,
        root: i32,
        send_name: &str,
        receive_name: &str,
    ) -> PyResult<(Option<View>, Option<View>)> {
        let is_root = self.is_root(root)?;
        let send = send.map(|send| View::of(send, false, send_name)).transpose()?;
        let receive = match (is_root, receive) {
            (true, Some(receive)) => Some(View::of(receive, true, receive_name)?),
            (true, None) => return Err(missing(receive_name, root)),
            (false, _) => None,
        };
        if send.is_none() && !is_root {
            return Err(bad_value(format!("{send_name}: only the root may leave it out")));
        }
        if let (Some(send), Some(receive)) = (&send, &receive) {
            same_type(Some(send), receive)?;
        }
        Ok((send, receive))
    }

    /// An operation with a root, given the addresses and the type of its buffers.
    fn rooted(
        &self,
        py: Python<'_>,
        call: &'static str,
        timeout: f64,
        send: Option<View>,
        receive: Option<View>,
        begin: impl FnOnce(*const c_void, *mut c_void, Datatype, &mut Pending) -> Result<(), Failure>,
    ) -> PyResult<Option<Request>> {
        let from = address_of(send.as_ref());
        let to = receive.as_ref().map_or(std::ptr::null_mut(), View::address);
        let Some(datatype) = send.as_ref().or(receive.as_ref()).map(|view| view.datatype) else {
            return Err(bad_value("there is no buffer".to_owned()));
        };
        let views = send.into_iter().chain(receive).collect();
        self.operate(py, call, timeout, views, |pending, _| begin(from, to, datatype, pending))
    }

    /// What each rank has of `count` elements.
    fn share(&self, name: &str, count: usize) -> PyResult<usize> {
        let ranks = self.ranks();
        if count.is_multiple_of(ranks) {
            return Ok(count / ranks);
        }
        Err(bad_value(format!(
            "{name} has {count} elements, which are not the same number for each of {ranks} ranks; use the method with a v"
        )))
    }
}

/// MPI_Ialltoallw, whose datatypes say where each part is and how large, so that nothing has to fit into an int (MPI 3.1,
/// section 5.8).
fn exchange(
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
        ffi::MPI_Ialltoallw(
            from, out_counts, out_places, out_types, to, in_counts, in_places, in_types, comm, request,
        )
    })
}
