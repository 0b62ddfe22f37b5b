//! The command `engines`: all of them register, work, and end with their cluster.
//!
//! It prints two lines of JSON: one when all have registered, and one when all have ended.

use crate::arguments::EngineOptions;
use crate::descriptors;
use crate::engine::{Conduct, Engine};
use crate::executions::Executions;
use crate::numbers::Random;
use crate::pool::{Pool, PoolError};
use ipclusterz_base::connection::{ConnectionError, ConnectionFile, Role};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

/// Why engines could not do their work.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The connection file cannot be used.
    #[error("{0}\nhint: {hint}", hint = .0.hint())]
    ConnectionFile(#[from] ConnectionError),
    /// It is that of the other kind of peer.
    #[error("{0} is a connection file for {1}s, not for {2}s\nhint: that for {2}s is beside it")]
    WrongRole(String, Role, Role),
    /// Their sessions failed.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The command of an engine lacks it.
    #[error("{0:?} is no command of an engine: it has no --connection-file")]
    NoConnectionFile(String),
    /// The kernel refused something.
    #[error("{0}: {1}")]
    System(String, io::Error),
}

impl PeersError {
    /// Of what the kernel said about `what`.
    pub fn of(what: impl Into<String>) -> impl FnOnce(io::Error) -> PeersError {
        |error| PeersError::System(what.into(), error)
    }
}

/// The connection file at `path`, for peers of this role.
pub fn connection(path: &Path, role: Role) -> Result<ConnectionFile, PeersError> {
    let mut file = ConnectionFile::read(path)?;
    if file.role != role {
        return Err(PeersError::WrongRole(path.display().to_string(), file.role, role));
    }
    // Small payloads alone: no peer has segments.
    file.shared_memory = None;
    Ok(file)
}

/// One line on stdout, at once.
pub fn print(line: &serde_json::Value) -> Result<(), PeersError> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(PeersError::of("writing to stdout"))
}

/// True if all of them registered and were told to end.
pub fn run(options: &EngineOptions) -> Result<bool, PeersError> {
    descriptors::allow_all().map_err(PeersError::of("allowing more open files"))?;
    let path = options.connection();
    let path = path.ok_or_else(|| PeersError::NoConnectionFile(options.instead_of.join(" ")))?;
    let file = connection(&path, Role::Engine)?;
    let executions = Executions::open(options.executions.as_deref());
    let named = options.executions.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let conduct = Rc::new(Conduct {
        busy: options.busy.clone(),
        fail: options.fail,
        wrong: options.wrong,
        lease: options.lease,
        executions: RefCell::new(executions.map_err(PeersError::of(named))?),
    });
    let engine = |number| {
        let wanted_id = options.wanted_id().filter(|_| number == 0);
        Engine::new(Rc::clone(&conduct), Random::new(options.seed, number), wanted_id)
    };
    let mut pool = Pool::dial(&file, (0..options.number).map(engine).collect())?;
    let mut told = false;
    while !pool.has_ended() {
        pool.turn()?;
        if !told && pool.peers().all(Engine::has_registered) {
            told = true;
            print(&json!({"version": 1, "event": "registered", "engines": options.number}))?;
        }
    }
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for reason in pool.peers().filter_map(Engine::ended) {
        *reasons.entry(reason).or_default() += 1;
    }
    let executed = conduct.executions.borrow().count();
    print(&json!({"version": 1, "event": "ended", "executed": executed, "reasons": reasons}))?;
    Ok(told)
}
