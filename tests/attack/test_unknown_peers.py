"""Who connects without having been let in: any number of them, for any time, with any bytes."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
from helpers import until
from meddler import offering, tcp_address, unix_path

from ipclusterz import Client, Cluster

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"%-20b" + bytes(32)
NULL = GREETING.replace(b"%-20b", b"NULL".ljust(20, b"\0"))
CURVE = GREETING.replace(b"%-20b", b"CURVE".ljust(20, b"\0"))
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
MORE = b"\x03"  # a long part, and another one follows

# A handshake has 8 s.
HANDSHAKE_SECONDS = 10.0


@pytest.fixture(scope="module")
def open_cluster() -> Iterator[Cluster]:
    cluster = Cluster(n=1, cluster=f"exposed-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def controller(open_cluster: Cluster) -> psutil.Process:
    return controller_of(open_cluster)


def controller_of(cluster: Cluster) -> psutil.Process:
    with cluster.connect_client() as rc:
        return psutil.Process(rc.status()["pid"])


def by_tcp(cluster: Cluster) -> socket.socket:
    host, _, port = tcp_address(cluster.report).removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def by_unix(cluster: Cluster) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(unix_path(cluster.report))
    return connection


WAYS = {"tcp": by_tcp, "unix": by_unix}


def ended(connection: socket.socket, timeout: float = 5.0) -> bool:
    """Whether the other side closes; what it says until then is read."""
    deadline = time.monotonic() + timeout
    while select.select([connection], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            if not connection.recv(1 << 16):
                return True
        except OSError:
            return True
    return False


def serves(cluster: Cluster, folder: Path) -> bool:
    """Whether clients are let in, by either way."""
    with Client(offering(cluster.report, tcp_address(cluster.report), folder / "client.json"), timeout=10) as rc:
        if rc[0].apply_sync(abs, -1) != 1:
            return False
    with cluster.connect_client() as rc:
        return bool(rc[0].apply_sync(abs, -1) == 1)


@pytest.mark.timeout(120)
def test_a_crowd_that_says_nothing_takes_a_quarter_of_the_descriptors(open_cluster, controller, tmp_path, faults):
    count = faults.times(part=3000, whole=20600)
    used = controller.num_fds()
    with ExitStack() as crowd:
        held: list[socket.socket] = []
        for way in WAYS.values():
            for number in range(count):
                held.append(crowd.enter_context(closing(way(open_cluster))))
                if number % 1000 == 999:
                    assert serves(open_cluster, tmp_path)
                    assert controller.num_fds() < used + 1200
                if len(held) > 4000:
                    held.pop(0).close()
        # Those that are left are given up in time.
        until(lambda: controller.num_fds() < used + 20, HANDSHAKE_SECONDS)
    assert serves(open_cluster, tmp_path)
    faults.survived("strangers", "connections that say nothing", 2 * count, "the oldest go; clients get in")


@pytest.mark.timeout(120)
def test_a_crowd_that_completes_the_handshake_and_says_nothing_goes_too(
    open_cluster, controller, tmp_path, faults
) -> None:
    count = faults.times(part=1500, whole=6000)
    used = controller.num_fds()
    with ExitStack() as crowd:
        for _ in range(count):
            connection = crowd.enter_context(closing(by_unix(open_cluster)))
            connection.sendall(NULL + READY)
        assert serves(open_cluster, tmp_path)
        assert controller.num_fds() < used + 1200
        if patience := faults.times(part=0, whole=36):
            until(lambda: controller.num_fds() < used + 20, patience)
    faults.survived("strangers", "connections by unix that only complete the handshake", count, "the oldest go")


@pytest.mark.timeout(120)
def test_bulk_connections_of_nobody_who_was_let_in_come_to_nothing(open_cluster, controller, tmp_path, faults) -> None:
    count = faults.times(part=600, whole=6000)
    chance = random.Random(5)
    used = controller.num_fds()
    with ExitStack() as crowd:
        unfinished = []
        for number in range(count):
            connection = crowd.enter_context(closing(by_tcp(open_cluster)))
            # A link that nobody expects, and anything for a handshake; or the beginning of it, and no more.
            preamble = b"IPZBULK\x01" + chance.randbytes(16 + 48)
            whole = number % 3 > 0
            connection.sendall(preamble if whole else preamble[: chance.randrange(1, len(preamble))])
            if whole:
                assert ended(connection), number
            else:
                unfinished.append(connection)
            if number % 100 == 99:
                assert serves(open_cluster, tmp_path)
                assert controller.num_fds() < used + 150
        until(lambda: controller.num_fds() < used + 20, HANDSHAKE_SECONDS)
        assert all(map(ended, unfinished))
    faults.survived("strangers", "bulk connections without a ticket", count, "closed; clients get in")


@pytest.mark.parametrize("way", WAYS)
def test_bytes_that_are_no_handshake_end_their_connection(way, open_cluster, controller, tmp_path, faults) -> None:
    count = faults.times(part=60, whole=3000)
    chance = random.Random(way)
    greeting = {"tcp": CURVE, "unix": NULL}[way]
    kinds: list[Callable[[], bytes]] = [
        lambda: chance.randbytes(200),
        lambda: greeting[:10] + chance.randbytes(100),
        lambda: greeting + chance.randbytes(100),
        # ZMTP 1 and 2, which know no keys.
        lambda: b"\x01\x00" + chance.randbytes(50),
        lambda: greeting[:10] + b"\x01\x05" + chance.randbytes(50),
        # A command of 200 KiB, which is never sent in whole.
        lambda: greeting + b"\x06" + struct.pack(">Q", 200 << 10) + bytes(1000),
        # The wrong mechanism.
        lambda: GREETING.replace(b"%-20b", b"PLAIN".ljust(20, b"\0")) + READY,
        lambda: {"tcp": NULL, "unix": CURVE}[way] + READY,
    ]
    for number in range(count):
        with closing(WAYS[way](open_cluster)) as connection:
            connection.sendall(kinds[number % len(kinds)]())
    for kind in kinds[5:]:
        with closing(WAYS[way](open_cluster)) as connection:
            connection.sendall(kind())
            assert ended(connection)
    assert serves(open_cluster, tmp_path)
    faults.survived("frames", f"bytes by {way} that are no handshake", count, "that connection ends")


def send_for_long(connection: socket.socket, piece: bytes, size: int) -> None:
    for _ in range(size // len(piece)):
        connection.sendall(piece)


@pytest.mark.parametrize("part", [0, 1, 200 << 10])
def test_a_message_before_hello_is_short(part, open_cluster, controller, tmp_path, faults) -> None:
    count = faults.times(part=4, whole=100)
    before = controller.memory_info().rss
    for _ in range(count):
        with closing(by_unix(open_cluster)) as connection:
            connection.sendall(NULL + READY)
            piece = (MORE + struct.pack(">Q", part) + bytes(part)) * max(1, 4096 // (part + 9))
            with pytest.raises(OSError, match=r"Broken pipe|reset"):
                send_for_long(connection, piece, 8 << 20)
    assert controller.memory_info().rss - before < 16 << 20
    assert serves(open_cluster, tmp_path)
    faults.survived(
        "frames", f"a message without an end before hello, in parts of {part} bytes", count, "it ends at 1 MiB"
    )


def test_a_ping_that_is_too_short_ends_its_connection(open_cluster, tmp_path, faults) -> None:
    with closing(by_unix(open_cluster)) as connection:
        connection.sendall(NULL + READY + b"\x04\x05\x04PING")
        assert ended(connection)
    assert serves(open_cluster, tmp_path)
    faults.survived("frames", "PING without its TTL", 1, "that connection ends")
