//! Elastic blocks: how many jobs there should be for the load-balanced work that is queued. Pure.
//!
//! Responsible for the decision alone; the supervisor starts and drains the blocks. The number grows only as far as the
//! work can use, so jobs that are pending in the queue count as present. It shrinks after [`Elastic`]'s idle time. The
//! idle time also prevents flapping: a block that gets work now and then is never idle for that long.

use crate::set::SetId;
use ipclusterz_profile::tables::batch::Blocks;
use std::time::{Duration, Instant};

/// How long work must have been queued before another block is started: a burst of short tasks ends sooner.
const GROW_AFTER: Duration = Duration::from_secs(1);

/// The state of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState {
    /// It is pending in the queue, or its engines have not registered yet.
    Pending,
    /// At least one of its engines has work.
    Busy,
    /// None of its engines has had work since then.
    Idle(Instant),
    /// It gets no new work and will end.
    Draining,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its set.
    pub set: SetId,
    /// Its state.
    pub state: BlockState,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start one more block.
    Start,
    /// Give this block back: drain it if it runs, cancel it if it is pending.
    Drain(SetId),
}

/// The rules, and the state that is kept between two decisions.
#[derive(Debug, Clone)]
pub struct Elastic {
    blocks: Blocks,
    idle_time: Duration,
    engines_per_block: u32,
    /// Since when load-balanced tasks have been queued, and since when none has.
    waiting_since: Option<Instant>,
    quiet_since: Option<Instant>,
}

impl Elastic {
    /// Rules of a profile. `idle_time`: how long a block must be idle before it is given back.
    pub fn new(blocks: Blocks, idle_time: Duration, engines_per_block: u32) -> Self {
        let engines_per_block = engines_per_block.max(1);
        Self { blocks, idle_time, engines_per_block, waiting_since: None, quiet_since: None }
    }

    /// Decides what to do now. `queued` is the number of load-balanced tasks that no engine has been given.
    ///
    /// The caller asks about once a second, and `blocks` must reflect the previous decisions: a block that was to be
    /// started is pending.
    pub fn decide(&mut self, now: Instant, queued: usize, blocks: &[Block]) -> Vec<Decision> {
        if queued > 0 {
            self.quiet_since = None;
            self.waiting_since.get_or_insert(now);
        } else {
            self.waiting_since = None;
            self.quiet_since.get_or_insert(now);
        }
        let starts = self.starts(now, queued, blocks);
        if starts > 0 {
            return vec![Decision::Start; starts];
        }
        self.drains(now, queued, blocks)
    }

    fn starts(&self, now: Instant, queued: usize, blocks: &[Block]) -> usize {
        let count = |wanted: fn(BlockState) -> bool| blocks.iter().filter(|block| wanted(block.state)).count();
        let useful = count(|state| state != BlockState::Draining);
        let below = usize_of(self.blocks.min).saturating_sub(useful);
        // Idle blocks would take the work if they could: either the tasks wait for something else, or the blocks will
        // be given them in a moment.
        let coming = count(|state| matches!(state, BlockState::Pending | BlockState::Idle(_)));
        let waited = self.waiting_since.is_some_and(|since| now.saturating_duration_since(since) >= GROW_AFTER);
        let wanted = match waited || (queued > 0 && useful == 0) {
            true => queued.div_ceil(usize_of(self.engines_per_block)).saturating_sub(coming),
            false => 0,
        };
        // A draining block still is a job, and max limits jobs.
        below.max(wanted).min(usize_of(self.blocks.max).saturating_sub(blocks.len()))
    }

    fn drains(&self, now: Instant, queued: usize, blocks: &[Block]) -> Vec<Decision> {
        let long_ago = |since: Instant| now.saturating_duration_since(since) >= self.idle_time;
        let useful = blocks.iter().filter(|block| block.state != BlockState::Draining).count();
        let spare = useful.saturating_sub(usize_of(self.blocks.min));
        // A pending block costs nothing yet, so it is given back before idle ones.
        let quiet = queued == 0 && self.quiet_since.is_some_and(long_ago);
        let pending = blocks.iter().filter(|block| quiet && block.state == BlockState::Pending);
        let mut idle: Vec<(Instant, SetId)> = blocks.iter().filter_map(idle_since).collect();
        idle.retain(|(since, _)| queued == 0 && long_ago(*since));
        idle.sort_unstable();
        let candidates = pending.map(|block| block.set).chain(idle.into_iter().map(|(_, set)| set));
        candidates.take(spare).map(Decision::Drain).collect()
    }

    /// When the next decision may differ without any other event; `None` when it cannot.
    pub fn next(&self, blocks: &[Block]) -> Option<Instant> {
        let idle = blocks.iter().filter_map(idle_since).map(|(since, _)| since + self.idle_time);
        let grow = self.waiting_since.map(|since| since + GROW_AFTER);
        let quiet = self.quiet_since.map(|since| since + self.idle_time);
        idle.chain(grow).chain(quiet).min()
    }
}

fn idle_since(block: &Block) -> Option<(Instant, SetId)> {
    match block.state {
        BlockState::Idle(since) => Some((since, block.set)),
        _ => None,
    }
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
