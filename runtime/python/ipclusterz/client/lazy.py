"""Lazy maps: elements are taken as results are asked for, with so many tasks under way at most."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice
from time import monotonic
from typing import Any

from ..compat import zip_equal
from .answers import Failure
from .asyncresult import give_up
from .pace import GROWTH, SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Protocol

    class MapResult(Protocol):
        """A `mapping.MapResult` of one chunk."""

        @property
        def serial_time(self) -> float: ...
        def __len__(self) -> int: ...
        def _arriving(self) -> Generator[Any, None, None]: ...


__all__ = ["LazyResults", "at_least_one", "lazy_map", "rows_of"]

# Most elements of a measured chunk, whatever they take: with the number of tasks under way it bounds the memory.
_LONGEST = 4096
# Elements that are taken between two looks at the clock.
_AT_ONCE = 64


def lazy_map(
    submit: Callable[[list[Any], int, int], Any],
    sequences: tuple[Iterable[Any], ...],
    max_outstanding: int,
    ordered: bool,
    chunksize: int | str | None,
    return_exceptions: bool,
) -> LazyResults:
    """The results of a map whose sequences are only consumed as tasks end; see `LoadBalancedView.imap`.

    Parameters
    ----------
    submit : callable
        Sends one chunk: takes the columns, the index of their first element, and their length.

    Raises
    ------
    TypeError, ValueError
        At once, not at the first result.
    """
    if not sequences:
        raise TypeError("imap() needs at least one sequence")
    max_outstanding = at_least_one("max_outstanding", max_outstanding)
    measures = chunksize is None or chunksize == "auto"
    chunks = MeasuredChunks(rows_of(sequences)) if measures else Chunks(rows_of(sequences), chunksize)
    return LazyResults(_lazily(submit, chunks, max_outstanding, ordered), return_exceptions)


class LazyResults:
    """An iterator over the results of a map, which goes on behind an element that failed. Made by `imap`.

    Examples
    --------
    >>> results = rc.imap(lambda x: 1 / x, [2, 0, 4])
    >>> next(results)
    0.5
    >>> try:
    ...     next(results)
    ... except RemoteError as error:
    ...     print(error.index, error.ename)
    1 ZeroDivisionError
    >>> next(results)
    0.25
    """

    __slots__ = ("_results", "_returns_exceptions")

    def __init__(self, results: Generator[Any, None, None], return_exceptions: bool) -> None:
        self._results = results
        self._returns_exceptions = return_exceptions

    def __iter__(self) -> LazyResults:
        return self

    def __next__(self) -> Any:
        """The next result; the error of an element is raised in its turn, and the one after it is given next."""
        value = next(self._results)
        if type(value) is not Failure:
            return value
        error = value.error.with_traceback(None)
        if self._returns_exceptions:
            return error
        try:
            raise error
        finally:
            # Its traceback has this frame: it would keep the iterator, and with it what is under way.
            del error, value

    def close(self) -> None:
        """Give up what no engine has begun."""
        self._results.close()


class Chunks:
    """The elements of a map, taken in chunks.

    Parameters
    ----------
    rows : iterator of tuple
        The arguments of each call.
    size : int
        Elements of a chunk.
    """

    def __init__(self, rows: Iterator[tuple[Any, ...]], size: Any) -> None:
        self._rows = rows
        self.size = at_least_one("chunksize", size)
        self.taken = 0
        self.more = True
        self.failure: Exception | None = None
        """What taking an element has raised: to be raised in its turn, behind the results of what came before."""

    def next(self) -> list[tuple[Any, ...]]:
        """The next chunk, empty at the end."""
        chunk: list[tuple[Any, ...]] = []
        try:
            self._take(chunk)
        except Exception as error:
            self.failure = error
            self.more = False
        self.taken += len(chunk)
        return chunk

    def done(self, result: MapResult) -> None:
        """A chunk is done."""

    def _take(self, chunk: list[tuple[Any, ...]]) -> None:
        chunk.extend(islice(self._rows, self.size))
        # To ask again behind the end would take another element of each sequence before the shortest one.
        self.more = len(chunk) == self.size


class MeasuredChunks(Chunks):
    """The same in chunks of about 50 ms, by how long those before took: on an engine, and to be taken here."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        super().__init__(rows, 1)

    def done(self, result: MapResult) -> None:
        """Measure it."""
        elements, seconds = len(result), result.serial_time
        if seconds > 0:
            self.size = max(1, min(int(SECONDS * elements / seconds), elements * GROWTH, _LONGEST))

    def _take(self, chunk: list[tuple[Any, ...]]) -> None:
        until = monotonic() + SECONDS
        while self.more and len(chunk) < self.size and (not chunk or monotonic() < until):
            wanted = min(_AT_ONCE, self.size - len(chunk), len(chunk) + 1)
            before = len(chunk)
            chunk.extend(islice(self._rows, wanted))
            self.more = len(chunk) - before == wanted


def _lazily(
    submit: Callable[[list[Any], int, int], Any], chunks: Chunks, max_outstanding: int, ordered: bool
) -> Generator[Any, None, None]:
    under_way: deque[Any] = deque()
    try:
        while True:
            while chunks.more and len(under_way) < max_outstanding:
                first, chunk = chunks.taken, chunks.next()
                if chunk:
                    columns = [list(column) for column in zip_equal(*chunk)]
                    under_way.append(submit(columns, first, len(chunk)))
            if not under_way:
                if chunks.failure is not None:
                    raise chunks.failure
                return
            result = under_way[0]
            if not ordered:
                done = wait(under_way, return_when=FIRST_COMPLETED).done
                result = next(result for result in under_way if result in done)
            values = list(result._arriving())
            under_way.remove(result)
            chunks.done(result)
            del result
            # What was given out is not referred to from here.
            values.reverse()
            while values:
                yield values.pop()
    finally:
        # Who stops early does not want the rest.
        give_up(under_way)


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


def rows_of(sequences: tuple[Iterable[Any], ...]) -> Iterator[tuple[Any, ...]]:
    """The arguments of each call of a map; the shortest sequence decides.

    Raises
    ------
    TypeError
        When one of them cannot be iterated.
    """
    iterators = []
    for sequence in sequences:
        try:
            iterators.append(iter(sequence))
        except TypeError:
            raise TypeError(f"a sequence is needed, not {type(sequence).__name__}: {sequence!r:.80}") from None
    return zip(*iterators)
