//! A whole cluster on another host (`ssh.controller`): has the `ipclusterz` of that host check what the start needs.

use super::hosts;
use super::outside::{Outside, Question};
use crate::report::finding::{Finding, Level};
use ipclusterz_profile::tables::ssh::SshTable;
use serde::Deserialize;

/// Reaches the host of `ssh.controller`, finds `ipclusterz` there, and takes over its findings, each with the host's
/// name before it. If a step fails, `stages` are reported as skipped.
pub fn check(table: &SshTable, question: Question, stages: &[&str], outside: &dyn Outside) -> Vec<Finding> {
    let host = table.controller.as_str();
    let program = format!("ipclusterz on {host}");
    let named = |stage: &str| format!("{host}: {stage}");
    let untried = |failed: &str| {
        let skipped = |stage: &&str| Finding::skipped(&named(stage), format!("not tried: {failed} failed"));
        stages.iter().map(skipped).collect::<Vec<_>>()
    };
    let mut findings = vec![hosts::reach_controller(table, outside)];
    if findings[0].level == Level::Failed {
        findings.push(Finding::skipped(&program, format!("not tried: host {host} failed")));
        findings.extend(untried(&format!("host {host}")));
        return findings;
    }
    match outside.find_there() {
        Err(failure) => {
            findings.push(Finding::of_failure(&program, failure));
            findings.extend(untried(&program));
        }
        Ok(found) => match outside.ask_there(question).map(|output| (parse(&output), output)) {
            Ok((Some(checks), _)) => {
                findings.push(Finding::ok(&program, found));
                findings.extend(checks.into_iter().map(|it| Finding { check: named(&it.check), ..it }));
            }
            Ok((None, output)) => {
                let last = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
                let message = format!("{found}; `ipclusterz {}` there said {last}", question.words());
                findings.push(Finding::failed(&program, message, format!("run it on {host} by hand")));
                findings.extend(untried(&program));
            }
            Err(failure) => {
                findings.push(Finding::of_failure(&program, failure));
                findings.extend(untried(&program));
            }
        },
    }
    findings
}

/// The findings in what `ipclusterz` there printed.
fn parse(output: &str) -> Option<Vec<Finding>> {
    #[derive(Deserialize)]
    struct Report {
        checks: Vec<Finding>,
    }
    let line = output.lines().rev().find(|line| line.starts_with('{'))?;
    serde_json::from_str(line).ok().map(|Report { checks }| checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::outside::Answer;
    use ipclusterz_host::exit_code::Exit;
    use ipclusterz_host::failure::Failure;
    use std::time::Duration;

    /// A host that is up or down, with an `ipclusterz` that prints something.
    struct Fake(Option<&'static str>);

    impl Outside for Fake {
        fn on_host(&self, _: &str, _: &str, _: Duration) -> Result<Answer, Failure> {
            self.0.ok_or_else(|| Failure::new(Exit::Unreachable, "no route to host"))?;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            let (how, output, errors) = ("exit status: 0".to_owned(), now.as_secs().to_string(), String::new());
            Ok(Answer { success: true, how, output, errors })
        }

        fn ask_queue(&self, _: Duration) -> Result<String, Failure> {
            panic!("the queue here has nothing to do with it")
        }

        fn script(&self) -> Result<String, Failure> {
            panic!("the script is made there")
        }

        fn validate(&self) -> Result<Option<String>, Failure> {
            panic!("the script is made there")
        }

        fn start_in_job(&self, _: u32) -> Result<Option<Vec<String>>, Failure> {
            panic!("the job is there")
        }

        fn find_there(&self) -> Result<String, Failure> {
            Ok("/there/ipclusterz".to_owned())
        }

        fn ask_there(&self, question: Question) -> Result<String, Failure> {
            assert_eq!(question, Question::ProfileCheck);
            Ok(self.0.unwrap_or_default().to_owned())
        }
    }

    fn lines(output: Option<&'static str>) -> Vec<(String, Level)> {
        let mut table = ipclusterz_profile::default_tables().expect("the default profile").ssh;
        table.controller = "far".to_owned();
        let found = check(&table, Question::ProfileCheck, &["resolve", "python"], &Fake(output));
        found.into_iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn what_is_found_there_is_taken_over_with_the_hosts_name() {
        let report = "Welcome!\n{\"version\":1,\"profile\":\"x\",\"ok\":false,\"checks\":[\
                      {\"check\":\"resolve\",\"level\":\"ok\",\"message\":\"m\",\"hint\":null},\
                      {\"check\":\"python\",\"level\":\"failed\",\"message\":\"m\",\"hint\":\"h\"}]}\n";
        let named = |lines: &[(&str, Level)]| lines.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect::<Vec<_>>();
        let expected = [
            ("host far", Level::Ok),
            ("ipclusterz on far", Level::Ok),
            ("far: resolve", Level::Ok),
            ("far: python", Level::Failed),
        ];
        assert_eq!(lines(Some(report)), named(&expected));
        let expected = [
            ("host far", Level::Failed),
            ("ipclusterz on far", Level::Skipped),
            ("far: resolve", Level::Skipped),
            ("far: python", Level::Skipped),
        ];
        assert_eq!(lines(None), named(&expected));
        assert_eq!(lines(Some("Segmentation fault\n"))[1], ("ipclusterz on far".to_owned(), Level::Failed));
    }
}
