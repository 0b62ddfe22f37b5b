//! What a controller makes before it serves: folders, sockets, keys and connection files. Also removes the files at
//! the end.

use super::config::{ControllerConfig, ControllerError, Ready};
use super::core::{Core, Identity};
use super::oracle::Oracle;
use super::reactor::Reactor;
use super::watch::Watch;
use crate::transport::context;
use crate::transport::listen::Listener;
use crate::transport::zap::Gate;
use crate::wire::segment::SegmentFolder;
use ipclusterz_base::connection::{CONNECTION_FILE_VERSION, ConnectionFile, ControllerProcess, CurveKeys, Role};
use ipclusterz_base::places::{self, RunDirs};
use ipclusterz_base::private;
use ipclusterz_base::process::{self, Birth, Table};
use ipclusterz_base::release;

/// The files that have to be removed at the end.
#[derive(Default)]
pub(super) struct Files {
    pub ready: Ready,
}

impl Files {
    pub fn remove(&self) {
        // Errors are ignored: nothing can be done about them here, and a later start or `stop` tries again.
        let folders = [&self.ready.socket_dir, &self.ready.shared_memory_dir].into_iter().flatten();
        for path in [&self.ready.client_file, &self.ready.engine_file].into_iter().chain(folders) {
            let _ = private::remove(path);
        }
    }
}

/// Listens where `config` says, and writes the connection files. `files` names what was made, also after an error.
pub(super) fn listen(config: &ControllerConfig, files: &mut Files) -> Result<Reactor, ControllerError> {
    let dirs = places::run_dirs(&config.cluster, &config.run_id)?;
    let context = context::open()?;
    let listener = Listener::new(&context)?;
    let mut segments = None;
    // Also for the launcher's socket, which is beside the controller's.
    places::make_private_dir(&dirs.socket_dir)?;
    files.ready.socket_dir = Some(dirs.socket_dir.clone());
    if config.local {
        segments = make_segments(&dirs, &mut files.ready);
        let path = places::socket_path(&dirs.socket_dir).display().to_string();
        let bound = listener.bind_local(&path);
        files.ready.addresses.push(bound.map_err(|source| ControllerError::Bind { address: path, source })?);
    }
    let keys = Keys::new()?;
    let gate = Gate::new(&context, keys.admitted())?;
    if let Some(address) = &config.listen {
        let bound = listener.bind_tcp(address, &keys.server.secret_key);
        let bound = bound.map_err(|source| ControllerError::Bind { address: address.clone(), source })?;
        files.ready.addresses.extend(offered(&bound, &config.advertise));
    }
    write_connection_files(config, &keys, &mut files.ready)?;
    let (cluster, host, pid) = (config.cluster.clone(), places::host_name(), std::process::id());
    let identity = Identity { cluster, host, pid, table: Table::own() };
    let oracle = Oracle::new(|| places::random_hex(16), process::halt);
    let core = Core::new(identity, config.limits.with_host_memory(), oracle);
    let watch = Watch::new().map_err(|error| ControllerError::System("epoll", error))?;
    Ok(Reactor::new(context, listener, gate, segments, core, watch))
}

/// Makes the folder of segments. Without /dev/shm large payloads travel as frames.
fn make_segments(dirs: &RunDirs, ready: &mut Ready) -> Option<SegmentFolder> {
    let segments = SegmentFolder::make(&dirs.shared_memory_dir).ok()?;
    ready.shared_memory_dir = Some(dirs.shared_memory_dir.clone());
    Some(segments)
}

/// Keys of this run: the controller's own, and one for each role.
struct Keys {
    server: zmq::CurveKeyPair,
    client: zmq::CurveKeyPair,
    engine: zmq::CurveKeyPair,
}

impl Keys {
    fn new() -> Result<Keys, zmq::Error> {
        let [server, client, engine] =
            [zmq::CurveKeyPair::new()?, zmq::CurveKeyPair::new()?, zmq::CurveKeyPair::new()?];
        Ok(Keys { server, client, engine })
    }

    /// The public keys that are admitted, each with its role.
    fn admitted(&self) -> Vec<(Vec<u8>, Role)> {
        [(&self.client, Role::Client), (&self.engine, Role::Engine)]
            .map(|(pair, role)| (pair.public_key.to_vec(), role))
            .into()
    }

    /// As they stand in the connection file of `role`.
    fn of(&self, role: Role) -> Result<CurveKeys, zmq::Error> {
        let pair = match role {
            Role::Client => &self.client,
            Role::Engine => &self.engine,
        };
        let text = |key: &[u8]| zmq::z85_encode(key).map_err(|_| zmq::Error::EINVAL);
        Ok(CurveKeys {
            server: text(&self.server.public_key)?,
            public: text(&pair.public_key)?,
            secret: text(&pair.secret_key)?,
        })
    }
}

fn write_connection_files(config: &ControllerConfig, keys: &Keys, ready: &mut Ready) -> Result<(), ControllerError> {
    for (role, name) in [(Role::Client, "client.json"), (Role::Engine, "engine.json")] {
        let file = ConnectionFile {
            version: CONNECTION_FILE_VERSION,
            role,
            cluster: config.cluster.clone(),
            run_id: config.run_id.clone(),
            host: places::host_name(),
            addresses: ready.addresses.clone(),
            shared_memory: ready.shared_memory_dir.clone(),
            curve: config.listen.as_ref().map(|_| keys.of(role)).transpose()?,
            forwarded: false,
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
