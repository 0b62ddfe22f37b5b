//! Bytes that go straight from one process of a user to others, on other hosts, over connections that they alone can open.
//!
//! One of them listens, for a while, and the others dial it: all have the same [`Ticket`], which they were told in messages that
//! came from the cluster. What then goes over a connection is the caller's; [`send_frames`] and [`receive_frames`] are for payloads.
//!
//! # Format of payloads
//!
//! Records of [`Sealed`]. Whoever wants the payload sends an empty one: it has dialled several addresses, and wants it once. What
//! comes are the number of frames, the length of each, eight bytes each, big end first, and then the frames, one after the other.
//! Whoever has them all sends another empty one.

use super::bulk::sealed::{PLAIN_MAX, Sealed};
use super::bulk::secure::Ticket;
use crate::system::{deadline, zeroed_bytes};
use crate::wire::Frame;
use ipclusterz_base::addresses;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{Shutdown, shutdown};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Longest silence of the other side.
const SILENCE: Duration = Duration::from_secs(20);
/// How long one that connects may take to prove that it has the key.
const PROOF: Duration = Duration::from_secs(8);
/// Most connections at once, strangers among them.
const CONNECTIONS: usize = 256;
/// How long is waited where there are no descriptors for a moment.
const SHORT: Duration = Duration::from_millis(100);
/// Most frames of a payload.
const FRAMES_MAX: u64 = 1 << 20;

/// A port at which something can be had.
pub struct Giver {
    listener: TcpListener,
    port: u16,
}

/// A giver's end: when nobody comes any more, or when it was said to be enough.
struct Open {
    listener: TcpListener,
    until: Option<Instant>,
    connections: AtomicUsize,
    enough: AtomicBool,
}

impl Giver {
    /// Takes a port of this host.
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How other hosts may reach it.
    pub fn addresses(&self) -> Vec<String> {
        addresses::of_this_host().into_iter().map(|host| format!("{host}:{}", self.port)).collect()
    }

    /// Has `give` called, in a thread each, for all who come and have the ticket: for so long, and until it says that it was
    /// enough.
    pub fn give<F>(self, ticket: Ticket, time: Option<Duration>, give: F) -> io::Result<()>
    where
        F: Fn(&mut Sealed<TcpStream>) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
    {
        // For accept, too.
        set_socket_timeout(&self.listener, Timeout::Recv, time)?;
        let until = time.and_then(|time| Instant::now().checked_add(time));
        let open =
            Open { listener: self.listener, until, connections: AtomicUsize::new(0), enough: AtomicBool::new(false) };
        let shared = Arc::new((open, ticket, give));
        thread("giver", move || {
            while shared.0.goes_on() {
                match shared.0.listener.accept() {
                    Ok((stream, _)) => serve(&shared, stream),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) if shared.0.goes_on() => std::thread::sleep(SHORT),
                    Err(_) => {}
                }
            }
        })
    }
}

impl Open {
    fn goes_on(&self) -> bool {
        !self.enough.load(Ordering::Acquire) && self.until.is_none_or(|until| Instant::now() < until)
    }

    fn end(&self) {
        self.enough.store(true, Ordering::Release);
        // Wakes whoever accepts.
        let _ = shutdown(&self.listener, Shutdown::Both);
    }
}

type Shared<F> = Arc<(Open, Ticket, F)>;

fn serve<F>(shared: &Shared<F>, stream: TcpStream)
where
    F: Fn(&mut Sealed<TcpStream>) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
{
    let open = &shared.0;
    if open.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
        open.connections.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let served = Arc::clone(shared);
    let begun = thread("given", move || {
        let (open, ticket, give) = &*served;
        // Who asked tries another way, and says why.
        if let Ok(ControlFlow::Break(())) = accept(stream, ticket).and_then(|mut sealed| give(&mut sealed)) {
            open.end();
        }
        open.connections.fetch_sub(1, Ordering::Relaxed);
    });
    if begun.is_err() {
        open.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn accept(stream: TcpStream, ticket: &Ticket) -> io::Result<Sealed<TcpStream>> {
    stream.set_nodelay(true)?;
    patient(&stream, PROOF)?;
    let quiet = stream.try_clone()?;
    let sealed = Sealed::accept(stream, ticket)?;
    patient(&quiet, SILENCE)?;
    Ok(sealed)
}

fn patient(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

/// The first connection that is made, of those to all addresses. One of them may be another host's, seen from here.
pub fn reach(addresses: &[String], ticket: &Ticket, patience: Duration) -> io::Result<Sealed<TcpStream>> {
    let deadline = deadline(patience);
    let (sender, made) = channel();
    for address in addresses {
        let (address, ticket, sender) = (address.clone(), ticket.clone(), sender.clone());
        thread("reach", move || connect(&address, &ticket, patience, &sender))?;
    }
    drop(sender);
    let mut reason = io::Error::other("it has no addresses");
    while let Ok(result) = made.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        match result {
            Ok(sealed) => return Ok(sealed),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

fn connect(address: &str, ticket: &Ticket, patience: Duration, made: &Sender<io::Result<Sealed<TcpStream>>>) {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let one = |socket| {
        let stream = TcpStream::connect_timeout(&socket, patience)?;
        patient(&stream, patience)?;
        stream.set_nodelay(true)?;
        let sealed = Sealed::dial(stream.try_clone()?, ticket)?;
        patient(&stream, SILENCE)?;
        Ok(sealed)
    };
    // Whoever asked may have another one, or have given up.
    match address.to_socket_addrs() {
        Err(error) => drop(made.send(Err(about(error)))),
        Ok(sockets) => sockets.for_each(|socket| drop(made.send(one(socket).map_err(about)))),
    }
}

/// Sends a payload to whoever is at the other end, if that wants it; returns when that has it.
pub fn send_frames<F: AsRef<[u8]>>(sealed: &mut Sealed<TcpStream>, frames: &[F]) -> io::Result<()> {
    let mut head = (frames.len() as u64).to_be_bytes().to_vec();
    head.extend(frames.iter().flat_map(|frame| (frame.as_ref().len() as u64).to_be_bytes()));
    let parts = std::iter::once(&head[..]).chain(frames.iter().map(AsRef::as_ref));
    sealed.receive(&mut [])?;
    parts.flat_map(|part| part.chunks(PLAIN_MAX)).try_for_each(|chunk| sealed.send(chunk))?;
    sealed.receive(&mut []).map(drop)
}

/// Receives a payload; `goes_on` is asked now and then, and ends it by an error.
pub fn receive_frames(
    sealed: &mut Sealed<TcpStream>,
    mut goes_on: impl FnMut() -> io::Result<()>,
) -> io::Result<Vec<Frame>> {
    sealed.send(&[])?;
    let mut source = Bytes { sealed, record: vec![0; PLAIN_MAX], at: 0, end: 0 };
    let count = source.number()?;
    if count > FRAMES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let lengths: Vec<u64> = (0..count).map(|_| source.number()).collect::<io::Result<_>>()?;
    let frames = lengths.into_iter().map(|length| source.frame(length, &mut goes_on)).collect::<io::Result<_>>()?;
    sealed.send(&[])?;
    Ok(frames)
}

/// The bytes of records, one after the other.
struct Bytes<'a> {
    sealed: &'a mut Sealed<TcpStream>,
    record: Vec<u8>,
    at: usize,
    end: usize,
}

impl Bytes<'_> {
    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled = filled.saturating_add(self.some(rest)?);
        }
        Ok(u64::from_be_bytes(bytes))
    }

    fn frame(&mut self, length: u64, goes_on: &mut impl FnMut() -> io::Result<()>) -> io::Result<Frame> {
        if length == 0 {
            return Ok(Frame::new());
        }
        let none = || io::Error::new(ErrorKind::OutOfMemory, format!("there is no memory for {length} bytes"));
        let mut bytes = zeroed_bytes(length).ok_or_else(none)?;
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            goes_on()?;
            filled = filled.saturating_add(self.some(rest)?);
        }
        Ok(Frame::from(bytes))
    }

    /// Fills a part of `target`, and says how long that is.
    fn some(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.at == self.end {
            (self.at, self.end) = (0, self.sealed.receive(&mut self.record)?);
        }
        let ready = self.record.get(self.at..self.end).unwrap_or_default();
        let length = ready.len().min(target.len());
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        target.iter_mut().zip(ready).for_each(|(to, from)| *to = *from);
        self.at = self.at.saturating_add(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Gives frames to so many; where.
    fn giver(ticket: &Ticket, frames: Vec<Vec<u8>>, takers: usize, time: Duration) -> Vec<String> {
        let giver = Giver::new().expect("a port");
        // Tests run where names and interfaces may lead nowhere.
        let addresses = vec![format!("127.0.0.1:{}", giver.port())];
        let taken = AtomicUsize::new(0);
        let give = move |sealed: &mut Sealed<TcpStream>| {
            send_frames(sealed, &frames)?;
            let enough = taken.fetch_add(1, Ordering::Relaxed) + 1 >= takers;
            Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        giver.give(ticket.clone(), Some(time), give).expect("a thread");
        addresses
    }

    fn take(addresses: &[String], ticket: &Ticket) -> io::Result<Vec<Frame>> {
        receive_frames(&mut reach(addresses, ticket, PATIENCE)?, || Ok(()))
    }

    /// Waits until nobody listens there any more.
    fn until_nobody_listens(address: &str) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "it listens for ever");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_payload_arrives_as_it_was(lengths in prop::collection::vec(0..200_000_usize, 0..6)) {
            let frames: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(place, length)| vec![place as u8 + 1; *length]).collect();
            let ticket = Ticket::new().expect("chance");
            let addresses = giver(&ticket, frames.clone(), 1, PATIENCE);
            let taken = take(&addresses, &ticket).expect("all of it");
            prop_assert!(taken.iter().map(|frame| frame.to_vec()).eq(frames));
        }
    }

    #[test]
    fn it_ends_when_all_have_it_and_when_its_time_is_over() {
        let ticket = Ticket::new().expect("chance");
        let addresses = giver(&ticket, vec![vec![7; 100]], 2, PATIENCE);
        // Who has another connection has not taken it.
        let others: Vec<_> = (0..3).map(|_| reach(&addresses, &ticket, PATIENCE).expect("let in")).collect();
        drop(others);
        for _ in 0..2 {
            assert_eq!(take(&addresses, &ticket).expect("let in").len(), 1);
        }
        until_nobody_listens(&addresses[0]);
        let addresses = giver(&ticket, vec![vec![7; 100]], 2, Duration::from_millis(50));
        until_nobody_listens(&addresses[0]);
    }

    #[test]
    fn strangers_get_nothing_and_keep_nobody_from_it() {
        let (own, stranger) = (Ticket::new().expect("chance"), Ticket::new().expect("chance"));
        let addresses = giver(&own, vec![vec![1]], 1, PATIENCE);
        assert!(take(&addresses, &stranger).is_err());
        let silent = TcpStream::connect(&addresses[0]).expect("a port");
        let mut written = TcpStream::connect(&addresses[0]).expect("a port");
        written.write_all(&[0; 200]).expect("write");
        let all = [&["127.0.0.1:1".to_owned()][..], &addresses].concat();
        assert_eq!(take(&all, &own).expect("let in").len(), 1);
        assert!(reach(&all[..1], &own, PATIENCE).is_err());
        drop(silent);
    }

    #[test]
    fn what_is_cut_off_or_given_up_is_no_payload() {
        let ticket = Ticket::new().expect("chance");
        let cut = Giver::new().expect("a port");
        let addresses = vec![format!("127.0.0.1:{}", cut.port())];
        let half = |sealed: &mut Sealed<TcpStream>| {
            sealed.receive(&mut [])?;
            sealed.send(&[1_u64.to_be_bytes(), 9_u64.to_be_bytes()].concat())?;
            sealed.send(b"half").map(ControlFlow::Continue)
        };
        cut.give(ticket.clone(), Some(PATIENCE), half).expect("a thread");
        assert!(take(&addresses, &ticket).is_err());
        let given_up = |_: &mut ()| -> io::Result<()> { Err(ErrorKind::Interrupted.into()) };
        let mut sealed = reach(&addresses, &ticket, PATIENCE).expect("let in");
        let error = receive_frames(&mut sealed, || given_up(&mut ())).expect_err("given up");
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}
