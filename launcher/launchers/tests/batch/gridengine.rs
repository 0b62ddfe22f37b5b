//! Jobs of Grid Engine. The test installs Grid Engine in a temporary root and runs itself again inside of it.

use crate::player::{Player, ends, runs, set, waits};
use crate::slurm::PATIENCE;
use ipclusterz_launchers::batch::launcher::dry_run;
use ipclusterz_launchers::batch::{BatchLauncher, destroy};
use ipclusterz_launchers::contract::Launcher;
use ipclusterz_launchers::record::JobRecord;
use ipclusterz_launchers::set::Force;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SGE: &str = include_str!("../../../../profiles/sge.toml");
/// Set when the test runs inside of the root that has the queue.
const INSIDE: &str = "IPCLUSTERZ_TEST_GRID_ENGINE";

#[test]
fn jobs_of_grid_engine() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let folder = tempfile::Builder::new().prefix("ipsge").tempdir_in("/tmp").expect("temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/batch/gridengine.sh");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "400", "bash"]).arg(script).arg(folder.path());
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["gridengine::jobs_of_grid_engine", "--exact", "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("timeout");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

fn player(name: &str, profile: &str) -> Player {
    Player::new(&Path::new("/home/tester").join(name), &[SGE, "[batch]\npoll = 0.5", profile], &[])
}

fn start(player: &Player, count: u32) -> BatchLauncher {
    let mut launcher = player.launcher();
    launcher.start(&set(0, count)).expect("a start");
    launcher
}

fn inside() {
    one_process_has_all_engines();
    an_exit_code_is_told();
    an_array_has_an_engine_in_each_task();
    a_held_job_waits_until_it_is_cancelled();
    a_job_whose_start_fails_is_cancelled();
    the_time_limit_is_told();
    what_a_dead_launcher_left_is_cancelled();
    the_queue_checks_a_script();
}

fn one_process_has_all_engines() {
    let player = player("orderly", "");
    let mut launcher = start(&player, 2);
    assert_eq!(runs(&mut launcher), "job 1 runs on main.q@sgehost");
    player.end_engine(0, 0);
    assert!(player.log().contains(" --engines 2 --first-engine-id 0 --lease 60 "), "{}", player.log());
    let end = ends(&mut launcher, PATIENCE);
    assert_eq!((end.orderly, end.how.as_str()), (true, "job 1 ended, exit code 0"));
}

fn an_exit_code_is_told() {
    let player = player("exit", "");
    let mut launcher = start(&player, 1);
    player.end_engine(0, 3);
    let end = ends(&mut launcher, PATIENCE);
    assert_eq!((end.orderly, end.how.as_str()), (false, "job 2 ended, exit code 3"));
}

fn an_array_has_an_engine_in_each_task() {
    let player = player("array", "[batch]\narray = true");
    let mut launcher = start(&player, 3);
    runs(&mut launcher);
    player.engines_run(3);
    for id in 0..3 {
        assert!(player.log().contains(&format!(" --engine-id {id} --lease 60 ")), "{}", player.log());
    }
    (1..=3).for_each(|task| player.end_engine(task, 0));
    assert!(ends(&mut launcher, PATIENCE).orderly);
}

fn a_held_job_waits_until_it_is_cancelled() {
    let player = player("held", "[batch]\ndirectives = [\"-h\"]");
    let mut launcher = start(&player, 1);
    waits(&mut launcher, "job 4 is pending: held; `qrls` lets it go");
    launcher.end(set(0, 1).id, Force::Terminate);
    assert_eq!(ends(&mut launcher, PATIENCE).how, "job 4 was cancelled");
}

fn a_job_whose_start_fails_is_cancelled() {
    let player = player("stuck", "[batch]\ndirectives = [\"-o /no/such/folder/log\"]");
    let mut launcher = start(&player, 1);
    let how = ends(&mut launcher, PATIENCE).how;
    assert_eq!(how, "job 5 cannot run: its start failed; `qstat -j` says why");
}

fn the_time_limit_is_told() {
    let player = player("limit", "[batch]\ntime_limit = \"00:00:02\"");
    let mut launcher = start(&player, 1);
    let how = ends(&mut launcher, PATIENCE).how;
    assert!(how.starts_with("job 6 reached its time or memory limit (37"), "{how}");
}

fn what_a_dead_launcher_left_is_cancelled() {
    let player = player("left", "");
    let mut launcher = start(&player, 1);
    runs(&mut launcher);
    player.engines_run(1);
    let records = launcher.records();
    drop(launcher);
    let JobRecord::Batch(record) = &records[0].job else { panic!("{records:?}") };
    assert_eq!(destroy(record, Instant::now() + Duration::from_secs(120)), Ok(true));
    assert_eq!(destroy(record, Instant::now() + PATIENCE), Ok(false));
}

fn the_queue_checks_a_script() {
    let mut player = player("check", "");
    let said = dry_run(&player.options, &set(0, 2)).expect("a check").expect("Grid Engine can check");
    assert_eq!(said, "verification: found suitable queue(s)");
    player.options.batch.account = "nobody".to_owned();
    let failure = dry_run(&player.options, &set(0, 2)).expect_err("no such project");
    assert!(failure.message.starts_with("Grid Engine refuses batch.account = \"nobody\": "), "{}", failure.message);
    assert!(failure.message.contains("the requested project \"nobody\" does not exist"), "{}", failure.message);
    player.options.batch.account = String::new();
    player.options.batch.partition = "main".to_owned();
    let failure = dry_run(&player.options, &set(0, 2)).expect_err("no such queue");
    assert!(failure.message.starts_with("Grid Engine refuses batch.partition = \"main\": "), "{}", failure.message);
    assert_eq!(failure.hint.as_deref(), Some("did you mean \"main.q\"? batch.partition may be: main.q"));
    player.options.batch.partition = String::new();
    player.options.queue.directives = vec!["-pe openmp {cores}".to_owned()];
    let failure = dry_run(&player.options, &set(0, 2)).expect_err("no such parallel environment");
    let hint = "there are: smp; name one in queue.directives, in the line \"-pe NAME {cores}\"";
    assert_eq!(failure.hint.as_deref(), Some(hint));
}
