//! Checks the MPI of a profile: which one it is, and whether two ranks can say hello.

use super::outside::Outside;
use super::scratch::Scratch;
use crate::report::finding::Finding;
use ipclusterz_base::places;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::program::check::{Hello, Ranks, hello, hello_in_job};
use ipclusterz_launchers::program::flavour::{FlavourError, Program};
use ipclusterz_profile::Profile;
use ipclusterz_profile::tables::Tables;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

const CHECK: &str = "MPI";

const PROGRAM_HINT: &str = "mpiexec.program, flavour and arguments of the profile say what is run";
const JOB_HINT: &str = "queue.start of the profile says what is run";

/// How long two ranks on this host may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Finds the program, and has it start two ranks of `python`.
///
/// `needed`: the profile starts engines with it. If it is not needed, a failure is only a warning.
pub fn check(tables: &Tables, needed: bool, python: &Path, search_path: Option<&OsStr>) -> Finding {
    let table = &tables.mpiexec;
    let program = match Program::find(table, search_path) {
        Ok(program) => program,
        Err(error @ FlavourError::NotFound(_)) if !needed => return Finding::skipped(CHECK, error.to_string()),
        Err(error) => return unless_needed(needed, Finding::of_failure(CHECK, error.into())),
    };
    let result = with_ranks(tables, python, |ranks| hello(&program, table, ranks, PATIENCE));
    unless_needed(needed, judge(&program.to_string(), result, PROGRAM_HINT))
}

/// Has the queue's start command start two ranks of `python`. It works only inside a job; elsewhere the finding says
/// what to run.
pub fn check_in_job(profile: &Profile, python: &Path, outside: &dyn Outside) -> Finding {
    let tables = &profile.tables;
    let start = tables.queue.start.first().map_or("the queue", String::as_str);
    match outside.start_in_job(2) {
        Err(failure) => Finding::of_failure(CHECK, failure),
        Ok(None) => Finding::skipped(
            CHECK,
            format!(
                "ranks are started by {start} in a job; to see two of them meet, run `ipclusterz profile check {}` \
                 inside an allocation",
                profile.name
            ),
        ),
        Ok(Some(prefix)) => {
            let result = with_ranks(tables, python, |ranks| hello_in_job(&prefix, ranks, PATIENCE));
            judge(&prefix.join(" "), result, JOB_HINT)
        }
    }
}

fn with_ranks(
    tables: &Tables,
    python: &Path,
    start: impl FnOnce(Ranks<'_>) -> Result<Hello, Failure>,
) -> Result<Hello, Failure> {
    let scratch = places::state_root().map_err(Failure::from).and_then(|root| Ok(Scratch::in_folder(&root)?))?;
    start(Ranks { python, environment: &tables.engines.env, scratch: scratch.path() })
}

/// Turns a failure into a warning if the MPI is not needed.
fn unless_needed(needed: bool, finding: Finding) -> Finding {
    match finding.level {
        crate::report::finding::Level::Failed if !needed => {
            Finding::warning(CHECK, finding.message, finding.hint.unwrap_or_default())
        }
        _ => finding,
    }
}

fn judge(program: &str, result: Result<Hello, Failure>, hint: &str) -> Finding {
    match result {
        Err(failure) => Finding::of_failure(CHECK, failure),
        Ok(Hello::Ok { library: Some(library) }) => {
            Finding::ok(CHECK, format!("{program}: two ranks met in one world of {library}"))
        }
        Ok(Hello::Ok { library: None }) => Finding::ok(
            CHECK,
            format!("{program}: two ranks said hello; this Python has neither ipclusterz-mpi nor mpi4py"),
        ),
        Ok(Hello::Singletons { library }) => Finding::failed(
            CHECK,
            format!("{program} started two ranks, but each is alone in its own world: Python loads {library}"),
            "use the program of that library, or have Python load that of this program: IPCLUSTERZ_MPI for ipclusterz-mpi, \
             MPI4PY_LIBMPI for mpi4py, in engines.env; in a job, queue.start has to fit it",
        ),
        Ok(Hello::Failed { how, errors }) => {
            let lines: String = errors.lines().map(|line| format!("\n  {line}")).collect();
            Finding::failed(CHECK, format!("{program} could not start two ranks ({how}){lines}"), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    #[test]
    fn ranks_that_do_not_meet_are_a_failure() {
        let library = "Open MPI v4.1.4".to_owned();
        assert_eq!(judge("m", Ok(Hello::Ok { library: Some(library.clone()) }), "h").level, Level::Ok);
        let alone = judge("m", Ok(Hello::Singletons { library }), "h");
        assert!(alone.level == Level::Failed && alone.hint.is_some(), "{alone:?}");
        let failed = judge("m", Ok(Hello::Failed { how: "exit status: 1".to_owned(), errors: "a\nb".to_owned() }), "h");
        assert_eq!(failed.message, "m could not start two ranks (exit status: 1)\n  a\n  b");
        assert_eq!(unless_needed(false, failed).level, Level::Warning);
    }
}
