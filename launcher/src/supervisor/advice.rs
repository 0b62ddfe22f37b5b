//! What to do about engines that did not come: the cause that was said, if any, and its hint. Pure.

use ipclusterz_launchers::causes::{self, Cause, FOLDER, PYTHON};
use ipclusterz_launchers::set::SetEnd;

/// The cause of a set's end before its engines were ready. `tail` is the end of its log, and `logged` tells whether there is
/// such a log. `job`: it was a job of a queue.
pub fn of_end(end: &SetEnd, tail: &str, logged: bool, job: bool) -> Option<&'static Cause> {
    if let Some(cause) = end.cause.or_else(|| causes::in_text(tail)) {
        return Some(cause);
    }
    if tail.contains("error: ") {
        // The engine itself said what is wrong, and what to do.
        return None;
    }
    if job && !logged {
        // It ran, and nothing of its output is here.
        return causes::named(FOLDER);
    }
    let by_itself = !job || end.how.contains("exit code");
    causes::in_text(&end.how).or_else(|| causes::named(PYTHON).filter(|_| by_itself && end.log.is_some()))
}

/// Whether a cause is one of the engines' Python, which is then named.
pub fn is_python(cause: &Cause) -> bool {
    [PYTHON, causes::PACKAGE].contains(&cause.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(how: &str) -> SetEnd {
        SetEnd::new(false, how, Some("/logs/job-0.log".into()))
    }

    fn name(end: &SetEnd, tail: &str, logged: bool, job: bool) -> &'static str {
        of_end(end, tail, logged, job).map_or("", |cause| cause.name)
    }

    #[test]
    fn python_is_suspected_where_nothing_else_is_known_and_it_ended_by_itself() {
        assert_eq!(name(&ended("exit status: 3"), "\n  ImportError: site is broken", true, false), "python");
        assert_eq!(name(&ended("job 17 failed (FAILED), exit code 3"), "\n  ...", true, true), "python");
        assert_eq!(name(&ended("exit status: 1"), "\n  error: this engine is odd", true, false), "");
        assert_eq!(name(&ended("job 17 is gone from the queue"), "\n  ...", true, true), "");
        assert_eq!(name(&ended("signal: 9 (SIGKILL)"), "", true, false), "killed");
    }

    #[test]
    fn what_was_said_counts_first() {
        let limit = SetEnd { cause: causes::named("time_limit"), ..ended("job 17 reached its time limit (TIMEOUT)") };
        assert_eq!(name(&limit, "\n  No module named ipclusterz", true, true), "time_limit");
        let forks = "\n  bash: fork: retry: Resource temporarily unavailable";
        assert_eq!(name(&ended("exit status: 254"), forks, true, false), "processes");
        assert_eq!(name(&ended("job 17 failed (FAILED), exit code 1"), "; there is no log", false, true), "folder");
    }
}
