"""The sequences of a map as they are when it is called, kept until all of them are sent.

What is changed behind the call is not to change what is sent. So what could be changed is pickled at once, in small
pieces, of which chunks are put together later.
"""

from __future__ import annotations

import sys
from _pickle import loads
from functools import partial
from itertools import chain

from ..shared.serialize import OUT_OF_BAND, PROTOCOL, plain_dumps
from .mapping import chunk_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..shared.serialize import Frame

__all__ = ["Pieces", "Slices", "join_frames", "snapshot"]

# Pieces of a sequence whose elements could be changed, and for each engine, where there are many.
_PIECES = 1024
_PIECES_FOR_EACH = 32

# Bytes of a piece that cost more to carry than a task does: kept back, they would only fill the memory.
_HEAVY = 64 * 1024

_FIXED = (range, str, bytes)
# Elements that nobody can change.
_PLAIN = frozenset({int, float, bool, complex, str, bytes, type(None)})


class Slices:
    """Sequences that nobody can change, and whose slices are cheap.

    Parameters
    ----------
    columns : list
        They.
    first : int
        Elements of the first chunks.
    heavy : bool
        Send all of it at once, in chunks like these.

    Attributes
    ----------
    grain : int
        Chunks begin at multiples of this.
    """

    grain = 1

    def __init__(self, columns: list[Any], first: int, heavy: bool) -> None:
        self._columns = columns
        self.first = first
        self.heavy = heavy

    def frames(self, start: int, stop: int) -> list[Frame]:
        """The arguments of a chunk."""
        return chunk_frames(self._columns, start, stop)


class Pieces:
    """Any sequences, pickled in pieces of equal length.

    Parameters
    ----------
    columns : list
        They.
    length : int
        Elements of each.
    grain : int
        Elements of a piece.
    """

    def __init__(self, columns: list[Any], length: int, grain: int) -> None:
        self.grain = self.first = grain
        bounds = [(start, min(start + grain, length)) for start in range(0, length, grain)]
        pieces = [chunk_frames(columns, start, stop) for start, stop in bounds]
        self.heavy = sum(len(frame) for piece in pieces for frame in piece) > _HEAVY * len(pieces)
        # Buffers share memory with the elements.
        self._pieces = pieces if self.heavy else [[piece[0], *map(bytearray, piece[1:])] for piece in pieces]

    def frames(self, start: int, stop: int) -> list[Frame]:
        """The arguments of a chunk."""
        return join_frames(self._pieces[start // self.grain : -(-stop // self.grain)])


def snapshot(columns: list[Any], length: int, engines: int) -> Slices | Pieces:
    """Keep the sequences of a map; of lists these are copies.

    Raises
    ------
    SerializationError
        When an element cannot travel; names it.
    """
    pieces = max(_PIECES, _PIECES_FOR_EACH * engines)
    grain = max(1, -(-length // pieces))
    if not all(map(_is_fixed, columns)):
        return Pieces(columns, length, grain)
    if sum(getattr(column, "nbytes", 0) for column in columns) > _HEAVY * pieces:
        return Slices(columns, grain, heavy=True)
    # Arrays are views of those that could be changed.
    return Slices([column.copy() if hasattr(column, "nbytes") else column for column in columns], 1, heavy=False)


def join_frames(pieces: Sequence[Sequence[Frame]]) -> list[Frame]:
    """One chunk of what `dumps` gave for several.

    The pieces are sent as they are; how they are put together is written in the pickle, by names of Python alone.

    Parameters
    ----------
    pieces : sequence of list of buffers
        Each is of a tuple of sequences.

    Returns
    -------
    list of buffers
        Of a tuple of as many lists.

    Examples
    --------
    >>> columns = [[1, 2, 3], "abc"]
    >>> loads(join_frames([chunk_frames(columns, 0, 2), chunk_frames(columns, 2, 3)])[0])
    ([1, 2, 3], ['a', 'b', 'c'])
    """
    if len(pieces) == 1:
        return list(pieces[0])
    # zip(*pieces) has a tuple for each sequence, of its parts.
    columns = _Made(zip, *map(_piece, pieces))
    whole = _Made(tuple, _Made(map, list, _Made(map, chain.from_iterable, columns)))
    buffers: list[Frame] = []

    def collect(buffer: Any) -> None:
        buffers.append(buffer.raw())

    return [plain_dumps(whole, PROTOCOL, buffer_callback=collect), *buffers]


def _piece(frames: Sequence[Frame]) -> _Made:
    # Only there once something is sent.
    from pickle import PickleBuffer

    data, *buffers = [frame if len(frame) < OUT_OF_BAND else PickleBuffer(frame) for frame in frames]
    return _Made(partial(loads, buffers=buffers) if buffers else loads, data)


class _Made:
    """Is what a call gives, when it has been unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._how = function, arguments

    def __reduce__(self) -> Any:
        return self._how


def _is_fixed(column: Any) -> bool:
    """Whether it stays as it is now, or can be copied so that it does."""
    if type(column) in _FIXED:
        return True
    if type(column) in (list, tuple):
        return _PLAIN.issuperset(map(type, column))
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and type(column) is numpy.ndarray and not column.dtype.hasobject
