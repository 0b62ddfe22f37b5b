//! Support for the tests: a state folder for each test, scripts in place of Python, and waits with a deadline.

use ipclusterz_host::system;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The exit code and the output of a command that has exited.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The one JSON value that it printed.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "not one value: {}", self.stdout);
        let value: serde_json::Value = serde_json::from_str(&self.stdout).expect("JSON on stdout");
        assert_eq!(value["version"], 1, "{value}");
        value
    }

    /// Checks exit code and stderr.
    #[track_caller]
    pub fn assert_fails(&self, code: i32, expected: &str) {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        assert_eq!(self.stderr, expected);
        assert_eq!(self.stdout, "");
    }
}

/// A user with an empty state folder.
pub struct User {
    folder: TempDir,
    pipes: AtomicUsize,
}

impl User {
    pub fn new() -> Self {
        // Short, because the path of a unix socket is limited to 107 bytes.
        let folder = tempfile::Builder::new().prefix("ipz").tempdir_in("/tmp").expect("temporary folder");
        for name in ["home", "run", "config/ipclusterz/profiles"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("create");
        }
        Self { folder, pipes: AtomicUsize::new(0) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ipclusterz` with these arguments, split at spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipclusterz"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("IPCLUSTERZ_") {
                command.env_remove(name);
            }
        }
        command
            .env("IPCLUSTERZ_HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("IPCLUSTERZ_SITE_PROFILES", self.path("site"))
            .args(arguments.split_whitespace())
            .stdin(Stdio::null());
        command
    }

    /// Runs it until it exits. In its output, `[USER]` stands for the folder of this user.
    pub fn run(&self, arguments: &str) -> Outcome {
        self.outcome(&mut self.command(arguments))
    }

    pub fn outcome(&self, command: &mut Command) -> Outcome {
        let output = command.output().expect("run ipclusterz");
        let user = self.folder.path().to_str().expect("UTF-8");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").replace(user, "[USER]");
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// A script that is run in place of Python.
    pub fn python(&self, script: &str) -> PathBuf {
        let path = self.path("python3");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// Starts a cluster in the foreground whose engines run but never register. Returns when all of them run.
    pub fn start_sleeping(&self, arguments: &str, engines: usize) -> Sleeping {
        // Each cluster has its own pipe: the reader of an earlier pipe would take the lines of this cluster.
        let number = self.pipes.fetch_add(1, Ordering::Relaxed);
        let fifo = self.path(&format!("fifo-{number}"));
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
        let python = self.python(&format!("echo $$ > {}\nexec sleep 1000", fifo.display()));
        let mut command = self.command(arguments);
        // The script stands in for engines, not for what forks them.
        command.args(["--set", "engines.fork=false"]);
        let command = command.arg("--python").arg(python).stdout(Stdio::piped()).stderr(Stdio::piped());
        let launcher = command.spawn().expect("start ipclusterz");
        let pids = lines(&fifo);
        let engine = |_| pids.recv_timeout(PATIENCE).expect("an engine is started").parse().expect("a pid");
        Sleeping { engines: (0..engines).map(engine).collect(), launcher }
    }

    /// Asserts that no process, socket, segment or connection file of this user is left.
    #[track_caller]
    pub fn assert_clean(&self, cluster: &str) {
        let sockets = self.path("run/ipclusterz");
        let left = |folder: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        assert_eq!(left(&sockets), Vec::<PathBuf>::new());
        let mut files = left(&self.path("home/clusters").join(cluster));
        files.retain(|path| !path.ends_with("lock") && !path.ends_with("logs"));
        assert_eq!(files, Vec::<PathBuf>::new());
    }
}

impl Drop for User {
    /// A failed test must not leave a cluster behind.
    fn drop(&mut self) {
        let _ = self.command("stop --all").output();
    }
}

/// A cluster in the foreground that waits for its engines.
pub struct Sleeping {
    pub launcher: Child,
    pub engines: Vec<u32>,
}

impl Sleeping {
    pub fn signal(&self, signal: i32) {
        system::signal_process(self.launcher.id(), signal).expect("signal");
    }

    /// Waits until the launcher exits, and asserts that the engines have exited too.
    pub fn end(mut self) -> (Option<i32>, String) {
        assert!(system::wait_for_end(self.launcher.id(), PATIENCE).expect("wait"), "the launcher does not end");
        for engine in &self.engines {
            assert!(system::wait_for_end(*engine, PATIENCE).expect("wait"), "engine process {engine} lives on");
        }
        let code = self.launcher.wait().expect("reap").code();
        let stderr = self.launcher.stderr.take().expect("piped");
        (code, std::io::read_to_string(stderr).expect("UTF-8"))
    }
}

/// The lines that are written to a named pipe, as they arrive. The reading thread lives until the test ends.
fn lines(fifo: &Path) -> Receiver<String> {
    // Also opened for writing, so that reading does not end when a writer closes the pipe.
    let file: File = OpenOptions::new().read(true).write(true).open(fifo).expect("open the named pipe");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
