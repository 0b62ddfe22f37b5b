//! Headers survive the way to bytes and back, and no bytes whatever bring the decoder down.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_base::logs::LogLimit;
use ipclusterz_runtime::wire::codec::{DecodeError, HEADER_MAX, decode, encode};
use ipclusterz_runtime::wire::message::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn engine_id() -> impl Strategy<Value = EngineId> {
    any::<u32>().prop_map(EngineId)
}

fn engines() -> impl Strategy<Value = Vec<EngineId>> {
    vec(engine_id(), 0..20)
}

fn tasks() -> impl Strategy<Value = Vec<TaskId>> {
    vec(any::<u64>().prop_map(TaskId), 0..20)
}

fn segments() -> impl Strategy<Value = Vec<SegmentNote>> {
    vec(any::<(u32, u64)>().prop_map(|(frame, length)| SegmentNote { frame, length }), 0..4)
}

fn function() -> impl Strategy<Value = Option<FunctionName>> {
    option::of(any::<[u8; 16]>().prop_map(FunctionName))
}

fn op() -> impl Strategy<Value = Op> {
    proptest::sample::select(Op::ALL.to_vec())
}

fn stream() -> impl Strategy<Value = Stream> {
    proptest::sample::select(Stream::ALL.to_vec())
}

fn info() -> impl Strategy<Value = EngineInfo> {
    (engine_id(), ".*", ".*", any::<u32>(), ".*").prop_map(|(id, uuid, host, pid, address)| EngineInfo {
        id,
        uuid,
        host,
        pid,
        address,
    })
}

fn counts() -> impl Strategy<Value = Counts> {
    any::<(u64, u64)>().prop_map(|(control, data)| Counts { control, data })
}

/// A finite time: NaN is not equal to itself.
fn time() -> impl Strategy<Value = f64> {
    -1e18..1e18
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![
        engines().prop_map(Placement::Engines),
        (any::<u32>(), option::of(engines()), option::of(time()))
            .prop_map(|(retries, engines, duration)| Placement::Balanced { retries, engines, duration }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::Error),
        Just(Outcome::Aborted),
        ".*".prop_map(Outcome::Lost),
        ".*".prop_map(Outcome::Rejected),
        ".*".prop_map(Outcome::RankLost),
    ]
}

fn handshake() -> impl Strategy<Value = Message> {
    let role = proptest::sample::select(vec![Role::Client, Role::Engine]);
    let hello = (role, ".*", ".*", any::<u32>(), option::of(engine_id()), any::<bool>());
    let reached = (".*", any::<bool>(), option::of(time()), time());
    let window = any::<(u64, u64, u64)>();
    let welcome = (any::<u64>(), ".*", option::of(engine_id()), vec(info(), 0..5), window);
    let session = (time(), option::of(counts()));
    let resume = option::of((any::<u64>(), ".*", counts()));
    prop_oneof![
        (hello, reached, resume).prop_map(|(hello, (address, forwarded, ends_in, drain_before), resume)| {
            let (role, uuid, host, pid, wanted_id, shared_memory) = hello;
            let mut hello = Hello { wanted_id, shared_memory, address, ..Hello::new(role, uuid, host, pid) };
            (hello.forwarded, hello.ends_in, hello.drain_before) = (forwarded, ends_in, drain_before);
            hello.resume = resume.map(|(peer, token, received)| Resume { peer: PeerId(peer), token, received });
            Message::Hello(hello)
        }),
        (welcome, session).prop_map(|((peer, token, engine_id, engines, window), (grace, resumed))| {
            let (peer, (replies, bytes, request_bytes)) = (PeerId(peer), window);
            let window = Window { replies, bytes, request_bytes };
            let log = engine_id.map(|_| LogLimit { bytes: u64::MAX, files: 2 });
            Message::Welcome(Welcome { peer, token, engine_id, engines, window, grace, resumed, log })
        }),
        ".*".prop_map(|reason| Message::Refused(Refused { reason })),
        (any::<u64>(), ".*").prop_map(|(peer, token)| Message::Attach(Attach { peer: PeerId(peer), token })),
        Just(Message::Attached(Empty {})),
    ]
}

fn work() -> impl Strategy<Value = Message> {
    let request =
        (any::<u64>(), placement(), op(), function(), any::<bool>(), segments(), any::<bool>(), option::of(".*"));
    let group = option::of(any::<(u64, Vec<u32>)>());
    let task = (any::<u64>(), op(), function(), segments(), group);
    let ending = proptest::sample::select(TaskOutcome::ALL.to_vec());
    let result = (any::<u64>(), ending, time(), time(), segments());
    let reply = (any::<(u64, u32)>(), option::of(engine_id()), outcome(), time(), time(), segments());
    prop_oneof![
        request.prop_map(|(id, placement, op, function, carries_function, segments, collective, keep)| {
            let id = RequestId(id);
            Message::Request(Request { id, placement, op, function, carries_function, segments, collective, keep })
        }),
        task.prop_map(|(id, op, function, segments, group)| {
            let group = group.map(|(epoch, ranks)| Group { epoch, ranks });
            Message::Task(Task { id: TaskId(id), op, function, segments, group, client: PeerId(7) })
        }),
        result.prop_map(|(id, outcome, started, completed, segments)| {
            Message::Result(TaskResult { id: TaskId(id), outcome, started, completed, segments })
        }),
        reply.prop_map(|((request, position), engine, outcome, started, completed, segments)| {
            let request = RequestId(request);
            Message::Reply(Reply { request, position, engine, outcome, started, completed, segments })
        }),
        any::<u64>().prop_map(|task| Message::NeedFunction(NeedFunction { task: TaskId(task) })),
        any::<[u8; 16]>().prop_map(|hash| Message::Function(FunctionCode { function: FunctionName(hash) })),
        vec(any::<[u8; 16]>().prop_map(FunctionName), 0..5)
            .prop_map(|functions| Message::ForgetFunctions(ForgetFunctions { functions })),
        (tasks(), tasks()).prop_map(|(tasks, interrupt)| Message::Recall(Recall { tasks, interrupt })),
        (tasks(), tasks()).prop_map(|(returned, kept)| Message::Recalled(Recalled { returned, kept })),
        any::<(u64, u32)>()
            .prop_map(|(request, position)| { Message::Started(Started { request: RequestId(request), position }) }),
    ]
}

fn activity() -> impl Strategy<Value = Activity> {
    (any::<bool>(), ".*", ".*").prop_map(|(busy, stack, calls)| Activity { busy, stack, calls })
}

fn broken() -> impl Strategy<Value = Broken> {
    (".*", any::<u64>(), ".*", any::<bool>()).prop_map(|(comm, epoch, reason, at_once)| Broken {
        comm,
        epoch,
        reason,
        at_once,
    })
}

fn world_status() -> impl Strategy<Value = WorldStatus> {
    (".*", any::<(u32, u32, u64, bool)>(), option::of(".*"), option::of(".*")).prop_map(
        |(name, (rank, size, epoch, formed), reason, hook_error)| WorldStatus {
            name,
            rank,
            size,
            epoch,
            formed,
            reason,
            hook_error,
        },
    )
}

fn control() -> impl Strategy<Value = Message> {
    let requests = option::of(vec(any::<u64>().prop_map(RequestId), 0..20));
    let status = (
        ".*",
        any::<(u32, u32, u64, u64, u64, u64)>(),
        time(),
        vec((info(), ".*", any::<(u64, u64, u64)>(), time(), option::of(time()), option::of(world_status())), 0..4),
        vec((info(), ".*", time()), 0..4),
    );
    prop_oneof![
        (any::<u64>(), any::<u64>(), stream()).prop_map(|(task, client, stream)| {
            Message::Output(Output { task: TaskId(task), client: PeerId(client), stream })
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(client, bytes)| Message::OutputTaken(OutputTaken {
            client: PeerId(client),
            bytes,
            full: bytes % 2 == 0
        })),
        (any::<(u64, u32, u32)>(), stream()).prop_map(|((request, position, engine), stream)| {
            let (request, engine) = (RequestId(request), EngineId(engine));
            Message::RequestOutput(RequestOutput { request, position, engine, stream })
        }),
        (requests, option::of(engines()), any::<(bool, bool)>()).prop_map(
            |(requests, engines, (all_clients, interrupt))| Message::Abort(Abort {
                requests,
                engines,
                all_clients,
                interrupt
            })
        ),
        option::of(engines()).prop_map(|engines| Message::Interrupt(Targets { engines })),
        option::of(engines()).prop_map(|engines| Message::Shutdown(Targets { engines })),
        engines().prop_map(|engines| Message::Retire(EngineList { engines })),
        (any::<(u64, u64)>(), counts()).prop_map(|((replies, bytes), messages)| Message::Ack(Ack {
            replies,
            bytes,
            messages,
            output: bytes / 2,
            full: bytes % 2 == 0,
        })),
        counts().prop_map(Message::Received),
        ".*".prop_map(|reason| Message::Goodbye(Goodbye { reason })),
        info().prop_map(Message::EngineJoined),
        (engine_id(), ".*", any::<bool>()).prop_map(|(id, reason, more)| Message::EngineLeft(EngineLeft {
            id,
            reason,
            more
        })),
        (".*", option::of(".*")).prop_map(|(uuid, how)| Message::EngineEnded(EngineEnded { uuid, how })),
        Just(Message::StatusRequest(Empty {})),
        any::<u64>().prop_map(|resident_bytes| Message::Usage(Usage { resident_bytes })),
        (any::<u64>(), ".*").prop_map(|(epoch, reason)| Message::EpochOver(EpochOver { epoch, reason })),
        (any::<u64>(), option::of(any::<u64>().prop_map(PeerId)), engines(), option::of(broken()))
            .prop_map(|(number, asker, engines, broken)| Message::Inspect(Inspect { number, asker, engines, broken })),
        (any::<u64>(), option::of(any::<u64>().prop_map(PeerId)), option::of(engine_id()), option::of(activity()))
            .prop_map(|(number, asker, engine, activity)| {
                Message::Inspected(Inspected { number, asker, engine, activity })
            }),
        status.prop_map(
            |(cluster, (pid, clients, pending, held_bytes, rejected, resident_bytes), uptime, engines, losses)| {
                let engines = engines.into_iter().map(
                    |(info, state, (queue, completed, resident_bytes), uptime, ends_in, world)| {
                        let EngineInfo { id, uuid, host, pid, address } = info;
                        EngineStatus {
                            id,
                            uuid,
                            host,
                            pid,
                            address,
                            state,
                            queue,
                            completed,
                            resident_bytes,
                            uptime,
                            ends_in,
                            world,
                        }
                    },
                );
                let engines = engines.collect();
                let losses = losses.into_iter().map(|(info, how, seconds_ago)| {
                    let EngineInfo { id, uuid, host, pid, .. } = info;
                    EngineLoss { id, uuid, host, pid, how, seconds_ago }
                });
                let losses = losses.collect();
                Message::StatusReply(Box::new(Status {
                    cluster,
                    pid,
                    uptime,
                    clients,
                    pending,
                    held_bytes,
                    rejected,
                    resident_bytes,
                    engines,
                    losses,
                }))
            }
        ),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![handshake(), work(), control()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_survives_the_way_to_bytes_and_back(message in message()) {
        let bytes = encode(&message);
        prop_assert_eq!(decode(&bytes).expect("our own header"), message);
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
        prop_assume!(version != WIRE_VERSION);
        let mut bytes = encode(&message);
        bytes[3] = version;
        prop_assert!(matches!(decode(&bytes), Err(DecodeError::Version(found)) if found == version));
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
    assert!(matches!(decode(&vec![0x82; HEADER_MAX + 1]), Err(DecodeError::TooLong(_))));
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    // An abort of four billion requests, in twenty bytes.
    let mut bytes = vec![0x82, 0xa1, b'v', WIRE_VERSION, 0xa5];
    bytes.extend(b"abort");
    bytes.extend([0x82, 0xa8]);
    bytes.extend(b"requests");
    bytes.extend([0xdd, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(decode(&bytes), Err(DecodeError::Malformed(_))));
}
