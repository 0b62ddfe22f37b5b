//! Collective operations that combine what the ranks have (MPI 3.1, sections 5.9 to 5.11 and 5.12).

use crate::buffers::{View, int, operator};
use crate::comm::Comm;
use crate::failure::bad_value;
use crate::layout::pieces;
use crate::parts::{Object, Parts, address_of, missing, same_count, same_type};
use crate::request::Request;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};

impl Comm {
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
    fn allreduce(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: &Object<'_>,
        op: &str,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        if timeout >= 0.0 {
            let target = View::of(receive, true, "recvbuf")?;
            if self.sums_by_messages(target.count * target.datatype.size, target.count) {
                return self.sum_by_messages(py, send, target, op, timeout).map(|()| None);
            }
        }
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
            // A reduction to each rank. In place, its result comes to where other parts are, which are sent from a copy.
            let source = match send {
                Some(send) => send.address().cast_const(),
                // SAFETY: the receive buffer has all parts.
                None => unsafe { pending.copy(views[0].address(), total * datatype.size) },
            };
            for (root, (count, place)) in parts.counts.iter().zip(&parts.places).enumerate() {
                for (first, some) in pieces(*count) {
                    let from = source.cast::<u8>().wrapping_add((place + first) * datatype.size).cast();
                    let is_root = int(root) == rank;
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
}
