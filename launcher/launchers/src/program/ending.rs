//! Which rank ended a set, and how, from the last output of the program that started the ranks.
//!
//! The exit status of mpiexec is not enough: it is one number for all ranks, and each MPI chooses it differently. Pure:
//! it takes the last lines of a log. It knows the messages of every flavour, so that the caller need not say which one
//! wrote them.

use crate::set::EngineSet;
use ipclusterz_base::ids::EngineId;
use regex::{Captures, Regex};

/// The cause of an end, as the program reported it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// The rank that ended first.
    pub rank: Option<u32>,
    /// The host of that rank.
    pub host: Option<String>,
    /// How it ended, in the words of an exit status where it has one.
    pub how: String,
}

impl Cause {
    /// Describes the cause for a person, with the id of the rank's engine.
    pub fn describe(&self, set: &EngineSet) -> String {
        let rank = self.rank.filter(|rank| *rank < set.count);
        let who = rank.map(|rank| format!("engine {} (rank {rank})", EngineId(set.first.0 + rank)));
        match (who, &self.host) {
            (Some(who), Some(host)) => format!("{who} on {host}: {}", self.how),
            (Some(who), None) => format!("{who}: {}", self.how),
            (None, Some(host)) => format!("on {host}: {}", self.how),
            (None, None) => self.how.clone(),
        }
    }
}

/// Makes a cause of a pattern's groups.
type Reading = fn(&Captures<'_>) -> Option<Cause>;

/// The patterns, the most informative first: the first match counts. `¶` is the beginning of a line. A space matches
/// any white space and line breaks, because each version breaks its lines in other places.
const PATTERNS: [(&str, Reading); 14] = [
    // Open MPI, when it cannot start any rank.
    (
        r"was unable to (?:launch|find) the specified (?:application|executable).*?Executable: (\S+).*?Node: (\S+)",
        |found| Some(Cause { host: Some(text(found, 2)), ..cause(None, format!("cannot run {}", &found[1])) }),
    ),
    (r"There are not enough slots available in the system to satisfy the (\d+) slots", |found| {
        Some(cause(
            None,
            format!("fewer than {} slots; mpiexec.oversubscribe = true starts more engines than slots", &found[1]),
        ))
    }),
    (r"has detected an attempt to run as root", |_| {
        Some(cause(None, "Open MPI does not run as root unless mpiexec.allow_root = true".to_owned()))
    }),
    // Hydra.
    (r"execvp error on file (\S+) \(([^)]*)\)", |found| {
        Some(cause(None, format!("cannot run {}: {}", &found[1], &found[2])))
    }),
    (r"MPI_ABORT was invoked on rank (\d+) in communicator MPI_COMM_WORLD.*?(?:errorcode|Errorcode:) (\d+)", |found| {
        Some(cause(number(found, 1), format!("MPI_Abort with error code {}", &found[2])))
    }),
    (r"Abort\((\d+)\) on node (\d+) \(rank \d+ in comm \d+\): application called MPI_Abort", |found| {
        Some(cause(number(found, 2), format!("MPI_Abort with error code {}", &found[1])))
    }),
    // Open MPI.
    (r"Process name: \[\S*,(\d+)\] Exit code: (\d+)", |found| {
        Some(cause(number(found, 1), format!("exit status: {}", &found[2])))
    }),
    (r"noticed that process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+)", |found| {
        Some(Cause { host: Some(text(found, 2)), ..cause(number(found, 1), signal(number(found, 3)?)) })
    }),
    (r"exited due to process rank (\d+) with PID \d+ on node (\S+) exiting improperly", |found| {
        let how = "exit status: 0, while others still ran".to_owned();
        Some(Cause { host: Some(text(found, 2)), ..cause(number(found, 1), how) })
    }),
    // Slurm. The kills that it makes itself follow as "Terminated".
    (
        r"¶ srun: error: (\S+): task (\d+): (Exited with exit code (\d+)|Killed|Aborted|Bus error|Segmentation fault|Floating point exception|Illegal instruction)",
        |found| {
            let how = number(found, 4).map_or_else(|| signal_by_name(&found[3]), |code| format!("exit status: {code}"));
            Some(Cause { host: Some(text(found, 1)), ..cause(number(found, 2), how) })
        },
    ),
    // PALS.
    (r"¶ ([\w.-]+): rank (\d+) (?:exited with code (\d+)|died from signal (\d+))", |found| {
        let how = match (number(found, 3), number(found, 4)) {
            (Some(code), _) => format!("exit status: {code}"),
            (None, number) => signal(number?),
        };
        Some(Cause { host: Some(text(found, 1)), ..cause(number(found, 2), how) })
    }),
    // Hydra, when it was asked for the statuses of all ranks.
    (r"¶ \[mpiexec@[^\]]*\] Exit codes: ((?:\[[^\]]*\] [\d,-]+ ?)+)", |found| cause_in_statuses(&found[1])),
    // Hydra, when the statuses do not show the cause.
    (r"TERMINATED WITH THE EXIT STRING: [\w ]+ \(signal (\d+)\)", |found| Some(cause(None, signal(number(found, 1)?)))),
    // Hydra, when a proxy has failed meanwhile and it prints neither of these. Hydra may have killed the named process
    // itself.
    (
        r"BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES ¶ = PID (\d+) RUNNING AT (\S+) ¶ = EXIT CODE: (\d+)",
        |found| {
            let how = describe_status(number(found, 3)?.try_into().ok()?);
            let how = format!("process {}: {how}, unless mpiexec killed it itself", &found[1]);
            Some(Cause { host: Some(text(found, 2)), ..cause(None, how) })
        },
    ),
];

/// The cause, if the program reported it.
pub fn cause_in(lines: &[impl AsRef<str>]) -> Option<Cause> {
    let words = lines.iter().flat_map(|line| std::iter::once("¶").chain(line.as_ref().split_whitespace()));
    let said = words.collect::<Vec<_>>().join(" ");
    PATTERNS.iter().find_map(|(pattern, reading)| {
        let pattern = Regex::new(&pattern.replace(' ', "(?: ¶)* ")).ok()?;
        reading(&pattern.captures(&said)?)
    })
}

/// How one rank ended while others went on, if the program reported it. The last report counts: an earlier rank may
/// have had the same number.
pub fn end_of_rank(lines: &[impl AsRef<str>], rank: u32) -> Option<Cause> {
    let told = Regex::new(r"ipclusterz: rank (\d+) ended with status (\d+)").ok()?;
    // srun reports several ranks that ended in the same way in one line.
    let tasks = Regex::new(r"^srun: error: \S+ tasks ([\d,-]+): (.*)").ok()?;
    lines.iter().rev().find_map(|line| {
        let line = line.as_ref();
        let cause = if let Some(found) = told.captures(line) {
            let code: i32 = found[2].parse().ok()?;
            let how = signal_of_code(code).unwrap_or_else(|| format!("exit status: {code}"));
            cause(number(&found, 1), how)
        } else if let Some(found) = tasks.captures(line).filter(|found| is_among(rank, &found[1])) {
            cause_in(&[line.replace(&format!("tasks {}:", &found[1]), &format!("task {rank}:"))])?
        } else {
            cause_in(&[line])?
        };
        (cause.rank == Some(rank)).then_some(cause)
    })
}

/// How an engine ended last, if its parent in the job reported it; see `parent.py` of the engine.
pub fn end_of_engine(lines: &[impl AsRef<str>], engine: EngineId) -> Option<String> {
    let told = Regex::new(r"engine (\d+) \(pid \d+\) ended (?:with status (\d+)|by signal (\d+))").ok()?;
    let of_engine = |line: &str| {
        let found = told.captures(line).filter(|found| number(found, 1) == Some(engine.0))?;
        number(&found, 2).map(|code| format!("exit status: {code}")).or_else(|| number(&found, 3).map(signal))
    };
    lines.iter().rev().find_map(|line| of_engine(line.as_ref()))
}

/// Whether a number is in a list such as `0,3-5`.
pub(crate) fn is_among(number: u32, list: &str) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse::<u32>(), last.parse::<u32>()), (Ok(first), Ok(last)) if (first..=last).contains(&number))
    })
}

/// The cause by the wait statuses of all ranks by host: `[n1] 9,768,0`. Hydra itself may have killed a rank. So an exit
/// code counts first, then a signal that hydra does not send, then SIGKILL, then any status but 0; each counts only if
/// a single rank has it.
fn cause_in_statuses(statuses: &str) -> Option<Cause> {
    let group = Regex::new(r"\[([^\]:]*)[^\]]*\] ([\d,-]+)").ok()?;
    let mut ranks: Vec<(String, i32)> = Vec::new();
    for found in group.captures_iter(statuses) {
        ranks.extend(found[2].split(',').filter_map(|status| Some((text(&found, 1), status.parse().ok()?))));
    }
    let single_host = ranks.iter().all(|(host, _)| *host == ranks[0].0);
    let only = |wanted: &dyn Fn(i32) -> bool| -> Option<usize> {
        let mut found = ranks.iter().enumerate().filter(|(_, (_, status))| wanted(*status));
        let first = found.next()?;
        found.next().is_none().then_some(first.0)
    };
    let index = (only(&|status| libc::WIFEXITED(status) && libc::WEXITSTATUS(status) != 0))
        .or_else(|| {
            only(&|status| {
                libc::WIFSIGNALED(status) && !matches!(libc::WTERMSIG(status), libc::SIGKILL | libc::SIGTERM)
            })
        })
        .or_else(|| only(&|status| libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL))
        .or_else(|| only(&|status| status != 0));
    let Some(index) = index else {
        let (host, status) = ranks.first()?;
        let same = libc::WIFSIGNALED(*status) && ranks.iter().all(|(_, other)| other == status);
        let host = Some(host.clone()).filter(|_| single_host);
        return same.then(|| Cause { rank: None, host, how: signal(libc::WTERMSIG(*status).unsigned_abs()) });
    };
    let (host, status) = &ranks[index];
    let how = describe_status(*status);
    // Hydra does not tell the order of ranks over several hosts.
    let rank = u32::try_from(index).ok().filter(|_| single_host);
    Some(Cause { rank, host: Some(host.clone()), how })
}

/// Describes a wait status.
fn describe_status(status: i32) -> String {
    if libc::WIFEXITED(status) {
        format!("exit status: {}", libc::WEXITSTATUS(status))
    } else {
        signal(libc::WTERMSIG(status).unsigned_abs())
    }
}

/// The signal that an exit code stands for, by the convention of Open MPI and shells. Open MPI does not always report
/// more.
pub fn signal_of_code(code: i32) -> Option<String> {
    u32::try_from(code).ok()?.checked_sub(128).filter(|number| (1..=64).contains(number)).map(signal)
}

/// The signal that has this name in strsignal(3).
fn signal_by_name(words: &str) -> String {
    let known = [
        ("Killed", libc::SIGKILL),
        ("Aborted", libc::SIGABRT),
        ("Bus error", libc::SIGBUS),
        ("Segmentation fault", libc::SIGSEGV),
        ("Floating point exception", libc::SIGFPE),
        ("Illegal instruction", libc::SIGILL),
    ];
    let found = known.iter().find(|(name, _)| *name == words);
    found.map_or_else(|| words.to_lowercase(), |(_, number)| signal(number.unsigned_abs()))
}

/// Formats a signal as an exit status of this host is displayed.
fn signal(number: u32) -> String {
    use std::os::unix::process::ExitStatusExt;
    // The lowest seven bits of a wait status are the signal.
    i32::try_from(number).map_or_else(
        |_| format!("signal: {number}"),
        |number| std::process::ExitStatus::from_raw(number & 0x7f).to_string(),
    )
}

fn cause(rank: Option<u32>, how: String) -> Cause {
    Cause { rank, host: None, how }
}

fn number(found: &Captures<'_>, group: usize) -> Option<u32> {
    found.get(group)?.as_str().parse().ok()
}

fn text(found: &Captures<'_>, group: usize) -> String {
    found.get(group).map_or("", |found| found.as_str()).trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests;
