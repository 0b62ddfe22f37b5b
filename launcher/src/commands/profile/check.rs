//! `ipclusterz profile check`: tries each stage of a start as far as possible without starting anything; with `--run`,
//! [`super::trial`] then starts one engine.

use super::trial;
use crate::arguments::ProfileCheckArguments;
use crate::doctor::outside::{Outside, Question};
use crate::doctor::real::Real;
use crate::doctor::{elsewhere, hosts, mpi, queue, shared, versions};
use crate::report::CheckReport;
use crate::report::finding::{Finding, Level, all_well};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::python;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{check_profile, merged_profile};
use ipclusterz_profile::tables::engines::LauncherKind;
use ipclusterz_profile::{Options, Places, Profile};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the stages work with.
struct Trial<'a> {
    profile: &'a Profile,
    /// This program.
    program: PathBuf,
    search_path: Option<OsString>,
    outside: &'a dyn Outside,
}

/// One stage.
struct Stage {
    name: &'static str,
    /// Stages that must succeed before this one is tried.
    needs: &'static [&'static str],
    /// Launchers that have this stage.
    launchers: &'static [LauncherKind],
    /// Why the other launchers do not have it.
    otherwise: &'static str,
    run: fn(&Trial<'_>) -> Vec<Finding>,
}

use LauncherKind::{Batch, Local, Mpiexec, Ssh};

const NO_MPI: &str = "no engine is started by mpiexec";

/// The stages after `resolve`, in the order of a start.
const STAGES: [Stage; 7] = [
    Stage {
        name: "hosts",
        needs: &["resolve"],
        launchers: &[Ssh],
        otherwise: "no engine is started through SSH",
        run: |trial| hosts::reach(&trial.profile.tables.ssh, trial.outside),
    },
    Stage {
        name: "python",
        needs: &["resolve", "hosts"],
        launchers: &[Local, Ssh, Mpiexec, Batch],
        otherwise: "",
        run: python_and_package,
    },
    Stage {
        name: "MPI",
        needs: &["resolve", "python"],
        launchers: &[Mpiexec, Batch],
        otherwise: NO_MPI,
        run: |trial| {
            let tables = &trial.profile.tables;
            vec![match tables.engines.launcher {
                Batch if tables.batch.check_world => mpi::check_in_job(trial.profile, &trial.python(), trial.outside),
                Batch => Finding::skipped("MPI", NO_MPI),
                _ => mpi::check(tables, true, &trial.python(), trial.search_path.as_deref()),
            }]
        },
    },
    Stage {
        name: "scheduler",
        needs: &["resolve"],
        launchers: &[Batch],
        otherwise: "no engine is a job of a queue",
        run: |trial| queue::check(&trial.profile.tables.queue, trial.search_path.as_deref(), trial.outside),
    },
    Stage {
        name: "folder",
        needs: &["resolve"],
        launchers: &[Batch],
        otherwise: "no engine is a job of a queue",
        run: |trial| vec![shared::check(&trial.profile.tables.queue.name)],
    },
    Stage {
        name: "script",
        needs: &["resolve"],
        launchers: &[Batch],
        otherwise: "no engine is a job of a queue",
        run: |trial| {
            vec![match trial.outside.script() {
                Ok(script) => Finding::ok("script", format!("rendered, {} lines", script.lines().count())),
                Err(failure) => Finding::of_failure("script", failure),
            }]
        },
    },
    Stage {
        name: "validate",
        needs: &["resolve", "scheduler", "script"],
        launchers: &[Batch],
        otherwise: "no engine is a job of a queue",
        run: |trial| {
            vec![match trial.outside.validate() {
                Ok(Some(said)) if said.is_empty() => Finding::ok("validate", "the queue would take the script"),
                Ok(Some(said)) => Finding::ok("validate", format!("the queue would take the script: {said}")),
                Ok(None) => Finding::skipped(
                    "validate",
                    "inside a job nothing is submitted, or this queue cannot look at a script without running it",
                ),
                Err(failure) => Finding::of_failure("validate", failure),
            }]
        },
    },
];

impl Trial<'_> {
    /// The Python of engines on this host. If it does not exist, the stage `python` reports that.
    fn python(&self) -> PathBuf {
        let wanted = self.profile.tables.engines.python.as_str();
        let found = python::find(Some(wanted).filter(|it| !it.is_empty()), &self.program, self.search_path.as_deref());
        found.unwrap_or_else(|_| PathBuf::from(if wanted.is_empty() { "python3" } else { wanted }))
    }
}

/// Checks the Python where engines run: on the hosts of `[ssh]`, else on this host, whose path jobs and ranks use.
fn python_and_package(trial: &Trial<'_>) -> Vec<Finding> {
    let tables = &trial.profile.tables;
    if tables.engines.launcher == Ssh {
        return hosts::pythons(trial.profile, &trial.python(), trial.outside);
    }
    let wanted = &tables.engines.python;
    if tables.engines.launcher == Batch && wanted.contains('/') && !std::path::Path::new(wanted).exists() {
        let message = format!("{wanted} is not on this host; jobs run it on their nodes");
        return vec![Finding::skipped("python", message)];
    }
    vec![versions::python(&tables.engines.python, &trial.program, trial.search_path.as_deref())]
}

/// Tries all stages.
pub fn run(arguments: &ProfileCheckArguments, variables: &Variables, places: &Places) -> Result<CheckReport, Failure> {
    let options = Options { profile: arguments.profile.clone(), set: arguments.set.clone(), ..Options::default() };
    let profile = match merged_profile(&options, variables, places) {
        Ok(profile) => profile,
        Err(error) => {
            let name = arguments.profile.clone().unwrap_or_default();
            let mut findings = vec![Finding::of_failure("resolve", error.into())];
            findings.extend(STAGES.iter().map(|stage| Finding::skipped(stage.name, "not tried: resolve failed")));
            return Ok(CheckReport::new(name, findings));
        }
    };
    let program = std::env::current_exe().map_err(Failure::io("finding the ipclusterz program"))?;
    let search_path = std::env::var_os("PATH");
    let wanted = profile.tables.engines.python.as_str();
    let python = python::find(Some(wanted).filter(|it| !it.is_empty()), &program, search_path.as_deref());
    let outside = Real::new(&profile, python.unwrap_or_else(|_| PathBuf::from(wanted)));
    let trial = Trial { profile: &profile, program, search_path, outside: &outside };
    let mut findings = stages(&trial, if arguments.run { Question::ProfileRun } else { Question::ProfileCheck });
    if arguments.run && profile.tables.ssh.controller.is_empty() {
        findings.extend(if all_well(&findings) {
            let found = trial::run(arguments, &profile, &trial.python(), variables)?;
            found.into_iter().map(|it| Finding { check: format!("run: {}", it.check), ..it }).collect()
        } else {
            vec![Finding::skipped("run", "nothing was started: a stage before it failed")]
        });
    }
    Ok(CheckReport::new(profile.name.clone(), findings))
}

fn stages(trial: &Trial<'_>, question: Question) -> Vec<Finding> {
    let resolve = match check_profile(trial.profile) {
        Ok(()) => Finding::ok("resolve", trial.profile.summary()),
        Err(error) => Finding::of_failure("resolve", error.into()),
    };
    let mut failed: Vec<&str> = if resolve.level == Level::Failed { vec!["resolve"] } else { Vec::new() };
    let mut findings = vec![resolve];
    let table = &trial.profile.tables.ssh;
    if !table.controller.is_empty() && failed.is_empty() {
        // The start happens on the other host, so the stages are tried there.
        let names: Vec<&str> = std::iter::once("resolve").chain(STAGES.iter().map(|stage| stage.name)).collect();
        findings.extend(elsewhere::check(table, question, &names, trial.outside));
        return findings;
    }
    for stage in &STAGES {
        if !stage.launchers.contains(&trial.profile.tables.engines.launcher) {
            findings.push(Finding::skipped(stage.name, stage.otherwise));
        } else if let Some(missing) = stage.needs.iter().find(|needed| failed.contains(needed)) {
            findings.push(Finding::skipped(stage.name, format!("not tried: {missing} failed")));
        } else {
            let found = (stage.run)(trial);
            if found.iter().any(|finding| finding.level == Level::Failed) {
                failed.push(stage.name);
            }
            findings.extend(found);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::outside::Answer;
    use ipclusterz_host::exit_code::Exit;
    use std::time::Duration;

    /// Hosts of which one is down, and a queue that is up or down.
    struct Fake {
        queue_is_up: bool,
    }

    impl Outside for Fake {
        fn on_host(&self, host: &str, command: &str, _: Duration) -> Result<Answer, Failure> {
            if host == "down" {
                return Err(Failure::new(Exit::Unreachable, "no route to host").with_hint("is it on?"));
            }
            let output = if command == "date +%s" {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
                now.as_secs().to_string()
            } else {
                let version = ipclusterz_base::release::number();
                format!(
                    "{{\"ipclusterz_probe\": 1, \"python\": \"3.12.1\", \"package\": \"{version}\", \"error\": null}}\n"
                )
            };
            Ok(Answer { success: true, how: "exit status: 0".to_owned(), output, errors: String::new() })
        }

        fn ask_queue(&self, _: Duration) -> Result<String, Failure> {
            if self.queue_is_up { Ok("answers".to_owned()) } else { Err(Failure::new(Exit::Failure, "is down")) }
        }

        fn script(&self) -> Result<String, Failure> {
            Ok("#!/bin/sh\nexit\n".to_owned())
        }

        fn validate(&self) -> Result<Option<String>, Failure> {
            Ok(None)
        }

        fn start_in_job(&self, _: u32) -> Result<Option<Vec<String>>, Failure> {
            Ok(None)
        }

        fn find_there(&self) -> Result<String, Failure> {
            Err(Failure::new(Exit::StartFailed, "there is no ipclusterz"))
        }

        fn ask_there(&self, _: Question) -> Result<String, Failure> {
            panic!("there is none to be asked")
        }
    }

    fn lines(set: &[&str], queue_is_up: bool) -> Vec<(String, Level)> {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        let options = Options { set, ..Options::default() };
        let profile = merged_profile(&options, &Variables::default(), &Places::default()).expect("good");
        let trial = Trial {
            profile: &profile,
            program: PathBuf::from("/nowhere/ipclusterz"),
            search_path: Some("/usr/bin:/bin".into()),
            outside: &Fake { queue_is_up },
        };
        stages(&trial, Question::ProfileCheck).into_iter().map(|finding| (finding.check, finding.level)).collect()
    }

    fn names(lines: &[(String, Level)], level: Level) -> Vec<&str> {
        lines.iter().filter(|line| line.1 == level).map(|line| line.0.as_str()).collect()
    }

    #[test]
    fn a_failed_stage_skips_the_stages_that_need_it() {
        let hosts = "ssh.hosts=[{host=\"up\",engines=1},{host=\"down\",engines=1}]";
        let found = lines(&["engines.launcher=ssh", hosts], true);
        assert_eq!(names(&found, Level::Failed), ["host down"]);
        assert_eq!(names(&found, Level::Ok), ["resolve", "host up"]);
        assert_eq!(names(&found, Level::Skipped), ["python", "MPI", "scheduler", "folder", "script", "validate"]);

        let found = lines(&["engines.launcher=ssh", "ssh.hosts=[{host=\"up\",engines=1}]"], true);
        assert_eq!(names(&found, Level::Ok), ["resolve", "host up", "python on up"]);

        let found = lines(&["engines.launcher=ssh"], true);
        assert_eq!(names(&found, Level::Failed), ["resolve"]);
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn with_the_whole_cluster_elsewhere_nothing_is_looked_at_here() {
        let queue = ["engines.launcher=local", "engines.python=/bin/false", "ssh.controller=far"];
        let found = lines(&queue, false);
        assert_eq!(names(&found, Level::Ok), ["resolve", "host far"]);
        assert_eq!(names(&found, Level::Failed), ["ipclusterz on far"]);
        assert_eq!(names(&found, Level::Skipped).len(), 8, "{found:?}");
        assert!(names(&found, Level::Skipped).iter().all(|name| name.starts_with("far: ")), "{found:?}");
    }

    #[test]
    fn a_queue_is_asked_and_its_script_tried() {
        let queue = [
            "engines.launcher=batch",
            "engines.python=/bin/false",
            "queue.name=Q",
            "queue.submit=[\"true\"]",
            "queue.status=[\"true\"]",
            "queue.cancel=[\"true\"]",
            "queue.status_line=(?<id>.)(?<state>.)",
        ];
        let mut found = lines(&queue, true);
        // As it is on this host.
        found.retain(|(name, _)| name != "folder");
        assert_eq!(names(&found, Level::Failed), ["python"]);
        assert_eq!(names(&found, Level::Ok), ["resolve", "scheduler", "scheduler", "script"]);
        assert_eq!(names(&found, Level::Skipped), ["hosts", "MPI", "validate"]);
        let found = lines(&queue, false);
        assert_eq!(names(&found, Level::Failed), ["python", "scheduler"]);
    }
}
