"""Strangers that speak no protocol, and real sessions with damage: on raw sockets, of both kinds, by the thousand."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cutter import Recorder, controller, through
from helpers import until
from mutations import mutations

from ipclusterz import Client, Cluster

SECONDS = 30
# More than this is a leak, and not what an allocator keeps.
MEBIBYTES = 64


@pytest.fixture(scope="module")
def attacked() -> Iterator[Cluster]:
    cluster = Cluster(n=1, cluster=f"attacked-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


def recorded(cluster: Cluster, folder: Path) -> list[bytes]:
    """What the connections of a client that does a little work say, and those of another one."""
    target, content = controller(cluster, "ipc://")
    recorder = Recorder(target, folder / "near.sock")
    for _ in range(2):
        with Client(through(recorder, content, folder)) as rc:
            assert rc[:].apply_sync(abs, -1) == {0: 1}
            assert rc.load_balanced_view().map_sync(abs, range(3)) == [0, 1, 2]
            rc.status()
    recorder.close()
    return [said for said in recorder.said() if said]


def dial(address: str) -> socket.socket:
    if address.startswith("ipc://"):
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(SECONDS)
        stranger.connect(address.removeprefix("ipc://"))
        return stranger
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), SECONDS)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scheme", ["ipc://", "tcp://"])
def test_the_controller_survives_what_strangers_say(scheme: str, attacked: Cluster, tmp_path: Path, faults) -> None:
    address, _ = controller(attacked, scheme)
    said = recorded(attacked, tmp_path)
    count = faults.times(1000, 50_000)
    with attacked.connect_client() as rc:
        before = rc.status()
        process = psutil.Process(before["pid"])
        descriptors = process.num_fds()
        open_now: list[socket.socket] = []
        for number, data in enumerate(mutations(said, count, seed=len(scheme) + ord(scheme[0]))):
            stranger = dial(address)
            with contextlib.suppress(OSError):
                stranger.sendall(data)
            # Some stay until others have come.
            open_now.append(stranger)
            for _ in range(max(len(open_now) - number % 20, 0)):
                open_now.pop(0).close()
            if number % 100 == 0:
                assert rc[0].apply_async(int, "7").get(timeout=SECONDS) == 7
        for stranger in open_now:
            stranger.close()
        assert rc[0].apply_async(int, "7").get(timeout=SECONDS) == 7
        until(
            lambda: process.num_fds() <= descriptors, SECONDS, lambda: f"{process.num_fds()} for {descriptors} before"
        )
        after = rc.status()
        assert after["pid"] == before["pid"]
        assert len(after["engines"]) == 1
        assert after["resident_bytes"] < before["resident_bytes"] + (MEBIBYTES << 20)
    way = "unix socket" if scheme == "ipc://" else "TCP"
    faults.survived(
        "frames", f"malformed frames and handshakes on the {way}", count, "the cluster works on; nothing is kept"
    )


@pytest.mark.timeout(600)
def test_the_launcher_survives_what_is_no_request(attacked: Cluster, faults) -> None:
    address, _ = controller(attacked, "ipc://")
    launcher = address.replace("controller.sock", "launcher.sock")
    requests = [b'{"version":2,"request":"progress"}\n', b'{"version":2,"request":{"scale":{"by":0}}}\n', b"x" * 70_000]
    count = faults.times(300, 10_000)
    with attacked.connect_client() as rc:
        for data in mutations(requests, count, seed=3):
            # A request that means something would be granted.
            if b"scale" in data and b'"by":0' not in data:
                continue
            with dial(launcher) as stranger, contextlib.suppress(OSError):
                stranger.sendall(data)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(1 << 16):
                    pass
        assert rc[0].apply_async(int, "7").get(timeout=SECONDS) == 7
        assert len(rc.status()["engines"]) == 1
    faults.survived("frames", "malformed requests to the launcher", count, "refused with words; the launcher works on")
