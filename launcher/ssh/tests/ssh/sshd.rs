//! A private sshd on a free port of the loopback address, with keys of its own, and tools for tests.

use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::system;
use ipclusterz_profile::tables::ssh::{BackendKind, SshTable};
use ipclusterz_ssh::{Asker, Nobody, Question, Remote, Secret, SshError, connect};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Timeout of anything that happens within milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a test for each backend from a function that takes it.
macro_rules! on_both_backends {
    ($($name:ident),* $(,)?) => {
        mod libssh2 {
            $(#[test] fn $name() { super::$name(ipclusterz_profile::tables::ssh::BackendKind::Libssh2); })*
        }
        mod openssh {
            $(#[test] fn $name() { super::$name(ipclusterz_profile::tables::ssh::BackendKind::Openssh); })*
        }
    };
}
pub(crate) use on_both_backends;

/// A server. It ends, with all its sessions, when it is dropped.
pub struct Sshd {
    folder: TempDir,
    child: Option<Child>,
    /// Of its configuration, beside what every server here has.
    more: String,
    pub port: u16,
}

impl Sshd {
    /// Starts a server that accepts the key `id`.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with these lines in its configuration.
    pub fn start_with(more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("ipzs").tempdir_in("/tmp").expect("temporary folder");
        let mut server = Self { folder, child: None, more: more.to_owned(), port: 0 };
        for name in ["host_key", "other_host_key", "id", "stranger"] {
            server.keygen(name, "");
        }
        fs::copy(server.path("id.pub"), server.path("authorized_keys")).expect("copy");
        fs::write(server.path("config"), "").expect("write");
        for _ in 0..20 {
            server.port = free_port();
            if server.listen() {
                server.know(&["host_key"]);
                return server;
            }
        }
        panic!("no free port: {}", server.log());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub fn keygen(&self, name: &str, passphrase: &str) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(self.path(name));
        assert!(command.status().expect("ssh-keygen").success());
    }

    /// Writes known_hosts with these keys for this server.
    pub fn know(&self, keys: &[&str]) {
        let public = |key: &&str| fs::read_to_string(self.path(&format!("{key}.pub"))).expect("a key");
        let lines: String = keys.iter().map(|key| format!("[127.0.0.1]:{} {}", self.port, public(key))).collect();
        fs::write(self.path("known_hosts"), lines).expect("write");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts the server on its port; false when another process has the port.
    pub fn listen(&mut self) -> bool {
        let folder = self.folder.path().display();
        let settings = format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {folder}/host_key\nPidFile none\n\
             AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n\
             Subsystem sftp internal-sftp\n{}\n",
            self.port, self.more
        );
        fs::write(self.path("sshd_config"), settings).expect("write");
        let sshd = format!("exec /usr/sbin/sshd -D -e -f {folder}/sshd_config");
        // As root, sshd needs an empty folder /run/sshd, so it gets a /run of its own.
        let mut command = if system::effective_user() == 0 {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c"]).arg(format!("mount -t tmpfs tmpfs /run && mkdir /run/sshd && {sshd}"));
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", &sshd]);
            command
        };
        let log = fs::File::create(self.path("log")).expect("create");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("clone")).stderr(log).process_group(0);
        let mut child = command.spawn().expect("start sshd");
        let deadline = Instant::now() + PATIENCE;
        let listening = format!("Server listening on 127.0.0.1 port {}", self.port);
        while !self.log().contains(&listening) {
            if child.try_wait().expect("wait").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "sshd does not listen: {}", self.log());
            std::thread::yield_now();
        }
        self.child = Some(child);
        true
    }

    /// Ends the server and all its sessions at once, as when the host crashes.
    pub fn crash(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Sessions have process groups of their own. The server is stopped first, so that it starts no new ones.
        system::signal_process(child.id(), libc::SIGSTOP).expect("stop");
        let sessions = descendants(child.id());
        child.kill().expect("kill");
        child.wait().expect("reap");
        for session in &sessions {
            let _ = system::signal_process(session.pid, libc::SIGKILL);
        }
        until("the sessions have ended", || !sessions.iter().any(ProcessIdentity::is_alive));
    }

    /// Settings that know this server and its key.
    pub fn table(&self, backend: BackendKind) -> SshTable {
        let mut table = ipclusterz_profile::default_tables().expect("the default profile").ssh;
        table.backend = backend;
        table.config = self.text("config");
        table.known_hosts = vec![self.text("known_hosts")];
        table.identity_files = vec![self.text("id")];
        table.agent = false;
        table.connect_timeout = PATIENCE.as_secs_f64();
        table
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn connect(&self, backend: BackendKind) -> Box<dyn Remote> {
        connect(&self.host(), &self.table(backend), &mut Nobody).expect("let in")
    }

    /// The error of a connection that must fail.
    #[track_caller]
    pub fn refused(&self, table: &SshTable) -> SshError {
        match connect(&self.host(), table, &mut Nobody) {
            Ok(_) => panic!("let in"),
            Err(error) => error,
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.crash();
    }
}

fn descendants(pid: u32) -> Vec<ProcessIdentity> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
        found.extend(ProcessIdentity::of(child));
        found.extend(descendants(child));
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Gives prepared answers, and records the questions.
pub struct Script {
    answers: Vec<&'static str>,
    pub asked: Vec<String>,
}

impl Script {
    pub fn new(answers: &[&'static str]) -> Self {
        Self { answers: answers.iter().rev().copied().collect(), asked: Vec::new() }
    }
}

impl Asker for Script {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        self.asked.push(question.prompt.clone());
        self.answers.pop().map(Secret::new)
    }
}

/// A stream of either kind.
pub trait Socket: Read + Write + Send {
    fn end_input(&self);
}

impl Socket for TcpStream {
    fn end_input(&self) {
        self.shutdown(Shutdown::Write).expect("shutdown");
    }
}

impl Socket for UnixStream {
    fn end_input(&self) {
        self.shutdown(Shutdown::Write).expect("shutdown");
    }
}

/// Starts a TCP server that sends back what it gets, each connection in a thread of its own, until the test ends.
/// Returns its port.
pub fn echo_tcp() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream.try_clone().expect("clone"), stream));
        }
    });
    port
}

/// The same at a unix socket.
pub fn echo_unix(path: &Path) {
    let listener = UnixListener::bind(path).expect("listen");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream.try_clone().expect("clone"), stream));
        }
    });
}

fn echo(mut from: impl Read, mut to: impl Socket) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    // Sent after the end of the input, so that a test sees that each direction ends by itself.
    let _ = to.write_all(b"the end");
}

/// Sends `content`, ends the input, and expects the content back, followed by the server's last words.
#[track_caller]
pub fn talk(mut stream: impl Socket, mut writer: impl Socket + 'static, content: Vec<u8>) {
    let expected = content.clone();
    let sender = std::thread::spawn(move || {
        writer.write_all(&content).expect("send");
        writer.end_input();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("receive");
    sender.join().expect("send");
    let (echoed, end) = received.split_at(received.len().saturating_sub(7));
    assert!(echoed == expected, "{} of {} bytes", echoed.len(), expected.len());
    assert_eq!(end, b"the end");
}

/// Bytes that are not all the same.
pub fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|number| (number % 251) as u8).collect()
}

/// Waits for a condition.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
