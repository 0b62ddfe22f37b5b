//! The last output of each MPI, as recorded.

use super::super::engine::tests::set;
use super::*;

#[track_caller]
fn assert_cause(said: &str, rank: Option<u32>, host: Option<&str>, how: &str) {
    let lines: Vec<&str> = said.lines().collect();
    let expected = Cause { rank, host: host.map(str::to_owned), how: how.to_owned() };
    assert_eq!(cause_in(&lines), Some(expected), "{said}");
}

#[test]
fn open_mpi_4_names_the_rank() {
    let exit = "\
[1,0]<stdout>:rank 0 pid 13090
--------------------------------------------------------------------------
Primary job  terminated normally, but 1 process returned
a non-zero exit code. Per user-direction, the job has been aborted.
--------------------------------------------------------------------------
--------------------------------------------------------------------------
mpiexec.openmpi detected that one or more processes exited with non-zero status, thus causing
the job to be terminated. The first process to do so was:

  Process name: [[24544,1],1]
  Exit code:    3
--------------------------------------------------------------------------
";
    assert_cause(exit, Some(1), None, "exit status: 3");
    let killed = "\
--------------------------------------------------------------------------
mpiexec.openmpi noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).
--------------------------------------------------------------------------
";
    assert_cause(killed, Some(1), Some("vm"), "signal: 9 (SIGKILL)");
    let without_finalize = "\
--------------------------------------------------------------------------
mpiexec.openmpi has exited due to process rank 1 with PID 0 on
node vm exiting improperly. There are three reasons this could occur:
";
    assert_cause(without_finalize, Some(1), Some("vm"), "exit status: 0, while others still ran");
    let abort = "\
MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD
with errorcode 7.

NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.
";
    assert_cause(abort, Some(1), None, "MPI_Abort with error code 7");
}

#[test]
fn open_mpi_5_breaks_its_lines_elsewhere() {
    let exit = "\
--------------------------------------------------------------------------
prterun detected that one or more processes exited with non-zero status,
thus causing the job to be terminated. The first process to do so was:

   Process name: [prterun-vm-13246@1,2]
   Exit code:    3
--------------------------------------------------------------------------
";
    assert_cause(exit, Some(2), None, "exit status: 3");
    let killed = "\
prterun noticed that process rank 1 with PID 13337 on node vm exited on
signal 9 (Killed).
";
    assert_cause(killed, Some(1), Some("vm"), "signal: 9 (SIGKILL)");
    let without_finalize = "\
prterun has exited due to process rank 1 with PID 24265 on node vm exiting
improperly. There are three reasons this could occur:
";
    assert_cause(without_finalize, Some(1), Some("vm"), "exit status: 0, while others still ran");
    let abort = "\
[1,1]<stderr>: MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD
[1,1]<stderr>:   Proc: [[27456,1],1]
[1,1]<stderr>:   Errorcode: 7
";
    assert_cause(abort, Some(1), None, "MPI_Abort with error code 7");
}

#[test]
fn open_mpi_tells_what_keeps_it_from_starting() {
    let missing = "\
mpiexec.openmpi was unable to launch the specified application as it could not access
or execute an executable:

Executable: /no/such
Node: vm

while attempting to start process rank 0.
";
    assert_cause(missing, None, Some("vm"), "cannot run /no/such");
    let slots = "\
There are not enough slots available in the system to satisfy the 5
slots that were requested by the application:
";
    assert_cause(slots, None, None, "fewer than 5 slots; mpiexec.oversubscribe = true starts more engines than slots");
}

#[test]
fn hydra_is_believed_by_its_statuses() {
    // Its message names 13314, a rank that it killed itself, as the bad one.
    let exit = "\
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 14920 RUNNING AT vm
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES
===================================================================================
[mpiexec@vm] Exit codes: [vm] 9,768,0
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)
This typically refers to a problem with your application.
";
    assert_cause(exit, Some(1), Some("vm"), "exit status: 3");
    assert_cause("[mpiexec@vm] Exit codes: [vm] 0,9,0\n", Some(1), Some("vm"), "signal: 9 (SIGKILL)");
    assert_cause("[mpiexec@vm] Exit codes: [vm] 9,11,9\n", Some(1), Some("vm"), "signal: 11 (SIGSEGV)");
    // Over several hosts it does not say which ranks were where.
    assert_cause("[mpiexec@n0] Exit codes: [n1] 9,9 [n2] 9,256\n", None, Some("n2"), "exit status: 1");
    assert_cause("[mpiexec@vm] Exit codes: [vm] 9,9,9\n", None, Some("vm"), "signal: 9 (SIGKILL)");
    assert_eq!(cause_in(&["[mpiexec@vm] Exit codes: [vm] 9,9,0"]), None);
    assert_eq!(cause_in(&["[mpiexec@vm] Exit codes: [vm] 0,0,0"]), None);
    let most_killed = "\
[mpiexec@vm] Exit codes: [vm] 9,9,0
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)
This typically refers to a problem with your application.
";
    assert_cause(most_killed, None, None, "signal: 9 (SIGKILL)");
    let failed_proxy = "\
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 42 RUNNING AT n1
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES
===================================================================================
[proxy:0:1@n2] HYD_pmcd_pmip_control_cmd_cb (pm/pmiserv/pmip_cb.c:899): assert (!closed) failed
[mpiexec@head] HYDT_bscu_wait_for_completion (tools/bootstrap/utils/bscu_wait.c:73): one of the processes terminated badly; aborting
";
    let how = "process 42: signal: 9 (SIGKILL), unless mpiexec killed it itself";
    assert_cause(failed_proxy, None, Some("n1"), how);
    let missing = "[proxy:0:0@vm] HYDU_create_process (utils/launch/launch.c:73): execvp error on file /no/such (No such \
                   file or directory)\n";
    assert_cause(missing, None, None, "cannot run /no/such: No such file or directory");
    let abort =
        "[1] Abort(7) on node 1 (rank 1 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 7) - process 1\n";
    assert_cause(abort, Some(1), None, "MPI_Abort with error code 7");
}

#[test]
fn intel_has_other_names_of_hosts() {
    assert_cause("[mpiexec@vm] Exit codes: [vm:0] 15,768,15\n", Some(1), Some("vm"), "exit status: 3");
    assert_cause("[mpiexec@vm] Exit codes: [vm:0] 15,9,15\n", Some(1), Some("vm"), "signal: 9 (SIGKILL)");
}

#[test]
fn slurm_and_pals_name_the_rank_in_one_line() {
    let slurm = "srun: error: n2: task 3: Exited with exit code 3\nsrun: error: n1: task 0: Terminated\n";
    assert_cause(slurm, Some(3), Some("n2"), "exit status: 3");
    assert_cause("srun: error: n1: task 2: Killed\n", Some(2), Some("n1"), "signal: 9 (SIGKILL)");
    let pals = "x3006c0s19b1n0.hsn.cm.polaris.alcf.anl.gov: rank 0 died from signal 6 and dumped core\n";
    assert_cause(pals, Some(0), Some("x3006c0s19b1n0.hsn.cm.polaris.alcf.anl.gov"), "signal: 6 (SIGABRT)");
    assert_cause("n7: rank 2 exited with code 1\n", Some(2), Some("n7"), "exit status: 1");
}

#[test]
fn engines_are_named_by_their_ids() {
    let cause = Cause { rank: Some(1), host: Some("vm".to_owned()), how: "exit status: 3".to_owned() };
    assert_eq!(cause.describe(&set(4)), "engine 9 (rank 1) on vm: exit status: 3");
    assert_eq!(signal_of_code(137).as_deref(), Some("signal: 9 (SIGKILL)"));
    assert_eq!((signal_of_code(128), signal_of_code(255), signal_of_code(1)), (None, None, None));
    // A number that cannot be a rank of this set is left out.
    assert_eq!(cause.describe(&set(1)), "on vm: exit status: 3");
    assert_eq!(cause_in(&["ordinary output", "Process name: something else"]), None);
}

#[test]
fn the_end_of_one_rank_is_found_among_those_of_others() {
    let log = "\
[1,0]<stdout>:engine 8 is here
[1,1]<stderr>:Killed
[1,1]<stderr>:ipclusterz: rank 1 ended with status 137
[1,2]<stderr>: ipclusterz: rank 2 ended with status 3
srun: error: n1: task 12: Segmentation fault (core dumped)
";
    let lines: Vec<&str> = log.lines().collect();
    let how = |rank| end_of_rank(&lines, rank).map(|cause| cause.how);
    assert_eq!(how(1).as_deref(), Some("signal: 9 (SIGKILL)"));
    assert_eq!(how(2).as_deref(), Some("exit status: 3"));
    assert_eq!(how(12).as_deref(), Some("signal: 11 (SIGSEGV)"));
    assert_eq!(how(0), None);
    let again = [lines.as_slice(), &["srun: error: n1: tasks 0,2-3: Killed"]].concat();
    let how = |rank| end_of_rank(&again, rank).map(|cause| cause.how);
    assert_eq!((how(2).as_deref(), how(5)), (Some("signal: 9 (SIGKILL)"), None));
}

#[test]
fn the_parent_of_an_engine_says_how_it_ended() {
    let lines = [
        "0: engine 4 (pid 17) ended by signal 9 (SIGKILL)",
        "1: engine 5 (pid 18) ended with status 3",
        "0: engine 4 (pid 19) ended by signal 11 (SIGSEGV)",
        "1: what user code prints: engine 6 died",
    ];
    assert_eq!(end_of_engine(&lines, EngineId(4)).as_deref(), Some("signal: 11 (SIGSEGV)"));
    assert_eq!(end_of_engine(&lines, EngineId(5)).as_deref(), Some("exit status: 3"));
    assert_eq!(end_of_engine(&lines, EngineId(6)), None);
}
