//! Requests of other commands to a running launcher, through a unix socket in the cluster's private folder.
//!
//! # Format
//!
//! One line of JSON each way: a [`Request`] with the version first, then `{"version": 2, "answer": {"Ok": …}}` with
//! a [`Reply`], or `{"version": 2, "answer": {"Err": …}}`. The version is looked at before anything else. These never
//! change, so that a command and a launcher of different versions can tell each other so: `version`, `release`, and in the
//! answer `Err` with `message` and `hint`.

use crate::report::progress::Progress;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::private;
use ipclusterz_base::release;
use ipclusterz_base::words::without_codes;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The version of requests and answers.
const VERSION: u32 = 2;
/// How long the launcher may take to answer. It never waits for anything before it answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request, in bytes.
const QUESTION_MAX: usize = 64 << 10;
/// The longest answer, in bytes: a few hundred for each of thousands of sets.
const ANSWER_MAX: usize = 16 << 20;
/// How many connections may be open at once.
const GUESTS_MAX: usize = 32;
/// Pause before connections are accepted again after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request to a launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Have more engines, or fewer.
    Scale(Scaling),
    /// Restart these engines, under their ids; without any, all.
    Restart(Option<Vec<EngineId>>),
    /// Report how far the sets are.
    Progress,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Scale`].
    Scaled(Scaled),
    /// To [`Request::Restart`]: who it is.
    Restarting(Vec<EngineId>),
    /// To [`Request::Progress`].
    Progress(Progress),
}

/// A request for more engines, or fewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// How many.
    pub change: Change,
    /// Of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The hint of a launcher that has changed nothing, because the controller which it has started again is not connected yet.
pub const TRY_AGAIN: &str = "try again in a moment";

/// How many engines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// This many more; fewer if it is negative.
    By(i64),
    /// This many in all.
    To(u32),
}

/// The answer to [`Request::Scale`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// How many engines were wanted before.
    pub before: u32,
    /// How many engines are wanted now.
    pub wanted: u32,
    /// What becomes of the nodes that engines leave, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Question {
    version: u32,
    /// The number of the command's release, for people.
    #[serde(default)]
    release: String,
    request: Request,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    version: u32,
    #[serde(default)]
    release: String,
    answer: Result<Reply, Failure>,
}

/// The path of the socket in the cluster's socket folder.
pub fn socket_path(socket_dir: &Path) -> PathBuf {
    socket_dir.join("launcher.sock")
}

/// The channel for the answer to a request.
pub type AnswerTo = Sender<Result<Reply, Failure>>;

/// A connection of another command.
struct Guest {
    stream: UnixStream,
    /// It has made its request.
    has_asked: AtomicBool,
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Guests(Vec<Weak<Guest>>);

impl Guests {
    /// Adds a connection. If there are too many, the oldest of those that have not asked is ended.
    fn admit(&mut self, stream: UnixStream) -> Arc<Guest> {
        self.0.retain(|guest| guest.strong_count() > 0);
        if self.0.len() >= GUESTS_MAX {
            let open: Vec<Arc<Guest>> = self.0.iter().filter_map(Weak::upgrade).collect();
            let silent = open.iter().find(|guest| !guest.has_asked.load(Ordering::Acquire));
            // It may have gone by itself.
            let _ = silent.or(open.first()).map(|guest| guest.stream.shutdown(Shutdown::Both));
        }
        let guest = Arc::new(Guest { stream, has_asked: AtomicBool::new(false) });
        self.0.push(Arc::downgrade(&guest));
        guest
    }
}

/// Starts the thread that accepts connections. Each is served by a thread of its own, so that none waits for another;
/// its request is passed to `take` with the channel for its answer. `take` returns false when the launcher is ending.
pub fn listen(socket_dir: &Path, take: impl Fn(Request, AnswerTo) -> bool + Send + Sync + 'static) -> io::Result<()> {
    let listener = private::listen(&socket_path(socket_dir))?;
    let accept = move || {
        let (take, mut guests) = (Arc::new(take), Guests::default());
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // No descriptor is left; one may become free.
                std::thread::sleep(ACCEPT_PAUSE);
                continue;
            };
            if private::check_peer(&stream).is_ok() {
                let (guest, take) = (guests.admit(stream), Arc::clone(&take));
                // Without a thread for it, the connection is closed.
                let _ = std::thread::Builder::new().name("request".to_owned()).spawn(move || serve(&guest, &*take));
            }
        }
    };
    std::thread::Builder::new().name("requests".to_owned()).spawn(accept).map(drop)
}

/// Answers one request.
fn serve(guest: &Guest, take: &impl Fn(Request, AnswerTo) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let question = read_line(&guest.stream, QUESTION_MAX, deadline);
    guest.has_asked.store(true, Ordering::Release);
    let answer = match question {
        Ok(line) => request_in(&line).and_then(|request| answer_of(request, take)),
        Err(error) => Err(Failure::new(Exit::Usage, format!("not a request: {}", in_words(&error, PATIENCE)))),
    };
    if let Ok(mut line) =
        serde_json::to_vec(&Answer { version: VERSION, release: release::number().to_owned(), answer })
    {
        line.push(b'\n');
        // The command that asked may have exited.
        let written = guest.stream.set_write_timeout(Some(PATIENCE));
        let _ = written.and_then(|()| (&guest.stream).write_all(&line));
    }
}

/// The request in a line, unless that is of another version.
fn request_in(line: &str) -> Result<Request, Failure> {
    let nonsense = |error: serde_json::Error| Failure::new(Exit::Usage, format!("not a request: {error}"));
    let Versioned { version, release } = parse(line).map_err(nonsense)?;
    if version != VERSION {
        let own = release::number();
        let release = in_brackets(&release);
        let message = format!(
            "a request of version {version}{release}; the launcher of this cluster, ipclusterz {own}, takes {VERSION}"
        );
        return Err(Failure::new(Exit::Usage, message)
            .with_hint("use the ipclusterz with which the cluster was started, or start it again with this one"));
    }
    parse(line).map(|Question { request, .. }| request).map_err(nonsense)
}

/// What a line of any version says first.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
    #[serde(default)]
    release: String,
}

fn in_brackets(release: &str) -> String {
    if release.is_empty() { String::new() } else { format!(" (ipclusterz {release})") }
}

/// The answer in a line. Of another version, the failure alone is understood.
fn answer_in(line: &str) -> io::Result<Result<Reply, Failure>> {
    #[derive(Deserialize)]
    struct Refusal {
        answer: Refused,
    }
    #[derive(Deserialize)]
    enum Refused {
        Err(Told),
    }
    #[derive(Deserialize)]
    struct Told {
        message: String,
        #[serde(default)]
        hint: Option<String>,
    }
    let Versioned { version, release } = parse(line)?;
    if version == VERSION {
        return Ok(parse::<Answer>(line)?.answer);
    }
    let told = parse(line).map(|Refusal { answer: Refused::Err(told) }| told).unwrap_or_else(|_| Told {
        message: format!(
            "the launcher{} answers in version {version}; this command reads {VERSION}",
            in_brackets(&release)
        ),
        hint: None,
    });
    let hint = told.hint.unwrap_or_else(|| "use the ipclusterz with which the cluster was started".to_owned());
    Ok(Err(Failure::new(Exit::Unreachable, told.message).with_hint(hint)))
}

fn answer_of(request: Request, take: &impl Fn(Request, AnswerTo) -> bool) -> Result<Reply, Failure> {
    let (sender, receiver) = channel();
    let ending = || Failure::new(Exit::Unreachable, "the launcher is ending");
    if !take(request, sender) {
        return Err(ending());
    }
    match receiver.recv_timeout(PATIENCE) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Disconnected) => Err(ending()),
        Err(RecvTimeoutError::Timeout) => {
            Err(Failure::new(Exit::Unreachable, format!("the launcher was busy for {} s", PATIENCE.as_secs())))
        }
    }
}

/// Asks the launcher whose socket is in `socket_dir` for more or fewer engines.
pub fn scale(socket_dir: &Path, scaling: Scaling) -> Result<Scaled, Failure> {
    match ask(socket_dir, Request::Scale(scaling), PATIENCE)? {
        Reply::Scaled(scaled) => Ok(scaled),
        other => Err(unexpected(&other)),
    }
}

/// Asks that launcher to restart engines; without any, all. Returns which.
pub fn restart(socket_dir: &Path, engines: Option<Vec<EngineId>>) -> Result<Vec<EngineId>, Failure> {
    match ask(socket_dir, Request::Restart(engines), PATIENCE)? {
        Reply::Restarting(engines) => Ok(engines),
        other => Err(unexpected(&other)),
    }
}

/// Asks that launcher how far its sets are. `patience` is how long it may take to answer.
pub fn progress(socket_dir: &Path, patience: Duration) -> Result<Progress, Failure> {
    match ask(socket_dir, Request::Progress, patience)? {
        Reply::Progress(progress) => Ok(progress),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    Failure::new(Exit::Unreachable, format!("the launcher answered something else than was asked: {reply:?}"))
}

fn ask(socket_dir: &Path, request: Request, patience: Duration) -> Result<Reply, Failure> {
    let path = socket_path(socket_dir);
    let talk = || -> io::Result<Result<Reply, Failure>> {
        let deadline = Instant::now() + patience;
        let mut stream = private::connect(&path, patience)?;
        stream.set_write_timeout(Some(patience))?;
        let mut line =
            serde_json::to_vec(&Question { version: VERSION, release: release::number().to_owned(), request })?;
        line.push(b'\n');
        stream.write_all(&line)?;
        answer_in(&read_line(&stream, ANSWER_MAX, deadline)?)
    };
    talk().map_err(|error| {
        let message = format!("the launcher does not answer at {}: {}", path.display(), in_words(&error, patience));
        Failure::new(Exit::Unreachable, message).with_hint("is it still starting, or being stopped? see its log")
    })?
}

/// What a user is told of an error of a connection with a deadline.
fn in_words(error: &io::Error, patience: Duration) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("nothing was heard within {} s", patience.as_secs_f64())
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            "the connection was closed".to_owned()
        }
        _ => without_codes(&error.to_string()),
    }
}

/// Reads a line of at most `longest` bytes, however slowly it comes, until `deadline`.
fn read_line(mut stream: &UnixStream, longest: usize, deadline: Instant) -> io::Result<String> {
    let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let new = match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        line.extend_from_slice(new);
        if line.len() > longest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {longest} bytes")));
        }
        if new.contains(&b'\n') {
            return String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("sockets");
        private::make_private_dir(&path).expect("make");
        (root, path)
    }

    fn say(stream: &mut UnixStream, text: &[u8]) -> String {
        stream.write_all(text).expect("write");
        read_line(stream, ANSWER_MAX, Instant::now() + PATIENCE).expect("an answer")
    }

    #[test]
    fn a_request_is_answered_and_nonsense_is_refused() {
        let (_root, folder) = folder();
        let (sender, receiver) = channel();
        listen(&folder, move |request, answer| sender.send((request, answer)).is_ok()).expect("listen");
        let supervisor = std::thread::spawn(move || {
            let Ok((Request::Scale(scaling), answer)) = receiver.recv() else { panic!("a request") };
            assert_eq!(scaling, Scaling { change: Change::By(-2), group: Some("big".to_owned()) });
            answer.send(Ok(Reply::Scaled(Scaled { before: 4, wanted: 2, nodes: None }))).expect("asked for");
            let Ok((Request::Progress, answer)) = receiver.recv() else { panic!("a request") };
            answer.send(Ok(Reply::Progress(Progress { wanted: 2, ..Progress::default() }))).expect("asked for");
        });
        let scale = |change, group: Option<&str>| scale(&folder, Scaling { change, group: group.map(str::to_owned) });
        let answer = scale(Change::By(-2), Some("big")).expect("answered");
        assert_eq!(answer, Scaled { before: 4, wanted: 2, nodes: None });
        assert_eq!(progress(&folder, PATIENCE).expect("answered").wanted, 2);
        supervisor.join().expect("no panic");
        assert_eq!(scale(Change::To(1), None).expect_err("nobody is there").message, "the launcher is ending");

        let connect = || UnixStream::connect(socket_path(&folder)).expect("connect");
        assert!(say(&mut connect(), b"hello\n").contains("not a request"));
        assert!(say(&mut connect(), b"\xff\n").contains("not a request"));
        let newer = br#"{"version": 7, "release": "8.0.0", "request": {"teleport": [1, 2]}}"#;
        let told = say(&mut connect(), &[newer.as_slice(), b"\n"].concat());
        assert!(told.contains("a request of version 7 (ipclusterz 8.0.0); the launcher of this cluster, "), "{told}");
        assert!(say(&mut connect(), &vec![b'x'; QUESTION_MAX + 1]).contains("longer than 65536 bytes"));
    }

    #[test]
    fn a_refusal_of_any_version_is_understood() {
        let told = |line: &str| answer_in(line).expect("an answer").expect_err("a failure");
        let newer =
            r#"{"version": 9, "release": "8.0.0", "answer": {"Err": {"code": "x", "message": "no", "hint": "do"}}}"#;
        let failure = told(newer);
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), ("no", Some("do")));
        let failure = told(r#"{"version": 9, "release": "8.0.0", "answer": {"Ok": {"scaled": true}}}"#);
        let expected = format!("the launcher (ipclusterz 8.0.0) answers in version 9; this command reads {VERSION}");
        assert_eq!(failure.message, expected);
        assert!(failure.hint.is_some());
        assert!(answer_in("{\"answer\": 1}").is_err());
    }

    #[test]
    fn silent_and_slow_connections_hold_up_nobody_and_are_bounded() {
        let (_root, folder) = folder();
        let take = |_, answer: AnswerTo| answer.send(Ok(Reply::Progress(Progress::default()))).is_ok();
        listen(&folder, take).expect("listen");
        let mut silent = Vec::new();
        for _ in 0..3 * GUESTS_MAX {
            let mut stream = UnixStream::connect(socket_path(&folder)).expect("connect");
            stream.write_all(b"{").expect("write");
            silent.push(stream);
            let asked = Instant::now();
            progress(&folder, PATIENCE).expect("answered");
            assert!(asked.elapsed() < PATIENCE / 2);
        }
        // The oldest have been ended: what they read is the end.
        let ended = |mut stream: &UnixStream| {
            stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
            stream.read(&mut [0; 64]).is_ok()
        };
        assert!(silent[..GUESTS_MAX].iter().all(ended));
    }

    #[test]
    fn no_answer_is_told_in_words() {
        let (_root, folder) = folder();
        let missing = progress(&folder, PATIENCE).expect_err("nobody").message;
        let listener = private::listen(&socket_path(&folder)).expect("listen");
        let silent = progress(&folder, Duration::from_millis(100)).expect_err("silent").message;
        drop(listener);
        let refused = progress(&folder, PATIENCE).expect_err("gone").message;
        for (message, words) in [
            (missing, "No such file or directory"),
            (silent, "nothing was heard within 0.1 s"),
            (refused, "Connection refused"),
        ] {
            assert!(message.ends_with(words), "{message}");
        }
    }
}
