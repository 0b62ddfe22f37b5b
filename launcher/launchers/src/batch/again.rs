//! The part of a job's script that restarts lost ranks in the same job, each time the launcher asks for it. Engines that are
//! no ranks of one world have a parent that does so for each of them, with the same file (`python -m ipclusterz.engine
//! --again`).
//!
//! Responsible for the shell text and for the file through which the launcher asks. When a restart is due is the
//! supervisor's decision.
//!
//! # Format
//!
//! The file has one line per message of the launcher. The first line says that all ranks have registered; until it is
//! there, a command that fails makes the job fail. Each further line makes the script end the ranks that are left and
//! start all of them again. Lines are appended, so that no line is read in part. The script only counts them; their
//! text is for a person. The parents of single engines read no more of a line than `engine 3:`, and need no first line.
//!
//! Nothing here depends on a particular queue, and any `sh` runs it.

use super::placeholders::command_line;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Seconds that the script waits for a line after the ranks have ended: the launcher learns of a loss from the
/// controller.
const PATIENCE: u32 = 30;

/// The shell lines that run `command`, itself a line of shell, as many times as `words` has lines, but at least once.
pub fn lines(command: &str, words: &Path) -> Vec<String> {
    let words = command_line(&[words.to_string_lossy().into_owned()]);
    let script = format!(
        r#"# All ranks are started again when one was lost and the launcher has written a line that says so.
words() {{ {{ wc -l < {words}; }} 2>/dev/null || echo 0; }}
ended= ranks= started=0
trap 'ended=yes; kill -TERM "$ranks" 2>/dev/null' TERM INT
while :; do
  started=$((started + 1))
  {command} &
  ranks=$!
  # A signal may have come before their number was known.
  [ -z "$ended" ] || kill -TERM "$ranks"
  # It ends with the ranks, or with this script, if no signal ends it before.
  while sleep 1 && kill -0 "$ranks" 2>/dev/null && kill -0 "$$" 2>/dev/null; do
    if [ "$(words)" -gt "$started" ]; then kill -TERM "$ranks"; break; fi
  done &
  watch=$!
  wait "$ranks"; status=$?
  # A signal ends `wait` before they have ended.
  while kill -0 "$ranks" 2>/dev/null; do wait "$ranks"; status=$?; done
  # They may have ended right then. Their status is still known, unless it is this one already.
  if [ "$status" -gt 128 ]; then wait "$ranks"; once_more=$?; [ "$once_more" -eq 127 ] || status=$once_more; fi
  kill "$watch" 2>/dev/null
  ranks= waited=0
  until [ "$(words)" -gt "$started" ]; do
    if [ -n "$ended" ] || [ "$status" -eq 0 ] || [ "$(words)" -eq 0 ] || [ "$waited" -ge {PATIENCE} ]; then
      exit "$status"
    fi
    waited=$((waited + 1))
    sleep 1 & wait $!
  done
  [ -z "$ended" ] || exit "$status"
  echo "ipclusterz: the ranks have ended with status $status, and are started again"
done"#
    );
    script.lines().map(str::to_owned).collect()
}

/// Creates the launcher's file without a line, or empties it.
///
/// Must be called before the job starts: NFS remembers for up to a minute that a file does not exist.
pub fn create(words: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(words).map(drop)
}

/// Appends a line to the launcher's file. Line ends within `line` become spaces.
pub fn write(words: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(words)?;
    file.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::{Child, Command, ExitStatus};
    use std::time::{Duration, Instant};

    /// A job whose ranks are a shell command; each start leaves a line in `starts`.
    struct Job {
        folder: tempfile::TempDir,
        shell: Child,
    }

    impl Job {
        fn start(shell: &str, ranks: &str) -> Self {
            let folder = tempfile::tempdir().expect("temporary folder");
            let command = command_line(&["sh".to_owned(), "-c".to_owned(), format!("echo >> starts; {ranks}")]);
            let script = lines(&command, &folder.path().join("it's words")).join("\n");
            create(&folder.path().join("it's words")).expect("create");
            let shell = Command::new(shell).args(["-c", &script]).current_dir(folder.path()).spawn().expect(shell);
            Self { folder, shell }
        }

        fn words(&self) -> PathBuf {
            self.folder.path().join("it's words")
        }

        fn wait_for_starts(&self, count: usize) {
            let deadline = Instant::now() + Duration::from_secs(20);
            let starts = || std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default().len();
            while starts() < count {
                assert!(Instant::now() < deadline, "{} starts, not {count}", starts());
                std::thread::yield_now();
            }
        }

        fn end(mut self) -> (ExitStatus, usize) {
            let status = self.shell.wait().expect("its status");
            (status, std::fs::read_to_string(self.folder.path().join("starts")).expect("starts").len())
        }
    }

    #[test]
    fn what_fails_before_all_have_been_there_fails_at_once() {
        let (status, starts) = Job::start("sh", "exit 3").end();
        assert_eq!((status.code(), starts), (Some(3), 1));
    }

    #[test]
    fn ranks_that_end_well_end_the_job() {
        let job = Job::start("sh", "while [ ! -e go ]; do sleep 0.1; done");
        job.wait_for_starts(1);
        write(&job.words(), "all have been there").expect("write");
        std::fs::write(job.folder.path().join("go"), "").expect("write");
        let (status, starts) = job.end();
        assert_eq!((status.code(), starts), (Some(0), 1));
    }

    #[test]
    fn each_line_starts_them_again_whether_they_have_ended_or_hang() {
        for shell in ["sh", "bash"] {
            let job =
                Job::start(shell, "[ $(wc -l < starts) = 3 ] || exec sleep 60; while [ ! -e go ]; do sleep 0.1; done");
            job.wait_for_starts(1);
            write(&job.words(), "all have been there").expect("write");
            for restart in 2..=3 {
                write(&job.words(), "rank 1:\nlost").expect("write");
                job.wait_for_starts(restart);
            }
            std::fs::write(job.folder.path().join("go"), "").expect("write");
            let (status, starts) = job.end();
            assert_eq!((status.code(), starts), (Some(0), 3), "{shell}");
        }
    }

    #[test]
    fn a_signal_reaches_the_ranks_and_ends_the_job() {
        for shell in ["sh", "bash"] {
            let job = Job::start(shell, "trap 'exit 5' TERM; touch ready; while :; do sleep 0.1; done");
            write(&job.words(), "all have been there").expect("write");
            let deadline = Instant::now() + Duration::from_secs(20);
            while !job.folder.path().join("ready").exists() {
                assert!(Instant::now() < deadline);
                std::thread::yield_now();
            }
            ipclusterz_host::system::signal_process(job.shell.id(), libc::SIGTERM).expect("signal");
            let (status, starts) = job.end();
            assert_eq!((status.code(), starts), (Some(5), 1), "{shell}");
        }
    }

    #[test]
    fn a_signal_that_comes_with_the_start_reaches_the_ranks_too() {
        for shell in ["sh", "bash"].repeat(10) {
            let ranks = "trap 'exit 5' TERM; kill -TERM $PPID; while :; do sleep 0.1; done";
            let (status, starts) = Job::start(shell, ranks).end();
            assert_eq!((status.code(), starts), (Some(5), 1), "{shell}");
        }
    }
}
