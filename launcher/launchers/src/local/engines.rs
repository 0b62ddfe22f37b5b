//! What the engines of this host have in common: their command line, their logs, and what is told of their ends.

use crate::causes;
use crate::cluster::logs::{LogFolder, open_log};
use crate::confined::Confined;
use crate::engine_words;
use crate::seats::Seats;
use crate::set::{EngineSet, SetEnd, SetId};
use crate::setup::Setup;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::out_of_memory::OutOfMemory;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::engines::EnginesTable;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// What the engines of this host have in common.
pub struct LocalEngines {
    logs: LogFolder,
    engine_file: PathBuf,
    python: PathBuf,
    setup: Option<Setup>,
    wrap: Vec<String>,
    directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    /// Options of each engine.
    options: Vec<String>,
    table: EnginesTable,
    /// How many engines were asked for.
    engines: u32,
    seats: Seats,
    confined: Confined,
    memory: OutOfMemory,
    /// Engines that were started before; a restarted engine appends to its log.
    known: BTreeSet<EngineId>,
}

impl LocalEngines {
    /// `python` runs the engines, `setup` before them; `engine_file` is their connection file.
    pub fn new(
        logs: LogFolder,
        engine_file: PathBuf,
        python: PathBuf,
        setup: Option<Setup>,
        settings: &StartSettings,
    ) -> Self {
        let engines = &settings.tables.engines;
        let option = |name: &str, value: f64| [name.to_owned(), value.to_string()];
        let options = [
            option("--lease", engines.lease),
            option("--end-timeout", engines.end_timeout),
            option("--timeout", engine_words::timeout(settings.timeout.as_secs_f64())),
        ];
        let preload = engine_words::preload(&engines.preload);
        Self {
            logs,
            engine_file,
            python,
            setup,
            wrap: engines.wrap.clone(),
            directory: Some(PathBuf::from(&engines.directory)).filter(|path| !path.as_os_str().is_empty()),
            environment: engines.env.clone(),
            options: options.into_iter().flatten().chain(preload).collect(),
            table: engines.clone(),
            engines: settings.engines,
            seats: Seats::default(),
            confined: Confined::new(engines),
            memory: OutOfMemory::default(),
            known: BTreeSet::new(),
        }
    }

    /// The logs of the cluster.
    pub fn logs(&self) -> &LogFolder {
        &self.logs
    }

    /// What starts a Python with the engine's program: the setup of a set, `engines.wrap`, environment and folder. Options
    /// are to be added.
    pub fn command(&self, set: SetId) -> Result<Command, Failure> {
        self.setup.as_ref().map_or(Ok(()), |setup| setup.expect(set))?;
        let python = self.python.as_os_str().to_owned();
        let setup = self.setup.iter().flat_map(|setup| setup.words(set));
        let mut words = setup.chain(self.wrap.iter().map(OsString::from)).chain([python]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(engine_words::PROGRAM);
        command.envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Ok(command)
    }

    /// The options of an engine.
    pub fn options(&mut self, id: EngineId) -> io::Result<Vec<OsString>> {
        let seat = self.seats.take(id, self.engines);
        let confined = self.confined.prepare(id)?;
        let mut words = self.common(["--engine-id".to_owned(), id.to_string()]);
        words.extend(engine_words::of_host(&self.table, 0, seat).into_iter().map(OsString::from));
        words.extend(confined.map(OsString::from));
        Ok(words)
    }

    /// The options of what engines are forked from; `what` says that it is that.
    pub fn options_of_server(&self, what: [String; 2]) -> Vec<OsString> {
        let mut words = self.common(what);
        words.extend(engine_words::of_server(&self.table, self.engines).into_iter().map(OsString::from));
        words
    }

    fn common(&self, what: [String; 2]) -> Vec<OsString> {
        let file = [OsString::from("--connection-file"), self.engine_file.clone().into()];
        file.into_iter().chain(what.into_iter().chain(self.options.clone()).map(OsString::from)).collect()
    }

    /// An engine is this process now.
    pub fn entered(&self, id: EngineId, pid: u32) {
        self.confined.enter(id, pid);
    }

    /// An engine is told to end.
    pub fn leaves(&mut self, id: EngineId) {
        self.seats.leave(id);
    }

    /// Opens the log of an engine.
    pub fn open_log(&mut self, id: EngineId) -> Result<File, Failure> {
        let log = open_log(&self.logs.engine(id));
        let mut log = log.map_err(Failure::io(format!("cannot start engine {id}: opening its log")))?;
        if !self.known.insert(id) {
            // For its reader alone: a disk that is full does not keep an engine away.
            let _ = writeln!(log, "--- engine {id} is started again ---");
        }
        Ok(log)
    }

    /// That an engine cannot be started.
    pub fn not_started(&self, id: EngineId, error: &io::Error) -> Failure {
        let message = format!("cannot start engine {id} with {}: {error}", self.python.display());
        let cause = causes::in_text(&error.to_string());
        let no_python = || "is it a Python that runs on this host? choose one with --python".to_owned();
        let hint = cause.map_or_else(no_python, |cause| cause.hint(&self.python));
        Failure::new(Exit::StartFailed, message).with_hint(hint)
    }

    /// The end of an engine that was this process.
    pub fn ended(&mut self, set: &EngineSet, pid: u32, status: ExitStatus) -> SetEnd {
        let how = match self.confined.ended(set.first) {
            Some(why) => format!("{status}, {why}"),
            None => self.how(pid, status),
        };
        self.end(set, status.success(), how)
    }

    /// The end of a set, for the reason that its setup has failed, if it has.
    pub fn end(&mut self, set: &EngineSet, orderly: bool, how: String) -> SetEnd {
        self.seats.ended(set.first);
        SetEnd::new(orderly, how, Some(self.logs.engine(set.first))).because_of_setup(self.setup_failure(set.id))
    }

    /// What a shell of the set has told of its setup, if that has failed.
    pub fn setup_failure(&self, set: SetId) -> Option<String> {
        self.setup.as_ref().and_then(|setup| setup.failure(set))
    }

    /// How a process of this host ended, with the kernel's word if memory ran out.
    pub fn how(&mut self, pid: u32, status: ExitStatus) -> String {
        let killed = status.signal() == Some(libc::SIGKILL);
        match killed.then(|| self.memory.word(pid)).flatten() {
            Some(word) => format!("{status}, {word}"),
            None => status.to_string(),
        }
    }
}
