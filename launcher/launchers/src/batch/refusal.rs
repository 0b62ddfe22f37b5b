//! Why a queue refused a job, when that is a value of `[batch]`: which one, and which there are.
//!
//! `queue.refusals` of the profile says what to look for and whom to ask. The asking is given as a function, so that
//! this is text alone.

use super::commands::CommandError;
use super::placeholders::{Values, command_line};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::suggestion::nearest;
use ipclusterz_profile::tables::queue::Refusal;
use std::collections::BTreeSet;

/// How many of the valid values are named.
const NAMED: usize = 20;

/// What queues print between names, or in place of one.
const BETWEEN: [char; 3] = [',', '|', ';'];
const NOTHING: [&str; 4] = ["(null)", "N/A", "none", "NONE"];

/// The failure of a submission that the queue named `queue` refused for what `refusal` is about. `ask` runs a command
/// and returns what it printed.
pub fn explained(
    queue: &str,
    refusal: &Refusal,
    values: &Values,
    error: &CommandError,
    ask: impl FnOnce(&[String]) -> Result<String, CommandError>,
) -> Failure {
    let message = format!("{queue} refuses {}: {error}", refused(&refusal.about, values));
    let hints = [valid(refusal, values, ask), refusal.hint.clone()];
    let hint = hints.into_iter().filter(|hint| !hint.is_empty()).collect::<Vec<String>>().join("; ");
    Failure::new(Exit::StartFailed, message).with_hint(hint)
}

/// `batch.account = "physics", with batch.partition = "short"`, or `a job without batch.account`.
fn refused(about: &[String], values: &Values) -> String {
    let mut words = "the job".to_owned();
    for (index, key) in about.iter().enumerate() {
        let value = values.get(key).map(|value| format!("batch.{key} = {}", shown(value)));
        match (index, value) {
            (0, Some(value)) => words = value,
            (0, None) => words = format!("a job without batch.{key}"),
            (_, Some(value)) => words = format!("{words}, with {value}"),
            (_, None) => {}
        }
    }
    words
}

/// A value as it stands in a profile.
fn shown(value: &str) -> String {
    if value.parse::<u64>().is_ok() { value.to_owned() } else { format!("{value:?}") }
}

/// What may be there instead, as a hint.
fn valid(refusal: &Refusal, values: &Values, ask: impl FnOnce(&[String]) -> Result<String, CommandError>) -> String {
    let key = refusal.about.first();
    let command = match values.command(&refusal.valid, "queue.refusals") {
        Ok(command) if !command.is_empty() => command,
        Ok(_) => return key.map_or_else(String::new, |key| format!("set another batch.{key} in the profile")),
        Err(failure) => return failure.message,
    };
    let names = match ask(&command) {
        Ok(printed) => names(&printed),
        Err(_) => return format!("`{}` lists the valid ones, but failed just now", command_line(&command)),
    };
    if names.is_empty() {
        return format!("`{}` names none that you may use: ask your site's support", command_line(&command));
    }
    let list = listed(&names);
    let Some(key) = key else { return format!("there are: {list}") };
    let value = values.get(key).unwrap_or_default();
    if names.contains(value) {
        return format!("you may use {value:?} ({list}), but not with the rest of what the job asks for");
    }
    match nearest(value, names.iter().map(String::as_str)) {
        Some(likely) => format!("did you mean {likely:?}? batch.{key} may be: {list}"),
        None => format!("batch.{key} may be: {list}"),
    }
}

/// The names that a command printed, in any layout, each once.
fn names(printed: &str) -> BTreeSet<String> {
    let words = printed.split(|letter: char| letter.is_whitespace() || BETWEEN.contains(&letter));
    words.filter(|word| !word.is_empty() && !NOTHING.contains(word)).map(str::to_owned).collect()
}

fn listed(names: &BTreeSet<String>) -> String {
    let some: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len() - some.len();
    if more == 0 { some.join(", ") } else { format!("{} and {more} more", some.join(", ")) }
}

#[cfg(test)]
mod tests;
