//! What is asked of the launcher there while its cluster runs: whether it lives, how far it is, more engines or fewer.

use super::answers::{parse_look, parse_scaled, parse_status};
use super::there::There;
use crate::report::progress::Progress;
use crate::requests::{Change, Scaled};
use crate::supervisor::events::Event;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::ssh::script::SHELL;
use ipclusterz_ssh::tunnel::Runner;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest time between two looks at a cluster that runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two looks when its record has just gone.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// For a launcher there to answer.
const SCALE_PATIENCE: Duration = Duration::from_secs(9);
/// For a status there.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Starts the thread that touches the lease and tells when the cluster is gone. What is returned makes it look at once;
/// the thread ends when that is dropped.
pub fn look_after(there: There, runner: Runner, lease: Duration, events: Sender<Event>) -> Result<Sender<()>, Failure> {
    let (look_now, wake) = channel();
    let interval = LOOK_INTERVAL.min(lease / 4);
    let work = move || {
        let mut missing = 0;
        loop {
            // A record that is being replaced is there; one that is gone for a while is gone with its cluster.
            let wait = if missing == 0 { interval } else { LOOK_AGAIN.min(interval) };
            match wake.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let output = runner.run(SHELL, there.look().as_bytes(), Instant::now() + LOOK_INTERVAL.max(lease));
            // The tunnel says what is wrong with the connection, and makes a new one.
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
            // The launcher may be on its way out; then nobody needs to know.
            let _ = events.send(Event::EndedElsewhere(outcome));
            return;
        }
    };
    let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(work);
    thread.map_err(Failure::io("starting a thread"))?;
    Ok(look_now)
}

/// Has the launcher there have more engines or fewer.
pub fn scale(there: &There, runner: &Runner, change: Change) -> Result<Scaled, Failure> {
    let change = match change {
        Change::By(by) => format!("{by:+}"),
        Change::To(count) => count.to_string(),
    };
    let output = runner.run(SHELL, there.scale(&change).as_bytes(), Instant::now() + SCALE_PATIENCE)?;
    let told = output.text(&there.record.host, "ipclusterz scale")?;
    parse_scaled(&told).unwrap_or_else(|| {
        Err(Failure::new(Exit::Unreachable, format!("ipclusterz on {} did not answer", there.record.host)))
    })
}

/// How far the sets are, as the launcher there tells it.
pub fn progress(there: &There, runner: &Runner) -> Result<Progress, Failure> {
    let output = runner.run(SHELL, there.status().as_bytes(), Instant::now() + STATUS_PATIENCE)?;
    let told = output.text(&there.record.host, "ipclusterz status")?;
    parse_status(&told).unwrap_or_else(|| {
        Err(Failure::new(Exit::Unreachable, format!("ipclusterz on {} did not answer", there.record.host)))
    })
}
