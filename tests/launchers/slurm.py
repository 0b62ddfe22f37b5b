"""Slurm on virtual hosts: its files, waiting for its nodes, asking about its jobs. Starting it is `hosts.py`'s work."""

from __future__ import annotations

import datetime
import os
import time
from typing import TYPE_CHECKING

import accounting
from helpers import until

if TYPE_CHECKING:
    from hosts import VirtualHosts

CPUS_PER_NODE = 4
GPUS_PER_NODE = 2

# More CPUs than there are, for engines of tests mostly wait. Steps' limits are not enforced: no cgroups in here. What
# MPI a step is for has to be said, as on most sites: `srun --mpi=pmix` for Open MPI, `--mpi=pmi2` for MPICH.
_CONFIG = """\
ClusterName=testbed
SlurmctldHost=head({head})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=/run/munge/munge.sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=400
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
{accounting}
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
StateSaveLocation={folder}/slurm
SlurmdSpoolDir=/tmp/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile=/run/slurmd.log
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=10
KillWait=3
MessageTimeout=10
MinJobAge=300
NodeName=n[1-{last}] NodeAddr=n[1-{last}] CPUs={cpus} RealMemory=2000 Features=wide Gres=gpu:{gpus} State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=DOWN
PartitionName=brief Nodes=ALL MaxTime=1 State=UP
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
{partitions}"""

_NO_ACCOUNTING = {
    "accounting": "AccountingStorageType=accounting_storage/none",
    "partitions": "",
}


def write_files(hosts: VirtualHosts) -> None:
    """Write what the daemons read."""
    etc = hosts.folder / "etc"
    (hosts.folder / "slurm").mkdir()
    (etc / "munge.key").touch(mode=0o600)
    (etc / "munge.key").write_bytes(os.urandom(128))
    values = {"head": hosts.address(0), "folder": hosts.folder, "last": hosts.count - 1} | _NO_ACCOUNTING
    if hosts.accounting:
        values |= accounting.write_files(hosts)
    (etc / "slurm.conf").write_text(_CONFIG.format(cpus=CPUS_PER_NODE, gpus=GPUS_PER_NODE, **values))
    # No device is opened: Slurm counts them and sets CUDA_VISIBLE_DEVICES.
    (etc / "gres.conf").write_text("".join(f"Name=gpu File=/dev/{name}\n" for name in ("null", "zero")))


def idle_nodes(hosts: VirtualHosts) -> int:
    """How many nodes run and have no job."""
    done = hosts.run(0, ["sinfo", "--noheader", "--partition=debug", "--states=idle", "--format=%D %T"])
    return sum(int(line.split()[0]) for line in done.stdout.splitlines() if line.split()[1] == "idle")


def wait_for_nodes(hosts: VirtualHosts, timeout: float = 30) -> None:
    """Wait until all nodes are idle."""

    def state() -> str:
        return hosts.run(0, ["sinfo", "--long", "--Node"]).stdout + hosts.run(0, ["squeue", "--long"]).stdout

    until(lambda: idle_nodes(hosts) == hosts.count - 1, timeout, lambda: f"nodes are not idle:\n{state()}")


def save_state(hosts: VirtualHosts) -> None:
    """Have the controller write down what it knows. It does so some seconds after a change; a crash loses the rest.

    It writes at once when a job is submitted, unless it has written in the last five seconds, and not for a job that is
    cancelled before it ran. So there are two: the second is written with its end, some seconds later.
    """
    for _ in range(2):
        job = hosts.exec(0, "sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=true").strip()
        hosts.exec(0, "scancel", job)
    changed = time.time()
    state = hosts.folder / "slurm/job_state"

    def is_saved() -> bool:
        try:
            return state.stat().st_mtime > changed
        except FileNotFoundError:
            # It is put in place of the former one in two steps.
            return False

    until(is_saved, 20, "slurmctld does not save its state")


def cancel_all(hosts: VirtualHosts) -> None:
    """Cancel what is in the queue. These hosts' queue: nobody else's jobs are in it."""
    hosts.run(0, ["scancel", "--user=root"])


def resume_nodes(hosts: VirtualHosts) -> None:
    """Have Slurm take nodes again that it could not reach for a while."""
    for name in hosts.names[1:]:
        # An error for a node that is well.
        hosts.run(0, ["scontrol", "update", f"NodeName={name}", "State=RESUME"])


def jobs(hosts: VirtualHosts) -> list[str]:
    """Jobs in the queue, as `id name state` each."""
    return hosts.exec(0, "squeue", "--noheader", "--states=all", "--format=%A %j %T").splitlines()


def live_jobs(hosts: VirtualHosts) -> list[str]:
    """Jobs that wait, run or are just ending."""
    return hosts.exec(0, "squeue", "--noheader", "--format=%A %j %T").splitlines()


def job_states(hosts: VirtualHosts, job_id: str) -> set[str]:
    """States of a job, or of the tasks of an array."""
    lines = hosts.exec(0, "squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T").splitlines()
    return set(lines)


def submit_times(hosts: VirtualHosts) -> dict[str, float]:
    """When each job that Slurm still knows was submitted, in seconds since 1970, by its id."""
    lines = hosts.exec(0, "squeue", "--noheader", "--states=all", "--format=%A %V").splitlines()
    return {job: datetime.datetime.fromisoformat(when).timestamp() for job, when in map(str.split, lines)}
