//! Messages from one rank to another (MPI 3.1, chapter 3).

use crate::buffers::{View, int};
use crate::comm::Comm;
use crate::failure::Failure;
use crate::layout::Block;
use crate::pending::Pending;
use crate::request::Request;
use crate::state::State;
use crate::status::{Status, describe};
use crate::turns::{self, Awaited};
use crate::waiting::{deadline_of, spins_before_yielding};
use mpi::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// Between looks, and how long without a look at signals.
const PAUSE: Duration = Duration::from_micros(50);
const EAGER: Duration = Duration::from_millis(5);
const SLICE: Duration = Duration::from_millis(40);

fn send(pending: &mut Pending, view: View, to: c_int, tag: c_int) -> Result<(), Failure> {
    pending.awaited = Awaited::of_rank(to);
    let block = Block::of(view.datatype, view.count)?;
    // SAFETY: the view is kept until the operation is done.
    pending.begin(|comm, request| unsafe {
        ffi::MPI_Isend(view.address(), block.count, block.datatype, to, tag, comm, request)
    })?;
    pending.keep(view);
    Ok(())
}

fn receive(pending: &mut Pending, view: View, from: c_int, tag: c_int) -> Result<(), Failure> {
    pending.awaited = Awaited::of_rank(from);
    let block = Block::of(view.datatype, view.count)?;
    // SAFETY: the view is writable and kept until the operation is done.
    pending.begin(|comm, request| unsafe {
        ffi::MPI_Irecv(view.address(), block.count, block.datatype, from, tag, comm, request)
    })?;
    pending.keep(view);
    Ok(())
}

/// Calls `look`, which may find something of that rank, until it does.
pub fn search<T: Send>(
    py: Python<'_>,
    state: &State,
    call: &'static str,
    from: c_int,
    timeout: f64,
    look: impl Fn() -> Result<Option<T>, Failure> + Sync,
) -> PyResult<T> {
    state.usable(call).map_err(|failure| failure.into_error(py))?;
    // Often it is there already.
    if let Some(found) = look().map_err(|failure| failure.into_error(py))? {
        return Ok(found);
    }
    let deadline = deadline_of(timeout);
    let began = Instant::now();
    let eager_until = began + EAGER;
    let slice = || -> Result<Option<T>, Failure> {
        let until = Instant::now() + SLICE;
        let (mut spins, enough) = (0, spins_before_yielding());
        loop {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            spins += 1;
            if spins < enough {
                continue;
            }
            state.worth_waiting(call)?;
            state.usable(call)?;
            turns::check(&state.calls, call, Awaited::of_rank(from), Some(began))?;
            let now = Instant::now();
            if now >= until || deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(None);
            }
            if now < eager_until { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
        }
    };
    loop {
        if let Some(found) = py.detach(slice).map_err(|failure| failure.into_error(py))? {
            return Ok(found);
        }
        py.check_signals()?;
        // Looking changes nothing, so that the communicator stays as good as it was.
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Failure::TimedOut(call, timeout, String::new()).into_error(py));
        }
    }
}

fn any(rank: c_int, any: c_int) -> c_int {
    if rank < 0 { any } else { rank }
}

/// The rank that a receiver means; a negative one stands for any.
pub fn source(rank: c_int) -> c_int {
    // SAFETY: a constant of rsmpi.
    any(rank, unsafe { ffi::RSMPI_ANY_SOURCE })
}

/// The same for tags.
pub fn tagged(tag: c_int) -> c_int {
    // SAFETY: a constant of rsmpi.
    any(tag, unsafe { ffi::RSMPI_ANY_TAG })
}

/// Up to so many bytes a message is most often sent at once, without the other rank.
const SHORT: usize = 4 << 10;

impl Comm {
    fn send_short(
        &self,
        py: Python<'_>,
        bytes: &Bound<'_, PyBytes>,
        to: i32,
        tag: i32,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        let data = bytes.as_bytes();
        let begun = Pending::unless_done(&self.state, "MPI_Send", |comm, request| {
            // SAFETY: there are so many bytes, which live until this returns, and in the view after that.
            unsafe { ffi::MPI_Isend(data.as_ptr().cast(), int(data.len()), ffi::RSMPI_UINT8_T, to, tag, comm, request) }
        });
        let Some(mut pending) = begun.map_err(|failure| failure.into_error(py))? else { return Ok(None) };
        pending.awaited = Awaited::of_rank(to);
        pending.keep(View::of(bytes, false, "buf")?);
        Comm::finish(py, pending, timeout)
    }
}

#[pymethods]
impl Comm {
    fn send(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        to: i32,
        tag: i32,
        timeout: f64,
    ) -> PyResult<Option<Request>> {
        if let Ok(bytes) = buffer.cast::<PyBytes>()
            && bytes.as_bytes().len() <= SHORT
            && timeout >= 0.0
        {
            return self.send_short(py, bytes, to, tag, timeout);
        }
        let view = View::of(buffer, false, "buf")?;
        let begun = Pending::new(&self.state, "MPI_Send").and_then(|mut pending| {
            send(&mut pending, view, to, tag)?;
            Ok(pending)
        });
        Comm::finish(py, begun.map_err(|failure| failure.into_error(py))?, timeout)
    }

    /// A negative source or tag stands for any.
    fn recv(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        from: i32,
        tag: i32,
        timeout: f64,
    ) -> PyResult<(Option<Request>, Option<Status>)> {
        let view = View::of(buffer, true, "buf")?;
        let begun = Pending::new(&self.state, "MPI_Recv").and_then(|mut pending| {
            receive(&mut pending, view, source(from), tagged(tag))?;
            Ok(pending)
        });
        let mut pending = begun.map_err(|failure| failure.into_error(py))?;
        if timeout < 0.0 {
            return Ok((Some(Request::new(pending)), None));
        }
        pending.wait(py, timeout)?;
        Ok((None, Some(pending.received())))
    }

    /// Looks for a message without receiving it; none when there is none now and `timeout` is negative.
    fn probe(&self, py: Python<'_>, from: i32, tag: i32, timeout: f64) -> PyResult<Option<Status>> {
        const CALL: &str = "MPI_Probe";
        let look = || -> Result<Option<Status>, Failure> {
            let mut flag = 0;
            // SAFETY: plain numbers that MPI fills in.
            let mut status: ffi::MPI_Status = unsafe { std::mem::zeroed() };
            // SAFETY: the communicator is alive; flag and status are ours to write to.
            let code =
                unsafe { ffi::MPI_Iprobe(source(from), tagged(tag), self.state.comm, &raw mut flag, &raw mut status) };
            self.state.check(code, CALL)?;
            Ok((flag != 0).then(|| describe(&status)))
        };
        if timeout < 0.0 {
            self.state.usable(CALL).map_err(|failure| failure.into_error(py))?;
            return look().map_err(|failure| failure.into_error(py));
        }
        search(py, &self.state, CALL, from, timeout, look).map(Some)
    }

    /// MPI 3.1, section 3.10.
    #[allow(clippy::too_many_arguments, reason = "those of MPI")]
    fn sendrecv(
        &self,
        py: Python<'_>,
        send_buffer: &Bound<'_, PyAny>,
        to: i32,
        send_tag: i32,
        receive_buffer: &Bound<'_, PyAny>,
        from: i32,
        receive_tag: i32,
        timeout: f64,
    ) -> PyResult<()> {
        let (send_view, receive_view) =
            (View::of(send_buffer, false, "sendbuf")?, View::of(receive_buffer, true, "recvbuf")?);
        let begun = Pending::new(&self.state, "MPI_Sendrecv").and_then(|mut pending| {
            receive(&mut pending, receive_view, source(from), tagged(receive_tag))?;
            send(&mut pending, send_view, to, send_tag)?;
            Ok(pending)
        });
        Comm::finish(py, begun.map_err(|failure| failure.into_error(py))?, timeout).map(drop)
    }
}
