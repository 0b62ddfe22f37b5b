//! Parses the command line, runs the command that it names, and returns the exit code.

use super::{
    abort, agent, completions, controller, doctor, engine, events, gc, guard, list, logs, man, profile, restart, run,
    scale, stage, start, status, stop, tasks, timeline, tunnel, version, wait,
};
use crate::arguments::{Arguments, Command, StartCommand};
use crate::completion;
use crate::output::Output;
use crate::usage::{Interruption, keeps_log, read};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::{signals, stderr, system};
use ipclusterz_profile::environment::Variables;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line `raw`, whose first word is the program's name.
pub fn main(raw: Vec<OsString>) -> ExitCode {
    if completion::answer(&raw) {
        return Exit::Ok.into();
    }
    signals::survive_file_limit();
    // No kernel refuses it; a filter of system calls might, and then the memory is what it is.
    let _ = system::keep_secrets();
    let mut output = Output::new(Arguments::has(&raw, "--json"));
    let result = match read(&raw) {
        Ok(arguments) => {
            output = Output::new(arguments.output.json);
            stderr::set_quiet(arguments.output.quiet && !keeps_log(&arguments));
            dispatch(arguments, &raw[1..], &mut output)
        }
        Err(Interruption::Text(text)) => output.text(&text).map(|()| Exit::Ok.code()),
        Err(Interruption::Mistake(failure)) => Err(failure),
    };
    stderr::flush();
    let code = result.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit().code()
    });
    ExitCode::from(code)
}

fn dispatch(arguments: Arguments, raw: &[OsString], output: &mut Output) -> Result<u8, Failure> {
    if let Some((name, value)) = Variables::not_text() {
        let failure = Failure::new(Exit::Usage, format!("{name}: {value:?} is not UTF-8 text"));
        return Err(failure.with_hint("unset the variable, or give it another value"));
    }
    let variables = Variables::of_this_process();
    if arguments.version {
        output.report(&version::run(arguments.verbose, &variables))?;
        return Ok(Exit::Ok.code());
    }
    let start = StartCommand { cluster_name: None, start: arguments.start };
    match arguments.command.unwrap_or(Command::Start(start)) {
        Command::Start(command) => return start::run(&command.start, raw, &variables, output),
        Command::Run(arguments) => return run::run(arguments, &variables, output),
        Command::Scale(arguments) => output.report(&scale::run(&arguments, &variables)?)?,
        Command::Restart(arguments) => output.report(&restart::run(&arguments, &variables)?)?,
        Command::Engine(arguments) => engine::run(&arguments, &variables)?,
        Command::Gc(arguments) => return gc::run(&arguments, &variables, output).map(Exit::code),
        Command::Guard(arguments) => guard::run(&arguments)?,
        Command::Agent(arguments) => agent::run(&arguments, &variables)?,
        Command::Stage(arguments) => stage::run(&arguments)?,
        Command::Controller(arguments) => controller::run(arguments, &variables)?,
        Command::Abort(arguments) => output.report(&abort::run(&arguments, &variables)?)?,
        Command::Tasks(arguments) => return tasks::run(&arguments, &variables, output).map(Exit::code),
        Command::Events(arguments) => events::run(&arguments, &variables, output)?,
        Command::Timeline(arguments) => output.report(&timeline::run(&arguments, &variables)?)?,
        Command::Stop(arguments) => output.report(&stop::run(&arguments, &variables)?)?,
        Command::Status(arguments) => output.report(&status::run(&arguments, &variables)?)?,
        Command::List(arguments) => output.report(&list::run(&arguments)?)?,
        Command::Logs(arguments) => logs::run(&arguments, &variables, output)?,
        Command::Tunnel(arguments) => return tunnel::run(&arguments, &variables, output).map(Exit::code),
        Command::Wait(arguments) => output.report(&wait::run(&arguments, &variables)?)?,
        Command::Profile(arguments) => return profile::run(&arguments, &variables, output).map(Exit::code),
        Command::Doctor(arguments) => return doctor::run(&arguments, &variables, output).map(Exit::code),
        Command::Man(arguments) => output.report(&man::run(&arguments)?)?,
        Command::Completions(arguments) => output.report(&completions::run(&arguments)?)?,
    }
    Ok(Exit::Ok.code())
}
