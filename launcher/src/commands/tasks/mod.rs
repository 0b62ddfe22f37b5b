//! `ipclusterz tasks`: what sessions of clients have under way and have done. In reading order:
//!
//! - [`history`]: the connection to a controller, and what it is asked
//! - [`selection`]: which tasks are meant, as it is typed; [`ids`]: their ids
//! - [`list`], [`show`], [`wait`], [`abort`], [`sessions`], [`purge`]: one command each; `query` is in `list`
//! - [`value`]: values of tasks, which Python alone can read
//!
//! The client of such a command has a session of its own, and takes over no other.

mod abort;
mod history;
mod ids;
mod list;
mod purge;
mod selection;
mod sessions;
mod show;
mod value;
mod wait;

use crate::arguments::{TasksArguments, TasksCommand};
use crate::output::Output;
use history::History;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::cluster_name;

/// Runs the command that the arguments name.
pub fn run(arguments: &TasksArguments, variables: &Variables, output: &mut Output) -> Result<Exit, Failure> {
    let cluster = cluster_name(arguments.cluster.as_deref(), variables)?;
    let connect = || History::connect(&cluster);
    match &arguments.command {
        TasksCommand::List(list) => output.report(&list::run(list, connect)?)?,
        TasksCommand::Query(query) => list::query(query, connect, output)?,
        TasksCommand::Show(show) => output.report(&show::run(show, connect, variables)?)?,
        TasksCommand::Result(result) => output.report(&show::result(result, connect, variables)?)?,
        TasksCommand::Wait(wait) => return wait::run(wait, connect, output),
        TasksCommand::Abort(abort) => output.report(&abort::run(abort, connect)?)?,
        TasksCommand::Sessions(_) => output.report(&sessions::run(&connect()?)?)?,
        TasksCommand::Purge(purge) => output.report(&purge::run(purge, connect, output.is_json())?)?,
    }
    Ok(Exit::Ok)
}
