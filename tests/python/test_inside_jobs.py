"""`ipclusterz run` inside jobs of queues that start nothing on other nodes: as many engines as the job has room for.

What such a job sets is set here. Jobs of Slurm are real ones: `tests/launchers/test_slurm_scripts.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipclusterz.client.command import program

LOOK = "import ipclusterz; rc = ipclusterz.Client(); print(sorted(rc.ids), rc[:].apply_sync(len, 'ab'))"


def run(profile: str, job: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the environment of a job."""
    command = [program(), "run", "--profile", profile, *options, "--", sys.executable, "-c", LOOK]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **job})


def test_there_is_an_engine_for_each_task_or_for_the_cores_of_one(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("n1\nn1\n")
    for profile, job, options in (
        ("sge", {"JOB_ID": "7", "NSLOTS": "4"}, ["--set", "batch.cores_per_engine=2"]),
        ("lsf", {"LSB_JOBID": "7", "LSB_DJOB_NUMPROC": "2"}, []),
        ("pbs", {"PBS_JOBID": "7.server", "PBS_NP": "2"}, []),
        ("pbs", {"PBS_JOBID": "7.server", "PBS_NODEFILE": str(nodes)}, []),
    ):
        done = run(profile, job, *options)
        assert (done.returncode, done.stdout) == (0, "[0, 1] {0: 2, 1: 2}\n"), done.stderr


@pytest.mark.parametrize("profile", ["sge", "pbs"])
def test_a_job_that_does_not_say_is_refused_and_a_number_is_enough(profile: str) -> None:
    job = {"sge": {"JOB_ID": "7"}, "pbs": {"PBS_JOBID": "7"}}[profile]
    refused = run(profile, job)
    assert refused.returncode == 2
    assert "does not say how many tasks it has" in refused.stderr
    assert "hint: give a number, such as `-n 4`" in refused.stderr
    assert run(profile, job, "-n", "1").stdout == "[0] {0: 2}\n"
