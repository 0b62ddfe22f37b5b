"""Ctrl-C in a blocking call: the wait ends at once, the work goes on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from helpers import engine_pid, until

from ipclusterz import Client, Cluster, RemoteError

# The terminal sends SIGINT to the foreground group of the session whose terminal it is; so the child makes it its own.
PREAMBLE = """
import fcntl, os, sys, termios
if os.isatty(0):
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from pathlib import Path
import ipclusterz as ipz

def hold(gate):
    from threading import Event
    while not os.path.exists(gate):
        Event().wait(0.005)
    return "done"

gate = sys.argv[2]
rc = ipz.Client(sys.argv[1])
view, balanced = rc[0], rc.load_balanced_view()
result = view.apply_async(hold, gate)

def waiting(call):
    try:
        print("waiting", flush=True)
        call()
    except KeyboardInterrupt:
        print("interrupted", flush=True)

"""

CALLS = {
    "get": "result.get()",
    "get with timeout": "result.get(60)",
    "wait": "result.wait()",
    "iterate": "list(result)",
    "index": "result[0]",
    "apply_sync": "view.apply_sync(abs, -1)",
    "dictionary": "view['a']",
    "unordered": "list(balanced.map_async(hold, [gate] * 8, chunksize=1, ordered=False))",
    "wait_for_engines": "rc.wait_for_engines(99)",
}

ENDING = """
Path(gate).touch()
print(result.get(20), view.apply_sync(abs, -1), flush=True)
rc.close()
"""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_signal_ends_the_wait(cluster: Cluster, gate: Path, call: str) -> None:
    script = f"{PREAMBLE}waiting(lambda: {call})\n{ENDING}"
    command = [sys.executable, "-c", script, cluster.report["client_file"], str(gate)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_SLEEPING)
        begin = time.monotonic()
        child.send_signal(2)
        assert child.stdout.readline() == "interrupted\n"
        assert time.monotonic() - begin < 1
        assert child.stdout.readline() == "done 1\n"
        assert child.wait(20) == 0


def test_ctrl_c_in_a_terminal(cluster: Cluster, gate: Path) -> None:
    master, slave = pty.openpty()
    command = [
        sys.executable,
        "-c",
        f"{PREAMBLE}waiting(result.get)\n{ENDING}",
        cluster.report["client_file"],
        str(gate),
    ]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as child:
        os.close(slave)
        shown = b""
        while b"waiting" not in shown:
            shown += os.read(master, 1024)
        begin = time.monotonic()
        os.write(master, b"\x03")
        while b"interrupted" not in shown:
            shown += os.read(master, 1024)
        assert time.monotonic() - begin < 1
        while b"done 1" not in shown:
            shown += os.read(master, 1024)
        assert child.wait(20) == 0
        os.close(master)


def test_an_interrupt_is_not_for_what_is_submitted_after_it(rc: Client) -> None:
    view = rc[:]
    for number in range(60):
        rc.interrupt()
        assert view.apply_sync(lambda: sum(range(20_000))) == dict.fromkeys(range(4), 199_990_000), number


def test_an_interrupt_of_the_first_cell_leaves_the_engine_its_ipython(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(1).connect_client() as rc:
        # Starting IPython is the longest part of it: the interrupts come all the way through.
        running = rc[0].execute("'first'", block=False)
        while not running.wait(0.01):
            rc.interrupt()
        assert running.stderr == ""
        assert rc[0].execute("%who_ls int", block=True).result == "[]"


def handle(*numbers: int) -> None:
    """On an engine: have handlers for signals, which raise."""
    import builtins
    import threading

    def handler(number: int, _frame: object) -> None:
        builtins.handled.append((number, threading.current_thread() is threading.main_thread()))  # type: ignore[attr-defined]
        raise SystemExit(3) if number == signal.SIGHUP else RuntimeError(f"handler of {number}")

    builtins.handled = []  # type: ignore[attr-defined]
    for number in numbers:
        signal.signal(number, handler)


def handled() -> list[tuple[int, bool]]:
    import builtins

    return builtins.handled  # type: ignore[attr-defined, no-any-return]


def test_signals_that_arrive_while_an_engine_is_idle_do_not_end_it(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    numbers = [signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM]
    with cluster.connect_client() as rc:
        rc[0].apply_sync(handle, *numbers)
        rc[0].apply_sync(signal.setitimer, signal.ITIMER_REAL, 0.01)
        for count, number in enumerate(numbers, 1):
            if number != signal.SIGALRM:
                os.kill(engine_pid(rc, 0), number)
            said = "SystemExit: 3" if number == signal.SIGHUP else f"RuntimeError: handler of {number}"
            until(lambda said=said: said in log.read_text(), 5)
            assert rc[0].apply_sync(handled)[:count] == [(number, True) for number in numbers[:count]]
        assert log.read_text().count("a signal's handler raised this while no task ran") == len(numbers)


def test_signals_at_any_moment_lose_no_task(own_cluster: Callable[..., Cluster]) -> None:
    """Each call has its answer, which may be what the handler raised."""
    with own_cluster(1).connect_client() as rc:
        rc[0].apply_sync(handle, signal.SIGALRM)
        rc[0].apply_sync(signal.setitimer, signal.ITIMER_REAL, 0.002, 0.002)
        results = [rc[0].apply_async(abs, -number) for number in range(2000)]
        for number, result in enumerate(results):
            error = result.exception(timeout=20)
            assert error.ename == "RuntimeError" if isinstance(error, RemoteError) else result.get() == number
        until(lambda: rc[0].apply_async(signal.setitimer, signal.ITIMER_REAL, 0).exception() is None)
        assert len(rc[0].apply_sync(handled)) > 1
