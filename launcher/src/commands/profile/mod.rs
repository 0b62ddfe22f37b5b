//! `ipclusterz profile`: dispatches to one file per command.

mod check;
mod init;
mod list;
mod show;
mod trial;

use crate::arguments::{ProfileArguments, ProfileCommand};
use crate::output::Output;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::Places;
use ipclusterz_profile::environment::Variables;

/// Runs one of them.
pub fn run(arguments: &ProfileArguments, variables: &Variables, output: &mut Output) -> Result<Exit, Failure> {
    let places = Places::of_this_process(variables)?;
    match &arguments.command {
        ProfileCommand::List => output.report(&list::run(&places))?,
        ProfileCommand::Show(arguments) => output.report(&show::run(arguments, variables, &places)?)?,
        ProfileCommand::Init(arguments) => output.report(&init::run(arguments, &places)?)?,
        ProfileCommand::Check(arguments) => {
            let report = check::run(arguments, variables, &places)?;
            output.report(&report)?;
            return Ok(if report.ok { Exit::Ok } else { Exit::Failure });
        }
    }
    Ok(Exit::Ok)
}
