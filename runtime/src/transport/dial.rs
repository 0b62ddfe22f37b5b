//! The peers' side: a DEALER socket to one address, and what becomes of its connection. Which of several addresses is
//! taken is decided in `race`.

use super::context::Shortage;
use super::forks::{self, Held};
use super::monitor;
use super::multipart::PART_BYTES_MAX;
use ipclusterz_base::connection::{ConnectionFile, CurveKeys};
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::check_private_dir;
use std::cell::Cell;
use std::path::Path;

/// Dead TCP connections are noticed after this long, on either side: a ping every quarter of it, by libzmq's own
/// thread, so that user code cannot delay it. Not on `data`, where a ping would wait behind large frames. A handshake may
/// take as long.
pub(super) const SILENCE_MAX_MS: i32 = 8_000;

/// How long one attempt to connect may take.
const CONNECT_MAX_MS: i32 = 5_000;

/// Why a controller could not be dialled at all.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No address can be reached from this host.
    #[error("{0}")]
    NoAddress(String),
    /// TCP without keys.
    #[error("the connection file has no key for {0}")]
    NoKey(String),
    /// Nothing can be dialled now.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// What belongs to the controller on this host is somebody else's, or could be changed by others.
    #[error(transparent)]
    Place(PlacesError),
    /// The kernel refused something.
    #[error("preparing to dial: {0}")]
    System(std::io::Error),
    /// A socket failed.
    #[error("a socket failed: {0}")]
    Libzmq(#[from] zmq::Error),
    /// libzmq refused.
    #[error("{what} {address}: {source}")]
    Socket {
        /// What was being done.
        what: &'static str,
        /// To which address.
        address: String,
        /// Why it failed.
        source: zmq::Error,
    },
}

impl DialError {
    /// Of what the kernel said while a race was prepared.
    pub(super) fn of_io(error: std::io::Error) -> DialError {
        Shortage::of_io(&error).map_or_else(|| DialError::System(error), DialError::Short)
    }

    /// Of a place that could not be looked at.
    pub fn of_place(error: PlacesError) -> DialError {
        let short = match &error {
            PlacesError::Io { source, .. } => Shortage::of_io(source),
            _ => None,
        };
        short.map_or_else(|| DialError::Place(error), DialError::Short)
    }
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// Connected and let in.
    Up,
    /// It broke; libzmq dials again by itself.
    Down,
    /// No connection, for now.
    Retrying,
    /// Somebody listens there, and says that we are not let in: trying again is of no use.
    Refused(&'static str),
    /// The same, of somebody who could not read what we said. It may have been damaged.
    Misunderstood(&'static str),
    /// The handshake came to nothing, and why, as far as that can be known: whatever is between may be the cause.
    Failed(&'static str),
}

/// Refuses a unix socket in a folder that is not this user's alone: whoever listens there would be believed. One that
/// is missing may come.
pub(super) fn check_socket(endpoint: &str) -> Result<(), DialError> {
    let folder = endpoint.strip_prefix("ipc://").and_then(|path| Path::new(path).parent());
    match folder.map_or(Ok(()), check_private_dir) {
        Err(error) if !error.is_missing() => Err(DialError::of_place(error)),
        _ => Ok(()),
    }
}

/// One connection to a controller, and what is told of it.
pub struct Wire {
    socket: zmq::Socket,
    monitor: zmq::Socket,
    /// The address as it was offered.
    pub address: String,
    endpoint: String,
    held: Cell<Option<Held>>,
    stage: Cell<Stage>,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Away,
    /// The handshake is under way.
    Greeting,
    /// It is complete.
    Up,
}

impl Wire {
    /// Starts to connect to `endpoint`, which is what `address` means; `next_event` tells how that goes. `heartbeats`:
    /// nothing else tells that the other side is gone.
    pub fn dial(
        context: &zmq::Context,
        address: &str,
        endpoint: &str,
        file: &ConnectionFile,
        heartbeats: bool,
    ) -> Result<Wire, DialError> {
        check_socket(endpoint)?;
        let failed = |what| {
            let address = address.to_owned();
            move |source| match Shortage::of(source) {
                Some(shortage) => DialError::Short(shortage),
                None => DialError::Socket { what, address, source },
            }
        };
        let socket = dealer(context, keys(file, endpoint)).map_err(failed("preparing to dial"))?;
        if heartbeats {
            heartbeat(&socket).map_err(failed("preparing to dial"))?;
        }
        let monitor = monitor::attach(context, &socket).map_err(failed("watching"))?;
        socket.connect(endpoint).map_err(failed("dialling"))?;
        let (address, endpoint) = (address.to_owned(), endpoint.to_owned());
        Ok(Wire { socket, monitor, address, endpoint, held: Cell::new(None), stage: Cell::new(Stage::Away) })
    }

    /// The address as it was dialled.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Starts a second connection to the same address. Without heartbeats: they would wait behind large frames.
    pub fn dial_beside(&self, context: &zmq::Context, file: &ConnectionFile) -> Result<Wire, DialError> {
        Wire::dial(context, &self.address, &self.endpoint, file, false)
    }

    /// The socket.
    pub fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    /// What is left to send is not wanted any more.
    pub fn give_up(&self) {
        // Otherwise it lingers for half a second, which does no harm.
        let _ = self.socket.set_linger(0);
    }

    /// Whether the handshake is complete, as far as `next_event` has told.
    pub fn is_up(&self) -> bool {
        self.stage.get() == Stage::Up
    }

    /// Whether the handshake is under way, as far as `next_event` has told.
    pub fn is_in_handshake(&self) -> bool {
        self.stage.get() == Stage::Greeting
    }

    /// To be polled for reading: `next_event` has something.
    pub fn monitor(&self) -> &zmq::Socket {
        &self.monitor
    }

    /// What became of it since the last call, if anything.
    pub fn next_event(&self) -> Result<Option<LinkEvent>, zmq::Error> {
        while let Some((event, value)) = monitor::next(&self.monitor)? {
            let event = match event {
                zmq::SocketEvent::CONNECTED => {
                    self.held.set(i32::try_from(value).ok().and_then(forks::close_in_children));
                    self.stage.set(Stage::Greeting);
                    continue;
                }
                zmq::SocketEvent::HANDSHAKE_SUCCEEDED => LinkEvent::Up,
                zmq::SocketEvent::DISCONNECTED => {
                    self.held.set(None);
                    LinkEvent::Down
                }
                zmq::SocketEvent::CONNECT_RETRIED => LinkEvent::Retrying,
                zmq::SocketEvent::HANDSHAKE_FAILED_AUTH => refusal(value),
                zmq::SocketEvent::HANDSHAKE_FAILED_NO_DETAIL => LinkEvent::Failed(failure(value)),
                zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL => LinkEvent::Failed(
                    "the handshake failed: another program listens there, or what is between damages it",
                ),
                _ => continue,
            };
            self.stage.set(if event == LinkEvent::Up { Stage::Up } else { Stage::Away });
            return Ok(Some(event));
        }
        Ok(None)
    }
}

/// What a code of a refusal means: `EACCES` is of the unix socket, the others are of CURVE.
fn refusal(code: u32) -> LinkEvent {
    match code {
        13 => LinkEvent::Refused("the socket there belongs to another user"),
        500 => LinkEvent::Misunderstood("not let in: this is another controller's key"),
        _ => LinkEvent::Refused("not let in: the controller does not admit this key"),
    }
}

/// Why a handshake was not completed.
fn failure(errno: u32) -> &'static str {
    match i32::try_from(errno).unwrap_or_default() {
        libc::ETIMEDOUT => "connected, but nobody answers: the controller hangs, or has no file descriptors left",
        _ => "the connection was closed during the handshake",
    }
}

/// Keys are for TCP alone: the unix socket is guarded by its folder.
fn keys<'a>(file: &'a ConnectionFile, endpoint: &str) -> Option<&'a CurveKeys> {
    file.curve.as_ref().filter(|_| endpoint.starts_with("tcp://"))
}

fn dealer(context: &zmq::Context, keys: Option<&CurveKeys>) -> Result<zmq::Socket, zmq::Error> {
    let socket = context.socket(zmq::DEALER)?;
    socket.set_linger(500)?;
    socket.set_sndhwm(0)?;
    socket.set_rcvhwm(0)?;
    socket.set_maxmsgsize(PART_BYTES_MAX)?;
    socket.set_reconnect_ivl(50)?;
    socket.set_reconnect_ivl_max(2000)?;
    // The kernel's own patience grows to minutes, and a network that comes back should be noticed sooner.
    socket.set_connect_timeout(CONNECT_MAX_MS)?;
    socket.set_handshake_ivl(SILENCE_MAX_MS)?;
    socket.set_ipv6(true)?;
    if let Some(keys) = keys {
        let key = |text: &str| zmq::z85_decode(text).map_err(|_| zmq::Error::EINVAL);
        socket.set_curve_serverkey(&key(&keys.server)?)?;
        socket.set_curve_publickey(&key(&keys.public)?)?;
        socket.set_curve_secretkey(&key(&keys.secret)?)?;
    }
    Ok(socket)
}

fn heartbeat(control: &zmq::Socket) -> Result<(), zmq::Error> {
    control.set_heartbeat_ivl(SILENCE_MAX_MS / 4)?;
    control.set_heartbeat_timeout(SILENCE_MAX_MS)?;
    // Asks the other side to give up after the same silence.
    control.set_heartbeat_ttl(SILENCE_MAX_MS)
}
