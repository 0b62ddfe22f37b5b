"""Engines have their places on a host wherever they run: cores and GPUs of their own, and less memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sites
import user
from hosts import VirtualHosts
from sites import Site

pytestmark = pytest.mark.timeout(120)

PLACES = ["--set", "engines.bind=core", "--set", "engines.gpus=GPU-8f1d,MIG-2c6a", "--set", "engines.memory=1G"]


@pytest.fixture(params=["ssh", "openmpi", "mpich", "slurm", "slurm-inside", "gridengine"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A launcher's hosts, with no cluster on them; and none afterwards."""
    if request.param == "ssh":
        made = sites.ssh(request.getfixturevalue("separate"), "libssh2")
    elif request.param == "gridengine":
        made = sites.gridengine(request.getfixturevalue("gridengine"))
    elif request.param == "slurm":
        made = sites.batch(request.getfixturevalue("hosts"))
    elif request.param == "slurm-inside":
        with sites.allocation(request.getfixturevalue("hosts")) as made, made.stopped_at_the_end():
            yield made
        return
    else:
        made = sites.mpiexec(request.getfixturevalue("hosts"), request.param)
    with made.stopped_at_the_end():
        yield made


@pytest.mark.parametrize("extends", ["slurm-gpu", "slurm"])
def test_gpus_of_slurm_are_dealt_out_once(extends: str, hosts: VirtualHosts) -> None:
    # With the first, srun gives each task one. With the other, all tasks see what the job has on the node.
    site = sites.batch(hosts, extends=extends, more="[batch]\ngpus = 2\nengines_per_node = 2\n")
    with site.stopped_at_the_end():
        site.start(2, "--set", "engines.gpus=auto")
        with site.prompt() as prompt:
            assert prompt.do(user.gpus) == ["0", "1"]
        lines = [line for log in site.ipclusterz("logs", "-n", "100")["logs"] for line in log["lines"]]
        assert sorted(line for line in lines if " GPU " in line) == ["0: GPU 0", "1: GPU 1"]


def even(counts: Counter[Any]) -> bool:
    return max(counts.values()) - min(counts.values()) <= 1


def test_engines_of_a_host_have_places_of_their_own(site: Site) -> None:
    site.start(4, *PLACES)
    with site.prompt() as prompt:
        found = prompt.do(user.places)
        assert list(found) == [0, 1, 2, 3]
        for host in {host for host, *_ in found.values()}:
            here = [(cores, gpu) for name, cores, gpu, _ in found.values() if name == host]
            cores = Counter(core for own, _ in here for core in own)
            # With enough cores no two engines have one, and else all cores have as many.
            assert even(cores), here
            assert len(here) > len(cores) or set(cores.values()) == {1}, here
            if len(here) > 1:
                assert even(Counter(gpu for _, gpu in here))
                assert {gpu for _, gpu in here} == {"GPU-8f1d", "MIG-2c6a"}
        assert {refused for *_, refused in found.values()} == {"MemoryError"}
