"""Processes of other users at the ends of unix sockets, whatever the permissions of folders say."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers import until
from meddler import offering, unix_path

from ipclusterz import Client, error

NOBODY = 65534

# As another user: connects, and prints what the other side says.
CONNECT = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
connection.connect(sys.argv[1])
try:
    print(connection.recv(64))
except ConnectionResetError:
    print(b"")
"""

# As another user: listens, and counts the bytes that it is told.
LISTEN = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
listener = socket.socket(fileno=0)
listener.listen()
print("listening", flush=True)
listener.settimeout(20)
connection, _ = listener.accept()
connection.settimeout(20)
try:
    print(len(connection.recv(64)))
except ConnectionResetError:
    print(0)
"""


@contextmanager
def open_to_all(socket: Path) -> Iterator[None]:
    """As after somebody's mistake: all users reach this socket."""
    folders = list(socket.parents)[:4]
    for folder in folders:
        folder.chmod(0o711)
    socket.chmod(0o777)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o700)


def test_a_controller_does_not_talk_to_another_user(own_cluster, faults) -> None:
    cluster = own_cluster(n=1)
    path = unix_path(cluster.report)
    with cluster.connect_client() as rc:
        before = rc.status()["rejected"]
        count = faults.times(part=2, whole=50)
        with open_to_all(Path(path)):
            for _ in range(count):
                run = subprocess.run(
                    [sys.executable, "-c", CONNECT, path, str(NOBODY)], capture_output=True, text=True, timeout=20
                )
                assert run.stdout.strip() == "b''", run.stderr
        until(lambda: rc.status()["rejected"] == before + count)
        assert rc[0].apply_sync(abs, -1) == 1
    faults.survived("strangers", "another user connects to the unix socket", count, "closed before a byte is said")


def test_a_client_does_not_talk_to_another_users_socket(own_cluster, tmp_path_factory, faults) -> None:
    cluster = own_cluster(n=1)
    folder = tmp_path_factory.mktemp("s")
    path = folder / "controller.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        false = subprocess.Popen(
            [sys.executable, "-c", LISTEN, str(path), str(NOBODY)], stdin=listener, stdout=subprocess.PIPE, text=True
        )
    assert false.stdout is not None
    assert false.stdout.readline() == "listening\n"
    with pytest.raises(error.AuthenticationError, match="belongs to another user"):
        Client(offering(cluster.report, f"ipc://{path}", folder / "client.json"), timeout=5)
    assert false.communicate(timeout=20)[0] == "0\n"
    faults.survived("strangers", "another user listens at the unix socket", 1, "refused before a byte is said")
