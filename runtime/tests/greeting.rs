//! What two sides of different wire versions say to each other, as bytes: these never change.

use ipclusterz_base::connection::{ConnectionFile, Role};
use ipclusterz_base::release::{self, wire_version};
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::limits::Limits;
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::Route;
use ipclusterz_runtime::wire::codec::{DecodeError, decode, encode};
use ipclusterz_runtime::wire::greeting::{Foreign, Introduction, Said};
use ipclusterz_runtime::wire::message::{Hello, Message, Refused};
use std::path::Path;
use std::time::Duration;

/// `{"v": version, kind: fields}`: texts, and numbers up to 127.
fn header(version: u8, kind: &str, fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0x82, 0xa1, b'v', version];
    bytes.extend(text(kind));
    bytes.push(0x80 | u8::try_from(fields.len()).expect("few"));
    for (name, value) in fields {
        bytes.extend(text(name));
        bytes.extend(*value);
    }
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0xd9, u8::try_from(text.len()).expect("short")];
    bytes.extend(text.as_bytes());
    bytes
}

fn heard(bytes: &[u8]) -> Foreign {
    match decode(bytes) {
        Err(DecodeError::Version(foreign)) => *foreign,
        other => panic!("{other:?}"),
    }
}

/// What a controller answers to these bytes.
fn answer_to(bytes: &[u8]) -> Refused {
    let identity = Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: None };
    let mut core = Core::new(identity, Limits::default(), Oracle::new(|| "token".to_owned(), |_, _| None));
    let foreign = Box::new(heard(bytes));
    let actions = core.handle(Event::OtherVersion { route: Route(7), foreign }, Duration::ZERO);
    let mut sent = actions.into_iter().filter_map(|action| match action {
        Action::Send { route: Route(7), message: Message::Refused(refused), .. } => Some(refused),
        _ => None,
    });
    sent.next().expect("an answer")
}

#[test]
fn a_newer_peer_is_refused_in_words_that_name_both_and_say_what_to_install() {
    let list = [0x91, 0x01];
    let hello = header(
        99,
        "hello",
        &[
            ("futures", &list),
            ("role", &text("client")),
            ("host", &text("laptop")),
            ("pid", &[0x07]),
            ("release", &text("9.8.7")),
        ],
    );
    let Refused { reason, hint } = answer_to(&hello);
    let own = release::number();
    assert_eq!(
        reason,
        format!(
            "this client on laptop is ipclusterz 9.8.7 with wire version 99, and the controller on n1 is ipclusterz {own} with \
             wire version {}: they do not understand each other",
            wire_version()
        )
    );
    let advice = format!(
        "install ipclusterz {own} where this client runs (laptop); or 9.8.7 where the cluster is started (n1), and start the \
         cluster again"
    );
    assert_eq!(hint, Some(advice));
}

#[test]
fn a_peer_that_says_less_is_refused_too() {
    let nothing = header(0, "hello", &[]);
    for bytes in
        [&nothing, &header(98, "greetings", &[]), &header(2, "hello", &[("host", &[0xc0])]), &nothing[..4].to_vec()]
    {
        let Refused { reason, hint } = answer_to(bytes);
        assert!(reason.starts_with("this peer is ipclusterz with wire version "), "{reason}");
        let hint = hint.expect("a hint");
        assert!(hint.starts_with("install the same ipclusterz where this peer runs and where the cluster"), "{hint}");
    }
}

/// What an engine on n2 learns from bytes of the controller of `release` on n1.
fn learnt(bytes: &[u8], release: Option<&str>) -> Refused {
    let text = r#"{"version": 1, "role": "engine", "cluster": "a", "run_id": "1", "host": "n1", "addresses": []}"#;
    let mut file = ConnectionFile::parse(text, Path::new("engine.json")).expect("a connection file");
    file.release = release.map(str::to_owned);
    heard(bytes).answer(&Hello::new(Role::Engine, "u".to_owned(), "n2".to_owned(), 1), &file, "tcp://n1:1")
}

#[test]
fn a_refusal_of_any_version_is_shown_with_its_advice() {
    let (reason, hint) = (text("too old\u{1b}[2J"), text("update"));
    let bytes = header(77, "refused", &[("code", &[0x03]), ("reason", &reason), ("hint", &hint)]);
    let Refused { reason, hint } = learnt(&bytes, None);
    assert!(reason.starts_with("tcp://n1:1 refused this peer: too old"), "{reason}");
    assert!(!reason.contains('\u{1b}'), "{reason:?}");
    assert_eq!(hint.as_deref(), Some("update"));
}

#[test]
fn without_advice_there_is_some_all_the_same() {
    let no = header(77, "refused", &[("reason", &text("no"))]);
    let same = "install the same ipclusterz where this engine runs (n2) and where the cluster is started (n1), and start the \
                cluster again";
    assert_eq!(learnt(&no, None).hint.as_deref(), Some(same));
    let own = release::number();
    let both = format!(
        "install ipclusterz 9.8.7 where this engine runs (n2); or {own} where the cluster is started (n1), and start the \
         cluster again"
    );
    assert_eq!(learnt(&no, Some("9.8.7")).hint, Some(both));
    let Refused { reason, .. } = learnt(&header(77, "welcome", &[]), None);
    assert!(reason.starts_with("tcp://n1:1 answers in another protocol: wire version 77, and this side"), "{reason}");
}

#[test]
fn every_version_reads_what_this_one_says() {
    // As a later version reads it: by the names alone.
    let hello = Hello::new(Role::Engine, "u".to_owned(), "n2".to_owned(), 5);
    let mut bytes = encode(&Message::Hello(hello));
    assert_eq!(bytes[..4], [0x82, 0xa1, b'v', wire_version()]);
    bytes[3] = 120;
    let release = release::number().to_owned();
    let expected = Introduction { role: "engine".to_owned(), host: "n2".to_owned(), pid: 5, release };
    assert_eq!(heard(&bytes), Foreign { wire: 120, said: Said::Hello(expected) });
    let refused = Refused { reason: "no".to_owned(), hint: Some("do".to_owned()) };
    let mut bytes = encode(&Message::Refused(refused.clone()));
    bytes[3] = 120;
    assert_eq!(heard(&bytes).said, Said::Refused(refused));
    // And byte by byte.
    let bytes = encode(&Message::Refused(Refused { reason: "no".to_owned(), hint: Some("do".to_owned()) }));
    let expected = b"\x82\xa1v\x01\xa7refused\x82\xa6reason\xa2no\xa4hint\xa2do";
    assert_eq!(bytes[4..], expected[4..]);
}

#[test]
fn fields_of_a_newer_release_of_the_same_version_are_passed_over() {
    let hello = |extra: &[(&str, &[u8])]| {
        let (role, uuid, host) = (text("engine"), text("u"), text("n2"));
        let mut fields: Vec<(&str, &[u8])> = vec![("role", &role), ("uuid", &uuid), ("host", &host), ("pid", &[0x05])];
        fields.extend([("wanted_id", &[0xc0][..]), ("shared_memory", &[0xc2])]);
        fields.extend(extra);
        decode(&header(wire_version(), "hello", &fields))
    };
    let plain = hello(&[]).expect("a hello");
    // A map in a list in a map.
    let unknown = [0x81, 0xa1, b'a', 0x91, 0x81, 0xa1, b'b', 0xc3];
    assert_eq!(hello(&[("new", &unknown)]).expect("a hello"), plain);
    let refused = decode(&header(wire_version(), "teleport", &[])).expect_err("nothing that is known");
    assert!(refused.to_string().contains("unknown variant `teleport`"), "{refused}");
}
