//! `ipclusterz wait`: returns when a cluster has a given number of engines.

use super::reason::{self, SAY_INTERVAL};
use super::waiting::Waiting;
use crate::arguments::WaitArguments;
use crate::clusters::{check_cluster_goes_on, ended_unheard, gone_hint, no_such_cluster};
use crate::report::WaitReport;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::Phase;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{cluster_name, seconds};
use std::time::{Duration, Instant};

/// How often to look for a cluster that does not exist yet. It is polled, because a folder on a network file system has
/// no notifications.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long a launcher may take to end when its controller has.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Waits for the cluster, then for its engines.
pub fn run(arguments: &WaitArguments, variables: &Variables) -> Result<WaitReport, Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let started = Instant::now();
    let deadline = started + seconds("--timeout", arguments.timeout)?;
    let folder = ClusterFolder::of(&cluster)?;
    let file = wait_for_controller(&cluster, &folder, deadline)?;
    let waiting = Waiting::connect(file, left(deadline).max(LOOK_INTERVAL));
    let mut waiting = waiting.map_err(|failure| with_state(&cluster, &folder, failure))?;
    let wanted = arguments.engines as usize;
    let mut next_say = started + SAY_INTERVAL;
    loop {
        let engines = waiting.engines();
        if engines.len() >= wanted {
            return Ok(WaitReport { cluster, engines, seconds: started.elapsed().as_secs_f64() });
        }
        let now = Instant::now();
        let count = engines.len();
        if now >= deadline {
            let (seconds, reason) = (arguments.timeout, why(&folder, deadline)?);
            let message = format!("cluster {cluster:?} has {count} of {wanted} engines after {seconds} s{reason}");
            return Err(Failure::new(Exit::Timeout, message).with_hint(format!(
                "`ipclusterz status --cluster {cluster}` shows them, `ipclusterz logs` what they say"
            )));
        }
        if now >= next_say {
            let (seconds, reason) = (left(deadline).as_secs_f64(), why(&folder, deadline)?);
            print_line(&format!("cluster {cluster:?} has {count} of {wanted} engines; {seconds:.0} s left{reason}"));
            next_say = Instant::now() + SAY_INTERVAL;
        }
        waiting.wait(deadline.min(next_say)).map_err(|failure| why_it_ended(&cluster, &folder, failure))?;
    }
}

/// The failure for a cluster whose controller has ended: what its launcher says when it has ended too, if anything.
fn why_it_ended(cluster: &str, folder: &ClusterFolder, failure: Failure) -> Failure {
    let deadline = Instant::now() + ENDS_WITHIN;
    while matches!(ClusterState::of(folder), Ok(ClusterState::Live(_))) && Instant::now() < deadline {
        std::thread::sleep(LOOK_INTERVAL);
    }
    ended_unheard(cluster).unwrap_or(failure)
}

/// Waits for the connection file, which the controller writes.
fn wait_for_controller(cluster: &str, folder: &ClusterFolder, deadline: Instant) -> Result<ConnectionFile, Failure> {
    let mut said = false;
    loop {
        let state = ClusterState::of(folder)?;
        if let (ClusterState::Absent, Some(failure)) = (&state, ended_unheard(cluster)) {
            return Err(failure);
        }
        let reason = match &state {
            ClusterState::Live(handle) if handle.phase == Phase::Stopping => "it is being stopped",
            ClusterState::Live(_) | ClusterState::Elsewhere(_) | ClusterState::Gone(_)
                if folder.client_file().exists() =>
            {
                return Ok(ConnectionFile::read(&folder.client_file())?);
            }
            ClusterState::Live(_) | ClusterState::Elsewhere(_) => "its controller is being started",
            ClusterState::Gone(_) => "its launcher, on another host, gives no sign of life",
            ClusterState::Stale(_) => "only stale remains of it are there",
            ClusterState::Absent => "it is not there yet",
        };
        if Instant::now() >= deadline {
            return Err(match state {
                ClusterState::Absent => no_such_cluster(cluster),
                _ => Failure::new(Exit::Timeout, format!("cluster {cluster:?} has no controller: {reason}")),
            });
        }
        if !said {
            print_line(&format!("waiting for cluster {cluster:?}: {reason}"));
            said = true;
        }
        std::thread::sleep(LOOK_INTERVAL.min(left(deadline)));
    }
}

/// Why engines are missing, if the launcher runs on this host and answers.
fn why(folder: &ClusterFolder, deadline: Instant) -> Result<String, Failure> {
    Ok(match ClusterState::of(folder)? {
        ClusterState::Live(handle) => match check_cluster_goes_on(&handle) {
            Ok(()) => reason::after(reason::of(&handle, deadline).as_ref()),
            Err(failure) => format!("; {}: {}", failure.message, failure.hint.unwrap_or_default()),
        },
        _ => String::new(),
    })
}

/// A failure to reach the controller, with what is known of its host.
fn with_state(cluster: &str, folder: &ClusterFolder, failure: Failure) -> Failure {
    let Ok(ClusterState::Gone(handle)) = ClusterState::of(folder) else { return failure };
    let silent = format!("; its launcher, on {}, gives no sign of life", handle.host);
    Failure::new(failure.exit(), failure.message + &silent).with_hint(gone_hint(cluster, &handle))
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
