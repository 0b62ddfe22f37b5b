"""Maps: sequences cut into chunks, one task for each, and the results put together again.

`columns_of` and `chunk_bounds` are pure. `MapResult` is an `AsyncResult` whose answers are lists of results.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, count

from ..compat import zip_equal
from ..error import HistoryError
from ..shared.scatter import sliceable
from ..shared.serialize import dumps
from .answers import Elements, Failure
from .asyncresult import AsyncResult
from .lazy import LazyResults, at_least_one, rows_of
from .pace import CHUNKS_PER_ENGINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Any

    from .._core import Pending
    from ..error import IpclusterzError
    from ..shared.serialize import Frame
    from .future import Owner

    # One chunk of the sequences.
    Part = tuple[Any, ...]
    # Takes columns, their length, and the result that has failed.
    Submit = Callable[[list[Any], int, "MapResult"], tuple[Pending, list[int], list[Part]]]

__all__ = [
    "Again",
    "MapResult",
    "Retried",
    "chunk_bounds",
    "chunk_frames",
    "chunk_of",
    "columns_of",
]


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
        rows = list(rows_of(sequences))
        return [list(column) for column in zip_equal(*rows)] or [[] for _ in sequences], len(rows)
    columns = [sliceable(sequence) for sequence in sequences]
    return columns, min(len(column) for column in columns)


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


def chunk_of(columns: list[Any], start: int, stop: int) -> Part:
    """One chunk of the sequences: a slice of each."""
    return tuple(column[start:stop] for column in columns)


def chunk_frames(columns: list[Any], start: int, stop: int) -> list[Frame]:
    """The arguments of one chunk, as the engine expects them: a tuple of sequences."""
    return dumps(chunk_of(columns, start, stop))


class MapResult(AsyncResult):
    """The results of a map: a list once it is ready, and iterable as the chunks arrive.

    ``len``, `progress` and indexes are about elements, not chunks. An element that fails takes no other along:
    the others of its chunk run, and have their results. Made by `map`.

    Examples
    --------
    >>> ar = lbv.map_async(abs, [-1, -2])
    >>> for value in ar:
    ...     print(value)
    1
    2
    """

    _unit = "element"

    def __init__(
        self,
        client: Owner,
        pending: Pending,
        sizes: list[int],
        ordered: bool,
        *,
        indexes: Sequence[int] | None = None,
        again: Again | None = None,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> None:
        super().__init__(client, pending, "map", False, quiet=quiet)
        self._sizes = sizes
        self._starts = [0, *accumulate(sizes)]
        self._ordered = ordered
        # Of each element that was sent, its index in the whole map.
        self._indexes: Sequence[int] = range(self._starts[-1]) if indexes is None else indexes
        # What `retry` needs; let go of when nothing failed.
        self._again = again
        self._returns_exceptions = return_exceptions

    def __len__(self) -> int:
        return len(self._indexes)

    @property
    def progress(self) -> int:
        """How many elements of the map are done."""
        pending = self._pending
        if pending.done() == len(pending):
            return len(self)
        return sum(size for index, size in enumerate(self._sizes) if pending.is_done(index))

    def __iter__(self) -> Iterator[Any]:
        """The results: in order, or chunk by chunk as they arrive for an unordered map.

        An error is raised when its element's turn comes; the iterator goes on behind it.
        """
        return LazyResults(self._arriving(), self._returns_exceptions)

    def __getitem__(self, index: int | slice | str) -> Any:
        """Wait for one of the results, by its position in the sequences, or for those of a slice; or metadata."""
        if isinstance(index, str):
            return self._field(index)
        position = range(len(self))[index]
        if isinstance(position, range):
            return [self[place] for place in position]
        value = self._at(position)
        if type(value) is not Failure:
            return value
        e = value.error.with_traceback(None)
        if self._returns_exceptions:
            return e
        raise e

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

    def retry(self) -> MapResult:
        """Run the elements that failed again, once all are done.

        They are called with what they were called with before. Arrays are not copied for that: one that was changed
        meanwhile is sent as it is now.

        Returns
        -------
        MapResult
            Of the same shape: it has the results that were there, and those of the elements that ran again. It can be
            retried, too.

        Raises
        ------
        UnknownEngine
            When none of the engines is there any more.
        HistoryError
            When another client of the session has submitted them.

        Examples
        --------
        >>> import os
        >>> def work(number):
        ...     if number == 2 and not os.path.exists("/tmp/the-disk-is-there"):
        ...         raise OSError("no disk")
        ...     return number**2
        >>> ar = rc[:].map_async(work, range(4))
        >>> ar.failures()[0].index
        2
        >>> open("/tmp/the-disk-is-there", "w").close()
        >>> ar.retry().get()
        [0, 1, 4, 9]
        >>> os.remove("/tmp/the-disk-is-there")
        """
        outcomes = self._outcomes(None)
        failed = [index for index, _, value in outcomes if type(value) is Failure]
        again, rows = self._again, self._rows_of(failed)
        if not failed:
            return self
        if again is None:
            raise HistoryError(
                "what these elements were called with is not here: another client has submitted them",
                hint="call map again with the elements that failed: ar.failures() has their indexes",
            )
        columns = [list(column) for column in zip_equal(*rows)]
        pending, sizes, parts = again.submit(columns, len(rows), self)
        return Retried(self, pending, sizes, failed, outcomes, Again(again.submit, parts))

    # -- inside -------------------------------------------------------------------------------------------------

    def _chunk(self, chunk: int) -> list[Any]:
        """The results of a chunk, with a `Failure` in the place of each that failed; waits for it."""
        value = self._value(chunk)
        if type(value) is Elements:
            return value.numbered(self._indexes[self._starts[chunk] : self._starts[chunk + 1]])
        if type(value) is Failure:
            value.error.indexes = self._indexes[self._starts[chunk] : self._starts[chunk + 1]]
            return [value] * self._sizes[chunk]
        values: list[Any] = value
        return values

    def _at(self, position: int) -> Any:
        chunk = bisect_right(self._starts, position) - 1
        return self._chunk(chunk)[position - self._starts[chunk]]

    def _arriving(self) -> Generator[Any, None, None]:
        for chunk in self._order():
            yield from self._chunk(chunk)

    def _take(self) -> None:
        super()._take()
        if not any(type(value) is Failure or type(value) is Elements for value in self._values):
            self._again = None

    def _listed(self) -> list[tuple[int, int, Any]]:
        found: list[tuple[int, int, Any]] = []
        for chunk, engine in enumerate(self.engine_ids):
            for value in self._chunk(chunk):
                found.append((self._indexes[len(found)], engine, value))
        return found

    def _failed(self) -> list[IpclusterzError]:
        # A chunk that was lost as a whole has one error.
        failed: list[IpclusterzError] = []
        for chunk, value in enumerate(self._values):
            if type(value) is Failure:
                self._chunk(chunk)
                failed.append(value.error)
            elif type(value) is Elements:
                self._chunk(chunk)
                failed += value.failed.values()
        return failed

    def _count_failed(self) -> int:
        self._look()
        return sum(type(value) is Failure for _, _, value in self._listed())

    def _with_errors(self) -> list[Any]:
        return [value.error if type(value) is Failure else value for value in self._arriving()]

    def _rows_of(self, failed: list[int]) -> list[tuple[Any, ...]]:
        """The arguments of elements, by their indexes."""
        parts = [] if self._again is None else self._again.parts
        wanted = set(failed)
        found: list[tuple[Any, ...]] = []
        for chunk, part in enumerate(parts):
            indexes = self._indexes[self._starts[chunk] : self._starts[chunk + 1]]
            if not wanted.isdisjoint(indexes):
                rows = zip_equal(indexes, zip(*part))
                found += [row for index, row in rows if index in wanted]
        return found

    def _joined(self) -> list[Any]:
        return [value for index in self._order() for value in self._values[index]]

    def _order(self) -> Iterable[int]:
        return range(len(self._sizes)) if self._ordered else self._as_they_arrive()

    def _as_they_arrive(self) -> Iterator[int]:
        # All loops over one result see the same order, also at the same time in several threads.
        for nth in count():
            try:
                index = self._pending.nth_done(nth, None, self._shows)
            except KeyboardInterrupt as error:
                self._leave(error)
                raise
            if index is None:
                return
            yield index


class Again:
    """How the elements of a map are sent again.

    Attributes
    ----------
    submit : callable
        Takes columns, their length and the result that has failed; gives what is pending, the sizes of its chunks, and
        these.
    parts : list of tuple
        The chunks that were sent, as they were cut out of the sequences.
    """

    __slots__ = ("parts", "submit")

    def __init__(self, submit: Submit, parts: list[Part]) -> None:
        self.submit = submit
        self.parts = parts


class Retried(MapResult):
    """What `retry` gives: the elements that ran again among those that did not fail before."""

    def __init__(
        self,
        before: MapResult,
        pending: Pending,
        sizes: list[int],
        failed: list[int],
        outcomes: list[tuple[int, int, Any]],
        again: Again | None,
    ) -> None:
        super().__init__(
            before._client,
            pending,
            sizes,
            before._ordered,
            indexes=failed,
            again=again,
            return_exceptions=before._returns_exceptions,
            quiet=before.quiet,
        )
        self._places = {index: place for place, index in enumerate(failed)}
        self._before = outcomes

    def __len__(self) -> int:
        return len(self._before)

    @property
    def progress(self) -> int:
        """How many elements of the map are done, those before included."""
        sent = len(self._indexes)
        pending = self._pending
        missing = sum(size for index, size in enumerate(self._sizes) if not pending.is_done(index))
        return len(self._before) - min(sent, missing)

    def _at(self, position: int) -> Any:
        index, _, value = self._before[position]
        place = self._places.get(index)
        return value if place is None else super()._at(place)

    def _arriving(self) -> Generator[Any, None, None]:
        if self._ordered:
            for position in range(len(self._before)):
                yield self._at(position)
            return
        for index, _, value in self._before:
            if index not in self._places:
                yield value
        yield from super()._arriving()

    def _listed(self) -> list[tuple[int, int, Any]]:
        again = {outcome[0]: outcome for outcome in super()._listed()}
        return [again.get(before[0], before) for before in self._before]

    def _joined(self) -> list[Any]:
        return list(self._arriving())
