//! `ipclusterz tasks wait`.

use super::history::{FAILED, History, is_open};
use super::ids::TaskName;
use super::selection::check_length;
use crate::arguments::WaitTasksArguments;
use crate::commands::reason::SAY_INTERVAL;
use crate::output::Output;
use crate::report::tasks::WaitTasksReport;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_host::units::count;
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::wire::message::{Filter, TaskRecord};
use std::time::{Duration, Instant};

/// The first pause between two questions; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So many tasks that did not succeed are named.
const NAMED_MOST: u64 = 1000;

/// Waits. The exit code says whether all tasks succeeded.
pub fn run(
    arguments: &WaitTasksArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let names = TaskName::parse_all(&arguments.ids)?;
    check_length("--session", arguments.session.as_deref())?;
    let started = Instant::now();
    let deadline = started + seconds("--timeout", arguments.timeout)?;
    let history = connect()?;
    let session = arguments.session.as_deref().map(|typed| history.session(typed)).transpose()?;
    let (mut pause, mut next_say) = (FIRST_PAUSE, started + SAY_INTERVAL);
    loop {
        let open = if names.is_empty() { open_in(&history, session.as_deref())? } else { open_of(&history, &names)? };
        if open == 0 {
            break;
        }
        let now = Instant::now();
        if now >= deadline {
            let message = format!("{} have not ended after {} s", count(open, "task"), arguments.timeout);
            return Err(Failure::new(Exit::Timeout, message).with_hint("`ipclusterz tasks list` lists them"));
        }
        if now >= next_say {
            let left = deadline.saturating_duration_since(now).as_secs_f64();
            print_line(&format!("{} have not ended; {left:.0} s left", count(open, "task")));
            next_say = now + SAY_INTERVAL;
        }
        history.pause(pause.min(deadline.saturating_duration_since(now)))?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    let failed = failed(&history, &names, session)?;
    let exit = if failed.is_empty() { Exit::Ok } else { Exit::Failure };
    let (cluster, seconds) = (history.cluster, started.elapsed().as_secs_f64());
    output.report(&WaitTasksReport { cluster, failed, seconds })?;
    Ok(exit)
}

/// How many tasks of a session, or of all, have not ended.
fn open_in(history: &History, session: Option<&str>) -> Result<u64, Failure> {
    let sessions = history.sessions()?.into_iter();
    Ok(sessions.filter(|other| session.is_none_or(|name| other.name == name)).map(|session| session.open).sum())
}

/// How many of these have not ended.
fn open_of(history: &History, names: &[TaskName]) -> Result<u64, Failure> {
    Ok(history.named(names)?.iter().filter(|task| is_open(task)).count() as u64)
}

fn failed(history: &History, names: &[TaskName], session: Option<String>) -> Result<Vec<TaskRecord>, Failure> {
    if !names.is_empty() {
        let tasks = history.named(names)?.into_iter();
        return Ok(tasks.filter(|task| FAILED.contains(&task.state.as_str())).collect());
    }
    let states = FAILED.map(str::to_owned).to_vec();
    history.tasks(Filter { session, states, limit: Some(NAMED_MOST), ..Filter::default() })
}
