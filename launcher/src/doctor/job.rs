//! What `ipclusterz profile check --run` has a node try, and what its answers mean. Pure: [`crate::commands`] runs it.
//!
//! The trial is a start of a cluster with one engine. Before the engine's command stands a shell that tries what the engine
//! needs, step by step, and writes what it finds to a file in the cluster's folder.
//!
//! # Format
//!
//! A line for each step: `STEP STATUS OUTPUT`. Line ends in the output are the character U+001E.

use super::outside::Answer;
use super::probe;
use crate::report::StartReport;
use crate::report::finding::{Finding, Level};
use ipclusterz_base::words::printable_lines;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::shell::quote;
use ipclusterz_profile::tables::batch::BatchTable;
use std::path::Path;

/// The steps after `job` and `setup`, in order.
const STEPS: [&str; 5] = ["folder", "/dev/shm", "python", "MPI", "way back"];
/// Less room in /dev/shm is hardly of use.
const SMALL_SHM: u64 = 64 << 20;
/// Prints the MPI library that engines would load. As the other one, it survives any shell.
const MPI_SCRIPT: &str = concat!(
    r#"exec("import sys; sys.path[:] = filter(None, sys.path)\ntry:\n import ipclusterz_mpi as m; m.load(); print(m.about().says, m.about().path, sep=\", \")\n"#,
    r#"except ModuleNotFoundError:\n import mpi4py; print(\"mpi4py\", mpi4py.__version__)")"#,
);
/// What to do where that fails.
const MPI_HINT: &str = "docs/how-to/mpi.md says what engines need; IPCLUSTERZ_MPI in engines.env names a library";

/// How many seconds the trial waits in the queue where the profile would wait for ever.
const QUEUE_TIMEOUT: f64 = 900.0;

/// How many seconds the job of a trial may wait in the queue.
pub fn queue_timeout(batch: &BatchTable) -> f64 {
    if batch.queue_timeout > 0.0 { batch.queue_timeout } else { QUEUE_TIMEOUT }
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Words before the Python (`engines.wrap`).
    pub wrap: &'a [String],
    /// The Python of the engines.
    pub python: &'a str,
    /// How many lines `engines.setup` has.
    pub setup: usize,
    /// Whether the engine is started by a job.
    pub in_job: bool,
    /// Whether the engines are ranks of an MPI world.
    pub mpi: bool,
    /// The cluster's folder.
    pub folder: &'a Path,
    /// The file for the answers.
    pub answers: &'a Path,
}

impl Trial<'_> {
    /// The words to put before the engine's command.
    pub fn words(&self) -> Vec<String> {
        let words = ["/bin/sh", "-c", &self.script(), "sh"].map(str::to_owned);
        words.into_iter().chain(self.wrap.iter().cloned()).collect()
    }

    fn script(&self) -> String {
        let path = |path: &Path| quote(&path.to_string_lossy());
        let words = self.wrap.iter().map(String::as_str).chain([self.python]);
        let python = words.map(quote).collect::<Vec<_>>().join(" ");
        let (answers, engine_file) = (path(self.answers), path(&self.folder.join("engine.json")));
        let mpi = if self.mpi { format!("try MPI {python} -c {}\n", quote(MPI_SCRIPT)) } else { String::new() };
        format!(
            "say() {{ printf '%s %s %s\\n' \"$1\" \"$2\" \"$(printf %s \"$3\" | tail -n 20 | tr '\\n' '\\036')\" \
             >>{answers} || exit 97; }}\n\
             try() {{ step=$1; shift; said=$(\"$@\" 2>&1); status=$?; say \"$step\" \"$status\" \"$said\"; \
             [ \"$status\" -eq 0 ] || exit \"$status\"; }}\n\
             say host 0 \"$(uname -n)\"\n\
             try folder head -c 1 {engine_file}\n\
             say /dev/shm 0 \"$(df -Pk /dev/shm 2>/dev/null | tail -n 1)\"\n\
             try python {python} -c {}\n\
             {mpi}exec \"$@\"",
            quote(probe::SCRIPT)
        )
    }

    /// The findings, from the answers and the outcome of the start.
    pub fn findings(&self, answers: &str, outcome: &Result<StartReport, Failure>) -> Vec<Finding> {
        let answers: Vec<Said> = answers.lines().filter_map(Said::parse).collect();
        let said = |step: &str| answers.iter().find(|said| said.step == step);
        let mut findings = Vec::new();
        let first = if self.in_job { "job" } else { "host" };
        let Some(host) = said("host") else {
            findings.extend(before_the_node(outcome, first));
            let setup_failed = findings.iter().any(|finding| finding.check == "setup");
            let reason = if setup_failed { "setup" } else { first };
            if self.setup > 0 && !setup_failed {
                findings.push(skipped("setup", reason));
            }
            findings.extend(STEPS.iter().filter(|step| self.has(step)).map(|step| skipped(step, reason)));
            return findings;
        };
        findings.push(Finding::ok(first, format!("ran on {}", host.output)));
        if self.setup > 0 {
            findings.push(Finding::ok("setup", format!("engines.setup ran on {}", host.output)));
        }
        for step in STEPS.into_iter().filter(|step| self.has(step)) {
            let failed = findings.iter().find(|finding| finding.level == Level::Failed);
            let finding = match (failed, said(step)) {
                (Some(failed), _) => skipped(step, &failed.check),
                (None, _) if step == "way back" => way_back(&host.output, outcome),
                (None, Some(said)) => self.judge(said),
                (None, None) => Finding::failed(step, why(outcome), hint(outcome, "")),
            };
            findings.push(finding);
        }
        findings
    }

    fn has(&self, step: &str) -> bool {
        self.mpi || step != "MPI"
    }

    fn judge(&self, said: &Said) -> Finding {
        let folder = self.folder.display();
        match (said.step.as_str(), said.status) {
            ("folder", 0) => Finding::ok("folder", format!("{folder} is there and can be read and written")),
            ("folder", _) => {
                let hint = "set IPCLUSTERZ_HOME to a folder on a file system that this host and the nodes share";
                Finding::failed(
                    "folder",
                    format!("the node does not see {folder} as it is here: {}", said.output),
                    hint,
                )
            }
            ("/dev/shm", _) => shared_memory(&said.output),
            ("python", status) => {
                let how = format!("exit status: {status}");
                let output = said.output.clone();
                let errors = if status == 0 { String::new() } else { output.clone() };
                probe::judge("python", self.python, &Answer { success: status == 0, how, output, errors })
            }
            ("MPI", 0) => Finding::ok("MPI", format!("engines load {}", said.output)),
            (step, status) => Finding::failed(step, format!("exit status {status}: {}", said.output), MPI_HINT),
        }
    }
}

fn skipped(step: &str, reason: &str) -> Finding {
    Finding::skipped(step, format!("not tried: {reason} failed"))
}

/// What is wrong where no node has said anything.
fn before_the_node(outcome: &Result<StartReport, Failure>, first: &str) -> Vec<Finding> {
    let Err(failure) = outcome else {
        let message = "the engine came, but nothing was written to the cluster's folder: it is not that of this host";
        return vec![Finding::failed(first, message, "set IPCLUSTERZ_HOME to a folder that the nodes share")];
    };
    if failure.message.contains("engines.setup failed on ") {
        return vec![Finding::ok(first, "ran"), Finding::of_failure("setup", failure.clone())];
    }
    let shared = "does the node see the cluster's folder (IPCLUSTERZ_HOME)? nothing was written to it";
    vec![Finding::failed(first, failure.message.clone(), failure.hint.clone().unwrap_or_else(|| shared.to_owned()))]
}

fn way_back(host: &str, outcome: &Result<StartReport, Failure>) -> Finding {
    match outcome {
        Ok(report) => {
            let tcp = report.addresses.iter().find(|address| address.starts_with("tcp://"));
            let addresses = tcp.unwrap_or(&report.addresses[0]);
            Finding::ok("way back", format!("the engine on {host} has registered with the controller ({addresses})"))
        }
        Err(_) => {
            let address = "an address of this host that the nodes reach: controller.advertise, controller.listen";
            Finding::failed("way back", why(outcome), hint(outcome, address))
        }
    }
}

fn why(outcome: &Result<StartReport, Failure>) -> String {
    outcome.as_ref().err().map(|failure| failure.message.clone()).unwrap_or_else(|| "the node has said nothing".into())
}

fn hint(outcome: &Result<StartReport, Failure>, otherwise: &str) -> String {
    outcome.as_ref().err().and_then(|failure| failure.hint.clone()).unwrap_or_else(|| otherwise.to_owned())
}

/// The last line of `df -Pk`: device, size, used, room, percentage, place.
fn shared_memory(line: &str) -> Finding {
    const CHECK: &str = "/dev/shm";
    let room = line.split_whitespace().nth(3).and_then(|room| room.parse::<u64>().ok()).map(|room| room * 1024);
    match room {
        Some(room) if room >= SMALL_SHM => Finding::ok(CHECK, format!("{} MiB free", room >> 20)),
        Some(room) => Finding::warning(
            CHECK,
            format!("{} MiB free: large arrays travel by another way", room >> 20),
            "remove what ended programs have left there, or have the site make it larger",
        ),
        None => Finding::warning(CHECK, "there is none: large arrays travel by another way", ""),
    }
}

/// One line of the answers.
struct Said {
    step: String,
    status: i32,
    output: String,
}

impl Said {
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        let (step, status) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        let output = printable_lines(&parts.next().unwrap_or_default().replace('\u{1e}', "\n")).into_owned();
        Some(Self { step, status, output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_host::exit_code::Exit;
    use std::process::Command;

    fn levels(findings: &[Finding]) -> Vec<(&str, Level)> {
        findings.iter().map(|finding| (finding.check.as_str(), finding.level)).collect()
    }

    fn failed(message: &str) -> Result<StartReport, Failure> {
        Err(Failure::new(Exit::StartFailed, message).with_hint("h"))
    }

    /// Has a shell run the words; the engine's command after them is `echo`.
    fn node(python: &str, with_file: bool) -> (String, String, Vec<Finding>) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let answers = folder.path().join("it's said");
        std::fs::write(&answers, "").expect("write");
        if with_file {
            std::fs::write(folder.path().join("engine.json"), "{}").expect("write");
        }
        let wrap = ["env".to_owned(), "LAB=it's".to_owned()];
        let trial =
            Trial { wrap: &wrap, python, setup: 1, in_job: true, mpi: false, folder: folder.path(), answers: &answers };
        let words = trial.words();
        let output = Command::new(&words[0]).args(&words[1..]).args(["echo", "engine of"]).output().expect("sh");
        let said = std::fs::read_to_string(&answers).expect("read");
        let findings = trial.findings(&said, &failed("the engine did not come"));
        (String::from_utf8(output.stdout).expect("UTF-8"), said, findings)
    }

    #[test]
    fn the_engine_is_run_when_all_before_it_works() {
        // `sh -c SCRIPT` stands in for Python, and does not understand it.
        let (output, said, findings) = node("true", true);
        assert_eq!(output, "engine of\n", "{said}");
        let python = findings.iter().find(|finding| finding.check == "python").expect("a finding");
        assert_eq!(python.level, Level::Failed, "it has printed nothing: {findings:?}");
        assert_eq!(levels(&findings)[..3], [("job", Level::Ok), ("setup", Level::Ok), ("folder", Level::Ok)]);
        assert_eq!(levels(&findings).last(), Some(&("way back", Level::Skipped)));
    }

    #[test]
    fn the_first_step_that_fails_ends_it() {
        let (output, _, findings) = node("true", false);
        assert_eq!((output.as_str(), levels(&findings)[2]), ("", ("folder", Level::Failed)), "{findings:?}");
        let (output, _, findings) = node("/nope/python", true);
        let python = findings.iter().find(|finding| finding.check == "python").expect("a finding");
        assert!(
            output.is_empty() && python.message.starts_with("/nope/python is no working Python (exit status: 127)")
        );
    }

    #[test]
    fn who_says_nothing_has_not_come_so_far() {
        let trial = Trial {
            wrap: &[],
            python: "p",
            setup: 0,
            in_job: true,
            mpi: true,
            folder: Path::new("/x"),
            answers: Path::new("/x/probe"),
        };
        let found =
            trial.findings("", &failed("job 7: engines.setup failed on n2: `module load x` ended with status 1"));
        assert_eq!(levels(&found)[..3], [("job", Level::Ok), ("setup", Level::Failed), ("folder", Level::Skipped)]);
        assert_eq!(found.last().expect("one").message, "not tried: setup failed");
        let found = trial.findings("", &failed("job 7 was cancelled"));
        assert_eq!(levels(&found)[..2], [("job", Level::Failed), ("folder", Level::Skipped)]);
        assert_eq!(found.len(), 1 + STEPS.len());
        let own = ipclusterz_base::release::number();
        let said = format!(
            "host 0 n2\nfolder 0 {{\n/dev/shm 0 tmpfs 100 0 100 0% /dev/shm\n\
             python 0 welcome\u{1e}{{\"ipclusterz_probe\": 1, \"python\": \"3.12.1\", \"package\": \"{own}\", \"error\": null}}\n\
             MPI 1 ImportError: \u{1b}[31mno MPI\n"
        );
        let found = trial.findings(&said, &failed("it ended"));
        let expected = [
            ("job", Level::Ok),
            ("folder", Level::Ok),
            ("/dev/shm", Level::Warning),
            ("python", Level::Ok),
            ("MPI", Level::Failed),
            ("way back", Level::Skipped),
        ];
        assert_eq!(levels(&found), expected);
        assert!(found[4].message.contains("no MPI") && !found[4].message.contains('\u{1b}'));
        let found = trial.findings(&said.replace("MPI 1", "MPI 0"), &failed("it did not register"));
        let last = found.last().expect("one");
        assert_eq!((last.level, last.message.as_str()), (Level::Failed, "it did not register"));
    }
}
