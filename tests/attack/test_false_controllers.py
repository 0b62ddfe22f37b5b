"""Whoever listens where a controller is expected, and says what it likes.

The clients are in a process of their own: what goes wrong there is seen in how it ends.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from meddler import offering
from test_unknown_peers import CURVE, NULL, READY

# Any that are well formed.
KEYS = dict.fromkeys(("server", "public", "secret"), "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")

CONNECT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from ipclusterz import Client, IpclusterzError

def connect(path):
    try:
        Client(path, timeout=1.2).close()
    except IpclusterzError as error:
        return type(error).__name__
    return "let in"

with ThreadPoolExecutor(24) as threads:
    print(*threads.map(connect, sys.argv[1:]), sep="\\n")
"""


def answers(greeting: bytes, chance: random.Random) -> list[bytes]:
    """What such a server may say; one of each kind."""
    commands = [b"\x05READY", b"\x07WELCOME", b"\x05ERROR", b"\x05HELLO", b"\x07MESSAGE"]
    return [
        chance.randbytes(300),
        greeting[:10] + chance.randbytes(100),
        greeting + chance.randbytes(300),
        greeting + b"\x04" + chance.randbytes(1) + chance.choice(commands) + chance.randbytes(260),
        greeting + b"\x04\x07\x05ERROR\x00",
        greeting + b"\x04\x0a\x05ERROR\xff400",
        greeting + b"\x06" + b"\xff" * 8 + bytes(1000),
        # What comes after a handshake without keys.
        greeting + READY + chance.randbytes(400),
        greeting + READY + b"\x04\x05\x04PING" + b"\x04\x00" + b"\x00\x03abc",
    ]


class FalseController:
    """Says one thing to everybody, and listens to nothing."""

    def __init__(self, path: Path | None, says: bytes) -> None:
        self._says = says
        self._taken: list[socket.socket] = []
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
            self.address = f"ipc://{path}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> FalseController:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (*self._taken, self._listener):
            each.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._taken.append(connection)
            try:
                connection.sendall(self._says)
            except OSError:
                continue


@pytest.mark.timeout(300)
def test_what_a_false_controller_says_ends_no_client(cluster, tmp_path, faults) -> None:
    count = 0
    for seed in range(faults.times(part=1, whole=40)):
        chance = random.Random(seed)
        ways: list[tuple[bytes, Callable[[int], Path | None]]] = [
            (CURVE, lambda number: None),
            (NULL, lambda number: tmp_path / f"{number}.sock"),
        ]
        with ExitStack() as stack:
            files = []
            for greeting, path in ways:
                for says in answers(greeting, chance):
                    count += 1
                    server = stack.enter_context(FalseController(path(count), says))
                    file = tmp_path / f"{count}.json"
                    files.append(offering(cluster.report, server.address, file, curve=KEYS))
            run = subprocess.run([sys.executable, "-c", CONNECT, *files], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr[-2000:]
        assert set(run.stdout.split()) <= {"ControllerUnreachable", "AuthenticationError"}
    faults.survived("frames", "a false controller says what it likes", count, "the client raises")
