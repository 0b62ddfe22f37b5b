//! Parsing of what real queues print. The output of Slurm 22.05.8 and Grid Engine 8.1.9 was recorded here. For the
//! others, the formats are those of their manuals and of their users' bug reports, as each test says.

use super::super::commands::Printed;
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
            // The causes have tests of their own.
            View::Over(outcome) => View::Over(Outcome { cause: None, ..outcome }),
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
    View::Over(Outcome { state: Some(state.to_owned()), failed, ..Outcome::default() })
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
        "Job's account not permitted to use this partition (chemists allows chemistry not physics)",
        "QOSNotAllowed",
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
fn tasks_of_an_array_are_listed_one_by_one() {
    let array = "12|PENDING|Resources|N/A||3|12\n12|PENDING|Resources|N/A||4|12\n12|RUNNING|None|N/A|n1|1|13\n\
                 12|COMPLETED|None|N/A|n2|2|14\n15|RUNNING|None|N/A|n3|N/A|15\n";
    let View::Partly { nodes, waiting, wait } = slurm().tell(array, "12") else { panic!("some run, some wait") };
    assert_eq!((nodes.as_str(), waiting, wait.text.as_str()), ("n1", vec![3, 4], "waiting for resources"));
    assert_eq!(slurm().tell(array, "15"), running("n3"));
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
    assert_eq!(outcome, Outcome { state, failed: true, code: Some(3), ..Outcome::default() });
    assert_eq!(words::ended("job 2", &outcome, slurm().endings()), "job 2 failed (FAILED), exit code 3");
    let array = "JobId=7 ArrayJobId=7 ArrayTaskId=3 JobState=COMPLETED Reason=None ExitCode=0:0 RunTime=00:00:01
JobId=11 ArrayJobId=7 ArrayTaskId=2 JobState=FAILED Reason=NonZeroExitCode ExitCode=1:0 RunTime=00:00:01
JobId=10 ArrayJobId=7 ArrayTaskId=1 JobState=COMPLETED Reason=None ExitCode=0:0 RunTime=00:00:01
";
    assert_eq!(slurm().outcome(array).expect("an outcome").code, Some(1));
    assert_eq!(slurm().outcome("slurm_load_jobs error: Invalid job id specified\n"), None);
    let cancelled = slurm().outcome("JobState=CANCELLED Reason=None ExitCode=0:15\n").expect("an outcome");
    assert_eq!(
        words::ended("job 5", &cancelled, slurm().endings()),
        "job 5 was cancelled (CANCELLED), signal: 15 (SIGTERM)"
    );
}

/// `sacct --parsable2 --format=JobID,State,ExitCode` of a cancelled job, one at its time limit, one whose node went down,
/// an array of which a task failed, and one that ran.
const SACCT: [&str; 5] = [
    "12|CANCELLED by 0|0:0\n12.batch|CANCELLED|0:15\n12.0|CANCELLED|0:15\n",
    "11|TIMEOUT|0:0\n11.batch|FAILED|15:0\n11.0|CANCELLED|0:15\n",
    "23|NODE_FAIL|0:0\n23.batch|CANCELLED|\n23.0|CANCELLED|\n",
    "20_1|COMPLETED|0:0\n20_1.batch|COMPLETED|0:0\n20_2|FAILED|3:0\n20_2.batch|FAILED|3:0\n",
    "11|RUNNING|0:0\n11.batch|RUNNING|0:0\n11.0|RUNNING|0:0\n",
];

#[test]
fn slurm_sacct() {
    let ended = |text: &str| words::ended("job 7", &slurm().accounting(text).expect("an outcome"), slurm().endings());
    let [cancelled, limit, node, array, lives] = SACCT;
    assert_eq!(ended(cancelled), "job 7 was cancelled (CANCELLED) by 0");
    assert_eq!(ended("21_[1-3]|CANCELLED by 1000|0:0\n"), "job 7 was cancelled (CANCELLED) by 1000");
    assert_eq!(ended(limit), "job 7 reached its time limit (TIMEOUT)");
    assert_eq!(ended(node), "job 7 failed because a node did (NODE_FAIL)");
    assert_eq!(ended(array), "job 7 failed (FAILED), exit code 3");
    assert_eq!(ended("14|COMPLETED|0:0\n14.batch|COMPLETED|0:0\n"), "job 7 completed (COMPLETED)");
    // What the manual says of memory, which was not recorded: a limit needs cgroups.
    assert_eq!(
        ended("15|FAILED|9:0\n15.batch|FAILED|9:0\n15.extern|COMPLETED|0:0\n15.0|OUT_OF_MEMORY|0:125\n"),
        "job 7 ran out of memory (OUT_OF_MEMORY), exit code 9"
    );
    // Accounting lags behind, or has nothing of the job.
    assert_eq!(slurm().accounting(lives), None);
    assert_eq!(slurm().accounting(""), None);
    assert_eq!(slurm().accounting("Slurm accounting storage is disabled\n"), None);
}

#[test]
fn accounting_completes_what_the_queue_tells() {
    let told = slurm().outcome("JobState=FAILED Reason=NonZeroExitCode ExitCode=137:0\n");
    let memory = slurm().accounting("15|FAILED|9:0\n15.0|OUT_OF_MEMORY|0:125\n");
    let both = Outcome::completed(told.clone(), memory).expect("an outcome");
    assert_eq!((both.state.as_deref(), both.signal), (Some("OUT_OF_MEMORY"), Some(9)));
    let cancelled = slurm().outcome("JobState=CANCELLED Reason=None ExitCode=0:0\n");
    let by = Outcome::completed(cancelled, slurm().accounting(SACCT[0])).expect("an outcome").by;
    assert_eq!(by.as_deref(), Some("0"));
    assert_eq!(Outcome::completed(told.clone(), None), told);
    assert_eq!(Outcome::completed(None, told.clone()), told);
}

#[test]
fn slurm_refuses() {
    let about = |printed: &str| slurm().refusal(printed).map(|refusal| refusal.about[0].clone()).unwrap_or_default();
    let failed = |why: &str| about(&format!("sbatch: error: Batch job submission failed: {why}\n"));
    assert_eq!(failed("Invalid account or account/partition combination specified"), "account");
    assert_eq!(failed("Invalid qos specification"), "qos");
    assert_eq!(failed("Invalid partition name specified"), "partition");
    assert_eq!(failed("Invalid feature specification"), "constraint");
    assert_eq!(failed("Requested node configuration is not available"), "nodes");
    assert_eq!(failed("Unable to contact slurm controller (connect failure)"), "");
    assert_eq!(about("allocation failure: Invalid qos specification\n"), "qos");
    assert_eq!(about("sbatch: error: invalid partition specified: nonsense\n"), "partition");
    assert_eq!(about("sbatch: error: Invalid generic resource (gres) specification\n"), "gpus");
    let memory = "sbatch: error: Memory specification can not be satisfied\n\
        sbatch: error: Batch job submission failed: Requested node configuration is not available\n";
    assert_eq!(about(memory), "memory");
    // The words of slurm_errno(3).
    assert_eq!(failed("Requested time limit is invalid (missing or exceeds some limit)"), "time_limit");
    assert_eq!(failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"), "qos");
    assert_eq!(failed("User's group not permitted to use this partition"), "partition");
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
    assert_eq!(words::ended("job 2", &limit, sge().endings()), how);
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
    let ended = |text: &str| words::ended("job 1018", &pbs().outcome(text).expect("an outcome"), pbs().endings());
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
    let suspended = "suspended by the queue, which lets it go on when it may";
    assert_eq!(tell("605"), View::Suspended(suspended.to_owned()));
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
    // Recorded of HTCondor 23.9.
    let removed = outcome("undefined 3 via condor_rm (by user tester)\n");
    assert_eq!((removed.code, removed.failed, removed.by.as_deref()), (None, true, Some("tester")));
    assert_eq!((outcome("3 4 undefined\n").code, outcome("3 4 undefined\n").by), (Some(3), None));
    let limit = "0:15 3 The job attribute PeriodicRemove expression 'NumJobStarts > 1 || (JobStatus == 2 && time() - \
        EnteredCurrentStatus > 2)' evaluated to TRUE\n";
    let how = "job 8 reached its time limit, or would have been started twice (PeriodicRemove), signal: 15 (SIGTERM)";
    assert_eq!(words::ended("job 8", &outcome(limit), htcondor().endings()), how);
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

#[test]
fn a_job_that_is_not_taken_is_told_from_a_server_that_does_not_answer() {
    let hint = |reader: &Reader, stderr: &str| {
        let printed = Printed { stdout: String::new(), stderr: stderr.to_owned() };
        let status = std::os::unix::process::ExitStatusExt::from_raw(1 << 8);
        let failure = reader.advised(CommandError::Failed { command: "sbatch job-0.sh".to_owned(), status, printed });
        failure.hint.expect("a hint")
    };
    let down = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)";
    assert_eq!(hint(&slurm(), down), "is its server up, and may this host and user ask it?");
    let refused = "sbatch: error: invalid partition specified: nonsense";
    assert!(hint(&slurm(), refused).starts_with("it says what it does not take: change [batch] or batch.directives"));
    // Of a queue whose words are not known nothing is known.
    let unknown = reader("[queue]\njob_id = '(?<id>.)'\nstatus_line = '(?<id>.)(?<state>.)'\n");
    assert_eq!(hint(&unknown, refused), "is its server up, and may this host and user ask it?");
}

#[test]
fn a_job_whose_processes_are_stopped_is_suspended() {
    let view = slurm().see("5|SUSPENDED|None|2026-11-23T01:08:42|n[1-2]|N/A|5\n", "5", 0);
    assert_eq!(view, View::Suspended("suspended; `scontrol resume` lets it go on".to_owned()));
    // Of an array, as long as a task runs, it does.
    let both = "5|SUSPENDED|None|2026-11-23T01:08:42|n1|1|6\n5|RUNNING|None|2026-11-23T01:08:42|n2|2|7\n";
    assert_eq!(slurm().see(both, "5", 0), running("n2"));
}

#[test]
fn tasks_of_an_array_end_one_by_one() {
    let printed = "16|2|x\n16|NODE_FAIL|NodeDown|2026-11-30T08:05:32|n3|2|18\n16|RUNNING|None|2026-11-30T08:05:32|n3|1|17\n\
                   16|PENDING|Resources|N/A||3-4|16\n";
    let slurm = slurm();
    let sightings = slurm.sightings(printed);
    let over = slurm.tasks_over(&sightings, "16");
    let outcome = &over[&2];
    assert_eq!((over.len(), outcome.state.as_deref()), (1, Some("NODE_FAIL")));
    assert_eq!(outcome.cause.map(|cause| cause.name), Some("node_failure"));
    let own: Vec<_> = sightings.iter().map(|one| (one.task, one.own.as_deref())).collect();
    assert_eq!(own, [(Some(2), Some("18")), (Some(1), Some("17")), (None, Some("16"))]);
}
