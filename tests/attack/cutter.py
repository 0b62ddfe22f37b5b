"""A tunnel that is cut after an exact number of bytes, and one that keeps what went through it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path

from forward import Forward

from ipclusterz import Cluster


class Cutter(Forward):
    """Each new connection is cut, with all others, when the next of these numbers of bytes has gone through it."""

    def __init__(self, target: str) -> None:
        self._cuts: list[int] = []
        self._left: dict[socket.socket, int] = {}
        self.made = 0
        super().__init__(target)

    def cut_after(self, counts: Iterable[int]) -> None:
        with self._lock:
            self._cuts = list(counts)[::-1]
            for end in list(self._pairs):
                self._drop(end)

    @property
    def cuts_left(self) -> int:
        with self._lock:
            return len(self._cuts)

    def _pass(self, end: socket.socket, data: bytes) -> None:
        other = self._pairs[end]
        if end not in self._left:
            if not self._cuts:
                return super()._pass(end, data)
            self._left[end] = self._left[other] = self._cuts[-1]
        left = self._left[end] = self._left[other] = self._left[end] - len(data)
        if left > 0:
            return super()._pass(end, data)
        super()._pass(end, data[: len(data) + left])
        self.made += 1
        del self._cuts[-1]
        for each in list(self._pairs):
            self._drop(each)
        self._left.clear()


class Recorder(Forward):
    """Keeps what each connection said to the controller, in the order of the connections."""

    def __init__(self, target: str, socket_path: Path) -> None:
        self._said: dict[socket.socket, bytearray] = {}
        super().__init__(target, socket_path)

    def said(self) -> list[bytes]:
        with self._lock:
            return [bytes(data) for data in self._said.values()]

    def _pass(self, end: socket.socket, data: bytes) -> None:
        if end.getsockname() == str(self._path):
            self._said.setdefault(end, bytearray()).extend(data)
        super()._pass(end, data)


def controller(cluster: Cluster, scheme: str, role: str = "client") -> tuple[str, dict[str, object]]:
    """The address of a cluster's controller, and what a connection file for it says."""
    content = json.loads(Path(cluster.report["client_file"]).with_name(f"{role}.json").read_text())
    return next(address for address in content["addresses"] if address.startswith(scheme)), content


def through(forward: Forward, content: dict[str, object], folder: Path, role: str = "client") -> str:
    """A connection file that leads through a tunnel."""
    file = folder / f"{role}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(content | {"addresses": [forward.address], "forwarded": True, "host": "far-away"}))
    return str(file)
