//! The thread that has the history, as the controller has it: what comes is handed over, and questions are asked.

use super::entry::Entry;
use super::serving::{Batch, Ends, Job, Question, Serving};
use super::store::Keep;
use crate::controller::answering::{Answers, answers};
use crate::system::{block_all_signals, deadline};
use crate::wire::segment::SegmentFolder;
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Most entries that are written in one go, and most bytes of them.
const BATCH: usize = 4096;
const BATCH_BYTES: u64 = 8 << 20;
/// How long entries are gathered: what they say stands in the journal already, and writing few at once costs more.
const GATHERED_FOR: Duration = Duration::from_millis(200);
/// So many bytes may wait for the thread before what has no name is not remembered any more.
const WAITING_MAX: u64 = 64 << 20;
/// How long the thread may take to say how many results there are: it writes down what it has first.
const COUNT_PATIENCE: Duration = Duration::from_secs(5);

/// The thread's other end.
pub struct Keeper {
    jobs: Sender<Job>,
    answers: Answers,
    waiting: Arc<AtomicU64>,
    /// Where the bytes of some answers are.
    segments: Option<SegmentFolder>,
    /// Segments that have bytes of answers which may not be written.
    unwritten: HashSet<Vec<u8>>,
    gathered: Batch,
    /// When that is handed over.
    due: Option<Instant>,
}

impl Keeper {
    /// Starts the thread, with the database at `path`. `began`: when the core's clock began, seconds since 1970.
    pub fn start(path: PathBuf, began: f64, keep: Keep, segments: Option<SegmentFolder>) -> io::Result<Keeper> {
        let (jobs, receiver) = channel();
        let (answering, answers) = answers()?;
        let waiting = Arc::default();
        let ends = Ends { answering, waiting: Arc::clone(&waiting), segments: segments.clone() };
        let serve = move || {
            block_all_signals();
            Serving::new(path, began, keep, ends).serve(&receiver);
        };
        std::thread::Builder::new().name("ipclusterz-hist".to_owned()).spawn(serve)?;
        let (unwritten, gathered, due) = Default::default();
        Ok(Keeper { jobs, answers, waiting, segments, unwritten, gathered, due })
    }

    /// Remembers something. Where the thread cannot follow, how tasks of sessions without names have ended is passed over.
    pub fn keep(&mut self, entry: Entry) {
        let bytes = weight(&entry);
        if matches!(entry, Entry::Done { .. }) && self.waiting.load(Ordering::Relaxed) > WAITING_MAX {
            return;
        }
        let segments: Vec<_> = entry.segments().map(|name| name.to_vec()).collect();
        let entry = entry.with_bytes(self.segments.as_ref());
        if !matches!(entry, Entry::Answer { dropped: Some(_), .. }) {
            self.unwritten.extend(segments);
        }
        self.gathered.bytes = self.gathered.bytes.saturating_add(bytes);
        self.gathered.entries.push(entry);
        if self.gathered.entries.len() >= BATCH || self.gathered.bytes >= BATCH_BYTES {
            self.flush();
        } else {
            self.due.get_or_insert_with(|| deadline(GATHERED_FOR));
        }
    }

    /// Nobody needs this segment any more. True: an answer that has its bytes is not written yet, and it is unlinked behind that. Were
    /// the controller killed in between, the next one would find neither.
    pub fn unlink_behind(&mut self, name: &[u8]) -> bool {
        let waits = !self.gathered.entries.is_empty() || self.waiting.load(Ordering::Relaxed) > 0;
        let behind = self.unwritten.remove(name) && waits;
        if behind {
            self.gathered.unlinked.push(name.to_vec());
            self.due.get_or_insert_with(|| deadline(GATHERED_FOR));
        }
        behind
    }

    /// When [`Keeper::flush_if_due`] has something to do.
    pub fn next_look(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what was gathered for long enough.
    pub fn flush_if_due(&mut self) {
        if self.due.is_some_and(|at| at <= Instant::now()) {
            self.flush();
        }
    }

    /// Hands over what was gathered.
    fn flush(&mut self) {
        self.due = None;
        let batch = std::mem::take(&mut self.gathered);
        if !batch.entries.is_empty() || !batch.unlinked.is_empty() {
            self.waiting.fetch_add(batch.bytes, Ordering::Relaxed);
            // It lives as long as this end.
            let _ = self.jobs.send(Job::Write(batch));
        }
    }

    /// Asks.
    pub fn ask(&mut self, question: Question) {
        self.flush();
        let _ = self.jobs.send(Job::Answer(Box::new(question)));
    }

    /// Waits until everything is on disk. False: it is not.
    pub fn checkpoint(&mut self) -> bool {
        self.flush();
        let (done, wait) = channel();
        self.jobs.send(Job::Checkpoint(done)).is_ok() && wait.recv().unwrap_or(false)
    }

    /// How many results are kept. Where that cannot be said soon, there may be one.
    pub fn kept_results(&mut self) -> u64 {
        self.flush();
        let (count, wait) = channel();
        let asked = self.jobs.send(Job::Count(count));
        asked.map_or(1, |()| wait.recv_timeout(COUNT_PATIENCE).unwrap_or(1))
    }

    /// Its answers.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }
}

/// Bytes of an entry, about.
fn weight(entry: &Entry) -> u64 {
    const PLAIN: u64 = 256;
    let more = match entry {
        Entry::Request { what, .. } => what.about.as_ref().map_or(0, Vec::len) as u64,
        Entry::Answer { payload, .. } => payload.iter().map(|frame| frame.len() as u64).fold(0, u64::saturating_add),
        Entry::Output { text, .. } => text.len() as u64,
        Entry::Done { .. } => 0,
    };
    PLAIN.saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;
    use crate::wire::message::{Outcome, Reply, SegmentNote};
    use crate::wire::reaper;
    use ipclusterz_base::ids::{PeerId, RequestId};

    #[test]
    fn a_segment_outlives_the_answers_that_are_not_written() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = SegmentFolder::make(&root.path().join("segments")).expect("a folder");
        let path = root.path().join("history");
        let mut keeper = Keeper::start(path, 0.0, Keep::default(), Some(folder.clone())).expect("a thread");
        let name = folder.create(PeerId(3), b"value").expect("a segment");
        let (frame, segments) = (Frame::from(name.clone().into_bytes()), vec![SegmentNote { frame: 0, length: 5 }]);
        let reply = Reply {
            request: RequestId(1),
            position: 0,
            outcome: Outcome::Ok,
            engine: None,
            segments,
            started: 0.0,
            completed: 0.0,
        };
        let (session, payload, uuid, dropped) = ("0f3c9a1e".to_owned(), vec![frame], None, None);
        keeper.keep(Entry::Answer { session, reply, payload, uuid, dropped });
        assert!(keeper.unlink_behind(name.as_bytes()), "it is not written yet");
        assert!(folder.map(name.as_bytes(), 5).is_ok());
        assert!(keeper.checkpoint());
        reaper::finish();
        assert!(folder.map(name.as_bytes(), 5).is_err(), "it is unlinked");
        assert!(!keeper.unlink_behind(name.as_bytes()));
    }
}
