//! SSH by the system's `ssh`: one master process, which commands, files and forwards go through.
//!
//! - [`folder`]: the configuration, the control socket and the pipes for questions
//! - [`keeper`]: the thread that keeps the master
//! - [`children`], [`relay`]: processes; local connections
//! - [`explain`]: turns what `ssh` prints into errors

mod children;
pub mod explain;
mod folder;
mod keeper;
mod relay;

use crate::account;
use crate::asker::Asker;
use crate::ends::{Endpoint, Forward, LocalListener};
use crate::error::SshError;
use crate::known_hosts::files_of;
use crate::openssh::explain::{Attempt, without_debug};
use crate::openssh::folder::PrivateFolder;
use crate::openssh::keeper::{Command, Keeper, Progress, READY};
use crate::poll::Waker;
use crate::remote::{OnLoss, Remote, RunOutput};
use crate::target::{Target, host_and_port};
use ipclusterz_base::places;
use ipclusterz_host::shell::{quote, sh};
use ipclusterz_host::signals::told_to_end;
use ipclusterz_profile::tables::ssh::SshTable;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Timeout of requests to the master.
const PATIENCE: Duration = Duration::from_secs(30);
/// Timeout of a file, in addition to the time that its bytes take at a slow megabyte per second.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(60);
/// Interval between two checks whether anybody still waits for the connection.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Timeout of the keeper to notice that the master has ended.
const NOTICE_PATIENCE: Duration = Duration::from_secs(5);
/// Timeout of the keeper to end, which takes longer than ending any of its children.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Exit status of our script when the file does not exist.
const MISSING: i32 = 44;

/// A connection by the system's `ssh`.
pub struct Openssh {
    host: String,
    program: String,
    control: PathBuf,
    folder: PathBuf,
    commands: Sender<Command>,
    waker: Waker,
    ended: Receiver<()>,
    forwards: u64,
}

/// Connects to `target` as the user's configuration and `table` say. Asks `asker` for passphrases and passwords.
pub fn connect(target: &Target, table: &SshTable, asker: &mut dyn Asker) -> Result<Openssh, SshError> {
    let timeout = Duration::from_secs_f64(table.connect_timeout.clamp(0.1, 86_400.0));
    let has_both = has_option(&table.program, IN_FOREGROUND);
    let tells_keys = has_both || has_option(&table.program, KEYS_TOLD);
    let folder = PrivateFolder::new(&target.to_string(), table, tells_keys)?;
    let process = master(target, table, &folder, has_both);
    let attempt = Attempt {
        host: target.to_string(),
        arguments: arguments(target, table),
        known_hosts: files_of(table)?.iter().map(|file| file.display().to_string()).collect(),
        reason: asker.reason().to_owned(),
    };
    let waker = Waker::new().map_err(SshError::local("making an eventfd"))?;
    let (commands, taken) = channel();
    let (progress, news) = channel();
    let (end, ended) = channel::<()>();
    let remote = Openssh {
        host: target.to_string(),
        program: table.program.clone(),
        control: folder.control(),
        folder: folder.path().to_path_buf(),
        commands,
        waker: waker.clone(),
        ended,
        forwards: 0,
    };
    let keeper = Keeper { folder, attempt, commands: taken, waker, progress, timeout };
    let program = table.program.clone();
    let work = move || {
        // Dropped when this thread ends, even by a panic.
        let _end = end;
        keeper.run(process, &program);
    };
    std::thread::Builder::new()
        .name(format!("ssh-{}", target.host))
        .spawn(work)
        .map_err(SshError::local("starting a thread"))?;
    loop {
        if asker.has_given_up() {
            return Err(SshError::GivenUp { host: target.to_string() });
        }
        match news.recv_timeout(CHECK_INTERVAL) {
            Ok(Progress::Ask(question, answer)) => {
                let answered = asker.ask(&question);
                if answered.is_none() && told_to_end() {
                    return Err(SshError::GivenUp { host: target.to_string() });
                }
                drop(answer.send(answered.ok_or_else(|| asker.reason())));
            }
            Ok(Progress::Done(result)) => return result.map(|()| remote),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the connecting thread ended".to_owned();
                return Err(SshError::Connect { host: target.to_string(), message });
            }
        }
    }
}

/// Of OpenSSH 8.5 and later, which tells the keys that hosts show.
const KEYS_TOLD: &str = "KnownHostsCommand=none";
/// Of OpenSSH 8.7 and later, which have the other one too; before, only an argument has it go to the background.
const IN_FOREGROUND: &str = "ForkAfterAuthentication=no";

/// Whether this `ssh` knows an option. Runs it.
fn has_option(program: &str, option: &str) -> bool {
    let mut process = Process::new(program);
    process.args(["-F", "none", "-o", option, "-G", "host"]);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A program that cannot be started is reported where it is needed.
    let output =
        children::spawn(process).and_then(|child| children::communicate(child, b"", Instant::now() + PATIENCE));
    matches!(output, Ok(Some(RunOutput { status: 0, .. })))
}

/// The arguments with which a user connects to `target` by hand.
fn arguments(target: &Target, table: &SshTable) -> String {
    let mut words = Vec::new();
    if !table.config.is_empty() && table.config != "~/.ssh/config" {
        let home = account::home(&account::Account::of_this_process());
        let path = account::expand(&table.config, &home);
        words.extend(["-F".to_owned(), quote(&path.to_string_lossy())]);
    }
    if let Some(port) = target.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words.push(match &target.user {
        Some(user) => quote(&format!("{user}@{}", target.host)),
        None => quote(&target.host),
    });
    words.join(" ")
}

/// The command line of the master, for a program that has both options, or is older.
fn master(target: &Target, table: &SshTable, folder: &PrivateFolder, has_both: bool) -> Process {
    let mut process = Process::new(&table.program);
    process.arg("-F").arg(folder.config()).arg("-S").arg(folder.control()).args(["-M", "-N", "-T", "-v"]);
    for option in [
        "ControlPersist=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=yes",
        &format!("LocalCommand=echo {READY}"),
        if table.ask { "BatchMode=no" } else { "BatchMode=yes" },
    ] {
        process.args(["-o", option]);
    }
    if has_both {
        process.args(["-o", IN_FOREGROUND]);
    }
    if let Some(user) = &target.user {
        process.args(["-l", user]);
    }
    if let Some(port) = target.port {
        process.args(["-p", &port.to_string()]);
    }
    process.args(["--", &target.host]);
    process.env("SSH_ASKPASS", folder.askpass()).env("SSH_ASKPASS_REQUIRE", "force");
    process.env("IPCLUSTERZ_ASKPASS", folder.path()).env("LC_ALL", "C");
    // Versions before 8.4 do not ask through a program without it.
    if std::env::var_os("DISPLAY").is_none() {
        process.env("DISPLAY", ":0");
    }
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    process
}

impl Openssh {
    fn send(&self, command: Command) {
        // Fails only when the keeper has ended, which is noticed by whoever waits for an answer.
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }

    fn lost(&self) -> Option<SshError> {
        let (sender, receiver) = channel();
        self.send(Command::Ask(sender));
        let reason = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| Some("its keeper has ended".to_owned()))?;
        Some(SshError::Lost { host: self.host.clone(), reason })
    }

    /// Whether the connection is lost. A process that went through it may have noticed that before the keeper did, so
    /// this waits for the keeper if the master does not answer.
    fn wait_for_loss(&self) -> Result<Option<SshError>, SshError> {
        let deadline = Instant::now() + NOTICE_PATIENCE;
        let check = self.through_master(&["-O", "check", "--", "master"]);
        if self.communicate(check, b"", deadline, "asking the master whether it is there")?.status == 0 {
            return Ok(self.lost());
        }
        loop {
            if let Some(lost) = self.lost() {
                return Ok(Some(lost));
            }
            if Instant::now() >= deadline {
                let reason = "the master does not answer".to_owned();
                return Ok(Some(SshError::Lost { host: self.host.clone(), reason }));
            }
            std::thread::sleep(CHECK_INTERVAL / 10);
        }
    }

    /// A process that goes through the master. It fails if the master is gone, and never connects by itself.
    fn through_master(&self, arguments: &[&str]) -> Process {
        let mut process = Process::new(&self.program);
        process.args(["-F", "none", "-S"]).arg(&self.control).args(["-T", "-o", "ControlMaster=no"]);
        process.args(["-o", "ProxyCommand=false", "-o", "BatchMode=yes"]).args(arguments);
        process.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process
    }

    fn communicate(
        &self,
        process: Process,
        input: &[u8],
        deadline: Instant,
        doing: &str,
    ) -> Result<RunOutput, SshError> {
        let started = Instant::now();
        let (reply, answer) = channel();
        self.send(Command::Spawn(process, reply));
        let spawned = match answer.recv_timeout(PATIENCE) {
            Ok(spawned) => spawned,
            Err(_) => {
                return Err(SshError::Lost { host: self.host.clone(), reason: "its keeper has ended".to_owned() });
            }
        };
        let child = spawned.map_err(|source| SshError::Program { program: self.program.clone(), source })?;
        let output = children::communicate(child, input, deadline).map_err(SshError::local("reading from ssh"))?;
        output.ok_or_else(|| SshError::Timeout {
            host: self.host.clone(),
            doing: doing.to_owned(),
            seconds: deadline.saturating_duration_since(started).as_secs_f64(),
        })
    }

    /// Sends a request to the master. Returns what it prints.
    fn request(&self, request: &str, arguments: &[&str], what: &str) -> Result<String, SshError> {
        let all = [&["-O", request], arguments, &["--", "master"]].concat();
        let deadline = Instant::now() + PATIENCE;
        let output = self.communicate(self.through_master(&all), b"", deadline, &format!("forwarding {what}"))?;
        if output.status == 0 {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        let message = without_debug(&String::from_utf8_lossy(&output.stderr)).trim().replace('\n', "; ");
        Err(SshError::Forward { host: self.host.clone(), what: what.to_owned(), message })
    }

    fn cancel(
        &self,
        option: &'static str,
        specification: String,
        relay: Option<relay::RelayHandle>,
    ) -> impl FnOnce() + Send + use<> {
        let mut process = self.through_master(&["-O", "cancel", option, &specification, "--", "master"]);
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (commands, waker) = (self.commands.clone(), self.waker.clone());
        move || {
            if let Some(relay) = relay {
                relay.end();
            }
            if commands.send(Command::Errand(process)).is_ok() {
                waker.wake();
            }
        }
    }

    /// Runs one of our scripts. A failure of the script is an error.
    fn script(&mut self, script: &str, input: &[u8], doing: &'static str, path: &str) -> Result<Vec<u8>, SshError> {
        let timeout = TRANSFER_PATIENCE + Duration::from_micros(u64::try_from(input.len()).unwrap_or(u64::MAX));
        let output = self.run(&sh(script), input, Instant::now() + timeout)?;
        let (host, path) = (self.host.clone(), path.to_owned());
        match output.status {
            0 => Ok(output.stdout),
            MISSING => Err(SshError::Missing { host, path }),
            status => {
                let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
                let message = if said.is_empty() { format!("status {status}") } else { said };
                Err(SshError::Transfer { host, path, doing, message })
            }
        }
    }
}

impl Remote for Openssh {
    fn host(&self) -> &str {
        &self.host
    }

    fn run(&mut self, command: &str, stdin: &[u8], deadline: Instant) -> Result<RunOutput, SshError> {
        let process = self.through_master(&["--", "master", command]);
        let output = self.communicate(process, stdin, deadline, &format!("running `{command}`"))?;
        // ssh reports its own failures by a status that a command may have as well.
        if output.status == 255 {
            if let Some(lost) = self.wait_for_loss()? {
                return Err(lost);
            }
            let said = String::from_utf8_lossy(&output.stderr);
            if said.lines().any(|line| line.starts_with("mux_client_")) {
                let reason = without_debug(&said).trim().replace('\n', "; ");
                return Err(SshError::Lost { host: self.host.clone(), reason });
            }
        }
        Ok(output)
    }

    fn upload(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), SshError> {
        let temporary = quote(&format!("{path}.{}", places::random_hex(4)));
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map(|folder| format!("mkdir -p {} && ", quote(&folder.to_string_lossy())));
        // The length is checked because a broken connection looks like the end of the file.
        let script = format!(
            "umask 077; {}{{ set -C; cat > {temporary}; }} && \
             if [ $(wc -c < {temporary}) -eq {} ] && chmod {mode:o} {temporary} && mv -f {temporary} {}; then :; \
             else rm -f {temporary}; exit 1; fi",
            folder.unwrap_or_default(),
            content.len(),
            quote(path),
        );
        self.script(&script, content, "writing", path).map(drop)
    }

    fn download(&mut self, path: &str) -> Result<Vec<u8>, SshError> {
        let quoted = quote(path);
        self.script(&format!("[ -e {quoted} ] || exit {MISSING}; exec cat {quoted}"), b"", "reading", path)
    }

    fn forward_local(&mut self, listener: LocalListener, to: &Endpoint) -> Result<Forward, SshError> {
        self.forwards += 1;
        let near = self.folder.join(format!("f{}", self.forwards));
        let specification = format!("{}:{}", near.display(), forward_spec(to));
        self.request("forward", &["-L", &specification], &format!("{} to {to}", listener.endpoint()))?;
        let listens = listener.endpoint().clone();
        let relay = relay::start(listener, near)?;
        self.send(Command::Relay(relay.clone()));
        Ok(Forward::new(listens, self.cancel("-L", specification, Some(relay))))
    }

    fn forward_back(&mut self, listen: &Endpoint, to: &Endpoint) -> Result<Forward, SshError> {
        let specification = format!("{}:{}", forward_spec(listen), forward_spec(to));
        let printed = self.request("forward", &["-R", &specification], &format!("its {listen} to {to}"))?;
        let listens = match listen {
            Endpoint::Tcp { host, port: 0 } => {
                let port = printed.split_whitespace().find_map(|word| word.parse().ok());
                let message = || format!("ssh did not say which port it is: {printed:?}");
                let port = port.ok_or_else(|| SshError::Forward {
                    host: self.host.clone(),
                    what: listen.to_string(),
                    message: message(),
                })?;
                Endpoint::Tcp { host: host.clone(), port }
            }
            _ => listen.clone(),
        };
        Ok(Forward::new(listens, self.cancel("-R", specification, None)))
    }

    fn when_lost(&mut self, tell: OnLoss) {
        self.send(Command::WhenLost(tell));
    }
}

/// Formats an endpoint as a part of `-L` and `-R`.
fn forward_spec(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp { host, port } => host_and_port(host, *port),
        Endpoint::Unix(path) => path.display().to_string(),
    }
}

impl Drop for Openssh {
    fn drop(&mut self) {
        self.send(Command::End);
        // The thread drops the sender when it ends, after its children have ended.
        let _: Result<(), RecvTimeoutError> = self.ended.recv_timeout(CLOSE_TIMEOUT);
    }
}
