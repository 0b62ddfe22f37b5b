//! Journals that were recorded once: what they led to then, they lead to today.
//!
//! A change that makes one of them lead to another state needs another version of the journal, and a way to replay those
//! of the version before, or a refusal of them: see `docs/design/durability.md`. `RECORD=1` writes `recorded/journal-N`
//! for the present version, if there is none.

use crate::deaths::replayed;
use crate::steps::{Step, step};
use crate::world::World;
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::journal::journal::VERSION;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_bytes::ByteBuf;
use std::path::{Path, PathBuf};

const JOURNALS: u8 = 4;
const STEPS: usize = 150;

/// An image, the log that follows it, and an image of the state that both lead to.
type Recorded = (ByteBuf, ByteBuf, ByteBuf);

fn file(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/journal-{version}"))
}

/// Some histories, the same each time. Their logs are long: no controller dies, and none begins its log anew.
fn record() -> Vec<Recorded> {
    let mut runner = TestRunner::deterministic();
    let mut draw = || step().new_tree(&mut runner).expect("a step").current();
    let journal = |beside| {
        let mut world = World::new(beside, 2, 2);
        for step in std::iter::repeat_with(&mut draw).take(STEPS) {
            if !matches!(step, Step::Die { .. } | Step::Compact) {
                world.step(step);
            }
        }
        world.commit_and_sync();
        let state = image::write(&replayed(&world.disk.image, &world.disk.log).0);
        (world.disk.image, world.disk.log, state)
    };
    let all = (0..JOURNALS).map(journal);
    all.map(|(image, log, state)| (ByteBuf::from(image), ByteBuf::from(log), ByteBuf::from(state))).collect()
}

#[test]
fn a_recorded_journal_leads_to_the_state_to_which_it_led() {
    let file = file(VERSION);
    if std::env::var_os("RECORD").is_some() && !file.exists() {
        std::fs::write(&file, rmp_serde::to_vec(&record()).expect("bytes")).expect("write");
    }
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; RECORD=1 writes it", file.display()));
    let journals: Vec<Recorded> = rmp_serde::from_slice(&bytes).expect("journals");
    assert_eq!(journals.len(), usize::from(JOURNALS));
    for (number, (image, log, state)) in journals.iter().enumerate() {
        let now = image::write(&replayed(image, log).0);
        assert!(now == **state, "journal {number} of version {VERSION} leads to another state");
    }
}
