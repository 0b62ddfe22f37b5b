//! Collective operations on parts of different sizes (MPI 3.1, sections 5.5, 5.6, 5.8 and 5.12).
//!
//! `large` says that a count or a displacement does not fit into C's int on some rank: MPI is called otherwise then, on all.

use crate::buffers::{View, int};
use crate::comm::Comm;
use crate::failure::bad_value;
use crate::parts::{Object, Parts, address_of, exchange, missing, same_count, same_type};
use crate::request::Request;
use mpi::ffi;
use pyo3::prelude::*;

#[pymethods]
impl Comm {
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
                // MPI_IN_PLACE would mean another thing there.
                let from = if own > 0 { from } else { std::ptr::null() };
                return exchange(pending, from, &out, to, &inward, datatype);
            }
            let (counts, places) = match &parts {
                Some(parts) => parts.lists(pending),
                None => (std::ptr::null(), std::ptr::null()),
            };
            // SAFETY: the buffers have as many elements as the counts say, and are kept with these.
            pending.begin(|comm, request| unsafe {
                ffi::MPI_Igatherv(
                    from,
                    int(own),
                    datatype.handle,
                    to,
                    counts,
                    places,
                    datatype.handle,
                    root,
                    comm,
                    request,
                )
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
                ffi::MPI_Iscatterv(
                    from,
                    counts,
                    places,
                    datatype.handle,
                    to,
                    int(own),
                    datatype.handle,
                    root,
                    comm,
                    request,
                )
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
                ffi::MPI_Iallgatherv(
                    from,
                    int(own),
                    datatype.handle,
                    to,
                    counts,
                    places,
                    datatype.handle,
                    comm,
                    request,
                )
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
