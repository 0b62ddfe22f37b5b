//! The thread that owns a session. All traffic of one connection goes through its loop.
//!
//! The loop waits for the session's socket, for the sockets of forwards, and for commands. Then it gives each forwarded
//! connection and each task (see [`super::tasks`]) a turn. Tasks are futures without a runtime: all are polled in each
//! turn of the loop.

use super::intake::Intake;
use super::link::{Link, Turn};
use super::settle::Line;
use super::tasks;
use crate::ends::{Endpoint, Forward, LocalListener, Stream};
use crate::error::SshError;
use crate::poll::{PollSet, Waker};
use crate::remote::{OnLoss, RunOutput};
use ssh2::{Channel, Listener};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::task::Context;
use std::time::{Duration, Instant};

/// See [`Engine::longest_wait`].
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Timeout of connecting to a program on this host for a connection that came back through a forward.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How many connections may wait at a listener of the host until they are accepted.
const WAITING_MAX: u32 = 1024;
/// Pause before connections are accepted again after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How many keep-alives may stay unanswered.
const UNANSWERED_MAX: u32 = 3;
/// For how many keep-alives a channel may be opened before the host is asked in another way.
const SILENT_OPENING: u32 = 2;
/// The keep-alive: a channel of a type that no host has. The host refuses it, and the refusal is the answer. The usual
/// keep-alive is a global request; libssh2 never takes the answers to those out of its queue, where the next forward
/// would take one for its own.
const KEEP_ALIVE_CHANNEL: &str = "sign-of-life@ipclusterz";
const KEEP_ALIVE_WINDOW: u32 = 1024;

/// The channel for the result of a command.
pub type Reply<T> = Sender<Result<T, SshError>>;

/// What the engine is asked to do.
pub enum Command {
    /// Run a command.
    Run { command: String, input: Vec<u8>, deadline: Instant, reply: Reply<Option<RunOutput>> },
    /// Write a file.
    Upload { path: String, content: Vec<u8>, mode: u32, reply: Reply<()> },
    /// Read a file.
    Download { path: String, reply: Reply<Vec<u8>> },
    /// Forward connections from a listener here to an address there.
    ForwardLocal { id: u64, listener: LocalListener, to: Endpoint },
    /// Forward connections from a port there to an address here; the reply is the port.
    ForwardBack { id: u64, host: String, port: u16, to: Endpoint, reply: Reply<u16> },
    /// End a forward and its connections.
    EndForward { id: u64 },
    /// Connect a socket of this process with an address there.
    Join { to: Endpoint, stream: Stream, reply: Reply<()> },
    /// The result of connecting here, for a connection that came back through a forward.
    Connected { number: u64, result: std::io::Result<Stream> },
    /// Call this when the connection is lost.
    WhenLost(OnLoss),
    /// Disconnect and end the thread.
    End,
}

struct BackForward {
    id: u64,
    to: Endpoint,
    listener: Listener,
}

/// What tasks have opened, for the loop to take over.
#[derive(Default)]
struct Opened {
    links: Vec<Link>,
    backs: Vec<BackForward>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// See the module's documentation.
pub struct Engine {
    line: Rc<Line>,
    host: String,
    intake: Intake,
    commands: Receiver<Command>,
    sender: Sender<Command>,
    waker: Waker,
    keep_alive: Duration,
    /// Whether a keep-alive waits for its answer.
    keep_alive_pending: Rc<Cell<bool>>,
    /// Whether the answer has come. It may come within the call that asked for it, and then the socket does not become
    /// readable.
    keep_alive_answered: Rc<Cell<bool>>,
    /// Whether libssh2's queue has, or will have, an answer that a forward would take for its own.
    stray_answer: bool,
    tasks: Vec<Task>,
    opened: Rc<RefCell<Opened>>,
    locals: Vec<(u64, LocalListener, Endpoint)>,
    links: Vec<Link>,
    /// Channels that came back through forwards, and wait for a connection here.
    incoming: BTreeMap<u64, (u64, Channel)>,
    incoming_count: u64,
    on_loss: Option<OnLoss>,
    /// When to accept connections again.
    accept_from: Option<Instant>,
    ended: bool,
}

impl Engine {
    /// Takes over a session that is authenticated.
    pub fn new(
        line: Line,
        host: String,
        intake: Intake,
        (sender, commands): (Sender<Command>, Receiver<Command>),
        waker: Waker,
        keep_alive: Duration,
    ) -> Self {
        Self {
            line: Rc::new(line),
            host,
            intake,
            commands,
            sender,
            waker,
            keep_alive,
            keep_alive_pending: Rc::default(),
            keep_alive_answered: Rc::default(),
            stray_answer: false,
            tasks: Vec::new(),
            opened: Rc::default(),
            locals: Vec::new(),
            links: Vec::new(),
            incoming: BTreeMap::new(),
            incoming_count: 0,
            on_loss: None,
            accept_from: None,
            ended: false,
        }
    }

    /// Runs the loop until it is told to end or the connection is lost. After a loss, answers every command with the
    /// reason until no sender is left.
    pub fn run(mut self) {
        let mut set = PollSet::default();
        let mut last_heard = Instant::now();
        let mut next_keep_alive = last_heard + self.keep_alive;
        let reason = loop {
            self.handle_commands();
            if self.ended {
                break None;
            }
            self.read_socket();
            let more = self.give_turns();
            if let Some(reason) = self.line.lost() {
                break Some(reason);
            }
            let now = Instant::now();
            if self.keep_alive_answered.take() {
                last_heard = now;
            }
            if now >= next_keep_alive {
                next_keep_alive = now + self.keep_alive;
                if let Err(error) = self.send_keep_alive(now - last_heard) {
                    break Some(error.message().to_owned());
                }
            }
            let silent_until = last_heard + self.keep_alive * UNANSWERED_MAX + self.keep_alive / 2;
            if now >= silent_until {
                break Some(format!("{:.0} s without a sign of life", (now - last_heard).as_secs_f64()));
            }
            let deadline = if more { now } else { next_keep_alive.min(silent_until).min(now + self.longest_wait()) };
            match self.wait(&mut set, deadline) {
                Ok(true) => last_heard = Instant::now(),
                Ok(false) => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        self.close(reason);
    }

    /// Sends a keep-alive, unless one is unanswered. `silent`: how long nothing was heard.
    fn send_keep_alive(&mut self, silent: Duration) -> Result<(), ssh2::Error> {
        if self.keep_alive_pending.get() {
            return Ok(());
        }
        if self.line.is_opening() {
            // libssh2 opens one channel at a time. The answer to that is a sign of life, too, unless it takes long.
            if silent < self.keep_alive * SILENT_OPENING {
                return Ok(());
            }
            self.stray_answer = true;
            self.line.session.set_keepalive(true, 1);
            let sent = self.line.attempt(|| self.line.session.keepalive_send());
            // With an interval set, libssh2 would send more of them by itself, in calls that block.
            self.line.session.set_keepalive(false, 0);
            return sent.map(drop);
        }
        self.keep_alive_pending.set(true);
        let (line, keep_alive_pending, keep_alive_answered) =
            (Rc::clone(&self.line), Rc::clone(&self.keep_alive_pending), Rc::clone(&self.keep_alive_answered));
        self.spawn(async move {
            let ask = || line.session.channel_open(KEEP_ALIVE_CHANNEL, KEEP_ALIVE_WINDOW, KEEP_ALIVE_WINDOW, None);
            // The refusal is the answer.
            let _ = line.settle_opening(ask).await;
            keep_alive_pending.set(false);
            keep_alive_answered.set(true);
        });
        Ok(())
    }

    /// The longest wait. One call may read data from the socket for another one that has already had its turn. Then the
    /// socket does not become readable, and libssh2 does not report it.
    fn longest_wait(&self) -> Duration {
        match (self.tasks.is_empty(), self.links.is_empty()) {
            (false, _) => RETRY_INTERVAL,
            (true, false) => RETRY_INTERVAL * 5,
            (true, true) => self.keep_alive,
        }
    }

    fn handle_commands(&mut self) {
        self.waker.reset();
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.handle(command),
                Err(TryRecvError::Empty) => return,
                // Impossible: this thread has a sender itself.
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    fn handle(&mut self, command: Command) {
        let line = Rc::clone(&self.line);
        let opened = Rc::clone(&self.opened);
        let host = self.host.clone();
        match command {
            Command::Run { command, input, deadline, reply } => self.spawn(async move {
                let result = tasks::run(&line, &command, &input, deadline).await;
                // The caller may have stopped waiting, here and below.
                let _ = reply.send(result.map_err(|error| lost_error(&host, &error.to_string())));
            }),
            Command::Upload { path, content, mode, reply } => self.spawn(async move {
                let _ = reply.send(tasks::upload(&line, &host, &path, &content, mode).await);
            }),
            Command::Download { path, reply } => self.spawn(async move {
                let _ = reply.send(tasks::download(&line, &host, &path).await);
            }),
            Command::ForwardLocal { id, listener, to } => self.locals.push((id, listener, to)),
            Command::ForwardBack { reply, .. } if self.stray_answer => {
                // A new connection does not have that problem.
                let why = "a forward cannot be told apart from a sign of life";
                line.lose(why);
                let _ = reply.send(Err(lost_error(&host, why)));
            }
            Command::ForwardBack { id, host: listen, port, to, reply } => self.spawn(async move {
                let listening = || line.session.channel_forward_listen(port, Some(&listen), Some(WAITING_MAX));
                let result = line.settle_opening(listening).await;
                let _ = reply.send(match result {
                    Ok((listener, port)) => {
                        opened.borrow_mut().backs.push(BackForward { id, to, listener });
                        Ok(port)
                    }
                    Err(error) => {
                        let what = format!("its port {port} to {to}");
                        Err(SshError::Forward { host, what, message: error.message().to_owned() })
                    }
                });
            }),
            Command::EndForward { id } => self.end_forward(id),
            Command::Join { to, stream, reply } => self.spawn(async move {
                let joined = match tasks::open(&line, &to).await {
                    Ok(channel) => Link::new(0, channel, stream).map_err(|error| error.to_string()),
                    Err(error) => Err(error.message().to_owned()),
                };
                let joined = joined.map(|link| opened.borrow_mut().links.push(link));
                let _ = reply.send(joined.map_err(|message| SshError::Connect {
                    host: to.to_string(),
                    message: format!("through {host}: {message}"),
                }));
            }),
            Command::Connected { number, result } => {
                let Some((id, mut channel)) = self.incoming.remove(&number) else { return };
                let link = result.and_then(|stream| Link::new(id, channel.clone(), stream));
                match link {
                    Ok(link) => self.links.push(link),
                    Err(_) => self.spawn(async move {
                        let _ = line.settle(|| channel.close()).await;
                    }),
                }
            }
            Command::WhenLost(tell) => self.on_loss = Some(tell),
            Command::End => self.ended = true,
        }
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.push(Box::pin(task));
    }

    fn end_forward(&mut self, id: u64) {
        self.locals.retain(|(local, ..)| *local != id);
        let line = Rc::clone(&self.line);
        // Dropping a listener tells the host, with a call that blocks.
        line.blocking(|| self.opened.borrow_mut().backs.retain(|back| back.id != id));
        for link in self.links.iter_mut().filter(|link| link.forward == id) {
            link.close();
        }
        let gone: Vec<u64> = self.incoming.iter().filter(|(_, (of, _))| *of == id).map(|(number, _)| *number).collect();
        for number in gone {
            if let Some((_, mut channel)) = self.incoming.remove(&number) {
                let line = Rc::clone(&line);
                self.spawn(async move {
                    let _ = line.settle(|| channel.close()).await;
                });
            }
        }
    }

    /// Lets libssh2 read what has arrived.
    fn read_socket(&mut self) {
        if let Err(error) = self.line.attempt(|| self.intake.read_socket()) {
            self.line.lose(error.message());
        }
    }

    /// Gives every task and connection a turn. Returns whether one of them wants another turn at once.
    fn give_turns(&mut self) -> bool {
        self.accept();
        let mut context = Context::from_waker(std::task::Waker::noop());
        self.tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        self.links.append(&mut self.opened.borrow_mut().links);
        let mut more = false;
        let line = &self.line;
        self.links.retain_mut(|link| match link.turn(line) {
            Turn::Idle => true,
            Turn::More => {
                more = true;
                true
            }
            Turn::Over => false,
        });
        more
    }

    fn accept(&mut self) {
        let mut opening = Vec::new();
        if self.accept_from.is_none_or(|from| Instant::now() >= from) {
            self.accept_from = None;
            for (id, listener, to) in &self.locals {
                loop {
                    match listener.accept() {
                        Ok(Some(stream)) => opening.push((*id, stream, to.clone())),
                        Ok(None) => break,
                        // No descriptors are left: peers wait until there are some.
                        Err(_) => {
                            self.accept_from = Some(Instant::now() + ACCEPT_PAUSE);
                            break;
                        }
                    }
                }
            }
        }
        for (id, stream, to) in opening {
            let (line, opened) = (Rc::clone(&self.line), Rc::clone(&self.opened));
            self.spawn(async move {
                // When the channel cannot be opened, the stream is dropped, which tells the peer.
                if let Ok(channel) = tasks::open(&line, &to).await
                    && let Ok(link) = Link::new(id, channel, stream)
                {
                    opened.borrow_mut().links.push(link);
                }
            });
        }
        let mut opened = self.opened.borrow_mut();
        for back in &mut opened.backs {
            // An error other than EAGAIN also means that there is none.
            while let Ok(Some(channel)) = self.line.attempt(|| back.listener.accept()) {
                self.incoming_count += 1;
                let number = self.incoming_count;
                self.incoming.insert(number, (back.id, channel));
                let (to, sender, waker) = (back.to.clone(), self.sender.clone(), self.waker.clone());
                let connect = move || {
                    let result = to.connect(CONNECT_PATIENCE);
                    if sender.send(Command::Connected { number, result }).is_ok() {
                        waker.wake();
                    }
                };
                let started = std::thread::Builder::new().name("ssh-connect".to_owned()).spawn(connect);
                if let Err(error) = started {
                    let _ = self.sender.send(Command::Connected { number, result: Err(error) });
                }
            }
        }
    }

    /// Waits until there is something to do. Returns whether the session's socket is ready, so that the host has been
    /// heard of.
    fn wait(&mut self, set: &mut PollSet, deadline: Instant) -> std::io::Result<bool> {
        set.clear();
        let socket = set.add(self.line.socket.as_fd(), true, false);
        set.add(self.waker.as_fd(), true, false);
        for (_, listener, _) in &self.locals {
            set.add(listener.as_fd(), self.accept_from.is_none(), false);
        }
        let deadline = self.accept_from.map_or(deadline, |from| deadline.min(from));
        for link in &self.links {
            set.add(link.stream().as_fd(), link.wants_input(), link.wants_output());
        }
        set.wait(Some(deadline))?;
        Ok(set.is_ready(socket))
    }

    /// Ends everything. With a reason, which means a loss, it goes on to answer every command with that.
    fn close(mut self, reason: Option<String>) {
        self.locals.clear();
        let reason = reason.inspect(|reason| {
            if let Some(tell) = self.on_loss.take() {
                tell(reason.clone());
            }
        });
        // Freeing objects of libssh2 may send messages, for which there is a short timeout in milliseconds.
        const CLOSE_TIMEOUT: u32 = 500;
        self.line.session.set_timeout(CLOSE_TIMEOUT);
        if reason.is_some() {
            // Nothing can be sent any more; after this, no call tries to.
            let _ = self.line.socket.shutdown(std::net::Shutdown::Both);
        } else {
            let _ = self.line.attempt(|| self.line.session.disconnect(None, "the end", None));
            let _ = self.line.socket.shutdown(std::net::Shutdown::Both);
        }
        self.links.clear();
        self.incoming.clear();
        self.tasks.clear();
        *self.opened.borrow_mut() = Opened::default();
        let Some(reason) = reason else { return };
        let Self { commands, sender, host, line, intake, .. } = self;
        drop((sender, intake, line));
        while let Ok(command) = commands.recv() {
            let lost = || SshError::Lost { host: host.clone(), reason: reason.clone() };
            match command {
                Command::Run { reply, .. } => drop(reply.send(Err(lost()))),
                Command::Upload { reply, .. } | Command::Join { reply, .. } => drop(reply.send(Err(lost()))),
                Command::Download { reply, .. } => drop(reply.send(Err(lost()))),
                Command::ForwardBack { reply, .. } => drop(reply.send(Err(lost()))),
                Command::WhenLost(tell) => tell(reason.clone()),
                Command::End => return,
                Command::ForwardLocal { .. } | Command::EndForward { .. } | Command::Connected { .. } => {}
            }
        }
    }
}

fn lost_error(host: &str, message: &str) -> SshError {
    SshError::Lost { host: host.to_owned(), reason: message.to_owned() }
}

/// Makes the handle of a forward; dropping it tells the engine to end the forward.
pub fn forward(listens: Endpoint, id: u64, sender: Sender<Command>, waker: Waker) -> Forward {
    Forward::new(listens, move || {
        if sender.send(Command::EndForward { id }).is_ok() {
            waker.wake();
        }
    })
}
