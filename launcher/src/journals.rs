//! The journal that a cluster leaves: it stays as long as anything would be lost with it.
//!
//! Whoever calls this knows that no process of the cluster runs, and holds its lock.

use crate::failures;
use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private;
use ipclusterz_base::words::{printable, without_codes};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::units::{count, duration};
use ipclusterz_launchers::cluster::files::remove_files;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::{ClusterFolder, ended};
use ipclusterz_runtime::controller::left::{self, Left};
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// So many sessions are named.
const NAMED_MOST: usize = 5;

/// A journal that stays.
#[derive(Debug, Clone, Serialize)]
pub struct KeptJournal {
    /// The name of its cluster.
    pub cluster: String,
    /// What it has; `None`: it cannot be read.
    pub left: Option<Left>,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// What to do about that.
    #[serde(skip)]
    pub advice: String,
}

impl KeptJournal {
    /// What is in it, for people.
    pub fn content(&self) -> String {
        match (&self.left, &self.problem) {
            (Some(left), None) => in_words(left),
            (Some(left), Some(problem)) => format!("{}; {problem}", in_words(left)),
            (None, problem) => format!("it cannot be read: {}", problem.as_deref().unwrap_or_default()),
        }
    }

    /// What to type.
    pub fn hint(&self) -> String {
        let name = word(&self.cluster);
        let drop = format!("`ipclusterz stop --discard{name}` drops it");
        match (&self.left, self.advice.as_str()) {
            (Some(_), _) => format!("`ipclusterz start --resume{name}` goes on with it, {drop}"),
            (None, "") => drop,
            (None, advice) => format!("{advice}; {drop}"),
        }
    }

    /// A line for whoever has ended the cluster.
    pub fn line(&self) -> String {
        format!("the journal of cluster {:?} is kept: {}; {}", self.cluster, self.content(), self.hint())
    }
}

/// The name of a cluster as it stands in a command line, unless it is the default.
fn word(name: &str) -> String {
    if name == places::DEFAULT_CLUSTER { String::new() } else { format!(" {name}") }
}

fn in_words(left: &Left) -> String {
    let mut parts = Vec::new();
    if left.tasks > 0 {
        parts.push(format!("{} to be done", count(left.tasks, "task")));
    }
    if left.results > 0 {
        parts.push(count(left.results, "result"));
    }
    let mut named: Vec<String> =
        left.sessions.iter().take(NAMED_MOST).map(|name| printable(name).into_owned()).collect();
    if left.sessions.len() > NAMED_MOST {
        named.push("…".to_owned());
    }
    let sessions = match named.len() {
        0 => String::new(),
        1 => format!(" in session {}", named.join("")),
        _ => format!(" in sessions {}", named.join(", ")),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let age = if left.since > 0.0 { format!(", begun {} ago", duration(now - left.since)) } else { String::new() };
    format!("{}{sessions}{age}", parts.join(" and "))
}

/// The journal of a cluster, if anything would be lost without it. `owned`: the cluster was there for one process, and what
/// sessions without names have is of no use without that.
pub fn left_by(cluster: &str, folder: &ClusterFolder, owned: bool) -> Option<KeptJournal> {
    let kept = |left, problem, advice| KeptJournal { cluster: cluster.to_owned(), left, problem, advice };
    match left::look(folder.path()) {
        Ok(None) => None,
        Ok(Some(left)) if left.is_nothing(owned) => None,
        Ok(Some(left)) => Some(kept(Some(left), None, String::new())),
        Err(error) => {
            let Failure { message, hint, .. } = failures::of_controller(error);
            Some(kept(None, Some(without_codes(&message)), hint.unwrap_or_default()))
        }
    }
}

/// Removes the files of a cluster, but for logs, and for a journal without which anything would be lost: that is returned.
pub fn remove_files_of(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<Option<KeptJournal>, PlacesError> {
    let mut kept = left_by(&handle.cluster, folder, handle.owned);
    match &mut kept {
        None => private::remove(&folder.journal())?,
        Some(journal) => {
            let left = journal.left.as_ref();
            let saved = left.map(|left| left::save_segments(folder.path(), &handle.shared_memory_dir, left));
            if let Some(Err(error)) = saved {
                // What was in them is answered as lost when the cluster is taken up.
                journal.problem = Some(format!("large payloads are lost: {}", without_codes(&error.to_string())));
            }
        }
    }
    remove_files(folder, handle)?;
    Ok(kept)
}

/// Removes the journal of a cluster that is not running. Returns false if there is none.
pub fn discard(folder: &ClusterFolder, lock: ClusterLock) -> Result<bool, Failure> {
    if !folder.journal().exists() {
        return Ok(false);
    }
    private::remove(&folder.journal())?;
    ended::remove(folder, lock).map_err(Failure::io("removing the folder of the cluster"))?;
    Ok(true)
}

/// All journals of clusters that are not running, with their clusters' folders.
pub fn all() -> Result<Vec<(String, ClusterFolder)>, PlacesError> {
    let mut found = Vec::new();
    for name in places::list_clusters()? {
        let folder = ClusterFolder::of(&name)?;
        if left::is_there(folder.path()) && !folder.handle_file().exists() {
            found.push((name, folder));
        }
    }
    Ok(found)
}
