"""A view's engines as the ranks of a communicator, on real clusters: both libraries, on 1, 2 and 4 ranks."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import START_SECONDS, mpi_cluster
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz.client.mpi import Group
from ipclusterz.error import MPIError, MPITimeout, RankLost

pytestmark = pytest.mark.timeout(START_SECONDS + 60)

LIMIT = 30.0


@pytest.fixture(scope="module", params=[(flavour, ranks) for flavour in ("openmpi", "mpich") for ranks in (1, 2, 4)],
                ids=lambda param: f"{param[0]}-{param[1]}")  # fmt: skip
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running cluster."""
    flavour, ranks = request.param
    with mpi_cluster(flavour, ranks, tmp_path_factory.mktemp(f"view-{flavour}-{ranks}")) as name:
        yield name


@pytest.fixture
def rc(name: str) -> Iterator[ipz.Client]:
    """A client whose calls wait. The namespaces are empty."""
    with ipz.Client(cluster=name) as client:
        client.block = True
        client.mpi.wait_epoch(timeout=LIMIT)
        yield client
        client[:].clear(block=True)


@pytest.fixture
def group(rc: ipz.Client) -> Group:
    """All engines."""
    made = rc.mpi
    made.timeout = LIMIT
    return made


def test_the_collectives_give_what_numpy_gives(rc: ipz.Client, group: Group) -> None:
    size = len(rc)
    x = np.random.default_rng(size).random((size, 4 * size, 3))
    view = rc[:]
    view.scatter("x", x, flatten=True)
    nothing = dict.fromkeys(range(size))
    root = size - 1
    assert group.allreduce("x", out="out") == nothing
    assert all(np.allclose(value, x.sum(0)) for value in view["out"].values())
    assert group.allreduce("x", op="max", out="out") == nothing
    assert all(np.array_equal(value, x.max(0)) for value in view["out"].values())
    assert group.reduce("x", op="min", root=root, out="least") == nothing
    assert np.array_equal(rc[root]["least"], x.min(0))
    assert ("least" in rc[0]) == (size == 1)
    assert group.scan("x", op=np.add, out="out") == nothing
    assert all(np.allclose(value, x[: rank + 1].sum(0)) for rank, value in view["out"].items())
    assert group.gather("x", root=root, out="all") == nothing
    assert np.array_equal(rc[root]["all"], x.reshape(-1, 3))
    assert group.bcast("all", root=root) == nothing
    assert all(np.array_equal(value, x.reshape(-1, 3)) for value in view["all"].values())
    assert group.scatter("all", root=root, out="part") == nothing
    assert all(np.array_equal(value, x[rank]) for rank, value in view["part"].items())
    assert group.allgather("part", out="out") == nothing
    assert all(np.array_equal(value, x.reshape(-1, 3)) for value in view["out"].values())
    assert group.alltoall("x", out="out") == nothing
    wanted = x.reshape(size, size, 4, 3).swapaxes(0, 1).reshape(size, 4 * size, 3)
    assert all(np.array_equal(value, wanted[rank]) for rank, value in view["out"].items())
    assert group.barrier() == nothing
    assert np.array_equal(view.gather("x"), x.reshape(-1, 3))


def test_objects_and_arrays_together(rc: ipz.Client, group: Group) -> None:
    rc[:].push({"x": [1, "a"]})
    group.allgather("x")
    assert rc[0]["x"] == [1, "a"] * len(rc)
    rc[:].scatter("y", [np.ones(3), 2.0, np.float32(1), 4][: len(rc)], flatten=True)
    group.allreduce("y", out="total")
    wanted = sum([np.ones(3), 2.0, np.float32(1), 4][: len(rc)])
    assert all(np.array_equal(value, wanted) for value in rc[:]["total"].values())


def test_functions_see_their_communicator(rc: ipz.Client, group: Group) -> None:
    def total(comm: Any, factor: int, extra: int = 0) -> tuple[int, int, int]:
        return comm.rank, comm.size, comm.allreduce(factor * comm.rank) + extra

    size = len(rc)
    wanted = 10 * sum(range(size)) + 1
    assert group.spmd(total, 10, extra=1) == {rank: (rank, size, wanted) for rank in range(size)}
    group.block = False
    result = group.spmd(total, 10, extra=1)
    assert isinstance(result, ipz.AsyncResult)
    assert result.get(LIMIT) == [(rank, size, wanted) for rank in range(size)]
    assert group.allreduce("missing").wait(LIMIT)


def test_a_group_that_is_given_up_is_made_again(rc: ipz.Client) -> None:
    if len(rc) < 2:
        return
    group = rc[1, 0].mpi
    for _ in range(50):
        said = group.spmd(lambda comm: (comm.name, comm.allreduce(1)))
        assert said == dict.fromkeys((1, 0), ("world.group(1,0)", 2))
        group.free(block=True)
    rc.mpi.free(block=True)
    assert rc.mpi.spmd(lambda comm: comm.allreduce(1)) == dict.fromkeys(rc.ids, len(rc))


def test_ranks_are_places_in_the_view(rc: ipz.Client) -> None:
    order = sorted(rc.ids, reverse=True)
    group = rc[order].mpi
    assert (group.ranks, group.size, group.epoch) == (order, len(order), 1)
    assert group.spmd(lambda comm: comm.rank) == {engine: rank for rank, engine in enumerate(order)}
    rc[order].scatter("x", [[engine] for engine in order], flatten=True)
    group.gather("x", root=0, out="all")
    assert rc[order[0]]["all"] == order
    for engine in order:
        assert rc[engine].mpi.spmd(lambda comm: (comm.rank, comm.size)) == {engine: (0, 1)}


def test_data_of_the_client_through_mpi(rc: ipz.Client) -> None:
    view = rc[:]
    size = len(rc)
    x = np.arange(150_002.0).reshape(-1, 2)
    rc[0]["own"] = "first"
    view.execute("own = 'each'")
    nothing = dict.fromkeys(range(size))
    assert view.push({"x": x, "few": {1, 2}, "own_too": ipz.Reference("own")}, via="mpi") == nothing
    assert all(np.array_equal(value, x) for value in view["x"].values())
    assert set(view["own_too"].values()) == {"each"}
    view.execute("x[:] = 1; few.add(3)")
    for dist in ("b", "r"):
        assert view.scatter("part", x, dist=dist, via="mpi") == nothing
        direct = view["part"]
        view.scatter("part", x, dist=dist, via="direct")
        assert all(np.array_equal(direct[engine], part) for engine, part in view["part"].items())
        assert np.array_equal(view.gather("part", dist=dist, via="mpi"), x)
    later = view.gather("part", dist="r", via="mpi", block=False)
    assert np.array_equal(next(iter(later)), view["part"][0])
    assert np.array_equal(later.get(LIMIT), x)
    assert sorted(later.get_dict()) == list(range(size))
    view.scatter("mixed", [1, "a", None, np.ones(3), [2]], via="mpi")
    assert view.gather("mixed", via="mpi")[:3] == [1, "a", None]
    assert rc[0].push({"y": 1}, via="mpi") is None
    assert np.array_equal(rc[0].gather("part", via="mpi"), rc[0]["part"])
    view.scatter("rest", range(size), flatten=True, via="mpi")
    assert view["rest"] == {engine: engine for engine in range(size)}


def kept(_comm: Any) -> int:
    from ipclusterz.mpi import carry

    return len(carry._kept)


def test_what_cannot_be_passed_on_is_forgotten(rc: ipz.Client, group: Group) -> None:
    class Picky:
        def __setstate__(self, state: object) -> None:
            raise OSError("not here")

        def __getstate__(self) -> dict[str, int]:
            return {"a": 1}

    with pytest.raises((ipz.CompositeError, ipz.RemoteError), match="not here"):
        rc[:].push({"x": Picky(), "y": np.ones(100_000)}, via="mpi")
    with pytest.raises(ipz.RemoteKeyError, match="name 'missing' is not defined on engine 0"):
        rc[:].gather("missing", via="mpi")
    assert set(group.spmd(kept).values()) == {0}
    assert rc[:].keys() == {engine: [] for engine in range(len(rc))}


def test_what_one_rank_lacks_is_one_error(rc: ipz.Client, group: Group) -> None:
    last = len(rc) - 1
    rc[:].push({"x": np.ones(3), "y": [1]})
    rc[last].execute("del y; x = x[:2]")
    with pytest.raises(ipz.RemoteKeyError, match=rf"rank {last} \(engine {last}\): name 'y' is not defined"):
        group.allgather("y")
    if last:
        with pytest.raises(ipz.RemoteError, match=rf"rank {last} \(engine {last}\) has \(2,\)") as caught:
            group.allreduce("x")
        assert caught.value.ename == "ValueError"
    assert rc[0]["x"].tolist() == [1.0] * (3 if last else 2)
    group.barrier()


def test_a_function_that_raises(rc: ipz.Client, group: Group) -> None:
    def fail(comm: Any, rank: int) -> int:
        if comm.rank == rank:
            raise ValueError(f"rank {rank} will not")
        return int(comm.rank)

    last = len(rc) - 1
    with pytest.raises(ipz.CompositeError) as caught:
        group.spmd(fail, last)
    assert [(error.ename, error.engine_id, error.method) for error in caught.value] == [("ValueError", last, "spmd")]
    assert len(group.spmd(lambda comm: comm.size)) == len(rc)


def test_what_is_wrong_here_is_refused_here(rc: ipz.Client, group: Group) -> None:
    size = len(rc)
    with pytest.raises(
        ValueError, match=f"there is no rank {size} in a group of {size}\nhint: ranks are 0 to {size - 1}"
    ):
        group.bcast("x", root=size)
    with pytest.raises(ValueError, match="there is no rank -1"):
        group.gather("x", root=-1)
    with pytest.raises(TypeError, match="root: a rank is a number, not str: 'a'"):
        group.scatter("x", root="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no operator 'summ'; there are sum, prod"):
        group.allreduce("x", op="summ")
    with pytest.raises(TypeError, match="op: 5 is neither"):
        group.reduce("x", op=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="names are strings, not int: 5"):
        group.allgather(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="names are strings, not int: 5"):
        group.scan("x", out=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout: -1 is not a number of seconds"):
        group.barrier(timeout=-1)
    with pytest.raises(TypeError, match="a function is needed, not int: 5"):
        group.spmd(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="code is text"):
        group.execute(5)  # type: ignore[arg-type]
    calls: list[Callable[[str], Any]] = [
        lambda via: rc[:].push({"x": 1}, via=via),  # type: ignore[arg-type]
        lambda via: rc[:].scatter("x", [1], via=via),  # type: ignore[arg-type]
        lambda via: rc[:].gather("x", via=via),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(ValueError, match="via is 'auto', 'mpi' or 'direct', not 'tcp'"):
            call("tcp")
    assert repr(group) == f"<Group of engines {', '.join(map(str, range(size)))}>"


def test_a_busy_engine_is_waited_for(rc: ipz.Client, group: Group, gate: Path) -> None:
    busy = rc[0].apply_async(hold, str(gate))
    rc[:].push({"x": 1}, block=False)
    result = group.allreduce("x", out="total", block=False)
    after = rc[:].pull("total", block=False)
    until(lambda: rc.status()["engines"][0]["queue"] == 4, LIMIT, lambda: str(rc.status()))
    assert not result.ready()
    # Some ranks may be in it.
    result.abort()
    gate.touch()
    assert busy.get(LIMIT)
    assert result.get(LIMIT) == [None] * len(rc)
    assert after.get(LIMIT) == [len(rc)] * len(rc)


def test_cells_see_the_communicator(rc: ipz.Client, group: Group) -> None:
    size = len(rc)
    replies = group.execute("comm.allreduce(comm.rank + 1)")
    assert {engine: reply.r for engine, reply in replies.items()} == dict.fromkeys(
        range(size), str(sum(range(size + 1)))
    )
    with pytest.raises(ipz.CompositeError, match="ZeroDivisionError"):
        group.execute("1 / 0")


def test_two_clients_on_overlapping_views_never_wait_for_each_other(name: str, rc: ipz.Client) -> None:
    size = len(rc)
    views = [ids for ids in ([0], list(range(size)), [size - 1, 0], list(range(size // 2 + 1)), list(range(1, size)))
             if ids and len(set(ids)) == len(ids)]  # fmt: skip
    wrong: list[str] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        with ipz.Client(cluster=name) as client:
            under_way = []
            for number in range(100):
                ids = choose.choice(views)
                group = client[ids].mpi
                group.timeout = LIMIT
                if choose.random() < 0.5:
                    result = group.spmd(lambda comm, n: comm.allreduce(n), number)
                    wanted: list[Any] = [number * len(ids)] * len(ids)
                else:
                    result = group.execute("total = comm.allreduce([comm.rank])")
                    wanted = []
                under_way.append((result, wanted, ids))
                if choose.random() < 0.2:
                    client[choose.choice(views)].apply_async(sum, [number])
            for result, wanted, ids in under_way:
                found = result.get(LIMIT)
                if wanted and found != wanted:
                    wrong.append(f"{ids}: {found} instead of {wanted}")

    def guarded(seed: int) -> None:
        try:
            work(seed)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=guarded, args=(seed,)) for seed in (size, 10 + size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong, wrong[:5]


def stacks(comm: Any) -> list[str]:
    """What this engine is told of its own stack, asked for three times."""
    from ipclusterz.mpi import missing, world

    own = world.engines()[comm.rank]
    return [missing.engine.inspect([own], 3.0)[own][1] for _ in range(3)]


def test_a_stack_is_told_as_often_as_it_is_asked_for(group: Group) -> None:
    for told in group.spmd(stacks).values():
        assert all("in stacks" in stack and "\0" not in stack for stack in told)


def test_a_deadline_names_the_call(rc: ipz.Client) -> None:
    if len(rc) == 1:
        # A rank alone waits for nobody.
        assert rc.mpi.spmd(lambda comm: comm.barrier(0.5)) == {0: None}
        return
    group = rc[1, 0].mpi
    group.timeout = 0.5
    with pytest.raises(MPITimeout, match=r"engine 1: .*") as caught:
        group.spmd(lambda comm: comm.barrier() if comm.rank == 0 else None)
    assert "MPI_" in caught.value.call or "MPI_" in str(caught.value)
    # Other groups of the same engines go on.
    assert rc.mpi.spmd(lambda comm: comm.allreduce(1)) == dict.fromkeys(range(len(rc)), len(rc))


def leave_early(comm: Any, how: str, call: str) -> None:
    """Rank 1 leaves an exchange of large objects that no other rank has entered."""
    spare = comm.dup()
    # Opens what large objects go through.
    spare.gather(None)
    if comm.rank != 1:
        spare.Barrier()
        return
    if how == "interrupt":
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    seconds = 0.5 if how == "deadline" else LIMIT
    if call == "gather":
        spare.gather(bytes(8 << 20), timeout=seconds)
    else:
        spare._pass_on(bytearray(8 << 20), seconds)


@pytest.mark.parametrize("how", ["deadline", "interrupt"])
@pytest.mark.parametrize("call", ["gather", "pass on"])
def test_the_others_hear_of_who_leaves_an_exchange(rc: ipz.Client, group: Group, how: str, call: str) -> None:
    if len(rc) == 1:
        # A rank alone has nobody to exchange objects with.
        assert group.spmd(lambda comm: comm.gather(bytes(8 << 20)) == [bytes(8 << 20)]) == {0: True}
        return
    began = time.monotonic()
    group.block = False
    result = group.spmd(leave_early, how, call)
    assert result.wait(LIMIT)
    # Long before their own deadline.
    assert time.monotonic() - began < LIMIT / 2
    told = {engine: error for _, error, engine in result.failures()}
    assert sorted(told) == list(range(len(rc)))
    assert told.pop(1).ename == {"deadline": "MPITimeout", "interrupt": "KeyboardInterrupt"}[how]
    for error in told.values():
        assert error.ename == "RankRaised"
        assert "on rank 1" in error.evalue
        # An interrupt is told by the wait that it ends, too, and either may be heard of first.
        assert how == "interrupt" or "an exchange of large objects did not end: " in error.evalue
    # One error, where the others have nothing to say of their own.
    with pytest.raises(MPITimeout if how == "deadline" else ipz.CompositeError):
        result.get()
    group.block = True
    assert group.spmd(lambda comm: comm.allreduce(1)) == dict.fromkeys(range(len(rc)), len(rc))


def test_waiting_for_an_epoch(rc: ipz.Client, group: Group) -> None:
    assert group.wait_epoch(timeout=LIMIT) == group.wait_epoch(1) == group.epoch == 1
    with pytest.raises(ipz.TimeoutError, match=r"no communicator after 0.1 s: the epoch is 1, and 2 was asked for"):
        group.wait_epoch(2, timeout=0.1)


def test_engines_that_are_no_ranks(own_cluster: Callable[..., ipz.Cluster]) -> None:
    with own_cluster(2).connect_client() as client:
        client.block = True
        with pytest.raises(ipz.RejectedError, match="engine 0 is no rank of an MPI program"):
            client.mpi.allreduce("x")
        with pytest.raises(ipz.RejectedError, match="engine 0 is no rank of an MPI program"):
            client[:].push({"x": 1}, via="mpi")
        client[:].push({"x": np.zeros(1 << 20)}, via="auto")
        for ask in (lambda: client.mpi.epoch, lambda: client.mpi.ranks, client.mpi.wait_epoch):
            with pytest.raises(MPIError, match="engine 0 is not a rank of an MPI world") as caught:
                ask()
            assert "--profile mpiexec" in caught.value.hint
        until(lambda: set(client[:].apply(len_of_kept).values()) == {0}, LIMIT)


def len_of_kept() -> int:
    """How much of a client's data waits on an engine."""
    return kept(None)


def die(comm: Any) -> None:
    """Rank 1 does, and the others wait for it."""
    import os
    import signal

    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    comm.barrier()


@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_a_lost_rank_is_one_error(flavour: str, tmp_path: Path) -> None:
    with mpi_cluster(flavour, 3, tmp_path) as name, ipz.Client(cluster=name) as client:
        client.mpi.wait_epoch(timeout=LIMIT)
        view = client[:]
        dying = view.mpi.spmd(die)
        behind = view.mpi.barrier(block=False)
        pushed = view.push({"x": 1}, via="mpi", block=False)
        for result in (dying, behind, pushed):
            with pytest.raises(RankLost, match=r"engine 1 .*died"):
                result.get(LIMIT)
        # The set has begun again under the old ids, with empty namespaces.
        assert client.mpi.wait_epoch(2, timeout=START_SECONDS) == 2
        assert view.mpi.spmd(kept).get(LIMIT) == [0, 0, 0]
        assert view.mpi.ranks == [0, 1, 2]
        assert "x" not in view
        view.push({"x": 1}, via="mpi", block=True)
        assert view["x"] == {0: 1, 1: 1, 2: 1}


def test_survivors_keep_their_names(tmp_path: Path) -> None:
    with mpi_cluster("openmpi", 3, tmp_path, "shrink") as name, ipz.Client(cluster=name) as client:
        client.block = True
        client.mpi.wait_epoch(timeout=LIMIT)
        view = client[:]
        view.scatter("x", [1, 2, 4], flatten=True)
        client.mpi.allreduce("x", out="total")
        with pytest.raises(RankLost, match=r"engine 1 .*died"):
            view.mpi.spmd(die)
        assert client.mpi.wait_epoch(2, timeout=LIMIT) == 2
        assert client.mpi.allreduce("x", out="rest") == {0: None, 2: None}
        assert client[:].pull(("total", "rest")) == {0: [7, 5], 2: [7, 5]}
        assert (client.mpi.ranks, client.mpi.spmd(kept)) == ([0, 2], {0: 0, 2: 0})
        # What names the one that is gone says so.
        with pytest.raises(RankLost, match="epoch 1 is over"):
            view.mpi.barrier()
        with pytest.raises(RankLost, match="epoch 1 is over"):
            view.push({"x": np.zeros(100_000)}, via="mpi")
        assert set(client.mpi.spmd(kept).values()) == {0}
        with pytest.raises(ipz.EngineError, match="engine 1: not there any more"):
            view.mpi.ranks  # noqa: B018
        with pytest.raises(ipz.TimeoutError, match="engine 1: not there any more"):
            view.mpi.wait_epoch(timeout=0.1)


def test_ranks_are_a_pool_of_mpi4py(rc: ipz.Client) -> None:
    with rc.become_mpi4py_pool() as pool:
        assert pool.num_workers == len(rc)
        assert list(pool.starmap(pow, [(2, 3), (3, 2)])) == [8, 9]
        assert sorted(pool.map(abs, range(-20, 0), unordered=True)) == list(range(1, 21))
