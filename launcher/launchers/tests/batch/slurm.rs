//! A private Slurm: munged, slurmctld and three slurmd on this host, in a folder and on ports of its own.

use ipclusterz_host::spawn::{self, ChildOptions};
use ipclusterz_host::system;
use std::fmt::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Timeout of anything that happens within a second on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition.
#[track_caller]
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The private Slurm. It ends, with all its jobs, when it is dropped.
pub struct Slurm {
    folder: TempDir,
    daemons: Vec<Child>,
}

pub const NODES: usize = 3;

impl Slurm {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("ipslurm").tempdir_in("/tmp").expect("temporary folder");
        let path = folder.path();
        for name in ["state", "spool", "log", "run", "tmp/n1", "tmp/n2", "tmp/n3"] {
            std::fs::create_dir_all(path.join(name)).expect("create");
        }
        std::fs::write(path.join("slurm.conf"), configuration(path)).expect("write");
        std::fs::write(path.join("munge.key"), random(128)).expect("write");
        Command::new("chmod").args(["400"]).arg(path.join("munge.key")).status().expect("chmod");
        let mut slurm = Self { folder, daemons: Vec::new() };
        let run = |name: &str| slurm.path("run").join(name).display().to_string();
        let munged = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--key-file={}", slurm.path("munge.key").display()),
            format!("--socket={}", run("munge.sock")),
            format!("--pid-file={}", run("munged.pid")),
            format!("--log-file={}", slurm.path("log/munged.log").display()),
            format!("--seed-file={}", run("munged.seed")),
        ];
        let socket = slurm.path("run/munge.sock");
        slurm.daemon("munged", &munged);
        until("munged listens", PATIENCE, || UnixStream::connect(&socket).ok());
        slurm.daemon("slurmctld", &["-D".to_owned()]);
        for node in 1..=NODES {
            slurm.daemon("slurmd", &["-D".to_owned(), "-N".to_owned(), format!("n{node}")]);
        }
        until("all nodes are idle", PATIENCE, || {
            (slurm.query("sinfo", &["-h", "-t", "idle", "-o", "%D"]).trim() == NODES.to_string()).then_some(())
        });
        slurm
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Words before a command that make it talk to this Slurm.
    pub fn environment(&self) -> [String; 2] {
        ["env".to_owned(), format!("SLURM_CONF={}", self.path("slurm.conf").display())]
    }

    /// The standard output of a command, which is empty for most that fail.
    pub fn query(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).env("SLURM_CONF", self.path("slurm.conf"));
        String::from_utf8(command.output().expect(program).stdout).expect("UTF-8")
    }

    fn daemon(&mut self, program: &str, arguments: &[String]) {
        let mut command = Command::new(format!("/usr/sbin/{program}"));
        command.args(arguments).env("SLURM_CONF", self.path("slurm.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // The daemon gets SIGTERM when the test's thread ends, in whatever way.
        let options = ChildOptions { signal_at_launcher_end: libc::SIGTERM, raise_file_limit: false };
        self.daemons.push(spawn::spawn(command, options).expect("install slurm-wlm and munge"));
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let all = ["--state=PENDING,RUNNING,SUSPENDED", "--full", "--signal=KILL"];
        for arguments in [&["--state=PENDING"][..], &all[..]] {
            let user = format!("--user={}", user());
            let mut words = vec![user.as_str()];
            words.extend(arguments);
            self.query("scancel", &words);
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.query("squeue", &["-h"]).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        for child in self.daemons.iter_mut().rev() {
            let _ = system::signal_process(child.id(), libc::SIGTERM);
            if !system::wait_for_end(child.id(), Duration::from_secs(10)).unwrap_or(true) {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
        for pid in processes_in(self.folder.path()) {
            let _ = system::signal_process(pid, libc::SIGKILL);
        }
    }
}

/// The slurmstepd processes that have a file of this folder open; slurmd does not end them.
fn processes_in(folder: &Path) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |pid: &u32| {
        let folder_of = |descriptor: std::fs::DirEntry| std::fs::read_link(descriptor.path()).ok();
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program.ends_with("slurmstepd")
            && std::fs::read_dir(format!("/proc/{pid}/fd"))
                .is_ok_and(|all| all.flatten().filter_map(folder_of).any(|path| path.starts_with(folder)))
    };
    pids.filter(ours).collect()
}

fn random(bytes: usize) -> Vec<u8> {
    use std::io::Read;
    let mut key = vec![0; bytes];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key)).expect("random bytes");
    key
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn configuration(folder: &Path) -> String {
    let host = String::from_utf8(Command::new("hostname").arg("-s").output().expect("hostname").stdout).expect("UTF-8");
    let (host, user, path) = (host.trim(), user(), folder.display());
    // All ports are held until all are known, so that they differ.
    let listeners: Vec<TcpListener> =
        (0..=NODES).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().expect("address").port()).collect();
    let mut text = format!(
        "ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={path}/run/munge.sock
CredType=cred/munge
MpiDefault=none
TmpFS={path}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation={path}/state
SlurmdSpoolDir={path}/spool/%n
SlurmctldPidFile={path}/run/slurmctld.pid
SlurmdPidFile={path}/run/slurmd.%n.pid
SlurmctldLogFile={path}/log/slurmctld.log
SlurmdLogFile={path}/log/slurmd.%n.log
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=300
MessageTimeout=10
PartitionName=debug Nodes=n[1-{NODES}] Default=YES MaxTime=INFINITE State=UP
",
        ports[0]
    );
    for (node, port) in (1..=NODES).zip(&ports[1..]) {
        let line =
            format!("NodeName=n{node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=1000");
        writeln!(text, "{line} State=UNKNOWN").expect("text");
    }
    text
}
