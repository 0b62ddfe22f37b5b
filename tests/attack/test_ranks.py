"""Ranks that leave what they do together: by exceptions anywhere in it, interrupts, without memory, stopped.

What becomes of the others in each window of a call is in `docs/how-to/mpi.md`, "When a rank fails". The engine's
answer says how far it came. The controller passes that on to the members that have not answered
(`work/together.rs`), and their waits for what it has not entered end (`turns.rs` of the extension module). When all
have ended, the group's next call begins, with another communicator if the ranks were out of step.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import START_SECONDS, mpi_cluster
from counting import WHOLE, Faults
from helpers import engine_pid, hold, until
from sites import IPCLUSTERZ

import ipclusterz as ipz
from ipclusterz import mpi
from ipclusterz.error import MPITimeout

pytestmark = pytest.mark.timeout(1800 if WHOLE else START_SECONDS + 120)

# Of calls, which no wait may need.
DEADLINE = 60.0
# A wait for a message that does not come takes a second; the machine may be busy.
# More than a message may be on its way after its sender has ended in order.
SOON = 40.0
KINDS: dict[str, type[BaseException]] = {
    kind.__name__: kind for kind in (KeyboardInterrupt, MemoryError, RecursionError, SystemExit, ValueError)
}


@pytest.fixture(scope="module", params=["openmpi", "mpich", "openmpi5"] if WHOLE else ["openmpi"])
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running cluster of three ranks."""
    with mpi_cluster(request.param, 3, tmp_path_factory.mktemp(f"ranks-{request.param}")) as name:
        yield name


@pytest.fixture
def rc(name: str) -> Iterator[ipz.Client]:
    """A client."""
    with ipz.Client(cluster=name) as client:
        client.mpi.wait_epoch(timeout=START_SECONDS)
        yield client
        client[:].clear(block=True)


def arm(kind: str, number: int) -> None:
    """On an engine: have its main thread raise that at the `number`-th line of the package in a call of a group."""
    import builtins
    import sys

    left = number
    inside = False

    def line(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal left, inside
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise getattr(builtins, kind)("injected")
        elif event == "return" and frame.f_code.co_name == "collective":
            inside = False
        return line

    def call(frame: Any, _event: str, _argument: Any) -> Any:
        nonlocal inside
        name = frame.f_code.co_filename
        is_calls = name.endswith("/ipclusterz/engine/calls.py")
        inside = inside or (is_calls and frame.f_code.co_name == "collective")
        return line if inside and (is_calls or "/ipclusterz/mpi/" in name) else None

    sys.settrace(call)


def calm() -> None:
    """On an engine: nothing is raised any more when this has ended; it may be raised here."""
    import sys
    import threading

    sys.settrace(None)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()


def raise_later(kind: str, seconds: float) -> None:
    """On an engine: have another thread raise that in the main one, as an interpreter does between two instructions."""
    import builtins
    import ctypes
    import threading

    main = ctypes.c_ulong(threading.main_thread().ident or 0)
    exception = ctypes.py_object(getattr(builtins, kind))
    threading.Timer(seconds, ctypes.pythonapi.PyThreadState_SetAsyncExc, (main, exception)).start()


def many_steps(comm: Any) -> int:
    """Calls of all sorts, with more than one step each."""
    import numpy as np

    large = bytes(1 << 20)
    size = comm.size
    assert [len(part) for part in comm.allgather(large)] == [1 << 20] * size
    total = np.zeros(5000)
    comm.Allreduce(np.ones(5000), total)
    assert total.sum() == 5000 * size
    comm.gather(large, 1)
    comm.alltoall([large] * size)
    after, before = (comm.rank + 1) % size, (comm.rank - 1) % size
    assert comm.sendrecv(comm.rank, after, 7, before, 7) == before
    part = comm.scatter([large] * size if comm.rank == 0 else None)
    assert len(part) == 1 << 20
    return int(comm.allreduce(1))


def in_step(comm: Any, token: int) -> list[Any]:
    """What all say now: of a call that meets an older one, it is something else."""
    found: list[Any] = comm.allgather((token, comm.rank))
    return found


# What is tried: begun on a group.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "barrier": lambda _view, group: group.barrier(),
    "bcast": lambda _view, group: group.bcast("x", root=1, out="y"),
    "scatter": lambda _view, group: group.scatter("x", out="y"),
    "gather": lambda _view, group: group.gather("x", root=1, out="y"),
    "allgather": lambda _view, group: group.allgather("objects", out="y"),
    "alltoall": lambda _view, group: group.alltoall("objects", out="y"),
    "allreduce": lambda _view, group: group.allreduce("x", out="y"),
    "reduce": lambda _view, group: group.reduce("objects", op=lambda a, b: a + b, out="y"),
    "push": lambda view, _group: view.push({"y": np.ones(100_000)}, via="mpi", block=False),
    "cell": lambda _view, group: group.execute("comm.allreduce([comm.rank])", block=False),
    "spmd": lambda _view, group: group.spmd(many_steps),
    "free": lambda _view, group: group.free(),
}


class Histories:
    """Calls of groups, one rank of which leaves by an exception.

    What must hold: nobody waits for its deadline; ranks that fail name the one that left, or failed as it did; and
    whatever is called next comes to the right result on all ranks.
    """

    def __init__(self, rc: ipz.Client, seed: int) -> None:
        self.rc = rc
        self.choose = random.Random(seed)
        self.token = 0
        rc[:].push({"x": np.arange(3000.0), "objects": [b"a" * 5000, "b", 3]}, block=True)

    def run(self, leave: Callable[[int, str], object], has_left: Callable[[], object] = bool) -> bool:
        """One history, in which `leave` has an engine raise something before `has_left` returns. Whether it failed."""
        ids = self.choose.sample([0, 1, 2], self.choose.choice([2, 3]))
        if len(ids) == 3:
            # The communicator of the whole world, too.
            ids.sort(reverse=self.choose.random() < 0.5)
        victim, call, kind = self.choose.choice(ids), self.choose.choice(list(CALLS)), self.choose.choice(list(KINDS))
        view = self.rc[ids]
        group = view.mpi
        group.timeout = DEADLINE
        if self.choose.random() < 0.3:
            # Then it has to be made.
            group.free(block=True)
        told = f"{call} on {ids}, {kind} on {victim}"
        leave(victim, kind)
        result = CALLS[call](view, group)
        assert result.wait(SOON), f"{told}: {result.progress} of {len(ids)} after {SOON} s"
        failed = errors(result)
        told += f": {failed}"
        for engine, error in failed.items():
            assert engine == victim or was_left(error, kind), told
        behind = group.spmd(in_step, -1)
        has_left()
        # It may be what was hit.
        assert behind.wait(SOON), f"{told}: {behind.progress} of {len(ids)} of the next call after {SOON} s"
        for _ in range(2):
            with suppress(ipz.RemoteError):
                self.rc[victim].apply_sync(calm)
        self.try_again(told, ids)
        return bool(failed)

    def try_again(self, told: str, ids: list[int]) -> None:
        """The group's next call comes to the right result."""
        group = self.rc[ids].mpi
        group.timeout = DEADLINE
        self.token += 1
        result = group.spmd(in_step, self.token)
        assert result.wait(SOON), f"{told}; then: {result.progress} of {len(ids)} after {SOON} s"
        assert not errors(result), f"{told}; then: {errors(result)}"
        assert result.get() == [[(self.token, rank) for rank in range(len(ids))]] * len(ids), told


def errors(result: Any) -> dict[int, str]:
    """By engine, name and text of its error."""
    found = {engine: error for _, error, engine in result.failures()}
    return {engine: f"{kind_of(error)}: {getattr(error, 'evalue', error)}" for engine, error in found.items()}


def kind_of(error: BaseException) -> str:
    """Of an error, as it was raised."""
    told: str = getattr(error, "ename", type(error).__name__)
    return told


def was_left(error: str, kind: str) -> bool:
    """Whether a rank failed because another one left."""
    return kind in error or "has left this call" in error or "cannot be used any more" in error


def enter_what_others_wait_in(comm: Any, what: str, victim: int, how: str) -> None:
    """All but one rank wait for that one, which raises something or returns."""
    import builtins

    import numpy as np

    from ipclusterz import mpi

    sub = comm.split(0) if what == "split" else None
    if comm.rank == victim:
        if what == "entered":
            # It gives up what it has entered, and what the others cannot end without it.
            comm.Barrier(timeout=0.0)
        sub = None
        if how == "return":
            return
        raise getattr(builtins, how)("no such file")
    large, one = np.zeros(4 << 20), np.zeros(1)
    waits: dict[str, Callable[[], Any]] = {
        "barrier": comm.barrier,
        "allreduce": lambda: comm.allreduce(1),
        "Allreduce": lambda: comm.Allreduce(one.copy(), one),
        "request": lambda: comm.Ibarrier().wait(),
        "bcast": lambda: comm.bcast(None, victim),
        "alltoall": lambda: comm.alltoall([None] * comm.size),
        "recv": lambda: comm.recv(victim),
        "Recv": lambda: comm.Recv(one, victim),
        "Irecv": lambda: comm.Irecv(one, victim).wait(),
        "any source": lambda: comm.recv(mpi.ANY_SOURCE),
        "probe": lambda: comm.probe(victim),
        "Send": lambda: comm.Send(large, victim),
        "split": lambda: sub.barrier(),
        "making": lambda: comm.dup(),
        "create_group": lambda: comm.create_group(range(comm.size)),
        "entered": comm.Barrier,
    }
    waits[what]()
    if what == "Send":
        comm.barrier()


WAITS = [
    "barrier", "allreduce", "Allreduce", "request", "bcast", "alltoall", "recv", "Recv", "Irecv", "any source", "probe",
    "Send", "split", "making", "create_group",
]  # fmt: skip


@pytest.mark.parametrize("ids", [[0, 1, 2], [2, 0]], ids=["world", "some"])
def test_whatever_others_wait_in_ends_when_a_rank_leaves(rc: ipz.Client, faults: Faults, ids: list[int]) -> None:
    group = rc[ids].mpi
    kinds = ["ValueError", "KeyboardInterrupt", "SystemExit", "return"]
    for number, what in enumerate([*WAITS, "entered"]):
        how, victim = kinds[number % len(kinds)] if what != "entered" else "ValueError", number % len(ids)
        # As users do: without a deadline.
        result = group.spmd(enter_what_others_wait_in, what, victim, how)
        behind = group.spmd(in_step, number)
        assert result.wait(SOON), f"{what}, {how} on {victim}: {result.progress} of {len(ids)} after {SOON} s"
        failed = errors(result)
        place = f"rank {victim} (engine {ids[victim]})"
        reason = f"{place} has ended its call" if how == "return" else f"{place} has left this call"
        for engine in set(ids) - {ids[victim]}:
            if what == "entered":
                # MPI may have ended it before.
                assert engine not in failed or was_left(failed[engine], "MPITimeout"), failed
                continue
            assert failed[engine].startswith("RankRaised: "), (what, how, failed)
            assert reason in failed[engine], (what, how, failed)
            if how != "return":
                assert f"{how}: no such file" in failed[engine], (what, how, failed)
        assert behind.get(SOON) == [[(number, rank) for rank in range(len(ids))]] * len(ids), (what, how)
    faults.survived(
        "ranks", "a rank leaves what others wait in", len(WAITS) + 1, "RankRaised at once; the next call works"
    )


def test_ranks_that_return_too_early_are_an_error_of_its_own(rc: ipz.Client, faults: Faults) -> None:
    with pytest.raises(
        mpi.RankRaised, match=r"engines 0, 2: MPI_Barrier: rank 1 \(engine 1\) has ended its call"
    ) as caught:
        rc[:].mpi.spmd(enter_what_others_wait_in, "barrier", 1, "return").get(SOON)
    assert (caught.value.rank, caught.value.cause) == (1, "")
    faults.survived("ranks", "a rank returns without entering what others wait in", 1, "RankRaised names it")


def test_two_ranks_leave_at_once(rc: ipz.Client, faults: Faults) -> None:
    def two_leave(comm: Any) -> None:
        if comm.rank == 1:
            comm.barrier()
        raise [ValueError, None, KeyError][comm.rank](f"of {comm.rank}")

    result = rc[:].mpi.spmd(two_leave)
    assert result.wait(SOON)
    failed = errors(result)
    assert failed[0] == "ValueError: of 0"
    assert failed[2] == "KeyError: 'of 2'"
    assert "RankRaised: MPI_Barrier: rank " in failed[1]
    assert rc[:].mpi.spmd(in_step, 1).get(SOON) == [[(1, rank) for rank in range(3)]] * 3
    faults.survived("ranks", "two ranks leave at once", 1, "the others name one of them")


class Lost:
    """What cannot be made on one engine."""

    def __reduce__(self) -> Any:
        return load_but_on, (1,)


def load_but_on(engine: int) -> int:
    import os

    rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"]
    if int(rank) == engine:
        raise ImportError("no module named nowhere")
    return engine


def test_a_function_or_argument_that_one_rank_cannot_load(rc: ipz.Client, faults: Faults) -> None:
    lost = Lost()

    def with_lost(comm: Any) -> Any:
        return comm.allreduce(1), lost

    group = rc[:].mpi
    for result in (group.spmd(with_lost), group.spmd(in_step, lost)):
        assert result.wait(SOON)
        failed = errors(result)
        assert "no module named nowhere" in failed[1]
        assert all("RankRaised" in failed[engine] and "no module named nowhere" in failed[engine] for engine in (0, 2))
    assert group.spmd(in_step, 1).get(SOON) == [[(1, rank) for rank in range(3)]] * 3
    faults.survived("ranks", "a function or argument that one rank cannot load", 2, "RankRaised names it")


def keep_and_fail(comm: Any) -> None:
    import __main__ as engine

    engine.broken = comm
    if comm.rank == 1:
        raise ValueError("no such file")
    comm.barrier()


def use_broken(_comm: Any, how: str) -> str:
    import __main__ as engine
    from ipclusterz import mpi

    try:
        getattr(engine.broken, how)()
    except mpi.MPIError as error:
        return str(error)
    return "it can be used"


def test_a_communicator_that_was_given_up_is_refused_also_for_mpi4py(rc: ipz.Client, faults: Faults, name: str) -> None:
    group = rc[:].mpi
    assert rc[:].mpi.spmd(keep_and_fail).wait(SOON)
    for how in ("to_mpi4py", "barrier", "dup"):
        for said in group.spmd(use_broken, how).get(SOON):
            assert "this communicator cannot be used any more: " in said, how
    # Another client's next call, and code that asks for the communicator of all.
    with ipz.Client(cluster=name) as other:
        assert other[:].mpi.spmd(lambda comm: comm.to_mpi4py().allreduce(1)).get(SOON) == [3] * 3
    rc[:].execute("from ipclusterz import mpi\ntotal = mpi.comm().allreduce(1)", block=True)
    assert rc[:].pull("total", block=True) == dict.fromkeys(range(3), 3)
    faults.survived("ranks", "a communicator that was given up", 3, "it is refused, and the next call has another")


def test_a_group_is_made_anew_by_hand(rc: ipz.Client) -> None:
    for ids in ([0, 1, 2], [1, 0]):
        group = rc[ids].mpi
        before = group.spmd(lambda comm: comm.name).get(SOON)[0]
        group.renew(block=True)
        after = group.spmd(lambda comm: (comm.name, comm.allreduce(1))).get(SOON)
        assert after == [(after[0][0], len(ids))] * len(ids)
        assert after[0][0] != before


def wait_and_fail(comm: Any, gate: str) -> None:
    """The others wait for rank 1, which fails when it may."""
    import time
    from pathlib import Path

    if comm.rank == 1:
        while not Path(gate).exists():
            time.sleep(0.01)
        raise ValueError("no such file")
    comm.barrier()


def test_a_controller_that_is_started_again_knows_which_communicator_was_given_up(
    faults: Faults, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with mpi_cluster("openmpi", 3, tmp_path / "again") as name, ipz.Client(cluster=name) as rc:
        rc.mpi.wait_epoch(1, timeout=START_SECONDS)
        assert rc[:].mpi.spmd(keep_and_fail).wait(SOON)
        result = rc[:].mpi.spmd(wait_and_fail, str(gate))
        behind = rc[:].mpi.spmd(lambda comm: (comm.name, comm.allreduce(1)))
        try:
            until(lambda: "wait_and_fail" in doing(rc, 1), SOON)
            pid = rc.status()["pid"]
            os.kill(pid, signal.SIGKILL)
        finally:
            gate.touch()
        until(lambda: rc.status()["pid"] != pid, SOON)
        assert result.wait(SOON)
        assert "rank 1 (engine 1) has left this call: ValueError: no such file" in errors(result)[0]
        assert behind.get(SOON) == [("world#3", 3)] * 3
    faults.survived("ranks", "a rank leaves while the controller is started again", 1, "the same as at other times")


def test_an_exception_at_any_line(rc: ipz.Client, faults: Faults) -> None:
    histories = Histories(rc, 1)
    count = faults.times(part=60, whole=3000)

    def leave(engine: int, kind: str) -> None:
        rc[engine].apply_sync(arm, kind, int(histories.choose.expovariate(1 / 60)) + 1)

    failed = sum(histories.run(leave) for _ in range(count))
    assert failed > count / 4
    faults.survived("ranks", "an exception at a line of a call of a group", failed, "all ranks fail at once, or none")


def test_exceptions_between_any_two_instructions(rc: ipz.Client, faults: Faults) -> None:
    histories = Histories(rc, 2)
    count = faults.times(part=30, whole=2000)

    def leave(engine: int, kind: str) -> None:
        rc[engine].apply_sync(raise_later, kind, histories.choose.uniform(0.0, 0.02))

    for _ in range(count):
        histories.run(leave)
    faults.survived("ranks", "an exception at any time around a call of a group", count, "all fail at once, or none")


def test_interrupts_at_any_time(rc: ipz.Client, faults: Faults) -> None:
    histories = Histories(rc, 3)
    count = faults.times(part=30, whole=2000)
    pids = [engine_pid(rc, engine) for engine in (0, 1, 2)]

    def leave(engine: int, _kind: str) -> None:
        timer = threading.Timer(histories.choose.uniform(0.0, 0.03), os.kill, (pids[engine], signal.SIGINT))
        timer.start()
        timers.append(timer)

    timers: list[threading.Timer] = []
    for _ in range(count):
        histories.run(leave, lambda: timers.pop().join())
    faults.survived("ranks", "SIGINT at any time around a call of a group", count, "all fail at once, or none")


def test_an_interrupt_of_one_that_waits_for_another_to_make_the_communicator(
    rc: ipz.Client, faults: Faults, tmp_path: Path
) -> None:
    group = rc[1, 0].mpi
    group.free(block=True)
    gate = tmp_path / "gate"
    busy = rc[0].apply_async(hold, str(gate))
    result = group.spmd(in_step, 1)
    until(lambda: "MPI_Comm_create_group" in doing(rc, 1) or "_create" in doing(rc, 1), SOON)
    rc.interrupt(targets=1)
    until(lambda: result.progress == 1, SOON)
    gate.touch()
    busy.get(SOON)
    assert result.wait(SOON)
    failed = errors(result)
    assert failed[1].startswith("KeyboardInterrupt")
    assert "rank 0 (engine 1) has left this call: KeyboardInterrupt" in failed[0]
    # Making it goes on.
    assert rc[1, 0].mpi.spmd(in_step, 2).get(SOON) == [[(2, 0), (2, 1)]] * 2
    faults.survived(
        "ranks", "an interrupt of one that waits for another to make a communicator", 1, "both fail at once"
    )


def test_the_deadline_of_a_call_is_that_of_making_its_communicator(
    rc: ipz.Client, faults: Faults, tmp_path: Path
) -> None:
    group = rc[2, 1].mpi
    group.free(block=True)
    gate = tmp_path / "gate"
    busy = rc[1].apply_async(hold, str(gate))
    began = time.monotonic()
    rc[2]["x"] = 1.0
    result = group.allreduce("x", timeout=1.0, out="y")
    until(lambda: result.progress == 1, SOON)
    assert time.monotonic() - began < 1.0 + 4.0
    gate.touch()
    busy.get(SOON)
    with pytest.raises(MPITimeout, match=r"MPI_Comm_create_group did not end within 1 s: it waits for rank 1 "):
        result.get(SOON)
    assert "(engine 1), which runs (for " in str(errors(result)[2])
    assert "in hold" in errors(result)[2]
    assert "has left this call: MPITimeout" in errors(result)[1]
    assert group.spmd(in_step, 3).get(SOON) == [[(3, 0), (3, 1)]] * 2
    faults.survived("ranks", "a busy rank when a communicator is made", 1, "MPITimeout at the caller's deadline")


def doing(rc: ipz.Client, engine: int) -> str:
    """Where an engine's main thread is."""
    found = rc._core.inspect([engine], 3.0)[engine]
    return "" if found is None else found[1]


def little_memory(more: int) -> None:
    """On an engine: so many bytes are left to it; -1: as many as there are."""
    import resource
    from pathlib import Path

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size + more if more >= 0 else hard, hard))


def test_a_rank_without_memory_between_agreement_and_call(rc: ipz.Client, faults: Faults) -> None:
    group = rc[2, 0, 1].mpi
    group.timeout = DEADLINE
    group.barrier(block=True)
    count = faults.times(part=2, whole=20)
    for number in range(count):
        victim = (0, 1)[number % 2]
        rc[2]["large"] = np.zeros(32 << 20)
        rc[victim].apply_sync(little_memory, 64 << 20)
        began = time.monotonic()
        with pytest.raises(ipz.RemoteError, match=r"Unable to allocate|MemoryError") as caught:
            group.bcast("large", out="copy", block=True)
        assert time.monotonic() - began < SOON
        assert caught.value.ename == "MemoryError"
        rc[victim].apply_sync(little_memory, -1)
        group.free(block=True)
        rc[2]["large"] = 0
        assert group.spmd(in_step, number).get(SOON) == [[(number, rank) for rank in range(3)]] * 3
    faults.survived(
        "ranks", "no memory on a rank between agreement and call", count, "one MemoryError for all, at once"
    )


def test_a_stopped_rank_is_named_at_the_deadline(rc: ipz.Client, faults: Faults) -> None:
    group = rc[2, 1].mpi
    group.barrier(block=True)
    pid = engine_pid(rc, 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        result = group.barrier(timeout=0.5)
        until(lambda: result.progress == 1, SOON)
    finally:
        os.kill(pid, signal.SIGCONT)
    with pytest.raises(MPITimeout, match=r"rank 1 \(engine 1\), which does not answer"):
        result.get(SOON)
    group.free(block=True)
    assert group.spmd(in_step, 4).get(SOON) == [[(4, 0), (4, 1)]] * 2
    faults.survived("ranks", "a rank is stopped", 1, "MPITimeout names it; the others go on")


def test_a_survivor_that_is_busy_is_named(faults: Faults, tmp_path: Path) -> None:
    with mpi_cluster("openmpi", 3, tmp_path / "busy", "shrink") as name, ipz.Client(cluster=name) as rc:
        rc.mpi.wait_epoch(1, timeout=START_SECONDS)
        busy = rc[1].apply_async(hold, str(tmp_path / "never"))
        until(lambda: "in hold" in doing(rc, 1), SOON)
        os.kill(engine_pid(rc, 2), signal.SIGKILL)
        until(lambda: rc.ids == {0, 1}, SOON)
        with pytest.raises(ipz.TimeoutError, match=r"epoch 2 waits for engine 1 \(rank 1\), which has run for "):
            rc.mpi.wait_epoch(2, timeout=0.5)
        said = subprocess.run(
            [IPCLUSTERZ, "status", "--cluster", name], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        assert "epoch 2 waits for engine 1 (rank 1), which has run for" in said
        rc.interrupt(targets=1)
        assert rc.mpi.wait_epoch(2, timeout=SOON) == 2
        assert errors(busy)[1].startswith("KeyboardInterrupt")
    faults.survived("ranks", "a survivor is busy when the next epoch begins", 1, "status and the client name it")


def stay_away(comm: Any, seconds: float) -> None:
    """The last rank does; all others time out together."""
    import time

    if comm.rank == comm.size - 1:
        time.sleep(seconds)
    else:
        comm.Barrier(timeout=1.0)


def test_many_ranks_that_time_out_together(faults: Faults, tmp_path: Path) -> None:
    ranks = faults.times(part=8, whole=32)
    with mpi_cluster("openmpi", ranks, tmp_path / "many") as name, ipz.Client(cluster=name) as rc:
        rc.mpi.wait_epoch(1, timeout=START_SECONDS)
        result = rc[:].mpi.spmd(stay_away, 300)
        until(lambda: result.progress == ranks - 1, 1.0 + SOON)
        rc.interrupt(targets=ranks - 1)
        assert result.wait(SOON)
        failed = errors(result)
        for engine in range(ranks - 1):
            assert f"it waits for rank {ranks - 1} (engine {ranks - 1}), which runs (for " in failed[engine]
            assert "in stay_away" in failed[engine]
    faults.survived("ranks", "ranks that time out together", ranks - 1, "each names who is missing, and where it is")
