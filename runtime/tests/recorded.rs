//! The messages of this wire version as its first release wrote them: each is read, and written as the same bytes.
//!
//! So a field that is new within a wire version has a default, and is left out where it has that: a release that lacks it
//! neither misses it nor has to know it. If this test fails, undo the change, or raise the wire version: see
//! `docs/contributing/versions.md`. `RECORD=1` writes what is missing in `recorded/wire-N.txt`, a line for each message.

mod messages;

use ipclusterz_base::release::wire_version;
use ipclusterz_runtime::wire::bounds;
use ipclusterz_runtime::wire::codec::{decode_answer, encode};
use ipclusterz_runtime::wire::message::{Message, Op, Stream, TaskOutcome};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// Messages that are drawn to find one of every kind, with everything that it may have.
const DRAWS: usize = 6000;

fn path() -> PathBuf {
    let name = format!("tests/recorded/wire-{}.txt", wire_version());
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn recorded() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(path()).expect("the recording of this wire version: write it with RECORD=1");
    text.lines().map(|line| unhex(line.rsplit(' ').next().expect("bytes"))).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// The name of a message's kind in its header.
fn kind(header: &[u8]) -> String {
    let length = usize::from(header[4] & 0x1f);
    String::from_utf8(header[5..5 + length].to_vec()).expect("a name")
}

/// What a message has: `field: Some`, `field: None`, `field: Variant`, for each of its fields with a choice.
fn features(message: &Message) -> BTreeSet<String> {
    let text = format!("{message:?}");
    // Texts are strangers' words.
    let plain: String = text.split('"').step_by(2).collect();
    let words: Vec<&str> = plain.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    let words: Vec<&str> =
        words.into_iter().filter(|word| word.starts_with(|first: char| first.is_alphabetic())).collect();
    let choices = words.windows(2).filter(|pair| pair[1].starts_with(|first: char| first.is_uppercase()));
    choices.map(|pair| pair.join(": ")).collect()
}

/// One message of each kind, and more where one cannot have everything.
fn drawn() -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut runner = TestRunner::deterministic();
    let (mut found, mut seen) = (BTreeMap::<String, Vec<Vec<u8>>>::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for _ in 0..DRAWS {
        let mut message = messages::message().new_tree(&mut runner).expect("a message").current();
        if bounds::apply(&mut message).is_err() {
            continue;
        }
        let (bytes, has) = (encode(&message), features(&message));
        let kind = kind(&bytes);
        let known = seen.entry(kind.clone()).or_default();
        // What adds little would make the file long.
        if bytes.len() < 1500 && (!found.contains_key(&kind) || !has.is_subset(known)) {
            known.extend(has);
            found.entry(kind).or_default().push(bytes);
        }
    }
    found
}

#[test]
fn messages_of_the_first_release_of_this_version_are_read_and_written_as_they_were() {
    let drawn = drawn();
    let known: BTreeSet<String> = match std::fs::read_to_string(path()) {
        Ok(_) => recorded().iter().map(|bytes| kind(bytes)).collect(),
        Err(_) => BTreeSet::new(),
    };
    let missing: Vec<&String> = drawn.keys().filter(|kind| !known.contains(*kind)).collect();
    if std::env::var_os("RECORD").is_some() {
        let lines =
            missing.iter().flat_map(|kind| drawn[*kind].iter().map(move |bytes| format!("{kind} {}\n", hex(bytes))));
        let before = std::fs::read_to_string(path()).unwrap_or_default();
        std::fs::write(path(), before + &lines.collect::<String>()).expect("write");
    } else {
        assert!(missing.is_empty(), "not recorded yet: {missing:?}; write them with RECORD=1");
    }
    for bytes in recorded() {
        let kind = kind(&bytes);
        let message = decode_answer(&bytes).unwrap_or_else(|error| panic!("{kind} is not read any more: {error}"));
        assert!(encode(&message) == bytes, "{kind} is written otherwise: {message:?}");
    }
}

#[test]
fn what_older_releases_are_asked_for_is_what_they_know() {
    // Another operation, stream or outcome is nothing to a release that lacks it: it comes with another wire version.
    assert_eq!((Op::ALL.len(), Stream::ALL.len(), TaskOutcome::ALL.len()), (8, 3, 3));
}
