//! What all operations on one communicator share: its handle, and whether it can still be used.

use crate::calls::Record;
use crate::failure::{Failure, check};
use crate::library;
use mpi::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time that a rank is lost for the library and not for the controller.
const NEWS_OF_LOSS: Duration = Duration::from_secs(2);

/// The highest epoch that is over: a rank of its world is gone. Communicators of it fail at once.
static EPOCH_OVER: AtomicU64 = AtomicU64::new(0);
/// Why, in words.
static WHY_OVER: Mutex<String> = Mutex::new(String::new());

/// Says that the epoch, and those before it, are over: whoever waits on a communicator of it stops waiting. From any
/// thread, with or without the GIL.
pub fn end_epoch(epoch: u64, why: &str) {
    *WHY_OVER.lock().unwrap_or_else(PoisonError::into_inner) = why.to_owned();
    EPOCH_OVER.fetch_max(epoch, Ordering::AcqRel);
}

/// Whether it is over.
pub fn is_epoch_over(epoch: u64) -> bool {
    EPOCH_OVER.load(Ordering::Acquire) >= epoch
}

/// A communicator.
pub struct State {
    /// The handle.
    pub comm: ffi::MPI_Comm,
    /// The rank of this process in it.
    pub rank: c_int,
    /// How many ranks it has.
    pub size: c_int,
    /// Of which epoch it is.
    pub epoch: u64,
    /// It belongs to somebody else, who frees it.
    pub borrowed: bool,
    /// Which call it is in, and whether it can be used.
    pub calls: Arc<Record>,
}

// SAFETY: the handle is a number or an address that only MPI looks at, which was asked to be safe for threads.
unsafe impl Send for State {}
// SAFETY: as above.
unsafe impl Sync for State {}

impl State {
    /// Asks MPI about a communicator, and has its errors returned (MPI 3.1, section 8.3).
    pub fn of(comm: ffi::MPI_Comm, epoch: u64, borrowed: bool) -> Result<State, Failure> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: the caller has the communicator from MPI; the two numbers are ours to write to.
        unsafe {
            check(ffi::MPI_Comm_rank(comm, &raw mut rank), "MPI_Comm_rank")?;
            check(ffi::MPI_Comm_size(comm, &raw mut size), "MPI_Comm_size")?;
            if !borrowed {
                check(ffi::MPI_Comm_set_errhandler(comm, ffi::RSMPI_ERRORS_RETURN), "MPI_Comm_set_errhandler")?;
            }
        }
        let calls = Record::new(epoch, world_ranks(comm, size));
        Ok(State { comm, rank, size, epoch, borrowed, calls })
    }

    /// A duplicate for messages of this one's collectives: who gives up the one gives up the other.
    pub fn beside(&self, comm: ffi::MPI_Comm) -> Result<State, Failure> {
        Ok(State { calls: Arc::clone(&self.calls), ..State::of(comm, self.epoch, false)? })
    }

    /// No call may use it from now on. The first reason is the one that is told.
    pub fn break_off(&self, why: &str) {
        self.calls.give_up(why, false);
    }

    /// Whether it can be used.
    pub fn usable(&self, call: &'static str) -> Result<(), Failure> {
        if self.is_over() {
            return Err(self.lost(call));
        }
        if let Some(why) = self.calls.given_up(false) {
            return Err(Failure::Broken(call, why));
        }
        if !library::is_running() {
            return Err(Failure::Broken(call, "MPI is finalised".to_owned()));
        }
        Ok(())
    }

    /// Whether it is to be waited for: fails if another rank has given it up meanwhile, for all.
    pub fn worth_waiting(&self, call: &'static str) -> Result<(), Failure> {
        let Some(why) = self.calls.given_up(true) else { return Ok(()) };
        let text = format!("this communicator cannot be used any more: {why}");
        Err(Failure::Left(call, None, why, text))
    }

    /// The result of a call of MPI. A library that notices a lost rank by itself knows neither host nor cause: the
    /// controller does, whose word is about to come.
    pub fn check(&self, code: c_int, call: &'static str) -> Result<(), Failure> {
        self.check_in(self.epoch, code, call).inspect_err(|failure| {
            if matches!(failure, Failure::Lost(..)) {
                self.break_off("the MPI library has lost a rank");
            }
        })
    }

    /// The same of a call that is for another epoch than this communicator, which stays as it is.
    pub fn check_in(&self, epoch: u64, code: c_int, call: &'static str) -> Result<(), Failure> {
        let Err(failure) = check(code, call) else { return Ok(()) };
        if !failure.tells_of_loss() {
            return Err(failure);
        }
        let deadline = Instant::now() + NEWS_OF_LOSS;
        while !is_epoch_over(epoch) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if is_epoch_over(epoch) {
            return Err(self.lost(call));
        }
        Err(Failure::Lost(call, "the MPI library has lost a rank".to_owned()))
    }

    /// A rank of its world is gone.
    pub fn is_over(&self) -> bool {
        is_epoch_over(self.epoch)
    }

    /// The failure that says so.
    pub fn lost(&self, call: &'static str) -> Failure {
        Failure::Lost(call, WHY_OVER.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// The failure of a call whose deadline is over. The package asks the other engines what they are doing instead; where
    /// it cannot, that is left out.
    pub fn timed_out(&self, py: Python<'_>, call: &'static str, seconds: f64) -> Failure {
        let explain = || -> PyResult<String> {
            let (name, number) = self.calls.place(call);
            let missing = py.import("ipclusterz.mpi.missing")?;
            let why = format!("{call} did not end within {seconds} s on rank {}", self.rank);
            missing.call_method1("explain", (name, self.epoch, number, self.calls.members(), why))?.extract()
        };
        Failure::TimedOut(call, seconds, explain().unwrap_or_default())
    }

    /// A wait was given up: the other ranks are told, where that can be done, and no rank uses it from now on.
    pub fn give_up(&self, py: Python<'_>, why: &str) {
        self.break_off(why);
        self.calls.set_amid(true);
        let tell = || -> PyResult<()> {
            let missing = py.import("ipclusterz.mpi.missing")?;
            let why = format!("{why} on rank {}", self.rank);
            missing.call_method1("tell", (self.calls.place("").0, self.epoch, self.calls.members(), why, true))?;
            Ok(())
        };
        // Then their own deadlines end their waits.
        let _ = tell();
    }

    /// Why it cannot be used, if it cannot.
    pub fn why_broken(&self) -> Option<String> {
        if self.is_over() {
            return Some(WHY_OVER.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        self.calls.given_up(false)
    }
}

/// Ranks of MPI_COMM_WORLD, in a communicator's order (MPI 3.1, section 6.3.2).
fn world_ranks(comm: ffi::MPI_Comm, size: c_int) -> Vec<c_int> {
    let here: Vec<c_int> = (0..size).collect();
    let mut there = here.clone();
    // SAFETY: the communicator is alive, the arrays have `size` ranks, and the groups are freed once.
    unsafe {
        let (mut group, mut all) = (ffi::RSMPI_GROUP_NULL, ffi::RSMPI_GROUP_NULL);
        ffi::MPI_Comm_group(comm, &raw mut group);
        ffi::MPI_Comm_group(ffi::RSMPI_COMM_WORLD, &raw mut all);
        ffi::MPI_Group_translate_ranks(group, size, here.as_ptr(), all, there.as_mut_ptr());
        ffi::MPI_Group_free(&raw mut group);
        ffi::MPI_Group_free(&raw mut all);
    }
    there
}
