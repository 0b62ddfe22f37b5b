//! Parsing of what real queues print. The output of Slurm 22.05.8 and Grid Engine 8.1.9 was recorded here. For the
//! others, the formats are those of their manuals and of their users' bug reports, as each test says.

use super::super::options::tests::options;
use super::super::words;
use super::*;

fn reader(profile: &str) -> Reader {
    Reader::new(&options(profile).queue).expect("the patterns of a profile")
}

fn slurm() -> Reader {
    reader(include_str!("../../../../../profiles/slurm.toml"))
}

fn sge() -> Reader {
    reader(include_str!("../../../../../profiles/sge.toml"))
}

fn pbs() -> Reader {
    reader(include_str!("../../../../../profiles/pbs.toml"))
}

fn lsf() -> Reader {
    reader(include_str!("../../../../../profiles/lsf.toml"))
}

fn htcondor() -> Reader {
    reader(include_str!("../../../../../profiles/htcondor.toml"))
}

impl Reader {
    /// The state of one job by one answer, at the time of the recordings.
    fn tell(&self, printed: &str, id: &str) -> View {
        let now = clock::epoch_of("2026-11-23T01:08:50").expect("a time");
        match self.see(printed, id, now) {
            View::Waiting(wait) => waiting(&wait.text),
            view => view,
        }
    }

    fn see(&self, printed: &str, id: &str, now: i64) -> View {
        self.view(&self.sightings(printed), id, now)
    }

    /// Whether a job cannot start as things are.
    fn is_impossible(&self, printed: &str, id: &str) -> bool {
        match self.see(printed, id, 0) {
            View::Waiting(wait) => wait.impossible,
            view => panic!("{view:?}"),
        }
    }
}

fn waiting(reason: &str) -> View {
    View::Waiting(Wait { text: reason.to_owned(), ..Wait::default() })
}

fn running(nodes: &str) -> View {
    View::Running(nodes.to_owned())
}

fn over(state: &str, failed: bool) -> View {
    View::Over { state: state.to_owned(), failed }
}

const SQUEUE: &str = "1|COMPLETED|None|2026-11-23T01:08:42|n1
7|COMPLETED|None|2026-11-23T01:08:42|n1
2|FAILED|NonZeroExitCode|2026-11-23T01:08:42|n1
7|FAILED|NonZeroExitCode|2026-11-23T01:08:42|n2
7|FAILED|NonZeroExitCode|2026-11-23T01:08:42|n2
4|PENDING|PartitionNodeLimit|N/A|
6|PENDING|Resources|2026-11-23T01:20:50|
3|PENDING|JobHeldUser|N/A|
5|RUNNING|None|2026-11-23T01:08:42|n[1-2]
8|COMPLETING|None|2026-11-23T01:08:42|n[1-2]
9|PENDING|Dependency|2026-11-23T01:08:42|
9|RUNNING|None|2026-11-23T01:08:42|n2
9|RUNNING|None|2026-11-23T01:08:42|n1
";

#[test]
fn what_waiting_does_not_help_is_known() {
    let slurm = slurm();
    let never = |reason: &str| slurm.is_impossible(&format!("4|PENDING|{reason}|N/A|\n"), "4");
    for reason in [
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "PartitionConfig",
        "PartitionDown",
        "PartitionInactive",
        "BadConstraints",
        "InvalidAccount",
        "InvalidQOS",
        "QOSMaxWallDurationPerJobLimit",
        "AssocMaxNodePerJobLimit",
        "MaxMemPerLimit",
    ] {
        assert!(never(reason), "{reason}");
    }
    for reason in [
        "Resources",
        "Priority",
        "None",
        "JobHeldUser",
        "BeginTime",
        "ReqNodeNotAvail",
        "QOSMaxJobsPerUserLimit",
        "AssocGrpCpuLimit",
    ] {
        assert!(!never(reason), "{reason}");
    }
    // The words of the PBS Professional Administrator's Guide.
    let comment = |words: &str| format!("Job Id: 7.head\n    job_state = Q\n    comment = {words}\n");
    let pbs = pbs();
    assert!(
        pbs.is_impossible(&comment("Can Never Run: Insufficient amount of resource: ncpus (R: 9 A: 4 T: 4)"), "7.head")
    );
    assert!(
        !pbs.is_impossible(&comment("Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 4)"), "7.head")
    );
    let expected = slurm.see("6|PENDING|Resources|2026-11-23T01:20:50|\n", "6", 0);
    assert!(
        matches!(expected, View::Waiting(Wait { start: Some(_), reason, .. }) if reason == "waiting for resources")
    );
}

#[test]
fn slurm_squeue() {
    let tell = |id: &str| slurm().tell(SQUEUE, id);
    assert_eq!(tell("1"), over("COMPLETED", false));
    assert_eq!(tell("2"), over("FAILED", true));
    assert_eq!(tell("3"), waiting("held by its user; `scontrol release` lets it go"));
    assert_eq!(tell("4"), waiting("more nodes than the partition allows or has"));
    assert_eq!(tell("6"), waiting("waiting for resources; expected to start at 01:20, in 12 min"));
    assert_eq!(tell("5"), running("n[1-2]"));
    assert_eq!(tell("8"), running("n[1-2]"));
    assert_eq!(tell("7"), over("FAILED", true));
    assert_eq!(tell("9"), running("n1,n2"));
    assert_eq!(tell("999"), View::Absent);
    assert!(slurm().says_unknown("slurm_load_jobs error: Invalid job id specified\n"));
    assert!(!slurm().says_unknown("slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"));
}

#[test]
fn slurm_sbatch() {
    assert_eq!(slurm().job_id("17\n").as_deref(), Some("17"));
    assert_eq!(slurm().job_id("17;cluster\n").as_deref(), Some("17"));
    assert_eq!(slurm().job_id("sbatch: error"), None);
}

#[test]
fn slurm_scontrol() {
    let failed = "JobId=2 JobName=j.sh UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901758 Nice=0 \
        Account=(null) QOS=(null) JobState=FAILED Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=0 \
        BatchFlag=1 Reboot=0 ExitCode=3:0 RunTime=00:00:01 TimeLimit=365-00:00:00 TimeMin=N/A\n";
    let outcome = slurm().outcome(failed).expect("an outcome");
    let state = Some("FAILED".to_owned());
    assert_eq!(outcome, Outcome { state, failed: true, code: Some(3), signal: None });
    assert_eq!(words::ended("2", &outcome, slurm().endings()), "job 2 failed (FAILED), exit code 3");
    let array = "JobId=7 ArrayJobId=7 ArrayTaskId=3 JobState=COMPLETED Reason=None ExitCode=0:0 RunTime=00:00:01
JobId=11 ArrayJobId=7 ArrayTaskId=2 JobState=FAILED Reason=NonZeroExitCode ExitCode=1:0 RunTime=00:00:01
JobId=10 ArrayJobId=7 ArrayTaskId=1 JobState=COMPLETED Reason=None ExitCode=0:0 RunTime=00:00:01
";
    assert_eq!(slurm().outcome(array).expect("an outcome").code, Some(1));
    assert_eq!(slurm().outcome("slurm_load_jobs error: Invalid job id specified\n"), None);
    let cancelled = slurm().outcome("JobState=CANCELLED Reason=None ExitCode=0:15\n").expect("an outcome");
    assert_eq!(
        words::ended("5", &cancelled, slurm().endings()),
        "job 5 was cancelled (CANCELLED), signal: 15 (SIGTERM)"
    );
}

const QSTAT: &str = "\
job-ID  prior   name       user         state submit/start at     queue                          slots ja-task-ID 
-----------------------------------------------------------------------------------------------------------------
      2 0.26021 s.sh       tester       r     11/23/2026 01:10:34 main.q@sgehost                     2        
      7 0.75000 s.sh       tester       qw    11/23/2026 01:10:26                                   50        
      1 0.00000 j.sh       tester       qw    11/23/2026 01:10:25                                    1 1-3:1
      4 0.25000 f.sh       tester       dr    11/23/2026 01:10:34 main.q@sgehost                     1        
      3 0.00000 s.sh       tester       hqw   11/23/2026 01:10:25                                    1        
      6 0.25000 f.sh       tester       Eqw   11/23/2026 01:10:26                                    1        
";

#[test]
fn grid_engine_qstat() {
    let tell = |id: &str| sge().tell(QSTAT, id);
    assert_eq!(tell("2"), running("main.q@sgehost"));
    assert_eq!(tell("4"), running("main.q@sgehost"));
    assert_eq!(tell("7"), waiting("queued"));
    assert_eq!(tell("1"), waiting("queued"));
    assert_eq!(tell("3"), waiting("held; `qrls` lets it go, if you held it"));
    assert_eq!(tell("6"), View::Stuck("its start failed; `qstat -j` says why".to_owned()));
    assert_eq!(tell("5"), View::Absent);
    assert_eq!(sge().tell("", "5"), View::Absent);
}

#[test]
fn grid_engine_qsub_and_qdel() {
    assert_eq!(sge().job_id("1.1-3:1\n").as_deref(), Some("1"));
    assert_eq!(sge().job_id("4\n").as_deref(), Some("4"));
    assert!(sge().says_unknown("denied: job \"999\" does not exist\n"));
    assert!(sge().says_unknown("error: job id 999 not found\n"));
}

#[test]
fn grid_engine_qacct() {
    let array = "taskid       1                   \nfailed       0    \nexit_status  0                   \n\
        taskid       2                   \nfailed       0    \nexit_status  1                   \n";
    assert_eq!(sge().outcome(array), Some(Outcome { code: Some(1), ..Outcome::default() }));
    assert_eq!(sge().outcome("failed       0    \nexit_status  0 \n").expect("an outcome").code, Some(0));
    assert_eq!(sge().outcome("error: job id 4 not found\n"), None);
    let limit = "failed       37  : qmaster enforced h_rt, h_cpu, or h_vmem limit\n\
        exit_status  137                  (Killed)\n";
    let limit = sge().outcome(limit).expect("an outcome");
    let state = "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit";
    let how = format!("job 2 reached its time or memory limit ({state}), signal: 9 (SIGKILL)");
    assert_eq!(words::ended("2", &limit, sge().endings()), how);
    // A job that never ran has the exit status 0.
    let output = sge().outcome("failed       26  : opening input/output file\nexit_status  0                   \n");
    let output = output.expect("an outcome");
    assert_eq!((output.code, output.failed), (Some(0), true));
}

/// `qstat -f` as in the PBS Professional reference guide and reports of users: each job is a record of indented lines,
/// and a long value continues on a line that begins with a tab.
const QSTAT_F: &str = "Job Id: 1017.pbs-server
    Job_Name = ipclusterz-lab
    Job_Owner = me@login1
    job_state = Q
    queue = workq
    server = pbs-server
    comment = Not Running: Insufficient amount of resource: ncpus (R: 8 A: 4 T: 4
\t)
    Variable_List = PBS_O_HOME=/home/me,PBS_O_LANG=C

Job Id: 1018.pbs-server
    Job_Name = ipclusterz-lab
    resources_used.walltime = 00:00:06
    job_state = R
    queue = workq
    exec_host = n1/0*4+n2/0*4
    exec_vnode = (n1:ncpus=4)+(n2:ncpus=4)
    comment = Job run at Mon Nov 23 at 01:08 on (n1:ncpus=4)+(n2:ncpus=4)

Job Id: 1019[].pbs-server
    Job_Name = ipclusterz-lab
    job_state = B
";

#[test]
fn pbs_qstat() {
    let tell = |id: &str| pbs().tell(QSTAT_F, id);
    assert_eq!(tell("1017.pbs-server"), waiting("Not Running: Insufficient amount of resource: ncpus (R: 8 A: 4 T: 4"));
    assert_eq!(tell("1018.pbs-server"), running("n1/0*4+n2/0*4"));
    assert_eq!(tell("1019[].pbs-server"), running(""));
    assert_eq!(tell("1020.pbs-server"), View::Absent);
    assert!(pbs().says_unknown("qstat: Unknown Job Id 1020.pbs-server\n"));
    assert!(
        pbs().says_unknown(
            "qstat: 1016.pbs-server Job has finished, use -x or -H to obtain historical job information\n"
        )
    );
    assert_eq!(pbs().job_id("1017.pbs-server\n").as_deref(), Some("1017.pbs-server"));
    assert_eq!(pbs().job_id("1019[].pbs-server\n").as_deref(), Some("1019[].pbs-server"));
}

#[test]
fn pbs_exit_status() {
    let finished = "Job Id: 1018.pbs-server\n    job_state = F\n    Exit_status = 271\n    stime = Mon Nov 23\n";
    let ended = |text: &str| words::ended("1018", &pbs().outcome(text).expect("an outcome"), pbs().endings());
    assert_eq!(ended(finished), "job 1018 ended, signal: 15 (SIGTERM)");
    assert_eq!(ended("    Exit_status = 143\n"), "job 1018 ended, signal: 15 (SIGTERM)");
    assert_eq!(ended("    Exit_status = -29\n"), "job 1018 reached its time limit (-29)");
    // Torque's spelling. Torque and PBS print negative numbers for what they did themselves.
    assert_eq!(ended("    exit_status = -3\n"), "job 1018 ended (-3)");
}

/// `bjobs -noheader -o "… delimiter='|'"` as in the command's reference. Fields without a value are dashes.
const BJOBS: &str = "3926|PEND|-|New job is waiting for scheduling;
605|SSUSP|hostC|-
1480|RUN|4*hostA:4*hostB|-
7678|DONE|hostA|-
7679|EXIT|hostA|-
7680|PSUSP|-|-
";

#[test]
fn lsf_bjobs() {
    let tell = |id: &str| lsf().tell(BJOBS, id);
    assert_eq!(tell("3926"), waiting("New job is waiting for scheduling;"));
    assert_eq!(tell("605"), running("hostC"));
    assert_eq!(tell("1480"), running("4*hostA:4*hostB"));
    assert_eq!(tell("7678"), over("DONE", false));
    assert_eq!(tell("7679"), over("EXIT", true));
    assert_eq!(tell("7680"), waiting("held; `bresume` lets it go"));
    assert!(lsf().says_unknown("Job <999> is not found\n"));
    assert_eq!(lsf().job_id("Job <3926> is submitted to queue <normal>.\n").as_deref(), Some("3926"));
    let killed = lsf().outcome("EXIT|137|-\n").expect("an outcome");
    assert_eq!((killed.code, killed.signal, killed.failed), (Some(137), Some(9), true));
    let done = lsf().outcome("DONE|-|-\n").expect("an outcome");
    assert_eq!((done.code, done.failed, done.state.as_deref()), (None, false, Some("DONE")));
}

/// `condor_q -af` prints the attributes of a job on one line, `undefined` for those that it does not have. The numbers
/// of JobStatus are those of the manual's table of job attributes.
const CONDOR_Q: &str = "12 1 undefined undefined
13 2 slot1_1@exec1.example undefined
13 1 undefined undefined
14 5 undefined Error from slot1_1@exec1.example: Failed to open '/no/such' as standard output
15 4 undefined undefined
";

#[test]
fn htcondor_condor_q() {
    let tell = |id: &str| htcondor().tell(CONDOR_Q, id);
    assert_eq!(tell("12"), waiting("idle: no machine is free that is as it asks for"));
    assert_eq!(tell("13"), running("slot1_1@exec1.example"));
    let held = "Error from slot1_1@exec1.example: Failed to open '/no/such' as standard output";
    assert_eq!(tell("14"), View::Stuck(held.to_owned()));
    assert_eq!(tell("15"), over("4", false));
    assert_eq!(htcondor().job_id("12.0 - 12.3\n").as_deref(), Some("12"));
    let outcome = |text: &str| htcondor().outcome(text).expect("an outcome");
    assert_eq!((outcome("3 4\n").code, outcome("0:9 4\n").signal, outcome("0 4\n").failed), (Some(3), Some(9), false));
    let removed = outcome("undefined 3\n");
    assert_eq!((removed.code, removed.failed), (None, true));
}

#[test]
fn bad_patterns_are_named() {
    let with = |change: fn(&mut QueueTable)| {
        let mut queue = options(include_str!("../../../../../profiles/slurm.toml")).queue;
        change(&mut queue);
        Reader::new(&queue).expect_err("a bad pattern")
    };
    let failure = with(|queue| queue.job_id = r"(\d+)".to_owned());
    assert_eq!(failure.message, r#"queue.job_id = "(\\d+)" has no group "id""#);
    assert!(with(|queue| queue.status_line = "(".to_owned()).message.starts_with("queue.status_line is not a pattern"));
}

proptest::proptest! {
    #[test]
    fn any_answer_is_read_without_panic(text in "[\\PC\n|:0-9]{0,200}") {
        for reader in [slurm(), sge(), pbs(), lsf(), htcondor()] {
            let _ = (reader.tell(&text, "1"), reader.outcome(&text), reader.job_id(&text));
        }
    }
}
