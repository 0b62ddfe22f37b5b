//! What belongs to this program and is not in it: the Python of the engines, the package there, and its MPI. Nothing of
//! it is needed to print the versions of the program, so what is wrong with it is a part of the answer.

use crate::report::versions::{Asked, Beside};
use ipclusterz_host::python;
use ipclusterz_launchers::program::ask::ask;
use ipclusterz_profile::environment::{self, Variables};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long Python may take to import the package: long, for it may come from a slow shared file system.
const PATIENCE: Duration = Duration::from_secs(60);
const SCRIPT: &str = include_str!("beside.py");
/// The beginning of the line of JSON: a site's start-up files may print, too.
const MARK: &str = "{\"ipclusterz_versions\":";

/// Asks the Python that engines on this host get without a profile.
pub fn python(variables: &Variables) -> Beside {
    let search_path = std::env::var_os("PATH");
    let program = std::env::current_exe().unwrap_or_default();
    match python::find(variables.get(environment::PYTHON), &program, search_path.as_deref()) {
        Err(error) => Beside { program: None, asked: None, error: Some(error.to_string()) },
        Ok(path) => {
            let (asked, error) = match versions_of(&path) {
                Ok(asked) => (Some(asked), None),
                Err(reason) => (None, Some(reason)),
            };
            Beside { program: Some(path), asked, error }
        }
    }
}

fn versions_of(python: &Path) -> Result<Asked, String> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]);
    let answer = ask(command, PATIENCE).map_err(|error| format!("it cannot be run: {error}"))?;
    let told = answer.output.lines().rev().find(|line| line.starts_with(MARK));
    told.and_then(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
        let reason = answer.last_line().map(|line| format!(": {line}")).unwrap_or_default();
        format!("it does not tell its version ({}){reason}", answer.how(PATIENCE))
    })
}
