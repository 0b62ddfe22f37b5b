//! Starts engines as processes of this host, each a set of its own.

use crate::cluster::logs::{LogFolder, open_log};
use crate::contract::Launcher;
use crate::engine_words;
use crate::record::{JobRecord, SetRecord};
use crate::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::out_of_memory::OutOfMemory;
use ipclusterz_host::spawn::{ChildOptions, ChildProcess};
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::engines::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// Starts one process for each engine.
pub struct LocalLauncher {
    logs: LogFolder,
    engine_file: PathBuf,
    python: PathBuf,
    wrap: Vec<String>,
    directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    lease: f64,
    threads: Shared,
    /// How many engines were asked for.
    engines: u32,
    end_timeout: f64,
    memory: OutOfMemory,
    running: BTreeMap<SetId, (EngineSet, ChildProcess)>,
    /// Engines that were started before; a restarted engine appends to its log.
    known: BTreeSet<EngineId>,
}

impl LocalLauncher {
    /// Makes the launcher; starts nothing yet. `python` runs the engines; `engine_file` is their connection file.
    pub fn new(logs: LogFolder, engine_file: PathBuf, python: PathBuf, settings: &StartSettings) -> Self {
        let engines = &settings.tables.engines;
        Self {
            logs,
            engine_file,
            python,
            wrap: engines.wrap.clone(),
            directory: Some(PathBuf::from(&engines.directory)).filter(|path| !path.as_os_str().is_empty()),
            environment: engines.env.clone(),
            lease: engines.lease,
            threads: engines.threads,
            engines: settings.engines,
            end_timeout: engines.end_timeout,
            memory: OutOfMemory::default(),
            running: BTreeMap::new(),
            known: BTreeSet::new(),
        }
    }

    fn spawn(&mut self, id: EngineId, mut log: File) -> io::Result<ChildProcess> {
        if !self.known.insert(id) {
            // For its reader alone: a disk that is full does not keep an engine away.
            let _ = writeln!(log, "--- engine {id} is started again ---");
        }
        let python = self.python.as_os_str().to_owned();
        let mut words = self.wrap.iter().map(std::ffi::OsString::from).chain([python]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(engine_words::PROGRAM).arg("--connection-file").arg(&self.engine_file);
        command.args(["--engine-id", &id.to_string(), "--lease", &self.lease.to_string()]);
        command.args(["--end-timeout", &self.end_timeout.to_string()]).envs(&self.environment);
        let beside = u32::try_from(self.running.len() + 1).unwrap_or(u32::MAX);
        command.args(engine_words::threads(self.threads, 0, self.engines.max(beside)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdout(log.try_clone()?).stderr(log);
        ChildProcess::start(command, ChildOptions { signal_at_launcher_end: libc::SIGTERM, raise_file_limit: false })
    }
}

impl Launcher for LocalLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let log = open_log(&self.logs.engine(set.first));
        let log = log.map_err(Failure::io(format!("cannot start engine {}: opening its log", set.first)))?;
        let child = self.spawn(set.first, log).map_err(|error| {
            let message = format!("cannot start engine {} with {}: {error}", set.first, self.python.display());
            Failure::new(Exit::StartFailed, message)
                .with_hint("is it a Python that runs on this host? choose one with --python")
        })?;
        self.running.insert(set.id, (set.clone(), child));
        Ok(())
    }

    fn end(&mut self, set: SetId, force: Force) {
        if let Some((_, child)) = self.running.get(&set) {
            child.signal_group(force.signal());
        }
    }

    fn poll(&mut self) -> Vec<(SetId, SetEvent)> {
        let mut events = Vec::new();
        for (id, (set, child)) in &mut self.running {
            let (orderly, how) = match child.reap() {
                Ok(None) => continue,
                Ok(Some(status)) => (status.success(), describe(status, child.identity().pid, &mut self.memory)),
                Err(error) => (false, format!("it cannot be watched: {error}")),
            };
            let log = Some(self.logs.engine(set.first));
            events.push((*id, SetEvent::Ended(SetEnd::new(orderly, how, log))));
        }
        for (id, _) in &events {
            self.running.remove(id);
        }
        events
    }

    fn records(&self) -> Vec<SetRecord> {
        let record = |(set, child): &(EngineSet, ChildProcess)| SetRecord {
            set: set.clone(),
            job: JobRecord::Process(child.identity()),
        };
        self.running.values().map(record).collect()
    }

    fn log(&self, set: &EngineSet) -> PathBuf {
        self.logs.engine(set.first)
    }

    fn set_size(&self, _count: u32) -> u32 {
        1
    }
}

/// How a process of this host ended, with the kernel's word if memory ran out.
fn describe(status: ExitStatus, pid: u32, memory: &mut OutOfMemory) -> String {
    let word = if status.signal() == Some(libc::SIGKILL) { memory.word(pid) } else { None };
    match word {
        Some(word) => format!("{status}, {word}"),
        None => status.to_string(),
    }
}
