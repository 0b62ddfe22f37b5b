//! Messages of every kind, with anything in them: for the decoder, and as what a hostile peer says.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_base::logs::LogLimit;
use ipclusterz_base::process::{Birth, Table};
use ipclusterz_runtime::wire::message::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Of something that may be there, of nothing, or the first and last of all.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..12_u64, 1 => Just(u64::MAX), 1 => Just(1 << 63), 1 => any::<u64>()]
}

/// The same.
fn short() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0..6_u32, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

fn engine_id() -> impl Strategy<Value = EngineId> {
    short().prop_map(EngineId)
}

fn engines() -> impl Strategy<Value = Vec<EngineId>> {
    vec(engine_id(), 0..20)
}

fn tasks() -> impl Strategy<Value = Vec<TaskId>> {
    vec(number().prop_map(TaskId), 0..20)
}

fn segments() -> impl Strategy<Value = Vec<SegmentNote>> {
    let notes = proptest::collection::btree_map(short(), number(), 0..4);
    notes.prop_map(|notes| notes.into_iter().map(|(frame, length)| SegmentNote { frame, length }).collect())
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
    (engine_id(), ".*", ".*", short(), ".*", birth()).prop_map(|(id, uuid, host, pid, address, birth)| EngineInfo {
        id,
        uuid,
        host,
        pid,
        address,
        birth,
    })
}

fn birth() -> impl Strategy<Value = Option<Birth>> {
    option::of((((number(), number()), number()), number()).prop_map(|((boot, namespace), start_time)| {
        let table = Table { boot, namespace };
        Birth { table, start_time }
    }))
}

fn counts() -> impl Strategy<Value = Counts> {
    (number(), number()).prop_map(|(control, data)| Counts { control, data })
}

/// A finite time: NaN is not equal to itself.
fn time() -> impl Strategy<Value = f64> {
    -1e18..1e18
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![
        engines().prop_map(Placement::Engines),
        (short(), option::of(engines()), option::of(time()))
            .prop_map(|(retries, engines, duration)| Placement::Balanced { retries, engines, duration }),
    ]
}

fn resources() -> impl Strategy<Value = Resources> {
    let amounts = proptest::collection::btree_map("[a-z]{1,4}", number().prop_map(Amount), 0..3);
    let tags = proptest::collection::btree_set("[a-z]{1,4}", 0..3);
    (amounts, tags).prop_map(|(amounts, tags)| Resources { amounts, tags })
}

fn fate() -> impl Strategy<Value = Fate> {
    use Fate::*;
    proptest::sample::select(vec![Ok, Error, Aborted, Lost, Rejected, RankLost, Impossible, TimedOut])
}

fn dependency() -> impl Strategy<Value = Dependency> {
    let task = (option::of("[0-9a-f]{8}"), number(), short()).prop_map(|(session, request, position)| TaskRef {
        session,
        request: RequestId(request),
        position,
    });
    let ended = option::of((fate(), option::of(engine_id()), any::<bool>()).prop_map(|(fate, engine, gone)| Ended {
        fate,
        engine,
        gone,
    }));
    let parents = vec((task, 1..4_u32, ended).prop_map(|(task, count, ended)| Parent { task, count, ended }), 0..4);
    (parents, any::<(bool, bool, bool)>()).prop_map(|(on, (all, success, failure))| Dependency {
        on,
        all,
        success,
        failure,
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let times = (option::of(time()), option::of(time()), option::of(time()));
    let waits = (option::of(dependency()), option::of(dependency()));
    (prop_oneof![Just(0), any::<i32>()], waits, times, option::of(short()), resources()).prop_map(
        |(priority, (after, follow), (timeout, time_limit, retry_delay), crash_limit, needs)| Terms {
            priority,
            after,
            follow,
            timeout,
            time_limit,
            retry_delay,
            crash_limit,
            needs,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::Error),
        Just(Outcome::Aborted),
        ".*".prop_map(Outcome::Lost),
        ".*".prop_map(Outcome::Rejected),
        ".*".prop_map(Outcome::RankLost),
        ".*".prop_map(Outcome::Impossible),
        ".*".prop_map(Outcome::TimedOut),
    ]
}

fn refused() -> impl Strategy<Value = Refused> {
    (".*", option::of(".*")).prop_map(|(reason, hint)| Refused { reason, hint })
}

fn of_session() -> impl Strategy<Value = OfSession> {
    (".+", ".*", number(), option::of(".+")).prop_map(|(name, id, last_request, taken_from)| {
        let last_request = RequestId(last_request);
        OfSession { name, id, last_request, taken_from }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let requests = option::of(vec(number().prop_map(RequestId), 0..5));
    let others = (option::of(time()), option::of(".*"), option::of(number()));
    (option::of(".*"), requests, vec(".*", 0..3), others).prop_map(
        |(session, requests, states, (since, name, limit))| Filter { session, requests, states, since, name, limit },
    )
}

fn part_of_map() -> impl Strategy<Value = PartOfMap> {
    let part = |(head, elements, of)| PartOfMap { head: RequestId(head), elements, of };
    (number(), number(), option::of(number())).prop_map(part)
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (any::<u32>(), number()).prop_map(|(start, number)| Cursor { start, number })
}

fn events_found() -> impl Strategy<Value = EventsFound> {
    (cursor(), any::<bool>(), number()).prop_map(|(next, anew, missed)| EventsFound { next, anew, missed })
}

fn history() -> impl Strategy<Value = Message> {
    let results = (".*", vec(number().prop_map(RequestId), 0..5));
    let ask =
        prop_oneof![
            Just(Ask::Sessions),
            filter().prop_map(Ask::Tasks),
            ".*".prop_map(|session| Ask::Submissions { session }),
            results.prop_map(|(session, requests)| Ask::Results { session, requests }),
            filter().prop_map(Ask::Purge),
            (".*", vec(number().prop_map(RequestId), 0..5), option::of(engine_id()))
                .prop_map(|(session, requests, engine)| Ask::Explain { session, requests, engine }),
            (option::of(cursor()), option::of(time()), time())
                .prop_map(|(after, since, wait)| Ask::Events(AskEvents { after, since, wait })),
        ];
    let session = (".*", ".*", any::<(bool, bool, u32, u64)>(), ".*", option::of(time())).prop_map(
        |(name, id, (named, connected, pid, open), host, ends_in)| SessionRecord {
            name,
            id,
            named,
            connected,
            host,
            pid,
            open,
            ends_in,
        },
    );
    let texts = (".*", ".*", ".*", ".*");
    let times = (time(), time(), time());
    let task = (texts, option::of(engine_id()), times, option::of(number()), option::of(".*")).prop_map(
        |((session, id, name, state), engine, (submitted, started, completed), kept_bytes, why)| TaskRecord {
            session,
            id,
            name,
            state,
            engine,
            submitted,
            started,
            completed,
            kept_bytes,
            waits: why.iter().cloned().collect(),
            fits: kept_bytes.is_some(),
            why,
        },
    );
    let about = option::of(vec(any::<u8>(), 0..20));
    let request = (any::<(u64, u32, u32, u64)>(), op(), ".*", about, time(), option::of(engines())).prop_map(
        |((request, count, done, part), op, name, about, submitted, targets)| RequestRecord {
            request: RequestId(request),
            count,
            done,
            part,
            op,
            name,
            about: about.map(Into::into),
            submitted,
            targets,
        },
    );
    let found = (number(), option::of(".*"), vec(session, 0..3), vec(task, 0..3), vec(request, 0..3), number());
    let reply = ((number(), short()), option::of(engine_id()), outcome(), time(), time());
    let kept = (number(), reply, option::of(".*"), vec((engine_id(), stream(), ".*"), 0..3), option::of(".*"));
    prop_oneof![
        (number(), ask).prop_map(|(number, ask)| Message::Query(Query { number, ask })),
        (found, option::of(events_found())).prop_map(|((number, error, sessions, tasks, requests, purged), events)| {
            Message::Found(Found { number, error, sessions, tasks, requests, purged, events })
        }),
        kept.prop_map(|(number, reply, engine_uuid, output, dropped)| {
            let ((request, position), engine, outcome, started, completed) = reply;
            let (request, segments) = (RequestId(request), vec![]);
            let reply = Reply { request, position, engine, outcome, started, completed, segments };
            Message::Kept(Box::new(Kept { number, reply, engine_uuid, output, dropped }))
        }),
    ]
}

fn handshake() -> impl Strategy<Value = Message> {
    let role = proptest::sample::select(vec![Role::Client, Role::Engine]);
    let hello = (role, ".*", ".*", short(), option::of(engine_id()), any::<bool>());
    let reached = (".*", any::<bool>(), option::of(time()), (time(), time()), option::of(".*"), option::of(".*"));
    let window = (number(), number(), number());
    let welcome = (number(), ".*", option::of(engine_id()), vec(info(), 0..5), window);
    let session = (time(), option::of(counts()), option::of(counts()), option::of(of_session()));
    let resume = option::of((number(), ".*", counts()));
    prop_oneof![
        (hello, reached, resume, birth()).prop_map(|(hello, reached, resume, birth)| {
            let (address, forwarded, ends_in, (drain_before, lease), release, session) = reached;
            let (role, uuid, host, pid, wanted_id, shared_memory) = hello;
            let mut hello = Hello { wanted_id, shared_memory, address, ..Hello::new(role, uuid, host, pid) };
            (hello.forwarded, hello.ends_in, hello.drain_before) = (forwarded, ends_in, drain_before);
            hello.through_ssh = forwarded && shared_memory;
            hello.resume = resume.map(|(peer, token, received)| Resume { peer: PeerId(peer), token, received });
            (hello.birth, hello.lease, hello.session) = (birth, lease, session);
            hello.release = release;
            hello.group.clone_from(&hello.session);
            hello.user.clone_from(&hello.session);
            hello.offers.amounts.extend((lease > 0.0).then(|| ("gpus".to_owned(), Amount(pid.into()))));
            Message::Hello(hello)
        }),
        (welcome, session).prop_map(
            |((peer, token, engine_id, engines, window), (grace, resumed, counted, session))| {
                let (peer, (replies, bytes, request_bytes)) = (PeerId(peer), window);
                let window = Window { replies, bytes, request_bytes };
                let log = engine_id.map(|_| LogLimit { bytes: u64::MAX, files: 2 });
                Message::Welcome(Welcome {
                    peer,
                    token,
                    engine_id,
                    engines,
                    window,
                    grace,
                    resumed,
                    counted,
                    session,
                    log,
                    terms: grace > 4.0,
                    events: grace > 5.0,
                    bulk: (grace > 1.0).then(|| Bulk::new(&[7; 16], &[9; 32], grace > 2.0, grace < 3.0)),
                })
            }
        ),
        refused().prop_map(Message::Refused),
        refused().prop_map(Message::Crowded),
        (number(), ".*").prop_map(|(peer, token)| Message::Attach(Attach { peer: PeerId(peer), token })),
        Just(Message::Attached(Empty {})),
    ]
}

fn work() -> impl Strategy<Value = Message> {
    let request = (number(), placement(), op(), function(), any::<bool>(), segments(), any::<bool>(), option::of(".*"));
    let label = (option::of(".*"), option::of(vec(any::<u8>(), 0..30)), number());
    let request = (request, option::of(time()), label, (option::of(terms()), option::of(part_of_map())));
    let group = option::of((any::<(u64, Vec<u32>)>(), option::of(time()), number(), option::of(number())));
    let task = (number(), op(), function(), segments(), group);
    let ending = proptest::sample::select(TaskOutcome::ALL.to_vec());
    let result = (number(), ending, time(), time(), segments(), option::of(standing()));
    let left = (number(), engine_id(), short(), departure());
    let settled = (number(), option::of(broken()), number());
    let reply = ((number(), short()), option::of(engine_id()), outcome(), time(), time(), segments());
    prop_oneof![
        request.prop_map(|(request, timeout, (name, about, part), (terms, map))| {
            let (id, placement, op, function, carries_function, segments, collective, keep) = request;
            let (id, about) = (RequestId(id), about.map(Into::into));
            Message::Request(Request {
                id,
                placement,
                op,
                function,
                carries_function,
                segments,
                collective,
                timeout,
                keep,
                name,
                about,
                part,
                terms: terms.map(Box::new),
                map,
            })
        }),
        left.prop_map(|(task, engine, rank, departure)| {
            Message::Left(Left { task: TaskId(task), engine, rank, departure })
        }),
        settled.prop_map(|(task, broken, renewal)| Message::Settled(Settled { task: TaskId(task), broken, renewal })),
        task.prop_map(|(id, op, function, segments, group)| {
            let group = group.map(|((epoch, ranks), timeout, renewal, behind)| Group {
                epoch,
                ranks,
                timeout,
                renewal,
                behind: behind.map(TaskId),
            });
            let needs = Resources::default();
            Message::Task(Task { id: TaskId(id), op, function, segments, group, client: PeerId(7), needs })
        }),
        result.prop_map(|(id, outcome, started, completed, segments, standing)| {
            Message::Result(TaskResult {
                id: TaskId(id),
                outcome,
                started,
                completed,
                segments,
                standing,
                again: false,
            })
        }),
        reply.prop_map(|((request, position), engine, outcome, started, completed, segments)| {
            let request = RequestId(request);
            Message::Reply(Reply { request, position, engine, outcome, started, completed, segments })
        }),
        number().prop_map(|task| Message::NeedFunction(NeedFunction { task: TaskId(task) })),
        any::<[u8; 16]>().prop_map(|hash| Message::Function(FunctionCode { function: FunctionName(hash) })),
        vec(any::<[u8; 16]>().prop_map(FunctionName), 0..5)
            .prop_map(|functions| Message::ForgetFunctions(ForgetFunctions { functions })),
        (tasks(), tasks(), tasks()).prop_map(|(tasks, interrupt, kill)| Message::Recall(Recall {
            tasks,
            interrupt,
            kill
        })),
        (tasks(), tasks()).prop_map(|(returned, kept)| Message::Recalled(Recalled { returned, kept })),
        (number(), short())
            .prop_map(|(request, position)| { Message::Started(Started { request: RequestId(request), position }) }),
    ]
}

fn departure() -> impl Strategy<Value = Departure> {
    (".*", ".*").prop_map(|(why, entered)| Departure { why, entered })
}

fn standing() -> impl Strategy<Value = Standing> {
    (".*", option::of(number()), option::of(departure())).prop_map(|(comm, entered, departure)| Standing {
        comm,
        entered,
        departure,
    })
}

fn activity() -> impl Strategy<Value = Activity> {
    (any::<bool>(), time(), ".*", ".*", any::<bool>()).prop_map(|(busy, seconds, stack, calls, signalled)| Activity {
        busy,
        seconds,
        stack,
        calls,
        signalled,
    })
}

fn broken() -> impl Strategy<Value = Broken> {
    (".*", number(), ".*", any::<bool>()).prop_map(|(comm, epoch, reason, at_once)| Broken {
        comm,
        epoch,
        reason,
        at_once,
    })
}

fn world_status() -> impl Strategy<Value = WorldStatus> {
    (".*", any::<(u32, u32, u64, bool)>(), option::of(".*"), option::of(time()), option::of(".*")).prop_map(
        |(name, (rank, size, epoch, formed), reason, held_up, hook_error)| WorldStatus {
            name,
            rank,
            size,
            epoch,
            formed,
            reason,
            held_up,
            hook_error,
        },
    )
}

fn control() -> impl Strategy<Value = Message> {
    let requests = option::of(vec(number().prop_map(RequestId), 0..20));
    let status = (
        ".*",
        any::<(u32, u32, u64, u64, u64, u64)>(),
        time(),
        vec(
            (info(), ".*", (number(), number(), number()), time(), option::of(time()), option::of(world_status())),
            0..4,
        ),
        vec((info(), ".*", time()), 0..4),
    );
    prop_oneof![
        (number(), number(), stream()).prop_map(|(task, client, stream)| {
            Message::Output(Output { task: TaskId(task), client: PeerId(client), stream })
        }),
        (number(), number(), any::<bool>()).prop_map(|(client, bytes, full)| {
            Message::OutputTaken(OutputTaken { client: PeerId(client), bytes, full })
        }),
        ((number(), short(), short()), stream()).prop_map(|((request, position, engine), stream)| {
            let (request, engine) = (RequestId(request), EngineId(engine));
            Message::RequestOutput(RequestOutput { request, position, engine, stream })
        }),
        (requests, option::of(engines()), any::<(bool, bool, bool, bool)>(), option::of(".*")).prop_map(
            |(requests, engines, (all_clients, interrupt, force, claim), session)| Message::Abort(Abort {
                requests,
                engines,
                all_clients,
                interrupt,
                session,
                force,
                claim
            })
        ),
        ((number(), short()), fate(), option::of(engine_id())).prop_map(|((request, position), fate, engine)| {
            Message::Fulfilled(Fulfilled { request: RequestId(request), position, fate, engine })
        }),
        option::of(engines()).prop_map(|engines| Message::Interrupt(Targets { engines })),
        option::of(engines()).prop_map(|engines| Message::Shutdown(Targets { engines })),
        engines().prop_map(|engines| Message::Retire(EngineList { engines })),
        (number(), counts(), any::<bool>()).prop_map(|(replies, messages, full)| Message::Ack(Ack {
            replies,
            messages,
            full
        })),
        counts().prop_map(Message::Received),
        (".*", any::<bool>()).prop_map(|(reason, taken)| Message::Goodbye(Goodbye { reason, taken })),
        info().prop_map(Message::EngineJoined),
        (engine_id(), ".*", any::<bool>()).prop_map(|(id, reason, more)| Message::EngineLeft(EngineLeft {
            id,
            reason,
            more
        })),
        (engine_id(), option::of((number(), number(), any::<bool>())), any::<bool>()).prop_map(|(id, away, hangs)| {
            let away = away.map(|(seconds, left, silent)| Away { seconds, left, silent });
            Message::EngineAway(EngineAway { id, away, hangs })
        }),
        (".*", option::of(".*"), any::<bool>()).prop_map(|(uuid, how, certain)| Message::EngineEnded(EngineEnded {
            uuid,
            how,
            certain
        })),
        (any::<bool>(), ".*", option::of(vec(resources(), 0..3)))
            .prop_map(|(coming, why, offers)| Message::EnginesExpected(EnginesExpected { coming, why, offers })),
        Just(Message::StatusRequest(Empty {})),
        (number(), time(), time()).prop_map(|(resident_bytes, cpu_seconds, cpus)| Message::Usage(Usage {
            resident_bytes,
            cpu_seconds,
            cpus
        })),
        (number(), ".*").prop_map(|(epoch, reason)| Message::EpochOver(EpochOver { epoch, reason })),
        (
            number(),
            option::of(number().prop_map(PeerId)),
            engines(),
            any::<bool>(),
            option::of(broken()),
            option::of(any::<i32>())
        )
            .prop_map(|(number, asker, engines, stacks, broken, signal)| {
                Message::Inspect(Inspect { number, asker, engines, stacks, broken, signal })
            }),
        (number(), option::of(number().prop_map(PeerId)), option::of(engine_id()), option::of(activity())).prop_map(
            |(number, asker, engine, activity)| { Message::Inspected(Inspected { number, asker, engine, activity }) }
        ),
        status.prop_map(
            |(cluster, (pid, clients, pending, held_bytes, rejected, resident_bytes), uptime, engines, losses)| {
                let engines = engines.into_iter().map(
                    |(info, state, (queue, completed, resident_bytes), uptime, ends_in, world)| {
                        let EngineInfo { id, uuid, host, pid, address, .. } = info;
                        let group = Some(host.clone()).filter(|_| pid % 2 == 1);
                        EngineStatus {
                            id,
                            uuid,
                            host,
                            pid,
                            address,
                            state,
                            away: queue % 2 == 1,
                            absence: (queue % 4 == 1).then_some(Away {
                                seconds: queue,
                                left: completed,
                                silent: id.0 % 2 == 1,
                            }),
                            queue,
                            completed,
                            resident_bytes,
                            uptime,
                            ends_in,
                            world,
                            group,
                            offers: Resources::default(),
                        }
                    },
                );
                let engines = engines.collect();
                let losses = losses.into_iter().map(|(info, how, seconds_ago)| {
                    let EngineInfo { id, uuid, host, pid, .. } = info;
                    EngineLoss { id, uuid, host, pid, how, seconds_ago }
                });
                let losses = losses.collect();
                let expected = EnginesExpected { coming: pid % 4 == 1, why: cluster.clone(), offers: None };
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
                    expected: Some(expected).filter(|_| pid % 2 == 1),
                }))
            }
        ),
    ]
}

pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![handshake(), work(), control(), history()]
}
