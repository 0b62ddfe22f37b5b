//! The command line as clap reads it: raw values, not yet weighed against variables and profile.
//!
//! Doc comments in this folder are the text of `--help`. In reading order: `command` (the whole), `common`, `start`,
//! `clusters`, `tasks`, `profiles`, `others` (the options of each command), `numbers` (values of options).

mod clusters;
mod command;
mod common;
mod numbers;
mod others;
mod profiles;
mod start;
mod tasks;

pub use clusters::{
    AbortArguments, EventsArguments, GcArguments, ListArguments, LogsArguments, RestartArguments, ScaleArguments,
    StatusArguments, StopArguments, TimelineArguments, TunnelArguments, WaitArguments,
};
pub use command::{Arguments, Command, parser};
pub use common::{CommonArguments, OutputArguments};
pub use numbers::BadNumber;
pub use others::{
    AgentArguments, CompletionsArguments, ControllerArguments, EngineArguments, GuardArguments, ManArguments,
    StageArguments,
};
pub use profiles::{
    DoctorArguments, ProfileArguments, ProfileCheckArguments, ProfileCommand, ProfileInitArguments,
    ProfileShowArguments,
};
pub use start::{JournalChoice, RunArguments, SettingsArguments, StartArguments, StartCommand};
pub use tasks::{
    AbortTasksArguments, FilterArguments, ListTasksArguments, PurgeArguments, QueryArguments, ResultArguments,
    SessionsArguments, ShowTaskArguments, TasksArguments, TasksCommand, WaitTasksArguments,
};

#[cfg(test)]
mod settings_tests;
