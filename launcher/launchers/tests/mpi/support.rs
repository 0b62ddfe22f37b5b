//! A folder for each test, the script that stands in for the engine, and waits with a timeout.

use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places::random_hex;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::marked;
use ipclusterz_launchers::cluster::logs::LogFolder;
use ipclusterz_launchers::contract::Launcher;
use ipclusterz_launchers::program::said::Causes;
use ipclusterz_launchers::program::{EngineCommand, ProgramLauncher, ProgramSettings, Starter};
use ipclusterz_launchers::record::JobRecord;
use ipclusterz_launchers::set::{EngineSet, SetEnd, SetEvent, SetId};
use ipclusterz_profile::tables::engines::OnRankLoss;
use ipclusterz_profile::tables::mpiexec::{Binding, FlavourChoice, MpiexecTable};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Timeout of anything that happens within a second on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The MPIs of Debian's packages openmpi-bin and mpich.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpi {
    Open,
    Mpich,
}

impl Mpi {
    pub fn table(self) -> MpiexecTable {
        let program = match self {
            Mpi::Open => "mpiexec.openmpi",
            Mpi::Mpich => "mpiexec.mpich",
        };
        MpiexecTable {
            program: program.to_owned(),
            flavour: FlavourChoice::Auto,
            hosts: Vec::new(),
            hostfile: String::new(),
            oversubscribe: true,
            bind: Binding::Unset,
            allow_root: true,
            arguments: Vec::new(),
            check_world: false,
        }
    }
}

/// Prints its rank, and reads and runs an order. A rank of MPICH first initialises PMI, so that hydra cares how the
/// rank ends. It also starts a process that leaves group and session as a daemon does.
const ENGINE: &str = r#"#!/bin/bash
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
size=${OMPI_COMM_WORLD_SIZE:-$PMI_SIZE}
if [ -n "$PMI_FD" ]; then
    echo "cmd=init pmi_version=1 pmi_subversion=1" >&"$PMI_FD"
    read -r answer <&"$PMI_FD"
fi
echo "engine of rank $rank"
echo "$rank $size $$ $LAB $PWD $*" > "$FOLDER/rank-$rank.new"
mv "$FOLDER/rank-$rank.new" "$FOLDER/rank-$rank"
(
    for descriptor in {3..64}; do eval "exec $descriptor>&-"; done
    exec setsid sleep 1000 > /dev/null 2>&1
) &
read -r order < "$FOLDER/orders-$rank"
eval "$order"
"#;

/// An engine in a real MPI_COMM_WORLD, without a child process.
const ENGINE_WITH_MPI: &str = r#"#!/usr/bin/python3
import ctypes, os
environment, folder = os.environ, os.environ["FOLDER"]
open_mpi = "OMPI_COMM_WORLD_RANK" in environment
mpi = ctypes.CDLL("libmpi.so.40" if open_mpi else "libmpich.so.12", mode=ctypes.RTLD_GLOBAL)
if mpi.MPI_Init(None, None) != 0:
    raise SystemExit("MPI_Init failed")
rank, size = (environment["OMPI_COMM_WORLD_" + name] if open_mpi else environment["PMI_" + name] for name in ("RANK", "SIZE"))
with open(f"{folder}/rank-{rank}.new", "w") as file:
    file.write(f"{rank} {size} {os.getpid()}")
os.rename(f"{folder}/rank-{rank}.new", f"{folder}/rank-{rank}")
exec(open(f"{folder}/orders-{rank}").read())
"#;

/// The launcher of a cluster's sets, and the files through which the script reports.
pub struct Trial {
    pub launcher: ProgramLauncher,
    pub folder: TempDir,
    pub run_id: String,
    pub ended: Option<SetEnd>,
    pid: Option<u32>,
}

impl Trial {
    pub fn new(mpi: Mpi) -> Self {
        Self::with_table(&mpi.table())
    }

    pub fn with_table(table: &MpiexecTable) -> Self {
        Self::with_starter(|_| Starter::mpiexec(table)).expect("a program")
    }

    /// A trial whose set goes on when a rank is lost.
    pub fn shrinking(mpi: Mpi) -> Self {
        Self::with(|_| Starter::mpiexec(&mpi.table()), OnRankLoss::Shrink).expect("a program")
    }

    pub fn with_starter(starter: impl FnOnce(&TempDir) -> Result<Starter, Failure>) -> Result<Self, Failure> {
        Self::with(starter, OnRankLoss::default())
    }

    fn with(
        starter: impl FnOnce(&TempDir) -> Result<Starter, Failure>,
        on_rank_loss: OnRankLoss,
    ) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("ipz").tempdir_in("/tmp").expect("temporary folder");
        let engine = folder.path().join("engine");
        std::fs::write(&engine, ENGINE).expect("write");
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        for name in ["logs", "scratch", "work"] {
            std::fs::create_dir(folder.path().join(name)).expect("create");
        }
        let run_id = random_hex(8);
        let command = EngineCommand {
            wrap: Vec::new(),
            setup: None,
            python: engine,
            connection_file: "engine.json".into(),
            lease: None,
            end_timeout: 2.0,
            timeout: 60.0,
            shares: Vec::new(),
            one_parent: false,
            fork: false,
            agent: false,
            preload: Vec::new(),
            check_world: false,
            on_rank_loss,
            says_end: false,
        };
        let environment = [("FOLDER", folder.path().to_str().expect("UTF-8")), ("LAB", "blue")];
        let settings = ProgramSettings {
            starter: starter(&folder)?,
            command,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            pass: Vec::new(),
            directory: folder.path().join("work"),
            logs: LogFolder::at(folder.path().join("logs")),
            scratch: folder.path().join("scratch"),
            run_id: run_id.clone(),
            causes: Causes::default(),
        };
        Ok(Self { launcher: ProgramLauncher::new(settings), folder, run_id, ended: None, pid: None })
    }

    /// Makes engines that start from now on join a real MPI_COMM_WORLD; their orders are lines of Python.
    pub fn with_mpi(self) -> Self {
        std::fs::write(self.path("engine"), ENGINE_WITH_MPI).expect("write");
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("logs/set-0.log")).unwrap_or_default()
    }

    /// Starts set 0 with engines from id 10 on, and waits until all its ranks have reported. Returns rank, size, pid,
    /// variable, folder and arguments of each.
    pub fn start(&mut self, count: u32) -> Vec<Vec<String>> {
        for rank in 0..count {
            let made = Command::new("mkfifo").arg(self.path(&format!("orders-{rank}"))).status().expect("mkfifo");
            assert!(made.success());
        }
        self.launcher.start(&EngineSet { id: SetId(0), first: EngineId(10), count, group: None }).expect("start");
        let events = self.launcher.poll();
        assert!(matches!(&events[..], [(SetId(0), SetEvent::Running(_))]), "{events:?}");
        self.pid = Some(self.program().pid);
        self.until("all ranks have started", |trial| {
            assert_eq!(trial.ended, None, "{}", trial.log());
            (0..count).all(|rank| trial.path(&format!("rank-{rank}")).exists())
        });
        let told = (0..count).map(|rank| std::fs::read_to_string(self.path(&format!("rank-{rank}"))).expect("read"));
        told.map(|told| told.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// Makes a rank run a line of its language.
    pub fn order(&self, rank: u32, line: &str) {
        let mut orders = OpenOptions::new().write(true).open(self.path(&format!("orders-{rank}"))).expect("open");
        writeln!(orders, "{line}").expect("write");
    }

    /// The process that the launcher started.
    pub fn program(&self) -> ProcessIdentity {
        match self.launcher.records().first().map(|record| record.job.clone()) {
            Some(JobRecord::Process(identity)) => identity,
            other => panic!("no process: {other:?}"),
        }
    }

    /// Polls as the supervisor does until set 0 has ended, and asserts that nothing of it is left.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> SetEnd {
        self.until("the set has ended", |trial| trial.ended.is_some());
        self.assert_nothing_left();
        self.ended.take().expect("ended")
    }

    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(marked::processes_of_run(&self.run_id), []);
        assert!(self.launcher.records().is_empty() && self.launcher.next_poll().is_none());
        let left: Vec<_> = std::fs::read_dir(self.path("scratch")).expect("list").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        // Sessions of sets of other tests have other pids; the pid of this set is known since its start.
        if let Some(pid) = self.pid {
            let sessions = std::fs::read_dir(std::env::temp_dir()).expect("list").flatten().map(|entry| entry.path());
            let mut sessions = sessions
                .filter(|path| path.ends_with(format!("ompi.{pid}")) || path.join(format!("pid.{pid}")).exists());
            assert_eq!(sessions.next(), None);
        }
    }

    #[track_caller]
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for (_, event) in self.launcher.poll() {
                if let SetEvent::Ended(end) = event {
                    self.ended = Some(end);
                }
            }
            if condition(self) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; the log says:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
