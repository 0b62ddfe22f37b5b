//! What a group of engines does together at a client's wish: one turn. A member that leaves it by an exception enters
//! nothing more, and the others are told how far it came: what it has not entered would be waited for in vain.
//!
//! Only the engine's own threads begin and end turns, and none of this needs the GIL. In a program that is no engine there
//! are no turns, and nobody leaves.

use crate::calls::{self, Record};
use crate::failure::Failure;
use std::ffi::c_int;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For what a member has sent before it left.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A member that has left.
struct Member {
    rank: u32,
    engine: u32,
    why: String,
    since: Instant,
    entered: Vec<Entered>,
}

/// How many collectives it has entered on a communicator, and its rank there.
struct Entered {
    epoch: u64,
    rank: c_int,
    /// It can still be used there.
    usable: bool,
    number: u64,
    comm: String,
    /// Why no rank can use it, where it has left in the middle of a call of several steps.
    why: Option<String>,
}

#[derive(Default)]
struct Turn {
    epoch: u64,
    ranks: Vec<u32>,
    left: Vec<Member>,
}

static TURN: Mutex<Turn> = Mutex::new(Turn { epoch: 0, ranks: Vec::new(), left: Vec::new() });
static ANYBODY_LEFT: AtomicBool = AtomicBool::new(false);
/// Ranks of MPI_COMM_WORLD that the epoch's own communicator has.
static MEMBERS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn turn() -> MutexGuard<'static, Turn> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An epoch has these members.
pub fn set_members(ranks: Vec<u32>) {
    *MEMBERS.lock().unwrap_or_else(PoisonError::into_inner) = ranks;
}

/// A turn of these ranks begins; without any, it is over.
pub fn begin(epoch: u64, ranks: &[u32]) {
    calls::all().iter().for_each(|record| record.begin_turn());
    let mut turn = turn();
    ANYBODY_LEFT.store(false, Ordering::Release);
    *turn = Turn { epoch, ranks: ranks.to_vec(), left: Vec::new() };
}

/// A member has left it; `entered` is what [`entered`] told there.
pub fn leave(rank: u32, engine: u32, why: &str, entered: &str) {
    let read = |line: &str| {
        let (line, why) = line.rsplit_once('\t')?;
        let why = Some(why.to_owned()).filter(|why| !why.is_empty());
        let mut parts = line.splitn(5, ' ');
        let (epoch, rank) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (usable, number) = (parts.next()? == "+", parts.next()?.parse().ok()?);
        Some(Entered { epoch, rank, usable, number, comm: parts.next()?.to_owned(), why })
    };
    let entered = entered.lines().filter_map(read).collect();
    turn().left.push(Member { rank, engine, why: why.to_owned(), since: Instant::now(), entered });
    ANYBODY_LEFT.store(true, Ordering::Release);
}

/// The name of a group's communicator, as the package gives it.
pub fn name_of(ranks: &[u32]) -> String {
    if *MEMBERS.lock().unwrap_or_else(PoisonError::into_inner) == ranks {
        return "world".to_owned();
    }
    let ranks: Vec<String> = ranks.iter().map(u32::to_string).collect();
    format!("world.group({})", ranks.join(","))
}

/// Where this rank stands on the communicator of the turn: how many collectives it has entered, or a `-` if it cannot
/// be used any more, and its name.
pub fn standing() -> String {
    let turn = turn();
    let name = name_of(&turn.ranks);
    let record = calls::all().into_iter().find(|record| record.epoch() == turn.epoch && record.name() == name);
    // One that is not made yet is as good as new.
    let number = record.map_or(Some(0), |record| record.standing());
    format!("{} {name}", number.map_or_else(|| "-".to_owned(), |number| number.to_string()))
}

/// Where this rank stands on all communicators that have a name, a line for each: epoch, rank, a + if it can be used,
/// number, name; then, after a tab, why it has left one in the middle of a call. On such a one it has entered nothing that
/// could end.
pub fn entered() -> String {
    let mut text = String::new();
    for record in calls::all() {
        let name = record.name();
        if !name.is_empty() && !name.contains('\n') {
            let usable = if record.standing().is_some() { '+' } else { '-' };
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "{} {} {usable} {} {name}\t{}",
                record.epoch(),
                record.rank(),
                record.lasting(),
                record.left_amid().unwrap_or_default()
            );
        }
    }
    text
}

/// What a wait is for.
#[derive(Debug, Clone, Copy)]
pub enum Awaited {
    /// A collective call of this number.
    Collective(u64),
    /// A message to or from this rank.
    Rank(c_int),
    /// Nobody in particular.
    Anybody,
}

impl Awaited {
    /// A message to or from a rank; a negative one stands for any.
    pub fn of_rank(rank: c_int) -> Awaited {
        if rank < 0 { Awaited::Anybody } else { Awaited::Rank(rank) }
    }
}

/// A call begins, unless a member that it needs has left. Whom it waits for.
pub fn enter(record: &Record, call: &'static str) -> Result<Awaited, Failure> {
    let number = record.enter(call, |number| check(record, call, Awaited::Collective(number), None))?;
    Ok(number.map_or(Awaited::Anybody, Awaited::Collective))
}

/// Fails if it is waited for in vain, since `began`.
pub fn check(record: &Record, call: &'static str, awaited: Awaited, began: Option<Instant>) -> Result<(), Failure> {
    if !ANYBODY_LEFT.load(Ordering::Acquire) {
        return Ok(());
    }
    let name = record.name();
    let turn = turn();
    let is_groups = record.epoch() == turn.epoch && name == name_of(&turn.ranks);
    let vain = |member: &Member| {
        // A name that several have tells nothing but the most that may have been entered.
        let here = member.entered.iter().filter(|entered| entered.epoch == record.epoch() && entered.comm == name);
        let furthest = here.max_by_key(|entered| entered.number);
        let known = furthest.map(|entered| (entered.rank, entered.number));
        // It may have left before it had the group's communicator.
        let (rank, number) = known.or_else(|| Some((place(&turn.ranks, member)?, 0)).filter(|_| is_groups))?;
        let vain = match awaited {
            Awaited::Collective(awaited) => awaited > number,
            Awaited::Rank(awaited) => {
                let since = began.map_or(member.since, |began| member.since.max(began));
                awaited == rank && since.elapsed() > UNDER_WAY
            }
            Awaited::Anybody => false,
        };
        // The same as it has told all ranks of the communicator, which may be heard of later than that it has left.
        let broken = |why: &String| Failure::Broken(call, format!("{why} on rank {rank}"));
        let broken = furthest.and_then(|entered| entered.why.as_ref()).map(broken);
        vain.then(|| broken.unwrap_or_else(|| failure(call, rank, member)))
    };
    turn.left.iter().find_map(vain).map_or(Ok(()), Err)
}

/// Fails if a communicator of this name is made in vain: one of its members, ranks of MPI_COMM_WORLD, has left before it
/// had it.
pub fn check_making(name: &str, epoch: u64, members: &[u32], call: &'static str) -> Result<(), Failure> {
    if !ANYBODY_LEFT.load(Ordering::Acquire) {
        return Ok(());
    }
    let turn = turn();
    // A broken one is not the one that is made.
    let has = |entered: &Entered| entered.epoch == epoch && entered.comm == name && entered.usable;
    let vain = |member: &Member| {
        let rank = place(members, member)?;
        (!member.entered.iter().any(has)).then(|| failure(call, rank, member))
    };
    turn.left.iter().find_map(vain).map_or(Ok(()), Err)
}

/// The rank of a member in a communicator of these ranks of MPI_COMM_WORLD.
fn place(ranks: &[u32], member: &Member) -> Option<c_int> {
    ranks.iter().position(|rank| *rank == member.rank).and_then(|rank| c_int::try_from(rank).ok())
}

fn failure(call: &'static str, rank: c_int, member: &Member) -> Failure {
    let Member { engine, why, .. } = member;
    Failure::Left(call, format!("rank {rank} (engine {engine}) has left this call: {why}"))
}
