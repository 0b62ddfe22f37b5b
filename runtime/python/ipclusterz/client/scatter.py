"""Splitting a sequence into parts and joining parts into a sequence. Pure: no cluster is needed for it.

What is split: lists, tuples, ranges, strings, bytes, and numpy arrays along their first axis. Anything else that can be
iterated becomes a list first.
"""

from __future__ import annotations

import sys
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["bounds", "join", "partition", "sliceable"]

_SLICEABLE = (list, tuple, range, str, bytes, bytearray)


def sliceable(sequence: Iterable[Any]) -> Any:
    """The sequence itself when slices of it are parts of its kind, else a list of its elements.

    Raises
    ------
    TypeError
        When it cannot be iterated.
    """
    if isinstance(sequence, _SLICEABLE) or (_is_array(sequence) and sequence.ndim > 0):  # type: ignore[attr-defined]
        return sequence
    try:
        return list(sequence)
    except TypeError:
        raise TypeError(f"a sequence is needed, not {type(sequence).__name__}: {sequence!r:.80}") from None


def bounds(length: int, parts: int) -> list[tuple[int, int]]:
    """Cut ``range(length)`` into contiguous blocks whose sizes differ by one at most, the larger ones first.

    Parameters
    ----------
    length : int
        Number of elements, which may be less than `parts`.
    parts : int
        Number of blocks, at least one.

    Returns
    -------
    list of (start, stop)
        `parts` of them.

    Examples
    --------
    >>> bounds(5, 3)
    [(0, 2), (2, 4), (4, 5)]
    """
    size, larger = divmod(length, parts)
    edges = [index * size + min(index, larger) for index in range(parts + 1)]
    return list(pairwise(edges))


def partition(sequence: Iterable[Any], parts: int) -> list[Any]:
    """Split a sequence into contiguous parts of its own kind, ranges into lists.

    Parameters
    ----------
    sequence : iterable
        What to split; arrays of shape (n, …) become arrays of shape (n_i, …).
    parts : int
        How many parts.

    Returns
    -------
    list
        `parts` sequences; some are empty when there are fewer elements than parts.

    Examples
    --------
    >>> partition(range(5), 2)
    [[0, 1, 2], [3, 4]]
    """
    whole = sliceable(sequence)
    pieces = [whole[start:stop] for start, stop in bounds(len(whole), parts)]
    return [list(piece) for piece in pieces] if isinstance(whole, range) else pieces


def join(parts: Sequence[Any]) -> Any:
    """Put parts together again: the inverse of `partition`.

    Parameters
    ----------
    parts : sequence
        Parts of one kind, in order. Arrays are concatenated along the first axis.

    Returns
    -------
    object
        A sequence of their kind; parts of different kinds, or that are no sequences, are joined as a list.

    Examples
    --------
    >>> join([[1, 2], [3]])
    [1, 2, 3]
    """
    if not parts:
        return []
    first = parts[0]
    if all(_is_array(part) and part.ndim > 0 for part in parts):
        # Alone, concatenate turns a foreign byte order into the host's.
        dtype = first.dtype if all(part.dtype == first.dtype for part in parts) else None
        return sys.modules["numpy"].concatenate(parts, dtype=dtype)
    if all(type(part) is type(first) for part in parts):
        if isinstance(first, str | bytes | bytearray):
            return type(first)().join(parts)
        if type(first) is tuple:
            return tuple(element for part in parts for element in part)
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, list | tuple | range | set | frozenset) or (_is_array(part) and part.ndim > 0):
            joined.extend(part)
        else:
            joined.append(part)
    return joined


def _is_array(value: object) -> bool:
    # An array can only exist where numpy is imported already.
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)
