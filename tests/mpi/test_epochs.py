"""Ranks that are killed, and what goes on without them: real programs of MPI, real kills."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import mpi_cluster
from helpers import until

import ipclusterz as ipz
from ipclusterz.error import RankLost

LIMIT = 60


def all_sum(comm: Any) -> tuple[int, int]:
    """The epoch, and how many ranks there are, counted by MPI."""
    return comm.epoch, comm.allreduce(1)


def wait_for_nobody(comm: Any) -> None:
    """A collective that the highest rank does not enter, which is busy with something else until it is killed."""
    import time

    if comm.rank == comm.size - 1:
        time.sleep(600)
    comm.barrier()


# Open MPI 5 notices losses itself (ULFM); 4 must be left in the dark.
@pytest.fixture(params=["openmpi", "openmpi5"])
def shrinking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], ipz.Client]]:
    """Clients of clusters whose survivors go on."""
    opened: list[Any] = []

    def make(ranks: int) -> ipz.Client:
        opened.append(mpi_cluster(request.param, ranks, tmp_path / "shrink", "shrink"))
        opened.append(ipz.Client(cluster=opened[-1].__enter__(), timeout=LIMIT))
        opened[-1].mpi.wait_epoch(1, timeout=LIMIT)
        client: ipz.Client = opened[-1]
        return client

    yield make
    for some in reversed(opened):
        if isinstance(some, ipz.Client):
            some.close()
        else:
            some.__exit__(None, None, None)


def pids(client: ipz.Client) -> dict[int, int]:
    """The engines' processes."""
    return {engine["id"]: engine["pid"] for engine in client.status()["engines"]}


def busy(client: ipz.Client) -> set[int]:
    """The engines that have something to do."""
    return {engine["id"] for engine in client.status()["engines"] if engine["state"] == "busy"}


@pytest.mark.parametrize("victim", [0, 1, 2, 3])
def test_each_rank_may_be_killed_in_the_middle_of_a_collective(
    shrinking: Callable[[int], ipz.Client], victim: int
) -> None:
    rc = shrinking(4)
    before = pids(rc)
    rc[:]["kept"] = "as it was"
    # The one to be killed is the last in the group, and so the one that does not enter.
    rest = [engine for engine in rc.ids if engine != victim]
    waiting = rc[[*rest, victim]].mpi.spmd(wait_for_nobody)
    behind = rc[rest].mpi.barrier(block=False)
    until(lambda: busy(rc) == set(before), LIMIT)
    os.kill(before[victim], signal.SIGKILL)
    began = time.monotonic()
    for result in (waiting, behind):
        with pytest.raises(RankLost, match=rf"engine {victim} \(pid {before[victim]} on .*\) died"):
            result.get(LIMIT)
    assert time.monotonic() - began < 5, "at once"
    assert rc.mpi.wait_epoch(2, timeout=LIMIT) == 2
    assert rc[:].mpi.spmd(all_sum).get(LIMIT) == [(2, 3)] * 3
    assert rc[:]["kept"] == dict.fromkeys(rest, "as it was")
    assert pids(rc) == {engine: pid for engine, pid in before.items() if engine != victim}


def test_an_idle_world_loses_a_rank(shrinking: Callable[[int], ipz.Client]) -> None:
    rc = shrinking(3)
    os.kill(pids(rc)[0], signal.SIGKILL)
    assert rc.mpi.wait_epoch(2, timeout=LIMIT) == 2
    assert (rc.mpi.ranks, rc[:].mpi.spmd(all_sum).get(LIMIT)) == ([1, 2], [(2, 2)] * 2)


def die_when_the_next_epoch_forms(comm: Any, rank: int) -> None:
    """From now on."""
    import os
    import signal

    from ipclusterz import mpi

    if comm.rank == rank:

        @mpi.on_reform
        def die(_comm: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_rank_is_lost_while_the_others_form_the_next_epoch(shrinking: Callable[[int], ipz.Client]) -> None:
    rc = shrinking(4)
    rc[:].mpi.spmd(die_when_the_next_epoch_forms, 2).get(LIMIT)
    os.kill(pids(rc)[0], signal.SIGKILL)
    assert rc.mpi.wait_epoch(3, timeout=LIMIT) == 3
    assert (rc.mpi.ranks, rc[:].mpi.spmd(all_sum).get(LIMIT)) == ([1, 3], [(3, 2)] * 2)


def test_several_ranks_are_lost_at_once(shrinking: Callable[[int], ipz.Client]) -> None:
    rc = shrinking(5)
    for rank, pid in pids(rc).items():
        if rank in (0, 2, 3):
            os.kill(pid, signal.SIGKILL)
    until(lambda: rc.ids == {1, 4}, LIMIT)
    epoch = rc.mpi.wait_epoch(2, timeout=LIMIT)
    assert rc[:].mpi.spmd(all_sum).get(LIMIT) == [(epoch, 2)] * 2


def test_twenty_epochs_of_survivors(shrinking: Callable[[int], ipz.Client]) -> None:
    rc = shrinking(21)
    rc[:]["kept"] = 1
    for epoch in range(2, 22):
        # Another one each time: the first, the last, one in the middle.
        victim = sorted(rc.ids)[(0, -1, len(rc.ids) // 2)[epoch % 3]]
        os.kill(pids(rc)[victim], signal.SIGKILL)
        assert rc.mpi.wait_epoch(epoch, timeout=LIMIT) == epoch
        left = 22 - epoch
        assert rc[:].mpi.spmd(all_sum).get(LIMIT) == [(epoch, left)] * left
    assert list(rc[:]["kept"].values()) == [1]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_twenty_epochs_of_programs_that_are_started_anew(flavour: str, tmp_path: Path) -> None:
    with (
        mpi_cluster(flavour, 2, tmp_path / "again", "restart", 30) as name,
        ipz.Client(cluster=name, timeout=LIMIT) as rc,
    ):
        for epoch in range(1, 21):
            assert rc.mpi.wait_epoch(epoch, timeout=LIMIT) == epoch
            assert rc[0, 1].mpi.spmd(all_sum).get(LIMIT) == [(epoch, 2)] * 2
            os.kill(pids(rc)[epoch % 2], signal.SIGKILL)
        assert rc.mpi.wait_epoch(21, timeout=LIMIT) == 21


def stay_away(comm: Any) -> None:
    """Rank 1 does."""
    if comm.rank == 1:
        import time

        time.sleep(600)
    comm.Barrier(timeout=1)


@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_a_rank_that_stays_away_is_named_with_what_it_does(flavour: str, tmp_path: Path) -> None:
    with mpi_cluster(flavour, 3, tmp_path / "stuck") as name, ipz.Client(cluster=name, timeout=LIMIT) as rc:
        rc.mpi.wait_epoch(1, timeout=LIMIT)
        result = rc[:].mpi.spmd(stay_away)
        # Those that gave up have answered.
        until(lambda: result.progress == 2, LIMIT)
        rc.interrupt(targets=1)
        with pytest.raises(ipz.CompositeError) as caught:
            result.get(LIMIT)
        assert [error.ename for error in caught.value.elist] == ["MPITimeout", "KeyboardInterrupt", "MPITimeout"]
        said = caught.value.elist[0].evalue
        assert "MPI_Barrier did not end within 1" in said
        assert "it waits for rank 1 (engine 1), which runs" in said
        assert "in stay_away" in said
        # The next call has another communicator.
        assert rc[:].mpi.spmd(all_sum).get(LIMIT) == [(1, 3)] * 3
        assert rc[0, 2].mpi.spmd(all_sum).get(LIMIT) == [(1, 2)] * 2
