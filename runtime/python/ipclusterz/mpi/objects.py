"""Python objects as one run of bytes, for the methods with small letters.

Pickle protocol 5 (PEP 574). Large buffers, such as those of arrays, are not copied into the pickle but stand behind it, so
that who receives them has views of what was received. A pickle alone is sent as it is; with buffers the format is

    0x00  7 bytes of zero  int64 n  int64 length of the pickle  n times int64 length of a buffer  pickle  buffers

where the pickle and each buffer begin at multiples of 64 bytes.
"""

from __future__ import annotations

import pickle
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["decode", "empty", "encode"]

_ALIGNMENT = 64
# A smaller buffer is copied into the pickle, which is cheaper than a place of its own.
_LARGE = 16 << 10


def encode(value: Any) -> bytes | memoryview:
    """The bytes of an object.

    Raises
    ------
    Exception
        What pickle raises for an object that cannot be pickled.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            # Not contiguous: pickle copies it.
            return True
        if raw.nbytes < _LARGE:
            return True
        buffers.append(raw)
        return False

    try:
        body = pickle.dumps(value, 5, buffer_callback=keep)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Lambdas, and what is defined in __main__.
        import cloudpickle

        buffers.clear()
        body = cloudpickle.dumps(value, 5, buffer_callback=keep)
    if not buffers:
        return body
    sizes = [len(body), *(buffer.nbytes for buffer in buffers)]
    head = struct.pack(f"<qq{len(sizes)}q", 0, len(buffers), *sizes)
    places = _places(len(head), sizes)
    whole = memoryview(empty(places[-1] + sizes[-1]))
    whole[: len(head)] = head
    for place, part in zip(places, [memoryview(body), *buffers], strict=True):
        whole[place : place + part.nbytes] = part
    return whole


def decode(data: Any) -> Any:
    """The object of what `encode` made; its arrays are views of `data`."""
    view = memoryview(data)
    if view[0]:
        return pickle.loads(view)
    _, count = struct.unpack_from("<qq", view)
    sizes = struct.unpack_from(f"<{count + 1}q", view, 16)
    places = _places(16 + 8 * len(sizes), sizes)
    body, *buffers = (view[place : place + size] for place, size in zip(places, sizes, strict=True))
    return pickle.loads(body, buffers=buffers)


def empty(size: int) -> Any:
    """A writable buffer of that many bytes, with anything in them."""
    try:
        import numpy as np
    except ModuleNotFoundError:
        return bytearray(size)
    return np.empty(size, np.uint8)


def _places(first: int, sizes: Any) -> list[int]:
    places = []
    end = first
    for size in sizes:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        places.append(start)
        end = start + size
    return places
