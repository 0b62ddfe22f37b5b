//! `ipclusterz stop`: ends a cluster from any shell, and removes the remains of a stale one.

use crate::arguments::StopArguments;
use crate::cleanup::elsewhere::{self, Verdict};
use crate::cleanup::remains::{Cleaned, CleanupError, take_and_remove};
use crate::clusters::{cluster_option, existing_clusters, no_such_cluster};
use crate::failures;
use crate::journals::{self, KeptJournal};
use crate::report::{StopReport, Stopped};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_host::system;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::logs::tail;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::cluster_name;
use ipclusterz_runtime::controller::left;
use std::time::{Duration, Instant};

/// How long the launcher may take to end its cluster before it is killed. Its own deadlines are shorter.
const LAUNCHER_PATIENCE: Duration = Duration::from_secs(12);
/// The same for a launcher whose engines, or whole cluster, are on other hosts or in a queue.
const ELSEWHERE_PATIENCE: Duration = Duration::from_secs(45);
/// How long a launcher that was stopped may take to go on.
const GO_ON_PATIENCE: Duration = Duration::from_secs(1);
/// How many lines are shown of what had to be killed.
const UNFINISHED_LINES: usize = 10;
/// How long a killed launcher may take to exit.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a controller on another host may take to accept the request to end.
const REMOTE_PATIENCE: Duration = Duration::from_secs(5);

/// Stops one cluster, or all.
pub fn run(arguments: &StopArguments, variables: &Variables) -> Result<StopReport, Failure> {
    if !arguments.all {
        let name = cluster_name(arguments.common.cluster.as_deref(), variables)?;
        let folder = ClusterFolder::of(&name)?;
        let state = ClusterState::of(&folder)?;
        let stopped = match stop(&name, &folder, &state, arguments)? {
            Some(stopped) => stopped,
            None => stop_ended(&name, &folder, arguments.discard)?,
        };
        return Ok(StopReport { stopped: vec![stopped] });
    }
    if let Some(name) = &arguments.common.cluster {
        let message = format!("`--all` and the name {name:?} exclude each other");
        return Err(Failure::new(Exit::Usage, message).with_hint("`--all` stops every cluster of yours on this host"));
    }
    let mut stopped = Vec::new();
    let mut failed: Option<Failure> = None;
    for (name, folder, state) in existing_clusters()? {
        match state.map_err(Failure::from).and_then(|state| stop(&name, &folder, &state, arguments)) {
            Ok(done) => stopped.extend(done),
            // The other clusters are stopped all the same. The first failure is reported.
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    failed.map_or(Ok(StopReport { stopped }), Err)
}

/// Stops one cluster; `None` if there is nothing to stop.
fn stop(
    name: &str,
    folder: &ClusterFolder,
    state: &ClusterState,
    arguments: &StopArguments,
) -> Result<Option<Stopped>, Failure> {
    let discard = arguments.discard;
    let started = Instant::now();
    let was = state.word();
    let (forced, cleaned) = match state {
        ClusterState::Absent => return Ok(None),
        ClusterState::Stale(handle) => (false, clean(name, folder, handle)?),
        ClusterState::Live(handle) => end_launcher(name, folder, handle)?,
        ClusterState::Elsewhere(handle) | ClusterState::Gone(handle) if arguments.force => {
            stop_by_force(name, folder, handle)?
        }
        ClusterState::Elsewhere(handle) | ClusterState::Gone(handle) if discard => {
            let message = format!("--discard: cluster {name:?} runs on {}, and its journal is in use", handle.host);
            return Err(Failure::new(Exit::Usage, message).with_hint(format!("run the command on {}", handle.host)));
        }
        ClusterState::Elsewhere(handle) | ClusterState::Gone(handle) => {
            stop_elsewhere(name, folder, handle)?;
            (false, Cleaned::default())
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    // Written by the launcher alone, at its end; that of an earlier run is removed at each start.
    let (unfinished, _) = tail(&folder.logs().killed(), UNFINISHED_LINES).unwrap_or_default();
    let (journal, discarded) = settle_journal(name, folder, discard)?;
    let (cluster, Cleaned { killed, ended, not_looked_at, .. }) = (name.to_owned(), cleaned);
    let stopped =
        Stopped { cluster, was, forced, killed, ended, not_looked_at, unfinished, journal, discarded, seconds };
    Ok(Some(stopped))
}

/// The journal of a cluster that has ended is dropped, if that is wanted. Returns one that stays, and whether one was dropped.
fn settle_journal(name: &str, folder: &ClusterFolder, discard: bool) -> Result<(Option<KeptJournal>, bool), Failure> {
    if !left::is_there(folder.path()) {
        return Ok((None, false));
    }
    // Whoever has the lock goes on with it, or cleans up.
    let Some(lock) = ClusterLock::take(folder)? else {
        return if discard { Err(CleanupError::Busy(name.to_owned()).into()) } else { Ok((None, false)) };
    };
    if discard {
        return Ok((None, journals::discard(folder, lock)?));
    }
    Ok((journals::left_by(name, folder, false), false))
}

/// The same for a cluster that is not running.
fn stop_ended(name: &str, folder: &ClusterFolder, discard: bool) -> Result<Stopped, Failure> {
    let started = Instant::now();
    match settle_journal(name, folder, discard)? {
        (None, true) => Ok(Stopped {
            cluster: name.to_owned(),
            was: "ended",
            forced: false,
            killed: vec![],
            ended: vec![],
            not_looked_at: vec![],
            unfinished: vec![],
            journal: None,
            discarded: true,
            seconds: started.elapsed().as_secs_f64(),
        }),
        (Some(kept), _) => {
            let message = format!("cluster {name:?} does not run; it has left a journal: {}", kept.content());
            Err(Failure::new(Exit::NoCluster, message).with_hint(kept.hint()))
        }
        (None, false) => Err(no_such_cluster(name)),
    }
}

/// Asks the launcher to end its cluster, and kills the launcher if it does not. Returns whether the launcher had to be
/// killed, and what was left of the cluster.
fn end_launcher(name: &str, folder: &ClusterFolder, handle: &ClusterHandle) -> Result<(bool, Cleaned), Failure> {
    let pid = handle.launcher.pid;
    let doing = || format!("stopping cluster {name:?} by a signal to its launcher (pid {pid})");
    let ends_after = |signal, patience| -> Result<bool, Failure> {
        match system::signal_process(pid, signal) {
            // The launcher has exited since its record was read.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(true),
            other => other.map_err(Failure::io(doing()))?,
        }
        // One that Ctrl-Z has stopped acts on nothing else until it is continued. An error is ignored: it has exited.
        let _ = system::signal_process(pid, libc::SIGCONT);
        let ends = |patience| -> Result<bool, Failure> {
            Ok(system::wait_for_end(pid, patience).map_err(Failure::io(doing()))? || !handle.launcher.is_alive())
        };
        if ends(GO_ON_PATIENCE.min(patience))? {
            return Ok(true);
        }
        // A debugger or a frozen cgroup keeps it, and only SIGKILL is stronger.
        if signal != libc::SIGKILL && handle.launcher.halt().is_some() {
            return Ok(false);
        }
        ends(patience.saturating_sub(GO_ON_PATIENCE))
    };
    let elsewhere = handle.sets.iter().any(|record| !record.job.is_here());
    let patience = if elsewhere { ELSEWHERE_PATIENCE } else { LAUNCHER_PATIENCE };
    let patience = patience + Duration::try_from_secs_f64(handle.end_timeout).unwrap_or_default();
    let forced = !ends_after(libc::SIGTERM, patience)?;
    if forced && !ends_after(libc::SIGKILL, KILL_PATIENCE)? {
        return Err(Failure::new(Exit::Timeout, format!("{}: it does not end, although it was killed", doing())));
    }
    // A launcher that exits in order removes its record. What a killed one left is in the newest record, which may be
    // newer than `handle`.
    match ClusterState::of(folder)? {
        ClusterState::Stale(handle) => Ok((forced, clean(name, folder, &handle)?)),
        _ => Ok((forced, Cleaned::default())),
    }
}

/// Removes the remains of a dead launcher, unless another process has removed them or a new launcher has taken over.
fn clean(name: &str, folder: &ClusterFolder, handle: &ClusterHandle) -> Result<Cleaned, Failure> {
    Ok(take_and_remove(name, folder, handle)?.unwrap_or_default())
}

/// Stops the cluster through the controller's TCP address. Its launcher cleans up when the controller has exited.
fn stop_elsewhere(name: &str, folder: &ClusterFolder, handle: &ClusterHandle) -> Result<(), Failure> {
    let stopped = elsewhere::controller(folder)
        .and_then(|client| client.shutdown(None, REMOTE_PATIENCE).map_err(failures::of_client));
    stopped.map_err(|failure| {
        let host = &handle.host;
        let message = format!("cluster {name:?} runs on {host} and cannot be stopped from here: {}", failure.message);
        let force = format!("should that host be gone for good, `ipclusterz stop --force{}`", cluster_option(name));
        Failure::new(Exit::Unreachable, message)
            .with_hint(format!("run `ipclusterz stop{}` on {host}; {force}", cluster_option(name)))
    })
}

/// Stops a cluster of another host through its controller or, if the host is gone, ends what it has left.
fn stop_by_force(name: &str, folder: &ClusterFolder, handle: &ClusterHandle) -> Result<(bool, Cleaned), Failure> {
    match elsewhere::judge(folder, handle) {
        Verdict::Lives(_) => stop_elsewhere(name, folder, handle).map(|()| (false, Cleaned::default())),
        Verdict::Gone(why, watch) => {
            print_line(&format!("cluster {name:?} of {}: {why}", handle.host));
            let taken = elsewhere::take_over(folder, handle, &watch)?;
            Ok((true, taken.map(|(_, cleaned)| cleaned).unwrap_or_default()))
        }
    }
}
