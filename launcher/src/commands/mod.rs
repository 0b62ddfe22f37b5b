//! One file per command, and the choice among them.
//!
//! A command gets its raw arguments, returns data, and leaves the printing to [`Output`].

mod completions;
mod controller;
mod doctor;
mod gc;
pub mod guard;
mod list;
mod logs;
mod profile;
mod reason;
mod run;
mod scale;
mod start;
mod status;
mod stop;
pub(crate) mod tunnel;
mod wait;

use crate::arguments::{Arguments, Command, parser};
use crate::cluster::ClusterFolder;
use crate::cluster::identity::{Fate, Owner};
use crate::cluster::state::ClusterState;
use crate::cluster::tunnel::TunnelRecord;
use crate::environment::Variables;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::suggestion::nearest;
use crate::usage::{Interruption, interpret};
use clap::FromArgMatches;
use ipclusterz_runtime::places;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line `raw`, whose first word is the program's name.
pub fn main(raw: Vec<OsString>) -> ExitCode {
    let mut output = Output::new(Arguments::json_wanted(raw.iter().cloned()));
    let parsed = parser().try_get_matches_from(&raw).and_then(|matches| Arguments::from_arg_matches(&matches));
    let result = match parsed {
        Ok(arguments) => run(arguments, &raw[1..], &mut output),
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

fn run(arguments: Arguments, raw: &[OsString], output: &mut Output) -> Result<u8, Failure> {
    let variables = Variables::of_this_process();
    match arguments.command.unwrap_or(Command::Start(arguments.start)) {
        Command::Start(arguments) => return start::run(&arguments, raw, &variables, output),
        Command::Run(arguments) => return run::run(arguments, &variables, output),
        Command::Scale(arguments) => output.report(&scale::run(&arguments, &variables)?)?,
        Command::Gc(arguments) => return gc::run(&arguments, output).map(Exit::code),
        Command::Guard(arguments) => guard::run(&arguments)?,
        Command::Controller(arguments) => controller::run(arguments, &variables)?,
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

/// The failure for a cluster that is not there, naming those that are.
fn no_such_cluster(name: &str) -> Failure {
    let tunnel = ClusterFolder::of(name).ok().and_then(|folder| TunnelRecord::read(&folder).ok()?);
    if let Some(record) = tunnel {
        return is_a_tunnel(name, &record);
    }
    let failure = Failure::new(Exit::NoCluster, format!("there is no cluster {name:?}"));
    // What is not listed cannot be suggested; the failure stands without.
    let running: Vec<String> = existing_clusters().unwrap_or_default().into_iter().map(|(name, _, _)| name).collect();
    if running.is_empty() {
        return failure.with_hint("there are none at all; `ipclusterz -n 4` starts one");
    }
    let likely = nearest(name, running.iter().map(String::as_str)).map(|likely| format!("did you mean {likely:?}? "));
    failure.with_hint(format!(
        "{}clusters there are: {} (--cluster NAME)",
        likely.unwrap_or_default(),
        running.join(", ")
    ))
}

/// The failure for what can be done to clusters of this host alone.
fn is_a_tunnel(name: &str, record: &TunnelRecord) -> Failure {
    let Owner { host, process, .. } = &record.owner;
    let message = format!("{name:?} is no cluster but a tunnel {}", record.where_to());
    let failure = Failure::new(Exit::NoCluster, message);
    match record.owner.fate() {
        Fate::Gone => {
            failure.with_hint(format!("its process (pid {}) is gone; `ipclusterz gc` removes it", process.pid))
        }
        _ => failure.with_hint(format!("a signal ends the tunnel: `kill {}` on {host}", process.pid)),
    }
}

/// All clusters with a record, in order of names; the record of one may be unreadable.
#[expect(clippy::type_complexity, reason = "a name, a folder and what is in it; used in two places")]
fn existing_clusters() -> Result<Vec<(String, ClusterFolder, Result<ClusterState, Failure>)>, Failure> {
    let mut clusters = Vec::new();
    for name in places::list_clusters()? {
        let folder = ClusterFolder::of(&name)?;
        let state = ClusterState::of(&folder).map_err(Failure::from);
        if !matches!(state, Ok(ClusterState::Absent)) {
            clusters.push((name, folder, state));
        }
    }
    Ok(clusters)
}
