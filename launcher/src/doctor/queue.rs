//! Checks the queue of a profile: whether its commands exist, and whether it answers.

use super::outside::Outside;
use crate::report::finding::Finding;
use ipclusterz_host::{hints, python};
use ipclusterz_profile::tables::queue::QueueTable;
use std::ffi::OsStr;
use std::time::Duration;

const CHECK: &str = "scheduler";

/// How long the queue may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Checks that the commands exist and that the queue answers.
pub fn check(table: &QueueTable, search_path: Option<&OsStr>, outside: &dyn Outside) -> Vec<Finding> {
    let commands = commands(table, search_path);
    let found = commands.level == crate::report::finding::Level::Ok;
    let mut findings = vec![commands];
    if found {
        findings.push(match outside.ask_queue(PATIENCE) {
            Ok(answer) => Finding::ok(CHECK, answer),
            Err(failure) => {
                let hint = failure.hint.unwrap_or_else(|| hints::QUEUE_SERVER.to_owned());
                Finding::failed(CHECK, failure.message, hint)
            }
        });
    }
    findings
}

/// Whether the programs that the table names can be run.
pub fn commands(table: &QueueTable, search_path: Option<&OsStr>) -> Finding {
    let QueueTable { submit, status, cancel, outcome, check, .. } = table;
    let mut programs: Vec<&str> = Vec::new();
    for program in [submit, status, cancel, outcome, check].into_iter().filter_map(|command| command.first()) {
        if !programs.contains(&program.as_str()) {
            programs.push(program);
        }
    }
    let missing: Vec<&str> =
        programs.iter().copied().filter(|program| python::on_search_path(program, search_path).is_none()).collect();
    if missing.is_empty() {
        return Finding::ok(CHECK, format!("{}: found {}", table.name, programs.join(", ")));
    }
    Finding::failed(CHECK, format!("{}: cannot find {} on PATH", table.name, missing.join(", ")), hints::QUEUE_COMMANDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    #[test]
    fn missing_commands_are_named() {
        let mut table = ipclusterz_profile::default_tables().expect("the default profile").queue;
        table.name = "Q".to_owned();
        table.submit = vec!["sh".to_owned(), "x".to_owned()];
        table.status = vec!["no-such-squeue".to_owned()];
        table.cancel = vec!["sh".to_owned()];
        let path = Some(OsStr::new("/usr/bin:/bin"));
        let finding = commands(&table, path);
        assert_eq!((finding.level, finding.message.as_str()), (Level::Failed, "Q: cannot find no-such-squeue on PATH"));
        table.status = vec!["true".to_owned()];
        assert_eq!(commands(&table, path), Finding::ok(CHECK, "Q: found sh, true"));
    }
}
