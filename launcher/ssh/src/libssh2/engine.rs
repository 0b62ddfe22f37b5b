//! The thread that owns a session: everything that goes over one connection goes through its loop.
//!
//! It waits for the session's socket, for the sockets of forwards, and for commands; then it gives each connection and
//! each task (see [`super::tasks`]) its turn. Tasks are futures without any runtime: polled when something has come in.

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

/// See [`Engine::look_again`].
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// For a program on this host to take a connection that came back through a forward.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Connections that may wait at a listener of the host until they are accepted.
const WAITING_MAX: u32 = 1024;
/// Before connections are accepted again after that has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Signs of life that may stay unanswered.
const SILENT_MAX: u32 = 3;
/// A kind of channel that no host has: it is refused, which is an answer. The usual sign of life is a global request, and
/// libssh2 never takes the answers to these out of its queue, where the next forward takes one for its own.
const SIGN_OF_LIFE: &str = "sign-of-life@ipclusterz";
const SIGN_WINDOW: u32 = 1024;

/// Where a result is to go.
pub type Reply<T> = Sender<Result<T, SshError>>;

/// What the engine is asked to do.
pub enum Command {
    /// Run a command.
    Run { command: String, input: Vec<u8>, deadline: Instant, reply: Reply<Option<RunOutput>> },
    /// Write a file.
    Upload { path: String, content: Vec<u8>, mode: u32, reply: Reply<()> },
    /// Read a file.
    Download { path: String, reply: Reply<Vec<u8>> },
    /// Carry connections from here to there.
    ForwardLocal { id: u64, listener: LocalListener, to: Endpoint },
    /// Carry connections from a port there to here; the reply is the port.
    ForwardBack { id: u64, host: String, port: u16, to: Endpoint, reply: Reply<u16> },
    /// End a forward and its connections.
    EndForward { id: u64 },
    /// Join a socket of this process with a connection from there.
    Join { to: Endpoint, stream: Stream, reply: Reply<()> },
    /// Somebody here has taken a connection that came back, or not.
    Connected { number: u64, result: std::io::Result<Stream> },
    /// Call this when the connection is lost.
    WhenLost(OnLoss),
    /// Say goodbye and end.
    End,
}

struct BackForward {
    id: u64,
    to: Endpoint,
    listener: Listener,
}

/// What tasks leave for the loop.
#[derive(Default)]
struct Made {
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
    /// A sign of life waits for its answer.
    asking: Rc<Cell<bool>>,
    /// It has come: perhaps in the call that asked for it, and then the socket had nothing to tell.
    answered: Rc<Cell<bool>>,
    /// There is, or will be, an answer in libssh2's queue that a forward would take for its own.
    confused: bool,
    tasks: Vec<Task>,
    made: Rc<RefCell<Made>>,
    locals: Vec<(u64, LocalListener, Endpoint)>,
    links: Vec<Link>,
    /// Channels that came back and wait for somebody here.
    arriving: BTreeMap<u64, (u64, Channel)>,
    arrived: u64,
    on_loss: Option<OnLoss>,
    /// When to accept connections again.
    accept_from: Option<Instant>,
    ended: bool,
}

impl Engine {
    /// For a session that is let in.
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
            asking: Rc::default(),
            answered: Rc::default(),
            confused: false,
            tasks: Vec::new(),
            made: Rc::default(),
            locals: Vec::new(),
            links: Vec::new(),
            arriving: BTreeMap::new(),
            arrived: 0,
            on_loss: None,
            accept_from: None,
            ended: false,
        }
    }

    /// Works until it is told to end or the connection is lost; then says why to whoever asks, until nobody can any more.
    pub fn run(mut self) {
        let mut set = PollSet::default();
        let mut last_heard = Instant::now();
        let mut next_sign = last_heard + self.keep_alive;
        let reason = loop {
            self.take_commands();
            if self.ended {
                break None;
            }
            self.take_in();
            let more = self.work();
            if let Some(reason) = self.line.lost() {
                break Some(reason);
            }
            let now = Instant::now();
            if self.answered.take() {
                last_heard = now;
            }
            if now >= next_sign {
                next_sign = now + self.keep_alive;
                if let Err(error) = self.give_sign() {
                    break Some(error.message().to_owned());
                }
            }
            let silent_until = last_heard + self.keep_alive * SILENT_MAX + self.keep_alive / 2;
            if now >= silent_until {
                break Some(format!("{:.0} s without a sign of life", (now - last_heard).as_secs_f64()));
            }
            let deadline = if more { now } else { next_sign.min(silent_until).min(now + self.look_again()) };
            match self.wait(&mut set, deadline) {
                Ok(true) => last_heard = Instant::now(),
                Ok(false) => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        self.close(reason);
    }

    /// Asks for a sign of life, unless one is awaited already.
    fn give_sign(&mut self) -> Result<(), ssh2::Error> {
        if self.asking.get() {
            return Ok(());
        }
        if self.line.is_opening() {
            // One at a time; and what is being opened may take its time.
            self.confused = true;
            self.line.session.set_keepalive(true, 1);
            let sent = self.line.attempt(|| self.line.session.keepalive_send());
            // While there is an interval libssh2 sends more of them by itself, in calls that block.
            self.line.session.set_keepalive(false, 0);
            return sent.map(drop);
        }
        self.asking.set(true);
        let (line, asking, answered) = (Rc::clone(&self.line), Rc::clone(&self.asking), Rc::clone(&self.answered));
        self.spawn(async move {
            let ask = || line.session.channel_open(SIGN_OF_LIFE, SIGN_WINDOW, SIGN_WINDOW, None);
            // The refusal is the answer.
            let _ = line.settle_opening(ask).await;
            asking.set(false);
            answered.set(true);
        });
        Ok(())
    }

    /// How long to wait at most. What one call reads from the socket may be for another that has had its turn already,
    /// and then the socket has nothing to tell; libssh2 does not say when that is so.
    fn look_again(&self) -> Duration {
        match (self.tasks.is_empty(), self.links.is_empty()) {
            (false, _) => LOOK_AGAIN,
            (true, false) => LOOK_AGAIN * 5,
            (true, true) => self.keep_alive,
        }
    }

    fn take_commands(&mut self) {
        self.waker.reset();
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.take(command),
                Err(TryRecvError::Empty) => return,
                // Cannot be: this thread has a sender itself.
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        let line = Rc::clone(&self.line);
        let made = Rc::clone(&self.made);
        let host = self.host.clone();
        match command {
            Command::Run { command, input, deadline, reply } => self.spawn(async move {
                let result = tasks::run(&line, &command, &input, deadline).await;
                // Whoever asked may have stopped waiting; so everywhere below.
                let _ = reply.send(result.map_err(|error| trouble(&host, &error.to_string())));
            }),
            Command::Upload { path, content, mode, reply } => self.spawn(async move {
                let _ = reply.send(tasks::upload(&line, &host, &path, &content, mode).await);
            }),
            Command::Download { path, reply } => self.spawn(async move {
                let _ = reply.send(tasks::download(&line, &host, &path).await);
            }),
            Command::ForwardLocal { id, listener, to } => self.locals.push((id, listener, to)),
            Command::ForwardBack { reply, .. } if self.confused => {
                // A new connection is not.
                let why = "a forward cannot be told apart from a sign of life";
                line.lose(why);
                let _ = reply.send(Err(trouble(&host, why)));
            }
            Command::ForwardBack { id, host: listen, port, to, reply } => self.spawn(async move {
                let listening = || line.session.channel_forward_listen(port, Some(&listen), Some(WAITING_MAX));
                let result = line.settle_opening(listening).await;
                let _ = reply.send(match result {
                    Ok((listener, port)) => {
                        made.borrow_mut().backs.push(BackForward { id, to, listener });
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
                let joined = joined.map(|link| made.borrow_mut().links.push(link));
                let _ = reply.send(joined.map_err(|message| SshError::Connect {
                    host: to.to_string(),
                    message: format!("through {host}: {message}"),
                }));
            }),
            Command::Connected { number, result } => {
                let Some((id, mut channel)) = self.arriving.remove(&number) else { return };
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
        // Dropping a listener tells the host, in one go.
        line.blocking(|| self.made.borrow_mut().backs.retain(|back| back.id != id));
        for link in self.links.iter_mut().filter(|link| link.forward == id) {
            link.close();
        }
        let gone: Vec<u64> = self.arriving.iter().filter(|(_, (of, _))| *of == id).map(|(number, _)| *number).collect();
        for number in gone {
            if let Some((_, mut channel)) = self.arriving.remove(&number) {
                let line = Rc::clone(&line);
                self.spawn(async move {
                    let _ = line.settle(|| channel.close()).await;
                });
            }
        }
    }

    /// Has libssh2 read what has come in.
    fn take_in(&mut self) {
        if let Err(error) = self.line.attempt(|| self.intake.take_in()) {
            self.line.lose(error.message());
        }
    }

    /// Gives everybody a turn; whether somebody wants another one at once.
    fn work(&mut self) -> bool {
        self.accept();
        let mut context = Context::from_waker(std::task::Waker::noop());
        self.tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        self.links.append(&mut self.made.borrow_mut().links);
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
                        // No descriptors are left: who connects waits until there are.
                        Err(_) => {
                            self.accept_from = Some(Instant::now() + ACCEPT_PAUSE);
                            break;
                        }
                    }
                }
            }
        }
        for (id, stream, to) in opening {
            let (line, made) = (Rc::clone(&self.line), Rc::clone(&self.made));
            self.spawn(async move {
                // When it cannot be opened the stream is dropped, which tells the peer.
                if let Ok(channel) = tasks::open(&line, &to).await
                    && let Ok(link) = Link::new(id, channel, stream)
                {
                    made.borrow_mut().links.push(link);
                }
            });
        }
        let mut made = self.made.borrow_mut();
        for back in &mut made.backs {
            // An error that is not EAGAIN stands for "none" as well.
            while let Ok(Some(channel)) = self.line.attempt(|| back.listener.accept()) {
                self.arrived += 1;
                let number = self.arrived;
                self.arriving.insert(number, (back.id, channel));
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

    /// Waits until there is something to do; whether the host has been heard of.
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

    /// Ends everything. With a reason, goes on to tell it to whoever asks for something.
    fn close(mut self, reason: Option<String>) {
        self.locals.clear();
        let reason = reason.inspect(|reason| {
            if let Some(tell) = self.on_loss.take() {
                tell(reason.clone());
            }
        });
        // What libssh2 frees may want to say goodbye, for which there is a short while.
        const GOODBYE: u32 = 500;
        self.line.session.set_timeout(GOODBYE);
        if reason.is_some() {
            // Nothing can be sent any more, and nothing will try.
            let _ = self.line.socket.shutdown(std::net::Shutdown::Both);
        } else {
            let _ = self.line.attempt(|| self.line.session.disconnect(None, "the end", None));
            let _ = self.line.socket.shutdown(std::net::Shutdown::Both);
        }
        self.links.clear();
        self.arriving.clear();
        self.tasks.clear();
        *self.made.borrow_mut() = Made::default();
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

fn trouble(host: &str, message: &str) -> SshError {
    SshError::Lost { host: host.to_owned(), reason: message.to_owned() }
}

/// A forward whose end is told to the engine.
pub fn forward(listens: Endpoint, id: u64, sender: Sender<Command>, waker: Waker) -> Forward {
    Forward::new(listens, move || {
        if sender.send(Command::EndForward { id }).is_ok() {
            waker.wake();
        }
    })
}
