//! Checks the hosts of `[ssh]`: whether they let us in, their clocks, and their Python.

use super::outside::{Answer, Outside};
use super::probe;
use crate::report::finding::Finding;
use ipclusterz_base::places;
use ipclusterz_host::shell::{quote, sh};
use ipclusterz_launchers::set::SETUP_HINT;
use ipclusterz_launchers::setup;
use ipclusterz_profile::Profile;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::engines::EnginesTable;
use ipclusterz_profile::tables::ssh::{SshHost, SshTable};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clocks may differ by this many seconds without harm: limits on time are a minute or more.
const SMALL_SKEW: f64 = 2.0;
/// Begins the line of output that tells of a setup that failed.
const SETUP_MARK: &str = "@ipclusterz setup";
/// Time for the command itself, on top of the time to connect.
const FOR_COMMAND: Duration = Duration::from_secs(10);

/// The hosts with engines, each once.
pub fn of(table: &SshTable) -> Vec<&str> {
    let mut hosts: Vec<&str> = Vec::new();
    for host in table.hosts.iter().map(|host| host.host.as_str()) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Logs in to each host with engines.
pub fn reach(table: &SshTable, outside: &dyn Outside) -> Vec<Finding> {
    of(table).into_iter().map(|host| reach_one(host, outside, deadline(table))).collect()
}

/// Logs in to the host of a whole cluster.
pub fn reach_controller(table: &SshTable, outside: &dyn Outside) -> Finding {
    reach_one(&table.controller, outside, deadline(table))
}

fn deadline(table: &SshTable) -> Duration {
    Duration::try_from_secs_f64(table.connect_timeout).unwrap_or(FOR_COMMAND) + FOR_COMMAND
}

fn reach_one(host: &str, outside: &dyn Outside, deadline: Duration) -> Finding {
    let check = format!("host {host}");
    let (started, before) = (Instant::now(), SystemTime::now());
    match outside.on_host(host, "date +%s", deadline) {
        Err(failure) => Finding::of_failure(&check, failure),
        Ok(answer) => judge(&check, &answer, started.elapsed(), before),
    }
}

/// Judges the host's clock. `answer` has its time, read at some moment within `took` after `before`.
fn judge(check: &str, answer: &Answer, took: Duration, before: SystemTime) -> Finding {
    let seconds = took.as_secs_f64();
    let time = answer.output.lines().rev().find_map(|line| line.trim().parse::<f64>().ok());
    let Some(time) = time.filter(|_| answer.success) else {
        return Finding::failed(
            check,
            format!("let us in, but `date +%s` did not work there ({}){}", answer.how, answer.reason()),
            "is the login shell there one for programs? start-up files must not print, ask or exit",
        );
    };
    let earliest = before.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // The host's time is cut to whole seconds.
    let off = if time + 1.0 < earliest { time + 1.0 - earliest } else { (time - earliest - seconds).max(0.0) };
    if off.abs() > SMALL_SKEW {
        let direction = if off > 0.0 { "ahead of" } else { "behind" };
        return Finding::warning(
            check,
            format!("reached in {seconds:.1} s; its clock is {:.0} s {direction} ours", off.abs()),
            "have the clocks of both hosts set by NTP: times of logs and results will not fit together",
        );
    }
    Finding::ok(check, format!("reached in {seconds:.1} s; its clock is like ours"))
}

/// Asks the Python of each host with engines, in the environment that engines get. `default` is the Python of hosts
/// that name none.
pub fn pythons(profile: &Profile, default: &Path, outside: &dyn Outside) -> Vec<Finding> {
    let settings = StartSettings::of(places::DEFAULT_CLUSTER.to_owned(), profile.clone());
    let environment = settings.map(|settings| settings.environment_elsewhere()).unwrap_or_default();
    let (tables, default) = (&profile.tables, default.to_string_lossy());
    let one = |host: &SshHost| {
        let check = format!("python on {}", host.host);
        let python = if host.python.is_empty() { &*default } else { &host.python };
        let command = in_login_shell(&probe_script(python, &tables.engines, &environment));
        match outside.on_host(&host.host, &command, probe::PATIENCE) {
            Err(failure) => Finding::of_failure(&check, failure),
            Ok(answer) => judge_start(&check, python, &tables.engines, &answer),
        }
    };
    tables.ssh.hosts.iter().map(one).collect()
}

/// What the end of the script means.
fn judge_start(check: &str, python: &str, engines: &EnginesTable, answer: &Answer) -> Finding {
    let told = answer.output.lines().find_map(|line| line.strip_prefix(SETUP_MARK));
    match told.and_then(|words| setup::failure(words.trim_start(), &engines.setup)) {
        Some(failure) => Finding::failed(check, format!("{failure}{}", reason_of_setup(answer)), SETUP_HINT),
        None => probe::judge(check, python, answer),
    }
}

/// The last line of its errors that is not ours.
fn reason_of_setup(answer: &Answer) -> String {
    let lines: Vec<&str> = answer.errors.lines().filter(|line| !line.starts_with("ipclusterz: ")).collect();
    Answer { output: String::new(), errors: lines.join("\n"), ..answer.clone() }.reason()
}

/// A command that has the shell in which engines are started run `script`.
fn in_login_shell(script: &str) -> String {
    let script = quote(script);
    sh(&format!("if command -v bash >/dev/null 2>&1; then exec bash -l -c {script}; else exec sh -l -c {script}; fi"))
}

/// The script of the question: exports the variables, runs `engines.setup`, then the Python under `engines.wrap`.
fn probe_script(python: &str, engines: &EnginesTable, environment: &BTreeMap<String, String>) -> String {
    let mut lines: Vec<String> =
        environment.iter().map(|(name, value)| format!("export {name}={}", quote(value))).collect();
    lines.extend(setup::lines_telling_output(&engines.setup, SETUP_MARK));
    let words = engines.wrap.iter().map(String::as_str).chain([python, "-c", probe::SCRIPT]);
    lines.push(words.map(quote).collect::<Vec<_>>().join(" "));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    fn judged(output: &str, code: i32, now: u64) -> Finding {
        let how = format!("exit status: {code}");
        let answer = Answer { success: code == 0, how, output: output.to_owned(), errors: "sh: no date\n".to_owned() };
        let before = UNIX_EPOCH + Duration::from_secs(now);
        judge("host n1", &answer, Duration::from_millis(500), before)
    }

    #[test]
    fn a_clock_that_is_off_is_a_warning() {
        assert_eq!(
            judged("welcome\n1000\n", 0, 1000),
            Finding::ok("host n1", "reached in 0.5 s; its clock is like ours")
        );
        assert_eq!(judged("998\n", 0, 1000).level, Level::Ok);
        let behind = judged("900\n", 0, 1000);
        assert_eq!(behind.message, "reached in 0.5 s; its clock is 99 s behind ours");
        let ahead = judged("1100\n", 0, 1000);
        assert!(ahead.message.ends_with("s ahead of ours"), "{ahead:?}");
        let broken = judged("", 127, 1000);
        assert_eq!(broken.level, Level::Failed);
        assert!(broken.message.ends_with("did not work there (exit status: 127): sh: no date"), "{broken:?}");
    }

    #[test]
    fn a_python_is_asked_as_engines_are_started() {
        let mut engines = ipclusterz_profile::default_tables().expect("the default profile").engines;
        engines.setup = vec!["PATH=/bin:$PATH".to_owned()];
        engines.wrap = vec!["env".to_owned(), "A=it's".to_owned()];
        let environment = BTreeMap::from([("B".to_owned(), "two words".to_owned())]);
        let python = "sh";
        let script = probe_script(python, &engines, &environment).replace(&quote(probe::SCRIPT), "'echo $A $B'");
        let output = std::process::Command::new("sh").args(["-c", &sh(&script)]).output().expect("sh");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's two words\n");
        engines.setup.push("ls /nope".to_owned());
        let command = in_login_shell(&probe_script(python, &engines, &environment));
        let output = std::process::Command::new("sh").args(["-c", &command]).output().expect("sh");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (output, errors) = (text(&output.stdout), text(&output.stderr));
        let answer = Answer { success: false, how: String::new(), output, errors };
        let finding = judge_start("python on n1", python, &engines, &answer);
        let said = "`ls /nope` ended with status 2: ls: cannot access '/nope': No such file or directory";
        assert!(
            finding.message.starts_with("engines.setup failed on ") && finding.message.ends_with(said),
            "{finding:?}"
        );
        assert!(!probe::SCRIPT.contains(['\'', '\n', '!']), "it must survive single quotes of any shell");
    }
}
