//! `ipclusterz completions`: the script that a shell sources.

use crate::arguments::CompletionsArguments;
use crate::completion;
use crate::report::CompletionsReport;
use ipclusterz_host::failure::Failure;

/// Generates the script.
pub fn run(arguments: &CompletionsArguments) -> Result<CompletionsReport, Failure> {
    let shell = arguments.shell.to_string();
    let script = completion::script(&shell)?;
    Ok(CompletionsReport { shell, script })
}
