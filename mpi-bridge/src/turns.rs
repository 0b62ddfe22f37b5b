//! What a group of engines does together at a client's wish: one turn. A member that ends its part enters nothing more,
//! and the others are told how far it came: what it has not entered would be waited for in vain. One that ends it by an
//! exception ends the call for all, so that nobody waits for it much longer, whatever it has entered.
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

/// For what a member has sent before it left, and for collectives that it has entered, where the call fails anyway or waits in vain
/// for sure.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// For what a member has sent that has ended its part in order: a slow network brings it late, and nobody knows whether it will.
const IN_FLIGHT: Duration = Duration::from_secs(20);

/// A member that has ended its part.
struct Member {
    rank: u32,
    engine: u32,
    /// By which exception; empty: by none.
    why: String,
    since: Instant,
    entered: Vec<Entered>,
}

/// How many collectives it has entered on a communicator.
struct Entered {
    epoch: u64,
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
    /// Of the group's communicator.
    name: String,
    left: Vec<Member>,
}

static TURN: Mutex<Turn> = Mutex::new(Turn { epoch: 0, name: String::new(), left: Vec::new() });
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

/// A turn of these ranks begins, whose communicator was made anew so often; without any ranks, it is over.
pub fn begin(epoch: u64, renewal: u64, ranks: &[u32]) {
    calls::all().iter().for_each(|record| record.begin_turn());
    let mut turn = turn();
    ANYBODY_LEFT.store(false, Ordering::Release);
    *turn = Turn { epoch, name: name_of(ranks, renewal), left: Vec::new() };
}

/// A member has left it, or ended its part if `why` is empty; `entered` is what [`entered`] told there.
pub fn leave(rank: u32, engine: u32, why: &str, entered: &str) {
    let read = |line: &str| {
        let (line, why) = line.rsplit_once('\t')?;
        let why = Some(why.to_owned()).filter(|why| !why.is_empty());
        let mut parts = line.splitn(4, ' ');
        let (epoch, usable, number) = (parts.next()?.parse().ok()?, parts.next()? == "+", parts.next()?.parse().ok()?);
        Some(Entered { epoch, usable, number, comm: parts.next()?.to_owned(), why })
    };
    let entered = entered.lines().filter_map(read).collect();
    turn().left.push(Member { rank, engine, why: why.to_owned(), since: Instant::now(), entered });
    ANYBODY_LEFT.store(true, Ordering::Release);
}

/// The name of a group's communicator, as the package gives it.
fn name_of(ranks: &[u32], renewal: u64) -> String {
    let times = if renewal == 0 { String::new() } else { format!("#{}", renewal.saturating_add(1)) };
    if *MEMBERS.lock().unwrap_or_else(PoisonError::into_inner) == ranks {
        return format!("world{times}");
    }
    let ranks: Vec<String> = ranks.iter().map(u32::to_string).collect();
    format!("world.group({}){times}", ranks.join(","))
}

/// Where this rank stands on the communicator of the turn: how many collectives it has entered, or a `-` if it cannot
/// be used any more, and its name.
pub fn standing() -> String {
    let turn = turn();
    let record = calls::all().into_iter().find(|record| record.epoch() == turn.epoch && record.name() == turn.name);
    // One that is not made yet is as good as new.
    let number = record.map_or(Some(0), |record| record.standing());
    format!("{} {}", number.map_or_else(|| "-".to_owned(), |number| number.to_string()), turn.name)
}

/// Where this rank stands on all communicators that have a name, a line for each: epoch, a + if it can be used, number,
/// name; then, after a tab, why it has left one in the middle of a call. On such a one it has entered nothing that
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
                "{} {usable} {} {name}\t{}",
                record.epoch(),
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
    let turn = turn();
    let wait = Wait { record, name: record.name(), awaited, began };
    let vain = |member: &Member| {
        let rank = record.place_of(member.rank)?;
        let told = || {
            let first = turn.first(record).filter(|_| member.follows());
            let (rank, member) = first.unwrap_or((rank, member));
            failure(call, rank, member, wait.furthest(member))
        };
        turn.is_vain(&wait, member, rank).then(told)
    };
    // Who left by an exception is why others have ended their parts.
    let (raised, returned) = turn.left.iter().partition::<Vec<&Member>, _>(|member| member.raised());
    raised.into_iter().chain(returned).find_map(vain).map_or(Ok(()), Err)
}

/// What is waited for, and since when.
struct Wait<'a> {
    record: &'a Record,
    /// Of the communicator.
    name: String,
    awaited: Awaited,
    began: Option<Instant>,
}

impl Wait<'_> {
    /// How far a member came on the communicator. A name that several have tells nothing but the most that may have been
    /// entered.
    fn furthest<'m>(&self, member: &'m Member) -> Option<&'m Entered> {
        let is_here = |entered: &&Entered| entered.epoch == self.record.epoch() && entered.comm == self.name;
        member.entered.iter().filter(is_here).max_by_key(|entered| entered.number)
    }

    /// What a member has sent, or entered, has had its time.
    fn is_over(&self, member: &Member, time: Duration) -> bool {
        self.began.map_or(member.since, |began| member.since.max(began)).elapsed() > time
    }
}

impl Turn {
    /// Whether a member, which has that rank in the communicator, will not do what is waited for.
    fn is_vain(&self, wait: &Wait<'_>, member: &Member, rank: c_int) -> bool {
        // It may have left before it had the group's communicator.
        let is_groups = wait.record.epoch() == self.epoch && wait.name == self.name;
        let number = wait.furthest(member).map(|entered| entered.number).or(is_groups.then_some(0));
        let missed = match wait.awaited {
            // What it has given up is not among those that it has.
            Awaited::Collective(awaited) => number.map(|number| awaited > number),
            Awaited::Rank(awaited) => Some(awaited == rank),
            Awaited::Anybody => Some(self.is_alone(wait.record)),
        };
        let collective = matches!(wait.awaited, Awaited::Collective(_));
        let is_sure = collective && missed == Some(true);
        if member.raised() {
            return is_sure || wait.is_over(member, UNDER_WAY);
        }
        missed.unwrap_or(true) && wait.is_over(member, if is_sure { UNDER_WAY } else { IN_FLIGHT })
    }

    /// The member because of which others have left, and its rank in a communicator.
    fn first(&self, record: &Record) -> Option<(c_int, &Member)> {
        let firsts = self.left.iter().filter(|member| member.raised() && !member.follows());
        firsts.filter_map(|member| Some((record.place_of(member.rank)?, member))).next()
    }

    /// All other ranks of a communicator have ended their parts.
    fn is_alone(&self, record: &Record) -> bool {
        let ended = self.left.iter().filter(|member| record.place_of(member.rank).is_some()).count();
        ended.saturating_add(1) >= record.members().len()
    }
}

impl Member {
    fn raised(&self) -> bool {
        !self.why.is_empty()
    }

    /// It has left because another one had.
    fn follows(&self) -> bool {
        self.why.starts_with("RankRaised")
    }
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
        let rank = members.iter().position(|rank| *rank == member.rank)?;
        let rank = c_int::try_from(rank).ok().filter(|_| member.raised() && !member.entered.iter().any(has))?;
        Some(failure(call, rank, member, None))
    };
    turn.left.iter().find_map(vain).map_or(Ok(()), Err)
}

fn failure(call: &'static str, rank: c_int, member: &Member, furthest: Option<&Entered>) -> Failure {
    let Member { engine, why, .. } = member;
    let text = match furthest.and_then(|entered| entered.why.as_ref()) {
        // The same as it has told all ranks of the communicator, which may be heard of later than that it has left.
        Some(amid) => format!("this communicator cannot be used any more: {amid} on rank {rank}"),
        None if why.is_empty() => format!("rank {rank} (engine {engine}) has ended its call without entering this one"),
        None => format!("rank {rank} (engine {engine}) has left this call: {why}"),
    };
    Failure::Left(call, Some(rank), why.clone(), text)
}
