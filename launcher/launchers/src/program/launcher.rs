//! Starts, watches and ends sets. Each set is one program of this host that starts many ranks.
//!
//! No process of a set is left on this host after its end, whether the set was told to end or its program ended by
//! itself. Every process that has the set's mark in its environment is killed until none is left, then the files that
//! ranks left are removed, and only then is the set reported as ended. Ranks on other hosts are ended by the program's
//! own daemons there, which notice that the program is gone, and by their lease.

use super::argv::{self, Request};
use super::ending;
use super::engine::EngineCommand;
use super::flavour::{Program, Survival, name_of};
use super::obstacle::obstacle_of_command;
use super::said::Causes;
use super::segments::{self, Segments};
use super::slots;
use crate::cluster::logs::{self, LogFolder, open_log};
use crate::contract::{Launcher, LostEngine, Vacated};
use crate::rank_loss::RankLoss;
use crate::record::{JobRecord, SetRecord};
use crate::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use crate::setup::Setup;
use ipclusterz_base::private;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::marked::{self, Mark};
use ipclusterz_host::out_of_memory::OutOfMemory;
use ipclusterz_host::spawn::{self, ChildOptions};
use ipclusterz_host::system;
use ipclusterz_profile::tables::engines::OnRankLoss;
use ipclusterz_profile::tables::mpiexec::MpiexecTable;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// What starts the ranks of a set.
pub enum Starter {
    /// A program whose arguments are made from `[mpiexec]`.
    Mpiexec {
        /// The program.
        program: Program,
        /// The profile's settings.
        table: MpiexecTable,
    },
    /// A command that is put before the engine's command, such as srun with the arguments of a queue's profile.
    Prefix {
        /// Makes the command for a set.
        make: Prefix,
        /// The command's template in the profile.
        template: Vec<String>,
    },
}

/// Makes what is put before the engine's command for a set, program first. Where there are several, the engine's command comes
/// behind each, and all of that is one command.
pub type Prefix = Box<dyn Fn(&EngineSet) -> Result<Vec<Vec<String>>, Failure>>;

impl Starter {
    /// Finds the mpiexec of the table on PATH, and checks that it can be used. Blocks while it is asked for its
    /// version.
    pub fn mpiexec(table: &MpiexecTable) -> Result<Self, Failure> {
        let program = Program::find(table, std::env::var_os("PATH").as_deref())?;
        program.check_root(table)?;
        if !table.hostfile.is_empty() && !Path::new(&table.hostfile).is_file() {
            let message = format!("mpiexec.hostfile: there is no file {:?}", table.hostfile);
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(Starter::Mpiexec { program, table: table.clone() })
    }

    /// Why its ranks cannot outlive the loss of one of them; `None` when they can.
    fn obstacle_to_shrink(&self) -> Option<String> {
        match self {
            Starter::Mpiexec { program, .. } => program.obstacle_to_shrink(),
            Starter::Prefix { template, .. } => obstacle_of_command(template),
        }
    }

    fn tells_of_ranks(&self) -> bool {
        !matches!(self, Starter::Mpiexec { program, .. } if !program.tells_of_ranks())
    }
}

/// What all sets of a cluster have in common.
pub struct ProgramSettings {
    /// What starts the ranks.
    pub starter: Starter,
    /// The engine's command; its `on_rank_loss` is what the profile asks for.
    pub command: EngineCommand,
    /// Variables set for the engines.
    pub environment: BTreeMap<String, String>,
    /// Names of variables of this process that ranks on other hosts get too.
    pub pass: Vec<String>,
    /// Working directory of the engines.
    pub directory: PathBuf,
    /// The folder of the sets' logs.
    pub logs: LogFolder,
    /// A folder on a local disk that only this user can enter; each running set has a folder of its own in it.
    pub scratch: PathBuf,
    /// Random id of this run of the cluster.
    pub run_id: String,
    /// What the queue says, in whose allocation this may run, of why engines died.
    pub causes: Causes,
}

/// See the module's documentation.
pub struct ProgramLauncher {
    settings: ProgramSettings,
    rank_loss: RankLoss,
    survival: Survival,
    sets: BTreeMap<SetId, Running>,
    events: Vec<(SetId, SetEvent)>,
    memory: OutOfMemory,
}

struct Running {
    set: EngineSet,
    child: Child,
    identity: ProcessIdentity,
    mark: Mark,
    log: PathBuf,
    scratch: PathBuf,
    program_name: String,
    /// The folder of the program's temporary files.
    temporary: PathBuf,
    segments: Segments,
    started: Instant,
    next_scan: Instant,
    scan_interval: Duration,
    /// The status with which the program ended, and since when the processes that it left are being killed.
    ended: Option<(ExitStatus, Instant)>,
    setup: Option<Setup>,
    /// Why its setup failed, and it is ended.
    setup_failure: Option<String>,
}

/// Interval between two checks for processes that are left.
const SWEEP_INTERVAL: Duration = Duration::from_millis(10);
/// How long a killed process may take to exit. One that hangs in the kernel (a file system that does not answer) may
/// never exit.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(10);
/// First interval between two scans for the ranks' segments. Ranks map them when they start MPI, at an unknown time
/// soon after their start.
const SCAN_INTERVAL: Duration = Duration::from_millis(500);
/// How long the interval stays as it is while no segments are found.
const FIRST_SCANS: Duration = Duration::from_secs(30);
/// The longest interval; from the first segments or the end of the first scans on, the interval doubles up to this.
const SCAN_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// For how long after the start of a set its setup is looked at. What fails later is noticed when the set ends.
const SETUP_TIME: Duration = Duration::from_secs(600);
/// How many of the last lines of a log are searched for the program's last messages.
const LOG_LINES: usize = 200;

impl ProgramLauncher {
    /// Makes the launcher; starts nothing yet. Blocks while the program is asked for its version, if that matters.
    pub fn new(mut settings: ProgramSettings) -> Self {
        let rank_loss = RankLoss::of(settings.command.on_rank_loss, settings.starter.obstacle_to_shrink());
        let shrinks = rank_loss.policy == OnRankLoss::Shrink;
        settings.command.on_rank_loss = rank_loss.policy;
        settings.command.says_end = shrinks && !settings.starter.tells_of_ranks();
        let survival = match &settings.starter {
            Starter::Mpiexec { program, .. } if shrinks => program.survival(),
            _ => Survival::Ended,
        };
        Self {
            settings,
            rank_loss,
            survival,
            sets: BTreeMap::new(),
            events: Vec::new(),
            memory: OutOfMemory::default(),
        }
    }

    /// The complete command that starts a set, and its name for messages.
    fn command(&self, set: &EngineSet, scratch: &Path, mark: &Mark) -> Result<(Command, String), Failure> {
        let settings = &self.settings;
        let engine = settings.command.argv(set);
        let (mut command, name) = match &settings.starter {
            Starter::Mpiexec { program, table } => {
                // The program passes all of its environment to the ranks of this host.
                let pass = settings.pass.iter().filter(|name| std::env::var_os(name).is_some());
                let mut pass: Vec<String> = pass.chain(settings.environment.keys()).cloned().collect();
                pass.push(marked::VARIABLE.to_owned());
                pass.sort_unstable();
                pass.dedup();
                let invocation = argv::invocation(
                    program.flavour,
                    Request {
                        table,
                        ranks: set.count,
                        directory: &settings.directory,
                        pass: &pass,
                        label: true,
                        survival: self.survival,
                        scratch,
                        command: engine,
                    },
                )?;
                if let Some((path, content)) = &invocation.machine_file {
                    private::write_private(path, content.as_bytes())?;
                }
                let mut command = Command::new(&program.path);
                command.args(&invocation.arguments).envs(invocation.environment);
                (command, program.to_string())
            }
            Starter::Prefix { make, .. } => {
                let with_engine = |words: Vec<String>| words.into_iter().map(OsString::from).chain(engine.clone());
                let argv: Vec<OsString> = make(set)?.into_iter().flat_map(with_engine).collect();
                let mut command = Command::new(&argv[0]);
                command.args(&argv[1..]);
                (command, name_of(Path::new(&argv[0])))
            }
        };
        command.envs(&settings.environment).env(marked::VARIABLE, mark.value()).current_dir(&settings.directory);
        Ok((command, name))
    }

    /// The folder of temporary files, as the program determines it.
    fn temporary(&self) -> PathBuf {
        let stated = self.settings.environment.get("TMPDIR").filter(|path| !path.is_empty());
        stated.map_or_else(std::env::temp_dir, PathBuf::from)
    }

    fn spawn(&self, set: &EngineSet, scratch: &Path) -> Result<(Running, String), Failure> {
        let mark = Mark::of_set(&self.settings.run_id, set.id.0);
        let (mut command, name) = self.command(set, scratch, &mark)?;
        self.settings.command.setup.as_ref().map_or(Ok(()), |setup| setup.expect(set.id))?;
        let log = self.settings.logs.set(set.id);
        let output = open_log(&log).map_err(Failure::io("opening a log"))?;
        let errors = output.try_clone().map_err(Failure::io(format!("cannot open {}", log.display())))?;
        command.stdout(output).stderr(errors);
        let program_name = name_of(Path::new(command.get_program()));
        // SIGTERM, so that the program ends its ranks before itself.
        let options = ChildOptions { signal_at_launcher_end: libc::SIGTERM, raise_file_limit: false };
        let mut child = spawn::spawn(command, options)
            .map_err(|error| Failure::new(Exit::StartFailed, format!("cannot run {name}: {error}")))?;
        let identity = match ProcessIdentity::of(child.id()) {
            Ok(identity) => identity,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::new(Exit::StartFailed, format!("cannot look at {name}: {error}")));
            }
        };
        let running = Running {
            set: set.clone(),
            child,
            identity,
            mark,
            log,
            scratch: scratch.to_path_buf(),
            program_name,
            temporary: self.temporary(),
            segments: Segments::default(),
            started: Instant::now(),
            next_scan: Instant::now() + SCAN_INTERVAL,
            scan_interval: SCAN_INTERVAL,
            ended: None,
            setup: self.settings.command.setup.clone(),
            setup_failure: None,
        };
        Ok((running, name))
    }
}

impl Launcher for ProgramLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let directory = &self.settings.directory;
        if !directory.is_dir() {
            let message = format!("engines.directory: there is no folder {}", directory.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        let scratch = self.settings.scratch.join(format!("set-{}", set.id.0));
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&scratch);
        make.map_err(Failure::io(format!("cannot create {}", scratch.display())))?;
        match self.spawn(set, &scratch) {
            Ok((running, name)) => {
                let place = format!("{name}, process {}", running.identity.pid);
                self.events.push((set.id, SetEvent::Running(place)));
                self.sets.insert(set.id, running);
                Ok(())
            }
            Err(failure) => {
                let _ = private::remove(&scratch);
                Err(failure)
            }
        }
    }

    fn end(&mut self, set: SetId, force: Force) {
        if let Some(running) = self.sets.get_mut(&set).filter(|running| running.ended.is_none()) {
            running.signal(force);
        }
    }

    fn poll(&mut self) -> Vec<(SetId, SetEvent)> {
        let mut over = Vec::new();
        for (id, running) in &mut self.sets {
            if let Some(end) = running.poll(&self.settings.causes) {
                over.push((*id, SetEvent::Ended(end)));
            }
        }
        for (id, _) in &over {
            self.sets.remove(id);
        }
        self.events.extend(over);
        std::mem::take(&mut self.events)
    }

    fn next_poll(&self) -> Option<Instant> {
        self.sets.values().map(Running::next_poll).min()
    }

    fn records(&self) -> Vec<SetRecord> {
        self.sets
            .values()
            .map(|running| SetRecord { set: running.set.clone(), job: JobRecord::Process(running.identity) })
            .collect()
    }

    /// The ranks of one set are one world.
    fn rank_loss(&self) -> Option<RankLoss> {
        let is_world = matches!(self.settings.starter, Starter::Mpiexec { .. }) || self.settings.command.check_world;
        is_world.then(|| self.rank_loss.clone())
    }

    fn how_engine_ended(&mut self, set: &EngineSet, lost: &LostEngine) -> Option<String> {
        let (lines, _) = logs::tail(&self.sets.get(&set.id)?.log, LOG_LINES).ok()?;
        let how = self.settings.causes.of_engine(&lines, lost, None)?;
        let word = lost.pid.filter(|_| how.contains("SIGKILL")).and_then(|pid| self.memory.word(pid));
        Some(word.map_or_else(|| how.clone(), |word| format!("{how}, {word}")))
    }

    fn vacated(&self) -> Option<Vacated> {
        let in_job = matches!(self.settings.starter, Starter::Prefix { .. });
        let why = "nodes stay: they are of the job that this cluster runs in, until that ends";
        in_job.then(|| Vacated::Kept(why.to_owned()))
    }

    /// Each program counts only the slots that it uses itself, so the sum is checked here.
    fn check_room(&self, engines: u32) -> Result<(), Failure> {
        match &self.settings.starter {
            Starter::Mpiexec { table, .. } => Ok(slots::check_room(table, engines)?),
            Starter::Prefix { .. } => Ok(()),
        }
    }

    fn log(&self, set: &EngineSet) -> PathBuf {
        self.settings.logs.set(set.id)
    }

    fn set_size(&self, count: u32) -> u32 {
        count
    }
}

impl Running {
    fn next_poll(&self) -> Instant {
        match self.ended {
            Some(_) => Instant::now() + SWEEP_INTERVAL,
            None if self.may_be_set_up() => self.next_scan.min(Instant::now() + SCAN_INTERVAL),
            None => self.next_scan,
        }
    }

    fn signal(&mut self, force: Force) {
        // As long as the child is not reaped, its pid is not reused.
        match force {
            Force::Terminate => {
                let _ = system::signal_process(self.identity.pid, libc::SIGTERM);
            }
            Force::Kill => {
                let marked = self.mark.processes();
                self.segments.look(&marked);
                let _ = system::signal_group(self.identity.pid, libc::SIGKILL);
                marked::kill(&marked);
            }
        }
    }

    /// Whether `engines.setup` may still run.
    fn may_be_set_up(&self) -> bool {
        self.setup.is_some() && self.setup_failure.is_none() && self.started.elapsed() < SETUP_TIME
    }

    /// Ends the set when its setup has failed on one host: what starts the ranks may go on with the others.
    fn look_at_setup(&mut self) {
        if !self.may_be_set_up() {
            return;
        }
        self.setup_failure = self.setup.as_ref().and_then(|setup| setup.failure(self.set.id));
        if self.setup_failure.is_some() {
            self.signal(Force::Terminate);
        }
    }

    /// The end of the set, once no process of it is left on this host.
    fn poll(&mut self, causes: &Causes) -> Option<SetEnd> {
        let now = Instant::now();
        if self.ended.is_none() {
            self.look_at_setup();
            if !system::child_has_ended(self.identity.pid).unwrap_or(true) {
                self.scan_segments(now);
                return None;
            }
            // Before the child is reaped: the zombie keeps the pid from being reused.
            let _ = system::signal_group(self.identity.pid, libc::SIGKILL);
            let status = self.child.wait().ok()?;
            self.ended = Some((status, now));
        }
        let (status, since) = self.ended?;
        let left = self.mark.processes();
        self.segments.look(&left);
        marked::kill(&left);
        if !left.is_empty() && now < since + SWEEP_TIMEOUT {
            return None;
        }
        self.segments.remove();
        segments::remove_session(self.identity.pid, &self.temporary);
        let _ = private::remove(&self.scratch);
        Some(self.end(status, &left, causes))
    }

    fn end(&self, status: ExitStatus, left: &[ProcessIdentity], causes: &Causes) -> SetEnd {
        let lines = logs::tail(&self.log, LOG_LINES).map(|(lines, _)| lines).unwrap_or_default();
        let cause = if status.success() { None } else { ending::cause_in(&lines) };
        let said = causes.in_output(&lines).filter(|_| !status.success());
        let mut how = match cause {
            Some(cause) => cause.describe(&self.set),
            None => match status.code().and_then(ending::signal_of_code) {
                Some(signal) => format!("{}: {status}, which stands for {signal}", self.program_name),
                None => format!("{}: {status}", self.program_name),
            },
        };
        if let Some((cause, line)) = &said {
            how = format!("{how}, {}: {line}", cause.words);
        }
        if let Some(one) = left.first() {
            how.push_str(&format!("; process {} does not end, although it was killed", one.pid));
        }
        let failure = self.setup.as_ref().and_then(|setup| setup.failure(self.set.id));
        let cause = said.map(|(cause, _)| cause);
        SetEnd { cause, ..SetEnd::new(status.success(), how, Some(self.log.clone())) }.because_of_setup(failure)
    }

    /// Notes the segments of the ranks while they have them mapped.
    fn scan_segments(&mut self, now: Instant) {
        if now >= self.next_scan {
            let before = self.segments.len();
            self.segments.look(&self.mark.processes());
            if self.segments.len() > before {
                // On a full disk they are known to this process and to the guard.
                let _ = self.segments.write_down(&self.scratch);
            }
            if !self.segments.is_empty() || now > self.started + FIRST_SCANS {
                self.scan_interval = (self.scan_interval * 2).min(SCAN_INTERVAL_MAX);
            }
            self.next_scan = now + self.scan_interval;
        }
    }
}

/// No set may be left when the supervisor is unwound before it has ended its sets.
impl Drop for ProgramLauncher {
    fn drop(&mut self) {
        let sets: Vec<SetId> = self.sets.keys().copied().collect();
        for set in sets {
            self.end(set, Force::Kill);
        }
        let give_up = Instant::now() + SWEEP_TIMEOUT;
        while !self.sets.is_empty() && Instant::now() < give_up {
            self.poll();
            std::thread::sleep(SWEEP_INTERVAL);
        }
    }
}
