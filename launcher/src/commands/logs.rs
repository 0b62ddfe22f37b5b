//! `ipclusterz logs`: prints the end of a cluster's logs, and follows them.

use crate::arguments::LogsArguments;
use crate::clusters::no_such_cluster;
use crate::output::Output;
use crate::report::{LogTail, LogsReport, log_line};
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::logs::part;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::logs::{EngineLog, tail};
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::cluster_name;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How often to look for new lines. `tail -f` polls too where there are no notifications.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Prints the logs. The cluster need not be running, because logs outlive it.
pub fn run(arguments: &LogsArguments, variables: &Variables, output: &mut Output) -> Result<(), Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let folder = ClusterFolder::of(&cluster)?;
    let mut followed = Vec::new();
    let mut logs = Vec::new();
    for log in chosen(arguments, &cluster, &folder)? {
        let (lines, position) = last_lines(&log, arguments.lines as usize)
            .map_err(Failure::io(format!("reading {}", log.path.display())))?;
        logs.push(LogTail { name: name_of(&log.path), path: log.path.clone(), lines });
        followed.push(Followed { latest: latest_part(&log.path), log, position, unfinished: Vec::new() });
    }
    output.report(&LogsReport { cluster, logs })?;
    if arguments.follow { follow(&folder, &mut followed, output) } else { Ok(()) }
}

/// The selected log files, all of which exist.
fn chosen(arguments: &LogsArguments, cluster: &str, folder: &ClusterFolder) -> Result<Vec<EngineLog>, Failure> {
    let logs = folder.logs();
    let all = match logs.all() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_such_cluster(cluster)),
        other => other.map_err(Failure::io(format!("listing {}", logs.path().display())))?,
    };
    let whole = |path| EngineLog { path, label: None };
    let one = match (arguments.engine, arguments.controller, arguments.launcher) {
        (Some(id), _, _) => {
            logs.of_engine(EngineId(id)).map_err(Failure::io(format!("reading {}", logs.path().display())))?
        }
        (None, true, _) => whole(logs.controller()),
        (None, false, true) => whole(logs.launcher()),
        (None, false, false) => return Ok(all.into_iter().map(whole).collect()),
    };
    if one.path.exists() {
        return Ok(vec![one]);
    }
    let names: Vec<String> = all.iter().map(|path| name_of(path)).collect();
    Err(Failure::new(Exit::Failure, format!("cluster {cluster:?} has no log {:?}", name_of(&one.path)))
        .with_hint(format!("logs there are: {}", names.join(", "))))
}

fn name_of(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The last `count` lines, and the length of the file when they were read.
fn last_lines(log: &EngineLog, count: usize) -> io::Result<(Vec<String>, u64)> {
    if log.label.is_none() {
        return tail(&log.path, count);
    }
    let (lines, length) = tail(&log.path, usize::MAX)?;
    let own: Vec<String> = lines.iter().filter_map(|line| log.own(line).map(str::to_owned)).collect();
    Ok((own[own.len().saturating_sub(count)..].to_vec(), length))
}

/// A log file whose new lines are printed.
struct Followed {
    log: EngineLog,
    /// Its latest part when it was read last: another one means that the file was cut since.
    latest: Option<u64>,
    position: u64,
    unfinished: Vec<u8>,
}

impl Followed {
    /// The lines that were completed since the last call.
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let latest = latest_part(&self.log.path);
        if std::mem::replace(&mut self.latest, latest) != latest
            || std::fs::metadata(&self.log.path)?.len() < self.position
        {
            self.begin_anew()?;
        }
        let position = self.position;
        self.position += self.read(&self.log.path.clone(), position)?;
        let Some(end) = self.unfinished.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let finished: Vec<u8> = self.unfinished.drain(..=end).collect();
        let text = String::from_utf8_lossy(&finished);
        Ok(text.lines().filter_map(|line| self.log.own(line).map(str::to_owned)).collect())
    }
}

/// Which file the latest part of a log is, if there is one.
fn latest_part(log: &Path) -> Option<u64> {
    std::fs::metadata(part(log, 1)).ok().map(|metadata| metadata.ino())
}

impl Followed {
    /// The file was cut, and the rest of what was there is in its latest part; or a new start has replaced it.
    fn begin_anew(&mut self) -> io::Result<()> {
        let position = std::mem::take(&mut self.position);
        match self.read(&part(&self.log.path, 1), position) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.unfinished.clear(),
            read => drop(read?),
        }
        Ok(())
    }

    /// Takes what is in `file` behind `position`, and returns how much that is.
    fn read(&mut self, file: &Path, position: u64) -> io::Result<u64> {
        let mut file = File::open(file)?;
        file.seek(SeekFrom::Start(position))?;
        file.read_to_end(&mut self.unfinished).map(|count| count as u64)
    }
}

/// Prints new lines until the cluster has ended. With `--json`, each line of a log is one value.
fn follow(folder: &ClusterFolder, files: &mut [Followed], output: &mut Output) -> Result<(), Failure> {
    let several = files.len() > 1;
    loop {
        // The state is read before the files, so that the last lines of an ending cluster are not missed.
        let state = ClusterState::of(folder)?;
        let alive = !matches!(state, ClusterState::Absent | ClusterState::Stale(_) | ClusterState::Gone(_));
        for file in files.iter_mut() {
            let name = name_of(&file.log.path);
            // An error is ignored: a file that is being replaced is there again at the next look.
            for line in file.new_lines().unwrap_or_default() {
                if output.is_json() {
                    output.json_value(serde_json::json!({ "log": name, "line": line }))?;
                } else if several {
                    output.text(&format!("{name}: {}\n", log_line(&line)))?;
                } else {
                    output.text(&format!("{}\n", log_line(&line)))?;
                }
            }
        }
        if !alive {
            return Ok(());
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn new_lines_are_whole_and_a_new_file_is_read_from_its_start() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("engine-0.log");
        let mut file = File::create(&path).expect("create");
        let log = EngineLog { path: path.clone(), label: None };
        let mut followed = Followed { log, latest: None, position: 0, unfinished: Vec::new() };
        file.write_all(b"one\ntw").expect("write");
        assert_eq!(followed.new_lines().expect("read"), ["one"]);
        file.write_all(b"o\n").expect("write");
        assert_eq!(followed.new_lines().expect("read"), ["two"]);
        std::fs::write(&path, "new\n").expect("write");
        assert_eq!(followed.new_lines().expect("read"), ["new"]);
        std::fs::rename(&path, part(&path, 1)).expect("rename");
        file = File::options().append(true).open(part(&path, 1)).expect("open");
        file.write_all(b"behind it\n").expect("write");
        std::fs::write(&path, "longer than what was there\n").expect("write");
        assert_eq!(followed.new_lines().expect("read"), ["behind it", "longer than what was there"], "after a cut");
    }
}
