//! What Slurm 22.05 wrote into the outputs of jobs whose engines died, as recorded.

use super::*;

/// The patterns of a shipped profile.
fn causes(profile: &str) -> Causes {
    let table: toml::Table = profile.parse().expect("TOML");
    let patterns = table["queue"]["causes"].clone().try_into::<BTreeMap<String, Vec<String>>>().expect("lists");
    Causes::new(&patterns).expect("patterns")
}

fn slurm() -> Causes {
    causes(include_str!("../../../../../profiles/slurm.toml"))
}

fn lost(rank: u32, host: &str) -> LostEngine {
    LostEngine { rank, host: Some(host.to_owned()), pid: None }
}

#[track_caller]
fn told(said: &str, rank: u32, host: &str) -> Option<String> {
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    slurm().of_engine(&lines, &lost(rank, host), None)
}

const TIME_LIMIT: &str = "\
0: slurmstepd-n1: error: *** STEP 5.0 ON n1 CANCELLED AT 2026-11-30T08:05:13 DUE TO TIME LIMIT ***
slurmstepd-n1: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-30T08:05:13 DUE TO TIME LIMIT ***
srun: got SIGCONT
srun: Job step aborted: Waiting up to 5 seconds for job step to finish.
srun: error: n2: task 2: Terminated
srun: forcing job termination
srun: error: n1: tasks 0-1: Terminated
";

#[test]
fn what_ends_a_whole_job_is_told_of_each_engine() {
    for (rank, host) in [(0, "n1"), (2, "n2")] {
        let how = told(TIME_LIMIT, rank, host).expect("a cause");
        assert!(how.starts_with("its job reached its time limit: slurmstepd-n1: error: *** JOB 5 ON n1 CANC"), "{how}");
    }
    let preempted = TIME_LIMIT.replace("DUE TO TIME LIMIT", "DUE TO PREEMPTION");
    assert!(told(&preempted, 0, "n1").is_some_and(|how| how.starts_with("its job had to make room for another one: ")));
    let cancelled = TIME_LIMIT.replace(" DUE TO TIME LIMIT", "");
    assert!(told(&cancelled, 0, "n1").is_some_and(|how| how.starts_with("its job was cancelled: ")));
    let lost = "srun: error: n2: task 2: Terminated\nslurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-30T08:05:13 DUE TO \
                NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n";
    assert!(told(lost, 0, "n1").is_some_and(|how| how.starts_with("its node failed: slurmstepd: error: *** JOB 5")));
}

#[test]
fn a_step_that_the_launcher_starts_again_was_cancelled_by_nobody() {
    let step = "0: slurmstepd-n1: error: *** STEP 15.0 ON n1 CANCELLED AT 2026-11-30T08:06:25 ***\n";
    assert_eq!(told(step, 0, "n1"), None);
}

#[test]
fn what_is_said_of_some_tasks_is_told_of_these() {
    let oom = "0: hello\nsrun: error: n1: task 3: Out Of Memory\nsrun: error: n2: tasks 4,6-7: Out Of Memory\n";
    let how = "it ran out of memory: srun: error: n1: task 3: Out Of Memory";
    assert_eq!(told(oom, 3, "n1.example.org").as_deref(), Some(how));
    assert!(told(oom, 7, "n2").is_some_and(|how| how.ends_with("tasks 4,6-7: Out Of Memory")));
    assert_eq!(told(oom, 5, "n2"), None);

    let node = "srun: error: Node failure on n3\nsrun: error: n2: task 2: Segmentation fault\n";
    assert_eq!(told(node, 5, "n3").as_deref(), Some("its node failed: srun: error: Node failure on n3"));
    assert_eq!(told(node, 2, "n2").as_deref(), Some("signal: 11 (SIGSEGV)"));
    assert_eq!(told(node, 1, "n1"), None);
}

#[test]
fn a_later_death_is_not_an_earlier_one() {
    let again = "srun: error: n1: task 1: Out Of Memory\nipclusterz: the ranks have ended with status 1, and are started again\n\
                 srun: error: n1: task 1: Segmentation fault\n";
    assert_eq!(told(again, 1, "n1").as_deref(), Some("signal: 11 (SIGSEGV)"));
}

#[test]
fn of_tasks_that_were_killed_it_is_said_that_memory_ran_out() {
    let events = "slurmstepd: error: Detected 1 oom_kill event in StepId=17.0. Some of the step tasks have been OOM Killed.\n\
                  srun: error: n1: task 1: Killed\nsrun: error: n1: task 2: Exited with exit code 3\n";
    let how = told(events, 1, "n1").expect("a cause");
    assert!(
        how.starts_with("signal: 9 (SIGKILL), it ran out of memory: slurmstepd: error: Detected 1 oom_kill"),
        "{how}"
    );
    assert_eq!(told(events, 2, "n1").as_deref(), Some("exit status: 3"));
}

const OVER_MEMORY: &str = "\
slurmstepd-n1: error: StepId=2.batch exceeded memory limit (233197568 > 104857600), being killed
slurmstepd-n1: error: Exceeded job memory limit
slurmstepd-n1: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-30T08:12:29 ***
slurmstepd-n1: error: *** JOB 4 ON n1 CANCELLED AT 2026-11-30T08:12:35 DUE TO TIME LIMIT ***
";

#[test]
fn tasks_of_an_array_are_told_apart_by_their_own_ids() {
    let lines: Vec<String> = OVER_MEMORY.lines().map(str::to_owned).collect();
    let how = |own: &str| slurm().of_engine(&lines, &lost(0, "n1"), Some(own));
    assert!(how("2").is_some_and(|how| how.starts_with("it ran out of memory: slurmstepd-n1: error: StepId=2.batch")));
    assert!(how("4").is_some_and(|how| how.starts_with("its job reached its time limit: ")));
    assert_eq!(how("3"), None);
    // All are of one job where there is no array.
    let plain = OVER_MEMORY.lines().take(3).collect::<Vec<_>>().join("\n");
    assert!(told(&plain, 0, "n1").is_some_and(|how| how.starts_with("it ran out of memory: ")));
}

#[test]
fn words_of_a_queue_have_their_causes() {
    let slurm = slurm();
    let cause = |word: &str| slurm.in_words([&word.to_owned()]).map(|cause| cause.name);
    let known = [
        ("OUT_OF_MEMORY", "out_of_memory"),
        ("TIMEOUT", "time_limit"),
        ("NODE_FAIL", "node_failure"),
        ("PREEMPTED", "preempted"),
        ("CANCELLED", "cancelled"),
        ("0:53", "folder"),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "queue_down",
        ),
    ];
    for (word, name) in known {
        assert_eq!(cause(word), Some(name), "{word}");
    }
    assert_eq!(
        (cause("FAILED"), cause("0:15"), cause("sbatch: error: invalid partition specified: x")),
        (None, None, None)
    );
}

#[test]
fn the_causes_of_all_profiles_are_causes() {
    for profile in [
        include_str!("../../../../../profiles/pbs.toml"),
        include_str!("../../../../../profiles/lsf.toml"),
        include_str!("../../../../../profiles/sge.toml"),
        include_str!("../../../../../profiles/htcondor.toml"),
    ] {
        causes(profile);
    }
    let unknown = Causes::new(&BTreeMap::from([("oom".to_owned(), Vec::new())])).expect_err("no cause");
    assert_eq!(unknown.message, "queue.causes.oom: there is no such cause");
    assert!(unknown.hint.is_some_and(|hint| hint.contains("out_of_memory, ")));
}

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let how = told("srun: error: n1: task 1: Out Of Memory\u{1b}[2J\n", 1, "n1").expect("a cause");
    assert!(!how.contains('\u{1b}'), "{how}");
}

#[test]
fn hosts_are_found_in_lists_as_queues_write_them() {
    for nodes in ["n2", "n1,n2", "n[1-3]", "n[1,2]", "m[1-9],n[02-04]", "n[2]"] {
        assert!(lists(nodes, "n2.example.org"), "{nodes}");
    }
    for nodes in ["", "n1", "n[3-9]", "m[1-3]", "n22", "n[2"] {
        assert!(!lists(nodes, "n2"), "{nodes}");
    }
}
