//! What a controller makes before it serves: folders, sockets, keys and connection files. Also removes the files at
//! the end.

use super::appearance::Appearance;
use super::broadcast::Broadcast;
use super::config::{ControllerConfig, ControllerError, JournalMode, Ready};
use super::core::{Core, Identity};
use super::left::JOURNAL;
use super::limits::Limits;
use super::oracle::Oracle;
use super::reactor::Reactor;
use super::recovery::{self, Begun};
use super::watch::Watch;
use crate::transport::context;
use crate::transport::listen::Listener;
use crate::transport::zap::Gate;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::connection::{CONNECTION_FILE_VERSION, ConnectionFile, ControllerProcess, Role};
use ipclusterz_base::places::{self, RunDirs};
use ipclusterz_base::private;
use ipclusterz_base::process::{self, Birth, Table};
use ipclusterz_base::release;
use std::path::PathBuf;

/// The files that have to be removed at the end.
#[derive(Default)]
pub(super) struct Files {
    pub ready: Ready,
    /// The folder of its journal.
    pub journal: Option<PathBuf>,
    /// Whether there was a controller before this one, which has left some of them.
    pub former: bool,
}

impl Files {
    /// With `keep`, the journal stays, and the segments that are named in it. Whoever has started this process takes care of them.
    /// Where another run of the cluster has taken over, only what is this run's alone is removed.
    pub fn remove(&self, keep: bool, run_id: &str) {
        if ConnectionFile::read(&self.ready.client_file).is_ok_and(|file| file.run_id != run_id) {
            for folder in [&self.ready.shared_memory_dir, &self.ready.socket_dir].into_iter().flatten() {
                let _ = private::remove(folder);
            }
            return;
        }
        // Errors are ignored: nothing can be done about them here, and a later start or `stop` tries again.
        let with_journal = [&self.ready.shared_memory_dir, &self.journal].into_iter().filter(|_| !keep);
        let folders = with_journal.chain([&self.ready.socket_dir]).flatten();
        for path in [&self.ready.client_file, &self.ready.engine_file].into_iter().chain(folders) {
            let _ = private::remove(path);
        }
    }
}

/// Listens where `config` says, and writes the connection files. `files` names what was made, also after an error.
pub(super) fn listen(config: &ControllerConfig, files: &mut Files) -> Result<Reactor, ControllerError> {
    let dirs = places::run_dirs(&config.cluster, &config.run_id)?;
    let context = context::open()?;
    let mut listener = Listener::new(&context)?;
    // Also for the launcher's socket, which is beside the controller's.
    places::make_private_dir(&dirs.socket_dir)?;
    files.ready.socket_dir = Some(dirs.socket_dir.clone());
    // Also where all come through TCP: what is large stays there, and not in this process.
    let segments = make_segments(&dirs, &mut files.ready);
    if config.local {
        let path = places::socket_path(&dirs.socket_dir).display().to_string();
        let bound = listener.bind_local(&path);
        files.ready.addresses.push(bound.map_err(|source| ControllerError::Bind { address: path, source })?);
    }
    let folder = config.directory.join(JOURNAL);
    let take = if config.resume { Appearance::take_up } else { Appearance::read };
    let former = take(&folder, &config.run_id)?;
    files.former = former.is_some();
    let mut appearance = former.map_or_else(|| Appearance::new(&config.run_id), Ok)?;
    let gate = Gate::new(&context, appearance.admitted()?)?;
    // Where it listened before, peers look for it.
    let before = appearance.endpoint.as_deref().and_then(|endpoint| endpoint.strip_prefix("tcp://"));
    if let Some(address) = before.or(config.listen.as_deref()).map(str::to_owned) {
        let bound = listener.bind_tcp(&address, &appearance.secret()?, config.manner, segments.clone());
        let bound = bound.map_err(|source| ControllerError::Bind { address, source })?;
        files.ready.addresses.extend(offered(&bound, &config.advertise));
        appearance.endpoint = Some(bound);
    }
    let returns = config.journal != JournalMode::Off || config.keeper.is_some();
    if returns {
        // That of a dead controller stays where this one cannot go on: another one may.
        files.journal = Some(folder.clone()).filter(|_| !files.former);
        appearance.write(&folder)?;
    }
    write_connection_files(config, &appearance, &mut files.ready)?;
    let (cluster, host, pid) = (config.cluster.clone(), places::host_name(), std::process::id());
    let identity = Identity { cluster, host, pid, table: Table::own() };
    let oracle = Oracle::new(|| places::random_hex(16), process::halt);
    let durable = config.journal != JournalMode::Off;
    let limits = Limits { durable, ..config.limits.with_host_memory() };
    let mut state = if durable {
        recovery::begin(&folder, identity, limits, oracle, appearance.created, segments.as_ref(), config.resume)?
    } else {
        Begun::without_journal(Core::new(identity, limits, oracle))
    };
    let watch = Watch::new().map_err(|error| ControllerError::System("epoll", error))?;
    files.journal = Some(folder).filter(|_| returns);
    begin_to_broadcast(&mut state)?;
    Ok(Reactor::new(context, listener, gate, segments, state, config.journal, watch))
}

/// Those who look on are told what happens, unless nothing is kept for them.
fn begin_to_broadcast(state: &mut Begun) -> Result<(), ControllerError> {
    let kept = state.core.limits().events;
    if kept.time.is_zero() {
        return Ok(());
    }
    let broadcast = Broadcast::start(state.began, state.core.start(), kept);
    state.core.begin_to_observe();
    state.broadcast = Some(broadcast.map_err(|error| ControllerError::System("starting a thread", error))?);
    Ok(())
}

/// Makes the folder of segments. Without /dev/shm large payloads travel as frames.
fn make_segments(dirs: &RunDirs, ready: &mut Ready) -> Option<SegmentFolder> {
    let segments = SegmentFolder::make(&dirs.shared_memory_dir).ok()?;
    ready.shared_memory_dir = Some(dirs.shared_memory_dir.clone());
    Some(segments)
}

fn write_connection_files(
    config: &ControllerConfig,
    keys: &Appearance,
    ready: &mut Ready,
) -> Result<(), ControllerError> {
    for (role, name) in [(Role::Client, "client.json"), (Role::Engine, "engine.json")] {
        let file = ConnectionFile {
            version: CONNECTION_FILE_VERSION,
            role,
            cluster: config.cluster.clone(),
            run_id: config.run_id.clone(),
            host: places::host_name(),
            addresses: ready.addresses.clone(),
            shared_memory: ready.shared_memory_dir.clone(),
            curve: keys.endpoint.as_ref().map(|_| keys.keys(role)),
            forwarded: false,
            through_ssh: false,
            release: Some(release::number().to_owned()),
            controller: Birth::own().map(|birth| ControllerProcess { pid: std::process::id(), birth }),
            keeper: config.keeper,
            path: None,
        };
        let path = config.directory.join(name);
        file.write(&path)?;
        match role {
            Role::Client => ready.client_file = path,
            Role::Engine => ready.engine_file = path,
        }
    }
    Ok(())
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
