//! Sockets, signals and the clock around the controller's core. One thread, one loop.

use super::core::{Action, Core, Event, Identity};
use super::limits::Limits;
use crate::connection::{CONNECTION_FILE_VERSION, ConnectionError, ConnectionFile, CurveKeys, Role};
use crate::places::{self, PlacesError};
use crate::system::resident_bytes;
use crate::transport::context::{self, ContextError};
use crate::transport::listen::{Incoming, Listener};
use crate::transport::zap::Gate;
use crate::transport::{self, FRAMES_MAX, Route};
use crate::wire::reaper;
use crate::wire::segment::SegmentFolder;
use crate::wire::{Frame, Message, codec};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How a controller is to be run.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// Name of the cluster.
    pub cluster: String,
    /// Eight hexadecimal digits, fresh for every run.
    pub run_id: String,
    /// The cluster's folder, where the connection files go.
    pub directory: PathBuf,
    /// Listen at a unix socket.
    pub local: bool,
    /// Listen at this TCP address (`host:port`; port 0: a free one).
    pub listen: Option<String>,
    /// Hosts to offer to peers; empty: the bound one, or this host's name.
    pub advertise: Vec<String>,
    /// How much is held, and for how long.
    pub limits: Limits,
}

/// What a controller says when it listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Its process.
    pub pid: u32,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// Connection file for clients.
    pub client_file: PathBuf,
    /// Connection file for engines.
    pub engine_file: PathBuf,
    /// Folder of its unix socket.
    pub socket_dir: Option<PathBuf>,
    /// Folder of segments.
    pub shared_memory_dir: Option<PathBuf>,
}

/// Why a controller could not run.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// libzmq lacks something.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A folder could not be made private.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// A connection file could not be written.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionError),
    /// Neither `local` nor `listen`.
    #[error("the controller is to listen nowhere: neither at a unix socket nor at a TCP address")]
    Nowhere,
    /// The address is taken or is not this host's.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// Which address.
        address: String,
        /// Why.
        source: zmq::Error,
    },
    /// libzmq failed.
    #[error("the controller's socket failed: {0}")]
    Socket(#[from] zmq::Error),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// Most messages taken from the socket before it is looked whether a key waits at the gate.
const BATCH: usize = 512;
/// How often tasks behind a long one are looked for, while there are any.
const TICK: Duration = Duration::from_millis(10);

/// Runs a controller until it is asked to stop (by a client, SIGTERM or SIGINT); `ready` is called once it listens.
///
/// The calling thread has SIGTERM and SIGINT blocked from here on. All files it made are gone at the end.
pub fn run(config: ControllerConfig, ready: impl FnOnce(&Ready)) -> Result<(), ControllerError> {
    context::check()?;
    if !config.local && config.listen.is_none() {
        return Err(ControllerError::Nowhere);
    }
    let signals = block_signals().map_err(|error| ControllerError::System("signalfd", error))?;
    return_memory();
    let mut files = Files::default();
    let result = listen(&config, &mut files).and_then(|mut reactor| {
        ready(&files.ready);
        reactor.run(&signals)
    });
    reaper::finish();
    files.remove();
    result
}

/// What has to be removed at the end.
#[derive(Default)]
struct Files {
    ready: Ready,
}

impl Default for Ready {
    fn default() -> Self {
        Ready {
            pid: std::process::id(),
            addresses: vec![],
            client_file: PathBuf::new(),
            engine_file: PathBuf::new(),
            socket_dir: None,
            shared_memory_dir: None,
        }
    }
}

impl Files {
    fn remove(&self) {
        // At the end nothing can be done about what does not go; a later start or `stop` tries again.
        for file in [&self.ready.client_file, &self.ready.engine_file] {
            let _ = fs::remove_file(file);
        }
        for folder in [&self.ready.socket_dir, &self.ready.shared_memory_dir].into_iter().flatten() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn listen(config: &ControllerConfig, files: &mut Files) -> Result<Reactor, ControllerError> {
    let dirs = places::run_dirs(&config.cluster, &config.run_id)?;
    let context = zmq::Context::new();
    let listener = Listener::new(&context)?;
    let mut addresses = Vec::new();
    let mut segments = None;
    if config.local {
        places::make_private_dir(&dirs.socket_dir)?;
        files.ready.socket_dir = Some(dirs.socket_dir.clone());
        // Without /dev/shm large payloads travel as frames.
        if places::make_private_dir(&dirs.shared_memory_dir).is_ok() {
            files.ready.shared_memory_dir = Some(dirs.shared_memory_dir.clone());
            segments = Some(SegmentFolder::new(dirs.shared_memory_dir));
        }
        let path = places::socket_path(&dirs.socket_dir).display().to_string();
        let bound = listener.bind_local(&path);
        addresses.push(bound.map_err(|source| ControllerError::Bind { address: path, source })?);
    }
    let [server, client, engine] = [zmq::CurveKeyPair::new()?, zmq::CurveKeyPair::new()?, zmq::CurveKeyPair::new()?];
    let keys = vec![(client.public_key.to_vec(), Role::Client), (engine.public_key.to_vec(), Role::Engine)];
    let gate = Gate::new(&context, keys)?;
    if let Some(address) = &config.listen {
        let bound = listener.bind_tcp(address, &server.secret_key);
        let bound = bound.map_err(|source| ControllerError::Bind { address: address.clone(), source })?;
        addresses.extend(offered(&bound, &config.advertise));
    }
    let text = |key: &[u8]| zmq::z85_encode(key).map_err(|_| zmq::Error::EINVAL);
    for (role, pair, name) in [(Role::Client, client, "client.json"), (Role::Engine, engine, "engine.json")] {
        let curve = match config.listen {
            Some(_) => Some(CurveKeys {
                server: text(&server.public_key)?,
                public: text(&pair.public_key)?,
                secret: text(&pair.secret_key)?,
            }),
            None => None,
        };
        let file = ConnectionFile {
            version: CONNECTION_FILE_VERSION,
            role,
            cluster: config.cluster.clone(),
            run_id: config.run_id.clone(),
            host: places::host_name(),
            addresses: addresses.clone(),
            shared_memory: files.ready.shared_memory_dir.clone(),
            curve,
            forwarded: false,
        };
        let path = config.directory.join(name);
        file.write(&path)?;
        match role {
            Role::Client => files.ready.client_file = path,
            Role::Engine => files.ready.engine_file = path,
        }
    }
    files.ready.addresses = addresses;
    let identity = Identity { cluster: config.cluster.clone(), pid: std::process::id() };
    let core = Core::new(identity, config.limits.with_host_memory(), || places::random_hex(16));
    Ok(Reactor { listener, gate, segments, core, start: Instant::now(), _context: context })
}

/// What peers are told to dial: a wildcard address means nothing on another host.
fn offered(bound: &str, advertise: &[String]) -> Vec<String> {
    let (host, port) = bound.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')).unwrap_or((bound, ""));
    // An IPv4 address as an IPv6 socket sees it.
    let host = host.strip_prefix("[::ffff:").map_or(host, |inner| inner.trim_end_matches(']'));
    let wildcard = ["0.0.0.0", "[::]", "::", "*"].contains(&host);
    let own = places::host_name();
    match (advertise, wildcard) {
        ([], false) => vec![format!("tcp://{host}:{port}")],
        ([], true) => vec![format!("tcp://{own}:{port}")],
        (hosts, _) => hosts.iter().map(|host| format!("tcp://{host}:{port}")).collect(),
    }
}

struct Reactor {
    // Sockets close before the context.
    listener: Listener,
    gate: Gate,
    segments: Option<SegmentFolder>,
    core: Core,
    start: Instant,
    _context: zmq::Context,
}

impl Reactor {
    fn run(&mut self, signals: &OwnedFd) -> Result<(), ControllerError> {
        loop {
            let timeout = match self.core.next_tick() {
                Some(at) => at.saturating_sub(self.start.elapsed()).max(TICK),
                None => Duration::from_secs(3600),
            };
            let (knock, signal) = {
                let mut items = [
                    self.listener.socket().as_poll_item(zmq::POLLIN),
                    self.gate.socket().as_poll_item(zmq::POLLIN),
                    zmq::PollItem::from_fd(signals.as_raw_fd(), zmq::POLLIN),
                    self.listener.monitor().as_poll_item(zmq::POLLIN),
                ];
                transport::poll(&mut items, timeout)?;
                (items[1].is_readable() || items[3].is_readable(), items[2].is_readable())
            };
            if knock {
                self.gate.answer()?;
                while let Some(reason) = self.listener.next_turned_away()? {
                    self.handle(Event::TurnedAway(reason))?;
                }
            }
            if signal && self.handle(Event::Stop)? {
                return Ok(());
            }
            for _ in 0..BATCH {
                match self.next_event()? {
                    Some(event) => {
                        if self.handle(event)? {
                            return Ok(());
                        }
                    }
                    None => break,
                }
            }
            if self.core.next_tick().is_some_and(|at| at <= self.start.elapsed()) && self.handle(Event::Tick)? {
                return Ok(());
            }
        }
    }

    fn next_event(&self) -> Result<Option<Event>, ControllerError> {
        let Some(incoming) = self.listener.receive()? else { return Ok(None) };
        Ok(Some(match incoming {
            Incoming::Gone(route) => Event::Gone(route),
            Incoming::Stranger => {
                Event::Undecodable { route: Route(0), reason: "a peer with a routing id of its own".to_owned() }
            }
            Incoming::Message(route, admitted, mut frames) => {
                if frames.len() > FRAMES_MAX {
                    let reason = format!("more than {FRAMES_MAX} frames in a message");
                    return Ok(Some(Event::Undecodable { route, reason }));
                }
                match codec::decode(&frames[0]) {
                    Ok(message) => {
                        frames.remove(0);
                        Event::Message { route, admitted, message, payload: frames }
                    }
                    Err(error) => Event::Undecodable { route, reason: error.to_string() },
                }
            }
        }))
    }

    /// True: the controller is done.
    fn handle(&mut self, event: Event) -> Result<bool, ControllerError> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.core.handle(event, self.start.elapsed()) {
                match action {
                    Action::Send { route, message, payload, shared_memory } => {
                        let (message, payload) = self.prepare(message, payload, shared_memory);
                        match self.listener.send(route, &message, payload) {
                            Ok(()) => {}
                            // It broke a moment ago: the notice is on its way, and does nothing when it is second.
                            Err(zmq::Error::EHOSTUNREACH) => events.push(Event::Gone(route)),
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Action::Unlink(name) => {
                        if let Some(folder) = &self.segments {
                            folder.unlink(&name);
                        }
                    }
                    Action::UnlinkPeer(peer, keep) => {
                        if let Some(folder) = &self.segments {
                            folder.unlink_owner(peer, |name| keep.contains(name));
                        }
                    }
                    Action::Log(text) => tracing::info!("{text}"),
                    Action::Rejected(text) => tracing::warn!("rejected: {text}"),
                    Action::Exit => return Ok(true),
                }
            }
        }
        Ok(false)
    }

    /// Puts in what only the reactor knows: its memory, and the bytes of segments for peers that cannot map them.
    fn prepare(&self, mut message: Message, mut payload: Vec<Frame>, shared_memory: bool) -> (Message, Vec<Frame>) {
        let segments = match &mut message {
            Message::StatusReply(status) => {
                status.resident_bytes = resident_bytes();
                return (message, payload);
            }
            Message::Task(task) => &mut task.segments,
            Message::Reply(reply) => &mut reply.segments,
            _ => return (message, payload),
        };
        if let (false, Some(folder)) = (shared_memory, &self.segments) {
            for note in std::mem::take(segments) {
                if let Some(frame) = payload.get_mut(note.frame as usize) {
                    match folder.map(frame, note.length) {
                        Ok(mapping) => *frame = Frame::from_owner(mapping),
                        // The peer finds a name instead of bytes, and says so for this one task.
                        Err(error) => tracing::error!("a segment cannot be mapped: {error}"),
                    }
                }
            }
        }
        (message, payload)
    }
}

/// Signals that end the controller arrive through a descriptor, between two events.
fn block_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before it is used; the descriptor is checked and owned here.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        let result = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Has the allocator give large and free memory back, so that a burst does not stay on the books.
fn return_memory() {
    // SAFETY: plain settings of glibc's allocator; the thresholds are fixed instead of growing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
