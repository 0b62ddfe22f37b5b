//! How an engine registers: it dials the controller, starts its I/O thread, and waits to be admitted.

use super::config::{EngineConfig, EngineError};
use super::handle::Engine;
use super::process;
use super::reactor::Reactor;
use super::reader;
use super::shared::Shared;
use crate::transport::context;
use crate::transport::dial::DialError;
use crate::transport::session::Session;
use crate::transport::through::AgentPlace;
use crate::wire::message::Hello;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::connection::{ConnectionFile, Role};
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

impl Engine {
    /// Registers with the controller of `connection_file`. The calling thread is the one that will run user code.
    pub fn register(connection_file: &Path, config: &EngineConfig) -> Result<Engine, EngineError> {
        let file = ConnectionFile::read(connection_file)?;
        if file.role != Role::Engine {
            return Err(EngineError::WrongRole(connection_file.display().to_string(), file.role));
        }
        let uuid = places::random_hex(16);
        let context = context::open().map_err(DialError::Short)?;
        let agent = config.agent.as_ref().and_then(|(socket, segments)| AgentPlace::open(socket, segments));
        let mut session = Session::dial_through(&context, &file, hello(uuid.clone(), config), agent)?;
        session.set_end(config.end.map(|end| Instant::now() + end.left()));
        let segments = file.shared_memory.filter(|_| session.is_local());
        let segments = segments.map_or(Ok(None), |path| SegmentFolder::open(&path)).map_err(DialError::of_place)?;
        let shared = Shared::new(segments, config.mpi).map_err(|error| EngineError::of_io("eventfd", error))?;
        let shared = Arc::new(shared);
        process::end_group_on_sigterm();
        let reactor = Reactor::new(context, session, Arc::clone(&shared), config, file.keeper.is_some());
        let thread = std::thread::Builder::new()
            .name("ipclusterz-io".to_owned())
            .spawn(move || reactor.run())
            .map_err(|error| EngineError::of_io("starting the I/O thread", error))?;
        let id = await_registration(&shared)?;
        let captures = config.capture && is_captured(&shared);
        Ok(Engine { shared, thread: Some(thread), id, uuid, cluster: file.cluster, run_id: file.run_id, captures })
    }
}

/// Has what is written to descriptors 1 and 2 go to tasks, too. Without that an engine works all the same.
fn is_captured(shared: &Arc<Shared>) -> bool {
    let started = reader::start(shared);
    if let Err(error) = &started {
        let line =
            format!("what programs and libraries write is not seen by clients: {error} (engines.capture_output)\n");
        shared.logs.write(true, line);
    }
    started.is_ok()
}

fn hello(uuid: String, config: &EngineConfig) -> Hello {
    Hello {
        wanted_id: config.wanted_id,
        lease: config.lease.as_secs_f64(),
        drain_before: config.end.map_or(0.0, |end| end.drain_before.as_secs_f64()),
        group: config.group.clone(),
        offers: config.offers.clone(),
        world: config.world.clone().map(Box::new),
        ..Hello::new(Role::Engine, uuid, places::host_name(), std::process::id())
    }
}

/// Waits until the engine is admitted. The I/O thread ends this wait at its deadline.
fn await_registration(shared: &Shared) -> Result<EngineId, EngineError> {
    let mut state = shared.lock();
    while state.registered.is_none() && state.ended.is_none() {
        state = shared.wait(state);
    }
    match (state.registered, state.ended.take()) {
        (Some((id, _)), None) => Ok(id),
        (_, Some(message)) if state.advice.is_some() => {
            Err(EngineError::OtherVersion { message, hint: state.advice.take().unwrap_or_default() })
        }
        (_, reason) => Err(EngineError::Refused(reason.unwrap_or_default())),
    }
}
