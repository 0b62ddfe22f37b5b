"""Which of the addresses that a connection file offers is taken, and what is said when none answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import psutil
import pytest
from forward import Forward
from helpers import until

from ipclusterz import AuthenticationError, Client, Cluster, ControllerUnreachable
from ipclusterz.compat import OWN_PROCESS_GROUP

NO_SUCH_NAME = "tcp://no-such-host.invalid:10101"


@pytest.fixture(scope="module")
def open_cluster() -> Iterator[Cluster]:
    cluster = Cluster(n=1, cluster=f"addresses-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


@pytest.fixture
def nobody() -> Iterator[str]:
    """A port that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """A port at which connections are made and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def read(cluster: Cluster, role: str = "client") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(cluster.report["client_file"]).with_name(f"{role}.json").read_text())
    return content


def written(folder: Path, cluster: Cluster, role: str = "client", **changes: object) -> str:
    """A copy of a connection file, with `changes`."""
    file = folder / f"{role}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(read(cluster, role) | changes))
    return str(file)


def address_of(cluster: Cluster, scheme: str) -> str:
    return next(str(address) for address in read(cluster)["addresses"] if address.startswith(scheme))


@pytest.fixture
def engine(open_cluster: Cluster) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(file: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", file, *options]
        started.append(subprocess.Popen(command, **OWN_PROCESS_GROUP, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
    with open_cluster.connect_client() as rc:
        until(lambda: rc.ids == {0})


def test_the_address_that_answers_is_taken_whatever_stands_before_it(
    open_cluster: Cluster, tmp_path: Path, nobody: str, silent: str, engine: Callable[..., subprocess.Popen[str]]
) -> None:
    tcp = address_of(open_cluster, "tcp://")
    named = tcp.replace("127.0.0.1", "localhost")
    for good in (tcp, named):
        offered = [silent, NO_SUCH_NAME, nobody, good]
        with Client(written(tmp_path, open_cluster, addresses=offered), timeout=20) as rc:
            assert good in repr(rc)
            assert rc[0].apply_sync(abs, -1) == 1
    engine(written(tmp_path, open_cluster, "engine", addresses=offered), "--engine-id", "7")
    with open_cluster.connect_client() as rc:
        until(lambda: rc.ids == {0, 7}, 20)
        addresses = {each["id"]: each["address"] for each in rc.status()["engines"]}
    assert addresses == {0: address_of(open_cluster, "ipc://"), 7: named}


def test_the_error_names_each_address_and_what_happened_there(
    open_cluster: Cluster, tmp_path: Path, nobody: str, silent: str, engine: Callable[..., subprocess.Popen[str]]
) -> None:
    offered = [silent, NO_SUCH_NAME, nobody]
    with pytest.raises(ControllerUnreachable) as caught:
        Client(written(tmp_path, open_cluster, addresses=offered), timeout=3)
    failed = engine(written(tmp_path, open_cluster, "engine", addresses=offered), "--timeout", "3")
    errors = failed.communicate(timeout=20)[1]
    assert failed.returncode == 1
    for text in (str(caught.value), errors):
        assert "none of 3 addresses answers" in text
        assert f"{nobody}: connection refused" in text
        assert f"{NO_SUCH_NAME}: the name is unknown" in text
        assert f"{silent}: timed out" in text


def test_an_address_that_lets_nobody_in_is_no_reason_to_give_up(
    open_cluster: Cluster, own_cluster: Callable[..., Cluster], tmp_path: Path, nobody: str
) -> None:
    other = own_cluster(n=1, listen="127.0.0.1:0")
    wrong, right = address_of(other, "tcp://"), address_of(open_cluster, "tcp://")
    with Client(written(tmp_path, open_cluster, addresses=[wrong, right])) as rc:
        assert right in repr(rc)
    with pytest.raises((AuthenticationError, ControllerUnreachable)) as caught:
        Client(written(tmp_path, open_cluster, addresses=[wrong, nobody]), timeout=5)
    assert f"{wrong}: not let in" in str(caught.value)
    assert f"{nobody}: connection refused" in str(caught.value)


@pytest.mark.parametrize("scheme", ["tcp://", "ipc://"])
@pytest.mark.parametrize("host", ["far-away", None])
def test_the_near_end_of_a_tunnel_is_dialled_and_shares_no_memory(
    open_cluster: Cluster,
    tmp_path: Path,
    scheme: str,
    host: str | None,
    engine: Callable[..., subprocess.Popen[str]],
) -> None:
    near = Forward(address_of(open_cluster, scheme), tmp_path / "near.sock" if scheme == "ipc://" else None)
    changes = {"addresses": [near.address], "forwarded": True} | ({"host": host} if host else {})
    try:
        process = engine(written(tmp_path, open_cluster, "engine", **changes), "--engine-id", "5")
        with Client(written(tmp_path, open_cluster, **changes)) as rc:
            until(lambda: rc.ids == {0, 5}, 20)
            array = numpy.arange(1 << 18, dtype=float)
            rc[:].push({"array": array}, block=True)
            assert all((each == array).all() for each in rc[:].pull("array", block=True).values())
            assert {each["id"]: each["address"] for each in rc.status()["engines"]}[5] == near.address
        folder = read(open_cluster)["shared_memory"]
        assert not [each.path for each in psutil.Process(process.pid).memory_maps() if each.path.startswith(folder)]
    finally:
        near.close()


class Slow(Forward):
    """Passes nothing on to the controller until it is let go."""

    held: bytes | None = b""
    _end: socket.socket

    def _pass(self, end: socket.socket, data: bytes) -> None:
        if self.held is None:
            super()._pass(end, data)
        elif self._pairs[end].getpeername() == self._far:
            self.held, self._end = self.held + data, end
        else:
            super()._pass(end, data)

    @property
    def _far(self) -> tuple[str, int]:
        host, _, port = self._target.removeprefix("tcp://").rpartition(":")
        return host, int(port)

    def let_go(self) -> None:
        with self._lock:
            held, self.held = self.held, None
            if held and self._end in self._pairs:
                super()._pass(self._end, held)


def rejected(cluster: Cluster) -> int:
    with cluster.connect_client() as rc:
        return int(rc.status()["rejected"])


@pytest.fixture
def slow(open_cluster: Cluster) -> Iterator[Slow]:
    forward = Slow(address_of(open_cluster, "tcp://"))
    yield forward
    forward.close()


def complaints(cluster: Cluster) -> list[str]:
    log = Path(cluster.report["log_directory"]) / "controller.log"
    return [line for line in log.read_text().splitlines() if "WARN" in line or "rejected" in line]


def test_who_loses_the_race_is_no_stranger(
    open_cluster: Cluster, tmp_path: Path, slow: Slow, engine: Callable[..., subprocess.Popen[str]]
) -> None:
    before, said = rejected(open_cluster), complaints(open_cluster)
    offered = [slow.address, address_of(open_cluster, "tcp://")]
    engine(written(tmp_path, open_cluster, "engine", addresses=offered), "--engine-id", "7")
    with open_cluster.connect_client() as rc:
        until(lambda: rc.ids == {0, 7}, 20)
        until(lambda: slow.held, 10, "the slow address was dialled")
        assert slow.connections == 1
        slow.let_go()
        # As soon as its handshake is over it is closed, and the engine has its other connections.
        until(lambda: not slow.connections, 20)
        assert rc[7].apply_sync(abs, -1) == 1
    assert (rejected(open_cluster), complaints(open_cluster)) == (before, said)


def test_clients_that_race_and_leave_at_once_are_no_strangers(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = own_cluster(n=1, listen="0.0.0.0:0")
    port = address_of(cluster, "tcp://").rpartition(":")[2]
    file = written(tmp_path, cluster, addresses=[f"tcp://127.0.0.{last}:{port}" for last in range(1, 9)])
    for _ in range(20):
        with Client(file):
            pass
    assert rejected(cluster) == 0
    assert not complaints(cluster)


def test_a_stranger_that_breaks_off_is_counted(open_cluster: Cluster) -> None:
    host, _, port = address_of(open_cluster, "tcp://").removeprefix("tcp://").rpartition(":")
    for said in (b"", b"\xff\0\0\0\0\0\0\0\x01\x7f\x03"):
        before = rejected(open_cluster)
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(said)
        until(lambda before=before: rejected(open_cluster) == before + 1, 10, "it was counted, once")  # type: ignore[misc]
