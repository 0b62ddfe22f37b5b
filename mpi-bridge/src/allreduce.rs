//! Allreduce among 2, 4, 8, ... ranks, by messages (Thakur, Rabenseifner and Gropp, "Optimization of collective communication
//! operations in MPICH", 2005).
//!
//! MPI's blocking call could not be given up, and the schedule of Open MPI's non-blocking one takes up to twice the time, but
//! for the very large. MPI's own operators are commutative, and each element is added up in one place or in the same way
//! on all ranks, so that all get the same.

use crate::buffers::{View, int, operator};
use crate::calls::Inside;
use crate::comm::Comm;
use crate::failure::{Failure, check};
use crate::parts::{Object, same_count, same_type};
use crate::pending::Pending;
use crate::state::State;
use crate::turns;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

const CALL: &str = "MPI_Allreduce";
/// Up to so many bytes all is exchanged in each step; from there on halves, quarters, ... are.
const DOUBLING: usize = 32 << 10;
/// So many bytes MPI is given: memory sets the pace.
const LARGEST: usize = 16 << 20;

/// One call on one rank.
struct Sum<'a> {
    comm: &'a Comm,
    side: Arc<State>,
    /// This rank's elements before the first step; none where the receive buffer has them.
    send: Option<View>,
    receive: View,
    is_first: bool,
    op: ffi::MPI_Op,
    timeout: f64,
    began: Instant,
    /// What came from another rank.
    theirs: Vec<u8>,
}

impl Comm {
    /// Whether messages are the way for so many bytes.
    pub fn sums_by_messages(&self, bytes: usize, count: usize) -> bool {
        let ranks = self.ranks();
        ranks > 1 && ranks.is_power_of_two() && bytes <= LARGEST && (bytes <= DOUBLING || count >= ranks)
    }

    /// `send`: none where the receive buffer has this rank's elements.
    pub fn sum_by_messages(
        &self,
        py: Python<'_>,
        send: Option<&Object<'_>>,
        receive: View,
        op: &str,
        timeout: f64,
    ) -> PyResult<()> {
        let fail = |failure: Failure| failure.into_error(py);
        let send = send.map(|send| View::of(send, false, "sendbuf")).transpose()?;
        same_type(send.as_ref(), &receive)?;
        let op = operator(op, receive.datatype)?;
        if let Some(send) = &send {
            same_count("recvbuf", receive.count, send.count)?;
        }
        // What is given away first goes from the send buffer, unless that is the receive buffer.
        let send = send.filter(|send| send.address() != receive.address());
        self.state.usable(CALL).map_err(fail)?;
        let side = self.side_state(py, timeout)?;
        turns::enter(&self.state.calls, CALL).map_err(fail)?;
        self.state.calls.set_amid(true);
        let _inside = Inside::of(&self.state.calls);
        let bytes = receive.count * receive.datatype.size;
        let began = Instant::now();
        let mut sum = Sum { comm: self, side, send, receive, is_first: true, op, timeout, began, theirs: Vec::new() };
        let result = if bytes <= DOUBLING { sum.doubling(py) } else { sum.halving(py) };
        if result.is_ok() {
            self.state.calls.set_amid(false);
        }
        result.inspect_err(|_| {
            // MPI may still write to them.
            std::mem::forget(sum.send);
            std::mem::forget(sum.receive);
            std::mem::forget(sum.theirs);
        })
    }
}

impl Sum<'_> {
    /// In each step two ranks exchange all that they have.
    fn doubling(&mut self, py: Python<'_>) -> PyResult<()> {
        let all = 0..self.receive.count;
        let mut step = 1;
        while step < self.comm.state.size {
            self.take_in_order(py, self.comm.state.rank ^ step, all.len())?;
            step *= 2;
        }
        Ok(())
    }

    /// In each step two ranks share what both have to add up: each keeps half of it. Then they tell each other.
    fn halving(&mut self, py: Python<'_>) -> PyResult<()> {
        let (rank, size) = (self.comm.state.rank, self.comm.state.size);
        let (mut mine, mut step) = (0..self.receive.count, size / 2);
        let mut shared = Vec::new();
        while step > 0 {
            let middle = mine.start + mine.len() / 2;
            let (low, high) = (mine.start..middle, middle..mine.end);
            let (keep, give) = if rank & step == 0 { (low, high) } else { (high, low) };
            self.take(py, rank ^ step, give.clone(), keep.clone())?;
            shared.push((step, give));
            mine = keep;
            step /= 2;
        }
        for (step, given) in shared.into_iter().rev() {
            let to = self.receive.at(given.start);
            self.swap(py, rank ^ step, (self.receive.at(mine.start), mine.len()), (to, given.len()))?;
            mine = mine.start.min(given.start)..mine.end.max(given.end);
        }
        Ok(())
    }

    /// Gives all elements to another rank, and adds its: the lower rank's first on both, for the maximum of a number and
    /// NaN is the one or the other.
    fn take_in_order(&mut self, py: Python<'_>, partner: c_int, count: usize) -> PyResult<()> {
        let bytes = count * self.receive.datatype.size;
        if let Some(send) = self.send.as_ref().filter(|_| self.is_first) {
            // SAFETY: both have that many bytes, and are not the same.
            unsafe { std::ptr::copy(send.address().cast::<u8>(), self.receive.address().cast::<u8>(), bytes) };
        }
        self.is_first = false;
        self.theirs.resize(bytes, 0);
        let (mine, theirs) = (self.receive.address(), self.theirs.as_mut_ptr().cast::<c_void>());
        self.swap(py, partner, (mine, count), (theirs, count))?;
        let is_lower = self.comm.state.rank < partner;
        let (first, second) = if is_lower { (mine, theirs) } else { (theirs, mine) };
        // SAFETY: both have that many elements, and nobody else uses them now.
        unsafe {
            let code = ffi::MPI_Reduce_local(first, second, int(count), self.receive.datatype.handle, self.op);
            check(code, CALL).map_err(|failure| failure.into_error(py))?;
            if is_lower {
                std::ptr::copy_nonoverlapping(theirs.cast::<u8>(), mine.cast::<u8>(), bytes);
            }
        }
        Ok(())
    }

    /// Gives some elements to another rank, and adds those that it gives for `keep`.
    fn take(&mut self, py: Python<'_>, partner: c_int, give: Range<usize>, keep: Range<usize>) -> PyResult<()> {
        let (count, to) = (keep.len(), self.receive.at(keep.start));
        let added = match &self.send {
            // Theirs come to where the sum is to be, and what is added to them is in the send buffer: nothing is copied.
            Some(send) if self.is_first => {
                self.swap(py, partner, (send.at(give.start), give.len()), (to, count))?;
                send.at(keep.start)
            }
            _ => {
                self.theirs.resize((count * self.receive.datatype.size).max(self.theirs.len()), 0);
                let theirs = self.theirs.as_mut_ptr().cast();
                self.swap(py, partner, (self.receive.at(give.start), give.len()), (theirs, count))?;
                theirs
            }
        };
        self.is_first = false;
        // SAFETY: both have that many elements, and nobody else uses them now.
        let code = unsafe { ffi::MPI_Reduce_local(added, to, int(count), self.receive.datatype.handle, self.op) };
        check(code, CALL).map_err(|failure| failure.into_error(py))
    }

    fn swap(
        &self,
        py: Python<'_>,
        partner: c_int,
        (from, given): (*const c_void, usize),
        (to, taken): (*mut c_void, usize),
    ) -> PyResult<()> {
        let datatype = self.receive.datatype.handle;
        let left = (self.timeout - self.began.elapsed().as_secs_f64()).max(0.0);
        let begin = |mut pending: Pending| -> Result<Pending, Failure> {
            // SAFETY: both have that many elements, and are kept until the messages are through, also on an error.
            unsafe {
                pending.begin(|comm, request| ffi::MPI_Irecv(to, int(taken), datatype, partner, 0, comm, request))?;
                pending.begin(|comm, request| ffi::MPI_Isend(from, int(given), datatype, partner, 0, comm, request))?;
            }
            Ok(pending)
        };
        let begun = Pending::part_of(&self.side, CALL).and_then(begin).map_err(|failure| failure.into_error(py));
        begun.and_then(|mut pending| pending.wait(py, left)).inspect_err(|error| {
            self.comm.state.break_off(&self.side.why_broken().unwrap_or_else(|| error.to_string()));
        })
    }
}
