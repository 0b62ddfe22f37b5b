//! The launcher of processes on this host: start, poll, signal, stop.
//!
//! Each start gives a [`ProcessIdentity`] that is written into the cluster's record, from which any later command can
//! find the process. Responsible for processes; when to start and stop them is the supervisor's business.

use crate::cluster::ClusterFolder;
use crate::cluster::handle::EngineRecord;
use crate::cluster::identity::ProcessIdentity;
use crate::settings::StartSettings;
use crate::spawn::{self, ChildOptions};
use crate::system;
use ipclusterz_runtime::ids::EngineId;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// Which of the launcher's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalProcess {
    /// The controller.
    Controller,
    /// The engine that was told to ask for this id.
    Engine(EngineId),
}

/// A child that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Which one.
    pub process: LocalProcess,
    /// How.
    pub status: ExitStatus,
}

struct Running {
    child: Child,
    identity: ProcessIdentity,
}

/// The children of this process.
pub struct LocalLauncher {
    folder: ClusterFolder,
    program: PathBuf,
    python: PathBuf,
    engine_environment: BTreeMap<String, String>,
    controller: Option<Running>,
    engines: BTreeMap<EngineId, Running>,
}

impl LocalLauncher {
    /// Starts nothing yet. `program` is this binary, `python` what runs the engines.
    pub fn new(folder: ClusterFolder, program: PathBuf, python: PathBuf, settings: &StartSettings) -> Self {
        let engine_environment = settings.engine_environment.clone();
        Self { folder, program, python, engine_environment, controller: None, engines: BTreeMap::new() }
    }

    /// The Python of the engines.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Starts the controller by running this binary again; what it prints comes on the returned pipe.
    pub fn start_controller(&mut self, settings: &StartSettings, run_id: &str) -> io::Result<Option<ChildStdout>> {
        let mut command = Command::new(&self.program);
        command.arg0("ipclusterz").args(["controller", "--cluster", &settings.cluster, "--run-id", run_id]);
        command.arg("--directory").arg(self.folder.path());
        if !settings.local {
            command.arg("--no-local");
        }
        if let Some(listen) = &settings.listen {
            command.args(["--listen", listen]);
        }
        for host in &settings.advertise {
            command.args(["--advertise", host]);
        }
        command.stdout(Stdio::piped()).stderr(open_log(&self.folder.logs().controller())?);
        let options = ChildOptions { signal_at_launcher_end: libc::SIGKILL, raise_file_limit: true };
        let mut running = Running::start(command, options)?;
        let output = running.child.stdout.take();
        self.controller = Some(running);
        Ok(output)
    }

    /// Starts an engine that will ask for `id`. A later one under the same id goes on with its log.
    pub fn start_engine(&mut self, id: EngineId, first: bool) -> io::Result<ProcessIdentity> {
        let mut log = open_log(&self.folder.logs().engine(id))?;
        if !first {
            writeln!(log, "--- engine {id} is started again ---")?;
        }
        let mut command = Command::new(&self.python);
        command.args(["-m", "ipclusterz.engine", "--connection-file"]).arg(self.folder.engine_file());
        command.args(["--engine-id", &id.to_string()]).envs(&self.engine_environment);
        command.stdout(log.try_clone()?).stderr(log);
        let options = ChildOptions { signal_at_launcher_end: libc::SIGTERM, raise_file_limit: false };
        let running = Running::start(command, options)?;
        let identity = running.identity;
        self.engines.insert(id, running);
        Ok(identity)
    }

    /// The children that have ended since the last call. What is left of their process groups is killed.
    pub fn poll(&mut self) -> io::Result<Vec<Ended>> {
        let mut ended = Vec::new();
        if let Some(controller) = &mut self.controller
            && let Some(status) = controller.reap()?
        {
            self.controller = None;
            ended.push(Ended { process: LocalProcess::Controller, status });
        }
        for (id, engine) in &mut self.engines {
            if let Some(status) = engine.reap()? {
                ended.push(Ended { process: LocalProcess::Engine(*id), status });
            }
        }
        for end in &ended {
            if let LocalProcess::Engine(id) = end.process {
                self.engines.remove(&id);
            }
        }
        Ok(ended)
    }

    /// Sends `signal` to the process groups of all children.
    pub fn signal(&self, signal: i32) {
        for running in self.controller.iter().chain(self.engines.values()) {
            // A child that has ended but is not reaped yet keeps its pid, so that this cannot hit anybody else.
            let _ = system::signal_group(running.identity.pid, signal);
        }
    }

    /// Whether there are no children left.
    pub fn is_empty(&self) -> bool {
        self.controller.is_none() && self.engines.is_empty()
    }

    /// Whether the controller runs.
    pub fn has_controller(&self) -> bool {
        self.controller.is_some()
    }

    /// The controller's identity, for the record.
    pub fn controller_identity(&self) -> Option<ProcessIdentity> {
        self.controller.as_ref().map(|running| running.identity)
    }

    /// The engines' identities, for the record.
    pub fn engine_records(&self) -> Vec<EngineRecord> {
        self.engines.iter().map(|(id, running)| EngineRecord { id: *id, process: running.identity }).collect()
    }
}

impl Running {
    fn start(command: Command, options: ChildOptions) -> io::Result<Self> {
        let child = spawn::spawn(command, options)?;
        let identity = ProcessIdentity::of(child.id())?;
        Ok(Self { child, identity })
    }

    /// The status, if it has ended. Its process group is killed first, while the zombie still keeps the number.
    fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        if !system::child_has_ended(self.identity.pid)? {
            return Ok(None);
        }
        let _ = system::signal_group(self.identity.pid, libc::SIGKILL);
        self.child.wait().map(Some)
    }
}

/// Appending, so that standard output and error do not overwrite each other. Logs of earlier runs have been removed.
fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
