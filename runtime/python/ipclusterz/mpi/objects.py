"""Python objects as one run of bytes, for the methods with small letters.

Pickle protocol 5 (PEP 574). Large buffers, such as those of arrays, are not copied into the pickle but stand behind it,
so that who receives them has views of what was received. A pickle alone is sent as it is; with buffers the format is

    0x00  7 bytes of zero  int64 n  int64 length of the pickle  n times int64 length of a buffer  pickle  buffers

where the pickle and each buffer begin at multiples of 64 bytes.
"""

from __future__ import annotations

import pickle
import struct

from ..compat import zip_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["decode", "empty", "encode"]

_ALIGNMENT = 64
# Fewer bytes are copied into the pickle, which is cheaper than places of their own.
_LARGE = 16 << 10
_dumps, _loads = pickle.dumps, pickle.loads
# A TypeError for any buffer of pickle's, without a function of our own.
_refuse: Any = len


def encode(value: Any) -> bytes | memoryview:
    """The bytes of an object.

    Raises
    ------
    Exception
        What pickle raises for an object that cannot be pickled.
    """
    try:
        # Most objects have no buffers. This fails for one: so nothing is made to collect them in.
        return _dumps(value, 5, buffer_callback=_refuse)
    except (pickle.PicklingError, AttributeError, TypeError):
        return _with_buffers(value)


def _with_buffers(value: Any) -> bytes | memoryview:
    buffers: list[pickle.PickleBuffer] = []
    try:
        body = _dumps(value, 5, buffer_callback=buffers.append)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Lambdas, and what is defined in __main__.
        return _slowly(value)
    return _joined(body, buffers, value) if buffers else body


def _joined(body: bytes, buffers: list[pickle.PickleBuffer], value: Any) -> bytes | memoryview:
    try:
        raw = [buffer.raw() for buffer in buffers]
    except BufferError:
        # One that is not contiguous: pickle copies it.
        return _slowly(value)
    if sum(buffer.nbytes for buffer in raw) < _LARGE:
        return _slowly(value)
    sizes = [len(body), *(buffer.nbytes for buffer in raw)]
    head = struct.pack(f"<qq{len(sizes)}q", 0, len(raw), *sizes)
    places = _places(len(head), sizes)
    whole = memoryview(empty(places[-1] + sizes[-1]))
    whole[: len(head)] = head
    for place, part in zip_equal(places, [memoryview(body), *raw]):
        whole[place : place + part.nbytes] = part
    return whole


def _slowly(value: Any) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Start-up: few objects need it.
        from ..shared.travel import dumps

        return dumps(value, 5)


def decode(data: Any) -> Any:
    """The object of what `encode` made, as bytes or a memoryview of bytes; its arrays are views of `data`."""
    if data[0]:
        return _loads(data)
    view = memoryview(data)
    _, count = struct.unpack_from("<qq", view)
    sizes = struct.unpack_from(f"<{count + 1}q", view, 16)
    places = _places(16 + 8 * len(sizes), sizes)
    body, *buffers = (view[place : place + size] for place, size in zip_equal(places, sizes))
    return _loads(body, buffers=buffers)


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
