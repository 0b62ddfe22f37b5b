//! `ipclusterz completions`: the script that a shell sources.

use crate::arguments::{CompletionsArguments, parser};
use crate::report::CompletionsReport;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// Generates the script.
pub fn run(arguments: &CompletionsArguments) -> Result<CompletionsReport, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut parser(), "ipclusterz", &mut script);
    let script = String::from_utf8(script).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    Ok(CompletionsReport { shell: arguments.shell.to_string(), script })
}
