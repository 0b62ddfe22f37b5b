//! `ipclusterz tasks list` and `ipclusterz tasks query`.

use super::history::History;
use super::selection::filter;
use crate::arguments::{ListTasksArguments, QueryArguments};
use crate::output::Output;
use crate::report::tasks::TaskListReport;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// Lists tasks.
pub fn run(
    arguments: &ListTasksArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
) -> Result<TaskListReport, Failure> {
    let filter = filter(&arguments.filter, Some(arguments.limit))?;
    let history = connect()?;
    let tasks = history.tasks(filter)?;
    let limited = tasks.len() >= arguments.limit as usize;
    Ok(TaskListReport { cluster: history.cluster, tasks, limited })
}

/// Prints a line of JSON for each task; with `--json` the same as `list`.
pub fn query(
    arguments: &QueryArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
    output: &mut Output,
) -> Result<(), Failure> {
    let list = ListTasksArguments { filter: arguments.filter.clone(), limit: arguments.limit };
    let report = run(&list, connect)?;
    if output.is_json() {
        return output.report(&report);
    }
    let mut lines = String::new();
    for task in &report.tasks {
        let line = serde_json::to_string(task);
        lines += &line.map_err(|error| Failure::new(Exit::Failure, format!("encoding a task: {error}")))?;
        lines.push('\n');
    }
    output.text(&lines)
}
