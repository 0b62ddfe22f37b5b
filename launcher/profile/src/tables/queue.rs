//! `[queue]`: the commands of a queue, and how to read their output.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One of `refusals`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct Refusal {
    pub pattern: String,
    pub about: Vec<String>,
    #[serde(default)]
    pub valid: Vec<String>,
    #[serde(default)]
    pub hint: String,
}

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct QueueTable {
    pub name: String,
    pub shell: String,
    pub prefix: String,
    pub directives: Vec<String>,
    pub description: Vec<String>,
    pub submit: Vec<String>,
    pub submit_on_stdin: bool,
    pub job_id: String,
    pub status: Vec<String>,
    pub status_line: String,
    pub unknown: String,
    pub waiting: Vec<String>,
    pub running: Vec<String>,
    pub suspended: Vec<String>,
    pub failed: Vec<String>,
    pub stuck: Vec<String>,
    pub impossible: String,
    pub reasons: BTreeMap<String, String>,
    pub endings: BTreeMap<String, String>,
    pub causes: BTreeMap<String, Vec<String>>,
    pub outcome: Vec<String>,
    pub outcome_line: String,
    pub accounting: Vec<String>,
    pub accounting_line: String,
    pub cancel: Vec<String>,
    pub kill: Vec<String>,
    pub vacate: String,
    pub check: Vec<String>,
    pub refusals: Vec<Refusal>,
    pub array: String,
    pub array_index: String,
    pub start: Vec<String>,
    pub inside: String,
    pub tasks: Vec<String>,
    pub slots: Vec<String>,
    pub component: String,
    pub next_component: String,
    pub end_time: String,
}
