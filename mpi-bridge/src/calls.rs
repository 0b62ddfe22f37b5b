//! What each communicator is doing, for a diagnosis: the last collective call that was entered, and whether it is still
//! waited for.
//!
//! Collective calls are numbered on each rank in the order in which they are entered, which is the same on all ranks. So a
//! rank whose number is behind the others' is the one that they wait for. Any thread may ask, without the GIL.

use std::ffi::c_int;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
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

/// How the names of groups' communicators begin that are made when they are first needed.
const GROUPS: [&str; 2] = ["world.group(", "world#"];
/// Those that were given up by the others before this rank had them: epoch, name, why.
static BROKEN_BEFORE: Mutex<Vec<(u64, String, String)>> = Mutex::new(Vec::new());
static ALL: Mutex<Vec<Weak<Record>>> = Mutex::new(Vec::new());

/// The record of one communicator. All of it that changes is one number, so that it is never seen half changed.
#[derive(Debug)]
pub struct Record {
    /// How often a collective was entered, which one was the last, and whether it is waited for.
    last: AtomicU64,
    epoch: u64,
    name: Mutex<String>,
    /// Its ranks, as ranks of MPI_COMM_WORLD.
    members: Vec<c_int>,
    /// This rank or another has given it up: it is not to be used any more, and perhaps not to be waited for.
    given_up: AtomicU8,
    why: Mutex<String>,
    /// This rank is in the middle of a call of several steps, or has left one there: the others have no use for what it
    /// entered.
    amid: AtomicBool,
}

/// See [`Record::given_up`]: new calls fail; waits end, too.
const NO_NEW_CALLS: u8 = 1;
const AT_ONCE: u8 = 2;

/// Of why a communicator was given up, in characters, where others are told.
const LONGEST_REASON: usize = 1000;

/// Another rank has given up the communicator of this name.
pub fn break_off(name: &str, epoch: u64, why: &str, at_once: bool) {
    // Those without a name are known to nobody else.
    if name.is_empty() {
        return;
    }
    let named: Vec<Arc<Record>> =
        all().into_iter().filter(|record| record.epoch == epoch && record.name() == name).collect();
    named.iter().for_each(|record| record.give_up(why, at_once));
    if named.is_empty() && at_once && GROUPS.iter().any(|group| name.starts_with(group)) {
        BROKEN_BEFORE.lock().unwrap_or_else(PoisonError::into_inner).push((epoch, name.to_owned(), why.to_owned()));
    }
}

/// The next communicator of this name is another one.
pub fn forget(name: &str) {
    BROKEN_BEFORE.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, broken, _)| broken != name);
}

impl Record {
    /// Nothing was entered. It is told of when it has a name.
    pub fn new(epoch: u64, members: Vec<c_int>) -> Arc<Record> {
        let record = Arc::new(Record {
            last: AtomicU64::new(0),
            epoch,
            members,
            name: Mutex::default(),
            given_up: AtomicU8::new(0),
            why: Mutex::default(),
            amid: AtomicBool::new(false),
        });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|some| some.strong_count() > 0);
        all.push(Arc::downgrade(&record));
        record
    }

    /// Names its communicator, as all ranks do; without a name it is not told of.
    pub fn set_name(&self, name: &str) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name.to_owned();
        let mut broken = BROKEN_BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, _, why) in broken.extract_if(.., |(epoch, broken, _)| *epoch == self.epoch && broken == name) {
            self.give_up(&why, true);
        }
    }

    /// It is not to be used any more, and if `at_once` not to be waited for. The first reason of each is the one that is
    /// told.
    pub fn give_up(&self, why: &str, at_once: bool) {
        let level = if at_once { AT_ONCE } else { NO_NEW_CALLS };
        let mut reason = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if self.given_up.fetch_max(level, Ordering::AcqRel) < level {
            why.clone_into(&mut reason);
        }
    }

    /// Why its communicator was given up, if it was; `waiting`: only if waits are to end.
    pub fn given_up(&self, waiting: bool) -> Option<String> {
        let least = if waiting { AT_ONCE } else { NO_NEW_CALLS };
        let why = || self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.given_up.load(Ordering::Acquire) >= least).then(why)
    }

    /// Its communicator's name, and the number of the last collective if that is `call`.
    pub fn place(&self, call: &str) -> (String, Option<u64>) {
        let name = self.name();
        let last = self.last.load(Ordering::Relaxed);
        let place = CALLS.iter().position(|name| *name == call).map(|place| place as u64);
        let is_last = place == Some(last >> 1 & ((1 << PLACE_BITS) - 1));
        (name, is_last.then_some(last >> (PLACE_BITS + 1)))
    }

    /// A call begins if it `may`. Its number, if it is a collective one: others are not counted.
    pub fn enter<E>(&self, call: &str, may: impl FnOnce(u64) -> Result<(), E>) -> Result<Option<u64>, E> {
        let Some(place) = CALLS.iter().position(|name| *name == call) else { return Ok(None) };
        let number = self.entered() + 1;
        may(number)?;
        self.last.store(number << (PLACE_BITS + 1) | (place as u64) << 1, Ordering::Relaxed);
        Ok(Some(number))
    }

    /// How many collectives were entered.
    pub fn entered(&self) -> u64 {
        self.last.load(Ordering::Relaxed) >> (PLACE_BITS + 1)
    }

    /// The same, if this rank can still use it.
    pub fn standing(&self) -> Option<u64> {
        let usable = !self.amid.load(Ordering::Acquire) && self.given_up.load(Ordering::Acquire) == 0;
        usable.then(|| self.entered())
    }

    /// How many collectives it has entered that may end for the others. At a deadline that is all of them.
    pub fn lasting(&self) -> u64 {
        if self.amid.load(Ordering::Acquire) { 0 } else { self.entered() }
    }

    /// Why its communicator was given up, in one line, if this rank has left it in the middle of a call.
    pub fn left_amid(&self) -> Option<String> {
        let why = self.given_up(false).filter(|_| self.amid.load(Ordering::Acquire))?;
        Some(why.chars().take(LONGEST_REASON).map(|letter| if letter.is_control() { ' ' } else { letter }).collect())
    }

    /// A call of several steps begins or ends. An exception that leaves it does not end it.
    pub fn set_amid(&self, between: bool) {
        self.amid.store(between, Ordering::Release);
    }

    /// The rank in its communicator that this rank of MPI_COMM_WORLD has.
    pub fn place_of(&self, member: u32) -> Option<c_int> {
        let is_it = |other: &c_int| u32::try_from(*other) == Ok(member);
        self.members.iter().position(is_it).and_then(|rank| c_int::try_from(rank).ok())
    }

    /// Its ranks, as ranks of MPI_COMM_WORLD.
    pub fn members(&self) -> &[c_int] {
        &self.members
    }

    /// What was entered before it was given up is of no use to what begins now.
    pub fn begin_turn(&self) {
        if self.given_up.load(Ordering::Acquire) != 0 {
            self.set_amid(true);
        }
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Its communicator's name; empty without one.
    pub fn name(&self) -> String {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The records of all communicators that live.
pub fn all() -> Vec<Arc<Record>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
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
    for record in all() {
        let name = record.name();
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
