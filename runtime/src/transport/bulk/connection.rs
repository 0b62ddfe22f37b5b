//! One connection of a link: its handshake, then chunks in both directions, by a socket that never blocks.
//!
//! # Format
//!
//! The dialler sends a preamble and gets an answer (see `secure`), and sends a record of one byte, which shows that it could
//! read that. From there on, in both directions: the record of a [`Head`], and the chunk that it describes, compressed or not, in
//! records of [`RECORD`] bytes and a rest; or in plain bytes, if both have agreed to that (see `payload`): 1 in the answer, and
//! 1 in the record.

use super::inbox::{Inbox, Incoming, Parcel, Wrong};
use super::outbox::{Chunk, HEAD, Head, Outbox, RECORD};
use super::payload::Payload;
use super::press::press;
use super::secure::{self, ANSWER, Channel, Dialled, NotAuthentic, RECORD_MAX, TAG, Ticket};
use super::sockets::{self, Waits};
use super::thrift::Thrift;
use crate::transport::forks::{self, Held};
use crate::wire::Frame;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// Bytes that are read at once, at most.
const INPUT: usize = 512 << 10;
/// Bytes that a connection takes before others have their turn.
const TURN: usize = 8 << 20;

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the other side has closed it")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

enum Stage {
    /// The preamble is on its way, or the answer to it.
    Dialling(Option<Dialled>),
    /// The dialler has yet to show that it has the key. Whether this end has agreed to plain payloads.
    Answered(Channel, bool),
    Standing(Channel),
}

/// See the file.
pub(super) struct Connection {
    pub stream: TcpStream,
    /// When it began.
    pub since: Instant,
    stage: Stage,
    payload: Payload,
    /// Payloads are not encrypted, as both ends have agreed.
    plain: bool,
    input: Vec<u8>,
    /// What of `input` was read and not used.
    unread: std::ops::Range<usize>,
    incoming: Option<Incoming>,
    /// What has come of a chunk that is compressed.
    pressed: Vec<u8>,
    output: Vec<u8>,
    /// How much of `output` is written.
    written: usize,
    /// Goes behind `output`, as it is.
    behind: Option<Chunk>,
    readable: bool,
    writable: bool,
    waited: Waits,
    _held: Option<Held>,
}

impl Connection {
    /// Over a socket that is being connected.
    pub fn dial(stream: TcpStream, ticket: &Ticket, payload: Payload) -> Result<Connection, Broken> {
        let (dialled, preamble) = secure::dial(ticket)?;
        Ok(Connection::new(stream, payload, Stage::Dialling(Some(dialled)), preamble))
    }

    /// Over a socket on which a preamble has come.
    pub fn answer(stream: TcpStream, ticket: &Ticket, preamble: &[u8], payload: Payload) -> Result<Connection, Broken> {
        let agrees = may_be_plain(payload, &stream);
        let (channel, answer) = secure::answer(ticket, preamble, agrees)?;
        Ok(Connection::new(stream, payload, Stage::Answered(channel, agrees), answer))
    }

    fn new(stream: TcpStream, payload: Payload, stage: Stage, output: Vec<u8>) -> Connection {
        // Small records are not to wait for others. A socket that knows no such option is as good.
        let _ = stream.set_nodelay(true);
        let held = forks::close_in_children(stream.as_raw_fd());
        Connection {
            stream,
            since: Instant::now(),
            stage,
            payload,
            plain: false,
            input: Vec::new(),
            unread: 0..0,
            incoming: None,
            pressed: Vec::new(),
            output,
            written: 0,
            behind: None,
            readable: true,
            writable: false,
            waited: Waits::default(),
            _held: held,
        }
    }

    pub fn is_standing(&self) -> bool {
        matches!(self.stage, Stage::Standing(_))
    }

    /// Nothing waits to be written.
    pub fn is_idle(&self) -> bool {
        self.written == self.output.len() && self.behind.is_none()
    }

    /// The socket may be read or written again, as the kernel says.
    pub fn may(&mut self, read: bool, write: bool) {
        self.readable |= read;
        self.writable |= write;
    }

    /// Whether there is more to read than one turn has taken.
    pub fn has_more(&self) -> bool {
        self.readable
    }

    /// Writes what the socket takes. `links` share the time that compression takes.
    pub fn write(&mut self, outbox: &mut Outbox, thrift: &mut Thrift, links: usize) -> Result<(), Broken> {
        while self.writable {
            if self.is_idle() && !self.load(outbox, thrift, links)? {
                break;
            }
            match self.write_once() {
                Ok(bytes) => thrift.wrote(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    thrift.full(Instant::now(), self.waits());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What the socket has waited for since this was asked before.
    fn waits(&mut self) -> Waits {
        let now = sockets::waits(self.stream.as_raw_fd()).unwrap_or_default();
        let Waits { busy, for_receiver } = std::mem::replace(&mut self.waited, now);
        Waits { busy: now.busy.saturating_sub(busy), for_receiver: now.for_receiver.saturating_sub(for_receiver) }
    }

    /// Prepares the next chunk, if there is one.
    fn load(&mut self, outbox: &mut Outbox, thrift: &mut Thrift, links: usize) -> Result<bool, Broken> {
        self.output.clear();
        self.written = 0;
        let Stage::Standing(channel) = &mut self.stage else { return Ok(false) };
        let Some(chunk) = outbox.next() else {
            self.output = Vec::new();
            return Ok(false);
        };
        let mut head = Head::of(&chunk);
        let chunk = match pressed(&chunk, thrift, links) {
            Some(pressed) => {
                head.pressed = pressed.len() as u64;
                Chunk { parcel: chunk.parcel, range: 0..pressed.len(), frame: Frame::from(pressed) }
            }
            None => chunk,
        };
        channel.seal(&head.write(), &mut self.output)?;
        if self.plain {
            self.behind = Some(chunk);
        } else {
            let bytes = chunk.frame.get(chunk.range).unwrap_or_default();
            bytes.chunks(RECORD).try_for_each(|record| channel.seal(record, &mut self.output))?;
        }
        Ok(true)
    }

    fn write_once(&mut self) -> io::Result<usize> {
        let sealed = self.output.get(self.written..).unwrap_or_default();
        let plain = self.behind.as_ref().and_then(|chunk| chunk.frame.get(chunk.range.clone())).unwrap_or_default();
        let wrote = self.stream.write_vectored(&[IoSlice::new(sealed), IoSlice::new(plain)])?;
        let of_sealed = wrote.min(sealed.len());
        self.written = self.written.saturating_add(of_sealed);
        if let Some(chunk) = &mut self.behind {
            chunk.range.start = chunk.range.start.saturating_add(wrote.saturating_sub(of_sealed));
            if chunk.range.is_empty() {
                self.behind = None;
            }
        }
        Ok(wrote)
    }

    /// Takes what has come, up to a turn's worth. Parcels that are complete are added to `parcels`.
    pub fn read(&mut self, inbox: &mut Inbox, parcels: &mut Vec<(u64, Parcel)>) -> Result<(), Broken> {
        let mut taken = 0_usize;
        while self.readable && taken < TURN {
            match self.read_once(inbox, parcels) {
                Ok(0) => return Err(Broken::Closed),
                Ok(bytes) => taken = taken.saturating_add(bytes),
                Err(Broken::Io(error)) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(Broken::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.unread.is_empty() && self.incoming.is_none() {
            // There may be many that have nothing to do.
            self.input = Vec::new();
        }
        Ok(())
    }

    fn read_once(&mut self, inbox: &mut Inbox, parcels: &mut Vec<(u64, Parcel)>) -> Result<usize, Broken> {
        let straight = self.plain && self.unread.is_empty();
        if let Some(chunk) = self.incoming.as_mut().filter(|chunk| straight && chunk.pressed == 0) {
            // Where it belongs, without a copy.
            let bytes = self.stream.read(inbox.room(chunk))?;
            self.filled(inbox, bytes, parcels)?;
            return Ok(bytes);
        }
        self.make_room();
        let bytes = self.stream.read(self.input.get_mut(self.unread.end..).unwrap_or_default())?;
        self.unread.end = self.unread.end.saturating_add(bytes);
        while self.use_input(inbox, parcels)? {}
        Ok(bytes)
    }

    /// Moves what is not used to the front.
    fn make_room(&mut self) {
        if self.input.is_empty() {
            self.input = vec![0; INPUT];
        }
        self.input.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
    }

    /// Uses the next of what was read; false when there is too little of it.
    fn use_input(&mut self, inbox: &mut Inbox, parcels: &mut Vec<(u64, Parcel)>) -> Result<bool, Broken> {
        if self.unread.is_empty() {
            return Ok(false);
        }
        let used = match (&self.stage, &self.incoming) {
            (Stage::Dialling(_), _) => self.use_answer()?,
            (_, Some(_)) if self.plain => self.use_plain(inbox, parcels)?,
            _ => self.use_record(inbox, parcels)?,
        };
        self.unread.start = self.unread.start.saturating_add(used);
        Ok(used > 0)
    }

    /// How many bytes of the input were the answer; 0: it is not there yet.
    fn use_answer(&mut self) -> Result<usize, Broken> {
        let unread = self.input.get(self.unread.clone()).unwrap_or_default();
        let (Stage::Dialling(dialled), Some((answer, _))) = (&mut self.stage, unread.split_at_checked(ANSWER)) else {
            return Ok(0);
        };
        let dialled = dialled.take().ok_or(NotAuthentic)?;
        let (mut channel, agrees) = dialled.finish(answer)?;
        self.plain = agrees && may_be_plain(self.payload, &self.stream);
        channel.seal(&[u8::from(self.plain)], &mut self.output)?;
        self.stage = Stage::Standing(channel);
        Ok(ANSWER)
    }

    /// How many bytes of the input were of a chunk that is not encrypted.
    fn use_plain(&mut self, inbox: &mut Inbox, parcels: &mut Vec<(u64, Parcel)>) -> Result<usize, Broken> {
        let unread = self.input.get(self.unread.clone()).unwrap_or_default();
        let Some(chunk) = &self.incoming else { return Ok(0) };
        if chunk.pressed > 0 {
            let bytes = unread.len().min(chunk.pressed.saturating_sub(self.pressed.len()));
            self.pressed.extend_from_slice(unread.get(..bytes).unwrap_or_default());
            self.unpress(inbox, parcels)?;
            return Ok(bytes);
        }
        let room = inbox.room(chunk);
        let bytes = room.len().min(unread.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..bytes), unread.get(..bytes)) {
            room.copy_from_slice(bytes);
        }
        self.filled(inbox, bytes, parcels)?;
        Ok(bytes)
    }

    /// How many bytes of the input were a record, with its length; 0: it is not all there.
    fn use_record(&mut self, inbox: &mut Inbox, parcels: &mut Vec<(u64, Parcel)>) -> Result<usize, Broken> {
        let unread = self.input.get(self.unread.clone()).unwrap_or_default();
        let Some((length, rest)) = unread.split_first_chunk() else { return Ok(0) };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((record, _)) = rest.split_at_checked(length) else { return Ok(0) };
        let used = length.saturating_add(size_of::<u16>());
        match (&mut self.stage, &self.incoming) {
            (Stage::Standing(channel), Some(chunk)) if chunk.pressed > 0 => {
                // No more than was announced.
                let start = self.pressed.len();
                self.pressed.resize(chunk.pressed.min(start.saturating_add(length)), 0);
                let opened = channel.open(record, self.pressed.get_mut(start..).unwrap_or_default())?;
                self.pressed.truncate(start.saturating_add(opened));
                self.unpress(inbox, parcels)?;
            }
            (Stage::Standing(channel), Some(chunk)) => {
                let bytes = channel.open(record, inbox.room(chunk))?;
                if bytes > 0 {
                    self.filled(inbox, bytes, parcels)?;
                }
            }
            (Stage::Standing(channel), None) => {
                let mut head = [0; HEAD];
                let bytes = channel.open(record, &mut head)?;
                let head = head.get(..bytes).and_then(Head::read).ok_or(NotAuthentic)?;
                self.incoming = Some(inbox.begin(head)?);
            }
            (Stage::Answered(channel, agreed), _) => {
                let mut agrees = [0];
                channel.open(record, &mut agrees)?;
                self.plain = *agreed && agrees == [1];
                self.stand();
            }
            (Stage::Dialling(_), _) => return Err(NotAuthentic.into()),
        }
        Ok(used)
    }

    fn stand(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Dialling(None));
        if let Stage::Answered(channel, _) = stage {
            self.stage = Stage::Standing(channel);
        }
    }

    /// Takes a chunk that was compressed, if all of it has come.
    fn unpress(&mut self, inbox: &mut Inbox, parcels: &mut Vec<(u64, Parcel)>) -> Result<(), Broken> {
        let Some(mut chunk) = self.incoming.take_if(|chunk| chunk.pressed > 0 && chunk.pressed == self.pressed.len())
        else {
            return Ok(());
        };
        let parcel = inbox.unpress(&mut chunk, &self.pressed)?;
        self.pressed = Vec::new();
        parcels.extend(parcel.map(|parcel| (chunk.parcel, parcel)));
        Ok(())
    }

    fn filled(&mut self, inbox: &mut Inbox, bytes: usize, parcels: &mut Vec<(u64, Parcel)>) -> Result<(), Broken> {
        if let Some(chunk) = &mut self.incoming {
            if let Some(parcel) = inbox.filled(chunk, bytes)? {
                parcels.push((chunk.parcel, parcel));
            }
            if chunk.range.is_empty() {
                self.incoming = None;
            }
        }
        Ok(())
    }
}

/// Whether this end agrees to plain payloads over `stream`, which stands.
fn may_be_plain(payload: Payload, stream: &TcpStream) -> bool {
    payload.may_be_plain(stream.local_addr().ok(), stream.peer_addr().ok())
}

/// The bytes of a chunk in fewer bytes, where that saves time.
fn pressed(chunk: &Chunk, thrift: &mut Thrift, links: usize) -> Option<Vec<u8>> {
    let began = Instant::now();
    let bytes = chunk.frame.get(chunk.range.clone()).filter(|_| thrift.is_worth_it(began, links))?;
    let pressed = press(bytes)?;
    thrift.pressed(bytes.len(), began.elapsed());
    Some(pressed)
}

const _: () = assert!(INPUT > RECORD_MAX + TAG);
