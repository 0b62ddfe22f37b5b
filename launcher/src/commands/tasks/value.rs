//! The value of a task as Python reads it. It is data of the user's own, and reading it may run code of the user's.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::{python, system};
use ipclusterz_launchers::program::ask::ask_with_input;
use ipclusterz_profile::environment::{self, Variables};
use ipclusterz_runtime::wire::message::Kept;
use ipclusterz_runtime::wire::part::Part;
use serde::Deserialize;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long Python may take to import what the value needs.
const PATIENCE: Duration = Duration::from_secs(120);
const SCRIPT: &str = include_str!("value.py");
/// The beginning of its line of JSON: a site's start-up files and the user's modules may print, too.
const MARK: &str = "{\"ipclusterz_value\":";

/// What Python says of it.
#[derive(Debug, Deserialize)]
pub struct Value {
    /// Its `repr`, or the error.
    #[serde(rename = "ipclusterz_value")]
    pub text: String,
    /// It is an error.
    pub is_error: bool,
}

/// Has Python read a value, and write it to `file` if there is one.
pub fn read(kept: &Kept, parts: &[Part], file: Option<&Path>, variables: &Variables) -> Result<Value, Failure> {
    let program = std::env::current_exe().unwrap_or_default();
    let search_path = std::env::var_os("PATH");
    let python = python::find(variables.get(environment::PYTHON), &program, search_path.as_deref())
        .map_err(|error| Failure::new(Exit::Failure, format!("Python alone can read the value: {error}")))?;
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT]).args(file);
    command.stdin(input(kept, parts).map_err(Failure::io("handing the value to Python"))?);
    let answer = ask_with_input(command, PATIENCE).map_err(Failure::io(format!("running {}", python.display())))?;
    let told = answer.output.lines().rev().find(|line| line.starts_with(MARK));
    told.and_then(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
        let reason = answer.last_line().map(|line| format!(": {line}")).unwrap_or_default();
        let message = format!("{} cannot read the value ({}){reason}", python.display(), answer.how(PATIENCE));
        Failure::new(Exit::Failure, message)
            .with_hint("it needs the package ipclusterz and what the value is made of: IPCLUSTERZ_PYTHON names another")
    })
}

/// A line of JSON about the answer, and its frames.
fn input(kept: &Kept, parts: &[Part]) -> io::Result<std::fs::File> {
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let reply = &kept.reply;
    let about = serde_json::json!({
        "status": reply.outcome.name(),
        "engine_id": reply.engine.map_or(-1, |engine| i64::from(engine.0)),
        "message": "",
        "lengths": lengths,
    });
    let mut file = system::memory_file()?;
    writeln!(file, "{about}")?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.rewind()?;
    Ok(file)
}
