//! How jobs of Slurm start, wait and end.

use crate::player::{Player, ends, now, runs, set, waits};
use crate::slurm::{PATIENCE, Slurm, until};
use ipclusterz_launchers::batch::launcher::dry_run;
use ipclusterz_launchers::batch::{BatchLauncher, destroy};
use ipclusterz_launchers::contract::Launcher;
use ipclusterz_launchers::record::JobRecord;
use ipclusterz_launchers::set::Force;
use std::time::{Duration, Instant};

const SLURM: &str = include_str!("../../../../profiles/slurm.toml");

fn player(slurm: &Slurm, profile: &str) -> Player {
    Player::new(&slurm.path("cluster"), &[SLURM, "[batch]\npoll = 0.5", profile], &slurm.environment())
}

fn start(player: &Player, first: u32, count: u32) -> BatchLauncher {
    let mut launcher = player.launcher();
    launcher.start(&set(first, count)).expect("a start");
    launcher
}

#[test]
fn a_job_over_two_nodes_runs_and_ends() {
    let slurm = Slurm::start();
    let profile = "[batch]\nnodes = 2\ntime_limit = \"10\"\n[engines.env]\nGREETING = \"it's $HOME\"";
    let player = player(&slurm, profile);
    let mut launcher = start(&player, 3, 4);
    assert_eq!(waits(&mut launcher, "submitted"), "job 1 is submitted");
    assert_eq!(runs(&mut launcher), "job 1 runs on n[1-2]");
    assert_eq!(launcher.records().len(), 1);
    player.engines_run(4);
    // The engines run, but their lines may not be in the log yet.
    let log = until("four lines of log", PATIENCE, || Some(player.log()).filter(|log| log.lines().count() == 4));
    for rank in 0..4 {
        assert!(log.contains(&format!("engine {rank} on ")), "{log}");
    }
    assert_eq!(log.matches(", it's $HOME: -m ipclusterz.engine").count(), 4, "{log}");
    assert_eq!(log.matches(" --first-engine-id 3 --ranks 4 --lease 60 ").count(), 4, "{log}");
    let end = log.split("ends at ").nth(1).and_then(|rest| rest.split(',').next()).expect("an end of time");
    let left = end.parse::<i64>().expect("seconds") - now();
    assert!((480..=600).contains(&left), "{left}");
    (0..4).for_each(|rank| player.end_engine(rank, 0));
    let end = ends(&mut launcher, PATIENCE);
    assert_eq!((end.orderly, end.how.as_str(), end.log), (true, "job 1 completed (COMPLETED)", None));
    assert!(launcher.records().is_empty());
}

#[test]
fn an_exit_code_is_told_with_the_log() {
    let slurm = Slurm::start();
    let player = player(&slurm, "");
    let mut launcher = start(&player, 0, 2);
    player.end_engine(0, 3);
    // The other engine goes on running.
    player.end_engine(1, 0);
    let end = ends(&mut launcher, PATIENCE);
    assert_eq!((end.orderly, end.how.as_str()), (false, "job 1 failed (FAILED), exit code 3"));
    assert_eq!(end.log, Some(player.options.logs.job(set(0, 2).id, "log")));
}

#[test]
fn a_job_that_cannot_run_says_why_until_it_is_cancelled() {
    let slurm = Slurm::start();
    let player = player(&slurm, "[batch]\nnodes = 9");
    let mut launcher = start(&player, 0, 9);
    let text = waits(
        &mut launcher,
        "job 1 is pending and cannot start as things are: more nodes than the partition allows or has",
    );
    assert!(text.ends_with(" s so far"), "{text}");
    launcher.end(set(0, 9).id, Force::Terminate);
    assert_eq!(ends(&mut launcher, PATIENCE).how, "job 1 was cancelled");
    assert_eq!(slurm.query("squeue", &["-h"]), "");
}

#[test]
fn a_held_job_runs_when_it_is_let_go_and_waits_for_resources_first() {
    let slurm = Slurm::start();
    let before = ["-H", "--parsable", "-N3", "--exclusive", "--time=5", "--output=/dev/null", "--wrap=sleep 1000"];
    assert_eq!(slurm.query("sbatch", &before), "1\n");
    slurm.query("scontrol", &["release", "1"]);
    let running = || (slurm.query("squeue", &["-h", "-o", "%T"]).trim() == "RUNNING").then_some(());
    until("the job before runs", PATIENCE, running);
    let player = player(&slurm, "[batch]\ntime_limit = \"10\"\ndirectives = [\"--hold\"]");
    let mut launcher = start(&player, 0, 1);
    waits(&mut launcher, "held by its user");
    slurm.query("scontrol", &["release", "2"]);
    let text = waits(&mut launcher, "waiting for resources; expected to start at ");
    assert!(text.contains(", in 4 min; "), "{text}");
    slurm.query("scancel", &["1"]);
    runs(&mut launcher);
    player.engines_run(1);
    launcher.end(set(0, 1).id, Force::Kill);
    assert_eq!(ends(&mut launcher, PATIENCE).how, "job 2 was cancelled");
}

#[test]
fn a_job_cancelled_from_outside_is_noticed() {
    let slurm = Slurm::start();
    let player = player(&slurm, "");
    let mut launcher = start(&player, 0, 1);
    runs(&mut launcher);
    player.engines_run(1);
    slurm.query("scancel", &["1"]);
    let how = ends(&mut launcher, PATIENCE).how;
    assert!(how.starts_with("job 1 was cancelled (CANCELLED)"), "{how}");
}

#[test]
fn the_time_limit_is_told() {
    let slurm = Slurm::start();
    let player = player(&slurm, "[batch]\ntime_limit = \"10\"");
    let mut launcher = start(&player, 0, 1);
    runs(&mut launcher);
    player.engines_run(1);
    slurm.query("scontrol", &["update", "JobId=1", "EndTime=now+1"]);
    // Slurm looks at limits twice a minute.
    let how = ends(&mut launcher, Duration::from_secs(120)).how;
    assert!(how.starts_with("job 1 reached its time limit (TIMEOUT)"), "{how}");
}

#[test]
fn an_array_has_an_engine_in_each_task() {
    let slurm = Slurm::start();
    let player = player(&slurm, "[batch]\narray = true");
    let mut launcher = start(&player, 5, 3);
    runs(&mut launcher);
    player.engines_run(3);
    let log = until("three lines of log", PATIENCE, || Some(player.log()).filter(|log| log.lines().count() == 3));
    for id in 5..8 {
        assert!(log.contains(&format!(" --engine-id {id} --lease 60 ")), "{log}");
    }
    (1..=3).for_each(|task| player.end_engine(task, if task == 2 { 4 } else { 0 }));
    let end = ends(&mut launcher, PATIENCE);
    assert_eq!((end.orderly, end.how.as_str()), (false, "job 1 failed (FAILED), exit code 4"));
}

#[test]
fn what_a_dead_launcher_left_is_cancelled_by_its_record() {
    let slurm = Slurm::start();
    let player = player(&slurm, "");
    let mut launcher = start(&player, 0, 2);
    runs(&mut launcher);
    player.engines_run(2);
    let records = launcher.records();
    drop(launcher);
    let JobRecord::Batch(record) = &records[0].job else { panic!("{records:?}") };
    assert_eq!(destroy(record, Instant::now() + PATIENCE), Ok(true));
    assert_eq!(slurm.query("squeue", &["-h"]), "");
    assert_eq!(destroy(record, Instant::now() + PATIENCE), Ok(false));
    let mut unknown = record.clone();
    for argument in unknown.cancel.iter_mut().chain(&mut unknown.status).chain(&mut unknown.kill) {
        *argument = argument.replace("--jobs=1", "--jobs=99");
        if argument == "1" {
            *argument = "99".to_owned();
        }
    }
    unknown.job_id = "99".to_owned();
    assert_eq!(destroy(&unknown, Instant::now() + PATIENCE), Ok(false));
}

#[test]
fn the_queue_checks_a_script_and_refuses_a_bad_one() {
    let slurm = Slurm::start();
    let mut player = player(&slurm, "[batch]\nnodes = 2");
    let said = dry_run(&player.options, &set(0, 4)).expect("a check").expect("Slurm can check");
    assert!(said.contains("using 4 processors on nodes n[1-2] in partition debug"), "{said}");
    assert_eq!(std::fs::read_dir(player.options.logs.path()).expect("logs").count(), 0);
    assert_eq!(slurm.query("squeue", &["-h"]), "");

    player.options.batch.partition = "bad".to_owned();
    let failure = dry_run(&player.options, &set(0, 4)).expect_err("no such partition");
    assert!(failure.message.contains("Invalid partition name specified"), "{}", failure.message);
    let mut launcher = start(&player, 0, 4);
    let end = ends(&mut launcher, PATIENCE);
    assert!(end.how.contains("sbatch --parsable") && end.how.contains("exit status: 1"), "{}", end.how);
    assert!(end.how.contains("invalid partition specified: bad"), "{}", end.how);
}
