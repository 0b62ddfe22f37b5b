"""The agent of a host: its engines share one connection to a controller that they reach through TCP alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from forward import Forward
from helpers import hold, until
from meddler import offering, tcp_address
from test_engine_command import NO_RANK

from ipclusterz import Client, Cluster

SECONDS = 30
IPCLUSTERZ = Path(sys.executable).with_name("ipclusterz")
ENGINES = [1, 2, 3, 4]
CONTROLLER = {"local": False, "engine_grace": 10}


class Counting(Forward):
    """Counts the bytes that pass."""

    passed = 0

    def _pass(self, end: Any, data: bytes) -> None:
        self.passed += len(data)
        super()._pass(end, data)


def as_forks(command: list[str]) -> list[tuple[list[str], dict[str, str]]]:
    """One process that forks the engines."""
    return [([*command, "--engines", "4", "--fork"], NO_RANK)]


def as_ranks(command: list[str]) -> list[tuple[list[str], dict[str, str]]]:
    """A process for each, as mpiexec starts them."""
    rank = {"PMI_SIZE": "4", "MPI_LOCALNRANKS": "4"}
    return [([*command, "--ranks", "4"], {**NO_RANK, **rank, "PMI_RANK": str(number)}) for number in range(4)]


class Host:
    """Four engines, 1 to 4, of a host that reaches the controller through one way."""

    def __init__(self, cluster: Cluster, folder: Path, start: Callable[..., Any] = as_forks) -> None:
        self.cluster = cluster
        self.way = Counting(tcp_address(cluster.report))
        self.file = offering(cluster.report, self.way.address, folder / "engine.json", "engine")
        command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", self.file]
        command += ["--first-engine-id", "1", "--with-agent", "--lease", "20"]
        self.log = folder / "log"
        with self.log.open("a") as log:
            self.started = [
                psutil.Popen(words, env=variables, stderr=log, stdout=log, start_new_session=True)
                for words, variables in start(command)
            ]

    @property
    def agent(self) -> psutil.Process:
        """The agent of the engines."""
        [found] = [each for each in psutil.process_iter() if {"agent", str(self.file)} <= set(_words(each))]
        return found

    def folders(self) -> list[Path]:
        """Where the agent listens, and where it keeps what is large."""
        [socket] = {
            Path(each.laddr).parent for each in self.agent.net_connections("unix") if "agent.sock" in str(each.laddr)
        }
        return [socket, Path(f"/dev/shm/ipclusterz-{os.getuid()}-{socket.name}")]

    def has_ended(self) -> bool:
        return all(each.poll() is not None for each in self.started)

    def end(self) -> None:
        for each in self.started:
            if each.poll() is None:
                each.terminate()
        until(self.has_ended, SECONDS, self.log.read_text)
        self.way.close()


def _words(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words


@pytest.fixture
def cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster(n=1, listen="127.0.0.1:0", controller=CONTROLLER)


@pytest.fixture
def rc(cluster: Cluster) -> Iterator[Client]:
    with cluster.connect_client() as client:
        yield client


@pytest.fixture(params=[as_forks, as_ranks])
def host(cluster: Cluster, rc: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    made = Host(cluster, tmp_path, request.param)
    until(lambda: rc.ids == {0, *ENGINES}, SECONDS, made.log.read_text)
    yield made
    made.end()


def through_tcp(process: psutil.Process, way: Forward) -> int:
    """How many connections a process has to the controller."""
    port = int(way.address.rpartition(":")[2])
    return sum(bool(each.raddr) and each.raddr.port == port for each in process.net_connections("tcp"))


def test_engines_share_its_connections_and_leave_nothing(host: Host, rc: Client) -> None:
    until(lambda: through_tcp(host.agent, host.way) == 3, SECONDS, host.log.read_text)
    for pid in rc[ENGINES].apply_sync(os.getpid).values():
        assert through_tcp(psutil.Process(pid), host.way) == 0
    folders, agent = host.folders(), host.agent
    assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
    rc.shutdown(targets=ENGINES)
    until(host.has_ended, SECONDS, host.log.read_text)
    until(lambda: not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE, SECONDS)
    assert not any(folder.exists() for folder in folders)
    assert not folders[0].with_name(f"{folders[0].name}.owner").exists()


@pytest.mark.parametrize("size", [100_000, 8 << 20])
def test_what_all_are_sent_crosses_the_network_once(host: Host, rc: Client, size: int) -> None:
    until(lambda: through_tcp(host.agent, host.way) == 3, SECONDS)
    value = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    before = host.way.passed
    rc[ENGINES].push({"value": value}, block=True)
    assert size <= host.way.passed - before < 1.5 * size

    # Each may write to its own.
    rc[ENGINES].execute("value[0] = 7", block=True)
    found = rc[ENGINES].pull("value", block=True)
    assert all((found[engine][1:] == value[1:]).all() and found[engine][0] == 7 for engine in ENGINES)
    segments = host.folders()[1]
    until(lambda: not list(segments.iterdir()), SECONDS, lambda: str(list(segments.iterdir())))


def test_what_each_is_sent_keeps_its_order(host: Host, rc: Client) -> None:
    sizes = [3, 300_000, 70_000, 1 << 20, 5] * 4
    results = [
        rc[engine].push({"value": bytes([number]) * size}) for number, size in enumerate(sizes) for engine in ENGINES
    ]
    rc.barrier(results, timeout=SECONDS)
    last = bytes([len(sizes) - 1]) * sizes[-1]
    assert rc[ENGINES].pull("value", block=True) == dict.fromkeys(ENGINES, last)
    assert rc[ENGINES].map_sync(lambda number: bytes([number]) * 300_000, range(20)) == [
        bytes([number]) * 300_000 for number in range(20)
    ]


def kill_the_agent(host: Host) -> None:
    host.agent.kill()


def cut_its_connections(host: Host) -> None:
    host.way.cut()
    host.way.open()


@pytest.mark.parametrize("fault", [kill_the_agent, cut_its_connections])
def test_nothing_is_lost_with_it(host: Host, rc: Client, tmp_path: Path, fault: Callable[[Host], None]) -> None:
    folders = host.folders()
    begun = rc[ENGINES].apply_async(hold, tmp_path / "gate", "begun")
    begun.quiet = True
    until(lambda: all("begun" in text for text in begun.stdout), SECONDS)
    note = str(tmp_path / "note")

    def once(number: int) -> int:
        with open(note, "a") as file:
            file.write(f"{number}\n")
        return number

    behind = [rc[engine].apply_async(once, number) for number in range(10) for engine in ENGINES]
    pids = {engine["id"]: engine["pid"] for engine in rc.status()["engines"]}
    fault(host)
    (tmp_path / "gate").touch()
    assert begun.get(timeout=SECONDS) == [pids[engine] for engine in ENGINES]
    assert [result.get(timeout=SECONDS) for result in behind] == [number for number in range(10) for _ in ENGINES]
    assert len(Path(note).read_text().splitlines()) == 40
    value = os.urandom(1 << 20)
    rc[ENGINES].push({"value": value}, block=True)
    assert rc[ENGINES].pull("value", block=True) == dict.fromkeys(ENGINES, value)
    if fault is kill_the_agent:
        assert folders[0].exists()
        subprocess.run([IPCLUSTERZ, "gc"], check=True, capture_output=True, timeout=SECONDS)
        assert not any(folder.exists() for folder in folders)


def test_an_engine_that_dies_takes_nothing_along(host: Host, rc: Client) -> None:
    rc[ENGINES].push({"value": bytes(1 << 20)}, block=True)
    victim = rc[1].apply_sync(os.getpid)
    os.kill(victim, signal.SIGKILL)
    until(lambda: rc.ids == {0, 2, 3, 4}, SECONDS)
    assert rc[ENGINES[1:]].pull("value", block=True) == dict.fromkeys(ENGINES[1:], bytes(1 << 20))
    assert through_tcp(host.agent, host.way) == 3


def test_an_agent_that_stands_still_is_gone_without(host: Host, rc: Client) -> None:
    host.agent.suspend()
    try:
        # As long as silence takes to be noticed, and the engines then to come back.
        assert rc[ENGINES].apply_sync(lambda: 5) == dict.fromkeys(ENGINES, 5)
        for pid in rc[ENGINES].apply_sync(os.getpid).values():
            assert through_tcp(psutil.Process(pid), host.way) >= 2
    finally:
        host.agent.resume()


def test_without_a_program_each_has_its_own_connections(
    cluster: Cluster, rc: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The interpreter is found elsewhere, beside which there is nothing.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setitem(NO_RANK, "PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setitem(NO_RANK, "PATH", "/usr/bin:/bin")
    host = Host(cluster, tmp_path)
    until(lambda: rc.ids == {0, *ENGINES}, SECONDS, host.log.read_text)
    assert "engines here share no connection, each has its own: there is no program ipclusterz" in host.log.read_text()
    pids = rc[ENGINES].apply_sync(os.getpid).values()
    assert all(through_tcp(psutil.Process(pid), host.way) >= 2 for pid in pids)
    host.end()
