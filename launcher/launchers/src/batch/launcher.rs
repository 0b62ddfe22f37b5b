//! The launcher of jobs: a thread runs the queue's commands, between the supervisor and the state machines of
//! [`super::jobs`].
//!
//! Responsible for which command runs when: one at a time, each with a timeout, cancellations first. What a job needs
//! next is decided by its state machine.

use super::answers::{Reader, View};
use super::commands::{self, CommandError, Printed};
use super::jobs::{Action, Event, Job, Rules};
use super::options::{BatchOptions, JobFiles};
use super::placeholders::about;
use super::record;
use super::script::{self, Rendered};
use super::{again, clock};
use crate::cluster::logs;
use crate::contract::{Launcher, Wake};
use crate::program::ending;
use crate::rank_loss::RankLoss;
use crate::record::{JobRecord, SetRecord};
use crate::set::{EngineSet, Force, SetEvent, SetId};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Timeout of a submission: a queue's server may be busy for long.
const SUBMIT_PATIENCE: Duration = Duration::from_secs(60);
/// Timeout of any other command.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many of the last lines of a job's log are searched for the end of a rank.
const LOG_LINES: usize = 200;
/// How long the thread sleeps when it waits for nothing but requests.
const IDLE: Duration = Duration::from_secs(3600);

/// See the module's documentation.
pub struct BatchLauncher {
    options: Arc<BatchOptions>,
    requests: Sender<Request>,
    shared: Arc<Shared>,
}

/// What the thread shares with the launcher.
#[derive(Default)]
struct Shared {
    events: Mutex<Vec<(SetId, SetEvent)>>,
    records: Mutex<BTreeMap<SetId, SetRecord>>,
}

enum Request {
    Start(EngineSet, Vec<String>),
    End(SetId, Force),
}

impl BatchLauncher {
    /// Checks the tables and starts the thread, which exits when the launcher is dropped.
    pub fn new(options: BatchOptions, wake: Wake) -> Result<Self, Failure> {
        options.check()?;
        let reader = Reader::new(&options.queue)?;
        let options = Arc::new(options);
        let shared = Arc::new(Shared::default());
        let (requests, receiver) = channel();
        let worker = Worker {
            options: Arc::clone(&options),
            reader,
            shared: Arc::clone(&shared),
            wake,
            jobs: BTreeMap::new(),
            actions: VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name("queue".to_owned());
        thread.spawn(move || worker.run(&receiver)).map_err(Failure::io("starting a thread for the queue"))?;
        Ok(Self { options, requests, shared })
    }

    /// The script and the description of a set, as they would be submitted.
    pub fn render(&self, set: &EngineSet) -> Result<Rendered, Failure> {
        script::render(&self.options, set)
    }
}

/// Lets the queue check the script of a set without running it. Returns what the queue printed; `None` when this queue
/// has no such command.
///
/// Blocks until the queue answers or the command times out. Writes the script, and removes it again.
pub fn dry_run(options: &BatchOptions, set: &EngineSet) -> Result<Option<String>, Failure> {
    options.check()?;
    if options.queue.check.is_empty() {
        return Ok(None);
    }
    let files = JobFiles::of(&options.logs, set.id);
    write(options, set, &files)?;
    let command = options.values(set)?.command(&options.queue.check, "queue.check");
    let input = options.queue.submit_on_stdin.then_some(files.script.as_path());
    let printed = command.and_then(|command| Ok(commands::run(&command, input, false, SUBMIT_PATIENCE)?));
    for file in [&files.script, &files.description] {
        // A leftover file is overwritten by the next start.
        let _ = ipclusterz_base::private::remove(file);
    }
    printed.map(|Printed { stdout, stderr }| Some(format!("{}\n{}", stdout.trim(), stderr.trim()).trim().to_owned()))
}

fn write(options: &BatchOptions, set: &EngineSet, files: &JobFiles) -> Result<(), Failure> {
    let rendered = script::render(options, set)?;
    rendered.write(files).map_err(Failure::io(format!("writing {}", files.script.display())))
}

impl Launcher for BatchLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let files = JobFiles::of(&self.options.logs, set.id);
        write(&self.options, set, &files)?;
        if self.options.starts_ranks_again() {
            again::create(&files.words).map_err(Failure::io(format!("writing {}", files.words.display())))?;
        }
        let command = self.options.values(set)?.command(&self.options.queue.submit, "queue.submit")?;
        let gone = |_| Failure::new(Exit::Failure, "the thread that talks to the queue has ended");
        self.requests.send(Request::Start(set.clone(), command)).map_err(gone)
    }

    fn end(&mut self, set: SetId, force: Force) {
        // Without the thread nothing can be ended; the records keep what it started.
        let _ = self.requests.send(Request::End(set, force));
    }

    fn poll(&mut self) -> Vec<(SetId, SetEvent)> {
        std::mem::take(&mut *lock(&self.shared.events))
    }

    fn records(&self) -> Vec<SetRecord> {
        lock(&self.shared.records).values().cloned().collect()
    }

    fn rank_loss(&self) -> Option<RankLoss> {
        self.options.batch.check_world.then(|| self.options.rank_loss())
    }

    fn how_rank_ended(&self, set: &EngineSet, rank: u32) -> Option<String> {
        let (lines, _) = logs::tail(&self.log(set), LOG_LINES).ok()?;
        Some(ending::end_of_rank(&lines, rank)?.how)
    }

    fn tell_job(&mut self, set: &EngineSet, line: &str) -> Result<(), Failure> {
        let words = JobFiles::of(&self.options.logs, set.id).words;
        again::write(&words, line).map_err(Failure::io(format!("writing {}", words.display())))
    }

    fn log(&self, set: &EngineSet) -> PathBuf {
        JobFiles::of(&self.options.logs, set.id).log
    }

    fn set_size(&self, count: u32) -> u32 {
        self.options.set_size(count)
    }
}

/// The values are consistent even after a panic: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Entry {
    set: EngineSet,
    submit: Vec<String>,
    job: Job,
}

struct Worker {
    options: Arc<BatchOptions>,
    reader: Reader,
    shared: Arc<Shared>,
    wake: Wake,
    jobs: BTreeMap<SetId, Entry>,
    /// Commands to run, in order.
    actions: VecDeque<(SetId, Action)>,
}

impl Worker {
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let timeout = if self.actions.is_empty() { self.time_left() } else { Duration::ZERO };
            match requests.recv_timeout(timeout) {
                Ok(request) => {
                    self.take(request);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some((set, action)) = self.actions.pop_front() {
                self.act(set, action);
                continue;
            }
            self.tick();
            self.query_states();
        }
    }

    fn time_left(&self) -> Duration {
        let times = self.jobs.values().flat_map(|entry| [entry.job.next_look(), entry.job.next_tick()]);
        times.flatten().min().map_or(IDLE, |at| at.saturating_duration_since(Instant::now()))
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Start(set, submit) => {
                let id = set.id;
                let (job, actions) = Job::new(self.rules(id), Instant::now());
                self.jobs.insert(id, Entry { set, submit, job });
                self.dispatch(id, actions);
            }
            Request::End(set, force) => self.handle(set, Event::End(force)),
        }
    }

    fn rules(&self, set: SetId) -> Rules {
        let batch = &self.options.batch;
        Rules {
            retries: self.options.engines.retries,
            poll: Duration::from_secs_f64(batch.poll),
            queue_timeout: Some(batch.queue_timeout).filter(|s| *s > 0.0).map(Duration::from_secs_f64),
            strict: batch.strict,
            array: batch.array,
            outcome: !self.options.queue.outcome.is_empty(),
            endings: self.reader.endings().clone(),
            log: JobFiles::of(&self.options.logs, set).log,
        }
    }

    fn handle(&mut self, set: SetId, event: Event) {
        let Some(entry) = self.jobs.get_mut(&set) else { return };
        let actions = entry.job.handle(event, Instant::now());
        let over = entry.job.is_over();
        self.dispatch(set, actions);
        if over {
            self.jobs.remove(&set);
            self.actions.retain(|(other, _)| *other != set);
        }
    }

    /// Tells events and cancels at once; the other actions are queued.
    fn dispatch(&mut self, set: SetId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Tell(event) => {
                    if matches!(event, SetEvent::Ended(_)) {
                        lock(&self.shared.records).remove(&set);
                    }
                    lock(&self.shared.events).push((set, event));
                    (self.wake)();
                }
                // Before anything else, and while the job is known: after its end its entry is removed.
                Action::Cancel { kill } => self.cancel(set, kill),
                other => self.actions.push_back((set, other)),
            }
        }
    }

    fn act(&mut self, set: SetId, action: Action) {
        let Some(entry) = self.jobs.get(&set) else { return };
        let event = match action {
            Action::Submit => self.submit(entry),
            Action::AskOutcome => self.ask_outcome(entry),
            Action::Cancel { .. } | Action::Tell(_) => return,
        };
        self.handle(set, event);
    }

    fn submit(&self, entry: &Entry) -> Event {
        let files = JobFiles::of(&self.options.logs, entry.set.id);
        let input = self.options.queue.submit_on_stdin.then_some(files.script.as_path());
        let submitted = commands::run(&entry.submit, input, false, SUBMIT_PATIENCE).and_then(|printed| {
            self.reader.job_id(&printed.stdout).ok_or_else(|| CommandError::Unreadable {
                command: super::placeholders::command_line(&entry.submit),
                what: format!("job id (queue.job_id = {:?})", self.options.queue.job_id),
                printed,
            })
        });
        match submitted {
            Ok(id) => {
                let job = JobRecord::Batch(record::of_job(&self.options.queue, &id));
                lock(&self.shared.records).insert(entry.set.id, SetRecord { set: entry.set.clone(), job });
                Event::Submitted(id)
            }
            Err(error) => Event::Refused { again: error.did_nothing(), failure: error.into() },
        }
    }

    fn cancel(&mut self, set: SetId, kill: bool) {
        let queue = &self.options.queue;
        let command = if kill && !queue.kill.is_empty() { &queue.kill } else { &queue.cancel };
        let Some(id) = self.jobs.get(&set).and_then(|entry| entry.job.id()) else { return };
        match commands::run(&about(command, &[id]), None, true, PATIENCE) {
            Err(CommandError::Failed { printed, .. }) if self.says_unknown(&printed) => {}
            Err(error) => self.handle(set, Event::NotCancelled(error.to_string())),
            Ok(_) => {}
        }
    }

    fn says_unknown(&self, printed: &Printed) -> bool {
        self.reader.says_unknown(&printed.stderr) || self.reader.says_unknown(&printed.stdout)
    }

    fn ask_outcome(&self, entry: &Entry) -> Event {
        let Some(id) = entry.job.id() else { return Event::Outcome(None) };
        let printed = commands::run(&about(&self.options.queue.outcome, &[id]), None, true, PATIENCE);
        // The state machine asks again when accounting does not know the job yet, and when the command failed.
        Event::Outcome(printed.ok().and_then(|printed| self.reader.outcome(&printed.stdout)))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let due = self.jobs.iter().filter(|(_, entry)| entry.job.next_tick().is_some_and(|at| at <= now));
        for set in due.map(|(set, _)| *set).collect::<Vec<SetId>>() {
            self.handle(set, Event::Tick);
        }
    }

    /// Queries the states of all jobs with one command, as soon as one of them is due.
    fn query_states(&mut self) {
        let now = Instant::now();
        if !self.jobs.values().any(|entry| entry.job.next_look().is_some_and(|at| at <= now)) {
            return;
        }
        let queued = self.jobs.iter().filter(|(_, entry)| entry.job.next_look().is_some());
        let jobs: Vec<(SetId, String)> =
            queued.filter_map(|(set, entry)| Some((*set, entry.job.id()?.to_owned()))).collect();
        let ids: Vec<&str> = jobs.iter().map(|(_, id)| id.as_str()).collect();
        let printed = match commands::run(&about(&self.options.queue.status, &ids), None, true, PATIENCE) {
            Err(CommandError::Failed { printed, .. }) if self.says_unknown(&printed) => Ok(printed),
            other => other,
        };
        let seen: Vec<(SetId, Event)> = match printed {
            Ok(printed) => {
                let sightings = self.reader.sightings(&printed.stdout);
                let view = |id: &String| -> View { self.reader.view(&sightings, id, clock::now()) };
                jobs.iter().map(|(set, id)| (*set, Event::Seen(view(id)))).collect()
            }
            Err(error) => jobs.iter().map(|(set, _)| (*set, Event::NotSeen(error.to_string()))).collect(),
        };
        for (set, event) in seen {
            self.handle(set, event);
        }
    }
}
