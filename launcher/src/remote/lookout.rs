//! Asks the launcher on another host while its cluster runs: whether it lives, how far it is, for more or fewer
//! engines.

use super::answers::{parse_look, parse_restarting, parse_scaled, parse_status};
use super::there::There;
use crate::report::progress::Progress;
use crate::requests::{Change, Scaled, Scaling};
use crate::supervisor::events::Event;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::ssh::script::SHELL;
use ipclusterz_ssh::tunnel::Runner;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest time between two looks at a cluster that runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two looks while its record is missing.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long a launcher there may take to answer.
const SCALE_PATIENCE: Duration = Duration::from_secs(9);
/// How long a status there may take.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Starts the thread that touches the lease and reports when the cluster is gone. A message on the returned sender
/// makes it look at once; the thread ends when the sender is dropped.
pub fn watch_cluster(
    there: There,
    runner: Runner,
    lease: Duration,
    events: Sender<Event>,
) -> Result<Sender<()>, Failure> {
    let (look_now, wake) = channel();
    let interval = LOOK_INTERVAL.min(lease / 4);
    let work = move || {
        let mut missing = 0;
        loop {
            // A record may be missing while it is being replaced. If it stays missing, the cluster is gone.
            let wait = if missing == 0 { interval } else { LOOK_AGAIN.min(interval) };
            match wake.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let output = runner.run(SHELL, there.look().as_bytes(), Instant::now() + LOOK_INTERVAL.max(lease));
            // An error is ignored: the tunnel reports what is wrong with the connection, and reconnects.
            let Ok(told) = output.and_then(|output| output.text(&there.record.host, "a look at the cluster")) else {
                continue;
            };
            let look = parse_look(&told);
            missing = if look.alive { 0 } else { missing + 1 };
            let outcome = match look.outcome {
                Some(outcome) => outcome,
                None if missing < 10 => continue,
                None => Err(Failure::new(Exit::NoCluster, format!("cluster {:?} is gone", there.record.cluster))
                    .with_hint("was it killed, or out of reach for longer than engines.lease?")),
            };
            // The launcher may be exiting. Then nobody needs the event.
            let _ = events.send(Event::EndedElsewhere(outcome));
            return;
        }
    };
    let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(work);
    thread.map_err(Failure::io("starting a thread"))?;
    Ok(look_now)
}

/// Asks the launcher there for more or fewer engines.
pub fn scale(there: &There, runner: &Runner, scaling: &Scaling) -> Result<Scaled, Failure> {
    let change = match scaling.change {
        Change::By(by) => format!("{by:+}"),
        Change::To(count) => count.to_string(),
    };
    let script = there.scale(&change, scaling.group.as_deref());
    asked(there, runner, "scale", &script, SCALE_PATIENCE, parse_scaled)
}

/// Asks the launcher there to restart engines; none: all. Returns which.
pub fn restart(there: &There, runner: &Runner, engines: Option<&[EngineId]>) -> Result<Vec<EngineId>, Failure> {
    let script = there.restart(engines.unwrap_or_default());
    asked(there, runner, "restart", &script, SCALE_PATIENCE, parse_restarting)
}

/// How far the sets are, as the launcher there reports it.
pub fn progress(there: &There, runner: &Runner) -> Result<Progress, Failure> {
    asked(there, runner, "status", &there.status(), STATUS_PATIENCE, parse_status)
}

/// What a command says there that this script runs; `parse` finds the answer in it.
fn asked<T>(
    there: &There,
    runner: &Runner,
    command: &str,
    script: &str,
    patience: Duration,
    parse: impl Fn(&str) -> Option<Result<T, Failure>>,
) -> Result<T, Failure> {
    let output = runner.run(SHELL, script.as_bytes(), Instant::now() + patience)?;
    let told = output.text(&there.record.host, &format!("ipclusterz {command}"))?;
    parse(&told).unwrap_or_else(|| {
        Err(Failure::new(Exit::Unreachable, format!("ipclusterz on {} did not answer", there.record.host)))
    })
}
