//! Requests of other commands to a running launcher, through a unix socket in the cluster's private folder.
//!
//! # Format
//!
//! One line of JSON each way: a [`Request`] with the version first, then `{"version": 2, "answer": {"Ok": …}}` with
//! a [`Reply`], or `{"version": 2, "answer": {"Err": …}}`.

use crate::report::progress::Progress;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// The version of requests and answers.
const VERSION: u32 = 2;
/// How long the launcher may take to answer. It never waits for anything before it answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request, in bytes.
const QUESTION_MAX: u64 = 64 << 10;
/// The longest answer, in bytes: a few hundred for each of thousands of sets.
const ANSWER_MAX: u64 = 16 << 20;

/// A request to a launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Have more engines, or fewer.
    Scale(Change),
    /// Report how far the sets are.
    Progress,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Scale`].
    Scaled(Scaled),
    /// To [`Request::Progress`].
    Progress(Progress),
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// How many engines were wanted before.
    pub before: u32,
    /// How many engines are wanted now.
    pub wanted: u32,
}

#[derive(Serialize, Deserialize)]
struct Question {
    version: u32,
    request: Request,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    version: u32,
    answer: Result<Reply, Failure>,
}

/// The path of the socket in the cluster's socket folder.
pub fn socket_path(socket_dir: &Path) -> PathBuf {
    socket_dir.join("launcher.sock")
}

/// The channel for the answer to a request.
pub type AnswerTo = Sender<Result<Reply, Failure>>;

/// Starts the thread that accepts requests, and passes each to `take` with the channel for its answer. When `take`
/// returns false, the thread ends, and no more requests are accepted.
pub fn listen(socket_dir: &Path, mut take: impl FnMut(Request, AnswerTo) -> bool + Send + 'static) -> io::Result<()> {
    let path = socket_path(socket_dir);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let accept = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            // One at a time: each takes milliseconds, and a silent peer times out.
            if serve(&stream, &mut take).is_none() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("requests".to_owned()).spawn(accept).map(drop)
}

/// Answers one request; `None` if no more requests are accepted.
fn serve(mut stream: &UnixStream, take: &mut impl FnMut(Request, AnswerTo) -> bool) -> Option<()> {
    let question = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let question = question.and_then(|()| read_line(stream, QUESTION_MAX));
    let question: Result<Question, String> =
        question.map_err(|error| error.to_string()).and_then(|line| parse(&line).map_err(|error| error.to_string()));
    let answer = match question {
        Ok(Question { version: VERSION, request }) => {
            let (sender, receiver) = channel();
            take(request, sender).then_some(())?;
            receiver.recv().ok()?
        }
        Ok(Question { version, .. }) => {
            Err(Failure::new(Exit::Usage, format!("a request of version {version}; this launcher takes {VERSION}")))
        }
        Err(error) => Err(Failure::new(Exit::Usage, format!("not a request: {error}"))),
    };
    if let Ok(mut line) = serde_json::to_vec(&Answer { version: VERSION, answer }) {
        line.push(b'\n');
        // The command that asked may have exited.
        let _ = stream.write_all(&line);
    }
    Some(())
}

/// Asks the launcher whose socket is in `socket_dir` for more or fewer engines.
pub fn scale(socket_dir: &Path, change: Change) -> Result<Scaled, Failure> {
    match ask(socket_dir, Request::Scale(change), PATIENCE)? {
        Reply::Scaled(scaled) => Ok(scaled),
        other @ Reply::Progress(_) => Err(unexpected(&other)),
    }
}

/// Asks that launcher how far its sets are. `patience` is how long it may take to answer.
pub fn progress(socket_dir: &Path, patience: Duration) -> Result<Progress, Failure> {
    match ask(socket_dir, Request::Progress, patience)? {
        Reply::Progress(progress) => Ok(progress),
        other @ Reply::Scaled(_) => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    Failure::new(Exit::Unreachable, format!("the launcher answered something else than was asked: {reply:?}"))
}

fn ask(socket_dir: &Path, request: Request, patience: Duration) -> Result<Reply, Failure> {
    let path = socket_path(socket_dir);
    let talk = || -> io::Result<Answer> {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(patience))?;
        let mut line = serde_json::to_vec(&Question { version: VERSION, request })?;
        line.push(b'\n');
        stream.write_all(&line)?;
        parse(&read_line(&stream, ANSWER_MAX)?).map_err(Into::into)
    };
    let answer = talk().map_err(|error| {
        let message = format!("the launcher does not answer at {}: {error}", path.display());
        Failure::new(Exit::Unreachable, message).with_hint("is it still starting, or being stopped? see its log")
    })?;
    answer.answer
}

fn read_line(stream: &UnixStream, longest: u64) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(longest)).read_line(&mut line)?;
    Ok(line)
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (sender, receiver) = channel();
        listen(folder.path(), move |request, answer| sender.send((request, answer)).is_ok()).expect("listen");
        let supervisor = std::thread::spawn(move || {
            let Ok((Request::Scale(Change::By(by)), answer)) = receiver.recv() else { panic!("a request") };
            assert_eq!(by, -2);
            answer.send(Ok(Reply::Scaled(Scaled { before: 4, wanted: 2 }))).expect("asked for");
            let Ok((Request::Progress, answer)) = receiver.recv() else { panic!("a request") };
            answer.send(Ok(Reply::Progress(Progress { wanted: 2, ..Progress::default() }))).expect("asked for");
            receiver
        });
        let answer = scale(folder.path(), Change::By(-2)).expect("answered");
        assert_eq!(answer, Scaled { before: 4, wanted: 2 });
        assert_eq!(progress(folder.path(), PATIENCE).expect("answered").wanted, 2);
        let _receiver = supervisor.join().expect("no panic");

        let mut stream = UnixStream::connect(socket_path(folder.path())).expect("connect");
        stream.write_all(b"hello\n").expect("write");
        assert!(read_line(&stream, ANSWER_MAX).expect("answer").contains("not a request"));
    }
}
