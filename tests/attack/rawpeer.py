"""A peer that holds a key and says what it likes: raw sockets of another ZeroMQ library, and MessagePack by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import zmq

from ipclusterz import Cluster

PART = 256 << 10


def pack(value: Any) -> bytes:
    """MessagePack of plain values; numbers in their longest forms."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + value.to_bytes(8, "big", signed=True) if value < 0 else b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return b"\xdb" + len(text).to_bytes(4, "big") + text
    if isinstance(value, bytes):
        return b"\xc6" + len(value).to_bytes(4, "big") + value
    if isinstance(value, dict):
        entries = b"".join(pack(key) + pack(each) for key, each in value.items())
        return b"\xdf" + len(value).to_bytes(4, "big") + entries
    return b"\xdd" + len(value).to_bytes(4, "big") + b"".join(map(pack, value))


def unpack(data: bytes) -> Any:
    """What `pack` made, or the controller."""
    return _read(data, 0)[0]


_FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i"}
_NUMBERS[0xD3] = ">q"
# Bytes of the length, and what follows.
_SIZED = {0xC4: (1, bytes), 0xC5: (2, bytes), 0xC6: (4, bytes), 0xD9: (1, str), 0xDA: (2, str), 0xDB: (4, str)}
_SIZED |= {0xDC: (2, list), 0xDD: (4, list), 0xDE: (2, dict), 0xDF: (4, dict)}


def _read(data: bytes, at: int) -> tuple[Any, int]:
    first, at = data[at], at + 1
    if first < 0x80 or first >= 0xE0:
        return first - (256 if first >= 0xE0 else 0), at
    if first in _FIXED:
        return _FIXED[first], at
    if first in _NUMBERS:
        size = struct.calcsize(_NUMBERS[first])
        return struct.unpack(_NUMBERS[first], data[at : at + size])[0], at + size
    if first < 0xC0:
        kind: type = dict if first < 0x90 else list if first < 0xA0 else str
        return _filled(kind, first & (0x1F if kind is str else 0x0F), data, at)
    width, kind = _SIZED[first]
    return _filled(kind, int.from_bytes(data[at : at + width], "big"), data, at + width)


def _filled(kind: type, length: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in (str, bytes):
        raw = data[at : at + length]
        return raw.decode() if kind is str else raw, at + length
    values = []
    for _ in range(length * (2 if kind is dict else 1)):
        value, at = _read(data, at)
        values.append(value)
    return (dict(zip(values[::2], values[1::2], strict=True)) if kind is dict else values), at


def header(kind: str, fields: dict[str, Any]) -> bytes:
    """A header of version 1."""
    return b"\x82\xa1v\x01" + pack(kind) + pack(fields)


def messages(part: bytes) -> list[list[bytes]]:
    """The messages in a part, each with its frames: short ones come together."""
    found: list[list[bytes]] = [[]]
    if part[:1] != b"\xc0":
        return [[part]]
    at = 1
    while at < len(part):
        length = int.from_bytes(part[at : at + 4], "big")
        start, at = at + 4, at + 4 + (length & 0x7FFFFFFF)
        found[-1].append(part[start:at])
        if length >> 31 and at < len(part):
            found.append([])
    return found


def parts(frame: bytes) -> list[bytes]:
    """A frame as it travels: long ones in pieces, the last of which is shorter."""
    return [frame[start : start + PART] for start in range(0, len(frame) + 1, PART)]


HELLO = {"role": "client", "uuid": "u", "host": "h", "pid": 1, "wanted_id": None, "shared_memory": False}


def connection(cluster: Cluster, role: str) -> dict[str, Any]:
    """The connection file of a role."""
    return json.loads((Path(cluster.report["client_file"]).parent / f"{role}.json").read_text())


class RawPeer:
    """Both connections of a peer, through TCP with the key of its role, or through the unix socket."""

    def __init__(self, cluster: Cluster, role: str, local: bool = False) -> None:
        self.role = role
        file = connection(cluster, role)
        scheme = "ipc://" if local else "tcp://"
        self.address = next(address for address in file["addresses"] if address.startswith(scheme))
        self._curve = None if local else file["curve"]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.control, self.data = self._dial(), self._dial()
        self._heard: dict[str, list[bytes]] = {"control": [], "data": []}

    def _dial(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.sndhwm = socket.rcvhwm = 0
        if self._curve is not None:
            for name in ("server", "public", "secret"):
                setattr(socket, f"curve_{name}key", self._curve[name].encode())
        socket.connect(self.address)
        return socket

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def hello(self, **changes: Any) -> dict[str, Any]:
        """Introduce itself; what the controller says to that: welcome or refused."""
        self.tell("control", "hello", HELLO | {"role": self.role} | changes)
        while True:
            kind, fields = self.hear("control")
            if kind in ("welcome", "refused"):
                return fields

    def join(self, **changes: Any) -> dict[str, Any]:
        """Introduce itself, and connect `data`."""
        welcome = self.hello(**changes)
        self.tell("data", "attach", {"peer": welcome["peer"], "token": welcome["token"]})
        assert self.hear("data")[0] == "attached"
        return welcome

    def tell(self, channel: str, kind: str, fields: dict[str, Any], *payload: bytes) -> None:
        """Send a message."""
        frames = [header(kind, fields), *payload]
        self.socket(channel).send_multipart([part for frame in frames for part in parts(frame)])

    def hear(self, channel: str, seconds: float = 10) -> tuple[str, dict[str, Any]]:
        """The next message."""
        if not self._heard[channel]:
            self._heard[channel] = self._receive(channel, seconds)
        message = unpack(self._heard[channel].pop(0))
        kind = next(name for name in message if name != "v")
        return kind, message[kind]

    def _receive(self, channel: str, seconds: float) -> list[bytes]:
        """The headers of what comes next."""
        socket = self.socket(channel)
        assert socket.poll(int(seconds * 1000)), f"nothing came on {channel} for {seconds} s"
        received = socket.recv_multipart()
        # Of a long header, the pieces up to the first that is shorter.
        head = b""
        for part in received:
            head += part
            if len(part) < PART:
                break
        return [frames[0] for frames in messages(head)]

    def hear_of(self, channel: str, kind: str, seconds: float = 10) -> dict[str, Any]:
        """The next message of a kind; others are dropped."""
        while True:
            found, fields = self.hear(channel, seconds)
            if found == kind:
                return fields

    def socket(self, channel: str) -> zmq.Socket[bytes]:
        """One of its connections."""
        return self.control if channel == "control" else self.data
