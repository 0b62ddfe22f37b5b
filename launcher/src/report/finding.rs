//! The result of one check.

use ipclusterz_base::words::{printable, printable_lines, without_codes};
use serde::{Deserialize, Serialize};

/// How good the result of a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good.
    Ok,
    /// Not checked. The finding gives the reason.
    Skipped,
    /// Works, but not as well as it should.
    Warning,
    /// Does not work.
    Failed,
}

impl Level {
    /// Its name in reports.
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Skipped => "skipped",
            Level::Warning => "warning",
            Level::Failed => "failed",
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked, in a word or two.
    pub check: String,
    /// How good the result is.
    pub level: Level,
    /// What was found, with its values.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding that all is well.
    pub fn ok(check: &str, message: impl Into<String>) -> Self {
        Self { check: check.to_owned(), level: Level::Ok, message: message.into(), hint: None }
    }

    /// A finding that something was not checked, with the reason.
    pub fn skipped(check: &str, reason: impl Into<String>) -> Self {
        Self { level: Level::Skipped, ..Self::ok(check, reason) }
    }

    /// A finding that something works, but not as well as it should.
    pub fn warning(check: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::failed(check, message, hint) }
    }

    /// A finding that something does not work. An empty hint counts as none.
    pub fn failed(check: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        Self { check: check.to_owned(), level: Level::Failed, message: without_codes(&message.into()), hint }
    }

    /// A finding that something does not work, with the message and the hint of `failure`.
    pub fn of_failure(check: &str, failure: ipclusterz_host::failure::Failure) -> Self {
        Self::failed(check, failure.message, failure.hint.unwrap_or_default())
    }
}

/// Whether nothing failed.
pub fn all_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Failed)
}

/// The table for people, with colours if they are wanted.
pub fn table(findings: &[Finding], colours: bool) -> String {
    const LEVEL: usize = "skipped".len();
    let check = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let indent = " ".repeat(LEVEL + 2 + check + 2);
    let mut text = String::new();
    for finding in findings {
        let word = format!("{:<LEVEL$}", finding.level.word());
        let word = match (colours, finding.level) {
            (true, Level::Ok) => format!("\x1b[32m{word}\x1b[0m"),
            (true, Level::Warning) => format!("\x1b[33m{word}\x1b[0m"),
            (true, Level::Failed) => format!("\x1b[31m{word}\x1b[0m"),
            _ => word,
        };
        // What other programs, files and hosts have said is in it.
        let lines = |text: &str| printable_lines(text).replace('\n', &format!("\n{indent}"));
        text.push_str(&format!("{word}  {:<check$}  {}\n", printable(&finding.check), lines(&finding.message)));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("{indent}hint: {}\n", lines(hint)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_hints_stand_below() {
        let findings = [
            Finding::ok("python", "3.12"),
            Finding::failed("/dev/shm", "full\nreally", "empty it"),
            Finding::skipped("x", "y"),
        ];
        let expected = "ok       python    3.12\n\
                        failed   /dev/shm  full\n                   really\n                   hint: empty it\n\
                        skipped  x         y\n";
        assert_eq!(table(&findings, false), expected);
        assert!(table(&findings, true).starts_with("\x1b[32mok     \x1b[0m  python"));
        assert!(!all_well(&findings) && all_well(&findings[..1]));
        let hostile = [Finding::failed("x", "one\x1b[2J\ntwo", "\u{9b}31m")];
        let expected = "failed   x  one\\x1b[2J\n            two\n            hint: \\x9b31m\n";
        assert_eq!(table(&hostile, false), expected);
    }
}
