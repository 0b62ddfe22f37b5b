//! Sets start with their ranks in order, and end wholly when they are told to or their launcher is gone.

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
        let arguments =
            "-m ipclusterz.engine --connection-file engine.json --first-engine-id 10 --ranks 4 --timeout 60";
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
    // Again, and more: it is gone already.
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

/// Hydra waits for whoever has a descriptor of a rank, be the rank itself long gone.
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
        // With MPICH, a rank takes its leave from hydra before it ends.
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
    // mpiexec, two ranks and what they have started; with MPICH the proxy too.
    assert!(marked::processes_of_run(&second.run_id).len() >= 5);
    second.launcher.end(SetId(0), Force::Terminate);
    second.wait_for_end();
}

/// The kernel tells mpiexec when the thread ends that has started it.
fn nothing_outlives_the_launcher(mpi: Mpi) {
    let (run_id, program, folder) = std::thread::spawn(move || {
        let mut trial = Trial::new(mpi);
        trial.start(2);
        let program = trial.program();
        let Trial { launcher, folder, run_id, .. } = trial;
        // What kill -9 does not do either.
        std::mem::forget(launcher);
        (run_id, program, folder)
    })
    .join()
    .expect("a launcher");
    let deadline = std::time::Instant::now() + super::support::PATIENCE;
    loop {
        let left = marked::processes_of_run(&run_id);
        if !left.contains(&program) {
            // mpiexec is gone, and its ranks are. What left group and session is found by a later command.
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
