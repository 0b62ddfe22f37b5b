//! The last lines of a log, as the continuation of a message.

use ipclusterz_launchers::cluster::logs;
use std::io;
use std::path::Path;

/// How many lines are shown of the log of a set that has ended while its cluster goes on.
const SHORT_TAIL_LINES: usize = 6;

/// How many lines are looked through for a cause: each rank of many may say the same at length.
const SAID_LINES: usize = 400;

/// What the end of a log says, more of it than is shown. Empty if there is none.
pub fn said_in(log: &Path) -> String {
    logs::tail(log, SAID_LINES).map(|(lines, _)| lines.join("\n")).unwrap_or_default()
}

/// The last few lines of the log of a set that has ended, as the continuation of a line. Empty if there are none.
pub fn short_tail(log: &Path) -> String {
    end_of(log, SHORT_TAIL_LINES).unwrap_or_default()
}

/// The last `count` lines of `log`. The error is `None` if the log has no lines.
pub fn end_of(log: &Path, count: usize) -> Result<String, Option<io::Error>> {
    let (lines, _) = logs::tail(log, count).map_err(Some)?;
    if lines.is_empty() {
        return Err(None);
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("\n  {line}")).collect();
    Ok(format!("; the end of {}:{}", log.display(), lines.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_with_the_last_lines_of_a_log_that_has_some() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("job-0.log");
        assert_eq!((short_tail(&log), said_in(&log)), (String::new(), String::new()));
        std::fs::write(&log, "1\n2\n3\n4\n5\n6\n7\n").expect("write");
        assert_eq!(said_in(&log), "1\n2\n3\n4\n5\n6\n7");
        assert_eq!(short_tail(&log), format!("; the end of {}:\n  2\n  3\n  4\n  5\n  6\n  7", log.display()));
    }
}
