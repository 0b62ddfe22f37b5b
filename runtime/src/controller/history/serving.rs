//! The thread's own side: it writes entries, and answers questions, in the order in which they come.

use super::asked::begins;
use super::entry::Entry;
use super::store::{Keep, Store};
use crate::controller::answering::{Answer, Answering};
use crate::system::{deadline, wall_clock};
use crate::transport::Route;
use crate::wire::message::{Ask, Found, Message, TaskRecord};
use crate::wire::segment::SegmentFolder;
use rusqlite::ErrorCode;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// So many bytes may wait at most, where the database cannot be written.
const BEHIND_MAX: u64 = 1 << 30;
/// Most questions that wait for that.
const HELD_MAX: usize = 4096;
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often what is too old is dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// A question, with what the core knows to answer it.
pub struct Question {
    /// Who asks.
    pub route: Route,
    /// The question's number.
    pub number: u64,
    /// What is asked.
    pub ask: Ask,
    /// The id of the session that is meant, or how it begins.
    pub session: Option<String>,
    /// What sessions are called, by their ids.
    pub names: BTreeMap<String, String>,
    /// Tasks that have not ended.
    pub open: Vec<TaskRecord>,
}

/// What is written at once.
#[derive(Default)]
pub(super) struct Batch {
    pub entries: Vec<Entry>,
    /// Bytes of these.
    pub bytes: u64,
    /// Segments that are unlinked behind it.
    pub unlinked: Vec<Vec<u8>>,
}

pub(super) enum Job {
    Write(Batch),
    Answer(Box<Question>),
    Checkpoint(Sender<bool>),
    Count(Sender<u64>),
}

/// The thread's ends of what it shares with the keeper.
pub(super) struct Ends {
    pub answering: Answering,
    /// Bytes that are to be written.
    pub waiting: Arc<AtomicU64>,
    /// Where segments are.
    pub segments: Option<SegmentFolder>,
}

impl Ends {
    /// Nothing of a batch waits any more.
    fn done(&self, batch: &Batch) {
        self.waiting.fetch_sub(batch.bytes, Ordering::Relaxed);
        if let Some(segments) = &self.segments {
            batch.unlinked.iter().for_each(|name| segments.unlink(name));
        }
    }
}

/// Opens the database, in the place of one that is damaged: what was in that is lost to the cluster, which goes on.
fn open(path: &Path, began: f64) -> rusqlite::Result<Store> {
    let opened = Store::open(path, began);
    let damaged = |error: &rusqlite::Error| {
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    };
    let Err(error) = opened.as_ref().map(drop) else { return opened };
    if !damaged(error) {
        return opened;
    }
    for end in ["", "-wal"] {
        let [from, to] = ["", ".damaged"].map(|middle| PathBuf::from(format!("{}{middle}{end}", path.display())));
        // There may be no second file.
        let _ = std::fs::rename(from, to);
    }
    tracing::error!("the history {} is damaged ({error}): it is kept beside a new one", path.display());
    Store::open(path, began)
}

/// Whether something can be written later that could not be written now.
fn may_pass(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, ReadOnly, SystemIoFailure};
    let kinds = [CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, ReadOnly, SystemIoFailure];
    error.sqlite_error_code().is_some_and(|code| kinds.contains(&code))
}

/// The thread's own state.
pub(super) struct Serving {
    path: PathBuf,
    began: f64,
    /// None: it could not be opened yet.
    store: Option<Store>,
    /// What is to be written.
    behind: VecDeque<Batch>,
    /// Why that cannot be written.
    fault: Option<String>,
    /// Questions that are answered when it can.
    held: Vec<Question>,
    keep: Keep,
    ends: Ends,
}

impl Serving {
    /// With the database at `path`, which is opened later. `began`: when the core's clock began, seconds since 1970.
    pub fn new(path: PathBuf, began: f64, keep: Keep, ends: Ends) -> Serving {
        Serving { path, began, store: None, behind: VecDeque::new(), fault: None, held: Vec::new(), keep, ends }
    }

    pub fn serve(&mut self, jobs: &Receiver<Job>) {
        self.catch_up();
        let mut next = deadline(PRUNE_EVERY);
        loop {
            let look = if self.fault.is_some() { next.min(deadline(AGAIN)) } else { next };
            match jobs.recv_timeout(look.saturating_duration_since(Instant::now())) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => self.catch_up(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Also while there is much to do.
            if Instant::now() >= next {
                self.prune();
                next = deadline(PRUNE_EVERY);
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Write(batch) => {
                self.behind.push_back(batch);
                self.catch_up();
            }
            Job::Answer(question) => {
                // Who takes results over waits for them anyway.
                let waits = matches!(question.ask, Ask::Results { .. }) && self.held.len() < HELD_MAX;
                if self.fault.is_some() && waits { self.held.push(*question) } else { self.answer(*question) }
            }
            Job::Count(count) => {
                self.prune();
                let kept = self.store.as_ref().map_or(Ok((1, 0)), |store| store.count_results(self.keep, wall_clock()));
                let there = kept.map_or(1, |(kept, _)| kept);
                let _ = count.send(if self.fault.is_some() { there.max(1) } else { there });
            }
            Job::Checkpoint(done) => {
                self.catch_up();
                self.prune();
                let stored =
                    self.fault.is_none() && self.store.as_ref().is_some_and(|store| store.checkpoint().is_ok());
                // Whoever waits is there.
                let _ = done.send(stored);
            }
        }
    }

    /// Writes what is to be written. What a full disk does not take now stays, and is tried again.
    fn catch_up(&mut self) {
        if let Err(error) = self.write() {
            self.shed();
            let text = format!("the history {} cannot be written: {error}", self.path.display());
            if self.fault.is_none() {
                tracing::error!("{text}; it is tried again until there is room");
            }
            self.fault = Some(text);
        } else if self.fault.take().is_some() {
            tracing::info!("the history is written again");
            std::mem::take(&mut self.held).into_iter().for_each(|question| self.answer(question));
        }
    }

    fn write(&mut self) -> rusqlite::Result<()> {
        let store = match &mut self.store {
            Some(store) => store,
            closed => closed.insert(open(&self.path, self.began)?),
        };
        while let Some(batch) = self.behind.front() {
            match store.write(&batch.entries, wall_clock()) {
                Err(error) if may_pass(&error) => return Err(error),
                Err(error) => tracing::error!("{} entries of the history are lost: {error}", batch.entries.len()),
                Ok(()) => {}
            }
            self.ends.done(batch);
            self.behind.pop_front();
        }
        Ok(())
    }

    /// Where too much waits, the oldest goes.
    fn shed(&mut self) {
        while self.ends.waiting.load(Ordering::Relaxed) > BEHIND_MAX
            && let Some(batch) = self.behind.pop_front()
        {
            tracing::error!("{} entries of the history are lost: too many wait", batch.entries.len());
            self.ends.done(&batch);
        }
    }

    fn prune(&self) {
        let Some(store) = &self.store else { return };
        match store.prune(self.keep, wall_clock()) {
            Ok(0) => {}
            Ok(dropped) => tracing::info!("{dropped} results are not kept any longer"),
            Err(error) => tracing::error!("the history cannot be pruned: {error}"),
        }
    }

    fn answer(&self, question: Question) {
        let (route, number) = (question.route, question.number);
        let error = |text| Found { error: Some(text), ..Found::default() };
        // Nobody is told half of it.
        let found = match &self.fault {
            Some(fault) => error(fault.clone()),
            None => {
                self.look_up(question).unwrap_or_else(|failed| error(format!("the history cannot be read: {failed}")))
            }
        };
        self.give((route, Message::Found(Found { number, ..found }), vec![]));
    }

    fn give(&self, answer: Answer) {
        self.ends.answering.give(answer);
    }

    fn look_up(&self, question: Question) -> rusqlite::Result<Found> {
        let Question { route, number, ask, session, names, open } = question;
        let mut found = Found::default();
        let Some(store) = &self.store else { return Ok(found) };
        match ask {
            Ask::Tasks(filter) => {
                found.tasks = store.tasks(&filter, session.as_deref())?;
                for task in &mut found.tasks {
                    // One that is over had no other name.
                    let name = names.get(&task.session).map_or_else(|| begins(&task.session), String::as_str);
                    task.session = name.to_owned();
                }
                found.tasks.extend(open);
                let surplus = found
                    .tasks
                    .len()
                    .saturating_sub(usize::try_from(filter.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
                found.tasks.drain(..surplus);
            }
            Ask::Submissions { .. } => found.requests = store.requests(&session.unwrap_or_default())?,
            Ask::Results { requests, .. } => {
                found.tasks = open;
                store.results(&session.unwrap_or_default(), &requests, number, |kept, payload| {
                    self.give((route, Message::Kept(Box::new(kept)), payload));
                })?;
            }
            Ask::Purge(filter) => found.purged = store.purge(&filter, session.as_deref(), wall_clock())?,
            Ask::Sessions | Ask::Explain { .. } | Ask::Events(_) => {}
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::answering::{Answers, answers};
    use crate::controller::history::entry::Submitted;
    use crate::wire::message::Op;
    use ipclusterz_base::ids::RequestId;
    use std::sync::mpsc::channel;

    const SESSION: &str = "0f3c9a1e";
    const KEEP: Keep = Keep { time: Duration::from_secs(3600), bytes: 1 << 20, tasks: 100 };

    /// A thread's state whose database is at `path`, and where its answers come.
    fn serving(path: PathBuf) -> (Serving, Answers) {
        let (answering, answers) = answers().expect("a waker");
        let ends = Ends { answering, waiting: Arc::default(), segments: None };
        (Serving::new(path, 0.0, KEEP, ends), answers)
    }

    fn write(serving: &mut Serving, request: u64) {
        let about = Some(vec![b'x'; 4096]);
        let submitted = Duration::from_secs(1);
        let what = Box::new(Submitted { op: Op::Apply, name: None, about, part: 0, submitted, targets: None });
        let entries = vec![Entry::Request { session: SESSION.to_owned(), request: RequestId(request), what }];
        serving.ends.waiting.fetch_add(1, Ordering::Relaxed);
        serving.work(Job::Write(Batch { entries, bytes: 1, unlinked: vec![] }));
    }

    fn question(ask: Ask) -> Question {
        let (session, names, open) = (Some(SESSION.to_owned()), BTreeMap::new(), vec![]);
        Question { route: Route(1), number: 7, ask, session, names, open }
    }

    /// What was submitted, as the history says it.
    fn submitted(serving: &Serving, answers: &Answers) -> Result<Vec<u64>, String> {
        serving.answer(question(Ask::Submissions { session: SESSION.to_owned() }));
        let Some((_, Message::Found(found), _)) = answers.take().next() else { panic!("an answer") };
        found.error.map_or_else(|| Ok(found.requests.iter().map(|record| record.request.0).collect()), Err)
    }

    fn checkpoint(serving: &mut Serving) -> bool {
        let (done, wait) = channel();
        serving.work(Job::Checkpoint(done));
        wait.recv().expect("an answer")
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_written_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut serving, answers) = serving(folder.path().join("history.sqlite"));
        write(&mut serving, 1);
        let limit = |serving: &Serving, pages: i64| {
            let store = serving.store.as_ref().expect("it is open");
            store.connection.pragma_update(None, "max_page_count", pages).expect("a limit");
        };
        limit(&serving, 1);
        for request in 2..40 {
            write(&mut serving, request);
        }
        let error = submitted(&serving, &answers).expect_err("nobody is told half of it");
        assert!(error.contains("history.sqlite cannot be written: database or disk is full"), "{error}");
        assert!(!checkpoint(&mut serving));
        let ask = Ask::Results { session: SESSION.to_owned(), requests: vec![RequestId(1)] };
        serving.work(Job::Answer(Box::new(question(ask))));
        assert!(answers.take().next().is_none(), "results are waited for");
        limit(&serving, 1_000_000);
        assert!(checkpoint(&mut serving));
        let Some((_, Message::Found(found), _)) = answers.take().next() else { panic!("an answer") };
        assert_eq!(found.error, None);
        assert_eq!(submitted(&serving, &answers), Ok((1..40).collect()));
        assert_eq!(serving.ends.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn where_too_much_waits_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut serving, answers) = serving(folder.path().join("later/history.sqlite"));
        for request in 1..4 {
            write(&mut serving, request);
        }
        serving.ends.waiting.fetch_add(BEHIND_MAX, Ordering::Relaxed);
        serving.behind.front_mut().expect("an entry").bytes += BEHIND_MAX;
        serving.catch_up();
        std::fs::create_dir(folder.path().join("later")).expect("a folder");
        serving.catch_up();
        assert_eq!(submitted(&serving, &answers), Ok(vec![2, 3]));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut serving, answers) = serving(folder.path().join("later/history.sqlite"));
        write(&mut serving, 1);
        assert!(submitted(&serving, &answers).is_err());
        std::fs::create_dir(folder.path().join("later")).expect("a folder");
        write(&mut serving, 2);
        assert_eq!(submitted(&serving, &answers), Ok(vec![1, 2]));
    }

    #[test]
    fn a_damaged_history_is_kept_beside_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.sqlite");
        std::fs::write(&path, [b'x'; 8192]).expect("a file");
        let (mut serving, answers) = serving(path);
        write(&mut serving, 1);
        assert_eq!(submitted(&serving, &answers), Ok(vec![1]));
        let kept = std::fs::read(folder.path().join("history.sqlite.damaged")).expect("it is kept");
        assert_eq!(kept, [b'x'; 8192]);
    }
}
