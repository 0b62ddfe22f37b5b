//! The controller as a child of the launcher: this binary, started again as `ipclusterz controller`.

use ipclusterz_base::addresses;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::spawn::{ChildOptions, ChildProcess};
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::logs::open_log;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::controller::Prefetch;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};

/// A hundred years, in seconds: the grace period never ends.
const FOREVER: &str = "3153600000";

/// The controller process: before it starts, while it runs, and after it has exited. It may be started again.
pub struct ControllerProcess {
    program: PathBuf,
    child: Option<ChildProcess>,
    starts: u32,
}

impl ControllerProcess {
    /// Starts nothing yet. `program` is the path of this binary.
    pub fn new(program: PathBuf) -> Self {
        Self { program, child: None, starts: 0 }
    }

    /// Starts the controller. What it prints arrives on the returned pipe.
    pub fn start(
        &mut self,
        folder: &ClusterFolder,
        settings: &StartSettings,
        run_id: &str,
        resume: bool,
    ) -> io::Result<Option<ChildStdout>> {
        let mut command = Command::new(&self.program);
        command.arg0("ipclusterz").args(["controller", "--cluster", &settings.cluster, "--run-id", run_id]);
        command.arg("--directory").arg(folder.path());
        if !settings.local {
            command.arg("--no-local");
        }
        if let Some(listen) = &settings.listen {
            command.args(["--listen", listen]);
        }
        let table = &settings.tables.controller;
        command.args(["--session-grace", &table.session_grace.to_string(), "--journal", table.journal.word()]);
        command.args(["--engine-grace", &table.engine_grace.to_string()]);
        command.args(["--wait-for-engines", &table.wait_for_engines.to_string()]);
        command.args(["--crash-limit", &table.crash_limit.to_string()]);
        command.args(["--scheme", &table.scheme, "--kill-grace", &table.kill_grace.to_string()]);
        if let Prefetch::Number(prefetch) = table.prefetch {
            command.args(["--prefetch", &prefetch.to_string()]);
        }
        command.args(["--keep-results", &table.keep_results.to_string()]);
        if let Some(bytes) = table.kept_bytes() {
            command.args(["--keep-results-bytes", &bytes.to_string()]);
        }
        command.args(["--keep-events", &table.keep_events.to_string()]);
        if let Some(bytes) = table.kept_bytes_of_events() {
            command.args(["--keep-events-bytes", &bytes.to_string()]);
        }
        if !table.encrypt {
            command.arg("--plain");
        }
        if table.encrypt_tunnels {
            command.arg("--encrypt-tunnels");
        }
        if table.compress {
            command.arg("--compress");
        }
        if resume && self.starts == 0 {
            command.arg("--resume");
        }
        if table.restart {
            command.arg("--restart");
        }
        for host in hosts_to_offer(settings) {
            command.args(["--advertise", &host]);
        }
        if let Some(limit) = settings.tables.logs.limit() {
            command.args(["--log-size", &limit.bytes.to_string(), "--log-files", &limit.files.to_string()]);
        }
        if settings.engines_per_block().is_some() || settings.tables.batch.renew {
            // The work decides when these engines are there. How long the queue lets their jobs wait is not for the
            // launcher to decide.
            command.args(["--no-engine-grace", FOREVER]);
        }
        command.stdout(Stdio::piped()).stderr(open_log(&folder.logs().controller())?);
        let options = ChildOptions { signal_at_launcher_end: libc::SIGKILL, raise_file_limit: true };
        let mut child = ChildProcess::start(command, options)?;
        let output = child.take_stdout();
        self.child = Some(child);
        self.starts += 1;
        Ok(output)
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Reaps it: returns its status once it has exited, and only once.
    pub fn poll(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.reap()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Sends `signal` to its process group.
    pub fn signal(&self, signal: i32) {
        if let Some(child) = &self.child {
            child.signal_group(signal);
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Its identity, for the cluster's record; `None` while it does not run.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.child.as_ref().map(ChildProcess::identity)
    }
}

/// The hosts that the profile names, else all ways to this host if the controller listens on every interface.
fn hosts_to_offer(settings: &StartSettings) -> Vec<String> {
    let listen = settings.listen.as_deref().unwrap_or_default();
    let every_v6 = listen.starts_with("[::]:");
    if !settings.advertise.is_empty() || !(every_v6 || listen.starts_with("0.0.0.0:")) {
        return settings.advertise.clone();
    }
    let hosts = addresses::of_this_host();
    hosts.into_iter().filter(|host| every_v6 || !host.starts_with('[')).collect()
}
