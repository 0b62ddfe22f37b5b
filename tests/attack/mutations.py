"""Bytes that are nearly right: what was recorded, damaged in every way."""

from __future__ import annotations

import random
from collections.abc import Iterator

# What strangers of other protocols say first.
FOREIGN = (
    b"",
    b"\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    b"\x01\x00",
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01",
    b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + b"\x06\xff" + b"\xff" * 8,
    b"\xff" + bytes(8) + b"\x7f\x03\x00PLAIN" + bytes(47),
    b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(47) + b"\x04\xc8" + bytes(200),
    b"\xff" + bytes(8) + b"\x7f\x09\x09" + b"\xff" * 52,
    bytes(1 << 16),
    b"\xff" * (1 << 16),
)


def mutations(recorded: list[bytes], count: int, seed: int = 1) -> Iterator[bytes]:
    """So many sequences of bytes, each time the same: foreign ones, then the recorded ones with damage."""
    chance = random.Random(seed)
    yield from FOREIGN[:count]
    for _ in range(count - len(FOREIGN)):
        data = bytearray(chance.choice(recorded))
        for _ in range(chance.choice((1, 1, 2, 5))):
            _damage(data, recorded, chance)
        yield bytes(data)


def _damage(data: bytearray, recorded: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    length = chance.choice((1, 1, 2, 8, 64))
    match chance.randrange(8):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + length]
        case 2:
            data[at:at] = chance.randbytes(length)
        case 3:
            data[at : at + length] = chance.randbytes(length)
        case 4:
            data[at : at + length] = chance.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * length
        case 5:
            data[at:at] = data[at : at + chance.randrange(len(data) + 1)]
        case 6:
            other = chance.choice(recorded)
            data[at:] = other[chance.randrange(len(other)) :]
        case _:
            for place in range(at, min(at + length, len(data))):
                data[place] ^= 1 << chance.randrange(8)
