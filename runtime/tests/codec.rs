//! Headers survive the way to bytes and back, and no bytes whatever bring the decoder down.

mod messages;

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, TaskId};
use ipclusterz_base::release::wire_version;
use ipclusterz_runtime::wire::bounds::{self, LIST_MAX, NAME_MAX, OutOfBounds, REASON_MAX};
use ipclusterz_runtime::wire::codec::{DecodeError, HEADER_MAX, decode, encode};
use ipclusterz_runtime::wire::message::*;
use messages::message;
use proptest::collection::vec;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_survives_the_way_to_bytes_and_back_within_bounds(message in message()) {
        let bytes = encode(&message);
        let mut within = message;
        match bounds::apply(&mut within) {
            Ok(()) => {
                prop_assert_eq!(&decode(&bytes).expect("our own header"), &within);
                prop_assert_eq!(decode(&encode(&within)).expect("within bounds"), within);
            }
            Err(wrong) => {
                let found = decode(&bytes);
                prop_assert!(matches!(&found, Err(DecodeError::OutOfBounds(same)) if *same == wrong), "{:?}", found);
            }
        }
    }

    #[test]
    fn a_header_that_is_cut_short_is_refused(message in message(), cut in any::<proptest::sample::Index>()) {
        let bytes = encode(&message);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_header_with_something_behind_it_is_refused(message in message(), extra in vec(any::<u8>(), 1..20)) {
        let mut bytes = encode(&message);
        bytes.extend(extra);
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_header_of_another_version_says_which(message in message(), version in 0_u8..128) {
        prop_assume!(version != wire_version());
        let mut bytes = encode(&message);
        bytes[3] = version;
        prop_assert!(matches!(decode(&bytes), Err(DecodeError::Version(found)) if found.wire == version));
    }

    #[test]
    fn damaged_headers_are_refused_or_read_but_never_fatal(
        message in message(),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&message);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        // Whatever it is read as can be written again.
        if let Ok(message) = decode(&bytes) {
            encode(&message);
        }
    }

    #[test]
    fn random_bytes_are_never_fatal(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn a_header_longer_than_any_real_one_is_refused_unread() {
    assert!(matches!(decode(&vec![0x82; HEADER_MAX + 1]), Err(DecodeError::TooLong(..))));
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    // An abort of four billion requests, in twenty bytes.
    let mut bytes = vec![0x82, 0xa1, b'v', wire_version(), 0xa5];
    bytes.extend(b"abort");
    bytes.extend([0x82, 0xa8]);
    bytes.extend(b"requests");
    bytes.extend([0xdd, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(decode(&bytes), Err(DecodeError::Malformed(_))));
}

fn received(message: Message) -> Result<Message, DecodeError> {
    decode(&encode(&message))
}

fn hello() -> Hello {
    Hello::new(Role::Engine, "u".to_owned(), "n1".to_owned(), 1)
}

#[test]
fn a_hello_is_refused_for_what_cannot_be() {
    let long = "x".repeat(NAME_MAX + 1);
    let of = |rank, size| Some(Box::new(Rank { world: "w".to_owned(), rank, size, survives: true }));
    let impossible = [
        Hello { uuid: long.clone(), ..hello() },
        Hello { host: long.clone(), ..hello() },
        // Short, but not as it would be shown.
        Hello { host: "\u{202e}".repeat(NAME_MAX / 4), ..hello() },
        Hello { address: long, ..hello() },
        Hello { ends_in: Some(f64::NAN), ..hello() },
        Hello { ends_in: Some(-1.0), ..hello() },
        Hello { drain_before: f64::INFINITY, ..hello() },
        Hello { world: of(4, 4), ..hello() },
        Hello { world: of(0, u32::MAX), ..hello() },
    ];
    for hello in impossible {
        let found = received(Message::Hello(hello));
        assert!(matches!(found, Err(DecodeError::OutOfBounds(_))), "{found:?}");
    }
    let far = received(Message::Hello(Hello { ends_in: Some(2_f64.powi(64)), ..hello() }));
    let Ok(Message::Hello(Hello { ends_in: Some(seconds), .. })) = far else { panic!("{far:?}") };
    assert!(seconds > 3e9 && seconds < 1e10, "as good as never: {seconds}");
}

#[test]
fn names_and_reasons_are_lines_that_no_terminal_obeys() {
    let found = received(Message::Hello(Hello { host: "n1\n\x1b[2J\u{9b}\u{202e}".to_owned(), ..hello() }));
    let Ok(Message::Hello(hello)) = found else { panic!("{found:?}") };
    assert_eq!(hello.host, r"n1\n\x1b[2J\x9b\u202e");
    let how = Some(format!("\r{}", "é".repeat(REASON_MAX)));
    let found = received(Message::EngineEnded(EngineEnded { uuid: "u".to_owned(), certain: false, how }));
    let Ok(Message::EngineEnded(EngineEnded { how: Some(how), .. })) = found else { panic!("{found:?}") };
    assert!(how.starts_with(r"\ré") && how.ends_with('…') && how.len() <= REASON_MAX + 3, "{} bytes", how.len());
    let expected = EnginesExpected { coming: true, why: "job 7\n\x1b[2J".to_owned(), offers: None };
    let found = received(Message::EnginesExpected(expected.clone()));
    let Ok(Message::EnginesExpected(told)) = found else { panic!("{found:?}") };
    assert_eq!(told.why, r"job 7\n\x1b[2J");
    let found = received(Message::StatusReply(Box::new(Status { expected: Some(expected), ..Status::default() })));
    let Ok(Message::StatusReply(status)) = found else { panic!("{found:?}") };
    assert_eq!(status.expected.map(|expected| expected.why).as_deref(), Some(r"job 7\n\x1b[2J"));
}

#[test]
fn lists_and_notes_of_segments_are_bounded() {
    let engines = Some(vec![EngineId(7); LIST_MAX + 1]);
    let found = received(Message::Abort(Abort { engines, ..Abort::default() }));
    assert!(matches!(found, Err(DecodeError::OutOfBounds(OutOfBounds::List { .. }))), "{found:?}");
    for frames in [[1, 1], [1, 0]] {
        let segments = frames.map(|frame| SegmentNote { frame, length: 1 }).to_vec();
        let (id, outcome) = (TaskId(1), TaskOutcome::Ok);
        let found = received(Message::Result(TaskResult {
            id,
            outcome,
            started: 0.0,
            completed: 0.0,
            segments,
            standing: None,
            again: false,
        }));
        assert!(matches!(found, Err(DecodeError::OutOfBounds(OutOfBounds::Segments))), "{found:?}");
    }
}

#[test]
fn times_are_moved_to_where_calendars_have_them() {
    for (told, kept) in [(f64::NAN, 0.0), (-5.0, 0.0), (f64::INFINITY, 253_402_300_799.0), (7.5, 7.5)] {
        let (id, outcome) = (TaskId(1), TaskOutcome::Ok);
        let result =
            TaskResult { id, outcome, started: told, completed: told, segments: vec![], standing: None, again: false };
        let Ok(Message::Result(found)) = received(Message::Result(result)) else { panic!("{told}") };
        assert_eq!((found.started, found.completed), (kept, kept));
    }
}
