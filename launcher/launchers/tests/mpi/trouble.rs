//! A set ends when one of its ranks does, and a set that does not start says why.

use super::support::{Mpi, PATIENCE, Trial};
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::{marked, system};
use ipclusterz_launchers::contract::{Launcher, LostEngine};
use ipclusterz_launchers::program::Starter;
use ipclusterz_launchers::program::segments::Segments;
use ipclusterz_launchers::rank_loss::RankLoss;
use ipclusterz_launchers::set::{EngineSet, Force, SetEnd, SetId};
use ipclusterz_profile::tables::engines::OnRankLoss;
use ipclusterz_profile::tables::mpiexec::MpiexecTable;
use std::path::{Path, PathBuf};
use std::time::Instant;

crate::with_each_mpi!(
    a_code_of_one_rank_is_told,
    a_killed_rank_ends_the_set,
    a_killed_mpiexec_leaves_nothing,
    engines_that_cannot_be_run_are_named,
    a_rank_that_leaves_the_world_ends_the_set,
    shared_memory_of_killed_ranks_is_removed,
);

fn a_code_of_one_rank_is_told(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    trial.start(4);
    trial.order(1, "exit 3");
    let end = trial.wait_for_end();
    assert!(end.how.ends_with(": exit status: 3"), "{end:?}: {}", trial.log());
    assert_engine(&end, 11, 1);
    assert!(!end.orderly);
}

/// Neither MPI always tells which rank ended; when it does, it must name the right one.
#[track_caller]
fn assert_engine(end: &SetEnd, engine: u32, rank: u32) {
    if end.how.starts_with("engine ") {
        assert!(end.how.starts_with(&format!("engine {engine} (rank {rank})")), "{end:?}");
    } else {
        let others = ["mpiexec.", "signal: ", "on "];
        assert!(others.iter().any(|start| end.how.starts_with(start)), "{end:?}");
    }
}

fn a_killed_rank_ends_the_set(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    let ranks = trial.start(4);
    let before = std::time::Instant::now();
    system::signal_process(ranks[2][2].parse().expect("a pid"), libc::SIGKILL).expect("kill");
    let end = trial.wait_for_end();
    println!("{mpi:?}: the set has ended after {:?}", before.elapsed());
    assert!(end.how.ends_with("signal: 9 (SIGKILL)"), "{end:?}: {}", trial.log());
    assert_engine(&end, 12, 2);
}

fn a_killed_mpiexec_leaves_nothing(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    trial.start(4);
    system::signal_process(trial.program().pid, libc::SIGKILL).expect("kill");
    let end = trial.wait_for_end();
    let name = mpi.table().program;
    assert_eq!(end.how, format!("{name}: signal: 9 (SIGKILL)"));
}

fn engines_that_cannot_be_run_are_named(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    std::fs::remove_file(trial.path("engine")).expect("remove");
    trial.launcher.start(&EngineSet { id: SetId(0), first: EngineId(0), count: 2, group: None }).expect("start");
    let end = trial.wait_for_end();
    assert!(end.how.contains(&format!("cannot run {}", trial.path("engine").display())), "{end:?}");
}

/// The rank exits without MPI_Finalize, which an engine that exits in this way may never reach.
fn a_rank_that_leaves_the_world_ends_the_set(mpi: Mpi) {
    for code in [3, 0] {
        let mut trial = Trial::new(mpi).with_mpi();
        trial.start(3);
        trial.order(1, &format!("os._exit({code})"));
        let end = trial.wait_for_end();
        if code == 3 {
            assert!(end.how.ends_with("exit status: 3"), "{end:?}: {}", trial.log());
            assert_engine(&end, 11, 1);
        }
    }
}

/// The files in shared memory that this process has mapped.
fn mapped(pid: &str) -> Vec<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let paths = maps.lines().filter_map(|line| line.find("/dev/shm/").map(|at| PathBuf::from(&line[at..])));
    paths.filter(|path| path.exists()).collect()
}

fn shared_memory_of_killed_ranks_is_removed(mpi: Mpi) {
    let mut trial = Trial::new(mpi).with_mpi();
    let ranks = trial.start(3);
    let segments: Vec<PathBuf> = ranks.iter().flat_map(|told| mapped(&told[2])).collect();
    // MPICH 4.0 unlinks the files as soon as all ranks have opened them.
    assert!(!segments.is_empty() || mpi == Mpi::Mpich);
    trial.launcher.end(SetId(0), Force::Kill);
    trial.wait_for_end();
    let left: Vec<_> = segments.iter().filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Of Open MPI alone: MPICH unlinks its files.
#[test]
fn shared_memory_is_known_when_all_processes_are_gone() {
    let mut trial = Trial::new(Mpi::Open).with_mpi();
    let ranks = trial.start(3);
    let segments: Vec<PathBuf> = ranks.iter().flat_map(|told| mapped(&told[2])).collect();
    assert!(!segments.is_empty());
    let run = trial.path("scratch");
    let noted = |run: &Path| std::fs::read_to_string(run.join("set-0/segments")).unwrap_or_default();
    trial.until("they are written down", |_| {
        segments.iter().all(|path| noted(&run).contains(path.to_str().expect("UTF-8")))
    });
    // As if the launcher and its guard had gone with them: nobody looks any more.
    marked::kill(&marked::processes_of_run(&trial.run_id));
    let deadline = Instant::now() + PATIENCE;
    while !marked::processes_of_run(&trial.run_id).is_empty() {
        assert!(Instant::now() < deadline, "the ranks do not end");
        std::thread::yield_now();
    }
    assert!(segments.iter().all(|path| path.exists()));
    Segments::of_run(&run).remove();
    assert!(!segments.iter().any(|path| path.exists()));
}

fn lost(rank: u32) -> LostEngine {
    LostEngine { rank, ..LostEngine::default() }
}

#[test]
fn a_set_of_open_mpi_goes_on_without_a_lost_rank() {
    let mut trial = Trial::shrinking(Mpi::Open).with_mpi();
    assert_eq!(
        trial.launcher.rank_loss(),
        Some(RankLoss { policy: OnRankLoss::Shrink, obstacle: None, in_job: false })
    );
    let ranks = trial.start(3);
    let set = EngineSet { id: SetId(0), first: EngineId(10), count: 3, group: None };
    system::signal_process(ranks[1][2].parse().expect("a pid"), libc::SIGKILL).expect("kill");
    let signal = Some("signal: 9 (SIGKILL)".to_owned());
    trial.until("it is told how the rank ended", |trial| trial.launcher.how_engine_ended(&set, &lost(1)) == signal);
    trial.order(2, "os._exit(3)");
    let code = Some("exit status: 3".to_owned());
    trial.until("it is told how the next one ended", |trial| trial.launcher.how_engine_ended(&set, &lost(2)) == code);
    assert_eq!((trial.launcher.how_engine_ended(&set, &lost(0)), &trial.ended), (None, &None));
    trial.order(0, "os._exit(0)");
    trial.wait_for_end();
}

#[test]
fn mpich_cannot_go_on_without_a_rank_and_says_so() {
    let trial = Trial::shrinking(Mpi::Mpich);
    let loss = trial.launcher.rank_loss().expect("ranks of a world");
    assert_eq!(loss.policy, OnRankLoss::Restart);
    let obstacle = loss.obstacle.expect("an obstacle");
    assert!(obstacle.ends_with(") ends all ranks when one is lost"), "{obstacle}");
}

#[test]
fn more_ranks_than_slots_are_started_only_when_asked_for() {
    let hosts = vec!["localhost:2".to_owned()];
    let table = MpiexecTable { hosts, oversubscribe: false, ..Mpi::Open.table() };
    let mut trial = Trial::with_table(&table);
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 3, group: None };
    let failure = trial.launcher.start(&set).expect_err("too few slots");
    assert_eq!(failure.message, "mpiexec.hosts has 2 slots, fewer than 3 engines");
    trial.assert_nothing_left();

    // The same with a hostfile, so that only Open MPI knows the slots.
    let hostfile = trial.path("hosts");
    std::fs::write(&hostfile, "localhost slots=2\n").expect("write");
    let hostfile = hostfile.display().to_string();
    let table = MpiexecTable { hosts: Vec::new(), hostfile, ..table };
    let mut second = Trial::with_table(&table);
    second.launcher.start(&set).expect("start");
    let end = second.wait_for_end();
    assert!(end.how.starts_with("fewer than 3 slots; mpiexec.oversubscribe = true"), "{end:?}");

    let mut third = Trial::with_table(&MpiexecTable { oversubscribe: true, ..table });
    third.start(3);
    third.launcher.end(SetId(0), Force::Kill);
    third.wait_for_end();
}

#[test]
fn open_mpi_is_not_started_as_root_unless_allowed() {
    let refused = Starter::mpiexec(&MpiexecTable { allow_root: false, ..Mpi::Open.table() });
    if system::effective_user() != 0 {
        assert!(refused.is_ok());
        return;
    }
    let failure = refused.err().expect("refused");
    assert!(failure.message.contains("mpiexec.openmpi (Open MPI "), "{failure:?}");
    assert!(failure.message.ends_with(") does not run as root"), "{failure:?}");
    let hint = "run as another user, or set mpiexec.allow_root = true in a profile";
    assert_eq!(failure.hint.as_deref(), Some(hint));
    // MPICH runs as root.
    assert!(Starter::mpiexec(&MpiexecTable { allow_root: false, ..Mpi::Mpich.table() }).is_ok());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let table = MpiexecTable { program: "no-such-mpiexec".to_owned(), ..Mpi::Open.table() };
    let failure = Starter::mpiexec(&table).err().expect("not found");
    assert_eq!(failure.message, "mpiexec.program: there is no program \"no-such-mpiexec\" that could be run");
    let table = MpiexecTable { program: "cat".to_owned(), ..Mpi::Open.table() };
    let failure = Starter::mpiexec(&table).err().expect("no MPI");
    assert!(
        failure.message.contains("--version does not say which MPI it is (exit status: 0): \"cat (GNU"),
        "{failure:?}"
    );
}

#[test]
fn a_command_of_a_queue_may_stand_before_the_engine() {
    let prefix = |set: &EngineSet| -> Result<Vec<Vec<String>>, Failure> {
        Ok(vec![["mpiexec.mpich", "-n", &set.count.to_string()].map(str::to_owned).to_vec()])
    };
    let mut trial = Trial::with_starter(|_| Ok(Starter::Prefix { make: Box::new(prefix), template: Vec::new() }))
        .expect("a launcher");
    let ranks = trial.start(3);
    assert_eq!(ranks[2][..2], ["2", "3"]);
    trial.launcher.end(SetId(0), Force::Terminate);
    trial.wait_for_end();
}

#[test]
fn a_launcher_that_is_dropped_takes_its_sets_along() {
    let mut trial = Trial::new(Mpi::Open);
    trial.start(2);
    let run_id = trial.run_id.clone();
    drop(trial);
    assert_eq!(ipclusterz_host::marked::processes_of_run(&run_id), []);
}
