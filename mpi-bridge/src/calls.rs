//! What each communicator is doing, for a diagnosis: the last collective call that was entered, and whether it is still
//! waited for.
//!
//! Collective calls are numbered on each rank in the order in which they are entered, which is the same on all ranks. So a
//! rank whose number is behind the others' is the one that they wait for. Any thread may ask, without the GIL.

use std::fmt::Write;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Collective calls by the names that errors have. The record keeps a place in this list.
const CALLS: [&str; 18] = [
    "MPI_Barrier",
    "MPI_Bcast",
    "MPI_Allreduce",
    "MPI_Reduce",
    "MPI_Gather",
    "MPI_Scatter",
    "MPI_Allgather",
    "MPI_Alltoall",
    "MPI_Gatherv",
    "MPI_Scatterv",
    "MPI_Allgatherv",
    "MPI_Alltoallv",
    "MPI_Reduce_scatter",
    "MPI_Scan",
    "MPI_Exscan",
    "MPI_Comm_idup",
    "MPI_Comm_split",
    "MPI_Comm_split_type",
];
/// Bits of the call's place, above the bit that says whether it is waited for.
const PLACE_BITS: u32 = 7;
const INSIDE: u64 = 1;

static ALL: Mutex<Vec<Weak<Record>>> = Mutex::new(Vec::new());

/// The record of one communicator. All of it that changes is one number, so that it is never seen half changed.
#[derive(Debug)]
pub struct Record {
    /// How often a collective was entered, which one was the last, and whether it is waited for.
    last: AtomicU64,
    epoch: u64,
    name: Mutex<String>,
    /// Another rank has given it up: it is not to be used any more, and perhaps not to be waited for.
    given_up: AtomicU8,
    why: Mutex<String>,
}

/// See [`Record::given_up`]: new calls fail; waits end, too.
const NO_NEW_CALLS: u8 = 1;
const AT_ONCE: u8 = 2;

/// Another rank has given up the communicator of this name.
pub fn break_off(name: &str, epoch: u64, why: &str, at_once: bool) {
    // Those without a name are known to nobody else.
    if name.is_empty() {
        return;
    }
    for record in ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        if record.epoch == epoch && *record.name.lock().unwrap_or_else(PoisonError::into_inner) == name {
            *record.why.lock().unwrap_or_else(PoisonError::into_inner) = why.to_owned();
            record.given_up.fetch_max(if at_once { AT_ONCE } else { NO_NEW_CALLS }, Ordering::AcqRel);
        }
    }
}

impl Record {
    /// Nothing was entered. It is told of when it has a name.
    pub fn new(epoch: u64) -> Arc<Record> {
        let record = Arc::new(Record {
            last: AtomicU64::new(0),
            epoch,
            name: Mutex::default(),
            given_up: AtomicU8::new(0),
            why: Mutex::default(),
        });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|some| some.strong_count() > 0);
        all.push(Arc::downgrade(&record));
        record
    }

    /// Names its communicator, as all ranks do; without a name it is not told of.
    pub fn set_name(&self, name: &str) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name.to_owned();
    }

    /// Why another rank has given its communicator up, if one has; `waiting`: only if waits are to end.
    pub fn given_up(&self, waiting: bool) -> Option<String> {
        let least = if waiting { AT_ONCE } else { NO_NEW_CALLS };
        let why = || self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.given_up.load(Ordering::Acquire) >= least).then(why)
    }

    /// Its communicator's name, and the number of the last collective if that is `call`.
    pub fn place(&self, call: &str) -> (String, Option<u64>) {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = self.last.load(Ordering::Relaxed);
        let place = CALLS.iter().position(|name| *name == call).map(|place| place as u64);
        let is_last = place == Some(last >> 1 & ((1 << PLACE_BITS) - 1));
        (name, is_last.then_some(last >> (PLACE_BITS + 1)))
    }

    /// A call begins; calls that are not collective are not counted.
    pub fn enter(&self, call: &str) {
        if let Some(place) = CALLS.iter().position(|name| *name == call) {
            let entered = (self.last.load(Ordering::Relaxed) >> (PLACE_BITS + 1)) + 1;
            self.last.store(entered << (PLACE_BITS + 1) | (place as u64) << 1, Ordering::Relaxed);
        }
    }
}

/// While it lives, somebody waits for the last call.
pub struct Inside<'record>(&'record Record);

impl Inside<'_> {
    /// The wait begins.
    pub fn of(record: &Record) -> Inside<'_> {
        record.last.fetch_or(INSIDE, Ordering::Relaxed);
        Inside(record)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.last.fetch_and(!INSIDE, Ordering::Relaxed);
    }
}

/// All communicators that have a name, as JSON: `[{"comm":"world","epoch":1,"entered":17,"call":"Allreduce","inside":true}]`.
pub fn told() -> String {
    let mut text = "[".to_owned();
    for record in ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        let name = record.name.lock().unwrap_or_else(PoisonError::into_inner);
        if name.is_empty() {
            continue;
        }
        let last = record.last.load(Ordering::Relaxed);
        let entered = last >> (PLACE_BITS + 1);
        let place = usize::try_from(last >> 1 & ((1 << PLACE_BITS) - 1)).unwrap_or(0);
        let call = if entered == 0 { "" } else { CALLS.get(place).map_or("", |call| call.trim_start_matches("MPI_")) };
        let comma = if text.len() > 1 { "," } else { "" };
        let (name, epoch, inside) = (escaped(&name), record.epoch, last & INSIDE != 0);
        // Writing to a String does not fail.
        let _ = write!(
            text,
            r#"{comma}{{"comm":"{name}","epoch":{epoch},"entered":{entered},"call":"{call}","inside":{inside}}}"#
        );
    }
    text.push(']');
    text
}

/// A text between quotes in JSON.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escape = matches!(character, '"' | '\\').then_some('\\');
            escape.into_iter().chain(std::iter::once(if character.is_control() { ' ' } else { character }))
        })
        .collect()
}
