//! Reports as text for people.

use super::{
    AbortReport, AcceptedReport, CompletionsReport, GcReport, LeadsTo, ListReport, ListedCluster, LogsReport,
    ManReport, RestartReport, ScaleReport, ScriptReport, StartReport, StatusReport, StopReport, TimelineReport,
    TunnelReport, WaitReport,
};
use crate::clusters::cluster_option;
use crate::output::Report;
use crate::report::progress::Progress;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::words::{printable, printable_lines};
use ipclusterz_host::units::{bytes, duration};
use ipclusterz_launchers::rank_loss::RankLoss;
use ipclusterz_runtime::wire::message::{EngineLoss, EngineStatus, Status};
use std::borrow::Cow;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::{SystemTime, UNIX_EPOCH};

/// Rows under a header, columns as wide as their widest cell. What is in the cells came from other processes and files.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let printable = |row: &Vec<String>| row.iter().map(|cell| printable(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(printable).collect();
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&header).chain(&rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// It has no text: everything was said on stderr while it happened.
impl Report for StartReport {}

impl Report for AcceptedReport {
    fn to_talk(&self) -> String {
        let Self { cluster, engines_wanted, started, .. } = self;
        let of = cluster_option(cluster);
        format!(
            "cluster {cluster:?} is being started in the background: {}\n\
             `ipclusterz wait{of} -n {engines_wanted}` waits for its engines, `ipclusterz status{of}` says how far they \
             are, `ipclusterz stop{of}` ends it\n",
            in_words(started)
        )
    }
}

/// Some of many.
fn in_words(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

impl Report for ScriptReport {
    fn to_text(&self) -> String {
        let description = self.description.as_ref().map(|text| format!("{text}\n")).unwrap_or_default();
        description + &self.script
    }
}

impl Report for TunnelReport {
    fn to_talk(&self) -> String {
        let Self { cluster, host, file, .. } = self;
        format!(
            "tunnel to cluster {cluster:?} on {host}; Ctrl-C ends it\n\
             connect:  from ipclusterz import client; rc = client.Client({file:?})\n"
        )
    }

    fn to_text(&self) -> String {
        format!("{}\n", self.file.display())
    }
}

impl Report for StopReport {
    fn to_talk(&self) -> String {
        let mut text = String::new();
        for stopped in &self.stopped {
            let _ = match stopped.was {
                "ended" => write!(text, "cluster {:?} had ended", stopped.cluster),
                "stale" => write!(text, "cluster {:?} was stale: its remains are removed", stopped.cluster),
                "elsewhere" | "gone" if stopped.forced => {
                    write!(text, "cluster {:?} was of a host that is gone: its remains are removed", stopped.cluster)
                }
                _ if stopped.forced => {
                    write!(text, "cluster {:?} did not stop in time: its launcher was killed", stopped.cluster)
                }
                _ => write!(text, "cluster {:?} stopped in {:.1} s", stopped.cluster, stopped.seconds),
            };
            if !stopped.killed.is_empty() {
                let pids: Vec<String> = stopped.killed.iter().map(u32::to_string).collect();
                let _ = write!(text, "; killed left-over processes: {}", pids.join(", "));
            }
            if !stopped.ended.is_empty() {
                let _ = write!(text, "; ended: {}", stopped.ended.join(", "));
            }
            text.push_str(if stopped.discarded { "; its journal is dropped\n" } else { "\n" });
            text.push_str(&not_looked_at(&stopped.not_looked_at));
            text.extend(stopped.journal.iter().map(|journal| journal.line() + "\n"));
            for line in &stopped.unfinished {
                let _ = writeln!(text, "  {line}");
            }
        }
        if self.stopped.is_empty() { "there is no cluster to stop\n".to_owned() } else { text }
    }
}

impl Report for AbortReport {
    fn to_talk(&self) -> String {
        let Self { cluster, before, waiting, busy, interrupted } = self;
        let calls = |count: u64| if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
        let mut text = format!("cluster {cluster:?}: {} waited, {waiting} wait now\n", calls(*before));
        if !busy.is_empty() {
            let ids: Vec<String> = busy.iter().map(EngineId::to_string).collect();
            let (engines, still) = (ids.join(", "), if *interrupted { "still run" } else { "run" });
            let _ = writeln!(text, "these engines {still} a call: {engines}");
            if !interrupted {
                text.push_str("hint: --interrupt stops that too\n");
            }
        }
        text
    }
}

impl Report for ScaleReport {
    fn to_talk(&self) -> String {
        let Self { cluster, before, wanted, engines, nodes, seconds } = self;
        let nodes = nodes.as_ref().map(|nodes| format!("{nodes}\n")).unwrap_or_default();
        match engines {
            Some(engines) => {
                format!("cluster {cluster:?} has {engines} engines, {before} before ({seconds:.1} s)\n{nodes}")
            }
            None => format!("cluster {cluster:?} is to have {wanted} engines, {before} before\n{nodes}"),
        }
    }
}

impl Report for RestartReport {
    fn to_talk(&self) -> String {
        let Self { cluster, engines, there, seconds } = self;
        let ids: Vec<String> = engines.iter().map(EngineId::to_string).collect();
        let what = if ids.len() == 1 { "engine" } else { "engines" };
        let done = if *there { format!("restarted ({seconds:.1} s)") } else { "being restarted".to_owned() };
        format!("cluster {cluster:?}: {what} {} {done}\n", ids.join(", "))
    }
}

impl Report for TimelineReport {
    fn to_talk(&self) -> String {
        let Self { cluster, file, events } = self;
        format!(
            "cluster {cluster:?}: {events} events in {}; https://ui.perfetto.dev and Chrome's chrome://tracing show it\n",
            file.display()
        )
    }
}

fn not_looked_at(processes: &[String]) -> String {
    if processes.is_empty() { String::new() } else { format!("not looked at: {}\n", processes.join(", ")) }
}

impl Report for GcReport {
    fn to_talk(&self) -> String {
        if self.found.is_empty() && self.logs.is_empty() && self.journals.is_empty() && self.discarded.is_empty() {
            return "nothing was left behind\n".to_owned();
        }
        let mut text = String::new();
        for remains in &self.found {
            let ended = if remains.ended.is_empty() { "files only".to_owned() } else { remains.ended.join(", ") };
            let _ = match &remains.problem {
                Some(problem) => writeln!(text, "{}: not removed: {problem}", remains.what),
                None if self.dry_run => writeln!(text, "{} would be removed: {ended}", remains.what),
                None => writeln!(text, "{} is removed: {ended}", remains.what),
            };
            text.push_str(&not_looked_at(&remains.not_looked_at));
        }
        text.extend(self.journals.iter().map(|journal| journal.line() + "\n"));
        let dropped = if self.dry_run { "would be dropped" } else { "is dropped" };
        for cluster in &self.discarded {
            let _ = writeln!(text, "the journal of cluster {cluster:?} {dropped}");
        }
        let clusters = match self.logs.len() {
            0 => return text,
            1 => "1 ended cluster".to_owned(),
            count => format!("{count} ended clusters"),
        };
        let removed = if self.dry_run { "would be" } else { "are" };
        let _ = writeln!(text, "the logs of {clusters} {removed} removed");
        text
    }
}

impl Report for StatusReport {
    fn to_text(&self) -> String {
        let Self { cluster, state, host, launcher_pid, engines_wanted, addresses, .. } = self;
        let state = if *state == "elsewhere" { "running elsewhere," } else { state };
        let mut text = match &self.tunnel {
            Some(LeadsTo { host: to, cluster: there }) => {
                let there = there.as_ref().map(|there| format!("cluster {there:?} on ")).unwrap_or_default();
                format!("{cluster:?} is a tunnel to {there}{to} (pid {launcher_pid} on {host})\n")
            }
            None => format!("cluster {cluster:?} is {state} on {host} (launcher pid {launcher_pid})\n"),
        };
        for address in addresses {
            let _ = writeln!(text, "  {address}");
        }
        if let Some(halt) = &self.launcher_halt {
            let _ = writeln!(text, "{halt}");
        }
        let Some(status) = &self.controller else {
            if let Some(count) = engines_wanted {
                let _ = writeln!(text, "{count} engines were asked for; the controller does not answer yet");
            } else {
                text.push_str("it is still connecting\n");
            }
            text.push_str(&waited_for(self.progress.as_ref()));
            return printable_lines(&text).into_owned();
        };
        let _ = writeln!(text, "{}", controller_line(status));
        text.push_str(&engines(&status.engines));
        text.push_str(&away(&status.engines));
        text.push_str(&suspended(self.progress.as_ref()));
        text.push_str(&held_up(&status.engines));
        text.push_str(&self.given_up());
        text.push_str(&waited_for(self.progress.as_ref()));
        text.push_str(&losses(self.progress.as_ref(), &status.losses));
        printable_lines(&text).into_owned()
    }
}

impl StatusReport {
    /// How many engines are not wanted any more, because they were lost and are not started again.
    fn given_up(&self) -> String {
        let (Some(asked), Some(progress), Some(status)) = (self.engines_wanted, &self.progress, &self.controller)
        else {
            return String::new();
        };
        if progress.wanted >= asked {
            return String::new();
        }
        let (lost, there, of) = (asked - progress.wanted, status.engines.len(), cluster_option(&self.cluster));
        let are = if lost == 1 { "is" } else { "are" };
        format!(
            "\nwanted {asked}, there {there}: {lost} {are} lost and not started again; `ipclusterz scale {asked}{of}` starts \
             others\n"
        )
    }
}

/// A line for each engine that has no connection: since when, and for how long it is waited for.
fn away(engines: &[EngineStatus]) -> String {
    let lines = engines.iter().filter_map(|engine| Some(engine.absence?.of(&format!("engine {}", engine.id)) + "\n"));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// The sets whose processes are stopped, and why.
fn suspended(progress: Option<&Progress>) -> String {
    let sets = progress.into_iter().flat_map(|progress| &progress.sets).filter(|set| !set.suspended.is_empty());
    sets.map(|set| format!("\n{}: {}\n", set.name, set.said.as_deref().unwrap_or("suspended"))).collect()
}

/// A line for each engine; with its group, if one of them has one.
fn engines(engines: &[EngineStatus]) -> String {
    if engines.is_empty() {
        return "no engine is registered\n".to_owned();
    }
    let grouped = engines.iter().any(|engine| engine.group.is_some());
    let group = |engine: &EngineStatus| grouped.then(|| engine.group.clone().unwrap_or_default());
    let row = |engine: &EngineStatus| {
        let first = [engine.id.to_string()];
        let rest = [
            engine.host.clone(),
            engine.pid.to_string(),
            engine.state.clone(),
            engine.queue.to_string(),
            engine.completed.to_string(),
            bytes(engine.resident_bytes),
            duration(engine.uptime),
        ];
        first.into_iter().chain(group(engine)).chain(rest).collect()
    };
    let rest = ["host", "pid", "state", "queue", "completed", "memory", "uptime"];
    let names: Vec<&str> = ["engine"].into_iter().chain(grouped.then_some("group")).chain(rest).collect();
    format!("\n{}", table(&names, &engines.iter().map(row).collect::<Vec<_>>()))
}

/// Which engines the next epoch of their world waits for.
fn held_up(engines: &[EngineStatus]) -> String {
    let mut text = String::new();
    for engine in engines {
        let Some((world, seconds)) = engine.world.as_ref().and_then(|world| Some((world, world.held_up?))) else {
            continue;
        };
        let (id, rank, epoch, time) = (engine.id, world.rank, world.epoch, duration(seconds));
        let _ = writeln!(
            text,
            "\nepoch {epoch} waits for engine {id} (rank {rank}), which has run for {time} what it was given before"
        );
    }
    if !text.is_empty() {
        text.push_str("hint: rc.interrupt(targets) of a client ends that\n");
    }
    text
}

/// The latest losses, one line each, below a notice if a better way to handle them is not available: those of which the
/// launcher says what became of them, and those that the controller alone has seen.
fn losses(progress: Option<&Progress>, engines: &[EngineLoss]) -> String {
    const SHOWN: usize = 10;
    let mut text = String::new();
    if let Some(notice) = progress.and_then(|progress| progress.rank_loss.as_ref()).and_then(RankLoss::notice) {
        let _ = writeln!(text, "\n{notice}");
    }
    let of_launcher = progress.map(|progress| &progress.losses[..]).unwrap_or_default();
    let told = |loss: &&EngineLoss| !of_launcher.iter().any(|other| other.engines.contains(&loss.id));
    let seen = engines.iter().filter(told).map(|loss| (loss.seconds_ago, loss_line(loss)));
    let mut lines: Vec<(f64, String)> =
        of_launcher.iter().map(|loss| (loss.seconds_ago, loss.describe())).chain(seen).collect();
    lines.sort_by(|(first, _), (second, _)| second.total_cmp(first));
    if !lines.is_empty() {
        text.push_str("\nlost:\n");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(text, "  {} before these", lines.len() - SHOWN);
    }
    for (_, line) in &lines[lines.len().saturating_sub(SHOWN)..] {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// `12 s ago: engine 3 (pid 17) on n1: signal: 9 (SIGKILL)`.
fn loss_line(loss: &EngineLoss) -> String {
    let EngineLoss { id, host, pid, how, seconds_ago, .. } = loss;
    format!("{} ago: engine {id} (pid {pid}) on {host}: {how}", duration(*seconds_ago))
}

/// The sets whose engines are waited for, one line each. Empty if there are none.
fn waited_for(progress: Option<&Progress>) -> String {
    let Some(progress) = progress else { return String::new() };
    let lines = progress.lines();
    if lines.is_empty() {
        // Nothing is waited for. Only a cluster that has lost engines has a reason then.
        return progress.lost.as_ref().map(|lost| format!("\nlast lost: {lost}\n")).unwrap_or_default();
    }
    let missing: u32 = progress.waiting().map(|set| set.set.count - set.ready.min(set.set.count)).sum();
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{missing} of {} wanted engines are not there yet:\n{lines}", progress.wanted)
}

fn controller_line(status: &Status) -> String {
    format!(
        "controller: pid {}, up {}, memory {}, clients {} (with the launcher and this command), pending {}, held {}, rejected {}",
        status.pid,
        duration(status.uptime),
        bytes(status.resident_bytes),
        status.clients,
        status.pending,
        bytes(status.held_bytes),
        status.rejected
    )
}

impl Report for ListReport {
    fn to_text(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let rows: Vec<Vec<String>> = self
            .clusters
            .iter()
            .map(|cluster| {
                vec![
                    cluster.cluster.clone(),
                    cluster.state.to_owned(),
                    cluster.host.clone(),
                    or_dash(cluster.launcher_pid.map(|pid| pid.to_string())),
                    or_dash(cluster.engines_wanted.map(|count| count.to_string())),
                    or_dash(cluster.started.map(|started| duration(now.saturating_sub(started) as f64))),
                    cluster.folder.display().to_string(),
                ]
            })
            .collect();
        let mut text = String::new();
        if !rows.is_empty() {
            text.push_str(&table(&["cluster", "state", "host", "launcher", "engines", "started", "folder"], &rows));
        }
        let rows: Vec<Vec<String>> = self
            .tunnels
            .iter()
            .map(|tunnel| {
                let to = tunnel.to.as_ref();
                vec![
                    or_dash(tunnel.name.clone()),
                    tunnel.state.to_owned(),
                    or_dash(to.map(|to| to.host.clone())),
                    or_dash(to.and_then(|to| to.cluster.clone())),
                    or_dash(tunnel.pid.map(|pid| pid.to_string())),
                    or_dash(tunnel.started.map(|started| duration(now.saturating_sub(started) as f64))),
                    tunnel.file.display().to_string(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&table(&["tunnel", "state", "to", "cluster there", "pid", "started", "file"], &rows));
        }
        text
    }

    fn to_talk(&self) -> String {
        if self.clusters.is_empty() && self.tunnels.is_empty() {
            return "there are no clusters; `ipclusterz -n 4` starts one\n".to_owned();
        }
        let mut text = String::new();
        for ListedCluster { cluster, host, left, .. } in self.clusters.iter().filter(|listed| listed.state == "gone") {
            let left = if left.is_empty() { "files only".to_owned() } else { left.join(", ") };
            let _ = writeln!(
                text,
                "cluster {cluster:?}: its launcher on {} gives no sign of life; left: {}; `ipclusterz gc` ends that",
                printable(host),
                printable(&left)
            );
        }
        text
    }
}

impl Report for LogsReport {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for log in &self.logs {
            // A single log is printed bare, so that it can be piped on.
            if self.logs.len() > 1 {
                let _ = writeln!(text, "==> {} <==", log.path.display());
            }
            for line in &log.lines {
                let _ = writeln!(text, "{}", log_line(line));
            }
        }
        text
    }
}

/// A line of a log as it is printed: on a terminal, nothing in it is obeyed; whatever else reads it gets it as it is.
pub(crate) fn log_line(line: &str) -> Cow<'_, str> {
    if io::stdout().is_terminal() { printable_lines(line) } else { Cow::Borrowed(line) }
}

impl Report for WaitReport {
    fn to_talk(&self) -> String {
        format!("cluster {:?} has {} engines after {:.1} s\n", self.cluster, self.engines.len(), self.seconds)
    }
}

impl Report for ManReport {
    fn to_text(&self) -> String {
        self.page.clone()
    }
}

impl Report for CompletionsReport {
    fn to_text(&self) -> String {
        self.script.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["0".to_owned(), "node-17".to_owned()], vec!["10".to_owned(), "n".to_owned()]];
        assert_eq!(table(&["id", "host"], &rows), "id  host\n0   node-17\n10  n\n");
    }

    #[test]
    fn no_terminal_obeys_what_is_in_a_cell() {
        let rows = [vec!["n1\n\x1b[2J".to_owned(), "\u{202e}x".to_owned()]];
        assert_eq!(table(&["host", "state"], &rows), "host         state\nn1\\n\\x1b[2J  \\u202ex\n");
    }
}
