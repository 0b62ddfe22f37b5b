//! The launcher of jobs: a thread runs the queue's commands, between the supervisor and the state machines of
//! [`super::jobs`].
//!
//! Responsible for which command runs when: one at a time, each with a timeout, cancellations first. What a job needs
//! next is decided by its state machine.

use super::answers::{Outcome, Reader, Sighting, View};
use super::commands::{self, CommandError, Printed};
use super::jobs::{Action, Event, Job, Rules};
use super::options::{BatchOptions, JobFiles};
use super::placeholders::about;
use super::record;
use super::script::{self, Rendered};
use super::{again, clock, refusal, words};
use crate::causes::{self, Cause};
use crate::cluster::logs;
use crate::contract::{Launcher, LostEngine, Vacated, Wake};
use crate::program::{ending, said};
use crate::rank_loss::RankLoss;
use crate::record::{JobRecord, SetRecord};
use crate::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::private;
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
/// Timeout of accounting, which knows the more exact word: its database may be far away.
const ACCOUNTING_PATIENCE: Duration = Duration::from_secs(10);
/// How many of the last lines of a job's log are searched for the end of a rank.
const LOG_LINES: usize = 200;
/// How long the thread sleeps when it waits for nothing but requests.
const IDLE: Duration = Duration::from_secs(3600);

/// See the module's documentation.
pub struct BatchLauncher {
    options: Arc<BatchOptions>,
    reader: Arc<Reader>,
    requests: Sender<Request>,
    shared: Arc<Shared>,
}

/// What the thread shares with the launcher.
#[derive(Default)]
struct Shared {
    events: Mutex<Vec<(SetId, SetEvent)>>,
    records: Mutex<BTreeMap<SetId, SetRecord>>,
    notes: Mutex<BTreeMap<SetId, Notes>>,
}

/// What the queue says of the engines of a job that goes on.
#[derive(Default)]
struct Notes {
    /// How the tasks of an array ended that have, by their numbers from 1.
    tasks: BTreeMap<u32, String>,
    /// The ids that the tasks have besides.
    own: BTreeMap<u32, String>,
    /// Why the job's processes are stopped.
    suspended: Option<String>,
    /// Where it ran at first, and where it runs now.
    nodes: Option<(String, String)>,
}

impl Notes {
    /// What the queue says of one engine.
    fn about(&self, lost: &LostEngine) -> Option<String> {
        let task = self.tasks.get(&(lost.rank + 1)).or(self.suspended.as_ref()).cloned();
        task.or_else(|| {
            let (first, now) = self.nodes.as_ref().filter(|(first, now)| first != now)?;
            let host = lost.host.as_deref().filter(|host| said::lists(first, host) && !said::lists(now, host))?;
            Some(format!("the queue has taken its node {host} from the job, which ran on {first}, and runs on {now}"))
        })
    }
}

enum Request {
    Start(EngineSet, Vec<String>),
    /// An engine was lost: the queue may know why.
    Suspect(SetId),
    End(SetId, Force),
    Vacate(SetId, Vec<String>),
}

impl BatchLauncher {
    /// Checks the tables and starts the thread, which exits when the launcher is dropped.
    pub fn new(options: BatchOptions, wake: Wake) -> Result<Self, Failure> {
        options.check()?;
        let reader = Arc::new(Reader::new(&options.queue)?);
        let options = Arc::new(options);
        let shared = Arc::new(Shared::default());
        let (requests, receiver) = channel();
        let worker = Worker {
            options: Arc::clone(&options),
            reader: Arc::clone(&reader),
            shared: Arc::clone(&shared),
            wake,
            jobs: BTreeMap::new(),
            actions: VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name("queue".to_owned());
        thread.spawn(move || worker.run(&receiver)).map_err(Failure::io("starting a thread for the queue"))?;
        Ok(Self { options, reader, requests, shared })
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
    let printed = command.and_then(|command| {
        let reader = Reader::new(&options.queue)?;
        let printed = commands::run(&command, input, false, SUBMIT_PATIENCE);
        printed.map_err(|error| explained(options, &reader, set, error))
    });
    for file in [&files.script, &files.description] {
        // A leftover file is overwritten by the next start.
        let _ = ipclusterz_base::private::remove(file);
    }
    printed.map(|Printed { stdout, stderr }| Some(format!("{}\n{}", stdout.trim(), stderr.trim()).trim().to_owned()))
}

/// The failure of a command that the queue refused, with what may be asked for instead where that is known.
fn explained(options: &BatchOptions, reader: &Reader, set: &EngineSet, error: CommandError) -> Failure {
    let CommandError::Failed { printed, .. } = &error else { return reader.advised(error) };
    let refusal = reader.refusal(&printed.stderr).or_else(|| reader.refusal(&printed.stdout));
    let (Some(refusal), Ok(values)) = (refusal, options.values(set)) else { return reader.advised(error) };
    let ask = |command: &[String]| Ok(commands::run(command, None, true, PATIENCE)?.stdout);
    refusal::explained(&options.queue.name, refusal, &values, &error, ask)
}

fn write(options: &BatchOptions, set: &EngineSet, files: &JobFiles) -> Result<(), Failure> {
    let rendered = script::render(options, set)?;
    rendered.write(files).map_err(Failure::io(format!("writing {}", files.script.display())))
}

impl Launcher for BatchLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let files = JobFiles::of(&self.options.logs, set.id);
        write(&self.options, set, &files)?;
        self.options.setup().map_or(Ok(()), |setup| setup.expect(set.id))?;
        if self.options.starts_ranks_again() || self.options.starts_engines_again() {
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

    fn starts_engines_again(&self) -> bool {
        self.options.starts_engines_again()
    }

    fn parent_said(&self, set: &EngineSet, engine: EngineId) -> Option<String> {
        if !self.starts_engines_again() {
            return None;
        }
        let (lines, _) = logs::tail(&self.log(set), LOG_LINES).ok()?;
        ending::end_of_engine(&lines, engine)
    }

    fn how_engine_ended(&mut self, set: &EngineSet, lost: &LostEngine) -> Option<String> {
        // Without the thread there is what is known.
        let _ = self.requests.send(Request::Suspect(set.id));
        let (told, own) = match lock(&self.shared.notes).get(&set.id) {
            Some(notes) => (notes.about(lost), notes.own.get(&(lost.rank + 1)).cloned()),
            None => (None, None),
        };
        // Without its id it is not known which lines of an array's output are about a task.
        let log = logs::tail(&self.log(set), LOG_LINES).ok().filter(|_| own.is_some() || !self.options.batch.array);
        log.and_then(|(lines, _)| self.reader.causes().of_engine(&lines, lost, own.as_deref())).or(told)
    }

    fn tell_job(&mut self, set: &EngineSet, line: &str) -> Result<(), Failure> {
        let words = JobFiles::of(&self.options.logs, set.id).words;
        again::write(&words, line).map_err(Failure::io(format!("writing {}", words.display())))
    }

    fn vacated(&self) -> Option<Vacated> {
        let queue = &self.options.queue;
        match (self.options.batch.array, queue.vacate.is_empty()) {
            // The task of an engine ends with it.
            (true, _) => None,
            (false, false) => Some(Vacated::GivenBack),
            (false, true) => {
                let why =
                    format!("nodes stay until their job ends: {} gives none back before (queue.vacate)", queue.name);
                Some(Vacated::Kept(why))
            }
        }
    }

    fn vacate(&mut self, set: SetId, hosts: Vec<String>) {
        if self.vacated() == Some(Vacated::GivenBack) {
            let _ = self.requests.send(Request::Vacate(set, hosts));
        }
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

/// With the name of the user of whom accounting knows the number.
fn named(outcome: Outcome) -> Outcome {
    let name = |by: String| by.parse().ok().and_then(private::login_name).unwrap_or(by);
    Outcome { by: outcome.by.map(name), ..outcome }
}

struct Entry {
    set: EngineSet,
    submit: Vec<String>,
    job: Job,
    /// Nodes that it has given back.
    given_back: Vec<String>,
}

struct Worker {
    options: Arc<BatchOptions>,
    reader: Arc<Reader>,
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
                self.jobs.insert(id, Entry { set, submit, job, given_back: Vec::new() });
                self.dispatch(id, actions);
            }
            Request::Suspect(set) => self.handle(set, Event::Suspect),
            Request::End(set, force) => self.handle(set, Event::End(force)),
            Request::Vacate(set, hosts) => self.vacate(set, hosts),
        }
    }

    fn vacate(&mut self, set: SetId, mut hosts: Vec<String>) {
        let Some(entry) = self.jobs.get_mut(&set) else { return };
        let Some(id) = entry.job.id() else { return };
        hosts.retain(|host| !entry.given_back.contains(host));
        let shell = ["sh", "-c", &self.options.queue.vacate, "vacate", id].map(str::to_owned);
        let command: Vec<String> = shell.into_iter().chain(hosts.iter().cloned()).collect();
        let words = match commands::run(&command, None, true, PATIENCE) {
            Ok(printed) => {
                entry.given_back.extend(printed.stdout.split_whitespace().map(str::to_owned));
                words::vacated(id, &hosts, &printed.stdout)
            }
            Err(CommandError::Failed { printed, .. }) => words::not_vacated(id, &hosts, &printed.stderr),
            Err(error) => words::not_vacated(id, &hosts, &error.to_string()),
        };
        self.tell(set, SetEvent::Vacated(words));
    }

    fn tell(&self, set: SetId, event: SetEvent) {
        lock(&self.shared.events).push((set, event));
        (self.wake)();
    }

    fn rules(&self, set: SetId) -> Rules {
        let batch = &self.options.batch;
        Rules {
            retries: self.options.engines.retries,
            poll: Duration::from_secs_f64(batch.poll),
            queue_timeout: Some(batch.queue_timeout).filter(|s| *s > 0.0).map(Duration::from_secs_f64),
            strict: batch.strict,
            array: batch.array,
            outcome: !(self.options.queue.outcome.is_empty() && self.options.queue.accounting.is_empty()),
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
                    let event = match event {
                        SetEvent::Ended(end) => SetEvent::Ended(self.over(set, end)),
                        event => event,
                    };
                    self.tell(set, event);
                }
                // Before anything else, and while the job is known: after its end its entry is removed.
                Action::Cancel { kill } => self.cancel(set, kill),
                other => self.actions.push_back((set, other)),
            }
        }
    }

    /// A job has ended: what its output tells of that is added to what the queue says.
    fn over(&self, set: SetId, mut end: SetEnd) -> SetEnd {
        lock(&self.shared.records).remove(&set);
        lock(&self.shared.notes).remove(&set);
        let log = JobFiles::of(&self.options.logs, set).log;
        // A job may have begun and ended between two looks at the queue.
        end.not_started &= end.hint.is_some() || !log.exists();
        let lines = logs::tail(&log, LOG_LINES).map(|(lines, _)| lines).unwrap_or_default();
        if end.cause.is_none() && end.hint.is_none() && !end.orderly && !end.not_started {
            // A cancellation by this launcher is in the output too.
            let known = |cause: &Cause| cause.name == causes::CANCELLED && end.how.contains("was cancelled");
            let said = self.reader.causes().in_output(&lines).filter(|(cause, _)| !known(cause));
            if let Some((cause, line)) = said {
                end.how = format!("{}; {}: {line}", end.how, cause.words);
                end.cause = Some(cause);
            }
        }
        end
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
            Err(error) => Event::Refused {
                again: error.did_nothing(),
                failure: explained(&self.options, &self.reader, &entry.set, error),
            },
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
        let ask = |command: &[String], patience| {
            let printed = || commands::run(&about(command, &[id]), None, true, patience).ok();
            (!command.is_empty()).then(printed).flatten().map(|printed| printed.stdout)
        };
        let queue = &self.options.queue;
        let told = ask(&queue.outcome, PATIENCE).and_then(|printed| self.reader.outcome(&printed));
        let more = told.as_ref().is_none_or(|outcome| outcome.failed);
        let accounting = more.then(|| ask(&queue.accounting, ACCOUNTING_PATIENCE)).flatten();
        let accounting = accounting.and_then(|printed| self.reader.accounting(&printed));
        // The state machine asks again when accounting does not know the job yet, and when the commands failed.
        Event::Outcome(Outcome::completed(told, accounting).map(named))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let due = self.jobs.iter().filter(|(_, entry)| entry.job.next_tick().is_some_and(|at| at <= now));
        for set in due.map(|(set, _)| *set).collect::<Vec<SetId>>() {
            self.handle(set, Event::Tick);
        }
    }

    /// Notes what the queue says of the engines of a job, for who asks how one was lost.
    fn note(&self, set: SetId, id: &str, view: &View, sightings: &[Sighting]) {
        let task = |(task, outcome): (u32, Outcome)| {
            let of = format!("task {task} of job {id}");
            (task, words::ended(&of, &outcome, self.reader.endings()))
        };
        let tasks = self.reader.tasks_over(sightings, id).into_iter().map(task).collect();
        let mut all = lock(&self.shared.notes);
        let notes = all.entry(set).or_default();
        (notes.tasks, notes.suspended) = (tasks, None);
        let ours = sightings.iter().filter(|sighting| sighting.id == id);
        notes.own.extend(ours.filter_map(|sighting| Some((sighting.task?, sighting.own.clone()?))));
        match view {
            View::Suspended(why) => notes.suspended = Some(words::suspended(id, why)),
            View::Running(nodes) if !nodes.is_empty() && !self.options.batch.array => {
                notes.nodes.get_or_insert_with(|| (nodes.clone(), nodes.clone())).1.clone_from(nodes);
            }
            _ => {}
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
                let see = |(set, id): &(SetId, String)| {
                    let view = self.reader.view(&sightings, id, clock::now());
                    self.note(*set, id, &view, &sightings);
                    (*set, Event::Seen(view))
                };
                jobs.iter().map(see).collect()
            }
            Err(error) => jobs.iter().map(|(set, _)| (*set, Event::NotSeen(error.to_string()))).collect(),
        };
        self.look_at_setups();
        for (set, event) in seen {
            self.handle(set, event);
        }
    }

    /// Before what the queue shows of a job: one whose setup failed may have ended because of it.
    fn look_at_setups(&mut self) {
        let Some(setup) = self.options.setup() else { return };
        let sets = self.jobs.keys().copied();
        let failed: Vec<(SetId, String)> = sets.filter_map(|set| Some((set, setup.failure(set)?))).collect();
        for (set, failure) in failed {
            self.handle(set, Event::SetupFailed(failure));
        }
    }
}
