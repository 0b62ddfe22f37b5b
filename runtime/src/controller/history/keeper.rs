//! The thread that has the history: it writes what comes, and answers questions, in that order.

use super::asked::begins;
use super::entry::Entry;
use super::store::{Keep, Store};
use crate::system::{block_all_signals, deadline, wall_clock};
use crate::transport::Route;
use crate::transport::wake::Waker;
use crate::wire::Frame;
use crate::wire::message::{Ask, Found, Message, TaskRecord};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Most entries that are written in one go.
const BATCH: usize = 4096;
/// So many bytes may wait for the thread before what has no name is not remembered any more.
const WAITING_MAX: u64 = 64 << 20;
/// How long the thread may take to say how many results there are: it writes down what it has first.
const COUNT_PATIENCE: Duration = Duration::from_secs(5);
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

enum Job {
    Write(Vec<Entry>, u64),
    Answer(Box<Question>),
    Checkpoint(Sender<bool>),
    Count(Sender<u64>),
}

/// An answer on its way: to whom, the message, and its payload.
pub type Answer = (Route, Message, Vec<Frame>);

/// The thread's other end.
pub struct Keeper {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    waker: Arc<Waker>,
    waiting: Arc<AtomicU64>,
    unread: Arc<AtomicU64>,
    gathered: Vec<Entry>,
    bytes: u64,
}

impl Keeper {
    /// Starts the thread, with the database at `path`. `began`: when the core's clock began, seconds since 1970.
    pub fn start(path: PathBuf, began: f64, keep: Keep) -> io::Result<Keeper> {
        let (jobs, receiver) = channel();
        let (sender, answers) = channel();
        let (waker, waiting) = (Arc::new(Waker::new()?), Arc::new(AtomicU64::new(0)));
        let (its_waker, its_waiting) = (Arc::clone(&waker), Arc::clone(&waiting));
        let unread = Arc::new(AtomicU64::new(0));
        let its_unread = Arc::clone(&unread);
        let serve = move || {
            block_all_signals();
            let store = Store::open(&path, began)
                .inspect_err(|error| tracing::error!("the history {}: {error}", path.display()))
                .ok();
            Serving { store, keep, answers: sender, waker: its_waker, waiting: its_waiting, unread: its_unread }
                .serve(&receiver);
        };
        std::thread::Builder::new().name("ipclusterz-hist".to_owned()).spawn(serve)?;
        Ok(Keeper { jobs, answers, waker, waiting, unread, gathered: Vec::new(), bytes: 0 })
    }

    /// Remembers something. Where the thread cannot follow, how tasks of sessions without names have ended is passed over.
    pub fn keep(&mut self, entry: Entry) {
        let bytes = weight(&entry);
        if matches!(entry, Entry::Done { .. }) && self.waiting.load(Ordering::Relaxed) > WAITING_MAX {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.gathered.push(entry);
        if self.gathered.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what was gathered.
    pub fn flush(&mut self) {
        if !self.gathered.is_empty() {
            let (entries, bytes) = (std::mem::take(&mut self.gathered), std::mem::take(&mut self.bytes));
            self.waiting.fetch_add(bytes, Ordering::Relaxed);
            // It lives as long as this end.
            let _ = self.jobs.send(Job::Write(entries, bytes));
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
    pub fn kept_results(&self) -> u64 {
        let (count, wait) = channel();
        let asked = self.jobs.send(Job::Count(count));
        asked.map_or(1, |()| wait.recv_timeout(COUNT_PATIENCE).unwrap_or(1))
    }

    /// Answers that are there.
    pub fn answers(&self) -> impl Iterator<Item = Answer> {
        self.unread.store(0, Ordering::SeqCst);
        self.answers.try_iter()
    }

    /// Whether there may be some.
    pub fn has_answers(&self) -> bool {
        self.unread.load(Ordering::SeqCst) > 0
    }

    /// To be polled for reading: there may be answers. For a thread that has called `prepare` before.
    pub fn fd(&self) -> RawFd {
        self.waker.fd()
    }

    /// See [`Waker`].
    pub fn waker(&self) -> &Waker {
        &self.waker
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

/// The thread's own state.
struct Serving {
    /// None: it cannot be opened.
    store: Option<Store>,
    keep: Keep,
    answers: Sender<Answer>,
    waker: Arc<Waker>,
    waiting: Arc<AtomicU64>,
    unread: Arc<AtomicU64>,
}

impl Serving {
    fn serve(&mut self, jobs: &Receiver<Job>) {
        let mut next = deadline(PRUNE_EVERY);
        loop {
            match jobs.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => {}
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
            Job::Write(entries, bytes) => {
                if let Some(store) = &mut self.store
                    && let Err(error) = store.write(&entries, wall_clock())
                {
                    tracing::error!("the history cannot be written: {error}");
                }
                self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            }
            Job::Answer(question) => self.answer(*question),
            Job::Count(count) => {
                self.prune();
                let kept = self.store.as_ref().map_or(Ok((1, 0)), |store| store.count_results(self.keep, wall_clock()));
                let _ = count.send(kept.map_or(1, |(kept, _)| kept));
            }
            Job::Checkpoint(done) => {
                self.prune();
                let stored = self.store.as_ref().is_none_or(|store| store.checkpoint().is_ok());
                // Whoever waits is there.
                let _ = done.send(stored);
            }
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
        let found = self.look_up(question).unwrap_or_else(|error| Found {
            error: Some(format!("the history cannot be read: {error}")),
            ..Found::default()
        });
        self.give((route, Message::Found(Found { number, ..found }), vec![]));
    }

    fn give(&self, answer: Answer) {
        // The controller may be exiting.
        let _ = self.answers.send(answer);
        self.unread.fetch_add(1, Ordering::SeqCst);
        self.waker.wake();
    }

    fn look_up(&self, question: Question) -> rusqlite::Result<Found> {
        let Question { route, number, ask, session, names, open } = question;
        let none = || Found {
            error: Some("the history cannot be opened: see the controller's log".to_owned()),
            ..Found::default()
        };
        let Some(store) = &self.store else { return Ok(none()) };
        let mut found = Found::default();
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
            Ask::Sessions => {}
        }
        Ok(found)
    }
}
