"""Why engines in jobs of Slurm do not start, or have died: in errors, in `status` and in the launcher's lines."""

from __future__ import annotations

import re
import subprocess

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(120)

_NOT_OF_PYTHON = "-m ipclusterz.engine --help"


def only_job(hosts: VirtualHosts) -> str:
    (line,) = slurm.live_jobs(hosts)
    return line.split()[0]


def losses(site: Site) -> list[str]:
    """How engines were lost, as the controller and the launcher have it."""
    status = site.status()
    return [loss["how"] for loss in status["controller"]["losses"] + status["progress"]["losses"]]


def said_everywhere(site: Site, said: str, *causes: str) -> None:
    """The error of a call, the status and the launcher have the cause."""
    assert all(cause in said for cause in causes), said
    until(lambda: any(causes[0] in how for how in losses(site)), 20, lambda: str(losses(site)))
    until(lambda: causes[0] in site.launcher_log(), 20, site.launcher_log)


# -- deaths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["", "array = true"], ids=["job", "array"])
def test_memory_runs_out(site: Site, batch: str) -> None:
    site.start(2, profile=f'[batch]\n{batch}\nmemory = "{300 if batch else 500}M"\n')
    with site.prompt() as prompt:
        prompt.do(user.begin_to_fill_memory, 1, 900)
        said = prompt.do(user.how_it_ended)
    said_everywhere(site, said, "it ran out of memory: ", " exceeded memory limit")


@pytest.mark.parametrize(
    ("extends", "batch"), [("slurm", ""), ("slurm", "array = true"), ("slurm-mpi", "")], ids=["job", "array", "mpi"]
)
def test_a_job_of_higher_priority_takes_the_nodes(hosts: VirtualHosts, extends: str, batch: str) -> None:
    mpi = sites.mpi4py_environment(hosts, "openmpi") if extends == "slurm-mpi" else ""
    site = sites.batch(hosts, extends, sites.merged(mpi, f"[batch]\n{batch}\n"))
    with site.stopped_at_the_end():
        site.start(2)
        with site.prompt() as prompt:
            prompt.do(user.begin_to_sleep, 1)
            # As much as there is, so that it takes what others have.
            urgent = ["sbatch", "--parsable", "--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null"]
            job = hosts.exec(0, *urgent, "--wrap=sleep 60").strip()
            said = prompt.do(user.how_it_ended)
        hosts.exec(0, "scancel", job)
        # Whoever is first: the job's output, or the queue.
        said_everywhere(site, said, "had to make room for another ")


def test_a_job_that_is_suspended_is_not_busy(site: Site, hosts: VirtualHosts) -> None:
    site.start(2)
    job = only_job(hosts)
    hosts.exec(0, "scontrol", "suspend", job)

    def states() -> set[str]:
        return {engine["state"] for engine in site.engines().values()}

    until(lambda: states() == {"suspended"}, 20, lambda: str(states()))
    shown = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
    assert (
        f"engines 0 to 1: job {job} is suspended; `scontrol resume` lets it go on: its processes are stopped" in shown
    )
    hosts.exec(0, "scontrol", "resume", job)
    until(lambda: states() == {"idle"}, 20, lambda: str(states()))
    said = site.launcher_log()
    assert f"job {job} is suspended; " in said
    assert re.search(rf"job {job} runs on \S+ again", said), said


# -- starts -----------------------------------------------------------------------------------------------------


def test_a_job_that_is_cancelled_while_it_waits_has_never_run(site: Site, hosts: VirtualHosts) -> None:
    profile = site.write_profile('[batch]\ndirectives = ["--hold"]\n')
    command = [IPCLUSTERZ, "start", "-n", "2", "--profile", profile, "--cluster", site.cluster]
    with site.popen(*command, stderr=subprocess.PIPE) as starting:
        until(lambda: slurm.live_jobs(hosts), 30)
        job = only_job(hosts)
        hosts.exec(0, "scancel", job)
        _, said = starting.communicate(timeout=60)
    assert starting.returncode == 5
    assert f"engines 0, 1 could not be started: job {job} was cancelled (CANCELLED)" in said, said
    assert "hint: somebody cancelled it" in said
    assert _NOT_OF_PYTHON not in said
    assert "run by" not in said


def test_a_folder_that_the_nodes_do_not_have(site: Site) -> None:
    # Each host has a /tmp of its own.
    site.env = {"IPCLUSTERZ_HOME": "/tmp/only-here"}
    status, found = site.checks("profile", "check", site.write_profile())
    assert (status, found["folder"]["level"]) == (0, "warning"), found
    assert "which this host alone has" in found["folder"]["message"]
    status, found = site.checks("doctor", "--profile", site.write_profile())
    assert found["folder"]["level"] == "warning"
    with pytest.raises(CommandFailed) as caught:
        site.start(2)
    said = caught.value.stderr
    assert re.search(r"job \d+ failed \(FAILED\): its node could not write into the cluster's folder", said), said
    assert "hint: the folder of the cluster has to be on a file system that all hosts of the engines have" in said
    assert _NOT_OF_PYTHON not in said
    assert "signal: 53" not in said


def test_a_firewall_that_drops_is_said_to_be_one(site: Site, hosts: VirtualHosts) -> None:
    for index in range(1, hosts.count):
        hosts.wall_port(index, 10203)
    with pytest.raises(CommandFailed) as caught:
        site.start(2, "--timeout", "20", profile='[controller]\nlisten = "0.0.0.0:10203"\n')
    said = caught.value.stderr
    assert re.search(
        "could not register: .*timed out: the host is down, or a firewall drops what is sent there", said
    ), said
    assert "hint: the engines' hosts have to reach the controller" in said
    assert "slow file system" not in said
