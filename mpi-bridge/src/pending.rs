//! An operation that MPI has begun: its requests, and what MPI reads and writes until they are done.
//!
//! An operation that was given up may never complete, so its buffers are kept for ever and its communicator is not used
//! again. The wait itself is in `waiting`.

use crate::buffers::View;
use crate::failure::Failure;
use crate::layout::free;
use crate::library;
use crate::state::State;
use crate::status::{Status, describe};
use crate::turns::{self, Awaited};
use mpi::ffi;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// See the module's documentation.
pub struct Pending {
    /// The state of its communicator.
    pub state: Arc<State>,
    /// The function of MPI, for errors.
    pub call: &'static str,
    /// Whom it waits for.
    pub awaited: Awaited,
    requests: Vec<ffi::MPI_Request>,
    /// MPI has begun a part of it, or there is nothing to begin.
    begun: bool,
    status: ffi::MPI_Status,
    /// What MPI reads and writes until it is done.
    views: Vec<View>,
    lists: Vec<Vec<c_int>>,
    copies: Vec<Vec<u8>>,
    types: Vec<Vec<ffi::MPI_Datatype>>,
    /// Datatypes that were made for it.
    made: Vec<ffi::MPI_Datatype>,
}

// SAFETY: handles are numbers or addresses that only MPI looks at, which was asked to be safe for threads.
unsafe impl Send for Pending {}

/// Operations that nobody waits for any more, such as those of a dropped request. They are kept until MPI is done with
/// their buffers.
static ADRIFT: Mutex<Vec<Pending>> = Mutex::new(Vec::new());
static ANY_ADRIFT: AtomicBool = AtomicBool::new(false);

impl Pending {
    /// Nothing has begun yet.
    pub fn new(state: &Arc<State>, call: &'static str) -> Result<Pending, Failure> {
        state.usable(call)?;
        if ANY_ADRIFT.load(Ordering::Acquire) {
            sweep();
        }
        let awaited = turns::enter(&state.calls, call)?;
        Ok(Pending::to_begin(state, call, awaited))
    }

    /// A part of a call that was entered already.
    pub fn part_of(state: &Arc<State>, call: &'static str) -> Result<Pending, Failure> {
        state.usable(call)?;
        Ok(Pending::to_begin(state, call, Awaited::Collective(state.calls.entered())))
    }

    fn to_begin(state: &Arc<State>, call: &'static str, awaited: Awaited) -> Pending {
        Pending {
            state: Arc::clone(state),
            call,
            awaited,
            begun: false,
            requests: Vec::with_capacity(1),
            // SAFETY: plain numbers that MPI fills in.
            status: unsafe { std::mem::zeroed() },
            views: Vec::new(),
            lists: Vec::new(),
            copies: Vec::new(),
            types: Vec::new(),
            made: Vec::new(),
        }
    }

    /// Begins an operation that often completes at once, as short messages do. Then there is nothing to wait for, and
    /// nothing is returned.
    pub fn unless_done(
        state: &Arc<State>,
        call: &'static str,
        start: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<Option<Pending>, Failure> {
        state.usable(call)?;
        // SAFETY: a constant of rsmpi.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        state.check(start(state.comm, &raw mut request), call)?;
        let mut flag = 0;
        // SAFETY: a request that MPI gave.
        let code = unsafe { ffi::MPI_Test(&raw mut request, &raw mut flag, ffi::RSMPI_STATUS_IGNORE) };
        state.check(code, call)?;
        if flag != 0 {
            return Ok(None);
        }
        let mut pending = Pending::to_begin(state, call, Awaited::Anybody);
        pending.begun = true;
        pending.requests.push(request);
        Ok(Some(pending))
    }

    /// Begins one operation with `start`, which gives MPI's code and its request.
    pub fn begin(&mut self, start: impl FnOnce(ffi::MPI_Comm, *mut ffi::MPI_Request) -> c_int) -> Result<(), Failure> {
        // SAFETY: a constant of rsmpi.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        self.state.check(start(self.state.comm, &raw mut request), self.call).inspect_err(|_| {
            if !self.requests.is_empty() {
                self.state.break_off(&format!("{} was begun in part", self.call));
            }
        })?;
        self.begun = true;
        self.requests.push(request);
        Ok(())
    }

    /// Keeps a buffer until MPI is done.
    pub fn keep(&mut self, view: View) {
        self.views.push(view);
    }

    /// Keeps an array of numbers until MPI is done, and gives its address.
    pub fn list(&mut self, numbers: Vec<c_int>) -> *const c_int {
        self.lists.push(numbers);
        self.lists.last().map_or(std::ptr::null(), |list| list.as_ptr())
    }

    /// Keeps a copy of `length` bytes at `from` until MPI is done, and gives its address.
    ///
    /// # Safety
    ///
    /// There are so many bytes.
    pub unsafe fn copy(&mut self, from: *const c_void, length: usize) -> *const c_void {
        // SAFETY: as the caller promises; an empty slice needs an address that is not null.
        let bytes = if length == 0 { &[] } else { unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) } };
        self.copies.push(bytes.to_vec());
        self.copies.last().map_or(std::ptr::null(), |copy| copy.as_ptr().cast())
    }

    /// Keeps bytes until MPI is done, and gives their address.
    pub fn store(&mut self, bytes: Vec<u8>) -> *mut c_void {
        self.copies.push(bytes);
        self.copies.last_mut().map_or(std::ptr::null_mut(), |bytes| bytes.as_mut_ptr().cast())
    }

    /// The bytes that were stored last.
    pub fn stored(&self) -> &[u8] {
        self.copies.last().map_or(&[], Vec::as_slice)
    }

    /// Frees a datatype that was made for it at the end.
    pub fn own(&mut self, datatype: ffi::MPI_Datatype) -> ffi::MPI_Datatype {
        self.made.push(datatype);
        datatype
    }

    /// The same as `list` with datatypes.
    pub fn type_list(&mut self, types: Vec<ffi::MPI_Datatype>) -> *const ffi::MPI_Datatype {
        self.types.push(types);
        self.types.last().map_or(std::ptr::null(), |list| list.as_ptr())
    }

    /// Bytes of all buffers that MPI reads or writes.
    pub fn bytes(&self) -> usize {
        self.views.iter().map(|view| view.count * view.datatype.size).sum()
    }

    /// Source, tag and number of bytes of a message that was received.
    pub fn received(&self) -> Status {
        describe(&self.status)
    }

    /// Whether all of it is done. After an error none of it is waited for any more.
    pub fn test(&mut self) -> Result<bool, Failure> {
        let mut flag = 0;
        let code = match self.requests.as_mut_slice() {
            [] => {
                self.begun = true;
                return Ok(true);
            }
            // SAFETY: a request that MPI gave, and a status of ours.
            [request] => unsafe { ffi::MPI_Test(request, &raw mut flag, &raw mut self.status) },
            requests => {
                let count = c_int::try_from(requests.len()).unwrap_or(c_int::MAX);
                // SAFETY: as many requests that MPI gave.
                unsafe { ffi::MPI_Testall(count, requests.as_mut_ptr(), &raw mut flag, ffi::RSMPI_STATUSES_IGNORE) }
            }
        };
        if code != ffi::MPI_SUCCESS as c_int {
            // Some of the requests may still be active.
            self.give_up();
            return self.state.check(code, self.call).map(|()| true);
        }
        if flag != 0 {
            self.requests.clear();
        }
        Ok(flag != 0)
    }

    /// Fails if it can never complete because its epoch is over, or somebody has left.
    pub fn check(&mut self, began: Instant) -> Result<(), Failure> {
        let checked = self.state.usable(self.call);
        let checked = checked.and_then(|()| turns::check(&self.state.calls, self.call, self.awaited, Some(began)));
        if checked.is_err() {
            self.give_up();
        }
        checked
    }

    /// Gives it up. MPI may still write to its buffers, so they are never freed.
    pub fn give_up(&mut self) {
        if !self.requests.is_empty() {
            self.requests.clear();
            std::mem::forget(std::mem::take(&mut self.views));
            std::mem::forget(std::mem::take(&mut self.lists));
            std::mem::forget(std::mem::take(&mut self.copies));
            std::mem::forget(std::mem::take(&mut self.types));
        }
    }

    /// Stops waiting for it; MPI may still complete it.
    pub fn let_go(mut self) {
        if self.requests.is_empty() || !library::is_running() || self.state.is_over() {
            self.give_up();
            return;
        }
        ADRIFT.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        ANY_ADRIFT.store(true, Ordering::Release);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.begun && matches!(self.awaited, Awaited::Collective(_)) {
            // It was counted, and the others wait for this rank in it.
            self.state.break_off(&format!("{} failed before it began", self.call));
            self.state.calls.set_amid(true);
        }
        self.give_up();
        for mut datatype in self.made.drain(..) {
            free(&mut datatype);
        }
    }
}

/// Frees those that MPI is done with.
fn sweep() {
    let mut adrift = ADRIFT.lock().unwrap_or_else(PoisonError::into_inner);
    // An error of an operation that nobody waits for is not reported.
    let (mut done, mut going) = (Vec::new(), Vec::new());
    for mut pending in adrift.drain(..) {
        if pending.test().unwrap_or(true) { done.push(pending) } else { going.push(pending) }
    }
    *adrift = going;
    ANY_ADRIFT.store(!adrift.is_empty(), Ordering::Release);
    // Without the lock: dropping their buffers may drop objects that own requests themselves.
    drop(adrift);
    drop(done);
}
