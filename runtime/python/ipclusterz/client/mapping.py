"""Maps: sequences cut into chunks, one task for each, and the results put together again.

`columns_of` and `chunk_bounds` are pure. `MapResult` is an `AsyncResult` whose answers are lists of results.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice

from ..shared.scatter import sliceable
from ..shared.serialize import dumps
from .asyncresult import AsyncResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from .._core import Pending
    from ..shared.serialize import Frame
    from .future import Owner

__all__ = ["MapResult", "at_least_one", "chunk_bounds", "chunk_frames", "columns_of", "lazy_map"]

# Chunks for each engine, when the caller does not say: enough for a fast engine to take work from a slow one, few
# enough for the cost of a task not to matter.
CHUNKS_PER_ENGINE = 4


def columns_of(sequences: tuple[Iterable[Any], ...]) -> tuple[list[Any], int]:
    """The sequences of a map as things that can be sliced, and how many calls it makes: the shortest decides.

    Raises
    ------
    TypeError
        When there is no sequence, or one of them cannot be iterated.
    """
    if not sequences:
        raise TypeError("map() needs at least one sequence")
    if len(sequences) > 1 and not all(hasattr(sequence, "__len__") for sequence in sequences):
        # One may be endless: take no more than the shortest has.
        rows = list(_rows(sequences))
        return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in sequences], len(rows)
    columns = [sliceable(sequence) for sequence in sequences]
    return columns, min(len(column) for column in columns)


def _rows(sequences: tuple[Iterable[Any], ...]) -> Iterator[tuple[Any, ...]]:
    iterators = []
    for sequence in sequences:
        try:
            iterators.append(iter(sequence))
        except TypeError:
            raise TypeError(f"a sequence is needed, not {type(sequence).__name__}: {sequence!r:.80}") from None
    return zip(*iterators, strict=False)


def chunk_bounds(length: int, chunksize: int | None, engines: int) -> list[tuple[int, int]]:
    """Cut ``range(length)`` into chunks of `chunksize`, or into about four for each engine.

    Raises
    ------
    TypeError, ValueError
        When `chunksize` is no whole number, or less than one.

    Examples
    --------
    >>> chunk_bounds(5, 2, engines=1)
    [(0, 2), (2, 4), (4, 5)]
    """
    if chunksize is None:
        chunksize = max(1, -(-length // (CHUNKS_PER_ENGINE * max(1, engines))))
    else:
        chunksize = at_least_one("chunksize", chunksize)
    return [(start, min(start + chunksize, length)) for start in range(0, length, chunksize)]


def at_least_one(name: str, value: Any) -> int:
    """The value of a parameter that counts something.

    Raises
    ------
    TypeError, ValueError
        When it is no whole number, or less than one; names the parameter.
    """
    index = getattr(type(value), "__index__", None)
    if index is None or isinstance(value, bool):
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}: {value!r:.80}")
    number: int = index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number


def chunk_frames(columns: list[Any], start: int, stop: int) -> list[Frame]:
    """The arguments of one chunk, as the engine expects them: a tuple of sequences."""
    return dumps(tuple(column[start:stop] for column in columns))


def lazy_map(
    submit: Callable[[list[Any], int], MapResult],
    sequences: tuple[Iterable[Any], ...],
    max_outstanding: int,
    ordered: bool,
    chunksize: int,
) -> Iterator[Any]:
    """The results of a map whose sequences are only consumed as tasks end; see `LoadBalancedView.imap`.

    Parameters
    ----------
    submit : callable
        Sends one chunk: takes the columns and their length.

    Raises
    ------
    TypeError, ValueError
        At once, not at the first result.
    """
    if not sequences:
        raise TypeError("imap() needs at least one sequence")
    max_outstanding = at_least_one("max_outstanding", max_outstanding)
    chunksize = at_least_one("chunksize", chunksize)
    return _lazily(submit, _rows(sequences), max_outstanding, ordered, chunksize)


def _lazily(
    submit: Callable[[list[Any], int], MapResult],
    rows: Iterator[tuple[Any, ...]],
    max_outstanding: int,
    ordered: bool,
    chunksize: int,
) -> Iterator[Any]:
    under_way: deque[MapResult] = deque()
    more = True
    failure: Exception | None = None
    try:
        while True:
            while more and len(under_way) < max_outstanding:
                chunk: list[tuple[Any, ...]] = []
                try:
                    chunk.extend(islice(rows, chunksize))
                except Exception as error:
                    # In its turn: the results of what came before it are given first.
                    failure = error
                # To ask again behind the end would take another element of each sequence before the shortest one.
                more = failure is None and len(chunk) == chunksize
                if chunk:
                    under_way.append(submit([list(column) for column in zip(*chunk, strict=True)], len(chunk)))
            if not under_way:
                if failure is not None:
                    raise failure
                return
            first = under_way[0]
            if not ordered:
                done = wait(under_way, return_when=FIRST_COMPLETED).done
                first = next(result for result in under_way if result in done)
            yield from first
            under_way.remove(first)
    finally:
        # Who stops early does not want the rest.
        for result in under_way:
            result.abort()


class MapResult(AsyncResult):
    """The results of a map: a list once it is ready, and iterable as the chunks arrive.

    ``len`` and `progress` count elements, not chunks. Made by `map`.

    Examples
    --------
    >>> ar = lbv.map_async(abs, [-1, -2])
    >>> for value in ar:
    ...     print(value)
    1
    2
    """

    def __init__(self, client: Owner, pending: Pending, sizes: list[int], ordered: bool) -> None:
        super().__init__(client, pending, "map", False)
        self._sizes = sizes
        self._ordered = ordered

    def __len__(self) -> int:
        return sum(self._sizes)

    @property
    def progress(self) -> int:
        """How many elements of the map are done."""
        pending = self._pending
        if pending.done() == len(self._sizes):
            return sum(self._sizes)
        return sum(size for index, size in enumerate(self._sizes) if pending.is_done(index))

    def __iter__(self) -> Iterator[Any]:
        """The results: in order, or chunk by chunk as they arrive for an unordered map.

        An error is raised when its chunk's turn comes.
        """
        for index in self._order():
            yield from self._checked(index)

    def __getitem__(self, index: int | slice) -> Any:
        """Wait for one of the results, by its position in the sequences, or for those of a slice."""
        position = range(len(self))[index]
        if isinstance(position, range):
            return [self[place] for place in position]
        for chunk, size in enumerate(self._sizes):
            if position < size:
                return self._checked(chunk)[position]
            position -= size
        raise IndexError(index)

    def get_dict(self, timeout: float | None = None) -> dict[int, Any]:
        """Not for a map, whose results belong to elements and not to engines.

        Parameters
        ----------
        timeout : float, optional
            Not used.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("the results of a map belong to elements, not to engines: use get()")

    def _joined(self) -> list[Any]:
        return [value for index in self._order() for value in self._values[index]]

    def _order(self) -> Iterable[int]:
        return range(len(self._sizes)) if self._ordered else self._as_they_arrive()

    def _as_they_arrive(self) -> Iterator[int]:
        # All loops over one result see the same order, also at the same time in several threads.
        for nth in range(len(self._sizes)):
            index = self._pending.nth_done(nth, None)
            if index is None:
                return
            yield index
