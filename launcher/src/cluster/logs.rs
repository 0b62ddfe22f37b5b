//! The log files of a cluster: their names, and the last lines of one.

use ipclusterz_runtime::ids::EngineId;
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

    /// Standard output and error of one engine.
    pub fn engine(&self, id: EngineId) -> PathBuf {
        self.path.join(format!("engine-{id}.log"))
    }

    /// All logs there are: launcher, controller, then engines by number.
    pub fn all(&self) -> io::Result<Vec<PathBuf>> {
        let mut engines: Vec<u32> = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number: Option<u32> =
                name.to_str().and_then(|name| name.strip_prefix("engine-")?.strip_suffix(".log")?.parse().ok());
            engines.extend(number);
        }
        engines.sort_unstable();
        let common = [self.launcher(), self.controller()].into_iter().filter(|path| path.exists());
        Ok(common.chain(engines.into_iter().map(|id| self.engine(EngineId(id)))).collect())
    }

    /// Removes the logs of an earlier run, which may have had more engines.
    pub fn clear(&self) -> io::Result<()> {
        self.all()?.iter().try_for_each(std::fs::remove_file)
    }
}

/// The last `count` lines of a file, and how long the file was when they were read.
///
/// Reads no more than the last 4 MiB; bytes that are not UTF-8 are replaced.
pub fn tail(path: &Path, count: usize) -> io::Result<(Vec<String>, u64)> {
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

/// How much of a log's end is ever read: an engine may have printed gigabytes.
const TAIL_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn logs_are_listed_in_reading_order() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let logs = LogFolder::at(folder.path().to_path_buf());
        for name in ["engine-10.log", "engine-2.log", "controller.log", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").expect("write");
        }
        assert_eq!(logs.all().expect("list"), [logs.controller(), logs.engine(EngineId(2)), logs.engine(EngineId(10))]);
    }
}
