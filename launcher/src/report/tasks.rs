//! What the commands about tasks return. What is in it came from other processes, and is printed as text for reading.

use super::text::table;
use crate::output::Report;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::words::{printable, printable_lines};
use ipclusterz_host::units::{bytes, count, duration};
use ipclusterz_launchers::batch::clock;
use ipclusterz_runtime::wire::message::{SessionRecord, TaskRecord};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// So many tasks that did not succeed are shown by `wait`.
const FAILED_SHOWN: usize = 10;

/// Result of `tasks list`.
#[derive(Debug, Serialize)]
pub struct TaskListReport {
    /// Name of the cluster.
    pub cluster: String,
    /// In the order in which they were submitted: those that have ended, then the others.
    pub tasks: Vec<TaskRecord>,
    /// There may be more.
    pub limited: bool,
}

/// Result of `tasks show`.
#[derive(Debug, Serialize)]
pub struct TaskReport {
    /// The task.
    pub task: TaskRecord,
    /// What it wrote.
    pub output: Vec<Written>,
    /// The error that it raised.
    pub error: Option<String>,
}

/// Text that a task has written.
#[derive(Debug, Serialize)]
pub struct Written {
    /// By which engine.
    pub engine: EngineId,
    /// `stdout`, `stderr` or `display`.
    pub stream: &'static str,
    /// What.
    pub text: String,
}

/// Result of `tasks result`.
#[derive(Debug, Serialize)]
pub struct ResultReport {
    /// The task.
    pub id: String,
    /// How large the value is, as it travels.
    pub bytes: u64,
    /// The file that it was written to.
    pub file: Option<PathBuf>,
    /// The value as Python shows it.
    pub repr: String,
    /// What the task wrote.
    pub output: Vec<Written>,
}

/// Result of `tasks wait`.
#[derive(Debug, Serialize)]
pub struct WaitTasksReport {
    /// Name of the cluster.
    pub cluster: String,
    /// Those that did not succeed.
    pub failed: Vec<TaskRecord>,
    /// How long it took.
    pub seconds: f64,
}

/// Result of `tasks abort`.
#[derive(Debug, Serialize)]
pub struct AbortTasksReport {
    /// Name of the cluster.
    pub cluster: String,
    /// How many tasks were given up.
    pub aborted: u64,
    /// Those that go on.
    pub running: Vec<String>,
    /// Whether what runs was interrupted.
    pub interrupted: bool,
}

/// Result of `tasks sessions`.
#[derive(Debug, Serialize)]
pub struct SessionsReport {
    /// Name of the cluster.
    pub cluster: String,
    /// In the order in which they began.
    pub sessions: Vec<SessionRecord>,
}

/// Result of `tasks purge`.
#[derive(Debug, Serialize)]
pub struct PurgeReport {
    /// Name of the cluster.
    pub cluster: String,
    /// How many tasks are not remembered any more.
    pub purged: u64,
}

impl Report for TaskListReport {
    fn to_text(&self) -> String {
        let now = clock::now();
        let rows: Vec<Vec<String>> = self.tasks.iter().map(|task| row(task, now)).collect();
        table(&["SESSION", "ID", "NAME", "STATE", "ENGINE", "SUBMITTED", "TOOK"], &rows)
    }

    fn to_talk(&self) -> String {
        if !self.limited {
            return String::new();
        }
        format!("these are the latest {}; --limit shows more\n", count(self.tasks.len() as u64, "task"))
    }
}

fn row(task: &TaskRecord, now: i64) -> Vec<String> {
    let engine = task.engine.map(|engine| engine.to_string()).unwrap_or_default();
    // One that is over has its whole id for a name.
    let session: String = if task.id.starts_with(task.session.get(..8).unwrap_or("-")) {
        task.session.chars().take(8).collect()
    } else {
        task.session.clone()
    };
    let submitted = time(task.submitted, now);
    vec![session, task.id.clone(), task.name.clone(), task.state.clone(), engine, submitted, took(task)]
}

fn time(epoch: f64, now: i64) -> String {
    if epoch <= 0.0 { String::new() } else { clock::time_of_day(epoch as i64, now) }
}

fn took(task: &TaskRecord) -> String {
    if task.completed <= 0.0 || task.started <= 0.0 {
        return String::new();
    }
    let seconds = (task.completed - task.started).max(0.0);
    if seconds < 10.0 { format!("{seconds:.3} s") } else { duration(seconds) }
}

impl Report for TaskReport {
    fn to_text(&self) -> String {
        let (task, now) = (&self.task, clock::now());
        let kept = task.kept_bytes.map(|size| format!("{} are kept", bytes(size))).unwrap_or_default();
        let engine = task.engine.map(|engine| engine.to_string()).unwrap_or_default();
        let mut text = String::new();
        for (label, value) in [
            ("task", task.id.clone()),
            ("session", task.session.clone()),
            ("name", task.name.clone()),
            ("state", task.state.clone()),
            ("engine", engine),
            ("submitted", time(task.submitted, now)),
            ("started", time(task.started, now)),
            ("ended", time(task.completed, now)),
            ("took", took(task)),
            ("result", kept),
            ("why", task.why.clone().unwrap_or_default()),
        ] {
            if !value.is_empty() {
                let _ = writeln!(text, "{label:<10}{}", printable(&value));
            }
        }
        text += &block("waits", &task.waits.join("\n"));
        for stream in ["stdout", "stderr"] {
            text += &block(stream, &joined(&self.output, stream));
        }
        text + &block("error", self.error.as_deref().unwrap_or_default())
    }
}

fn joined(output: &[Written], stream: &str) -> String {
    output.iter().filter(|written| written.stream == stream).map(|written| written.text.as_str()).collect()
}

/// Text of several lines under a heading.
fn block(heading: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    let content = printable_lines(content);
    let lines: Vec<String> = content.lines().map(|line| format!("  {line}\n")).collect();
    format!("{heading}:\n{}", lines.concat())
}

impl Report for ResultReport {
    fn to_text(&self) -> String {
        if self.file.is_some() { String::new() } else { format!("{}\n", printable_lines(&self.repr)) }
    }

    fn to_talk(&self) -> String {
        let mut talk = block("stdout", &joined(&self.output, "stdout"));
        talk += &block("stderr", &joined(&self.output, "stderr"));
        if let Some(file) = &self.file {
            let size = bytes(self.bytes);
            let _ = writeln!(talk, "the value ({size}) is in {}: pickle.load(open({file:?}, \"rb\"))", file.display());
        }
        talk
    }
}

impl Report for WaitTasksReport {
    fn to_talk(&self) -> String {
        if self.failed.is_empty() {
            return format!("all have ended ({:.1} s)\n", self.seconds);
        }
        let mut text = format!("all have ended; {} did not succeed:\n", count(self.failed.len() as u64, "task"));
        for task in self.failed.iter().take(FAILED_SHOWN) {
            let why = task.why.as_ref().map(|why| format!(": {}", printable(why))).unwrap_or_default();
            let (id, name, state) = (printable(&task.id), printable(&task.name), printable(&task.state));
            let _ = writeln!(text, "  {id} {name} {state}{why}");
        }
        if self.failed.len() > FAILED_SHOWN {
            text += "  …\n";
        }
        text
    }
}

impl Report for AbortTasksReport {
    fn to_talk(&self) -> String {
        let mut text = format!("{} given up\n", count(self.aborted, "task"));
        if !self.running.is_empty() {
            let ids: Vec<&str> = self.running.iter().take(FAILED_SHOWN).map(String::as_str).collect();
            let more = if self.running.len() > FAILED_SHOWN { ", …" } else { "" };
            let still = if self.interrupted { "still under way" } else { "under way" };
            let _ = writeln!(text, "{still}: {}{more}", ids.join(", "));
            if !self.interrupted {
                text += "hint: --interrupt stops what runs\n";
            }
        }
        text
    }
}

impl Report for SessionsReport {
    fn to_text(&self) -> String {
        let rows: Vec<Vec<String>> = self.sessions.iter().map(session_row).collect();
        table(&["SESSION", "IDS", "CLIENT", "OPEN", "ENDS"], &rows)
    }
}

fn session_row(session: &SessionRecord) -> Vec<String> {
    let client = format!("pid {} on {}", session.pid, session.host);
    let client = if session.connected { client } else { format!("none, was {client}") };
    let ends = match session.ends_in {
        Some(seconds) => format!("in {}", duration(seconds)),
        None if session.named => "never".to_owned(),
        None => "with its client".to_owned(),
    };
    let begins: String = session.id.chars().take(8).collect();
    vec![session.name.clone(), format!("{begins}-…"), client, session.open.to_string(), ends]
}

impl Report for PurgeReport {
    fn to_talk(&self) -> String {
        format!("what was kept of {} is dropped\n", count(self.purged, "task"))
    }
}
