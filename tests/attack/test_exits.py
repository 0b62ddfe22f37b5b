"""Processes that end while something holds their sockets: what the kernel and the launcher know decides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import getsource

import pytest
from helpers import engine_pid, until

from ipclusterz import Client, EngineError


def hold_sockets() -> int:
    """In a process: give all its sockets to a program in a session of its own, as `close_fds=False` once did."""
    import os
    import stat
    import subprocess

    def is_socket(number: int) -> bool:
        try:
            return stat.S_ISSOCK(os.fstat(number).st_mode)
        except OSError:
            return False

    sockets = [int(name) for name in os.listdir("/proc/self/fd") if is_socket(int(name))]
    return subprocess.Popen(["sleep", "600"], pass_fds=sockets, start_new_session=True).pid


def fork_daemon() -> int:
    """In a process: fork a child that leaves the session and lives on."""
    import os
    import signal

    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.pause()
    return pid


def end(how: int) -> None:
    """End this process: by a signal, or with an exit status below 0."""
    import os
    import signal

    if how < 0:
        os._exit(-how)
    os.kill(os.getpid(), how)
    signal.pause()


WAYS = {
    signal.SIGKILL: r"signal: 9 \(SIGKILL\)",
    signal.SIGSEGV: r"signal: 11 \(SIGSEGV\)",
    -3: "exit status: 3",
}


@pytest.fixture
def left() -> Iterator[list[int]]:
    """Pids of what ended processes have left behind; killed at the end."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        # The launcher of ranks has killed what these had started.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def assert_noticed(rc: Client, engine: int, leave: Callable[[], int], how: int, left: list[int]) -> None:
    left.append(rc[engine].apply_sync(leave))
    waiting = rc[engine].apply_async(end, how)
    assert waiting.wait(5), "nobody noticed"
    with pytest.raises(EngineError, match=WAYS[how]):
        waiting.get()


@pytest.mark.parametrize("leave", [hold_sockets, fork_daemon])
def test_an_engine_is_lost_although_a_child_holds_its_sockets(leave, own_cluster, left, faults) -> None:
    ways = list(WAYS) * faults.times(part=1, whole=10)
    with own_cluster(len(ways)).connect_client() as rc:
        for engine, how in enumerate(ways):
            assert_noticed(rc, engine, leave, how, left)
            assert engine not in rc.ids
    kind = "an engine ends, a program holds its sockets" if leave is hold_sockets else "an engine with a daemon ends"
    faults.survived("forks", kind, len(ways), "calls fail at once, and say how it ended")


@pytest.mark.parametrize("options", [{}, {"controller": {"local": False}}], ids=["unix", "tcp"])
def test_an_engine_in_the_place_of_one_whose_sockets_are_held_has_its_id(options, own_cluster, left, faults) -> None:
    times = faults.times(part=1, whole=5)
    with own_cluster(2, restart=True, **options).connect_client() as rc:
        for _ in range(times):
            before = engine_pid(rc, 0)
            assert_noticed(rc, 0, hold_sockets, signal.SIGKILL, left)
            until(lambda: 0 in rc.ids, 30, "started again")
            assert engine_pid(rc, 0) != before
            assert rc.ids == {0, 1}
    faults.survived("forks", "an engine with held sockets is started again", times, "under its id")


def test_a_rank_is_lost_although_a_child_holds_its_sockets(own_cluster, left, faults) -> None:
    engines = {"launcher": "mpiexec", "on_rank_loss": "shrink"}
    mpiexec = {"allow_root": True, "oversubscribe": True, "check_world": False}
    with own_cluster(2, engines=engines, mpiexec=mpiexec).connect_client() as rc:
        assert_noticed(rc, 1, hold_sockets, signal.SIGKILL, left)
        assert rc[0].apply_sync(abs, -1) == 1
    faults.survived("forks", "a rank ends, a program holds its sockets", 1, "the others go on")


def test_an_engine_that_was_started_by_hand_is_lost_with_its_process(own_cluster, left, faults) -> None:
    cluster = own_cluster(1)
    times = faults.times(part=1, whole=5)
    command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", cluster.report["engine_file"]]
    with cluster.connect_client() as rc:
        for _ in range(times):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                rc.wait_for_engines(2)
                assert_noticed(rc, 1, hold_sockets, signal.SIGKILL, left)
    faults.survived("forks", "an engine without a launcher ends, its sockets are held", times, "the kernel says how")


CLIENT = """
import os, signal, sys, time
from ipclusterz import Client
{hold_sockets}
rc = Client({file!r})
waiting = [rc[0].apply_async(time.sleep, 600) for _ in range(3)]
print(hold_sockets(), flush=True)
signal.pause()
"""


def test_a_client_is_gone_although_a_child_holds_its_sockets(own_cluster, left, faults) -> None:
    # Nobody comes back for what it has left.
    cluster = own_cluster(1, controller={"session_grace": 1})
    times = faults.times(part=1, whole=5)
    program = CLIENT.format(hold_sockets=getsource(hold_sockets), file=cluster.report["client_file"])
    with cluster.connect_client() as rc:
        for _ in range(times):
            with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as client:
                assert client.stdout is not None
                left.append(int(client.stdout.readline()))
                until(lambda: queue(rc) == 3, 10, "its calls")
                client.kill()
            until(lambda: rc.status()["clients"] == 2, 5, "its end was noticed")
            # What it has had begun goes on for nobody, and what has not is taken back.
            until(lambda: queue(rc) == 1, 5, "its calls are taken back")
            rc.interrupt(0)
            until(lambda: queue(rc) == 0)
    faults.survived("forks", "a client is killed, its sockets are held", times, "it is gone in a second")


def queue(rc: Client) -> int:
    return int(rc.status()["engines"][0]["queue"])


def sockets_of(pid: int) -> set[str]:
    """What the kernel calls the sockets of a process."""
    found = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(entry.path))
        except FileNotFoundError:
            continue
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.parametrize("options", [{}, {"controller": {"local": False}}], ids=["unix", "tcp"])
def test_a_forked_child_has_none_of_the_connections(options, own_cluster, left, faults) -> None:
    cluster = own_cluster(1, **options)
    before = sockets_of(os.getpid())
    with cluster.connect_client() as rc:
        engine, own = sockets_of(engine_pid(rc, 0)), sockets_of(os.getpid()) - before
        assert len(engine) >= 2
        assert len(own) >= 2
        left.append(rc[0].apply_sync(fork_daemon))
        until(lambda: not sockets_of(left[0]) & engine, 5, "closed in the child")
        assert rc[0].apply_sync(abs, -1) == 1
        # A client's child, too, and the client goes on.
        child = os.fork()
        if child == 0:
            signal.pause()
        left.append(child)
        until(lambda: not sockets_of(child) & own, 5, "closed in the child")
        assert rc[0].apply_sync(abs, -2) == 2
    faults.survived("forks", "a process forks with open connections", 2, "its child has none of them")
