"""What is special about engines that are the ranks of one MPI program."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import sites
import user
from helpers import until
from hosts import VirtualHosts
from sites import CommandFailed, Site

pytestmark = pytest.mark.timeout(120)

OTHER = {"openmpi": "mpich", "mpich": "openmpi"}


@pytest.fixture(params=["openmpi", "mpich"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Which MPI."""
    name: str = request.param
    return name


@pytest.fixture
def site(hosts: VirtualHosts, flavour: str) -> Iterator[Site]:
    """The hosts with that MPI's profile."""
    made = sites.mpiexec(hosts, flavour)
    with made.stopped_at_the_end():
        yield made


def world(rc: object) -> object:
    def rank_and_sum() -> tuple[int, int, int]:
        from mpi4py import MPI

        world = MPI.COMM_WORLD
        return world.rank, world.size, world.allreduce(world.rank)

    return rc[:].apply_sync(rank_and_sum)  # type: ignore[index]


def test_ids_are_ranks_and_engines_can_talk(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        assert prompt.do(world) == {rank: (rank, 4, 6) for rank in range(4)}


def test_two_ranks_say_hello_to_the_doctor(site: Site) -> None:
    profile = site.write_profile()
    for command in (["doctor", "--profile", profile], ["profile", "check", profile]):
        status, found = site.checks(*command)
        assert status == 0, found
        assert found["MPI"]["level"] == "ok"
        assert "two ranks met in one world of" in found["MPI"]["message"]


def test_scaling_beyond_the_slots_is_refused_at_once(site: Site) -> None:
    site.start(3, profile="[mpiexec]\noversubscribe = false\n")
    with pytest.raises(CommandFailed) as caught:
        site.ipclusterz("scale", "+2")
    assert caught.value.status == 2
    assert "mpiexec.hosts has 4 slots, fewer than 5 engines" in caught.value.stderr
    assert site.ipclusterz("scale", "+1")["engines"] == 4


def test_a_killed_rank_is_reported_with_its_signal(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        pid, host, _ = prompt.do(user.describe)[1]
        site.hosts.exec(site.hosts.index(host), "kill", "-KILL", str(pid))
        assert prompt.do(user.wait_for_ids, []) == []
    until(lambda: "SIGKILL" in site.launcher_log() or "signal 9" in site.launcher_log(), 20, site.launcher_log)


def test_a_set_begins_again_as_a_whole(site: Site) -> None:
    site.start(4, "--restart")
    with site.prompt() as prompt:
        pid, host, _ = prompt.do(user.describe)[3]
        site.hosts.exec(site.hosts.index(host), "kill", "-KILL", str(pid))
        assert prompt.do(user.wait_for_ids, []) == []
        assert prompt.do(user.wait_for_ids, [0, 1, 2, 3]) == [0, 1, 2, 3]
        assert prompt.do(world) == {rank: (rank, 4, 6) for rank in range(4)}


def test_mpi_of_another_kind_is_refused(hosts: VirtualHosts, flavour: str) -> None:
    site = sites.mpiexec(hosts, flavour)
    # What mpi4py loads is the other MPI: each engine would be alone in a world of its own.
    other = sites.mpi4py_environment(hosts, OTHER[flavour])
    with site.stopped_at_the_end(), pytest.raises(CommandFailed) as caught:
        site.start(4, profile=other)
    assert caught.value.status == 5
    assert "4 engines that each believe to be rank 0 of 1" in caught.value.stderr


def test_root_is_not_allowed_unless_asked_for(hosts: VirtualHosts) -> None:
    site = sites.mpiexec(hosts, "openmpi")
    with site.stopped_at_the_end(), pytest.raises(CommandFailed, match="allow_root"):
        site.start(2, profile="[mpiexec]\nallow_root = false\n")


def test_here_without_a_list_of_hosts(hosts: VirtualHosts, flavour: str) -> None:
    site = sites.mpiexec(hosts, flavour)
    with site.stopped_at_the_end():
        site.start(3, profile="[mpiexec]\nhosts = []\n")
        with site.prompt() as prompt:
            assert [host for _, host, _ in prompt.do(user.describe).values()] == ["head"] * 3


def test_a_program_that_is_no_mpiexec(hosts: VirtualHosts) -> None:
    site = sites.mpiexec(hosts, "openmpi")
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile=f'[mpiexec]\nprogram = "{sys.executable}"\n')
    assert caught.value.status == 2
    assert sys.executable in caught.value.stderr
