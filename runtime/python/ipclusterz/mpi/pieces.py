"""Values as blocks of bytes whose sizes all ranks know, so that any value travels by calls on buffers.

An array is its own block, without a copy, when its elements lie in C order; any other value is its frames (see
`serialize`), put behind each other. What a block means is its kind, a few bytes that ranks tell each other beforehand:
with these nobody has to guess, and what cannot travel is known on all ranks before anything is sent.
"""

from __future__ import annotations

import math
import sys
from itertools import accumulate
from typing import Any, NamedTuple, Union

from ..compat import zip_equal
from ..shared.serialize import dumps, loads
from .objects import empty

__all__ = ["Array", "Frames", "Kind", "cut", "frames_of", "laid_out", "packed", "padded", "rebuilt"]

_ALIGNMENT = 64


class Array(NamedTuple):
    """The kind of an array in C order."""

    dtype: Any
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        size: int = self.dtype.itemsize
        return math.prod(self.shape) * size


class Frames(NamedTuple):
    """The kind of any other value: the sizes of its frames, which begin at multiples of 64 bytes."""

    sizes: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return sum(map(padded, self.sizes))


Kind = Union[Array, Frames]


def padded(size: int) -> int:
    """The next multiple of what frames are aligned to."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def cut(value: Any, any_order: bool = False) -> tuple[Kind, Any]:
    """The kind of a value, and its block; that of an array in C order shares its memory.

    Parameters
    ----------
    value : object
        What is to travel.
    any_order : bool
        An array's order in memory need not be kept, so that one in another order is copied into C order.

    Raises
    ------
    SerializationError
        When it cannot be serialised.
    """
    numpy: Any = sys.modules.get("numpy")
    # Subclasses have more to them than their elements.
    if numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject and value.dtype.itemsize:
        flags = value.flags
        if flags.c_contiguous or any_order or not flags.f_contiguous:
            block = numpy.asarray(value, order="C").reshape(-1).view(numpy.uint8)
            return Array(value.dtype, value.shape), block
    return packed(dumps(value))


def packed(frames: Any) -> tuple[Frames, Any]:
    """The kind and the block of frames."""
    views = [memoryview(frame).cast("B") for frame in frames]
    kind = Frames(tuple(view.nbytes for view in views))
    block = empty(kind.nbytes)
    target = memoryview(block)
    for view, place in zip_equal(views, _places(kind)):
        target[place : place + view.nbytes] = view
    return kind, block


def frames_of(kind: Frames, block: Any) -> list[memoryview]:
    """The frames in a block, without a copy."""
    view = memoryview(block)
    return [view[place : place + size] for place, size in zip_equal(_places(kind), kind.sizes)]


def rebuilt(kind: Kind, block: Any) -> Any:
    """The value of a block. Arrays use its memory."""
    if isinstance(kind, Frames):
        return loads(frames_of(kind, block))
    import numpy

    return numpy.ndarray(kind.shape, kind.dtype, buffer=block)


def laid_out(kinds: list[Any], close: bool = False) -> tuple[list[int], list[int], int]:
    """Sizes and places of blocks that are sent as one, and the size of the whole.

    Parameters
    ----------
    kinds : list of Kind
        In their order.
    close : bool
        Without gaps, as the parts of one array are.
    """
    counts = [kind.nbytes for kind in kinds]
    ends = list(accumulate(counts if close else map(padded, counts), initial=0))
    return counts, ends[:-1], ends[-1]


def _places(kind: Frames) -> list[int]:
    return list(accumulate(map(padded, kind.sizes), initial=0))[:-1]
