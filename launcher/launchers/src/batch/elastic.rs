//! Elastic blocks: how many jobs there should be for the load-balanced work there is. Pure.
//!
//! Responsible for the decision alone: the supervisor starts and drains what it says. It grows by what is useful and
//! no more, which is why jobs that still wait in the queue count; it shrinks after [`Elastic`]'s idle time, which is
//! also what keeps it from flapping: a block that has work now and then is never idle for that long.

use crate::set::SetId;
use ipclusterz_profile::tables::batch::Blocks;
use std::time::{Duration, Instant};

/// How long work must have been waiting before another block is asked for: a burst of short tasks is over sooner.
const GROW_AFTER: Duration = Duration::from_secs(1);

/// What a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState {
    /// It waits in the queue, or its engines have not registered yet.
    Pending,
    /// At least one of its engines has work.
    Busy,
    /// None has, since then.
    Idle(Instant),
    /// It gets no new work and will end.
    Draining,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its set.
    pub set: SetId,
    /// What it does.
    pub state: BlockState,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start one more block.
    Start,
    /// Give this one back: drain it if it runs, cancel it if it waits.
    Drain(SetId),
}

/// The rules and what must be remembered between two decisions.
#[derive(Debug, Clone)]
pub struct Elastic {
    blocks: Blocks,
    idle_time: Duration,
    engines_per_block: u32,
    /// Since when balanced tasks have been waiting, and since when none has.
    waiting_since: Option<Instant>,
    quiet_since: Option<Instant>,
}

impl Elastic {
    /// Rules of a profile.
    pub fn new(blocks: Blocks, idle_time: Duration, engines_per_block: u32) -> Self {
        let engines_per_block = engines_per_block.max(1);
        Self { blocks, idle_time, engines_per_block, waiting_since: None, quiet_since: None }
    }

    /// What to do now. `queued`: balanced tasks that no engine has been given.
    ///
    /// To be asked about once a second, and with the blocks as they are after the last decisions: a block that was to
    /// be started is pending.
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
        // Blocks that are there and have no work would take it if they could: the queue waits for something else, or
        // will be given to them in a moment.
        let coming = count(|state| matches!(state, BlockState::Pending | BlockState::Idle(_)));
        let waited = self.waiting_since.is_some_and(|since| now.saturating_duration_since(since) >= GROW_AFTER);
        let wanted = match waited || (queued > 0 && useful == 0) {
            true => queued.div_ceil(usize_of(self.engines_per_block)).saturating_sub(coming),
            false => 0,
        };
        // A job that drains still is a job, and max is about jobs.
        below.max(wanted).min(usize_of(self.blocks.max).saturating_sub(blocks.len()))
    }

    fn drains(&self, now: Instant, queued: usize, blocks: &[Block]) -> Vec<Decision> {
        let long_ago = |since: Instant| now.saturating_duration_since(since) >= self.idle_time;
        let useful = blocks.iter().filter(|block| block.state != BlockState::Draining).count();
        let spare = useful.saturating_sub(usize_of(self.blocks.min));
        // What still waits in the queue costs nothing yet, so that it goes last to come and first to go.
        let quiet = queued == 0 && self.quiet_since.is_some_and(long_ago);
        let pending = blocks.iter().filter(|block| quiet && block.state == BlockState::Pending);
        let mut idle: Vec<(Instant, SetId)> = blocks.iter().filter_map(idle_since).collect();
        idle.retain(|(since, _)| queued == 0 && long_ago(*since));
        idle.sort_unstable();
        let candidates = pending.map(|block| block.set).chain(idle.into_iter().map(|(_, set)| set));
        candidates.take(spare).map(Decision::Drain).collect()
    }

    /// When the next decision may differ although nothing happens.
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
