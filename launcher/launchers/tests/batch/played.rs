//! Jobs of queues that are not installed for these tests (PBS, LSF, HTCondor), and what Slurm does seldom. A script stands in
//! for their commands, and prints what the test has prepared.
//!
//! The output is in the formats of the manuals and of users' reports (see `src/batch/answers/tests.rs`). Of HTCondor and
//! Slurm, how a job ended was recorded.

use crate::player::{Player, ends, runs, set, waits};
use crate::slurm::{PATIENCE, until};
use ipclusterz_launchers::batch::{BatchLauncher, destroy};
use ipclusterz_launchers::contract::Launcher;
use ipclusterz_launchers::record::JobRecord;
use ipclusterz_launchers::set::{Force, SetEnd};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use tempfile::TempDir;

const PBS: &str = include_str!("../../../../profiles/pbs.toml");
const LSF: &str = include_str!("../../../../profiles/lsf.toml");
const SLURM: &str = include_str!("../../../../profiles/slurm.toml");
const HTCONDOR: &str = include_str!("../../../../profiles/htcondor.toml");

/// Stands in for any of the commands: logs its arguments, then acts as the test has prepared.
const COMMAND: &str = r#"#!/bin/sh
name=${0##*/}
echo "$name $*" >> "FOLDER/calls"
[ "$name" != bsub ] || cat > "FOLDER/submitted"
case "$*" in
    "-x "*|*exit_code*) name=$name.outcome ;;
esac
. "FOLDER/answers/$name"
"#;

struct Queue {
    folder: TempDir,
    player: Player,
}

impl Queue {
    fn new(profile: &str, commands: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("ipqueue").tempdir_in("/tmp").expect("temporary folder");
        let path = folder.path();
        for name in ["bin", "answers"] {
            std::fs::create_dir(path.join(name)).expect("create");
        }
        for name in commands {
            let program = path.join("bin").join(name);
            std::fs::write(&program, COMMAND.replace("FOLDER", &path.display().to_string())).expect("write");
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");
        }
        let environment = ["env".to_owned(), format!("PATH={}:/usr/bin:/bin", path.join("bin").display())];
        let layers = [profile, "[batch]\npoll = 0.5\ntime_limit = \"90\""];
        let player = Player::new(&path.join("cluster"), &layers, &environment);
        Self { folder, player }
    }

    /// Sets what a command does from now on. `NAME.outcome` is for a queue that uses the same command to ask about a
    /// job that has ended.
    fn answer(&self, command: &str, stdout: &str, stderr: &str, code: i32) {
        let answers = self.folder.path().join("answers");
        let text = format!("cat <<'END'\n{stdout}END\ncat >&2 <<'END'\n{stderr}END\nexit {code}\n");
        // Replaced atomically: the launcher may run the command at any time.
        std::fs::write(answers.join("next"), text).expect("write");
        std::fs::rename(answers.join("next"), answers.join(command)).expect("rename");
    }

    fn prints(&self, command: &str, stdout: &str) {
        self.answer(command, stdout, "", 0);
    }

    fn start(&self) -> BatchLauncher {
        let mut launcher = self.player.launcher();
        launcher.start(&set(0, 2)).expect("a start");
        launcher
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }

    #[track_caller]
    fn is_called(&self, line: &str) {
        until(line, PATIENCE, || self.calls().lines().any(|call| call == line).then_some(()));
    }

    fn script(&self) -> String {
        self.player.options.logs.job(set(0, 2).id, "sh").display().to_string()
    }

    /// Asserts that a job failed, and that its end names its output.
    #[track_caller]
    fn failed(&self, end: &SetEnd, how: &str) {
        assert_eq!((end.orderly, end.how.as_str()), (false, how));
        assert_eq!(end.log, Some(self.player.options.logs.job(set(0, 2).id, "log")));
    }

    /// Asserts that a job of a launcher that is gone is cancelled by its record, and that a job that no longer exists
    /// is no error.
    #[track_caller]
    fn record_is_cancelled(&self, launcher: BatchLauncher, cancel: &str, gone: impl Fn(&Self)) {
        let records = launcher.records();
        drop(launcher);
        let JobRecord::Batch(record) = &records[0].job else { panic!("{records:?}") };
        gone(self);
        assert_eq!(destroy(record, Instant::now() + PATIENCE), Ok(false));
        self.is_called(cancel);
    }
}

const QSTAT_QUEUED: &str = "Job Id: 1018.pbs-server
    Job_Name = ipclusterz-lab
    Job_Owner = me@login1
    job_state = Q
    queue = workq
    comment = Not Running: Insufficient amount of resource: ncpus
    Variable_List = PBS_O_HOME=/home/me,PBS_O_LANG=C

";
const QSTAT_RUNNING: &str = "Job Id: 1018.pbs-server
    Job_Name = ipclusterz-lab
    job_state = R
    queue = workq
    exec_host = n1/0*2
    comment = Job run at Mon Nov 23 at 01:08 on (n1:ncpus=2)

";

impl Queue {
    fn pbs() -> (Self, BatchLauncher) {
        let queue = Self::new(PBS, &["qsub", "qstat", "qdel"]);
        queue.prints("qsub", "1018.pbs-server\n");
        queue.prints("qstat", QSTAT_QUEUED);
        let mut launcher = queue.start();
        assert_eq!(waits(&mut launcher, "submitted"), "job 1018.pbs-server is submitted");
        queue.is_called(&format!("qsub {}", queue.script()));
        let text = waits(&mut launcher, "is pending");
        assert!(text.contains("Not Running: Insufficient amount of resource: ncpus; "), "{text}");
        queue.prints("qstat", QSTAT_RUNNING);
        assert_eq!(runs(&mut launcher), "job 1018.pbs-server runs on n1/0*2");
        (queue, launcher)
    }

    fn pbs_finished(&self, status: i32) {
        let finished = format!("Job Id: 1018.pbs-server\n    job_state = F\n    Exit_status = {status}\n\n");
        self.prints("qstat.outcome", &finished);
        let hint = "use -x or -H to obtain historical job information";
        self.answer("qstat", "", &format!("qstat: 1018.pbs-server Job has finished, {hint}\n"), 35);
    }

    fn pbs_unknown(&self) {
        for (command, name) in [("qstat", "qstat"), ("qstat.outcome", "qstat"), ("qdel", "qdel")] {
            self.answer(command, "", &format!("{name}: Unknown Job Id 1018.pbs-server\n"), 153);
        }
    }
}

#[test]
fn pbs_tells_how_jobs_end() {
    for (status, orderly, how) in [
        (0, true, "job 1018.pbs-server ended, exit code 0"),
        (3, false, "job 1018.pbs-server ended, exit code 3"),
        (271, false, "job 1018.pbs-server ended, signal: 15 (SIGTERM)"),
        (-29, false, "job 1018.pbs-server reached its time limit (-29)"),
    ] {
        let (queue, mut launcher) = Queue::pbs();
        queue.pbs_finished(status);
        let end = ends(&mut launcher, PATIENCE);
        if orderly {
            assert_eq!((end.orderly, end.how.as_str()), (true, how));
        } else {
            queue.failed(&end, how);
        }
        queue.is_called("qstat -f 1018.pbs-server");
        queue.is_called("qstat -x -f 1018.pbs-server");
    }
}

#[test]
fn a_job_of_pbs_is_cancelled() {
    let (queue, mut launcher) = Queue::pbs();
    queue.prints("qdel", "");
    launcher.end(set(0, 2).id, Force::Terminate);
    queue.is_called("qdel 1018.pbs-server");
    queue.pbs_unknown();
    assert_eq!(ends(&mut launcher, PATIENCE).how, "job 1018.pbs-server was cancelled");
}

#[test]
fn a_job_that_pbs_does_not_know_any_more_is_no_failure() {
    let (queue, launcher) = Queue::pbs();
    queue.record_is_cancelled(launcher, "qdel 1018.pbs-server", Queue::pbs_unknown);
}

impl Queue {
    fn lsf() -> (Self, BatchLauncher) {
        let queue = Self::new(LSF, &["bsub", "bjobs", "bkill"]);
        queue.prints("bsub", "Job <3926> is submitted to queue <normal>.\n");
        queue.prints("bjobs", "3926|PEND|-|New job is waiting for scheduling;\n");
        let mut launcher = queue.start();
        assert_eq!(waits(&mut launcher, "submitted"), "job 3926 is submitted");
        let submitted = std::fs::read_to_string(queue.folder.path().join("submitted")).expect("a script");
        assert_eq!(submitted, std::fs::read_to_string(queue.script()).expect("a script"));
        assert!(submitted.contains("\n#BSUB -W 90\n"), "{submitted}");
        waits(&mut launcher, "job 3926 is pending: New job is waiting for scheduling;");
        queue.prints("bjobs", "3926|RUN|hostA|-\n");
        assert_eq!(runs(&mut launcher), "job 3926 runs on hostA");
        (queue, launcher)
    }

    fn lsf_unknown(&self) {
        for command in ["bjobs", "bjobs.outcome", "bkill"] {
            self.answer(command, "", "Job <3926> is not found\n", 255);
        }
    }
}

#[test]
fn lsf_tells_how_jobs_end() {
    let (queue, mut launcher) = Queue::lsf();
    queue.prints("bjobs.outcome", "DONE|-|-\n");
    queue.prints("bjobs", "3926|DONE|hostA|-\n");
    let end = ends(&mut launcher, PATIENCE);
    assert_eq!((end.orderly, end.how.as_str(), end.log), (true, "job 3926 completed (DONE)", None));

    for (code, how) in [(3, "exit code 3"), (137, "signal: 9 (SIGKILL)")] {
        let (queue, mut launcher) = Queue::lsf();
        queue.prints("bjobs.outcome", &format!("EXIT|{code}|-\n"));
        queue.prints("bjobs", "3926|EXIT|hostA|-\n");
        let end = ends(&mut launcher, PATIENCE);
        queue.failed(&end, &format!("job 3926 failed or was killed (EXIT), {how}"));
    }

    let (queue, mut launcher) = Queue::lsf();
    queue.prints("bjobs.outcome", "EXIT|140|TERM_RUNLIMIT: job killed after reaching LSF run time limit\n");
    queue.prints("bjobs", "3926|EXIT|hostA|-\n");
    let end = ends(&mut launcher, PATIENCE);
    assert!(end.how.starts_with("job 3926 reached its time limit"), "{}", end.how);
}

#[test]
fn a_job_of_lsf_is_cancelled() {
    let (queue, mut launcher) = Queue::lsf();
    queue.prints("bkill", "Job <3926> is being terminated\n");
    launcher.end(set(0, 2).id, Force::Terminate);
    queue.is_called("bkill 3926");
    queue.prints("bjobs", "3926|EXIT|hostA|-\n");
    assert_eq!(ends(&mut launcher, PATIENCE).how, "job 3926 was cancelled");
}

#[test]
fn a_job_that_lsf_does_not_know_any_more_is_no_failure() {
    let (queue, launcher) = Queue::lsf();
    queue.record_is_cancelled(launcher, "bkill 3926", Queue::lsf_unknown);
}

impl Queue {
    fn htcondor() -> (Self, BatchLauncher) {
        let queue = Self::new(HTCONDOR, &["condor_submit", "condor_q", "condor_history", "condor_rm"]);
        queue.prints("condor_submit", "12.0 - 12.0\n");
        queue.prints("condor_q", "12 1 undefined undefined\n");
        let mut launcher = queue.start();
        assert_eq!(waits(&mut launcher, "submitted"), "job 12 is submitted");
        assert!(queue.calls().starts_with("condor_submit -terse /"), "{}", queue.calls());
        waits(&mut launcher, "job 12 is pending: idle: no machine is free that is as it asks for; ");
        (queue, launcher)
    }

    fn htcondor_runs(&self, launcher: &mut BatchLauncher) {
        self.prints("condor_q", "12 2 slot1_1@exec1.example undefined\n");
        assert_eq!(runs(launcher), "job 12 runs on slot1_1@exec1.example");
    }

    fn htcondor_unknown(&self) {
        self.prints("condor_q", "");
        self.prints("condor_history", "");
        self.answer("condor_rm", "", "Couldn't find/remove all jobs in cluster 12\n", 1);
    }
}

#[test]
fn htcondor_tells_how_jobs_end() {
    for (history, how) in [
        ("0 4\n", "job 12 completed (4)"),
        ("3 4\n", "job 12 completed (4), exit code 3"),
        ("0:9 4\n", "job 12 completed (4), signal: 9 (SIGKILL)"),
        ("undefined 3 via condor_rm (by user anna)\n", "job 12 was removed (3) by anna"),
    ] {
        let (queue, mut launcher) = Queue::htcondor();
        queue.htcondor_runs(&mut launcher);
        queue.prints("condor_history", history);
        queue.prints("condor_q", "");
        let end = ends(&mut launcher, PATIENCE);
        if history == "0 4\n" {
            assert_eq!((end.orderly, end.how.as_str()), (true, how));
        } else {
            queue.failed(&end, how);
        }
    }
}

#[test]
fn a_job_that_htcondor_holds_is_removed_with_the_reason() {
    let (queue, mut launcher) = Queue::htcondor();
    queue.prints("condor_rm", "All jobs in cluster 12 have been marked for removal\n");
    let reason = "Error from slot1_1@exec1.example: Failed to open '/no/such' as standard output";
    queue.prints("condor_q", &format!("12 5 undefined {reason}\n"));
    queue.is_called("condor_rm 12");
    queue.prints("condor_q", "");
    assert_eq!(ends(&mut launcher, PATIENCE).how, format!("job 12 cannot run: {reason}"));
}

#[test]
fn a_job_of_htcondor_is_cancelled() {
    let (queue, mut launcher) = Queue::htcondor();
    queue.htcondor_runs(&mut launcher);
    queue.prints("condor_rm", "All jobs in cluster 12 have been marked for removal\n");
    launcher.end(set(0, 2).id, Force::Terminate);
    queue.is_called("condor_rm 12");
    queue.prints("condor_q", "");
    assert_eq!(ends(&mut launcher, PATIENCE).how, "job 12 was cancelled");
}

#[test]
fn a_job_that_htcondor_does_not_know_any_more_is_no_failure() {
    let (queue, launcher) = Queue::htcondor();
    queue.record_is_cancelled(launcher, "condor_rm 12", Queue::htcondor_unknown);
}

impl Queue {
    fn slurm() -> (Self, BatchLauncher) {
        let commands = ["sbatch", "squeue", "scancel", "scontrol", "sacct", "sacctmgr"];
        let queue = Self::new(SLURM, &commands);
        queue.prints("sbatch", "12\n");
        queue.prints("squeue", "12|RUNNING|None|2026-11-30T08:03:28|n[1-2]\n");
        queue.answer("scontrol", "", "slurm_load_jobs error: Invalid job id specified\n", 1);
        let mut launcher = queue.start();
        assert_eq!(runs(&mut launcher), "job 12 runs on n[1-2]");
        (queue, launcher)
    }

    /// Slurm forgets jobs some minutes after their end.
    fn slurm_forgets(&self) {
        self.answer("squeue", "", "slurm_load_jobs error: Invalid job id specified\n", 1);
    }
}

#[test]
fn how_a_job_ended_that_slurm_has_forgotten_is_in_its_accounting() {
    let (queue, mut launcher) = Queue::slurm();
    // The database has not heard of its end yet.
    queue.prints("sacct", "12|RUNNING|0:0\n12.batch|RUNNING|0:0\n");
    queue.slurm_forgets();
    queue.is_called("sacct --noheader --parsable2 --jobs=12 --format=JobID,State,ExitCode");
    queue.prints("sacct", "12|CANCELLED by 0|0:0\n12.batch|CANCELLED|0:15\n");
    queue.failed(&ends(&mut launcher, PATIENCE), "job 12 was cancelled (CANCELLED) by root");
}

#[test]
fn without_accounting_a_forgotten_job_is_gone() {
    let (queue, mut launcher) = Queue::slurm();
    queue.answer("sacct", "", "Slurm accounting storage is disabled\n", 1);
    queue.slurm_forgets();
    let how = "job 12 is gone from the queue, which does not tell how it ended";
    queue.failed(&ends(&mut launcher, PATIENCE), how);
}

#[test]
fn a_value_that_slurm_refuses_is_named_with_the_valid_ones() {
    let mut queue = Queue::new(SLURM, &["sbatch", "squeue", "sacctmgr"]);
    queue.player.options.batch.account = "phisics".to_owned();
    let refused = "Batch job submission failed: Invalid account or account/partition combination specified";
    queue.answer("sbatch", "", &format!("sbatch: error: {refused}\n"), 1);
    queue.prints("sacctmgr", "physics\nchemistry\n");
    let mut launcher = queue.start();
    let end = ends(&mut launcher, PATIENCE);
    assert!(end.how.starts_with("Slurm refuses batch.account = \"phisics\": `"), "{}", end.how);
    assert!(end.how.ends_with(refused), "{}", end.how);
    let hint = "did you mean \"physics\"? batch.account may be: chemistry, physics";
    assert_eq!(end.hint.as_deref(), Some(hint));
}
