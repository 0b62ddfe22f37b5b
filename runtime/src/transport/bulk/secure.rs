//! What encrypts a bulk connection: the Noise protocol `NNpsk0` with X25519, AES-256-GCM and SHA-256 (noiseprotocol.org,
//! revision 34; the crate `snow`, with ring's ciphers).
//!
//! Both sides prove that they have the key of the link, 32 bytes of chance that the controller has sent in its `welcome`, which
//! CURVE has encrypted. Fresh keys are agreed upon for each connection and each direction, so that nothing of one connection
//! means anything in another, in the other direction, later or twice; and who learns the key afterwards reads nothing.

use ipclusterz_base::random::random_key;
use snow::{Builder, HandshakeState, TransportState};
use std::fmt;

const PROTOCOL: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";
/// The first bytes of a connection. ZMTP begins with 0xff.
pub(super) const MAGIC: [u8; 8] = *b"IPZBULK\x01";
/// Bytes of the number of a link.
const ID: usize = 16;
/// Bytes of a message of the handshake: a public key and a tag.
const STEP: usize = 48;
/// What a dialler sends first.
pub(super) const PREAMBLE: usize = MAGIC.len() + ID + STEP;
/// What is answered: in it, whether the payloads may be plain.
pub(super) const ANSWER: usize = STEP + 1;
/// Bytes that are added to a record.
pub(super) const TAG: usize = 16;
/// Most bytes of a record, with the tag.
pub(super) const RECORD_MAX: usize = 65_535;
/// A key encrypts so many records, 64 GiB at most: then both sides derive the next one.
const RECORDS_OF_A_KEY: u64 = 1 << 20;

/// What a peer needs to open a link: its number, and the key of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Names the link to the controller; anybody may see it.
    pub id: [u8; ID],
    /// Known to the two sides alone.
    pub key: [u8; 32],
}

impl Ticket {
    /// A new one; none where the kernel gives no keys.
    pub fn new() -> Option<Ticket> {
        Some(Ticket { id: random_key()?, key: random_key()? })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket")
    }
}

/// Why a connection cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what came was not written by who has the key, or was changed on its way")]
pub struct NotAuthentic;

impl From<snow::Error> for NotAuthentic {
    fn from(_: snow::Error) -> Self {
        NotAuthentic
    }
}

/// A dialler that waits for its answer.
pub(super) struct Dialled(Box<HandshakeState>);

/// The preamble of a new connection.
pub(super) fn dial(ticket: &Ticket) -> Result<(Dialled, Vec<u8>), NotAuthentic> {
    let mut preamble = prologue(ticket);
    let mut state = builder(ticket, &preamble)?.build_initiator()?;
    let mut step = [0; STEP];
    let length = state.write_message(&[], &mut step)?;
    preamble.extend_from_slice(step.get(..length).unwrap_or_default());
    Ok((Dialled(Box::new(state)), preamble))
}

impl Dialled {
    /// Takes the answer. Whether the other side agrees to plain payloads comes with it.
    pub fn finish(mut self, answer: &[u8]) -> Result<(Channel, bool), NotAuthentic> {
        let mut agrees = [0];
        self.0.read_message(answer, &mut agrees)?;
        Ok((Channel::new(*self.0)?, agrees == [1]))
    }
}

/// The link that a preamble names, if it is one.
pub(super) fn named(preamble: &[u8]) -> Option<[u8; ID]> {
    preamble.strip_prefix(&MAGIC)?.first_chunk().copied()
}

/// What is answered to a preamble that names the ticket's link. `agrees`: to plain payloads.
pub(super) fn answer(ticket: &Ticket, preamble: &[u8], agrees: bool) -> Result<(Channel, Vec<u8>), NotAuthentic> {
    let mut state = builder(ticket, &prologue(ticket))?.build_responder()?;
    state.read_message(preamble.get(MAGIC.len() + ID..).unwrap_or_default(), &mut [])?;
    let mut step = vec![0; ANSWER];
    let length = state.write_message(&[u8::from(agrees)], &mut step)?;
    step.truncate(length);
    Ok((Channel::new(state)?, step))
}

fn prologue(ticket: &Ticket) -> Vec<u8> {
    [&MAGIC[..], &ticket.id].concat()
}

fn builder<'a>(ticket: &'a Ticket, prologue: &'a [u8]) -> Result<Builder<'a>, NotAuthentic> {
    let protocol = PROTOCOL.parse().map_err(|_| NotAuthentic)?;
    Ok(Builder::new(protocol).psk(0, &ticket.key)?.prologue(prologue)?)
}

/// Records of one connection, in both directions.
pub(super) struct Channel {
    state: TransportState,
    sealed: u64,
    opened: u64,
}

impl Channel {
    fn new(state: HandshakeState) -> Result<Channel, NotAuthentic> {
        Ok(Channel { state: state.into_transport_mode()?, sealed: 0, opened: 0 })
    }

    /// Appends a record with its length before it. `plain` has at most [`RECORD_MAX`] less [`TAG`] bytes.
    pub fn seal(&mut self, plain: &[u8], output: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        let length = u16::try_from(plain.len().saturating_add(TAG)).map_err(|_| NotAuthentic)?;
        output.extend_from_slice(&length.to_be_bytes());
        let start = output.len();
        output.resize(start.saturating_add(usize::from(length)), 0);
        self.state.write_message(plain, output.get_mut(start..).unwrap_or_default())?;
        self.sealed = self.sealed.saturating_add(1);
        if self.sealed.is_multiple_of(RECORDS_OF_A_KEY) {
            self.state.rekey_outgoing();
        }
        Ok(())
    }

    /// Decrypts a record into the beginning of `plain`, and says how many bytes it has.
    pub fn open(&mut self, record: &[u8], plain: &mut [u8]) -> Result<usize, NotAuthentic> {
        if record.len() > plain.len().saturating_add(TAG) {
            return Err(NotAuthentic);
        }
        let length = self.state.read_message(record, plain)?;
        self.opened = self.opened.saturating_add(1);
        if self.opened.is_multiple_of(RECORDS_OF_A_KEY) {
            self.state.rekey_incoming();
        }
        Ok(length)
    }
}
