//! The log files of a cluster: their names, their bounds, and the last lines of one. What is written to them is not decided
//! here. A log that grew too long goes on in the same file; its earlier parts are beside it (`engine-0.log.1`).

use crate::set::{EngineSet, SetId};
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::logs::{self, LogLimit, part};
use ipclusterz_base::private::{self, How};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// `logs/` of a cluster.
#[derive(Debug, Clone)]
pub struct LogFolder {
    path: PathBuf,
}

impl LogFolder {
    /// The folder at `path`.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The controller's log.
    pub fn controller(&self) -> PathBuf {
        self.path.join("controller.log")
    }

    /// The log of a detached launcher.
    pub fn launcher(&self) -> PathBuf {
        self.path.join("launcher.log")
    }

    /// The guard's log. The guard ends jobs and engines on other hosts when the launcher was killed.
    pub fn guard(&self) -> PathBuf {
        self.path.join("guard.log")
    }

    /// What the process says that engines of this host are forked from.
    pub fn forks(&self) -> PathBuf {
        self.path.join("forks.log")
    }

    /// What had to be killed when the cluster ended.
    pub fn killed(&self) -> PathBuf {
        self.path.join("killed.log")
    }

    /// Why a cluster ended that was started in the background, where nobody was told.
    pub fn outcome(&self) -> PathBuf {
        self.path.join("outcome.json")
    }

    /// Standard output and error of one engine.
    pub fn engine(&self, id: EngineId) -> PathBuf {
        self.path.join(format!("engine-{id}.log"))
    }

    /// Standard output and error of a set whose engines share one log, and of the program that starts them.
    pub fn set(&self, id: SetId) -> PathBuf {
        self.path.join(format!("set-{}.log", id.0))
    }

    /// A file of the job of the set `set`. The suffix `log` is its output, `sh` its script.
    pub fn job(&self, set: SetId, suffix: &str) -> PathBuf {
        self.path.join(format!("job-{}.{suffix}", set.0))
    }

    /// What `engines.setup` of a set has told of its failure, see [`crate::setup`].
    pub fn setup(&self, set: SetId) -> PathBuf {
        self.job(set, "setup")
    }

    /// Where the output of an engine is: in a log of its own, or among that of others of its job. Of several jobs that had an engine
    /// with this id, the latest counts.
    pub fn of_engine(&self, id: EngineId) -> io::Result<EngineLog> {
        let own = self.engine(id);
        if own.exists() {
            return Ok(EngineLog { path: own, label: None });
        }
        for set in self.numbers("job-", ".sh")?.into_iter().rev().map(SetId) {
            let (log, script) = (self.job(set, "log"), std::fs::read_to_string(self.job(set, "sh"))?);
            let first = script.lines().find_map(engines_of).filter(|(first, last)| (*first..=*last).contains(&id.0));
            if let Some((first, _)) = first
                && log.exists()
            {
                let label = Some(id.0 - first).filter(|_| labels(&script));
                return Ok(EngineLog { path: log, label });
            }
        }
        Ok(EngineLog { path: own, label: None })
    }

    /// All existing logs: launcher, guard, controller, agents by their hosts, then sets, jobs and engines by number.
    pub fn all(&self) -> io::Result<Vec<PathBuf>> {
        let common = [self.launcher(), self.guard(), self.controller(), self.killed(), self.forks()];
        let common = common.into_iter().filter(|path| path.exists());
        let agents =
            self.between("agent-", ".log")?.into_iter().map(|host| self.path.join(format!("agent-{host}.log")));
        let sets = self.numbers("set-", ".log")?.into_iter().map(|set| self.set(SetId(set)));
        let jobs = self.numbers("job-", ".log")?.into_iter().map(|set| self.job(SetId(set), "log"));
        let engines = self.numbers("engine-", ".log")?.into_iter().map(|id| self.engine(EngineId(id)));
        Ok(common.chain(agents).chain(sets).chain(jobs).chain(engines).collect())
    }

    /// Removes the logs of an earlier run, which may have had more engines, and the scripts of its jobs.
    pub fn clear(&self) -> io::Result<()> {
        let mut files = self.all()?;
        for suffix in ["sh", "submit", "words", "setup"] {
            let sets = self.numbers("job-", &format!(".{suffix}"))?;
            files.extend(sets.into_iter().map(|set| self.job(SetId(set), suffix)));
        }
        files.extend(files.clone().iter().flat_map(|log| parts(log)));
        files.extend(Some(self.outcome()).filter(|file| file.exists()));
        Ok(files.iter().try_for_each(|file| private::remove(file))?)
    }

    /// Cuts what is longer than `limit` allows; true if anything was. What cannot be cut is tried again at the next look.
    pub fn keep_within(&self, limit: LogLimit) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        let names = entries.flatten().map(|entry| entry.path());
        let logs = names.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.filter(|log| logs::keep_within(log, limit).unwrap_or(false)).count() > 0
    }

    /// The numbers in the names of the files that begin and end like this, sorted.
    fn numbers(&self, begin: &str, end: &str) -> io::Result<Vec<u32>> {
        let mut numbers: Vec<u32> = self.between(begin, end)?.iter().filter_map(|text| text.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What stands between in the names of the files that begin and end like this, sorted.
    fn between(&self, begin: &str, end: &str) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| Some(name.strip_prefix(begin)?.strip_suffix(end)?.to_owned())));
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Where the output of an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLog {
    /// The file.
    pub path: PathBuf,
    /// The engine's number in a job whose lines begin with such numbers.
    pub label: Option<u32>,
}

impl EngineLog {
    /// A line of this engine, without its label; none if it is of another one.
    pub fn own<'a>(&self, line: &'a str) -> Option<&'a str> {
        let Some(label) = self.label else { return Some(line) };
        labelled(line).filter(|(number, _)| *number == label).map(|(_, text)| text)
    }
}

/// The line of a job's script that says which engines it starts.
pub fn engines_line(set: &EngineSet) -> String {
    let first = set.first.0;
    format!("{ENGINES} {first} to {}", first + set.count - 1)
}

/// How that line begins.
const ENGINES: &str = "# ipclusterz engines";

/// The first and the last engine that a line of a script tells.
fn engines_of(line: &str) -> Option<(u32, u32)> {
    let (first, last) = line.strip_prefix(ENGINES)?.trim_start().split_once(" to ")?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Number and text of a line that begins with the number of a task, as `srun --label` writes it: `2: text`.
fn labelled(line: &str) -> Option<(u32, &str)> {
    let (number, text) = line.trim_start().split_once(':')?;
    let text = if text.is_empty() { text } else { text.strip_prefix(' ')? };
    Some((number.parse().ok()?, text))
}

/// The lines of a log without labels, those of each task together: tasks write in between one another.
pub fn of_each_task(log: &str) -> Vec<&str> {
    let mut lines: Vec<(Option<u32>, &str)> =
        log.lines().map(|line| labelled(line).map_or((None, line), |(task, text)| (Some(task), text))).collect();
    lines.sort_by_key(|(task, _)| *task);
    lines.into_iter().map(|(_, text)| text).collect()
}

/// Whether the engines of a script are started by what labels their lines.
fn labels(script: &str) -> bool {
    script.split_whitespace().any(|word| word == "--label")
}

/// Opens a log for appending, so that standard output and error do not overwrite each other. The logs of earlier runs
/// must have been removed before. An error names the file.
pub fn open_log(path: &Path) -> io::Result<File> {
    Ok(private::open_to_write(path, How::Appending)?)
}

/// The earlier parts of a log, the latest first.
fn parts(log: &Path) -> impl Iterator<Item = PathBuf> {
    (1..).map(|number| part(log, number)).take_while(|path| path.exists())
}

/// The last `count` lines of a log, its earlier parts included, and the length of its file in bytes when they were read.
///
/// Reads at most the last 4 MiB of each part. Bytes that are not UTF-8 are replaced.
pub fn tail(path: &Path, count: usize) -> io::Result<(Vec<String>, u64)> {
    let (mut lines, length) = end_of(path, count)?;
    for part in parts(path) {
        if lines.len() >= count {
            break;
        }
        let (mut earlier, _) = end_of(&part, count - lines.len())?;
        earlier.append(&mut lines);
        lines = earlier;
    }
    Ok((lines, length))
}

fn end_of(path: &Path, count: usize) -> io::Result<(Vec<String>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(count);
    Ok((lines[skipped..].iter().map(|line| (*line).to_owned()).collect(), length))
}

/// The most that is read of a log's end: an engine may have printed gigabytes.
const TAIL_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tasks_write_in_between_one_another_is_read_one_by_one() {
        let log = "begin\n1: pointing to the\n0: pointing to the\n0: SLURM PMI\n1: SLURM PMI\n";
        let texts = ["pointing to the", "SLURM PMI"];
        assert_eq!(of_each_task(log), [&["begin"][..], &texts, &texts].concat());
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("engine-0.log");
        std::fs::write(&path, b"one\ntwo\n\xffthree\n").expect("write");
        let (lines, length) = tail(&path, 2).expect("tail");
        assert_eq!(lines, ["two", "\u{fffd}three"]);
        assert_eq!(length, 15);
        assert_eq!(tail(&path, 9).expect("tail").0.len(), 3);
    }

    #[test]
    fn a_log_that_was_cut_is_read_from_its_parts() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let logs = LogFolder::at(folder.path().to_path_buf());
        let path = logs.engine(EngineId(0));
        for text in ["line one\n", "l 2\nl 3\nl\n", "line four\n", "line five\n"] {
            std::fs::write(&path, text).expect("write");
            assert!(logs.keep_within(LogLimit { bytes: 8, files: 3 }));
        }
        std::fs::write(&path, "six\n").expect("write");
        assert_eq!(tail(&path, 2).expect("tail"), (vec!["line five".to_owned(), "six".to_owned()], 4));
        let lines = tail(&path, 99).expect("tail").0;
        assert_eq!(
            lines,
            ["l 2", "l 3", "l", "line four", "line five", "six"].map(str::to_owned).to_vec(),
            "the oldest part is gone"
        );
        assert_eq!(logs.all().expect("list"), [path]);
        logs.clear().expect("clear");
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
    }

    #[test]
    fn logs_are_listed_in_reading_order() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let logs = LogFolder::at(folder.path().to_path_buf());
        for name in
            ["engine-10.log", "engine-2.log", "agent-n1.log", "controller.log", "notes.txt", "job-0.log", "job-0.sh"]
        {
            std::fs::write(folder.path().join(name), "").expect("write");
        }
        let engines = [logs.engine(EngineId(2)), logs.engine(EngineId(10))];
        let agent = folder.path().join("agent-n1.log");
        assert_eq!(logs.all().expect("list")[..3], [logs.controller(), agent, logs.job(SetId(0), "log")]);
        assert_eq!(logs.all().expect("list")[3..], engines);
        logs.clear().expect("clear");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("list").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn the_output_of_an_engine_is_found_in_the_log_of_its_job() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let logs = LogFolder::at(folder.path().to_path_buf());
        let set = |id, first, count| EngineSet { id: SetId(id), first: EngineId(first), count, group: None };
        let write = |path, text: &str| std::fs::write(path, text).expect("write");
        write(logs.job(SetId(0), "sh"), &format!("#!/bin/sh\n{}\nexec srun --label x\n", engines_line(&set(0, 0, 4))));
        write(logs.job(SetId(1), "sh"), &format!("#!/bin/sh\n{}\nexec srun --label x\n", engines_line(&set(1, 2, 1))));
        write(logs.job(SetId(2), "sh"), &format!("#!/bin/sh\n{}\nexec mpiexec x\n", engines_line(&set(2, 8, 2))));
        for job in 0..3 {
            write(logs.job(SetId(job), "log"), " 0: first\n12: twelfth\n");
        }
        write(logs.engine(EngineId(1)), "");
        let found = |id| logs.of_engine(EngineId(id)).expect("read");
        assert_eq!(found(0), EngineLog { path: logs.job(SetId(0), "log"), label: Some(0) });
        assert_eq!(found(1), EngineLog { path: logs.engine(EngineId(1)), label: None });
        assert_eq!(found(2), EngineLog { path: logs.job(SetId(1), "log"), label: Some(0) }, "the later job");
        assert_eq!(found(9), EngineLog { path: logs.job(SetId(2), "log"), label: None }, "nothing labels its lines");
        assert!(!found(10).path.exists());
        let own = |line| found(3).own(line).map(str::to_owned);
        assert_eq!(own("3: said"), Some("said".to_owned()));
        assert_eq!(own(" 3:   indented"), Some("  indented".to_owned()));
        assert_eq!(own("3:"), Some(String::new()));
        assert_eq!((own("13: said"), own("3:30 said"), own("srun: error")), (None, None, None));
        assert_eq!(of_each_task("no label: said\n3: said"), ["no label: said", "said"]);
    }
}
