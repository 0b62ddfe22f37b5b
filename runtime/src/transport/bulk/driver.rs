//! The thread that moves what goes over bulk connections. It encrypts and decrypts, so that neither libzmq's thread nor the one
//! of the session does.

use super::connection::{Broken, Connection};
use super::inbox::{Inbox, Parcel, Shelf};
use super::outbox::Outbox;
use super::payload::Payload;
use super::secure::Ticket;
use super::sockets::{round_trip, watch_over};
use super::thrift::Thrift;
use crate::transport::wake::Waker;
use crate::wire::Frame;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Names a link within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// How payloads travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// What protects them.
    pub payload: Payload,
    /// They may be compressed where the link is slow.
    pub compress: bool,
}

/// What a link is to be.
#[derive(Debug, Clone)]
pub struct LinkPlan {
    /// How it is recognised, and its key.
    pub ticket: Ticket,
    /// How payloads travel.
    pub manner: Manner,
    /// Where large parcels are kept that come in.
    pub shelf: Option<Shelf>,
}

/// What the thread is told.
pub(super) enum Command {
    /// Connect.
    Dial(LinkId, LinkPlan, SocketAddr),
    /// Somebody has connected, and sent this preamble.
    Answer(LinkId, LinkPlan, TcpStream, Vec<u8>),
    /// Send a parcel.
    Send(LinkId, u64, Frame),
    /// Close it. Nothing more is told of it.
    Close(LinkId),
    /// End, when all is sent or this time is over.
    End(Duration),
}

/// What the thread tells.
#[derive(Debug)]
pub enum BulkEvent {
    /// A link stands: parcels may be sent.
    Up(LinkId),
    /// A parcel is here.
    Parcel(LinkId, u64, Parcel),
    /// A link that stood has broken, or one that was dialled could not be made; and why.
    Down(LinkId, String),
}

/// What was sent and not written has so long when a process is done with it.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// A handshake takes so long at most.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(8);
/// How often is looked for handshakes that take too long.
const LOOK: Duration = Duration::from_secs(1);
/// Most connections of a link.
const CONNECTIONS_MAX: usize = 8;
/// Over a way that takes so long there and back, one connection is not enough to fill it: the kernel keeps no more than some
/// megabytes of each under way.
const FAR: Duration = Duration::from_millis(1);
const WAKE: Token = Token(usize::MAX);

/// The thread, as others see it. It ends with this.
#[derive(Debug)]
pub struct Driver {
    orders: Orders,
    events: Arc<News>,
    thread: Option<JoinHandle<()>>,
}

/// Where orders for the thread go.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    commands: Sender<Command>,
    waker: Arc<mio::Waker>,
}

impl Orders {
    pub fn give(&self, command: Command) {
        // A thread that has ended by a bug does nothing more, and what was to be sent will be sent again elsewhere.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// What was told and not read, and who waits for it.
#[derive(Debug)]
struct News {
    told: Mutex<Vec<BulkEvent>>,
    /// Something was told since it was read.
    any: AtomicBool,
    waker: Arc<Waker>,
}

impl Driver {
    /// Starts the thread. It wakes `waker` when it has told something.
    pub fn start(waker: Arc<Waker>) -> io::Result<Driver> {
        let poll = Poll::new()?;
        let wake = Arc::new(mio::Waker::new(poll.registry(), WAKE)?);
        let (commands, orders) = mpsc::channel();
        let events = Arc::new(News { told: Mutex::new(Vec::new()), any: AtomicBool::new(false), waker });
        let told = Arc::clone(&events);
        let thread = std::thread::Builder::new().name("bulk".to_owned()).spawn(move || {
            crate::system::block_all_signals();
            Thread::new(poll, orders, told).run();
        })?;
        Ok(Driver { orders: Orders { commands, waker: wake }, events, thread: Some(thread) })
    }

    pub(super) fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Begins to connect a link.
    pub fn dial(&self, link: LinkId, plan: LinkPlan, address: SocketAddr) {
        self.orders.give(Command::Dial(link, plan, address));
    }

    /// Sends a parcel, unless the link is gone.
    pub fn send(&self, link: LinkId, parcel: u64, frame: Frame) {
        self.orders.give(Command::Send(link, parcel, frame));
    }

    /// Closes a link, with what was not sent.
    pub fn close(&self, link: LinkId) {
        self.orders.give(Command::Close(link));
    }

    /// What was told since the last call.
    pub fn events(&self) -> Vec<BulkEvent> {
        if !self.events.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.events.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is anything in [`Self::events`].
    pub fn has_events(&self) -> bool {
        self.events.any.load(Ordering::Acquire)
    }

    /// Waits until what was given is sent, so long at most, and ends the thread.
    pub fn finish(&mut self, patience: Duration) {
        self.orders.give(Command::End(patience));
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong, if anything did.
            let _ = thread.join();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

struct Link {
    plan: LinkPlan,
    /// Where more connections can be made, for who dials.
    address: Option<SocketAddr>,
    outbox: Outbox,
    thrift: Thrift,
    inbox: Inbox,
    connections: Vec<Token>,
    up: bool,
}

struct Thread {
    poll: Poll,
    orders: Receiver<Command>,
    told: Arc<News>,
    links: HashMap<LinkId, Link>,
    connections: BTreeMap<Token, (LinkId, Connection)>,
    next: usize,
    /// When to end.
    end: Option<Instant>,
}

impl Thread {
    fn new(poll: Poll, orders: Receiver<Command>, told: Arc<News>) -> Thread {
        Thread { poll, orders, told, links: HashMap::new(), connections: BTreeMap::new(), next: 0, end: None }
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!("bulk connections cannot be waited for: {error}");
                return;
            }
            for event in &events {
                if let Some((_, connection)) = self.connections.get_mut(&event.token()) {
                    let (read, write) = (event.is_readable() || event.is_error(), event.is_writable());
                    connection.may(read || event.is_read_closed(), write);
                }
            }
            let goes_on = self.take_orders();
            self.serve();
            if !goes_on || self.is_over() {
                return;
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        if self.connections.values().any(|(_, connection)| connection.has_more()) {
            return Some(Duration::ZERO);
        }
        let shaking = self.connections.values().any(|(_, connection)| !connection.is_standing());
        let end = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        end.into_iter().chain(shaking.then_some(LOOK)).min()
    }

    /// Whether the end has come: all is sent, or was not in time.
    fn is_over(&self) -> bool {
        let sent = || {
            self.links.values().all(|link| link.outbox.is_empty())
                && self.connections.values().all(|(_, connection)| connection.is_idle())
        };
        self.end.is_some_and(|end| Instant::now() >= end || sent())
    }

    /// Does what was ordered; false when nobody will order anything more.
    fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Command::Dial(link, plan, address)) => {
                    self.link(link, plan).address = Some(address);
                    self.dial(link);
                }
                Ok(Command::Answer(link, plan, stream, preamble)) => self.answer(link, plan, stream, &preamble),
                Ok(Command::Send(link, parcel, frame)) => {
                    if let Some(link) = self.links.get_mut(&link) {
                        link.outbox.push(parcel, frame);
                    }
                }
                Ok(Command::Close(link)) => self.close(link),
                Ok(Command::End(patience)) => self.end = Some(Instant::now() + patience),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return self.end.is_some(),
            }
        }
    }

    fn link(&mut self, id: LinkId, plan: LinkPlan) -> &mut Link {
        self.links.entry(id).or_insert_with(|| Link {
            inbox: Inbox::new(plan.shelf.clone()),
            thrift: Thrift::new(plan.manner.compress),
            plan,
            address: None,
            outbox: Outbox::default(),
            connections: Vec::new(),
            up: false,
        })
    }

    /// Makes another connection of a link.
    fn dial(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let Some(address) = link.address else { return };
        let connection = TcpStream::connect(address)
            .map_err(Broken::from)
            .and_then(|stream| Connection::dial(stream, &link.plan.ticket, link.plan.manner.payload));
        match connection {
            Ok(connection) => self.add(id, connection),
            Err(error) => self.broke(id, &error),
        }
    }

    fn answer(&mut self, id: LinkId, plan: LinkPlan, stream: TcpStream, preamble: &[u8]) {
        let link = self.link(id, plan);
        if link.connections.len() >= CONNECTIONS_MAX {
            return;
        }
        match Connection::answer(stream, &link.plan.ticket, preamble, link.plan.manner.payload) {
            Ok(connection) => self.add(id, connection),
            Err(error) => tracing::warn!("a bulk connection was refused: {error}"),
        }
    }

    fn add(&mut self, id: LinkId, mut connection: Connection) {
        let token = Token(self.next);
        self.next = self.next.wrapping_add(1);
        watch_over(connection.stream.as_raw_fd());
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut connection.stream, token, both) {
            return self.broke(id, &error.into());
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.connections.push(token);
            self.connections.insert(token, (id, connection));
        }
    }

    /// Has each connection read and write what it can.
    fn serve(&mut self) {
        let mut told = Vec::new();
        let busy = self.links.values().filter(|link| !link.outbox.is_empty()).count();
        let (mut broken, mut stands) = (Vec::new(), Vec::new());
        for (token, (id, connection)) in &mut self.connections {
            let Some(link) = self.links.get_mut(id) else { continue };
            let (stood, mut parcels) = (connection.is_standing(), Vec::new());
            let mut result = connection.read(&mut link.inbox, &mut parcels);
            if result.is_ok() {
                result = connection.write(&mut link.outbox, &mut link.thrift, busy);
            }
            if link.outbox.is_empty() && connection.is_idle() {
                link.thrift.idle();
            }
            if !stood && connection.is_standing() {
                stands.push((*id, connection.stream.as_raw_fd()));
                if !std::mem::replace(&mut link.up, true) {
                    told.push(BulkEvent::Up(*id));
                }
            }
            told.extend(parcels.into_iter().map(|(parcel, frame)| BulkEvent::Parcel(*id, parcel, frame)));
            match result {
                Err(error) => broken.push((*token, *id, connection.is_standing(), error.to_string())),
                Ok(()) if !connection.is_standing() && connection.since.elapsed() > HANDSHAKE => {
                    broken.push((*token, *id, false, "nobody answers".to_owned()));
                }
                Ok(()) => {}
            }
        }
        self.tell(told);
        for (token, id, stood, why) in broken {
            self.connections.remove(&token);
            if let Some(link) = self.links.get_mut(&id) {
                link.connections.retain(|other| *other != token);
                if stood || !link.up {
                    self.down(id, stood, why);
                }
            }
        }
        for (id, socket) in stands {
            self.widen(id, socket);
        }
    }

    /// Has the first connection of a link over a far way followed by others.
    fn widen(&mut self, id: LinkId, socket: RawFd) {
        let first = self.links.get(&id).is_some_and(|link| link.connections.len() == 1 && link.address.is_some());
        if first && round_trip(socket).is_some_and(|time| time >= FAR) {
            (1..CONNECTIONS_MAX).for_each(|_| self.dial(id));
        }
    }

    /// A connection could not be made, or has ended.
    fn broke(&mut self, id: LinkId, error: &Broken) {
        if self.links.get(&id).is_some_and(|link| link.connections.is_empty()) {
            self.down(id, false, error.to_string());
        }
    }

    /// What was under way on a connection that stood is lost: so all of its link ends.
    fn down(&mut self, id: LinkId, stood: bool, why: String) {
        let dialled = self.links.get(&id).is_some_and(|link| link.address.is_some());
        if stood || dialled {
            self.close(id);
            self.tell(vec![BulkEvent::Down(id, why)]);
        }
    }

    fn close(&mut self, id: LinkId) {
        for token in self.links.remove(&id).into_iter().flat_map(|link| link.connections) {
            // Closing the socket takes it out of the set.
            self.connections.remove(&token);
        }
    }

    fn tell(&self, news: Vec<BulkEvent>) {
        if !news.is_empty() {
            self.told.told.lock().unwrap_or_else(PoisonError::into_inner).extend(news);
            self.told.any.store(true, Ordering::Release);
            self.told.waker.wake();
        }
    }
}
