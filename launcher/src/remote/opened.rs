//! Opens a forward to a controller on another host, and checks that the controller answers through it.

use super::clusters::RemoteCluster;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_runtime::client::{Client, ClientError};
use ipclusterz_ssh::{Endpoint, Forward, LocalListener, Remote};
use std::path::Path;
use std::time::Duration;

/// How long a controller may take to answer through a new forward.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// A forward through which a controller has answered.
pub struct Opened {
    /// The forward.
    pub forward: Forward,
    /// Its end on this host.
    pub listener: LocalListener,
    /// Its end there.
    pub to: Endpoint,
}

/// Forwards to each end in turn, until the controller answers through one. `socket` is the path of a local unix socket.
pub fn first_that_answers(
    remote: &mut dyn Remote,
    found: &RemoteCluster,
    socket: &Path,
) -> Result<(Opened, ConnectionFile), Failure> {
    let mut problems = Vec::new();
    for to in &found.ends {
        // Keys are used with TCP alone, so an end with TCP there needs an end with TCP here.
        let listener = match to {
            Endpoint::Unix(_) => LocalListener::unix(socket)?,
            Endpoint::Tcp { .. } => LocalListener::tcp(0)?,
        };
        let clone = listener.try_clone().map_err(Failure::io("duplicating a socket"))?;
        let forward = remote.forward_local(clone, to)?;
        let file = ConnectionFile {
            addresses: vec![listener.endpoint().to_address()],
            shared_memory: None,
            forwarded: true,
            through_ssh: true,
            ..found.client.clone()
        };
        match Client::connect(&file, ANSWER_PATIENCE) {
            Ok(_) => return Ok((Opened { forward, listener, to: to.clone() }, file)),
            Err(ClientError::OtherVersion { message, hint }) => {
                return Err(Failure::new(Exit::Unreachable, message).with_hint(hint));
            }
            Err(error) => problems.push(format!("{to}: {error}")),
        }
    }
    let (cluster, host) = (&found.client.cluster, remote.host());
    let message =
        format!("the controller of cluster {cluster:?} does not answer through {host}:\n  {}", problems.join("\n  "));
    Err(Failure::new(Exit::Unreachable, message)
        .with_hint(format!("look at it there: ssh {host} ipclusterz status --cluster {cluster}")))
}
