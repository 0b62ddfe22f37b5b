"""Whether srun starts ranks of one world: checked inside an allocation, and said when they are alone."""

from __future__ import annotations

import contextlib
import json

import pytest
import sites
from hosts import VirtualHosts
from sites import CommandFailed

pytestmark = pytest.mark.timeout(120)


def test_two_ranks_say_hello_inside_an_allocation(hosts: VirtualHosts) -> None:
    outside = sites.batch(hosts, "slurm-mpi", sites.mpi4py_environment(hosts, "openmpi"))
    profile = outside.write_profile()
    for command in (["doctor", "--profile", profile], ["profile", "check", profile]):
        status, found = outside.checks(*command)
        assert (status, found["MPI"]["level"]) == (0, "skipped"), found
        assert f"run `ipclusterz profile check {profile}` inside an allocation" in found["MPI"]["message"]
    status, found = outside.checks("profile", "check", profile, "--run")
    assert (status, found["run: MPI"]["level"], found["run: way back"]["level"]) == (0, "ok", "ok"), found
    with sites.allocation(hosts) as inside:
        status, found = inside.checks("profile", "check", profile)
    assert status == 0, [it for it in found.values() if it["level"] == "failed"]
    assert found["MPI"]["level"] == "ok"
    assert "two ranks met in one world of Open MPI" in found["MPI"]["message"]


@pytest.mark.parametrize(
    ("flavour", "tried", "works"),
    [("mpich", "pmix", "MPICH wants --mpi=pmi2"), ("openmpi", "none", "Open MPI wants --mpi=pmix"),
     ("mpich", None, "MPICH wants --mpi=pmi2")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["submitted", "inside"])
def test_ranks_that_are_alone_are_refused_with_what_would_work(
    hosts: VirtualHosts, flavour: str, tried: str | None, works: str, where: str
) -> None:
    option = [f"--mpi={tried}"] if tried else []
    start = ["srun", *option, "--ntasks={count}", "--kill-on-bad-exit=0", "--overlap"]
    more = sites.merged(sites.mpi4py_environment(hosts, flavour), f"[queue]\nstart = {json.dumps(start)}\n")
    with contextlib.ExitStack() as stack:
        made = sites.batch(hosts, "slurm-mpi", more)
        if where == "inside":
            made.env = stack.enter_context(sites.allocation(hosts)).env
        stack.enter_context(made.stopped_at_the_end())
        with pytest.raises(CommandFailed) as caught:
            made.start(4)
    assert caught.value.status == 5
    said = caught.value.stderr
    assert f"srun was given --mpi={tried}; " in said if tried else "srun was given no --mpi, so that" in said, said
    assert "`srun --mpi=list` offers " in said
    assert works in said
    assert "set it in queue.start" in said
