//! `ipclusterz status`: a cluster's engines and controller, as the controller reports them.

use super::reason;
use crate::arguments::StatusArguments;
use crate::clusters::{check_goes_on, gone_hint, no_such_cluster};
use crate::failures;
use crate::report::progress::Progress;
use crate::report::{LeadsTo, StatusReport};
use ipclusterz_base::connection::{ConnectionError, ConnectionFile};
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::Fate;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::{ClusterHandle, Phase};
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::tunnel::TunnelRecord;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{cluster_name, seconds};
use ipclusterz_runtime::client::{Client, ClientError};
use ipclusterz_runtime::wire::message::Status;
use std::time::{Duration, Instant};

/// The pause before a controller is asked again that has died meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Asks the controller, or reports what is known without it.
pub fn run(arguments: &StatusArguments, variables: &Variables) -> Result<StatusReport, Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let timeout = seconds("--timeout", arguments.timeout)?;
    let folder = ClusterFolder::of(&cluster)?;
    let state = ClusterState::of(&folder)?;
    let Some(handle) = state.handle() else {
        return match TunnelRecord::read(&folder)? {
            Some(record) if record.owner.fate() != Fate::Gone => of_tunnel(cluster, &folder, record, timeout),
            _ => Err(no_such_cluster(&cluster)),
        };
    };
    if let ClusterState::Stale(handle) = &state {
        let message = format!(
            "cluster {cluster:?} is stale: its launcher (pid {} on {}) is gone",
            handle.launcher.pid, handle.host
        );
        return Err(Failure::new(Exit::NoCluster, message).with_hint(format!(
            "`ipclusterz stop --cluster {cluster}` removes its remains; starting it again does so too"
        )));
    }
    if let ClusterState::Live(ClusterHandle { controller: Some(process), .. }) = &state {
        check_goes_on(&format!("the controller of cluster {cluster:?}"), *process)?;
    }
    let (addresses, controller) = match ConnectionFile::read(&folder.client_file()) {
        // The connection file is not there yet: the controller writes it within milliseconds of its start.
        Err(ConnectionError::Missing(_)) if handle.phase == Phase::Starting => (Vec::new(), None),
        Err(error) => return Err(error.into()),
        Ok(file) => {
            let status = ask(&file, timeout).map_err(|failure| not_answering(&cluster, &folder, &state, &failure))?;
            (file.addresses, Some(status))
        }
    };
    let progress = match &state {
        ClusterState::Live(handle) => reason::of(handle, Instant::now() + timeout),
        _ => None,
    };
    let controller = controller.map(|status| with_suspended(status, progress.as_ref()));
    let launcher_halt = matches!(state, ClusterState::Live(_)).then(|| handle.launcher.halt()).flatten();
    Ok(StatusReport {
        progress,
        launcher_halt: launcher_halt.map(|halt| halt.of("the launcher", handle.launcher.pid)),
        state: state.word(),
        host: handle.host.clone(),
        launcher_pid: handle.launcher.pid,
        engines_wanted: Some(handle.engines_wanted),
        addresses,
        log_directory: Some(folder.logs().path().to_path_buf()),
        controller,
        tunnel: None,
        cluster,
    })
}

/// Engines whose job is stopped are not busy, nor away: the controller cannot know that.
fn with_suspended(mut status: Status, progress: Option<&Progress>) -> Status {
    let suspended = |id: &EngineId| progress.is_some_and(|all| all.sets.iter().any(|set| set.suspended.contains(id)));
    for engine in status.engines.iter_mut().filter(|engine| suspended(&engine.id)) {
        "suspended".clone_into(&mut engine.state);
    }
    status
}

/// The status of a tunnel: asks the controller at its other end.
fn of_tunnel(
    name: String,
    folder: &ClusterFolder,
    record: TunnelRecord,
    timeout: Duration,
) -> Result<StatusReport, Failure> {
    let (addresses, controller) = match ConnectionFile::read(&folder.client_file()) {
        Err(ConnectionError::Missing(_)) => (Vec::new(), None),
        Err(error) => return Err(error.into()),
        Ok(file) => {
            let silent = |failure: Failure| {
                let message = format!(
                    "{name:?} is a tunnel {} (pid {} on {}), through which no controller answers: {}",
                    record.where_to(),
                    record.owner.process.pid,
                    record.owner.host,
                    failure.message
                );
                let may_be = "the connection may be down for a moment, which the tunnel says where it runs";
                Failure::new(Exit::Unreachable, message).with_hint(failure.hint.unwrap_or_else(|| may_be.to_owned()))
            };
            let status = ask(&file, timeout).map_err(silent)?;
            (file.addresses, Some(status))
        }
    };
    Ok(StatusReport {
        cluster: name,
        state: "tunnel",
        launcher_pid: record.owner.process.pid,
        host: record.owner.host,
        engines_wanted: None,
        addresses,
        log_directory: None,
        controller,
        progress: None,
        launcher_halt: None,
        tunnel: Some(LeadsTo { host: record.host, cluster: record.cluster }),
    })
}

/// Asks the controller; again if it dies meanwhile and may be started again.
fn ask(file: &ConnectionFile, timeout: Duration) -> Result<Status, Failure> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match Client::connect(file, left).and_then(|client| client.status(left)) {
            Err(ClientError::Disconnected(_)) if file.keeper.is_some() && file.ended().is_none() && !left.is_zero() => {
                std::thread::sleep(ASK_AGAIN.min(left));
            }
            told => return told.map_err(failures::of_client),
        }
    }
}

/// The failure for a controller that does not answer, with what is known about the cluster.
fn not_answering(cluster: &str, folder: &ClusterFolder, state: &ClusterState, failure: &Failure) -> Failure {
    let silent = format!("the controller of cluster {cluster:?} does not answer: {}", failure.message);
    if let Some(hint) = &failure.hint {
        // It has answered, and does not understand this command.
        return Failure::new(Exit::Unreachable, silent).with_hint(hint);
    }
    if let ClusterState::Gone(handle) = state {
        let message = format!("{silent}; its launcher, on {}, gives no sign of life", handle.host);
        return Failure::new(Exit::Unreachable, message).with_hint(gone_hint(cluster, handle));
    }
    let ClusterState::Live(handle) = state else {
        let host = state.handle().map(|handle| handle.host.as_str()).unwrap_or_default();
        return Failure::new(Exit::Unreachable, silent).with_hint(format!("ask on {host}, where it was started"));
    };
    let restart = reason::of(handle, Instant::now()).and_then(|progress| progress.controller);
    let process = match handle.controller {
        _ if restart.is_some() => restart.unwrap_or_default(),
        Some(process) if process.is_alive() => format!("its process (pid {}) is there", process.pid),
        Some(process) => format!("its process (pid {}) is gone", process.pid),
        None => "its process has not been started yet".to_owned(),
    };
    let hint = format!(
        "read {}, or end the cluster with `ipclusterz stop --cluster {cluster}`",
        folder.logs().controller().display()
    );
    Failure::new(Exit::Unreachable, format!("{silent}; {process}")).with_hint(hint)
}
