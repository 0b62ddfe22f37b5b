//! Collective operations on equal parts of buffers (MPI 3.1, chapter 5), each by its non-blocking form of section 5.12.
//!
//! What can be checked on one rank is checked before MPI is called: types, counts, roots, operators. `None` for a send
//! buffer is MPI_IN_PLACE. Parts of different sizes are in `varying.rs`, sums and the like in `reduction.rs`.

use crate::buffers::{Datatype, View};
use crate::comm::Comm;
use crate::failure::{Failure, bad_value};
use crate::layout::Block;
use crate::parts::{Object, address_of, missing, same_count, same_type};
use crate::pending::Pending;
use crate::request::Request;
use crate::state::State;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::c_void;
use std::sync::Arc;

impl Comm {
    pub fn ranks(&self) -> usize {
        usize::try_from(self.state.size).unwrap_or(0)
    }

    pub fn is_root(&self, root: i32) -> PyResult<bool> {
        if (0..self.state.size).contains(&root) {
            return Ok(root == self.state.rank);
        }
        Err(bad_value(format!("root: there is no rank {root}; ranks are 0 to {}", self.state.size - 1)))
    }

    /// Begins an operation, keeps the buffers, and waits unless told not to.
    pub fn operate(
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

    /// Send buffers of all, and the receive buffer of the root.
    pub fn for_root(
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
    pub fn rooted(
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
    pub fn share(&self, name: &str, count: usize) -> PyResult<usize> {
        let ranks = self.ranks();
        if count.is_multiple_of(ranks) {
            return Ok(count / ranks);
        }
        Err(bad_value(format!(
            "{name} has {count} elements, which are not the same number for each of {ranks} ranks; use the method with a v"
        )))
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
                ffi::MPI_Igather(
                    from,
                    block.count,
                    block.datatype,
                    to,
                    block.count,
                    block.datatype,
                    root,
                    comm,
                    request,
                )
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
                ffi::MPI_Iscatter(
                    from,
                    block.count,
                    block.datatype,
                    to,
                    block.count,
                    block.datatype,
                    root,
                    comm,
                    request,
                )
            })
        })
    }
}
