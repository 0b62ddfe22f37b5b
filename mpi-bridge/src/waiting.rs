//! The wait for an operation: how it is tested again and again, and what ends the wait early.
//!
//! Every call that could wait for another rank is a non-blocking one of MPI that is tested without the GIL. So a wait
//! can always be given up: at its deadline, on Ctrl-C, when a rank is lost.

use crate::calls::Inside;
use crate::failure::Failure;
use crate::names;
use crate::pending::Pending;
use crate::turns;
use pyo3::prelude::*;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// After spinning, the thread yields between tests: for this long, and longer by [`NANOSECONDS_PER_BYTE`] for each
/// byte, because a test may be what moves the data. Then it pauses between tests: the other ranks are late. The
/// pauses grow with the time waited.
const YIELDING: Duration = Duration::from_millis(5);
const NANOSECONDS_PER_BYTE: u64 = 20;
const FEW_SPINS: u32 = 4;
const PAUSE_SHARE: u32 = 50;
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// Longest time between two checks for signals.
const SLICE: Duration = Duration::from_millis(40);

/// Time between two looks at who has left: that costs more than a test.
const LOOK: Duration = Duration::from_millis(1);

enum Progress {
    Done,
    Waiting,
    TimedOut,
}

impl Pending {
    /// Waits for the end, for `timeout` seconds at most; infinity: for ever.
    pub fn wait(&mut self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let state = Arc::clone(&self.state);
        let _inside = Inside::of(&state.calls);
        let result = self.wait_for_end(py, timeout);
        if result.is_err() {
            self.give_up();
        }
        result
    }

    fn wait_for_end(&mut self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        if self.test().map_err(|failure| failure.into_error(py))? {
            return Ok(());
        }
        let deadline = deadline_of(timeout);
        let began = Instant::now();
        let eager_until = began + YIELDING + Duration::from_nanos(self.bytes() as u64 * NANOSECONDS_PER_BYTE);
        loop {
            match py.detach(|| self.spin(began, eager_until, deadline)) {
                Ok(Progress::Done) => return Ok(()),
                Ok(Progress::Waiting) => py.check_signals().inspect_err(|error| {
                    self.state.give_up(py, &format!("a wait in {} was interrupted ({error})", self.call));
                })?,
                Ok(Progress::TimedOut) => {
                    let failure = self.state.timed_out(py, self.call, timeout);
                    self.state.break_off(&format!("{} did not end within {timeout} s", self.call));
                    return Err(failure.into_error(py));
                }
                Err(failure) => {
                    if let Failure::Left(.., why) = &failure {
                        self.state.break_off(why);
                    }
                    return Err(failure.into_error(py));
                }
            }
        }
    }

    /// Tests for at most [`SLICE`].
    fn spin(&mut self, began: Instant, eager_until: Instant, deadline: Option<Instant>) -> Result<Progress, Failure> {
        let until = Instant::now() + SLICE;
        let enough = spins_before_yielding();
        // A rank with a core of its own keeps it while data move: once yielded, it may not come back for milliseconds.
        let busy_until = if enough > FEW_SPINS { began + (eager_until - began - YIELDING) / 4 } else { began };
        let (mut spins, mut look_at) = (0, began);
        loop {
            if self.test()? {
                return Ok(Progress::Done);
            }
            if spins < enough {
                spins += 1;
                std::hint::spin_loop();
                continue;
            }
            if self.state.is_over() {
                return Err(self.state.lost(self.call));
            }
            self.state.worth_waiting(self.call)?;
            let now = Instant::now();
            if now >= look_at {
                turns::check(&self.state.calls, self.call, self.awaited, Some(began))?;
                look_at = now + LOOK;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Progress::TimedOut);
            }
            if now >= until {
                return Ok(Progress::Waiting);
            }
            if now < busy_until {
                std::hint::spin_loop();
            } else if now < eager_until {
                std::thread::yield_now();
            } else {
                std::thread::sleep(((now - began) / PAUSE_SHARE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
            }
        }
    }
}

/// How many tests run without a pause: a message between two running ranks takes a few microseconds. Only a few if
/// there are more ranks than cores, because the awaited rank may need this core.
pub fn spins_before_yielding() -> u32 {
    static SPINS: OnceLock<u32> = OnceLock::new();
    *SPINS.get_or_init(|| {
        // Set by mpiexec of Open MPI and of MPICH, and by srun.
        let names = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"];
        let ranks = names.iter().find_map(|name| {
            let text = std::env::var(name).ok()?;
            text.split(|character: char| !character.is_ascii_digit()).next()?.parse::<usize>().ok()
        });
        let cores = usize::try_from(names::ipz_cores()).unwrap_or(1);
        if ranks.is_some_and(|ranks| ranks > cores) { FEW_SPINS } else { 400 }
    })
}

/// The deadline of a wait; none: it never times out.
pub fn deadline_of(timeout: f64) -> Option<Instant> {
    let duration = Duration::try_from_secs_f64(timeout.max(0.0)).ok()?;
    Instant::now().checked_add(duration)
}
