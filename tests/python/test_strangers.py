"""Who is not let in, and what becomes of messages that are none.

Strangers here are raw sockets of another ZeroMQ library (pyzmq), so that they can break every rule of the protocol.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import psutil
import pytest
import zmq
from helpers import until

from ipclusterz import Client, Cluster, error

ANSWER_MILLISECONDS = 2_000

# {"v": 1, "hello": {…}} of a client, in MessagePack.
HELLO = (
    b"\x82\xa1v\x01\xa5hello\x86\xa4role\xa6client\xa4uuid\xa1u\xa4host\xa1h\xa3pid\x01"
    b"\xa9wanted_id\xc0\xadshared_memory\xc2"
)


@pytest.fixture(scope="module")
def open_cluster() -> Iterator[Cluster]:
    cluster = Cluster(n=1, cluster=f"open-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


def connection(cluster: Cluster, role: str) -> dict[str, Any]:
    folder = Path(cluster.report["client_file"]).parent
    return json.loads((folder / f"{role}.json").read_text())


def tcp_address(cluster: Cluster) -> str:
    return next(address for address in connection(cluster, "client")["addresses"] if address.startswith("tcp://"))


def over_tcp(cluster: Cluster, folder: Path, whose: str = "client", **changes: object) -> str:
    """A connection file that offers the TCP address alone, with `changes`."""
    content = connection(cluster, whose) | {"addresses": [tcp_address(cluster)]} | changes
    path = folder / f"{whose}.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return str(path)


def rejected(cluster: Cluster) -> int:
    with cluster.connect_client() as rc:
        return int(rc.status()["rejected"])


@pytest.fixture
def stranger(open_cluster: Cluster) -> Iterator[Callable[..., zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def dial(address: str | None = None, **keys: bytes) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        # Each is turned away once: another attempt could be counted while the next test counts.
        socket.reconnect_ivl = -1
        for name, key in keys.items():
            setattr(socket, name, key)
        socket.connect(address or tcp_address(open_cluster))
        return socket

    yield dial
    context.destroy(linger=0)


def test_a_peer_without_a_key_gets_no_answer(open_cluster, stranger) -> None:
    before = rejected(open_cluster)
    socket = stranger()
    socket.send(HELLO)
    assert socket.poll(ANSWER_MILLISECONDS) == 0
    until(lambda: rejected(open_cluster) == before + 1, 10, "it was counted, once")


def test_a_peer_with_a_key_of_its_own_gets_no_answer(open_cluster, stranger) -> None:
    before = rejected(open_cluster)
    public, secret = zmq.curve_keypair()
    server = connection(open_cluster, "client")["curve"]["server"].encode()
    socket = stranger(curve_serverkey=server, curve_publickey=public, curve_secretkey=secret)
    socket.send(HELLO)
    assert socket.poll(ANSWER_MILLISECONDS) == 0
    until(lambda: rejected(open_cluster) == before + 1, 10, "it was counted, once")


# Frames of so many bytes or more come in parts of so many.
PART = 256 << 10
LONG_HELLO = HELLO.replace(b"\x86", b"\x87") + b"\xa4more\xdb" + (PART + 9).to_bytes(4, "big") + b"x" * (PART + 9)


@pytest.mark.parametrize("hello", [[HELLO], [LONG_HELLO[:PART], LONG_HELLO[PART:]]], ids=["short", "in parts"])
def test_an_engines_key_does_not_admit_a_client(open_cluster, stranger, hello) -> None:
    before = rejected(open_cluster)
    curve = connection(open_cluster, "engine")["curve"]
    keys = {f"curve_{name}key": curve[name].encode() for name in ("server", "public", "secret")}
    socket = stranger(**keys)
    socket.send_multipart(hello)
    assert socket.poll(10_000) != 0
    answer = socket.recv()
    assert b"refused" in answer
    assert b"key of an engine" in answer
    assert rejected(open_cluster) == before + 1
    # Nor does it let the peer go on as if it had been admitted.
    socket.send(b"\x82\xa1v\x01\xaestatus_request\x80")
    assert b"refused" in socket.recv()


def test_clients_without_the_right_key_are_told_so(open_cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(error.AuthenticationError, match="for an engine, not for a client"):
        Client(over_tcp(open_cluster, tmp_path, "engine"))
    with pytest.raises(error.AuthenticationError, match="key of an engine"):
        Client(over_tcp(open_cluster, tmp_path, "engine", role="client"))
    public, secret = (key.decode() for key in zmq.curve_keypair())
    curve = connection(open_cluster, "client")["curve"]
    with pytest.raises(error.AuthenticationError, match="does not admit this key"):
        Client(over_tcp(open_cluster, tmp_path, curve=curve | {"public": public, "secret": secret}))
    with pytest.raises(error.IpclusterzError, match="no key"):
        Client(over_tcp(open_cluster, tmp_path, curve=None))
    other_server = zmq.curve_keypair()[0].decode()
    with pytest.raises(error.IpclusterzError) as caught:
        Client(over_tcp(open_cluster, tmp_path, curve=curve | {"server": other_server}), timeout=5)
    assert secret not in str(caught.value)
    assert curve["secret"] not in str(caught.value)


def test_a_client_with_the_right_key_works_over_tcp(open_cluster: Cluster, tmp_path: Path) -> None:
    with Client(over_tcp(open_cluster, tmp_path)) as rc:
        array = numpy.arange(1 << 20, dtype=float)
        rc[0].push({"array": array}, block=True)
        assert (rc[0].pull("array", block=True) == array).all()


NONSENSE = {
    "empty frames": [b"", b"", b""],
    "not MessagePack": [b"GET / HTTP/1.1\r\n\r\n"],
    "cut short": [HELLO[:-7]],
    "something behind it": [HELLO + b"\x00"],
    "another version": [HELLO.replace(b"\xa1v\x01", b"\xa1v\x02")],
    "an unknown kind": [b"\x82\xa1v\x01\xa5howdy\x80"],
    "fields of another type": [b"\x82\xa1v\x01\xa5hello\xa5world"],
    "a header of two megabytes": [b"\x82\xa1v\x01" + bytes(PART - 4), *[bytes(PART)] * 7, b""],
    "too many frames": [HELLO] + [b"x"] * 70_000,
    "work before hello": [b"\x82\xa1v\x01\xaestatus_request\x80"],
    "a guessed token": [b"\x82\xa1v\x01\xa6attach\x82\xa4peer\x01\xa5token\xa5guess"],
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_counted_and_harms_nobody(kind: str, open_cluster: Cluster, stranger) -> None:
    local = next(address for address in connection(open_cluster, "client")["addresses"] if address.startswith("ipc://"))
    before = rejected(open_cluster)
    socket = stranger(local)
    socket.send_multipart(NONSENSE[kind])
    until(lambda: rejected(open_cluster) == before + 1, 10, lambda: f"{kind} was not counted")
    with open_cluster.connect_client() as rc:
        assert rc[0].apply_sync(abs, -1) == 1
    log = Path(open_cluster.report["client_file"]).parent / "logs" / "controller.log"
    assert "rejected: " in log.read_text()


def test_a_peer_that_breaks_off_in_the_middle_of_a_message_harms_nobody(open_cluster: Cluster, stranger) -> None:
    local = next(address for address in connection(open_cluster, "client")["addresses"] if address.startswith("ipc://"))
    socket = stranger(local)
    socket.send(HELLO, zmq.SNDMORE)
    socket.close(linger=0)
    with open_cluster.connect_client() as rc:
        assert rc[0].apply_sync(abs, -1) == 1


def test_connection_files_and_their_folder_are_private(open_cluster: Cluster) -> None:
    folder = Path(open_cluster.report["client_file"]).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("client.json", "engine.json", "cluster.json"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    socket = connection(open_cluster, "client")["addresses"][0].removeprefix("ipc://")
    assert Path(socket).parent.stat().st_mode & 0o777 == 0o700


def line(process: psutil.Process) -> list[str]:
    """What a process was started with; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_no_secret_is_in_an_argument_list_or_a_log(open_cluster: Cluster) -> None:
    secrets = [connection(open_cluster, role)["curve"]["secret"] for role in ("client", "engine")]
    commands = " ".join(argument for process in psutil.Process().children(recursive=True) for argument in line(process))
    logs = Path(open_cluster.report["client_file"]).parent / "logs"
    text = commands + "".join(path.read_text() for path in logs.iterdir())
    assert commands
    assert not [secret for secret in secrets if secret in text]
