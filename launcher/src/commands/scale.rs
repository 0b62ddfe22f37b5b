//! `ipclusterz scale +4`: asks the launcher for more engines or fewer, then waits until it is so.

use super::no_such_cluster;
use crate::arguments::ScaleArguments;
use crate::cluster::ClusterFolder;
use crate::cluster::state::ClusterState;
use crate::environment::Variables;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::report::ScaleReport;
use crate::settings::{cluster_name, seconds};
use crate::supervisor::requests::{self, Change, Request, Scaled};
use crate::talk::print_line;
use ipclusterz_runtime::client::{Client, Event};
use ipclusterz_runtime::connection::ConnectionFile;
use std::time::{Duration, Instant};

/// How often to say what is waited for.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Asks, and waits.
pub fn run(arguments: &ScaleArguments, variables: &Variables) -> Result<ScaleReport, Failure> {
    let change = parse(&arguments.change)?;
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let timeout = if arguments.timeout == 0.0 { None } else { Some(seconds("--timeout", arguments.timeout)?) };
    let folder = ClusterFolder::of(&cluster)?;
    let handle = match ClusterState::of(&folder)? {
        ClusterState::Live(handle) => handle,
        ClusterState::Elsewhere(handle) => {
            let message =
                format!("cluster {cluster:?} was started on {}, and only from there it is scaled", handle.host);
            return Err(Failure::new(Exit::Usage, message).with_hint(format!(
                "run `ipclusterz scale {} --cluster {cluster}` on {}",
                arguments.change, handle.host
            )));
        }
        _ => return Err(no_such_cluster(&cluster)),
    };
    let started = Instant::now();
    let scaled = requests::ask(&handle.socket_dir, Request::Scale(change))?;
    let engines = match timeout {
        None => None,
        Some(timeout) => Some(wait(&cluster, &folder, scaled, started + timeout)?),
    };
    let Scaled { before, wanted } = scaled;
    Ok(ScaleReport { cluster, before, wanted, engines, seconds: started.elapsed().as_secs_f64() })
}

/// `+4`, `-2` or `16`.
fn parse(text: &str) -> Result<Change, Failure> {
    let bad = || {
        Failure::new(Exit::Usage, format!("{text:?} is no number of engines"))
            .with_hint("+4 for four more, -2 for two fewer, 16 for sixteen in all")
    };
    let number: i64 = text.parse().map_err(|_| bad())?;
    if text.starts_with(['+', '-']) {
        Ok(Change::By(number))
    } else {
        u32::try_from(number).map(Change::To).map_err(|_| bad())
    }
}

/// Until there are as many as wanted, with words about it.
fn wait(cluster: &str, folder: &ClusterFolder, scaled: Scaled, deadline: Instant) -> Result<usize, Failure> {
    let left = |until: Instant| until.saturating_duration_since(Instant::now());
    let file = ConnectionFile::read(&folder.client_file())?;
    let client = Client::connect(&file, left(deadline))?;
    let wanted = scaled.wanted as usize;
    let mut next_progress = Instant::now() + PROGRESS_INTERVAL;
    loop {
        let count = client.engines().len();
        // A cluster may have engines that were started by hand.
        let there = if scaled.wanted >= scaled.before { count >= wanted } else { count <= wanted };
        if there {
            return Ok(count);
        }
        let now = Instant::now();
        if now >= deadline {
            let message = format!("cluster {cluster:?} has {count} engines, not {wanted} yet; it goes on trying");
            return Err(Failure::new(Exit::Timeout, message).with_hint(format!(
                "`ipclusterz status --cluster {cluster}` shows them; an engine that works goes when it is done"
            )));
        }
        if now >= next_progress {
            print_line(&format!("{count} engines, {wanted} wanted; {:.0} s left", left(deadline).as_secs_f64()));
            next_progress = now + PROGRESS_INTERVAL;
        }
        if let Some(Event::Disconnected { reason }) = client.wait_event(left(deadline.min(next_progress)))? {
            return Err(Failure::new(Exit::NoCluster, format!("cluster {cluster:?} has ended: {reason}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_means_by_and_none_means_to() {
        assert_eq!(parse("+4").expect("good"), Change::By(4));
        assert_eq!(parse("-2").expect("good"), Change::By(-2));
        assert_eq!(parse("16").expect("good"), Change::To(16));
        for bad in ["", "four", "+", "1.5", "99999999999999999999", "4294967296"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
