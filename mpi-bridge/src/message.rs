//! Messages whose length the receiver does not know: found first, then received (MPI 3.1, section 3.8.2).

use crate::buffers::{View, int};
use crate::comm::Comm;
use crate::failure::Failure;
use crate::layout::Block;
use crate::pending::Pending;
use crate::point::{search, source, tagged};
use crate::status::{Status, describe};
use mpi::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

const RECEIVE: &str = "MPI_Mrecv";
/// Up to so many bytes a copy is cheaper than a buffer of Python's.
const SMALL: usize = 4 << 10;

/// Least time for the bytes of a message that was found, in seconds: its sender may be busy.
const BYTES_COME: f64 = 60.0;

/// A message that was taken out of the queue.
struct Handle(ffi::MPI_Message);

// SAFETY: the handle is a number or an address that only MPI looks at, which was asked to be safe for threads.
unsafe impl Send for Handle {}

#[pymethods]
impl Comm {
    /// Receives a message of any length; its bytes, which can be written to where there are many.
    fn recv_bytes<'py>(&self, py: Python<'py>, from: i32, tag: i32, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.recv_told(py, from, tag, timeout)?.0)
    }

    /// The same, and where it came from.
    fn recv_told<'py>(
        &self,
        py: Python<'py>,
        from: i32,
        tag: i32,
        timeout: f64,
    ) -> PyResult<(Bound<'py, PyAny>, Status)> {
        const CALL: &str = "MPI_Mprobe";
        let look = || -> Result<Option<(Handle, Status)>, Failure> {
            let mut flag = 0;
            // SAFETY: plain numbers that MPI fills in.
            let mut status: ffi::MPI_Status = unsafe { std::mem::zeroed() };
            // SAFETY: a constant of rsmpi.
            let mut message = Handle(unsafe { ffi::RSMPI_MESSAGE_NULL });
            // SAFETY: the communicator is alive; flag, message and status are ours to write to.
            let code = unsafe {
                ffi::MPI_Improbe(
                    source(from),
                    tagged(tag),
                    self.state.comm,
                    &raw mut flag,
                    &raw mut message.0,
                    &raw mut status,
                )
            };
            self.state.check(code, CALL)?;
            Ok((flag != 0).then(|| (message, describe(&status))))
        };
        let (mut handle, status) = search(py, &self.state, CALL, from, timeout, look)?;
        // The deadline was for the message; now its bytes come.
        let timeout = timeout.max(BYTES_COME);
        let length = usize::try_from(status.2).unwrap_or(0);
        if length <= SMALL {
            let mut room = vec![0_u8; length];
            let to = room.as_mut_ptr().cast();
            let begun = Pending::unless_done(&self.state, RECEIVE, |_, request| {
                // SAFETY: there are so many bytes, which are kept until it is done; the message is received once.
                unsafe { ffi::MPI_Imrecv(to, int(length), ffi::RSMPI_UINT8_T, &raw mut handle.0, request) }
            });
            let Some(mut pending) = begun.map_err(|failure| failure.into_error(py))? else {
                return Ok((PyBytes::new(py, &room).into_any(), status));
            };
            // It stays where it is.
            pending.store(room);
            pending.wait(py, timeout)?;
            return Ok((PyBytes::new(py, pending.stored()).into_any(), status));
        }
        let bytes = empty(py, length)?;
        let view = View::of(&bytes, true, "buf")?;
        let begun = Pending::new(&self.state, RECEIVE).and_then(|mut pending| {
            let block = Block::of(view.datatype, view.count)?;
            // SAFETY: the view is writable and kept until the operation is done; the message is received once.
            pending.begin(|_, request| unsafe {
                ffi::MPI_Imrecv(view.address(), block.count, block.datatype, &raw mut handle.0, request)
            })?;
            pending.keep(view);
            Ok(pending)
        });
        begun.map_err(|failure| failure.into_error(py))?.wait(py, timeout)?;
        Ok((bytes.into_any(), status))
    }
}

/// So many bytes, with anything in them.
fn empty(py: Python<'_>, length: usize) -> PyResult<Bound<'_, PyByteArray>> {
    let length = pyo3::ffi::Py_ssize_t::try_from(length).unwrap_or(pyo3::ffi::Py_ssize_t::MAX);
    // SAFETY: without a text to copy, Python makes an object of that length and writes nothing to it; null is an error.
    unsafe {
        let made = pyo3::ffi::PyByteArray_FromStringAndSize(std::ptr::null(), length);
        Ok(Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked())
    }
}
