//! A controller dies at each step of writing its journal down, and another one goes on.

use super::support::{PATIENCE, User};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::system;
use ipclusterz_runtime::client::{Client, Item, Submission};
use ipclusterz_runtime::engine::{Engine, EngineConfig};
use ipclusterz_runtime::journal::faults::PLACES;
use ipclusterz_runtime::wire::message::{Op, Outcome, Resources, TaskOutcome};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TASKS: u64 = 300;

/// How often each task was executed.
type Executions = Arc<Mutex<BTreeMap<u64, u32>>>;

/// A controller as its launcher starts it; it dies at `fault`. None: it did so before it was ready.
fn controller(user: &User, fault: Option<&str>) -> Option<Child> {
    let options = "controller --cluster t --run-id 0123abcd --journal on --restart --directory";
    let mut command = user.command(options);
    command.arg(user.path("home/clusters/t")).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env("IPCLUSTERZ_LOG_MIN", "8000");
    fault.map(|fault| command.env("IPCLUSTERZ_FAULT", fault));
    let mut child = command.spawn().expect("the controller");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    if line.is_empty() && fault.is_some() {
        child.wait().expect("it ends");
        return None;
    }
    assert!(line.contains("addresses"), "{line}");
    Some(child)
}

/// An engine whose tasks give back the bytes that they were given.
fn engine(file: &Path, executions: &Executions, over: &AtomicBool, registered: &Sender<()>) {
    let config = EngineConfig {
        wanted_id: None,
        timeout: PATIENCE,
        lease: PATIENCE,
        end_timeout: Duration::from_secs(1),
        end: None,
        world: None,
        mpi: None,
        stack: None,
        group: None,
        agent: None,
        offers: Resources::default(),
        capture: false,
    };
    let engine = Engine::register(file, &config).expect("an engine");
    registered.send(()).expect("somebody waits");
    while !over.load(Ordering::SeqCst) {
        let Ok(Some(task)) = engine.next(Duration::from_millis(20)) else { continue };
        let bytes = task.payload.as_ref().expect("a payload")[0].to_vec();
        let key = u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
        *executions.lock().expect("no panic").entry(key).or_default() += 1;
        let packed = engine.pack([&bytes[..]]).expect("room");
        engine.finish(&task, TaskOutcome::Ok, packed, "");
    }
}

fn submit(client: &Client, keys: std::ops::Range<u64>) -> Arc<ipclusterz_runtime::client::Pending> {
    let submission = Submission {
        op: Op::Apply,
        function: Some(([7; 16], b"code")),
        retries: 0,
        engines: None,
        duration: None,
        collective: false,
        timeout: None,
        keep: None,
        name: Some("echo"),
        about: None,
        terms: None,
    };
    let item = |key: u64| Item { targets: None, packed: client.pack([&key.to_be_bytes()[..]]).expect("room") };
    client.submit(submission, keys.map(item).collect()).expect("a session").1
}

/// Lets the threads of a test that has failed come to their end.
struct Failing<'a> {
    over: &'a AtomicBool,
    controller: u32,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.over.store(true, Ordering::SeqCst);
            // It may have died.
            let _ = system::signal_process(self.controller, libc::SIGKILL);
        }
    }
}

/// Dies at the given time that a place is reached, and comes back; then everything has its one right answer.
fn survive(place: &str, count: u32) {
    let user = User::new();
    let folder = user.path("home/clusters/t");
    ipclusterz_base::places::make_private_dir(&folder).expect("a folder");
    let fault = format!("{place}:{count}");
    let second = || controller(&user, None).expect("one without a fault");
    let first = controller(&user, Some(&fault));
    let died_early = first.is_none();
    let mut first = first.unwrap_or_else(second);
    let (executions, over) = (Executions::default(), AtomicBool::new(false));
    let pid = first.id();
    let answers = std::thread::scope(|scope| {
        let _failing = Failing { over: &over, controller: pid };
        let (sender, registered) = channel();
        for sender in [sender.clone(), sender] {
            let (folder, executions, over) = (&folder, &executions, &over);
            scope.spawn(move || engine(&folder.join("engine.json"), executions, over, &sender));
        }
        let next = scope.spawn(|| {
            first.wait().expect("it ends");
            second()
        });
        let file = ConnectionFile::read(&folder.join("client.json")).expect("a file");
        let client = Client::connect(&file, PATIENCE).expect("a client");
        assert!(client.wait_for_engines(2, PATIENCE).expect("a session"));
        let pendings = [submit(&client, 0..TASKS / 2), submit(&client, TASKS / 2..TASKS)];
        let complete = pendings.iter().all(|pending| pending.wait(PATIENCE));
        let answers = pendings.iter().flat_map(|pending| (0..pending.len()).map(|index| pending.answer(index)));
        let answers: Vec<_> = answers.collect();
        // The second controller may know one whose own end of the registration was cut off.
        for _ in 0..2 {
            registered.recv_timeout(PATIENCE).expect("an engine");
        }
        over.store(true, Ordering::SeqCst);
        client.close();
        let died = next.is_finished();
        if !died {
            system::signal_process(pid, libc::SIGKILL).expect("kill");
        }
        let mut second = next.join().expect("no panic");
        second.kill().expect("kill");
        second.wait().expect("reap");
        assert!(died || died_early, "{fault} was never reached");
        assert!(complete, "{fault}: answers are lost");
        answers
    });
    for (key, answer) in (0..TASKS).zip(answers) {
        let answer = answer.expect("it is there");
        assert_eq!(
            (answer.outcome, &answer.parts[0][..]),
            (Outcome::Ok, &key.to_be_bytes()[..]),
            "{fault}, task {key}"
        );
    }
    let executions = executions.lock().expect("no panic");
    let often: Vec<_> = executions.iter().filter(|(_, count)| **count != 1).collect();
    assert!(often.is_empty() && executions.len() as u64 == TASKS, "{fault}: {often:?}");
}

#[test]
fn a_controller_may_die_at_any_step() {
    let counts = |place: &str| match place.split('.').next() {
        Some("batch") => [1, 3, 9],
        Some("sync") => [1, 2, 3],
        _ => [1, 2, 3],
    };
    for place in PLACES {
        for count in counts(place) {
            survive(place, count);
        }
    }
}
