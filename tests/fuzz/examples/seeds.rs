//! Writes first inputs for the targets that read the wire into the corpus: each message, and sessions from hello to goodbye.
//! For use after a change of the wire: `cargo run --release -p ipclusterz-fuzz --example seeds`.

use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_runtime::wire::codec::encode;
use ipclusterz_runtime::wire::message::*;
use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for (index, message) in engines().into_iter().chain(clients()).enumerate() {
        write("decode", index, &encode(&message))?;
    }
    let (engines, clients) = (engines(), clients());
    for (index, connections) in [(0, 2), (2, 0), (6, 4), (4, 6)].into_iter().enumerate() {
        let mut all = session(connections.0, &engines[..2]);
        all.extend(session(connections.1, &clients[..2]));
        let hello = all.len();
        for (place, message) in clients[2..].iter().enumerate() {
            let mut one = all[..hello].to_vec();
            one.extend(step(connections.1 + channel(message), message));
            for answer in &engines[2..] {
                one.extend(step(connections.0 + channel(answer), answer));
            }
            write("handshake", index * 100 + place, &one)?;
        }
        for (first, message) in [(connections.0, &engines), (connections.1, &clients)] {
            for message in &message[2..] {
                all.extend(step(first + channel(message), message));
            }
        }
        all.extend([5, connections.0, 6, 0, 5, connections.1]);
        write("handshake", index * 100 + 99, &all)?;
    }
    Ok(())
}

fn write(target: &str, index: usize, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{index:03}")), bytes)
}

/// `hello` on one connection and `attach` on the next.
fn session(first: u8, messages: &[Message]) -> Vec<u8> {
    messages.iter().zip(0..).flat_map(|(message, channel)| step(first + channel, message)).collect()
}

fn step(connection: u8, message: &Message) -> Vec<u8> {
    let header = encode(message);
    let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    [&[8, connection], &length[..], &header].concat()
}

/// 0 for `control`, 1 for `data`.
fn channel(message: &Message) -> u8 {
    use Message::{
        Ack, EngineEnded, EnginesExpected as Expected, Inspect, Inspected, Shutdown, StatusRequest, Usage as Used,
    };
    let control = matches!(
        message,
        Ack(_) | EngineEnded(_) | Expected(_) | Inspect(_) | Inspected(_) | Shutdown(_) | StatusRequest(_) | Used(_)
    );
    u8::from(!control)
}

fn hello_of(role: Role) -> Hello {
    Hello::new(role, format!("uuid-of-{role}"), "n1".to_owned(), 7)
}

fn engines() -> Vec<Message> {
    let world = Rank { world: "w".to_owned(), rank: 0, size: 1, survives: true };
    let hello =
        Hello { world: Some(Box::new(world)), ends_in: Some(60.0), drain_before: 5.0, ..hello_of(Role::Engine) };
    let result = TaskResult {
        id: TaskId(1),
        outcome: TaskOutcome::Ok,
        started: 1.0,
        completed: 2.0,
        segments: vec![],
        standing: None,
        again: false,
    };
    vec![
        Message::Hello(hello),
        Message::Attach(Attach { peer: PeerId(1), token: "token".to_owned() }),
        Message::NeedFunction(NeedFunction { task: TaskId(1) }),
        Message::Output(Output { task: TaskId(1), client: PeerId(1), stream: Stream::Stdout }),
        Message::Usage(Usage { resident_bytes: 1 << 20, cpu_seconds: 1.5, cpus: 0.5 }),
        Message::Result(TaskResult { outcome: TaskOutcome::Unmet, ..result.clone() }),
        Message::Recalled(Recalled { returned: vec![TaskId(2)], kept: vec![TaskId(1)] }),
        Message::Result(result),
    ]
}

fn clients() -> Vec<Message> {
    let hello = Hello { launcher: true, shared_memory: true, ..hello_of(Role::Client) };
    let request = |id, placement| Request {
        id: RequestId(id),
        placement,
        op: Op::Apply,
        function: Some(FunctionName([9; 16])),
        carries_function: false,
        segments: vec![],
        collective: false,
        timeout: None,
        name: Some("f".to_owned()),
        about: None,
        part: 0,
        terms: None,
        map: None,
        keep: None,
    };
    let asked = |number, ask| Message::Query(Query { number, ask });
    let filter = Filter { session: Some("s".to_owned()), states: vec!["ok".to_owned()], ..Filter::default() };
    let balanced = Placement::Balanced { retries: 1, engines: Some(vec![EngineId(0)]), duration: Some(0.5) };
    let direct = request(2, Placement::Engines(vec![EngineId(0), EngineId(0)]));
    let resume = Resume { peer: PeerId(2), token: "token".to_owned(), received: Counts { control: 1, data: 1 } };
    vec![
        Message::Hello(hello.clone()),
        Message::Attach(Attach { peer: PeerId(2), token: "token".to_owned() }),
        Message::Request(Request { carries_function: true, ..request(1, balanced.clone()) }),
        Message::Request(Request { collective: true, ..direct.clone() }),
        Message::Request(Request { keep: Some("name".to_owned()), ..direct.clone() }),
        Message::Request(Request { segments: vec![SegmentNote { frame: 0, length: 9 }], ..direct }),
        Message::ForgetFunctions(ForgetFunctions { functions: vec![FunctionName([9; 16])] }),
        Message::Inspect(Inspect {
            number: 1,
            asker: None,
            engines: vec![EngineId(0)],
            stacks: true,
            broken: None,
            signal: None,
        }),
        Message::StatusRequest(Empty {}),
        Message::EngineEnded(EngineEnded {
            uuid: "uuid-of-engine".to_owned(),
            certain: true,
            how: Some("signal 9".to_owned()),
        }),
        Message::EnginesExpected(EnginesExpected { coming: true, why: "job 7 is pending".to_owned(), offers: None }),
        Message::Ack(Ack { replies: 1, messages: Counts { control: 1, data: 1 }, full: false }),
        Message::Interrupt(Targets { engines: Some(vec![EngineId(0)]) }),
        Message::Abort(Abort { requests: Some(vec![RequestId(1)]), interrupt: true, ..Abort::default() }),
        Message::Abort(Abort { all_clients: true, ..Abort::default() }),
        Message::Abort(Abort { requests: Some(vec![RequestId(1)]), claim: true, ..Abort::default() }),
        Message::Fulfilled(Fulfilled { request: RequestId(1), position: 0, fate: Fate::Ok, engine: None }),
        Message::Retire(EngineList { engines: vec![EngineId(0)] }),
        asked(1, Ask::Sessions),
        asked(2, Ask::Tasks(Filter::default())),
        asked(3, Ask::Submissions { session: "s".to_owned() }),
        asked(4, Ask::Results { session: "s".to_owned(), requests: vec![RequestId(1)] }),
        asked(5, Ask::Purge(filter)),
        Message::Goodbye(Goodbye { reason: "closed".to_owned(), taken: false }),
        Message::Hello(Hello { resume: Some(resume), ..hello }),
        Message::Shutdown(Targets { engines: Some(vec![EngineId(0)]) }),
        Message::Shutdown(Targets { engines: None }),
    ]
}
