//! `ipclusterz tasks show` and `ipclusterz tasks result`.

use super::history::{History, is_open};
use super::ids::TaskName;
use super::value::{self, Value};
use crate::arguments::{ResultArguments, ShowTaskArguments};
use crate::report::tasks::{ResultReport, TaskReport, Written};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::Variables;
use ipclusterz_runtime::wire::message::{Ask, Kept, Outcome, TaskRecord};
use ipclusterz_runtime::wire::part::Part;

/// A task, and its answer if that is kept.
struct Known {
    task: TaskRecord,
    answer: Option<(Kept, Vec<Part>)>,
}

/// Shows a task.
pub fn run(
    arguments: &ShowTaskArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
    variables: &Variables,
) -> Result<TaskReport, Failure> {
    let Known { task, answer } = known(&arguments.id, connect)?;
    let mut report = TaskReport { task, output: Vec::new(), error: None };
    if let Some((kept, parts)) = answer {
        report.output = written(&kept);
        if kept.reply.outcome == Outcome::Error && kept.dropped.is_none() {
            // Python alone can read it. Where there is none, the rest is shown.
            let error = value::read(&kept, &parts, None, variables);
            report.error = Some(error.map_or_else(|failure| failure.message, |value| value.text));
        }
    }
    Ok(report)
}

/// Prints or writes the value of a task.
pub fn result(
    arguments: &ResultArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
    variables: &Variables,
) -> Result<ResultReport, Failure> {
    let Known { task, answer } = known(&arguments.id, connect)?;
    let id = task.id.clone();
    let (kept, parts) = answer.ok_or_else(|| no_answer(&task))?;
    if let Some(why) = &kept.dropped {
        return Err(Failure::new(Exit::Failure, format!("the result of task {id:?} is not kept any more: {why}")));
    }
    if !matches!(kept.reply.outcome, Outcome::Ok | Outcome::Error) {
        return Err(no_value(&task));
    }
    let bytes = parts.iter().map(|part| part.len() as u64).sum();
    let Value { text, is_error } = value::read(&kept, &parts, arguments.file.as_deref(), variables)?;
    if is_error {
        return Err(Failure::new(Exit::Failure, format!("task {id:?} has failed: {text}")));
    }
    Ok(ResultReport { id, bytes, file: arguments.file.clone(), repr: text, output: written(&kept) })
}

fn known(id: &str, connect: impl FnOnce() -> Result<History, Failure>) -> Result<Known, Failure> {
    let name = TaskName::parse(id)?;
    let history = connect()?;
    let mut tasks = history.named(std::slice::from_ref(&name))?;
    if tasks.len() > 1 {
        let ids: Vec<&str> = tasks.iter().take(4).map(|task| task.id.as_str()).collect();
        let message = format!("{id:?} has {} tasks", tasks.len());
        return Err(
            Failure::new(Exit::Usage, message).with_hint(format!("name one of them, such as {}", ids.join(", ")))
        );
    }
    let task = tasks.remove(0);
    let (session, requests) = (task.session.clone(), vec![name.request]);
    let position = task.id.rsplit('-').next().and_then(|position| position.parse().ok());
    let kept = history.ask(Ask::Results { session, requests })?.kept;
    let answer = kept.into_iter().find(|(kept, _)| Some(kept.reply.position) == position);
    Ok(Known { task, answer })
}

fn written(kept: &Kept) -> Vec<Written> {
    let output = kept.output.iter();
    output
        .map(|(engine, stream, text)| Written { engine: *engine, stream: stream.name(), text: text.clone() })
        .collect()
}

/// The failure for a task of which no answer is kept.
fn no_answer(task: &TaskRecord) -> Failure {
    let (id, state) = (&task.id, &task.state);
    if is_open(task) {
        let failure = Failure::new(Exit::Failure, format!("task {id:?} has not ended: it is {state}"));
        return failure.with_hint(format!("`ipclusterz tasks wait {id}` waits for it"));
    }
    if state != "ok" && state != "error" {
        return no_value(task);
    }
    let why = task.why.clone().unwrap_or_else(|| "results are kept of sessions with names".to_owned());
    Failure::new(Exit::Failure, format!("the result of task {id:?} is not kept: {why}"))
        .with_hint("Client(session=\"NAME\") gives a session a name")
}

fn no_value(task: &TaskRecord) -> Failure {
    let why = task.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    Failure::new(Exit::Failure, format!("task {:?} has no value: it was {}{why}", task.id, task.state))
}
