//! Parses the command line, runs the command that it names, and returns the exit code.

use super::{
    abort, completions, controller, doctor, gc, guard, list, logs, profile, run, scale, start, status, stop, tunnel,
    wait,
};
use crate::arguments::{Arguments, Command, parser};
use crate::output::Output;
use crate::usage::{Interruption, interpret};
use clap::FromArgMatches;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::Variables;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line `raw`, whose first word is the program's name.
pub fn main(raw: Vec<OsString>) -> ExitCode {
    let mut output = Output::new(Arguments::json_wanted(raw.iter().cloned()));
    let parsed = parser().try_get_matches_from(&raw).and_then(|matches| Arguments::from_arg_matches(&matches));
    let result = match parsed {
        Ok(arguments) => dispatch(arguments, &raw[1..], &mut output),
        Err(error) => match interpret(&error) {
            Interruption::Text(text) => output.text(&text).map(|()| Exit::Ok.code()),
            Interruption::Mistake(failure) => Err(failure),
        },
    };
    let code = result.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit().code()
    });
    ExitCode::from(code)
}

fn dispatch(arguments: Arguments, raw: &[OsString], output: &mut Output) -> Result<u8, Failure> {
    let variables = Variables::of_this_process();
    match arguments.command.unwrap_or(Command::Start(arguments.start)) {
        Command::Start(arguments) => return start::run(&arguments, raw, &variables, output),
        Command::Run(arguments) => return run::run(arguments, &variables, output),
        Command::Scale(arguments) => output.report(&scale::run(&arguments, &variables)?)?,
        Command::Gc(arguments) => return gc::run(&arguments, output).map(Exit::code),
        Command::Guard(arguments) => guard::run(&arguments)?,
        Command::Controller(arguments) => controller::run(arguments, &variables)?,
        Command::Abort(arguments) => output.report(&abort::run(&arguments, &variables)?)?,
        Command::Stop(arguments) => output.report(&stop::run(&arguments, &variables)?)?,
        Command::Status(arguments) => output.report(&status::run(&arguments, &variables)?)?,
        Command::List(arguments) => output.report(&list::run(&arguments)?)?,
        Command::Logs(arguments) => logs::run(&arguments, &variables, output)?,
        Command::Tunnel(arguments) => return tunnel::run(&arguments, &variables, output).map(Exit::code),
        Command::Wait(arguments) => output.report(&wait::run(&arguments, &variables)?)?,
        Command::Profile(arguments) => return profile::run(&arguments, &variables, output).map(Exit::code),
        Command::Doctor(arguments) => return doctor::run(&arguments, &variables, output).map(Exit::code),
        Command::Completions(arguments) => output.report(&completions::run(&arguments)?)?,
    }
    Ok(Exit::Ok.code())
}
