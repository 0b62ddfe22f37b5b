"""Splitting a sequence into parts and joining parts into a sequence. Pure: no cluster is needed for it.

What is split: lists, tuples, ranges, strings, bytes, numpy arrays along their first axis, and pandas frames by rows.
Anything else that can be iterated becomes a list first. numpy and pandas are never imported here: a value of theirs can
only exist where they are imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import accumulate

from ..compat import zip_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Literal

    Dist = Literal["b", "r"]

__all__ = ["bounds", "check_dist", "is_text", "join", "partition", "sliceable"]

_TEXTS = (str, bytes, bytearray)
_SLICEABLE = (list, tuple, range, *_TEXTS)


def sliceable(sequence: Iterable[Any]) -> Any:
    """The sequence itself when slices of it are parts of its kind, else a list of its elements.

    The elements are those that a loop sees: of a frame, the names of its columns.

    Raises
    ------
    TypeError
        When it cannot be iterated.
    """
    if isinstance(sequence, _SLICEABLE) or (_is_array(sequence) and sequence.ndim > 0):  # type: ignore[attr-defined]
        return sequence
    try:
        elements = iter(sequence)
    except TypeError:
        message = f"a sequence is needed, not {type(sequence).__name__}: {sequence!r:.80}"
        if _is_array(sequence):
            message += "\nhint: this array has no dimensions; numpy.atleast_1d() makes it one of one element"
        raise TypeError(message) from None
    return list(elements)


def is_text(sequence: object) -> bool:
    """Whether parts of it are joined to a text: of anything else that is split, one text is one value."""
    return isinstance(sequence, _TEXTS)


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
    return list(zip(edges, edges[1:]))


def check_dist(dist: object) -> None:
    """Refuse what is no way of distributing elements.

    Raises
    ------
    ValueError
        When it is neither "b" nor "r".
    """
    if not (isinstance(dist, str) and dist in ("b", "r")):
        raise ValueError(f"dist is 'b' (contiguous blocks) or 'r' (round-robin), not {dist!r:.80}")


def partition(sequence: Iterable[Any], parts: int, dist: Dist = "b", flatten: bool = False) -> list[Any]:
    """Split a sequence into parts of its own kind, ranges into lists.

    Parameters
    ----------
    sequence : iterable
        What to split. Arrays of shape (n, …) become arrays of shape (n_i, …), contiguous in the order of the
        whole; frames become frames of some of their rows.
    parts : int
        How many parts, at least one.
    dist : {"b", "r"}
        Contiguous blocks, or round-robin: element i goes to part ``i % parts``.
    flatten : bool
        Give the element itself in place of a part that has exactly one. One character is text anyway, and one byte
        stays bytes.

    Returns
    -------
    list
        `parts` sequences; the last ones are empty when there are fewer elements than parts.

    Raises
    ------
    TypeError
        When it cannot be iterated, or is a dictionary.
    ValueError
        When there is no such `dist`.

    Examples
    --------
    >>> partition(range(5), 2)
    [[0, 1, 2], [3, 4]]
    >>> partition(range(5), 2, dist="r")
    [[0, 2, 4], [1, 3]]
    >>> partition("abc", 2, flatten=True)
    ['ab', 'c']
    """
    check_dist(dist)
    if isinstance(sequence, Mapping):
        raise TypeError(
            f"a sequence is needed, and {type(sequence).__name__} is a mapping: {sequence!r:.80}\n"
            "hint: scatter its items(), dict() of a part is a dictionary again; push() sends all of it to each engine"
        )
    framed = _is_frame(sequence)
    shape: Any = getattr(sequence, "shape", None)
    if shape and not framed and not _is_array(sequence):
        raise TypeError(
            f"{type(sequence).__name__} has a shape, and is no numpy array and no pandas frame: it could not be joined"
            "\nhint: scatter numpy.asarray() of it, or a list of its parts"
        )
    whole: Any = sequence if framed else sliceable(sequence)
    rows = whole.iloc if framed else whole
    sizes = [stop - start for start, stop in bounds(len(whole), parts)]
    pieces = [rows[place] for place in _places(sizes, dist)]
    if isinstance(whole, range):
        pieces = [list(piece) for piece in pieces]
    elif _is_array(whole):
        # Pickle copies an array that is not contiguous into C order, slowly.
        order = "F" if whole.flags.f_contiguous and not whole.flags.c_contiguous else "C"
        pieces = [sys.modules["numpy"].asanyarray(piece, order=order) for piece in pieces]
    if flatten and not is_text(whole):
        pieces = [(piece.iloc if framed else piece)[0] if len(piece) == 1 else piece for piece in pieces]
    return pieces


def join(parts: Sequence[Any], dist: Dist = "b", texts: bool = True) -> Any:
    """Put parts together again: the inverse of `partition`.

    Parameters
    ----------
    parts : sequence
        Parts of one kind, in order. Arrays are joined along the first axis, frames by rows.
    dist : {"b", "r"}
        How they were split.
    texts : bool
        Whether parts that are text or bytes are such of a longer one. Else they are values.

    Returns
    -------
    object
        A sequence of their kind, arrays in the memory order of their parts (C where these lie the same in both, as
        parts of one row do); parts of different kinds, or that are no sequences, are joined as a list.

    Raises
    ------
    ValueError
        When there is no such `dist`, when no round-robin split has parts of these lengths, and when the shapes of
        arrays differ behind the first axis.

    Examples
    --------
    >>> join([[1, 2], [3]])
    [1, 2, 3]
    >>> join(["ac", "b"], dist="r")
    'abc'
    >>> join(["node1", "node1"], texts=False)
    ['node1', 'node1']
    """
    check_dist(dist)
    if not parts:
        return []
    if all(_is_array(part) and part.ndim > 0 for part in parts):
        return _fill(_array_like(parts), parts, dist)
    if any(all(_is_a(part, "pandas", kind) for part in parts) for kind in ("DataFrame", "Series")):
        return _join_frames(parts, dist)
    if texts and _all_are(bytes, parts):
        return bytes(_fill(bytearray, parts, dist))
    if texts and _all_are(bytearray, parts):
        return _fill(bytearray, parts, dist)
    if texts and _all_are(str, parts):
        return "".join(parts if dist == "b" else _fill(_list_of, parts, dist))
    if _all_are(tuple, parts):
        return tuple(_fill(_list_of, parts, dist))
    several = (list, tuple, range, set, frozenset)
    lists = [part if isinstance(part, several) or (_is_array(part) and part.ndim > 0) else [part] for part in parts]
    return _fill(_list_of, lists, dist)


def _places(lengths: list[int], dist: Dist) -> list[slice]:
    """Where in the whole the elements of each part are."""
    if dist == "b":
        return [slice(stop - length, stop) for length, stop in zip_equal(lengths, accumulate(lengths))]
    count = len(lengths)
    if lengths != [stop - start for start, stop in bounds(sum(lengths), count)]:
        raise ValueError(
            f"no round-robin split has parts of the lengths {', '.join(map(str, lengths))}\n"
            "hint: dist='b' joins parts of any lengths, one behind the other"
        )
    return [slice(index, None, count) for index in range(count)]


def _fill(blank: Callable[[int], Any], parts: Sequence[Any], dist: Dist) -> Any:
    """Make a whole of the right length with `blank`, and set the elements of each part in it."""
    lengths = [len(part) for part in parts]
    places = _places(lengths, dist)
    whole = blank(sum(lengths))
    for place, part in zip_equal(places, parts):
        whole[place] = part
    return whole


def _list_of(length: int) -> list[Any]:
    return [None] * length


def _array_like(parts: Sequence[Any]) -> Callable[[int], Any]:
    numpy = sys.modules["numpy"]
    first = parts[0]
    if any(part.shape[1:] != first.shape[1:] for part in parts):
        raise ValueError(
            f"arrays of the shapes {', '.join(str(part.shape) for part in parts)} cannot be joined along the first axis"
            "\nhint: all other axes must have the same lengths"
        )
    # result_type of one array turns a foreign byte order into the host's.
    dtypes = [part.dtype for part in parts]
    dtype = first.dtype if all(dtype == first.dtype for dtype in dtypes) else numpy.result_type(*dtypes)
    by_rows = all(part.flags.c_contiguous for part in parts)
    order = "F" if not by_rows and all(part.flags.f_contiguous for part in parts) else "C"
    same = all(type(part) is type(first) for part in parts)

    def blank(length: int) -> Any:
        return numpy.empty_like(first, dtype=dtype, order=order, subok=same, shape=(length, *first.shape[1:]))

    return blank


def _join_frames(parts: Sequence[Any], dist: Dist) -> Any:
    pandas = sys.modules["pandas"]
    joined = pandas.concat(parts)
    if dist == "b":
        return joined
    positions = range(len(joined))
    blocks = [positions[place] for place in _places([len(part) for part in parts], "b")]
    joined = joined.iloc[_fill(_list_of, blocks, "r")]
    # Taking rows by number turns a range index into a plain one.
    first = parts[0].index
    if isinstance(first, pandas.RangeIndex) and first.step % len(parts) == 0:
        step = first.step // len(parts)
        index = pandas.RangeIndex(first.start, first.start + step * len(joined), step, name=joined.index.name)
        if index.equals(joined.index):
            joined.index = index
    return joined


def _all_are(kind: type, parts: Sequence[Any]) -> bool:
    return all(isinstance(part, kind) for part in parts)


def _is_array(value: object) -> bool:
    return _is_a(value, "numpy", "ndarray")


def _is_frame(value: object) -> bool:
    return _is_a(value, "pandas", "DataFrame", "Series")


def _is_a(value: object, module: str, *names: str) -> bool:
    loaded = sys.modules.get(module)
    # Another thread may be importing the module: then it lacks names.
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name, ()) for name in names))
