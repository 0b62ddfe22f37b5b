//! The TCP port of a controller: what comes in is either a bulk connection, which begins with `secure::MAGIC`, or libzmq's.
//!
//! A thread accepts connections and looks at their first byte. What is not a bulk connection it hands to libzmq unread, through a
//! socket (see the patch on handing over in third-party/zeromq-src), which admits or turns away as ever; so does who says
//! nothing for a moment.

use super::driver::{Command, Driver, HANDSHAKE, LinkId, LinkPlan, Orders};
use super::secure::{self, MAGIC, PREAMBLE};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who says nothing for so long is libzmq's.
const SILENCE: Duration = Duration::from_millis(500);
/// Most connections of which the first byte is waited for; the oldest are libzmq's.
const WAITING_MAX: usize = 64;
/// How long nobody is accepted where there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 4096;
const LISTENER: Token = Token(0);
const WAKE: Token = Token(1);
const FIRST: usize = 2;

type Expected = HashMap<[u8; 16], (LinkId, LinkPlan, Orders)>;

/// See the file.
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    expected: Arc<Mutex<Expected>>,
    closed: Arc<AtomicBool>,
    waker: mio::Waker,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens at `address` (`HOST:PORT`). The socket through which libzmq gets its connections comes with it.
    pub fn open(address: &str) -> io::Result<(Door, OwnedFd)> {
        let (own, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )?;
        let mut listener = listen(address)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (expected, closed) = (Arc::<Mutex<Expected>>::default(), Arc::new(AtomicBool::new(false)));
        let mut keeper = Keeper {
            poll,
            listener,
            hand: own,
            expected: Arc::clone(&expected),
            closed: Arc::clone(&closed),
            waiting: BTreeMap::new(),
            next: FIRST,
            paused: false,
        };
        let thread = std::thread::Builder::new().name("door".to_owned()).spawn(move || {
            crate::system::block_all_signals();
            keeper.run();
        })?;
        Ok((Door { address, expected, closed, waker, thread: Some(thread) }, theirs))
    }

    /// Somebody may come with this link's ticket; the link is to be this thread's.
    pub fn expect(&self, link: LinkId, plan: LinkPlan, driver: &Driver) {
        let orders = driver.orders();
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.insert(plan.ticket.id, (link, plan, orders));
    }

    /// Nobody may any more.
    pub(super) fn forget(&self, ticket: &[u8; 16]) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).remove(ticket);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// At the first of the name's addresses that can be listened at.
fn listen(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    let any = address.strip_prefix("*:").map(|port| format!("[::]:{port}"));
    for address in any.as_deref().unwrap_or(address).to_socket_addrs()? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Of which it is not known yet what it is.
struct Waiting {
    stream: TcpStream,
    since: Instant,
    preamble: Vec<u8>,
}

enum Kind {
    Unknown,
    Libzmq,
    Bulk,
    Gone,
}

struct Keeper {
    poll: Poll,
    listener: TcpListener,
    hand: OwnedFd,
    expected: Arc<Mutex<Expected>>,
    closed: Arc<AtomicBool>,
    waiting: BTreeMap<Token, Waiting>,
    next: usize,
    /// Descriptors were short a moment ago.
    paused: bool,
}

impl Keeper {
    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        while !self.closed.load(Ordering::SeqCst) {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!("connections cannot be waited for: {error}");
                return;
            }
            let ready: Vec<Token> = events.iter().map(mio::event::Event::token).collect();
            for token in ready {
                if token.0 >= FIRST {
                    self.look(token);
                }
            }
            // Edges are told once: those that were not accepted in a pause are still there.
            self.accept();
            self.sort_out();
        }
    }

    fn accept(&mut self) {
        self.paused = false;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.wait_for(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_short(&error) => return self.make_room(),
                // Of a connection that has ended before it was accepted.
                Err(_) => {}
            }
        }
    }

    /// The oldest that says nothing goes; or libzmq is told, which knows others that may go.
    fn make_room(&mut self) {
        self.paused = true;
        if self.waiting.pop_first().is_none() {
            let _ = rustix::net::send(&self.hand, &[0], SendFlags::NOSIGNAL);
        }
    }

    fn wait_for(&mut self, mut stream: TcpStream) {
        let token = Token(self.next);
        self.next = self.next.wrapping_add(1).max(FIRST);
        if self.poll.registry().register(&mut stream, token, Interest::READABLE).is_err() {
            self.hand_over(&stream);
            return;
        }
        self.waiting.insert(token, Waiting { stream, since: Instant::now(), preamble: Vec::new() });
        self.look(token);
    }

    /// Finds out what a connection is, if that can be known now.
    fn look(&mut self, token: Token) {
        let kind = self.waiting.get_mut(&token).map_or(Kind::Unknown, Waiting::kind);
        if matches!(kind, Kind::Unknown) {
            return;
        }
        let Some(mut known) = self.waiting.remove(&token) else { return };
        let _ = self.poll.registry().deregister(&mut known.stream);
        match kind {
            Kind::Libzmq => self.hand_over(&known.stream),
            Kind::Bulk => self.pass_on(known),
            Kind::Unknown | Kind::Gone => {}
        }
    }

    /// Those that have taken too long, or are too many.
    fn sort_out(&mut self) {
        let many = self.waiting.len().saturating_sub(WAITING_MAX);
        let is_late = |(place, (_, waiting)): &(usize, (&Token, &Waiting))| {
            *place < many || waiting.since.elapsed() >= waiting.patience()
        };
        let late: Vec<Token> = self.waiting.iter().enumerate().filter(is_late).map(|(_, (token, _))| *token).collect();
        for token in late {
            let Some(mut late) = self.waiting.remove(&token) else { return };
            let _ = self.poll.registry().deregister(&mut late.stream);
            if late.preamble.is_empty() {
                self.hand_over(&late.stream);
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let left = |waiting: &Waiting| (waiting.since + waiting.patience()).saturating_duration_since(Instant::now());
        self.paused.then_some(PAUSE).or_else(|| self.waiting.values().map(left).min())
    }

    fn hand_over(&self, stream: &TcpStream) {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut room);
        let descriptors: [BorrowedFd<'_>; 1] = [stream.as_fd()];
        with.push(SendAncillaryMessage::ScmRights(&descriptors));
        // It fails when libzmq's end is closed, as everything is at the end.
        let _ = rustix::net::sendmsg(&self.hand, &[IoSlice::new(&[1])], &mut with, SendFlags::NOSIGNAL);
    }

    fn pass_on(&self, known: Waiting) {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let found = secure::named(&known.preamble).and_then(|id| expected.get(&id));
        match found {
            Some((link, plan, orders)) => {
                orders.give(Command::Answer(*link, plan.clone(), known.stream, known.preamble));
            }
            None => tracing::debug!("a bulk connection of nobody who was let in"),
        }
    }
}

fn is_short(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

impl Waiting {
    fn patience(&self) -> Duration {
        if self.preamble.is_empty() { SILENCE } else { HANDSHAKE }
    }

    fn kind(&mut self) -> Kind {
        if self.preamble.is_empty() {
            let mut first = [0];
            match self.stream.peek(&mut first) {
                Ok(1..) if first.first() == MAGIC.first() => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Kind::Unknown,
                // Another protocol, or nothing: libzmq counts those that are turned away.
                Ok(_) | Err(_) => return Kind::Libzmq,
            }
        }
        let mut rest = [0; PREAMBLE];
        while self.preamble.len() < PREAMBLE {
            let room = rest.get_mut(self.preamble.len()..).unwrap_or_default();
            match self.stream.read(room) {
                Ok(0) => return Kind::Gone,
                Ok(bytes) => self.preamble.extend_from_slice(room.get(..bytes).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Kind::Unknown,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Kind::Gone,
            }
        }
        Kind::Bulk
    }
}
