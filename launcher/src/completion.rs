//! Completions in the user's shell: the script that a shell sources has it run this program for each word, so that also
//! the names of clusters and profiles are completed.

use crate::arguments::parser;
use crate::clusters::existing_clusters;
use clap::ValueHint;
use clap::builder::{Arg, StyledStr};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::Places;
use ipclusterz_profile::environment::{COMPLETE, Variables};
use std::ffi::{OsStr, OsString};

/// Answers the shell if it has run this program for completions. Returns false if it has not.
pub fn answer(raw: &[OsString]) -> bool {
    let folder = std::env::current_dir().ok();
    let completed = CompleteEnv::with_factory(completing_parser).var(COMPLETE).try_complete(raw, folder.as_deref());
    // An error means that the shell is not known: its words are then a command line like any other.
    completed.unwrap_or(false)
}

/// The script that registers the completions with `shell`.
pub fn script(shell: &str) -> Result<String, Failure> {
    let mut script = Vec::new();
    let failed = |error| Failure::io("making the script")(error);
    if let Some(shell) = Shells::builtins().completer(shell) {
        shell.write_registration(COMPLETE, "ipclusterz", "ipclusterz", "ipclusterz", &mut script).map_err(failed)?;
    }
    String::from_utf8(script).map_err(|error| Failure::new(Exit::Failure, error.to_string()))
}

/// The parser, with what completes the values of its arguments.
fn completing_parser() -> clap::Command {
    completing(parser())
}

fn completing(command: clap::Command) -> clap::Command {
    command.mut_args(complete_argument).mut_subcommands(completing)
}

fn complete_argument(argument: Arg) -> Arg {
    match argument.get_id().as_str() {
        "cluster" | "cluster_name" => argument.add(ArgValueCompleter::new(clusters)),
        "profile" | "from" => argument.add(ArgValueCompleter::new(profiles)),
        "python" => argument.value_hint(ValueHint::ExecutablePath),
        "identity" => argument.value_hint(ValueHint::FilePath),
        _ => argument,
    }
}

/// The clusters of this user, each with its state.
fn clusters(current: &OsStr) -> Vec<CompletionCandidate> {
    let clusters = existing_clusters().unwrap_or_default().into_iter();
    let named = clusters.map(|(name, _, state)| (name, state.map_or_else(|error| error.word(), |state| state.word())));
    beginning_with(current, named.map(|(name, state)| (name, Some(state.into()))))
}

/// The profiles that have names, and the files of others.
fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let places = Places::of_this_process(&Variables::of_this_process());
    let names = places.map(|places| places.names()).unwrap_or_default();
    let mut candidates = beginning_with(current, names.into_iter().map(|name| (name, None)));
    let files = PathCompleter::file().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    // In a folder full of files, the names would hardly be seen.
    if candidates.is_empty() {
        candidates = files.complete(current);
    }
    candidates
}

fn beginning_with(
    current: &OsStr,
    names: impl Iterator<Item = (String, Option<StyledStr>)>,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let fitting = names.filter(|(name, _)| name.starts_with(&*current));
    fitting.map(|(name, help)| CompletionCandidate::new(name).help(help)).collect()
}
