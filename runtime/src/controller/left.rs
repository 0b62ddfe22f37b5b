//! What the journal of a cluster that has ended has: it may be taken up again, salvaged where it is damaged, or dropped.

use super::appearance::Appearance;
use super::config::ControllerError;
use super::core::LeftSession;
use super::history::{Entry, Store};
use super::recovery::{HISTORY, Replayed, replay};
use crate::journal::spilled::Copy;
use crate::journal::{self, Journal, JournalError, Salvaged};
use crate::system::wall_clock;
use serde::Serialize;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

/// The name of the journal's folder in that of the cluster.
pub(super) const JOURNAL: &str = "journal";

/// What would be lost without a journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Left {
    /// When the cluster began that has written it, in seconds since 1970.
    pub since: f64,
    /// Tasks that are to be done.
    pub tasks: u64,
    /// The same in sessions with names.
    pub named_tasks: u64,
    /// Sessions that these tasks are of, or that wait for answers.
    pub sessions: Vec<String>,
    /// Results that somebody may come for.
    pub results: u64,
    /// The same of sessions with names.
    pub named_results: u64,
    /// Segments that have payloads of these tasks and answers.
    #[serde(skip)]
    pub segments: HashSet<Vec<u8>>,
}

impl Left {
    /// Whether nothing would be lost. Of sessions without names, results that their clients have not taken do not count; with
    /// `named_alone`, nothing of them does.
    pub fn is_nothing(&self, named_alone: bool) -> bool {
        if named_alone {
            self.named_tasks == 0 && self.named_results == 0
        } else {
            self.tasks == 0 && self.named_results == 0
        }
    }
}

/// Whether there is a journal in the folder of a cluster.
pub fn is_there(directory: &Path) -> bool {
    journal::files::is_there(&directory.join(JOURNAL))
}

/// What the journal in the folder of a cluster has; `None` if there is none. No controller may run there.
pub fn look(directory: &Path) -> Result<Option<Left>, ControllerError> {
    let folder = directory.join(JOURNAL);
    let Some((opened, _)) = Journal::read(&folder)? else { return Ok(None) };
    let mut answers = 0_u64;
    let count = |entry: Entry| answers = answers.saturating_add(u64::from(matches!(entry, Entry::Answer { .. })));
    let Replayed { core, .. } = replay(&opened, count)?;
    let since = Appearance::of_any_run(&folder)?.map_or(0.0, |appearance| appearance.created);
    let path = folder.join(HISTORY);
    let failed = |error| JournalError::File { path: path.clone(), source: io::Error::other(error) };
    let (kept, known) = match Store::look(&path).map_err(failed)? {
        Some(store) => store.count_results(core.limits().keep, wall_clock()).map_err(failed)?,
        None => (0, 0),
    };
    // The controller was killed before the history had them.
    let named_results = kept.saturating_add(answers.saturating_sub(known));
    Ok(Some(of_sessions(
        &core.left(),
        Left { since, named_results, segments: core.work().unread_segments(), ..Left::default() },
    )))
}

fn of_sessions(sessions: &[LeftSession], left: Left) -> Left {
    let sum = |which: fn(&&LeftSession) -> bool, what: fn(&LeftSession) -> u64| {
        sessions.iter().filter(which).map(what).fold(0, u64::saturating_add)
    };
    Left {
        tasks: sum(|_| true, |session| session.tasks),
        named_tasks: sum(|session| session.named, |session| session.tasks),
        results: sum(|_| true, |session| session.answers).saturating_add(left.named_results),
        sessions: sessions.iter().map(|session| session.name.clone()).collect(),
        ..left
    }
}

/// Cuts the log of a journal at the place where it is damaged, and keeps a copy of it as it was. `None`: it is whole.
///
/// # Errors
/// Where more than the log is damaged: there is nothing to go on from.
pub fn salvage(directory: &Path) -> Result<Option<Salvaged>, ControllerError> {
    match look(directory) {
        Ok(_) => Ok(None),
        Err(ControllerError::Journal(JournalError::Damaged { path, offset, why })) => {
            match journal::salvage(&path, offset)? {
                Some(salvaged) => Ok(Some(salvaged)),
                None => Err(JournalError::Damaged { path, offset, why }.into()),
            }
        }
        Err(error) => Err(error),
    }
}

/// Copies the segments of a cluster that has ended into its journal, as far as that names them: memory does not outlive the host.
pub fn save_segments(directory: &Path, segments: &Path, left: &Left) -> Result<(), ControllerError> {
    if !segments.exists() {
        return Ok(());
    }
    let journal = directory.join(JOURNAL);
    let save = |name: &str| Copy { from: segments.to_owned(), to: journal.clone(), name: name.to_owned() }.make();
    let mut names = left.segments.iter().filter_map(|name| std::str::from_utf8(name).ok());
    let saved = names.try_for_each(save).and_then(|()| File::open(&journal)?.sync_all());
    Ok(saved.map_err(|source| JournalError::File { path: journal, source })?)
}
