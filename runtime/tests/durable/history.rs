//! Histories at random.

use crate::steps::{Step, step, step_with_power};
use crate::world::World;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// So many histories are played of each kind, unless `HISTORIES` says how many.
const HISTORIES: u32 = 20_000;
/// Which ones, unless `SEED` says that: the same each time, so that a failure is due to a change.
const SEED: u64 = 1;
/// Most steps of one.
const STEPS: usize = 60;

/// Plays a history. How many tasks ran twice because of a loss of power.
pub fn play(beside: u8, steps: &[Step]) -> u64 {
    let mut world = World::new(beside, 2, 2);
    steps.iter().for_each(|step| world.step(*step));
    world.settle()
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

fn play_many(step: impl Strategy<Value = Step>) -> u64 {
    let cases = asked("HISTORIES").map_or(HISTORIES, |count| count as u32);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&asked("SEED").unwrap_or(SEED).to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let config = Config { failure_persistence: None, max_shrink_iters: 100_000, ..Config::with_cases(cases) };
    let twofold = std::cell::Cell::new(0);
    let history = (0..32_u8, proptest::collection::vec(step, 0..STEPS));
    let played = TestRunner::new_with_rng(config, random).run(&history, |(beside, steps)| {
        twofold.set(twofold.get() + play(beside, &steps));
        Ok::<(), TestCaseError>(())
    });
    match played {
        Ok(()) => twofold.get(),
        Err(TestError::Fail(why, (beside, steps))) => panic!("{why}\nplay({beside}, &{steps:?})"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn nothing_is_lost_or_doubled_wherever_something_dies() {
    assert_eq!(play_many(step()), 0);
}

#[test]
fn nothing_is_lost_when_the_power_fails_and_little_is_doubled() {
    let twofold = play_many(step_with_power());
    println!("{twofold} tasks ran twice");
}
