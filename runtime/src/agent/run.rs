//! An agent's process, from its start to its end.

use super::core::Core;
use super::reactor::{Asked, End, Reactor};
use crate::system::{deadline, signals_that_end};
use crate::transport::context;
use crate::transport::dial::DialError;
use crate::transport::listen::Listener;
use crate::transport::session::Session;
use crate::wire::message::Hello;
use crate::wire::reaper;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::connection::{ConnectionError, ConnectionFile, Role};
use ipclusterz_base::places::{self, PlacesError};
use serde::Serialize;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// How an agent is to be run.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The engines' connection file.
    pub connection_file: PathBuf,
    /// How long the first connection to the controller may take.
    pub timeout: Duration,
    /// A private folder for its socket, which is there.
    pub sockets: PathBuf,
    /// A folder for its segments, which it makes.
    pub segments: PathBuf,
    /// It is asked to end when nobody has the other end of this open any more.
    pub leash: RawFd,
}

/// Where engines find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Where it listens.
    pub socket: PathBuf,
    /// Its folder of segments.
    pub segments: PathBuf,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its connection file cannot be used.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionError),
    /// Engines reach the controller without it as well as can be.
    #[error("the controller is on this host: engines use its socket themselves")]
    NotNeeded,
    /// No address to dial.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Its folders cannot be made.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// A socket failed.
    #[error("a socket failed: {0}")]
    Socket(#[from] zmq::Error),
    /// Nobody to pass anything on to.
    #[error("{0}")]
    NoController(String),
}

/// Runs an agent until it is asked to end and no engine is connected any more; `ready` is called when the controller has let it in.
/// The calling thread has SIGTERM and SIGINT blocked from then on: they ask it to end, too.
///
/// # Errors
/// Where there is nothing to pass on to, from the beginning or later: engines go without an agent then.
pub fn run(config: &AgentConfig, ready: impl FnMut(&Ready)) -> Result<(), AgentError> {
    let file = ConnectionFile::read(&config.connection_file)?;
    if file.local_address().is_some() {
        return Err(AgentError::NotNeeded);
    }
    let result = serve(config, &file, ready);
    reaper::finish();
    result
}

fn serve(config: &AgentConfig, file: &ConnectionFile, mut ready: impl FnMut(&Ready)) -> Result<(), AgentError> {
    let signals = signals_that_end().map_err(|error| AgentError::System("signalfd", error))?;
    let context = context::open().map_err(DialError::Short)?;
    let segments = SegmentFolder::make(&config.segments)?;
    let listener = Listener::new(&context)?;
    let socket = config.sockets.join("agent.sock");
    listener.bind_local(&socket.display().to_string()).map_err(|error| AgentError::System("listening", error))?;
    let hello = Hello::new(Role::Engine, places::random_hex(16), places::host_name(), std::process::id());
    let session = Session::dial_as_agent(&context, file, hello, segments.clone())?;
    let place = Ready { socket, segments: config.segments.clone() };
    let mut reactor = Reactor {
        session,
        listener,
        segments,
        core: Core::default(),
        give_up: Some(deadline(config.timeout)),
        ending: false,
        _context: context,
    };
    let asked = Asked { signals, leash: config.leash };
    match reactor.run(&asked, || ready(&place))? {
        End::Done => Ok(()),
        End::NoController(why) => Err(AgentError::NoController(why)),
    }
}
