//! Sets start with their ranks in order. They end completely when they are told to, and when their launcher is gone.

use super::support::{Mpi, Trial};
use ipclusterz_host::marked;
use ipclusterz_launchers::contract::Launcher;
use ipclusterz_launchers::set::{Force, SetId};

crate::with_each_mpi!(
    ranks_are_told_who_they_are,
    sigterm_ends_all,
    sigkill_ends_all,
    sigkill_ends_what_hangs,
    all_ranks_end_well,
    a_second_set_lives_on,
    nothing_outlives_the_launcher,
);

fn ranks_are_told_who_they_are(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    assert_eq!(trial.launcher.set_size(4), 4);
    let ranks = trial.start(4);
    let work = trial.path("work").display().to_string();
    for (rank, told) in ranks.iter().enumerate() {
        assert_eq!((told[0].as_str(), told[1].as_str()), (rank.to_string().as_str(), "4"));
        assert_eq!((told[3].as_str(), told[4].as_str()), ("blue", work.as_str()));
        let arguments = "-m ipclusterz.engine --connection-file engine.json --first-engine-id 10 --ranks 4 \
                         --end-timeout 2 --timeout 60";
        assert_eq!(told[5..].join(" "), arguments);
    }
    let prefix = if mpi == Mpi::Open { "[1,2]<stdout>:" } else { "[2]" };
    trial.until("the log has the output of each rank", |trial| {
        trial
            .log()
            .lines()
            .any(|line| line.strip_prefix(prefix).is_some_and(|line| line.trim_start() == "engine of rank 2"))
    });
    trial.launcher.end(SetId(0), Force::Kill);
    trial.wait_for_end();
}

fn sigterm_ends_all(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    trial.start(4);
    trial.launcher.end(SetId(0), Force::Terminate);
    let end = trial.wait_for_end();
    assert_eq!(end.log, Some(trial.path("logs/set-0.log")));
    // A second request, with more force, has no effect: the set has ended.
    trial.launcher.end(SetId(0), Force::Kill);
    assert_eq!(trial.launcher.poll(), []);
}

fn sigkill_ends_all(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    trial.start(3);
    trial.launcher.end(SetId(0), Force::Kill);
    let end = trial.wait_for_end();
    assert!(end.how.ends_with("signal: 9 (SIGKILL)") && !end.orderly, "{end:?}");
}

/// Hydra waits for every process that holds a descriptor of a rank, even after the rank has ended.
fn sigkill_ends_what_hangs(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    trial.start(2);
    trial.order(0, "setsid bash -c 'trap \"\" TERM; echo > \"$FOLDER/stray\"; sleep 1000; sleep 1000' & wait");
    trial.until("a process ignores SIGTERM", |trial| trial.path("stray").exists());
    trial.launcher.end(SetId(0), Force::Terminate);
    trial.launcher.end(SetId(0), Force::Kill);
    trial.wait_for_end();
}

fn all_ranks_end_well(mpi: Mpi) {
    let mut trial = Trial::new(mpi);
    trial.start(2);
    for rank in 0..2 {
        // With MPICH, a rank tells hydra before it exits.
        trial.order(rank, "[ -z \"$PMI_FD\" ] || { echo cmd=finalize >&$PMI_FD; read -r answer <&$PMI_FD; }; exit 0");
    }
    let end = trial.wait_for_end();
    assert!(end.orderly, "{end:?}: {}", trial.log());
}

fn a_second_set_lives_on(mpi: Mpi) {
    let mut first = Trial::new(mpi);
    let mut second = Trial::new(mpi);
    first.start(2);
    second.start(2);
    first.launcher.end(SetId(0), Force::Kill);
    first.wait_for_end();
    assert!(second.program().is_alive());
    // mpiexec, two ranks and their child processes; with MPICH the proxy too.
    assert!(marked::processes_of_run(&second.run_id).len() >= 5);
    second.launcher.end(SetId(0), Force::Terminate);
    second.wait_for_end();
}

/// The kernel signals mpiexec when the thread that started it ends.
fn nothing_outlives_the_launcher(mpi: Mpi) {
    let (run_id, program, folder) = std::thread::spawn(move || {
        let mut trial = Trial::new(mpi);
        trial.start(2);
        let program = trial.program();
        let Trial { launcher, folder, run_id, .. } = trial;
        // The launcher is not dropped, as after kill -9.
        std::mem::forget(launcher);
        (run_id, program, folder)
    })
    .join()
    .expect("a launcher");
    let deadline = std::time::Instant::now() + super::support::PATIENCE;
    loop {
        let left = marked::processes_of_run(&run_id);
        if !left.contains(&program) {
            // mpiexec and its ranks have ended. A later command finds the processes that left group and session.
            marked::kill(&left);
        }
        if left.is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "left: {left:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(folder);
}
