"""Logs stay within their bounds, whoever writes to them and however much."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import until

from ipclusterz import Cluster
from ipclusterz.client.command import program

_SIZE = 256 * 1024
# Of a peer that speaks the protocol, and has no key.
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_MPIEXEC = {"mpiexec.program": "mpiexec.openmpi", "mpiexec.allow_root": True, "mpiexec.oversubscribe": True}
_BOUND = {"logs.max_size": "256 KiB", "logs.files": 2}


def bytes_of(log: Path) -> int:
    """The log and its parts."""
    sizes = []
    for path in log.parent.glob(log.name + "*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return sum(sizes)


def flood(how: str, lines: int) -> None:
    """On an engine: write to its log, not to a task's client."""
    line = "x" * 999
    if how == "child":
        script = f"for _ in range({lines}): print({line!r})"
        subprocess.run([sys.executable, "-c", script], stdout=1, check=True)
        return

    def write() -> None:
        for number in range(lines):
            if how == "thread":
                print(f"{number} {line}")
            elif how == "errors":
                print(f"{number} {line}", file=sys.stderr)
            else:
                os.write(1, f"{number} {line}\n".encode())
        sys.written = how  # type: ignore[attr-defined]

    threading.Timer(0.05, write).start()


def written(how: str) -> bool:
    return how == "child" or getattr(sys, "written", None) == how


@pytest.mark.parametrize("how", ["thread", "errors", "descriptor", "child"])
def test_an_engine_that_floods_its_log_stays_within_the_bound(
    own_cluster: Callable[..., Cluster], faults: Any, how: str
) -> None:
    lines = faults.times(20_000, 150_000)
    cluster = own_cluster(1, **_BOUND)
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    largest = 0
    with cluster.connect_client() as rc:
        rc[0].apply_sync(flood, how, lines)

        def done() -> bool:
            nonlocal largest
            largest = max(largest, bytes_of(log))
            done: bool = rc[0].apply_sync(written, how)
            return done

        until(done, 50)
        until(lambda: bytes_of(log) <= 4 * _SIZE, 10, lambda: f"{bytes_of(log)} bytes")
        if how in ("thread", "errors"):
            assert largest <= 4 * _SIZE, "at any time"
        rc[0].apply_sync(flood, "thread", 3)
        until(lambda: "2 xxx" in log.read_text())
    shown = subprocess.run(
        [program(), "logs", "--cluster", cluster.name, "--engine", "0", "-n", "600"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    least = 400 if how in ("thread", "errors") else 200
    assert len(re.findall(r"^(\d+ )?x{999}$", shown, re.M)) > least, "its parts are read in order"
    faults.survived("disks", f"lines of a {how} in an engine's log", lines, "within logs.max_size")


@pytest.mark.timeout(90)
def test_ranks_that_share_a_log_stay_within_the_bound(own_cluster: Callable[..., Cluster], faults: Any) -> None:
    """What ranks write goes through mpiexec, which knows no bound."""
    options = {"launcher": "mpiexec"}
    cluster = own_cluster(2, engines=options, timeout=60, **_BOUND, **_MPIEXEC)
    log = Path(cluster.report["log_directory"]) / "set-0.log"
    lines = faults.times(3_000, 30_000)
    with cluster.connect_client() as rc:
        for how in ("thread", "descriptor"):
            rc[:].apply_sync(flood, how, lines)
            until(lambda how=how: all(rc[:].apply_sync(written, how).values()), 30)  # type: ignore[misc]
        until(lambda: bytes_of(log) <= 4 * _SIZE, 10, lambda: f"{bytes_of(log)} bytes")
        assert log.with_name("set-0.log.1").exists()
    faults.survived("disks", "lines of ranks through mpiexec", 4 * lines, "within logs.max_size")


def test_rejected_connections_are_counted_and_hide_nothing(own_cluster: Callable[..., Cluster], faults: Any) -> None:
    count = faults.times(600, 30_000)
    cluster = own_cluster(1, listen="127.0.0.1:0")
    address = next(address for address in cluster.report["addresses"] if address.startswith("tcp://"))
    port = int(address.rsplit(":", 1)[1])
    log = Path(cluster.report["log_directory"]) / "controller.log"
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(_GREETING)
            # Until it is turned away.
            stranger.settimeout(20)
            while True:
                try:
                    if not stranger.recv(4096):
                        break
                except ConnectionResetError:
                    break

    def told() -> int:
        lines = [line for line in log.read_text().splitlines() if "rejected: " in line]
        more = [int(found[1].replace(",", "")) for line in lines if (found := re.search(r"and ([\d,]+) more", line))]
        return len(lines) + sum(more)

    until(lambda: told() >= count, 20, lambda: f"{told()} of {count}")
    assert told() == count
    text = log.read_text()
    assert text.count("rejected: ") < 40 + count / 100
    with cluster.connect_client() as rc:
        assert rc.ids == {0}
        until(lambda: log.read_text().count("hello from client") > text.count("hello from client"))
    faults.survived("strangers", "rejected connections", count, "about one line of the log a second")


def test_sizes_of_logs_are_checked() -> None:
    for setting, said in [
        ("logs.max_size=10", "logs.max_size"),
        ("logs.max_size=1 KiB", "64 KiB"),
        ("logs.files=1000", "from 0 to 100"),
    ]:
        command = [program(), "start", "-n", "1", "--cluster", f"bad-{os.getpid()}", "--set", setting]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
