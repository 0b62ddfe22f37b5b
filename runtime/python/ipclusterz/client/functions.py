"""Functions to code that an engine can run, packed once and never stale.

A packed function is ``(hash, code)``: 16 bytes of BLAKE2b over the code, and the code as `serialize.code_of` lays it
out. The hash lets it travel once to each engine. What can be imported on the engine goes by reference, the rest by
value with cloudpickle; a *bound* function goes as bare code, to be joined there with the engine's namespace. This is
the client's half; the engine's is `engine.calls`.
"""

from __future__ import annotations

from functools import partial
from hashlib import blake2b
from types import FunctionType
from weakref import ref

from ..shared.bound import BOUND, reduced
from ..shared.reference import Reference
from ..shared.serialize import (
    FRESH,
    INSTEAD,
    KEPT,
    MAP,
    PROTOCOL,
    cannot_serialize,
    code_of,
    dumps_with,
    function_dumps,
    plain_dumps,
)
from .capture import Capture, reference_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

    Packed = tuple[bytes, bytes]

__all__ = ["pack"]

# One record for each function and flavour: (weak reference, packed, code, defaults, captured). A record keeps what the
# function captured alive, so their number is limited, and a record is removed with its function.
_CACHE_LIMIT = 1024
_plain: dict[int, tuple[Any, Packed, CodeType | None, Any, Capture]] = {}
_maps: dict[int, tuple[Any, Packed, CodeType | None, Any, Capture]] = {}
_bounds: dict[int, tuple[Any, Packed, CodeType | None, Any, Capture]] = {}
KEPT += (_plain, _maps, _bounds)


def pack(function: Callable[..., object], *, bound: bool = False, mapped: bool = False) -> Packed:
    """Turn a callable into (hash, code).

    Parameters
    ----------
    function : callable
        What to run.
    bound : bool
        Leave the globals behind: on the engine they are its namespace.
    mapped : bool
        The engine is to call it on each element of a zip of sequences.

    Returns
    -------
    tuple of bytes
        The 16-byte hash, and the code.

    Raises
    ------
    TypeError
        When `function` cannot be called.
    SerializationError
        When it cannot be serialised, with the reason.

    Notes
    -----
    Packing the same function again gives the kept result, unless something that it uses was changed in between: a
    global, a variable of its closure, a default. Where such a thing is mutable, it is packed anew each time.
    """
    cache = _bounds if bound else _maps if mapped else _plain
    record = cache.get(id(function))
    if record is not None:
        reference, packed, code, defaults, capture = record
        if (
            reference() is function
            and (code is None or (function.__code__ is code and function.__defaults__ is defaults))
            and (capture.bare or capture.unchanged(function))
        ):
            return packed
    return _pack(function, cache, bound, mapped)


def _pack(function: Callable[..., object], cache: dict[int, Any], bound: bool, mapped: bool) -> Packed:
    if not callable(function) and not isinstance(function, Reference):
        raise TypeError(f"a function is needed, not {type(function).__name__}: {function!r:.80}")
    bound = bound or getattr(function, BOUND, False)
    capture = Capture(function, bound=bound)
    first, second = (_bound_dumps(function), b"") if bound else _dumps(function)
    flags = (FRESH if capture.fresh else 0) | (MAP if mapped else 0)
    code = code_of(flags, first, second)
    packed = (blake2b(code, digest_size=16).digest(), code)
    if capture.stable:
        _remember(cache, function, packed, capture)
    return packed


def _remember(cache: dict[int, Any], function: Callable[..., object], packed: Packed, capture: Capture) -> None:
    key = id(function)
    try:
        reference = ref(function, partial(_forget, cache, key))
    except TypeError:
        return
    if len(cache) >= _CACHE_LIMIT:
        cache.pop(next(iter(cache)), None)
    plain = isinstance(function, FunctionType)
    cache[key] = (
        reference,
        packed,
        function.__code__ if plain else None,
        function.__defaults__ if plain else None,
        capture,
    )


def _forget(cache: dict[int, Any], key: int, gone: object) -> None:
    record = cache.get(key)
    if record is not None and record[0] is gone:
        del cache[key]


def _dumps(function: Callable[..., object]) -> tuple[bytes, bytes]:
    # An importable function is two strings; everything else needs cloudpickle at once, because plain pickle would
    # take a function of `__main__` by reference.
    if reference_of(function) is not None:
        return plain_dumps(function, PROTOCOL), b""
    return function_dumps(function)


def _bound_dumps(function: Callable[..., object]) -> bytes:
    from ..shared.travel import Traveller

    base: Any = INSTEAD.get("function", Traveller)

    class BoundPickler(base):  # type: ignore[misc]
        """Leaves the globals of every function behind that the engine does not import from an installed module."""

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is not FunctionType or reference_of(obj) is not None or _is_ours(obj):
                return super().reducer_override(obj)
            return reduced(obj)

    try:
        return dumps_with(BoundPickler, function)
    except Exception as error:
        raise cannot_serialize(function, error) from error


def _is_ours(function: FunctionType) -> bool:
    # What `exec` has made may be of none.
    return (function.__module__ or "").partition(".")[0] in ("ipclusterz", "cloudpickle")
