//! What is kept of the corpus does no harm: inputs that reach most, and those with which something was found once.

use ipclusterz_fuzz::TARGETS;
use std::fs;
use std::path::{Path, PathBuf};

fn kept(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| file.expect("a file").path()).collect()
}

#[test]
fn every_target_takes_what_is_kept_for_it() {
    for (name, target) in TARGETS {
        let files = kept(name);
        assert!(!files.is_empty(), "nothing is kept for {name}");
        for file in files {
            let bytes = fs::read(&file).expect("readable");
            let taken = std::panic::catch_unwind(|| target(&bytes));
            assert!(taken.is_ok(), "{name} does not take {}", file.display());
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let size =
        |(name, _): &(&str, _)| kept(name).iter().map(|file| file.metadata().expect("a file").len()).sum::<u64>();
    assert!(TARGETS.iter().map(size).sum::<u64>() < 1 << 20);
}
