//! SSH by the library that is compiled in.
//!
//! - [`host_key`], [`auth`]: authenticates the host and the user
//! - [`settle`], [`intake`]: calls that would block, and reading without an open channel
//! - [`tasks`], [`link`]: commands and files; forwarded connections
//! - [`engine`]: the thread that owns a session
//!
//! What it cannot do is an error that names the other backend: ProxyCommand, hardware keys, GSSAPI, listening at unix
//! sockets of the host. libssh2 opens one channel at a time, so the connections through a forward are opened one after
//! the other.

mod auth;
mod engine;
mod host_key;
mod intake;
mod link;
mod settle;
mod tasks;

use crate::asker::{Asker, Question, Secret};
use crate::config::Resolved;
use crate::ends::{Endpoint, Forward, LocalListener, Stream, connect_tcp, from_tcp};
use crate::error::SshError;
use crate::known_hosts::files_of;
use crate::libssh2::engine::{Command, Engine, Reply};
use crate::libssh2::intake::Intake;
use crate::libssh2::settle::Line;
use crate::poll::Waker;
use crate::remote::{OnLoss, Remote, RunOutput};
use ipclusterz_host::signals::told_to_end;
use ipclusterz_profile::tables::ssh::SshTable;
use ssh2::{MethodType, Session};
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Timeout of small requests that are neither commands nor files.
const PATIENCE: Duration = Duration::from_secs(30);
/// Timeout of a file, in addition to the time that its bytes take at a slow megabyte per second.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(60);
/// Interval between two checks whether anybody still waits for the connection.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Timeout of a session's thread to disconnect.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The ciphers, fastest first. libssh2 has ChaCha20-Poly1305 work on whole packets, and AES on 16 bytes at a time, so that
/// the processor's instructions for AES do not help it (`tests/bench/tunnels`). AES in GCM mode needs no second pass for its MAC.
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,\
                       aes128-ctr,aes192-ctr,aes256-ctr";

/// A connection by libssh2.
pub struct Libssh2 {
    host: String,
    commands: Sender<Command>,
    waker: Waker,
    ended: Receiver<()>,
    socket: SharedSocket,
    forwards: u64,
}

/// The socket of a session, to shut down when the session's thread is stuck in it.
type SharedSocket = Arc<Mutex<Option<Stream>>>;

/// What the thread reports while it connects.
enum Progress {
    Ask(Question, Sender<Result<Secret, &'static str>>),
    Done(Result<(), SshError>),
}

/// Connects to `resolved` over its jumps. Each hop has the table's timeout; the time that the user takes to answer does
/// not count.
pub fn connect(resolved: &Resolved, table: &SshTable, asker: &mut dyn Asker) -> Result<Libssh2, SshError> {
    let mut via: Option<Libssh2> = None;
    for hop in resolved.jumps.iter().chain([resolved]) {
        via = Some(connect_one(hop, via, table, asker)?);
    }
    via.ok_or_else(|| SshError::Connect { host: resolved.endpoint(), message: "there is no way to it".to_owned() })
}

fn connect_one(
    resolved: &Resolved,
    via: Option<Libssh2>,
    table: &SshTable,
    asker: &mut dyn Asker,
) -> Result<Libssh2, SshError> {
    let timeout = Duration::from_secs_f64(table.connect_timeout.clamp(0.1, 86_400.0));
    let (commands, taken) = channel();
    let (progress, news) = channel();
    let (end, ended) = channel();
    let waker = Waker::new().map_err(SshError::local("making an eventfd"))?;
    let socket = SharedSocket::default();
    let host = resolved.shown();
    let opening = Opening {
        resolved: resolved.clone(),
        via,
        known_hosts: files_of(table)?,
        agent: table.agent,
        keep_alive: Duration::from_secs_f64(table.keep_alive.clamp(0.1, 86_400.0)),
        timeout,
        socket: Arc::clone(&socket),
        progress,
    };
    let queue = (commands.clone(), taken);
    let engine_waker = waker.clone();
    let work = move || {
        // Dropped when this thread ends, even by a panic.
        let _end: Sender<()> = end;
        opening.run(queue, engine_waker);
    };
    std::thread::Builder::new()
        .name(format!("ssh-{}", resolved.alias))
        .spawn(work)
        .map_err(SshError::local("starting a thread"))?;
    let remote = Libssh2 { host, commands, waker, ended, socket, forwards: 0 };
    let mut deadline = Instant::now() + timeout;
    loop {
        if asker.has_given_up() {
            return Err(SshError::GivenUp { host: resolved.shown() });
        }
        let now = Instant::now();
        match news.recv_timeout(deadline.saturating_duration_since(now).min(CHECK_INTERVAL)) {
            Ok(Progress::Ask(question, answer)) => {
                let asked = Instant::now();
                let answered = asker.ask(&question);
                if answered.is_none() && told_to_end() {
                    return Err(SshError::GivenUp { host: resolved.shown() });
                }
                let _ = answer.send(answered.ok_or_else(|| asker.reason()));
                deadline += asked.elapsed();
            }
            Ok(Progress::Done(Ok(()))) => return Ok(remote),
            Ok(Progress::Done(Err(error))) => return Err(error),
            // Returning drops `remote`, which ends the thread's connection, so that the thread ends too.
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                let doing = "connecting".to_owned();
                return Err(SshError::Timeout { host: resolved.endpoint(), doing, seconds: timeout.as_secs_f64() });
            }
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the connecting thread ended".to_owned();
                return Err(SshError::Connect { host: resolved.endpoint(), message });
            }
        }
    }
}

/// What a thread needs to connect.
struct Opening {
    resolved: Resolved,
    via: Option<Libssh2>,
    known_hosts: Vec<PathBuf>,
    agent: bool,
    keep_alive: Duration,
    timeout: Duration,
    socket: SharedSocket,
    progress: Sender<Progress>,
}

/// Forwards questions to the thread that waits for the connection.
struct ForwardingAsker {
    progress: Sender<Progress>,
    reason: &'static str,
}

impl Asker for ForwardingAsker {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        let (sender, receiver) = channel();
        self.progress.send(Progress::Ask(question.clone(), sender)).ok()?;
        receiver.recv().ok()?.map_err(|reason| self.reason = reason).ok()
    }

    fn reason(&self) -> &'static str {
        self.reason
    }
}

impl Opening {
    fn run(mut self, queue: (Sender<Command>, Receiver<Command>), waker: Waker) {
        let opened = self.open();
        let (line, intake) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let _ = self.progress.send(Progress::Done(Err(error)));
                return;
            }
        };
        let host = self.resolved.shown();
        let engine = Engine::new(line, host, intake, queue, waker, self.keep_alive);
        if self.progress.send(Progress::Done(Ok(()))).is_ok() {
            // The connections to the hosts on the way must last as long as this one.
            let _via = self.via;
            engine.run();
        }
    }

    fn open(&mut self) -> Result<(Line, Intake), SshError> {
        let endpoint = self.resolved.endpoint();
        let stream = self.open_socket()?;
        let failed = |message: String| SshError::Connect { host: endpoint.clone(), message };
        let clone = |stream: &Stream| stream.try_clone().map_err(SshError::local("duplicating a socket"));
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(clone(&stream)?);

        let mut session = Session::new().map_err(|error| failed(error.message().to_owned()))?;
        session.set_timeout(u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX));
        session.set_tcp_stream(clone(&stream)?);
        for method in [MethodType::CryptCs, MethodType::CryptSc] {
            // libssh2 leaves out ciphers that it does not support.
            session.method_pref(method, CIPHERS).map_err(|error| failed(error.message().to_owned()))?;
        }
        let entries = host_key::prefer_known(&session, &self.resolved, &self.known_hosts)
            .map_err(|error| failed(error.message().to_owned()))?;
        session.handshake().map_err(|error| failed(format!("the SSH handshake failed: {}", error.message())))?;
        host_key::check(&session, &self.resolved, &self.known_hosts, &entries)?;

        let mut asker = ForwardingAsker { progress: self.progress.clone(), reason: "there was no answer" };
        auth::login(&session, &self.resolved, self.agent, &mut asker)?;
        let intake = Intake::open(&session).map_err(|error| failed(error.message().to_owned()))?;
        Ok((Line::new(session, stream, self.keep_alive * 3), intake))
    }

    /// Opens a socket to the host: by TCP, or through the host before it.
    fn open_socket(&mut self) -> Result<Stream, SshError> {
        let Resolved { host_name, port, .. } = &self.resolved;
        if let Some(via) = &mut self.via {
            let (near, far) = Stream::pair().map_err(SshError::local("making a pair of sockets"))?;
            let to = Endpoint::Tcp { host: host_name.clone(), port: *port };
            via.ask(self.timeout, "opening a way through", |reply| Command::Join { to, stream: far, reply })?;
            return Ok(near);
        }
        match connect_tcp(host_name, *port, Instant::now() + self.timeout) {
            Ok(stream) => Ok(from_tcp(stream)),
            // Errors of the resolver have no error code of the system.
            Err(source) if source.raw_os_error().is_none() && source.kind() != std::io::ErrorKind::TimedOut => {
                Err(SshError::Lookup { host: host_name.clone(), source })
            }
            Err(error) => Err(SshError::Connect { host: self.resolved.endpoint(), message: error.to_string() }),
        }
    }
}

impl Libssh2 {
    fn send(&self, command: Command) {
        // Fails only when the thread has ended. Then there is no answer, which is noticed by whoever waits for one.
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }

    fn ask<T>(&self, timeout: Duration, doing: &str, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SshError> {
        let (reply, answer) = channel();
        self.send(command(reply));
        match answer.recv_timeout(timeout) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                let (host, doing) = (self.host.clone(), doing.to_owned());
                Err(SshError::Timeout { host, doing, seconds: timeout.as_secs_f64() })
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.lost()),
        }
    }

    /// Why there was no answer. When the connection is lost, pending requests are dropped; after that the thread tells
    /// the reason to whoever asks.
    fn lost(&self) -> SshError {
        let (tell, told) = channel();
        self.send(Command::WhenLost(Box::new(move |reason| drop(tell.send(reason)))));
        let reason = told.recv_timeout(CLOSE_TIMEOUT).unwrap_or_else(|_| "its thread has ended".to_owned());
        SshError::Lost { host: self.host.clone(), reason }
    }

    fn new_forward(&mut self) -> u64 {
        self.forwards += 1;
        self.forwards
    }
}

impl Remote for Libssh2 {
    fn host(&self) -> &str {
        &self.host
    }

    fn run(&mut self, command: &str, stdin: &[u8], deadline: Instant) -> Result<RunOutput, SshError> {
        let started = Instant::now();
        let (reply, answer) = channel();
        let (command_line, input) = (command.to_owned(), stdin.to_vec());
        self.send(Command::Run { command: command_line, input, deadline, reply });
        let mut received = answer.recv_timeout(deadline.saturating_duration_since(started));
        if matches!(received, Err(RecvTimeoutError::Timeout)) {
            // Makes the thread check the deadline, give up and close the channel.
            self.waker.wake();
            received = answer.recv_timeout(CLOSE_TIMEOUT);
        }
        match received {
            Ok(Ok(Some(output))) => Ok(output),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost()),
            Ok(Ok(None)) | Err(RecvTimeoutError::Timeout) => Err(SshError::Timeout {
                host: self.host.clone(),
                doing: format!("running `{command}`"),
                seconds: deadline.saturating_duration_since(started).as_secs_f64(),
            }),
        }
    }

    fn upload(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), SshError> {
        let timeout = TRANSFER_PATIENCE + Duration::from_micros(u64::try_from(content.len()).unwrap_or(u64::MAX));
        let (path, content) = (path.to_owned(), content.to_vec());
        self.ask(timeout, &format!("writing {path}"), |reply| Command::Upload {
            path: path.clone(),
            content,
            mode,
            reply,
        })
    }

    fn download(&mut self, path: &str) -> Result<Vec<u8>, SshError> {
        let doing = format!("reading {path}");
        self.ask(TRANSFER_PATIENCE, &doing, |reply| Command::Download { path: path.to_owned(), reply })
    }

    fn forward_local(&mut self, listener: LocalListener, to: &Endpoint) -> Result<Forward, SshError> {
        let id = self.new_forward();
        let listens = listener.endpoint().clone();
        self.send(Command::ForwardLocal { id, listener, to: to.clone() });
        Ok(engine::forward(listens, id, self.commands.clone(), self.waker.clone()))
    }

    fn forward_back(&mut self, listen: &Endpoint, to: &Endpoint) -> Result<Forward, SshError> {
        let Endpoint::Tcp { host, port } = listen else {
            return Err(SshError::Unsupported("listen at a unix socket of the host"));
        };
        let id = self.new_forward();
        let bound = self.ask(PATIENCE, "asking it to listen", |reply| Command::ForwardBack {
            id,
            host: host.clone(),
            port: *port,
            to: to.clone(),
            reply,
        })?;
        let listens = Endpoint::Tcp { host: host.clone(), port: bound };
        Ok(engine::forward(listens, id, self.commands.clone(), self.waker.clone()))
    }

    fn when_lost(&mut self, tell: OnLoss) {
        self.send(Command::WhenLost(tell));
    }
}

impl Drop for Libssh2 {
    fn drop(&mut self) {
        self.send(Command::End);
        // The thread drops the sender when it ends.
        if self.ended.recv_timeout(CLOSE_TIMEOUT) == Err(RecvTimeoutError::Timeout)
            && let Some(socket) = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
