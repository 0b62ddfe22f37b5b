//! Single decisions, and long sequences of them against a simulated queue.

use super::*;
use proptest::prelude::*;

const IDLE: Duration = Duration::from_secs(60);

fn elastic(min: u32, max: u32) -> Elastic {
    Elastic::new(Blocks { min, max, nodes: 1 }, IDLE, 4)
}

fn blocks(states: &[BlockState]) -> Vec<Block> {
    (0..).map(SetId).zip(states).map(|(set, state)| Block { set, state: *state }).collect()
}

#[test]
fn it_grows_by_what_is_useful() {
    let now = Instant::now();
    let mut rules = elastic(0, 8);
    assert_eq!(rules.decide(now, 0, &[]), []);
    // Without a block, it does not wait before it grows.
    assert_eq!(rules.decide(now, 10, &[]), [Decision::Start; 3]);
    let pending = blocks(&[BlockState::Pending; 3]);
    assert_eq!(rules.decide(now + IDLE, 10, &pending), []);
    assert_eq!(rules.decide(now + IDLE, 100, &pending), [Decision::Start; 5]);
}

#[test]
fn a_burst_of_short_tasks_starts_nothing() {
    let now = Instant::now();
    let mut rules = elastic(1, 8);
    let busy = blocks(&[BlockState::Busy]);
    assert_eq!(rules.decide(now, 50, &busy), []);
    assert_eq!(rules.decide(now + GROW_AFTER / 2, 0, &busy), []);
    assert_eq!(rules.decide(now + GROW_AFTER, 50, &busy), []);
    assert_eq!(rules.decide(now + GROW_AFTER * 2, 5, &busy), [Decision::Start; 2]);
}

#[test]
fn there_are_always_min() {
    let now = Instant::now();
    let mut rules = elastic(2, 3);
    assert_eq!(rules.decide(now, 0, &[]), [Decision::Start; 2]);
    let idle = blocks(&[BlockState::Idle(now); 3]);
    assert_eq!(rules.decide(now + IDLE, 0, &idle), [Decision::Drain(SetId(0))]);
    // A draining block does not count towards min, but counts towards max.
    let draining = blocks(&[BlockState::Draining, BlockState::Draining, BlockState::Busy]);
    assert_eq!(rules.decide(now + IDLE, 0, &draining), []);
}

#[test]
fn what_waits_in_the_queue_is_given_back_first() {
    let now = Instant::now();
    let mut rules = elastic(1, 3);
    let some = blocks(&[BlockState::Idle(now), BlockState::Busy, BlockState::Pending]);
    assert_eq!(rules.decide(now, 0, &some), []);
    assert_eq!(rules.next(&some), Some(now + IDLE));
    assert_eq!(rules.decide(now + IDLE, 0, &some), [Decision::Drain(SetId(2)), Decision::Drain(SetId(0))]);
}

/// A simulation in steps of a second: each task occupies an engine for a while, and jobs are pending in a queue.
struct Day {
    rules: Elastic,
    now: Instant,
    blocks: Vec<(Block, u32)>,
    running: Vec<(SetId, u32)>,
    queued: u32,
    next: u32,
    started: usize,
    drained: usize,
}

impl Day {
    fn new(rules: Elastic) -> Self {
        let now = Instant::now();
        Self { rules, now, blocks: Vec::new(), running: Vec::new(), queued: 0, next: 0, started: 0, drained: 0 }
    }

    fn second(&mut self, arriving: u32, duration: u32, queue_wait: u32) {
        self.now += Duration::from_secs(1);
        self.queued += arriving;
        self.running.iter_mut().for_each(|(_, left)| *left -= 1);
        self.running.retain(|(_, left)| *left > 0);
        for (block, wait) in &mut self.blocks {
            *wait = wait.saturating_sub(1);
            let busy = |running: &[(SetId, u32)]| running.iter().filter(|(set, _)| *set == block.set).count();
            let open = *wait == 0 && block.state != BlockState::Draining;
            while open && self.queued > 0 && busy(&self.running) < 4 {
                self.running.push((block.set, duration));
                self.queued -= 1;
            }
            block.state = match (block.state, busy(&self.running)) {
                (BlockState::Pending, _) if *wait > 0 => BlockState::Pending,
                (BlockState::Draining, _) => BlockState::Draining,
                (BlockState::Idle(since), 0) => BlockState::Idle(since),
                (_, 0) => BlockState::Idle(self.now),
                _ => BlockState::Busy,
            };
        }
        let running = &self.running;
        self.blocks.retain(|(block, _)| {
            block.state != BlockState::Draining || running.iter().any(|(set, _)| *set == block.set)
        });
        let blocks: Vec<Block> = self.blocks.iter().map(|(block, _)| *block).collect();
        for decision in self.rules.decide(self.now, self.queued as usize, &blocks) {
            match decision {
                Decision::Start => {
                    let block = Block { set: SetId(self.next), state: BlockState::Pending };
                    self.blocks.push((block, queue_wait + 1));
                    self.next += 1;
                    self.started += 1;
                }
                Decision::Drain(set) => {
                    self.drained += 1;
                    for (block, _) in self.blocks.iter_mut().filter(|(block, _)| block.set == set) {
                        assert!(!matches!(block.state, BlockState::Busy | BlockState::Draining), "{block:?}");
                        block.state = BlockState::Draining;
                    }
                }
            }
        }
    }

    fn useful(&self) -> usize {
        self.blocks.iter().filter(|(block, _)| block.state != BlockState::Draining).count()
    }
}

proptest! {
    #[test]
    fn never_over_max_never_under_min(
        min in 0u32..4, more in 1u32..5, arrivals in proptest::collection::vec(0u32..6, 20..300),
        duration in 1u32..90, queue_wait in 0u32..120,
    ) {
        let max = min + more;
        let mut day = Day::new(elastic(min, max));
        for arriving in arrivals {
            day.second(arriving, duration, queue_wait);
            prop_assert!(day.blocks.len() <= max as usize);
            // Draining blocks that still work may delay what min asks for, for as long as a task takes.
            prop_assert!(day.useful() >= min as usize || day.blocks.len() == max as usize);
        }
        // When the work is done, all but min are given back.
        for _ in 0..(duration + queue_wait) * 200 + 200 {
            day.second(0, duration, queue_wait);
            if day.queued == 0 && day.running.is_empty() && day.blocks.len() == min as usize {
                return Ok(());
            }
        }
        prop_assert!(false, "{:?} remain", day.blocks);
    }

    #[test]
    fn constant_load_settles(load in 0u32..8, every in 1u32..5, duration in 1u32..30, queue_wait in 0u32..60) {
        let mut day = Day::new(elastic(0, 8));
        let seconds = |day: &mut Day, count: u32| {
            for second in 0..count {
                day.second(if second % every == 0 { load } else { 0 }, duration, queue_wait);
            }
        };
        seconds(&mut day, 1200);
        let (started, drained) = (day.started, day.drained);
        seconds(&mut day, 1200);
        prop_assert_eq!((day.started, day.drained), (started, drained));
    }
}
