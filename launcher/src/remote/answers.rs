//! Parses what scripts on the host of a whole cluster print: marked lines, among what a login shell may print.

use crate::output::JSON_VERSION;
use crate::report::StartReport;
use crate::report::progress::Progress;
use crate::requests::Scaled;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use serde::Deserialize;

/// The beginning of our lines.
pub const MARK: &str = "@ipclusterz";

/// How far a start has got.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StartProgress {
    /// The exit code of the start, once it is over.
    pub status: Option<u8>,
    /// The lines that it has printed since the last look; only whole lines.
    pub lines: Vec<String>,
    /// How many bytes of its log have been read.
    pub offset: usize,
}

/// What one look at a running cluster found.
#[derive(Debug, Default, PartialEq)]
pub struct Look {
    /// Whether its record is there.
    pub alive: bool,
    /// How it ended, as its launcher reports it.
    pub outcome: Option<Result<u8, Failure>>,
}

/// The value of the line that is marked with `key`.
pub fn answer<'a>(told: &'a str, key: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.strip_prefix(MARK)?.strip_prefix(' ')?.strip_prefix(key)?.strip_prefix(' '))
}

/// Why an answer cannot be read, if it is of another version.
fn other_version(text: &str) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } =
        serde_json::from_str(text).ok().filter(|found: &Versioned| found.version != JSON_VERSION)?;
    let message = format!("the ipclusterz there answers in version {version}; this one reads version {JSON_VERSION}");
    Some(Failure::new(Exit::Unreachable, message).with_hint("install the same ipclusterz on both hosts"))
}

/// Parses how far a start has got. `offset` is how many bytes of its log had been read before.
pub fn parse_progress(told: &str, offset: usize) -> StartProgress {
    let status = answer(told, "status").and_then(|status| status.trim().parse().ok());
    let log = told.split_once(&format!("{MARK} log\n")).map_or("", |(_, log)| log);
    let whole = log.rfind('\n').map_or(0, |end| end + 1);
    let lines = log[..whole].lines().map(str::to_owned).collect();
    StartProgress { status, lines, offset: offset + whole }
}

/// Parses the report of a start: the cluster, or why there is none. `None` if `text` is no report.
pub fn parse_report(text: &str) -> Option<Result<StartReport, Failure>> {
    #[derive(Deserialize)]
    struct Refused {
        error: Failure,
    }
    let line = text.lines().rev().find(|line| line.starts_with('{'))?;
    if let Some(other) = other_version(line) {
        return Some(Err(other));
    }
    if let Ok(Refused { error }) = serde_json::from_str(line) {
        return Some(Err(error));
    }
    serde_json::from_str(line).ok().map(Ok)
}

/// Parses what one look at a running cluster found.
pub fn parse_look(told: &str) -> Look {
    let outcome = answer(told, "outcome").and_then(|text| serde_json::from_str(text).ok());
    Look { alive: answer(told, "alive").is_some(), outcome }
}

/// Parses the answer of a launcher to a request for more or fewer engines.
pub fn parse_scaled(told: &str) -> Option<Result<Scaled, Failure>> {
    parse_answer(told)
}

/// Parses the answer of a launcher to a request to restart engines: which.
pub fn parse_restarting(told: &str) -> Option<Result<Vec<EngineId>, Failure>> {
    #[derive(Deserialize)]
    struct Restarting {
        engines: Vec<EngineId>,
    }
    Some(parse_answer(told)?.map(|Restarting { engines }| engines))
}

/// Parses how far the sets are from the status of the cluster.
pub fn parse_status(told: &str) -> Option<Result<Progress, Failure>> {
    #[derive(Deserialize)]
    struct Status {
        progress: Option<Progress>,
    }
    Some(parse_answer(told)?.map(|Status { progress }| progress.unwrap_or_default()))
}

fn parse_answer<T: serde::de::DeserializeOwned>(told: &str) -> Option<Result<T, Failure>> {
    #[derive(Deserialize)]
    struct Refused {
        error: Failure,
    }
    let text = answer(told, "answer")?;
    if let Some(other) = other_version(text) {
        return Some(Err(other));
    }
    if let Ok(Refused { error }) = serde_json::from_str(text) {
        return Some(Err(error));
    }
    serde_json::from_str(text).ok().map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_followed_line_by_line() {
        let first = parse_progress("Welcome!\n@ipclusterz log\none\ntwo\nthr", 0);
        assert_eq!(first, StartProgress { status: None, lines: vec!["one".into(), "two".into()], offset: 8 });
        let last = parse_progress("@ipclusterz status 5\n@ipclusterz log\nthree\n", 8);
        assert_eq!(last, StartProgress { status: Some(5), lines: vec!["three".into()], offset: 14 });
    }

    #[test]
    fn a_failure_keeps_its_meaning() {
        let failure = Failure::new(Exit::Timeout, "engine 1 did not register").with_hint("wait");
        let text = crate::output::versioned(failure.to_json());
        let report = parse_report(&text).expect("a value").map(|report| report.cluster);
        assert_eq!(report, Err(failure.clone()));
        let outcome: Result<u8, Failure> = Err(failure);
        let told = format!("@ipclusterz outcome {}\n", serde_json::to_string(&outcome).expect("JSON"));
        assert_eq!(parse_look(&told), Look { alive: false, outcome: Some(outcome) });
        assert!(parse_look("@ipclusterz alive \n").alive);
        let told = "@ipclusterz answer {\"version\":1,\"progress\":{\"wanted\":3,\"sets\":[],\"lost\":null}}\n";
        let progress = parse_status(told).expect("an answer").map(|progress| progress.wanted);
        assert_eq!(progress, Ok(3));
        let told = "@ipclusterz answer {\"version\":2,\"progress\":[]}\n";
        let failure = parse_status(told).expect("an answer").expect_err("another version");
        assert_eq!(failure.message, "the ipclusterz there answers in version 2; this one reads version 1");
        assert!(parse_report("{\"version\":2,\"report\":1}").is_some_and(|report| report.is_err()));
    }
}
