//! One host of the SSH launcher: a thread keeps the connection to it, and starts, watches and ends its engines. The
//! scripts that it runs there are in [`super::script`].
//!
//! Engines outlive the connection. When it is lost, the thread reconnects, with a growing back-off, and resumes
//! watching; engines that have ended meanwhile are reported then.

mod waiting;

use super::script::{self, Answer, HostPlan};
use super::staging::HostStaging;
use crate::cluster::ClusterFolder;
use crate::contract::Wake;
use crate::engine_words;
use crate::set::{EngineSet, Force, SETUP_HINT, SetEnd, SetEvent, SetId};
use crate::setup;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::stderr::print_problem;
use ipclusterz_profile::tables::ssh::{SshHost, SshTable};
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::{Endpoint, Forward, Remote, SshError};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Timeout of one script on the host.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(60);
/// Interval between two checks of the engines; the controller learns of their end sooner.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// The interval while some engines are being ended.
const CHECK_INTERVAL_ENDING: Duration = Duration::from_millis(150);
/// Between two looks at what copies an environment.
const STAGING_INTERVAL: Duration = Duration::from_millis(200);
/// The first and the longest wait before reconnecting.
const BACK_OFF_MIN: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// What the launcher asks of the thread.
pub enum Command {
    /// Start an engine, with these options of its own.
    Start(EngineSet, Vec<String>),
    /// End an engine.
    End(SetId, Force),
    /// End the thread, and remove what the run left on the host.
    Quit,
}

/// Where the thread reports events.
pub struct News {
    /// Events for the launcher's `poll`.
    pub events: Arc<Mutex<Vec<(SetId, SetEvent)>>>,
    /// Tells the supervisor that there are events.
    pub wake: Wake,
}

impl News {
    fn tell(&self, set: SetId, event: SetEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((set, event));
        (self.wake)();
    }
}

/// Engines that run on a host.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// Id of the host's boot; the pids are valid for this boot alone.
    pub boot_id: String,
    /// The process of each.
    pub processes: BTreeMap<SetId, ProcessIdentity>,
}

/// What a host is to do.
pub struct HostWork {
    /// How engines are started there.
    pub plan: HostPlan,
    /// How it gets their environment, if it has to have that first.
    pub staging: Option<HostStaging>,
}

/// The launcher's side of the thread.
pub struct HostThread {
    /// The host as the profile names it.
    pub name: String,
    /// How many engines it may run.
    pub engines: u32,
    /// The name of this run's folder on the host.
    pub run: String,
    commands: Sender<Command>,
    state: Arc<Mutex<Engines>>,
    thread: Option<JoinHandle<()>>,
}

impl HostThread {
    /// Starts the thread, which connects as soon as there is something to do. With `controller`, engines reach the
    /// controller through the connection.
    pub fn start(
        host: &SshHost,
        work: HostWork,
        folder: &ClusterFolder,
        table: &SshTable,
        controller: Option<Endpoint>,
        asker: Arc<Mutex<Remembering>>,
        news: News,
    ) -> Result<Self, Failure> {
        let (commands, receiver) = channel();
        let state = Arc::new(Mutex::new(Engines::default()));
        let HostWork { plan, staging } = work;
        let run = plan.run.clone();
        let mut worker = Worker {
            name: host.host.clone(),
            plan,
            staging,
            staged_for: Vec::new(),
            told: String::new(),
            folder: folder.clone(),
            table: table.clone(),
            controller,
            asker,
            news,
            state: Arc::clone(&state),
            connection: None,
            sets: BTreeMap::new(),
            ending: false,
            prepared: false,
            port: 0,
            retry: None,
            back_off: BACK_OFF_MIN,
        };
        let thread = std::thread::Builder::new()
            .name(format!("ssh {}", host.host))
            .spawn(move || worker.serve(&receiver))
            .map_err(Failure::io("starting a thread"))?;
        let (name, engines) = (host.host.clone(), host.engines);
        Ok(Self { name, engines, run, commands, state, thread: Some(thread) })
    }

    /// Sends the thread a command; does not wait for it.
    pub fn tell(&self, command: Command) {
        // Cannot fail before Quit: the thread ends only then.
        let _ = self.commands.send(command);
    }

    /// The engines that run on the host, for the record.
    pub fn engines_now(&self) -> Engines {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        self.tell(Command::Quit);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

struct Connection {
    remote: Box<dyn Remote>,
    /// The path of the run's folder on the host.
    folder: String,
    /// Forwards engines to the controller, where they cannot reach it directly.
    forward: Option<Forward>,
}

struct Worker {
    name: String,
    plan: HostPlan,
    /// How the host gets the environment of its engines, if it has to have it first.
    staging: Option<HostStaging>,
    /// The engines that wait for that.
    staged_for: Vec<(EngineSet, Vec<String>)>,
    /// What was told of them last.
    told: String,
    folder: ClusterFolder,
    table: SshTable,
    /// The controller's address to forward to, where engines cannot reach it directly.
    controller: Option<Endpoint>,
    asker: Arc<Mutex<Remembering>>,
    news: News,
    state: Arc<Mutex<Engines>>,
    connection: Option<Connection>,
    /// The sets that were started on the host and have not ended.
    sets: BTreeMap<SetId, EngineSet>,
    ending: bool,
    /// Whether the run may have a folder on the host.
    prepared: bool,
    /// The forwarded port on the host. It stays the same, because engines know it.
    port: u16,
    /// When to reconnect, after the connection was lost.
    retry: Option<Instant>,
    back_off: Duration,
}

impl Worker {
    fn serve(&mut self, commands: &Receiver<Command>) {
        let mut quitting = false;
        while !quitting {
            let first = match self.next_check() {
                Some(wait) => commands.recv_timeout(wait),
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut starts = Vec::new();
            let mut ends: BTreeMap<SetId, Force> = BTreeMap::new();
            for command in first.into_iter().chain(commands.try_iter()) {
                match command {
                    Command::Start(set, options) => starts.push((set, options)),
                    Command::End(set, force) => {
                        ends.insert(set, force);
                    }
                    Command::Quit => quitting = true,
                }
            }
            if !starts.is_empty() {
                self.start_engines(starts);
            }
            if !ends.is_empty() {
                self.end_waiting(&ends);
                self.end_engines(&ends);
            }
            if !quitting {
                self.go_on_staging();
            }
            if !quitting {
                self.check_engines();
            }
        }
        self.remove_folder();
    }

    fn next_check(&self) -> Option<Duration> {
        if !self.staged_for.is_empty() {
            return Some(STAGING_INTERVAL);
        }
        if let Some(retry) = self.retry {
            return Some(retry.saturating_duration_since(Instant::now()));
        }
        let interval = if self.ending { CHECK_INTERVAL_ENDING } else { CHECK_INTERVAL };
        (!self.sets.is_empty()).then_some(interval)
    }

    /// Connects unless connected, and makes the run's folder on the host.
    fn connect(&mut self) -> Result<&mut Connection, SshError> {
        if self.connection.is_none() {
            let mut remote = {
                // Locked, so that hosts ask for a passphrase one after the other.
                let mut asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
                ipclusterz_ssh::connect(&self.name, &self.table, &mut *asker)?
            };
            self.prepared = true;
            let answer = run(remote.as_mut(), &script::prepare(&self.plan.run))?;
            let (Some(folder), Some(boot_id)) = (answer.folder, answer.boot_id) else {
                let message = "its shell did not do what it was told; does it print errors at a login?".to_owned();
                return Err(SshError::Lost { host: self.name.clone(), reason: message });
            };
            self.state.lock().unwrap_or_else(PoisonError::into_inner).boot_id = boot_id;
            let forward = match self.controller.clone() {
                Some(to) => Some(self.forward(remote.as_mut(), &to)?),
                None => None,
            };
            self.connection = Some(Connection { remote, folder, forward });
            (self.retry, self.back_off) = (None, BACK_OFF_MIN);
        }
        self.connection.as_mut().ok_or_else(|| SshError::Lost { host: self.name.clone(), reason: String::new() })
    }

    /// Forwards a port of the host to the controller.
    fn forward(&mut self, remote: &mut dyn Remote, to: &Endpoint) -> Result<Forward, SshError> {
        let forward = remote.forward_back(&Endpoint::loopback(self.port), to)?;
        if let Endpoint::Tcp { port, .. } = forward.listens() {
            self.port = *port;
        }
        Ok(forward)
    }

    /// Runs a script. Drops the connection if it was lost meanwhile.
    fn run(&mut self, text: &str) -> Result<Answer, SshError> {
        let connection = self.connect()?;
        let result = run(connection.remote.as_mut(), text);
        // A script that fails does not end the connection.
        if result.as_ref().is_err_and(SshError::is_passing) {
            self.connection = None;
        }
        result
    }

    /// Writes the engines' connection file on the host; the last engine that ends removes it. This is not done on each
    /// connection: when a cluster ends, the local file is already gone while engines still have to be ended there.
    fn upload_connection_file(&mut self) -> Result<(), SshError> {
        let mut file = ConnectionFile::read(&self.folder.engine_file()).map_err(|error| SshError::Local {
            doing: "reading the engines' connection file".to_owned(),
            source: std::io::Error::other(error),
        })?;
        let Connection { remote, folder, forward } = self.connect()?;
        if let Some(forward) = forward {
            file.addresses = vec![forward.listens().to_address()];
            (file.forwarded, file.through_ssh) = (true, true);
        }
        let text = serde_json::to_vec(&file).unwrap_or_default();
        let result = remote.upload(&format!("{folder}/engine.json"), &text, 0o600);
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    /// Starts engines with this plan.
    fn start_with(&mut self, plan: &HostPlan, sets: &[(EngineSet, Vec<String>)]) {
        let engines: Vec<(EngineId, &[String])> = sets.iter().map(|(set, own)| (set.first, own.as_slice())).collect();
        let answer = self.run(&script::start(plan, &engines)).map_err(Failure::from);
        for (set, _) in sets {
            match &answer {
                Err(failure) => self.news.tell(set.id, SetEvent::Ended(SetEnd::not_started(failure.clone()))),
                Ok(answer) => match answer.processes.get(&set.first) {
                    // An engine that has already ended is noticed at the first check.
                    Some(process) => {
                        let process = process.unwrap_or(ProcessIdentity { pid: 0, start_time: 0 });
                        self.state.lock().unwrap_or_else(PoisonError::into_inner).processes.insert(set.id, process);
                        self.sets.insert(set.id, set.clone());
                        self.news.tell(set.id, SetEvent::Running(String::new()));
                    }
                    None => {
                        let end = SetEnd::not_started(self.why_not_started(answer));
                        self.news.tell(set.id, SetEvent::Ended(end));
                    }
                },
            }
        }
    }

    /// Why the shell of the host started nothing.
    fn why_not_started(&self, answer: &Answer) -> Failure {
        let failure = answer.setup.as_ref().and_then(|words| setup::failure(words, &self.plan.setup));
        match failure {
            Some(failure) => {
                let said = if answer.said.is_empty() { String::new() } else { format!("\n{}", answer.said) };
                Failure::new(Exit::StartFailed, format!("{failure}{said}")).with_hint(SETUP_HINT)
            }
            None if answer.failed.is_some() || !answer.forks.is_empty() => self.why_not_forked(answer),
            None => Failure::new(Exit::StartFailed, format!("the shell of {} did not start it", self.name))
                .with_hint("see engines.setup in the profile"),
        }
    }

    /// Why what was to fork engines did not.
    fn why_not_forked(&self, answer: &Answer) -> Failure {
        let what = match &answer.failed {
            Some(why) => format!("{} (on {})", engine_words::not_preloaded(why), self.name),
            None => format!("{} on {} has ended at once", self.plan.python, self.name),
        };
        let said = if answer.forks.is_empty() { String::new() } else { format!("\n{}", answer.forks) };
        let failure = Failure::new(Exit::StartFailed, what + &said);
        if answer.failed.is_some() { failure.with_hint(engine_words::PRELOAD_HINT) } else { failure }
    }

    fn end_engines(&mut self, ends: &BTreeMap<SetId, Force>) {
        self.ending = true;
        let Engines { boot_id, processes } = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for force in [Force::Terminate, Force::Kill] {
            let chosen: Vec<ProcessIdentity> = ends
                .iter()
                .filter(|(_, own)| **own == force)
                .filter_map(|(set, _)| processes.get(set))
                .copied()
                .collect();
            if !chosen.is_empty()
                && let Err(error) = self.run(&script::signal(force.signal(), &boot_id, chosen))
            {
                self.connection_lost(&error);
            }
        }
    }

    /// Checks the engines; reconnects when the connection is lost and it is time.
    fn check_engines(&mut self) {
        if self.sets.is_empty() || self.retry.is_some_and(|retry| retry > Instant::now()) {
            return;
        }
        let processes = self.state.lock().unwrap_or_else(PoisonError::into_inner).processes.clone();
        let by_engine: BTreeMap<EngineId, ProcessIdentity> =
            self.sets.values().filter_map(|set| Some((set.first, *processes.get(&set.id)?))).collect();
        match self.run(&script::look(&self.plan.run, &by_engine)) {
            Err(error) => self.connection_lost(&error),
            Ok(answer) => {
                let ended: Vec<EngineSet> = self
                    .sets
                    .values()
                    .filter(|set| {
                        answer.processes.get(&set.first).copied().flatten() != by_engine.get(&set.first).copied()
                    })
                    .cloned()
                    .collect();
                for set in ended {
                    self.report_end(&set, answer.statuses.get(&set.first).copied());
                }
            }
        }
        self.ending &= !self.sets.is_empty();
    }

    /// Reports the end of an engine. Its log is copied here first, because the run's folder on the host will be
    /// removed.
    fn report_end(&mut self, set: &EngineSet, status: Option<i32>) {
        self.sets.remove(&set.id);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).processes.remove(&set.id);
        let log = self.folder.logs().engine(set.first);
        let deadline = Instant::now() + SCRIPT_PATIENCE;
        if let Some(connection) = &mut self.connection
            && let Ok(output) =
                connection.remote.run(script::SHELL, script::tail(&self.plan.run, set.first).as_bytes(), deadline)
            && !output.stdout.is_empty()
        {
            // Without the log the message shows less.
            let _ = places::write_private(&log, &output.stdout);
        }
        let how = match status {
            Some(status) if status > 128 => format!("{} on {}", ExitStatus::from_raw(status - 128), self.name),
            Some(status) => format!("exit status: {status} on {}", self.name),
            None => format!("killed on {}", self.name),
        };
        let end = SetEnd::new(status == Some(0), how, Some(log));
        self.news.tell(set.id, SetEvent::Ended(end));
    }

    fn connection_lost(&mut self, error: &SshError) {
        self.connection = None;
        // The user who ends a cluster does not wait for long.
        let wait = if self.ending { BACK_OFF_MIN } else { self.back_off };
        self.retry = Some(Instant::now() + wait);
        if let Some(set) = self.sets.keys().next() {
            let wait = wait.as_secs_f64();
            self.news.tell(*set, SetEvent::Waiting(format!("{error}; trying again in {wait:.1} s")));
        }
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }

    /// Removes the run's folder as the last step on a host. A host that cannot be reached keeps its few files, and a
    /// line on standard error names it.
    fn remove_folder(&mut self) {
        let engines_left = !self.sets.is_empty();
        if !self.prepared || engines_left {
            return;
        }
        let removed = match self.connection.take() {
            Some(Connection { mut remote, .. }) => run(remote.as_mut(), &script::remove(&self.plan.run)),
            None => {
                let mut asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
                ipclusterz_ssh::connect(&self.name, &self.table, &mut *asker)
                    .and_then(|mut remote| run(remote.as_mut(), &script::remove(&self.plan.run)))
            }
        };
        if let Err(error) = removed {
            print_problem(&format!("{}: the folder of this run stays there: {error}", self.name));
        }
    }
}

fn run(remote: &mut dyn Remote, text: &str) -> Result<Answer, SshError> {
    let host = remote.host().to_owned();
    let output = remote.run(script::SHELL, text.as_bytes(), Instant::now() + SCRIPT_PATIENCE)?;
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let answer = Answer::parse(&printed);
    if answer.setup.is_some() {
        return Ok(answer.with_last_words(&printed, &said));
    }
    drop(output.text(&host, "a shell script")?);
    Ok(answer)
}
