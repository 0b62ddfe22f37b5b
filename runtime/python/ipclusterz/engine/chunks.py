"""What an engine does with a chunk of a map: every element runs once, and those that fail take no other along.

A chunk in which an element failed is answered with an error reply that has the results of the others too; `failure`
says how. On the happy path nothing is done for each element; what an element was is only asked when it has failed.
"""

from __future__ import annotations

from itertools import islice

from ..error import SerializationError, UnmetDependency
from ..shared.progress import progress
from ..shared.serialize import dumps
from .coroutines import is_asynchronous, value_of
from .failure import Partly, called_with, told_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..shared.serialize import Frame
    from .failure import Told
    from .state import State

__all__ = ["run_chunk"]

# Bytes of pickled exceptions in one answer. Those beyond go without their pickle: text and traceback are always there.
_MOST_PICKLED = 16 * 1024 * 1024


def run_chunk(function: Callable[..., object], sequences: tuple[Any, ...], state: State, engine_id: int) -> list[Frame]:
    """Call a function on each element of a zip of sequences.

    Returns
    -------
    list of buffers
        The list of results.

    Raises
    ------
    Partly
        When elements failed: has what there is of each. A KeyboardInterrupt is the failure of the element that ran and
        of those behind it, which are not run.
    """
    count = min(map(len, sequences))
    # As fast as a comprehension, and what has been appended when an element raises stays.
    results = map(function, *sequences)
    arguments: Iterator[tuple[int, Any]] = enumerate(zip(*sequences))
    values: list[Any] = []
    failed = _Failed(engine_id, state)
    while True:
        try:
            values.extend(results)
            if len(values) >= count:
                break
            # `extend` takes it for the end of the iterator.
            raise StopIteration("raised by the function")
        except BaseException as error:
            if state.forked or len(values) >= count:
                # A forked child has no business with the rest. Or it is the sequence that fails, not an element.
                raise
            if isinstance(error, UnmetDependency) and not progress.begun:
                # Nothing was run, so another engine may do all of it.
                raise
            interrupted = isinstance(error, KeyboardInterrupt)
            position = len(values)
            item = next((item for index, item in arguments if index == position), ())
            failed.add(position, error, called_with(item, {}))
            # Its frames hold the locals of user code.
            error.__traceback__ = None
        # From here, not inside the handler: what the next element raises has nothing to do with this error.
        values.append(None)
        if interrupted:
            while len(values) < count:
                failed.add(len(values), KeyboardInterrupt("interrupted before its turn"), "")
                values.append(None)
            break
    # The last one tells, as far as it can: a function that gives coroutines mostly does so each time.
    if failed.told or (values and is_asynchronous(values[-1])):
        failed.add_those_of_coroutines(values, sequences)
    if not failed.told:
        try:
            return dumps(values)
        except SerializationError:
            failed.add_those_of_coroutines(values, sequences)
            failed.add_those_that_cannot_travel(values, sequences)
            if not failed.told:
                return dumps(values)
    else:
        failed.add_those_that_cannot_travel(values, sequences)
    raise Partly(failed.frames(values))


class _Failed:
    """The elements of a chunk that failed."""

    def __init__(self, engine_id: int, state: State) -> None:
        self._state = state
        self.told: dict[int, tuple[Told, str]] = {}
        self._engine_id = engine_id
        self._room = _MOST_PICKLED
        self._known: dict[object, object] = {}

    def add(self, position: int, error: BaseException, arguments: str) -> None:
        told = told_of(error, "map", self._engine_id)
        pickled = told["exception"]
        if pickled is not None and pickled not in self._known:
            self._room -= len(pickled)
            if self._room < 0:
                told["exception"] = None
        # Elements often fail alike, and pickle writes one object once.
        for key, value in told.items():
            told[key] = self._known.setdefault(value, value)
        self.told[position] = (told, arguments)

    def add_those_of_coroutines(self, values: list[Any], sequences: tuple[Any, ...]) -> None:
        """Run the coroutines among the values, one after the other, for what they give or raise."""
        interrupted = False
        for position, value in enumerate(values):
            if position in self.told or not is_asynchronous(value):
                continue
            values[position] = None
            if interrupted:
                self.add(position, KeyboardInterrupt("interrupted before its turn"), "")
                continue
            try:
                values[position] = value_of(value)
            except BaseException as error:
                if self._state.forked:
                    raise
                interrupted = isinstance(error, KeyboardInterrupt)
                self.add(position, error, _arguments(sequences, position))
                error.__traceback__ = None

    def add_those_that_cannot_travel(self, values: list[Any], sequences: tuple[Any, ...]) -> None:
        """Replace results that cannot be sent by the errors that say why."""
        for position, value in enumerate(values):
            if position in self.told:
                continue
            try:
                dumps(value)
            except SerializationError as error:
                self.add(position, error, _arguments(sequences, position))
                values[position] = None

    def frames(self, values: list[Any]) -> list[Frame]:
        """The error reply: the report of the first failure, and beside it all elements."""
        positions = sorted(self.told)
        first, arguments = self.told[positions[0]]
        elements = [(position, *self.told[position]) for position in positions]
        return dumps({**first, "arguments": arguments, "values": values, "failed": elements})


def _arguments(sequences: tuple[Any, ...], position: int) -> str:
    # As the loop sees it: an index of a pandas series is a label.
    return called_with(next(islice(zip(*sequences), position, None), ()), {})
