"""Engines that are reached through TCP, as those of other hosts are: silence, return, and the keys they need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import until

from ipclusterz import Client, Cluster, error
from ipclusterz.compat import OWN_PROCESS_GROUP

SILENCE_SECONDS = 10.0
# How long a remote engine of these tests is waited for.
LEASE = 6


@pytest.fixture
def remote_engine(tmp_path: Path) -> Iterator[Callable[[Cluster], subprocess.Popen[bytes]]]:
    """Starts an engine that knows the TCP address alone."""
    started = []

    def start(cluster: Cluster) -> subprocess.Popen[bytes]:
        content = json.loads((Path(cluster.report["client_file"]).parent / "engine.json").read_text())
        content["addresses"] = [address for address in content["addresses"] if address.startswith("tcp://")]
        file = tmp_path / "engine.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(content))
        command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", str(file), "--lease", str(LEASE)]
        started.append(subprocess.Popen(command, **OWN_PROCESS_GROUP))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def frozen(rc: Client, process: subprocess.Popen[bytes]) -> float:
    """Freeze an engine: its connections stay open and nothing comes. Seconds until its call failed."""
    call = rc[1].apply_async(time.sleep, 60)
    until(lambda: rc.status()["engines"][1]["state"] == "busy")
    os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(error.EngineError, match=r"engine 1 .* is stopped by a signal"):
        call.get(timeout=3 * SILENCE_SECONDS + LEASE)
    return time.monotonic() - began


@pytest.fixture
def mixed(
    own_cluster: Callable[..., Cluster], remote_engine: Callable[[Cluster], subprocess.Popen[bytes]]
) -> tuple[Cluster, Client, subprocess.Popen[bytes]]:
    """A cluster of a local engine 0 and a remote engine 1, a client of it, and the remote engine's process."""
    cluster = own_cluster(n=1, listen="127.0.0.1:0")
    rc = cluster.connect_client()
    process = remote_engine(cluster)
    rc.wait_for_engines(2, timeout=20)
    return cluster, rc, process


def test_a_silent_engine_is_noticed_and_comes_back_as_it_was(
    mixed: tuple[Cluster, Client, subprocess.Popen[bytes]],
) -> None:
    _, rc, process = mixed
    with rc:
        rc[1]["kept"] = 17
        assert frozen(rc, process) < SILENCE_SECONDS + LEASE
        until(lambda: rc.ids == {0})
        # Other engines go on as if nothing had happened.
        assert rc[0].apply_sync(abs, -1) == 1
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: rc.ids == {0, 1}, 30)
        rc.interrupt([1])
        assert rc[1].pull("kept", block=True) == 17


def test_a_silent_engine_that_comes_back_in_time_has_lost_nothing(
    mixed: tuple[Cluster, Client, subprocess.Popen[bytes]],
) -> None:
    _, rc, process = mixed
    with rc:
        rc[1]["kept"] = 17
        running, waiting = rc[1].apply_async(slowly, 1), rc[1].apply_async(slowly, 2)
        until(lambda: rc.status()["engines"][1]["state"] == "busy")
        os.kill(process.pid, signal.SIGSTOP)
        forced = until_away(rc)
        assert forced["queue"] == 2
        os.kill(process.pid, signal.SIGCONT)
        assert [running.get(30), waiting.get(30)] == [(1, 1), (2, 2)]
        assert (rc.ids, rc[1]["kept"]) == ({0, 1}, 17)


def until_away(rc: Client) -> dict[str, object]:
    """Wait until engine 1 has no connection, as far as its controller knows; its status then."""

    def away() -> dict[str, object] | None:
        engine: dict[str, object] = rc.status()["engines"][1]
        return engine if engine.get("away") else None

    return until(away, 2 * SILENCE_SECONDS)


def slowly(number: int) -> tuple[int, int]:
    """Its argument, and how many calls this engine has had."""
    import __main__

    time.sleep(1)
    __main__.calls = getattr(__main__, "calls", 0) + 1
    return number, __main__.calls


def test_a_remote_engine_ends_with_the_cluster(mixed: tuple[Cluster, Client, subprocess.Popen[bytes]]) -> None:
    cluster, rc, process = mixed
    with rc:
        assert rc[:].apply_sync(os.getpid)[1] == process.pid
    cluster.stop()
    assert process.wait(timeout=20) == 0


def test_what_was_submitted_before_close_is_done(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(n=2)
    with cluster.connect_client() as watcher:
        for value in range(20):
            with cluster.connect_client() as rc:
                rc[:].push({"value": value, "ballast": bytes(1 << 20)}, block=False)
            until(lambda value=value: watcher[:].apply_sync(seen) == {0: value, 1: value})


def seen() -> object:
    import __main__

    return getattr(__main__, "value", None)
