//! `ipclusterz scale +4`: asks the launcher for more or fewer engines, and waits for the result.

use super::reason::{self, ASK_INTERVAL, SAY_INTERVAL};
use super::waiting::Waiting;
use crate::arguments::ScaleArguments;
use crate::clusters::{check_cluster_goes_on, live};
use crate::report::ScaleReport;
use crate::report::progress::Progress;
use crate::requests::{self, Change, Scaled, Scaling};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{cluster_name, seconds};
use std::time::{Duration, Instant};

/// How long a launcher is asked anew whose controller is not connected yet, and how often.
const TRY_AGAIN_PATIENCE: Duration = Duration::from_secs(10);
const TRY_AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// Asks the launcher, and waits unless `--timeout` is 0.
pub fn run(arguments: &ScaleArguments, variables: &Variables) -> Result<ScaleReport, Failure> {
    let change = parse(&arguments.change)?;
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let timeout = if arguments.timeout == 0.0 { None } else { Some(seconds("--timeout", arguments.timeout)?) };
    let folder = ClusterFolder::of(&cluster)?;
    let command = format!("scale {} --cluster {cluster}", arguments.change);
    let handle = live(&cluster, &folder, "it is scaled", &command)?;
    check_cluster_goes_on(&handle)?;
    let started = Instant::now();
    let scaling = Scaling { change, group: arguments.set.clone() };
    let scaled = ask(&handle, &scaling, started + timeout.unwrap_or_default().min(TRY_AGAIN_PATIENCE))?;
    let engines = match timeout {
        None => None,
        Some(timeout) => Some(wait(&handle, &folder, &scaled, started + timeout)?),
    };
    let Scaled { before, wanted, nodes } = scaled;
    Ok(ScaleReport { cluster, before, wanted, engines, nodes, seconds: started.elapsed().as_secs_f64() })
}

/// Asks the launcher. One whose controller was started again a moment ago is asked anew.
fn ask(handle: &ClusterHandle, scaling: &Scaling, deadline: Instant) -> Result<Scaled, Failure> {
    loop {
        let asked = requests::scale(&handle.socket_dir, scaling.clone());
        let again = asked.as_ref().is_err_and(|failure| failure.hint.as_deref() == Some(requests::TRY_AGAIN));
        if !again || Instant::now() >= deadline {
            return asked;
        }
        std::thread::sleep(TRY_AGAIN_PAUSE);
    }
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

/// Waits until there are as many engines as wanted, and says now and then why not yet.
fn wait(handle: &ClusterHandle, folder: &ClusterFolder, scaled: &Scaled, deadline: Instant) -> Result<usize, Failure> {
    let cluster = &handle.cluster;
    let left = |until: Instant| until.saturating_duration_since(Instant::now());
    let file = ConnectionFile::read(&folder.client_file())?;
    let mut waiting = Waiting::connect(file, left(deadline))?;
    let wanted = scaled.wanted as usize;
    let (mut next_ask, mut next_say) = (Instant::now() + ASK_INTERVAL, Instant::now() + SAY_INTERVAL);
    loop {
        let count = waiting.engines().len();
        // A cluster may also have engines that were started by hand.
        let there = if scaled.wanted >= scaled.before { count >= wanted } else { count <= wanted };
        if there {
            return Ok(count);
        }
        let now = Instant::now();
        if now >= deadline.min(next_ask) {
            check_cluster_goes_on(handle)?;
            let progress = reason::of(handle, deadline);
            if let Some(progress) = progress.as_ref().filter(|progress| progress.wanted < scaled.wanted) {
                return Err(given_up(cluster, count, scaled, progress));
            }
            let reason = reason::after(progress.as_ref());
            if now >= deadline {
                let message =
                    format!("cluster {cluster:?} has {count} engines, not {wanted} yet{reason}; it goes on trying");
                return Err(Failure::new(Exit::Timeout, message).with_hint(format!(
                    "`ipclusterz status --cluster {cluster}` shows them; an engine that works goes when it is done"
                )));
            }
            if now >= next_say {
                let left = left(deadline).as_secs_f64();
                print_line(&format!("{count} engines, {wanted} wanted; {left:.0} s left{reason}"));
                next_say = now + SAY_INTERVAL;
            }
            next_ask = Instant::now() + ASK_INTERVAL;
        }
        waiting.wait(deadline.min(next_ask))?;
    }
}

/// The launcher now wants fewer engines than it was asked for: it has lost some, or another command has removed some.
fn given_up(cluster: &str, count: usize, scaled: &Scaled, progress: &Progress) -> Failure {
    let (asked, now) = (scaled.wanted, progress.wanted);
    let lost = progress.lost.as_ref().map(|lost| format!(": {lost}")).unwrap_or_default();
    let message = format!("cluster {cluster:?} has {count} engines, and is to have {now}, not {asked} any more{lost}");
    Failure::new(Exit::StartFailed, message)
        .with_hint(format!("read `ipclusterz logs --cluster {cluster}`; `ipclusterz scale {asked}` tries again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_with_a_sign_is_relative_and_one_without_is_absolute() {
        assert_eq!(parse("+4").expect("good"), Change::By(4));
        assert_eq!(parse("-2").expect("good"), Change::By(-2));
        assert_eq!(parse("16").expect("good"), Change::To(16));
        for bad in ["", "four", "+", "1.5", "99999999999999999999", "4294967296"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
