"""A process between a peer and its controller, of this user or another one, that reads what it passes on.

`overhearing.py USER PORT MARKER` listens at a free port, prints it, and passes connections on to PORT. For each line
that it is sent it prints what it has heard: how many bytes each connection has passed on, and how often MARKER was in
them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any

__all__ = ["Overhearing"]


class Overhearing:
    """Such a process, until the block ends.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` of the controller, on this host.
    marker : bytes
        What is listened for.
    user : int, optional
        Id of the user whose process it is to be; left out, this one.
    """

    def __init__(self, address: str, marker: bytes, user: int | None = None) -> None:
        port = address.rpartition(":")[2]
        command = [sys.executable, __file__, str(os.geteuid() if user is None else user), port, marker.hex()]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = f"tcp://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Overhearing:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def heard(self) -> dict[str, Any]:
        """``bytes`` of each connection, and the ``marks`` among them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


class _Relay:
    def __init__(self, port: int, marker: bytes) -> None:
        self.port, self.marker = port, marker
        self.bytes: list[int] = []
        self.marks = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            far = socket.socket()
            # Another user may not be able to read what looking up a name takes.
            far.connect(("127.0.0.1", self.port))
            self.bytes.append(0)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(len(self.bytes) - 1, source, sink), daemon=True).start()

    def carry(self, number: int, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.bytes[number] += len(data)
                self.marks += data.count(self.marker)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _main(user: int, port: int, marker: bytes) -> None:
    if user != os.geteuid():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    relay = _Relay(port, marker)
    threading.Thread(target=relay.accept, daemon=True).start()
    print(relay.listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        print(json.dumps({"bytes": relay.bytes, "marks": relay.marks}), flush=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]))
