"""Values to frames and back: pickle protocol 5, large buffers out of band.

A value becomes a list of frames: the pickle, then one frame for each buffer of `OUT_OF_BAND` bytes or more. Plain C
pickle goes first; cloudpickle takes over for what pickle cannot do and for what lives in ``__main__``, which the other
side does not have, unless `pickling` has put something else in its place. Functions that are called remotely are packed
in `client.functions`; nothing here knows of engines.
"""

from __future__ import annotations

# The C module: `pickle` itself imports `re` and a pickler in Python, which every engine would pay for at its start.
from _pickle import Pickler
from _pickle import dumps as plain_dumps
from _pickle import loads as _loads
from contextlib import suppress
from io import BytesIO

from ..error import SerializationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pickle import PickleBuffer
    from typing import Any

    from .._core import Buffer

    Frame = bytes | bytearray | memoryview | Buffer

__all__ = [
    "FRESH",
    "INSTEAD",
    "KEPT",
    "MAP",
    "NAMES_LOCAL",
    "OUT_OF_BAND",
    "PROTOCOL",
    "code_of",
    "dumps",
    "function_dumps",
    "loads",
    "plain_dumps",
    "split_code",
]

PROTOCOL = 5

OUT_OF_BAND = 16 * 1024
"""Buffers of at least this many bytes travel as frames of their own; a smaller one costs less inside the pickle."""

# Exact types that cannot refer to `__main__`, hold a buffer or fail: most arguments and results of small tasks.
_PLAIN = frozenset({int, float, bool, complex, str, bytes, type(None)})

_MAIN = b"__main__"

NAMES_LOCAL: list[Callable[[bytes], bool]] = []
"""Whether a pickle names a module that the other side may not have; a client fills this."""

INSTEAD: dict[str, Any] = {}
"""What takes over in place of cloudpickle, for a ``"value"`` and for a ``"function"``: picklers, by `pickling`."""

KEPT: list[dict[int, Any]] = []
"""Packed functions that are kept, and are packed anew when another pickler is chosen; a client fills this."""


def dumps(value: object) -> list[Frame]:
    """Turn a value into frames.

    Parameters
    ----------
    value : object
        Anything that pickle or cloudpickle can serialise.

    Returns
    -------
    list of buffers
        The pickle, then the out-of-band buffers. They share memory with `value`.

    Raises
    ------
    SerializationError
        When neither pickle nor cloudpickle can serialise it; names its type.

    Examples
    --------
    >>> loads(dumps({"a": 1}))
    {'a': 1}
    """
    if type(value) in _PLAIN:
        return [plain_dumps(value, PROTOCOL)]
    buffers: list[Frame] = []
    collect = _Collector(buffers)
    try:
        data = plain_dumps(value, PROTOCOL, buffer_callback=collect)
    except Exception:
        # Lambdas, local classes and the like: cloudpickle takes over. If it fails too, its message is shown.
        data = None
    if data is None or _MAIN in data or (NAMES_LOCAL and NAMES_LOCAL[0](data)):
        buffers.clear()
        data = cloud_dumps(value, collect)
    elif collect.read_only:
        data, buffers = _writable_dumps(value, data, buffers)
    return [data, *buffers]


def loads(frames: Sequence[Frame]) -> Any:
    """Rebuild the value of `dumps`.

    Parameters
    ----------
    frames : sequence of buffers
        What `dumps` gave. Arrays in the value use the memory of the frames, without a copy.

    Returns
    -------
    object
        The value.
    """
    if len(frames) == 1:
        return _loads(frames[0])
    return _loads(frames[0], buffers=frames[1:])


def cloud_dumps(value: object, buffer_callback: Callable[[PickleBuffer], object] | None = None) -> bytes:
    """Serialise with cloudpickle, or what was chosen instead; errors become a `SerializationError` with the type."""
    pickler = INSTEAD.get("value")
    try:
        if pickler is not None:
            return dumps_with(pickler, value, buffer_callback)
        # Start-up: most of what is sent needs none of it.
        from .travel import dumps

        return dumps(value, PROTOCOL, buffer_callback)
    except Exception as error:
        if NAMES_LOCAL and pickler is None:
            from .travel import named_dumps

            # What cannot travel is perhaps there.
            with suppress(Exception):
                return named_dumps(value, PROTOCOL, str(error).strip(), buffer_callback)
        raise cannot_serialize(value, error) from error


def function_dumps(function: object) -> tuple[bytes, bytes]:
    """Serialise a function by name and by value, as `travel.function_dumps`; errors are those of `cloud_dumps`."""
    pickler = INSTEAD.get("function")
    try:
        if pickler is not None:
            return dumps_with(pickler, function), b""
        # Start-up: as above.
        from .travel import function_dumps

        return function_dumps(function, PROTOCOL)
    except Exception as error:
        raise cannot_serialize(function, error) from error


def dumps_with(pickler: Any, value: object, buffer_callback: Any = None) -> bytes:
    """Serialise with a pickler of some class."""
    stream = BytesIO()
    pickler(stream, PROTOCOL, buffer_callback=buffer_callback).dump(value)
    return stream.getvalue()


def cannot_serialize(value: object, error: BaseException) -> SerializationError:
    """The error for a value that cannot be serialised, with the reason that pickle gave."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    reason = str(error).strip() or type(error).__name__
    if INSTEAD:
        hint = "use_cloudpickle() goes back to what can send most kinds of objects"
        return SerializationError(f"cannot serialize a value of type {name}: {reason}", hint=hint)
    # Start-up: most values can be sent.
    from .unsendable import why_not

    place, hint = why_not(value)
    if place:
        reason += f" ({place.lstrip()})"
    return SerializationError(f"cannot serialize a value of type {name}: {reason}", hint=hint)


class _Collector:
    """The pickler's buffer callback: True keeps a buffer in the pickle, False leaves it to us."""

    __slots__ = ("buffers", "read_only")

    def __init__(self, buffers: list[Frame]) -> None:
        self.buffers = buffers
        self.read_only = False

    def __call__(self, buffer: PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.readonly:
            self.read_only = True
        if raw.nbytes < OUT_OF_BAND:
            return True
        self.buffers.append(raw)
        return False


def _writable_dumps(value: object, data: bytes, buffers: list[Frame]) -> tuple[bytes, list[Frame]]:
    """Serialise again, so that read-only arrays arrive as arrays that can be written to, like any received array.

    Pickle passes the read-only flag on with the buffer. What matters on the other side is that the memory is its own.
    """
    import sys

    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return data, buffers
    again: list[Frame] = []

    class WritablePickler(Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is numpy.ndarray and not obj.flags.writeable and not obj.dtype.hasobject:
                return obj.copy(order="K").__reduce_ex__(PROTOCOL)
            return NotImplemented

    stream = BytesIO()
    WritablePickler(stream, PROTOCOL, buffer_callback=_Collector(again)).dump(value)
    return stream.getvalue(), again


# The code of a function, as `client.functions` packs it and `engine.calls` unpacks it:
#   byte 0       flags
#   bytes 1..8   length of the first pickle, little-endian
#   then         the first pickle, by reference where a module can be imported here
#   then         perhaps a second one, by value, for an engine that cannot import the module

FRESH = 1
"""The function carries state that a call may change: every call unpickles its own copy."""
MAP = 2
"""The arguments are one tuple of sequences, and the result is the list of calls over their zip."""

_HEAD = 9


def code_of(flags: int, first: bytes, second: bytes = b"") -> bytes:
    """Join the parts of a function's code."""
    return b"".join((bytes((flags,)), len(first).to_bytes(8, "little"), first, second))


def split_code(code: Frame) -> tuple[int, memoryview, memoryview]:
    """Flags, first and second pickle (empty when there is none) of a function's code."""
    view = memoryview(code)
    middle = _HEAD + int.from_bytes(view[1:_HEAD], "little")
    return view[0], view[_HEAD:middle], view[middle:]
