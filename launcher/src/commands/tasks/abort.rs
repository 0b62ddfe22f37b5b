//! `ipclusterz tasks abort`.

use super::history::{History, OPEN, is_open};
use super::ids::TaskName;
use super::selection::check_length;
use crate::arguments::AbortTasksArguments;
use crate::report::tasks::AbortTasksReport;
use ipclusterz_base::ids::RequestId;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::wire::message::{Filter, TaskRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often to ask whether the tasks have ended.
const ASK_INTERVAL: Duration = Duration::from_millis(50);
/// What runs is not waited for, unless it was interrupted: an engine says within this time which tasks it has not begun.
const SETTLED: Duration = Duration::from_millis(500);

/// Gives up tasks, and waits until that is done.
pub fn run(
    arguments: &AbortTasksArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
) -> Result<AbortTasksReport, Failure> {
    let mut names = TaskName::parse_all(&arguments.ids)?;
    // A call is given up as a whole.
    names.iter_mut().for_each(|name| name.position = None);
    check_length("--session", arguments.session.as_deref())?;
    let timeout = seconds("--timeout", arguments.timeout)?;
    let history = connect()?;
    let wanted = match &arguments.session {
        Some(typed) => {
            let states = OPEN.map(str::to_owned).to_vec();
            history.tasks(Filter { session: Some(typed.clone()), states, ..Filter::default() })?
        }
        None => history.named(&names)?.into_iter().filter(is_open).collect(),
    };
    let mut calls: BTreeMap<&str, BTreeSet<RequestId>> = BTreeMap::new();
    let ids: Vec<TaskName> = wanted.iter().map(|task| TaskName::parse(&task.id)).collect::<Result<_, _>>()?;
    for (task, name) in wanted.iter().zip(&ids) {
        calls.entry(&task.session).or_default().insert(name.request);
    }
    for (session, requests) in calls {
        let requests: Vec<RequestId> = requests.into_iter().collect();
        history.abort(session, &requests, arguments.interrupt)?;
    }
    let tasks = if ids.is_empty() { Vec::new() } else { settled(&history, &ids, arguments.interrupt, timeout)? };
    let count = |state: &str| tasks.iter().filter(|task| task.state == state).count() as u64;
    let running = tasks.iter().filter(|task| is_open(task)).map(|task| task.id.clone()).collect();
    let (cluster, aborted) = (history.cluster, count("aborted"));
    Ok(AbortTasksReport { cluster, aborted, running, interrupted: arguments.interrupt })
}

/// The tasks once none of them waits any more, and none runs if that is to end too; or at the deadline.
fn settled(
    history: &History,
    names: &[TaskName],
    interrupt: bool,
    timeout: Duration,
) -> Result<Vec<TaskRecord>, Failure> {
    let started = Instant::now();
    let mut changed = (usize::MAX, started);
    loop {
        let tasks = history.named(names)?;
        let open = tasks.iter().filter(|task| is_open(task)).count();
        let now = Instant::now();
        if open != changed.0 {
            changed = (open, now);
        }
        let waits = tasks.iter().any(|task| is_open(task) && task.state != "running");
        let quiet = !waits && !interrupt && now.saturating_duration_since(changed.1) >= SETTLED;
        if open == 0 || quiet || now.saturating_duration_since(started) >= timeout {
            return Ok(tasks);
        }
        history.pause(ASK_INTERVAL)?;
    }
}
