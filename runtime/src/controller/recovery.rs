//! The state with which a controller begins: an empty one, or the one that the journal of a dead one has.

use super::broadcast::Broadcast;
use super::config::ControllerError;
use super::core::{Core, Identity};
use super::event::{Action, Event};
use super::history::{Entry, Keeper};
use super::limits::Limits;
use super::oracle::Oracle;
use super::record::{self, Came, RecordError};
use super::replay::Replay;
use super::{bug, image};
use crate::journal::blobs::Blobs;
use crate::journal::spilled::Spilled;
use crate::journal::{Journal, JournalError, Opened};
use crate::system::wall_clock;
use crate::wire::segment::SegmentFolder;
use crate::wire::sharing::Elsewhere;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The name of the history in the journal's folder.
pub(super) const HISTORY: &str = "history.sqlite";

/// A controller's state before it serves.
pub(super) struct Begun {
    pub core: Core,
    pub journal: Option<Journal>,
    /// What the core's clock says.
    pub clock: Duration,
    /// What is to be done at once.
    pub actions: Vec<Action>,
    pub history: Option<Keeper>,
    /// Those who look on are told by it.
    pub broadcast: Option<Broadcast>,
    /// When the core's clock began, in seconds since 1970.
    pub began: f64,
}

impl Begun {
    /// Without a journal.
    pub fn without_journal(core: Core) -> Begun {
        let (journal, actions, history, broadcast) = Default::default();
        Begun { core, journal, clock: Duration::ZERO, actions, history, broadcast, began: wall_clock() }
    }
}

/// Reads the journal at `path`, or begins one. `created`: when the first controller began, in seconds since 1970.
pub(super) fn begin(
    path: &Path,
    identity: Identity,
    limits: Limits,
    oracle: Oracle,
    created: f64,
    segments: Option<&SegmentFolder>,
    resume: bool,
) -> Result<Begun, ControllerError> {
    let failed = |source| JournalError::File { path: path.to_owned(), source };
    let start = || Keeper::start(path.join(HISTORY), created, limits.keep, segments.cloned()).map_err(failed);
    let Some((opened, number)) = Journal::read(path)? else {
        let core = Core::new(identity, limits, oracle);
        let journal = Journal::create(path, &image::write(&core))?;
        let (journal, history) = (Some(journal), Some(start()?));
        let clock = since(created);
        let (actions, broadcast) = Default::default();
        return Ok(Begun { core, journal, clock, actions, history, broadcast, began: created });
    };
    let began = Instant::now();
    let mut history = start()?;
    // The history asks for the bytes of some.
    let spilled = segments.map(|segments| Spilled::bring_back(path, segments.path())).transpose().map_err(failed)?;
    // What is asked for again is in the history.
    let replayed = replay(&opened, |entry| history.keep(entry))?;
    let Replayed { core, last, count, length, next } = replayed;
    let mut core = core.with_oracle(oracle);
    let mut journal = Journal::resume(path, number, &opened, length, next)?;
    if let Some((mut spilled, segments)) = spilled.zip(segments) {
        let needed = core.work().unread_segments();
        spilled.keep_only(path, segments.path(), |name| needed.contains(name)).map_err(failed)?;
        journal.has_copies(spilled);
    }
    // The clock has gone on meanwhile, and does not go back.
    let clock = since(created).max(last);
    let new = Box::new((identity, limits));
    let event = if resume { Event::TakenUp(new) } else { Event::Restarted(new) };
    let (actions, _) = bug::handle(&mut core, event.clone(), clock);
    let answers = core.take_answers();
    journal.append(|buffer| record::write(buffer, clock, &answers, &Came::Other(event), |_| None));
    journal.commit().map_err(failed)?;
    tracing::info!("{count} events of the journal were replayed in {} ms", began.elapsed().as_millis());
    let (journal, history) = (Some(journal), Some(history));
    Ok(Begun { core, journal, clock, actions, history, broadcast: None, began: created })
}

/// What a replay has led to.
pub(super) struct Replayed {
    pub core: Core,
    /// The time of the last event.
    last: Duration,
    /// How many events there were.
    count: u64,
    /// Bytes of the log that count, and the number of the next record.
    length: usize,
    next: u32,
}

/// Has a core live through what the journal has. `remember` gets what that has to say for the history.
pub(super) fn replay(opened: &Opened, mut remember: impl FnMut(Entry)) -> Result<Replayed, ControllerError> {
    let blobs: Rc<dyn Elsewhere> = Rc::<Blobs>::clone(opened.blobs());
    let mut replay = Replay::with(&opened.image, Some(blobs)).map_err(|error| opened.damaged(&error))?;
    let (count, length, next) = opened.replay(|bytes| {
        for action in replay.record(bytes)? {
            // What else was to be done was done, or is said again by the sessions.
            if let Action::Keep(entry) = action {
                remember(*entry);
            }
        }
        Ok::<(), RecordError>(())
    })?;
    // Nothing is asked until somebody else is.
    let (core, last) = replay.finish(Oracle::default());
    Ok(Replayed { core, last, count, length, next })
}

/// How long ago a time is, in seconds since 1970.
fn since(time: f64) -> Duration {
    Duration::try_from_secs_f64(wall_clock() - time).unwrap_or_default()
}
