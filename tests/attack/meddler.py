"""Somebody between a peer and its controller, who cuts connections, falls silent, or damages what is sent."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Fault", "Meddler", "offering", "tcp_address", "unix_path"]


@dataclass(frozen=True)
class Fault:
    """What happens to a connection once `after` bytes have passed in one direction."""

    what: str  # "cut", "silence" or "damage"
    after: int
    upwards: bool = True  # to the controller


class Meddler:
    """Listens at a free port of this host, and passes everything on to a controller, but for its faults.

    Parameters
    ----------
    target : str
        ``tcp://host:port`` of the controller.
    fault : callable
        The fault of each connection, by its number; none: ``None``.
    """

    def __init__(self, target: str, fault: Callable[[int], Fault | None] = lambda number: None) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._fault = fault
        self._silent = False
        # How many connections there have been.
        self.accepted = 0
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def __enter__(self) -> Meddler:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that waits in accept is woken by shutdown, not by close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for end in self._ends:
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in (*self._ends, self._listener):
            end.close()

    def hush(self) -> None:
        """From now on nothing is passed on, and nothing is closed."""
        self._silent = True

    def cut(self) -> None:
        """Close all connections that there are."""
        for end in list(self._ends):
            _shut(end)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._ends.append(near)
            try:
                far = socket.create_connection(self._target, timeout=10)
            except OSError:
                _shut(near)
                continue
            far.settimeout(None)
            self._ends.append(far)
            fault, self.accepted = self._fault(self.accepted), self.accepted + 1
            self._start(self._pass, near, far, fault if fault and fault.upwards else None)
            self._start(self._pass, far, near, fault if fault and not fault.upwards else None)

    def _pass(self, source: socket.socket, sink: socket.socket, fault: Fault | None) -> None:
        passed, silent = 0, False
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if fault and passed + len(data) > fault.after:
                    at = fault.after - passed
                    if fault.what != "damage":
                        sink.sendall(data[:at])
                    if fault.what == "cut":
                        break
                    silent = fault.what == "silence"
                    data = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
                    fault = None
                passed += len(data)
                if not silent and not self._silent:
                    sink.sendall(data)
        for end in (source, sink):
            _shut(end)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _connection(report: dict[str, Any], role: str) -> dict[str, Any]:
    return json.loads((Path(report["client_file"]).parent / f"{role}.json").read_text())


def tcp_address(report: dict[str, Any]) -> str:
    """Where the cluster of this report listens to other hosts."""
    return next(each for each in _connection(report, "client")["addresses"] if each.startswith("tcp://"))


def unix_path(report: dict[str, Any]) -> str:
    """The unix socket of the cluster of this report."""
    addresses = _connection(report, "client")["addresses"]
    return next(each for each in addresses if each.startswith("ipc://")).removeprefix("ipc://")


def offering(report: dict[str, Any], address: str, path: Path, role: str = "client", **changes: object) -> str:
    """Write a connection file that offers this address alone, with `changes`."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(_connection(report, role) | {"addresses": [address]} | changes))
    return str(path)
