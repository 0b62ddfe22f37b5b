"""Results that are on their way.

An `AsyncResult` holds the answers of one submission. It never talks to the cluster itself: it asks the extension
module's `Pending`, and dropping it frees what was received and what will be. What makes it a Future is in `future`,
what its calls write in `written`, where and when they ran in `recorded`; results of a map are in `mapping`.
"""

from __future__ import annotations

from itertools import count
from time import monotonic

from .. import error as errors
from ..compat import zip_equal
from .answers import Failed, Failure, Succeeded, value_at
from .deadlines import deadline_of, left_until
from .recorded import Recorded
from .tables import numbers, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .._core import Pending
    from ..error import IpclusterzError
    from .future import Owner

__all__ = ["AsyncResult", "give_up"]

_NOTHING: Any = object()


class AsyncResult(Recorded):
    """The result of a call that need not be there yet.

    It has the methods of `multiprocessing.pool.AsyncResult` (get, wait, ready, successful), it is a
    `concurrent.futures.Future` (result, exception, done, cancel, add_done_callback; `concurrent.futures.wait` and
    `as_completed` take it), and it can be awaited. Made by views, not by hand.

    Attributes
    ----------
    quiet : bool
        Do not show what the calls write while somebody waits for them. At first that of the view; True for cells of
        code, whose replies show it.

    Examples
    --------
    >>> ar = rc[:].apply_async(pow, 2, 10)
    >>> ar.get(timeout=5)
    [1024, 1024, 1024, 1024]
    """

    def __init__(
        self, client: Owner, pending: Pending, method: str, single: bool, *, quiet: bool | None = None
    ) -> None:
        # Not Future's, whose state is made when it is looked at.
        self._client = client
        self._pending = pending
        self._method = method
        self._single = single
        self._values: list[Any] = _NOTHING
        self.quiet: bool = method == "execute" or (client.quiet if quiet is None else quiet)
        client._results.add(self)

    # -- waiting ------------------------------------------------------------------------------------------------

    def get(self, timeout: float | None = None, *, return_exceptions: bool | None = None) -> Any:
        """Wait for the result and return it. What the calls write is shown meanwhile, unless `quiet` is set.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; for ever when left out. Ctrl-C ends the wait at once and leaves the work running; the
            KeyboardInterrupt says how much, and `Client.outstanding` keeps the result.
        return_exceptions : bool, optional
            Put the errors of failed calls in the places of their values, and raise none of them. Left out, as the call
            was told.

        Returns
        -------
        object
            The value, for a call on one engine; otherwise the list of values in the order of the engines.

        Raises
        ------
        ipclusterz.TimeoutError
            When it is not there in time.
        RemoteError, EngineError, AbortedError
            When the call on the one engine failed.
        CompositeError
            When one or more of the calls on several engines failed.
        """
        self._have(timeout)
        if self._returns_exceptions if return_exceptions is None else return_exceptions:
            return self._with_errors()
        self._raise_failures()
        return self._joined()

    def get_dict(self, timeout: float | None = None) -> dict[int, Any]:
        """Wait for the results and return them by engine id.

        Parameters
        ----------
        timeout : float, optional
            As for `get`.

        Returns
        -------
        dict
            Engine id to value.
        """
        self._have(timeout)
        self._raise_failures()
        return self._by_engine(zip_equal(self.engine_ids, self._values))

    @property
    def r(self) -> Any:
        """Wait for the result: short for ``get()``."""
        return self.get()

    def wait(self, timeout: float | None = None, return_when: str = "ALL_COMPLETED") -> bool:
        """Wait until all answers are there. What the calls write is shown meanwhile, unless `quiet` is set.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; for ever when left out, or -1.
        return_when : {"ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"}
            What is waited for, by the names of `concurrent.futures`: all answers, one of them, or one of a call that
            has failed. An answer is an engine's, or a chunk's of a map.

        Returns
        -------
        bool
            Whether all answers are there.

        Raises
        ------
        ValueError
            When there is no such `return_when`.

        Examples
        --------
        >>> ar = rc[:].apply_async(abs, -1)
        >>> ar.wait(timeout=10, return_when="FIRST_EXCEPTION")
        True
        """
        if return_when == "ALL_COMPLETED":
            return self._wait(timeout, self._shows)
        if return_when not in ("FIRST_COMPLETED", "FIRST_EXCEPTION"):
            names = "'ALL_COMPLETED', 'FIRST_COMPLETED' or 'FIRST_EXCEPTION'"
            raise ValueError(f"return_when is {names}, not {return_when!r:.80}")
        self._wait_for_one(timeout, any_answer=return_when == "FIRST_COMPLETED")
        return self.ready()

    def ready(self) -> bool:
        """Whether all answers are there."""
        return self._pending.done() == len(self._pending)

    def successful(self) -> bool:
        """Whether the call raised nothing.

        Raises
        ------
        ValueError
            When the result is not ready.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        self._look()
        return not self._failed()

    def successes(self, timeout: float | None = None) -> list[Succeeded]:
        """Wait, and return what the calls gave that did not fail.

        Parameters
        ----------
        timeout : float, optional
            As for `get`.

        Returns
        -------
        list of (index, value, engine)
            Named tuples. Of a map, `index` is the element's place in the sequences; otherwise the call's among the
            engines that were asked.

        Examples
        --------
        >>> ar = rc[:].map_async(lambda x: 1 / x, [4, 0, 2])
        >>> [(index, value) for index, value, engine in ar.successes()]
        [(0, 0.25), (2, 0.5)]
        """
        return [
            Succeeded(index, value, engine)
            for index, engine, value in self._outcomes(timeout)
            if type(value) is not Failure
        ]

    def failures(self, timeout: float | None = None) -> list[Failed]:
        """Wait, and return which calls failed, and how.

        Parameters
        ----------
        timeout : float, optional
            As for `get`.

        Returns
        -------
        list of (index, error, engine)
            Named tuples; `index` as for `successes`. The engine is -1 for a call that none has answered.

        Examples
        --------
        >>> ar = rc[:].map_async(lambda x: 1 / x, [4, 0, 2])
        >>> [(failed.index, failed.engine, failed.error.ename) for failed in ar.failures()]
        [(1, 1, 'ZeroDivisionError')]
        """
        return [
            Failed(index, value.error, engine)
            for index, engine, value in self._outcomes(timeout)
            if type(value) is Failure
        ]

    def wait_interactive(self, interval: float = 0.1, timeout: float | None = None) -> None:
        """Wait with a progress bar, in the terminal or in a notebook.

        Parameters
        ----------
        interval : float
            Seconds between looks.
        timeout : float, optional
            Seconds to wait; for ever when left out. Ctrl-C ends the wait and leaves the work running.

        Raises
        ------
        ImportError
            When tqdm is not installed.
        ipclusterz.TimeoutError
            When not everything is there in time.
        """
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped]
        except ImportError:
            raise ImportError("wait_interactive() needs tqdm: pip install tqdm") from None
        deadline = deadline_of(timeout)

        def show() -> None:
            with tqdm.external_write_mode():
                self._show()

        shows = None if self.quiet else show
        with tqdm(total=len(self), desc=self._method, unit=self._unit) as bar:
            while True:
                bar.update(self.progress - bar.n)
                if self.ready():
                    self._wait(0, shows)
                    return
                if deadline is not None and monotonic() >= deadline:
                    raise errors.TimeoutError(f"{self.progress} of {len(self)} are ready after {timeout:g} s")
                self._wait(interval if deadline is None else min(interval, max(0.0, deadline - monotonic())), shows)

    def abort(self) -> None:
        """Give up the calls that no engine has started; they end with `AbortedError`, the others go on."""
        try:
            self._pending.abort()
        except errors.IpclusterzError:
            # The connection has ended, and with it everything that was under way.
            if not self.ready():
                raise

    # -- as they arrive -----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        """The values in the order of the engines, each as soon as it is there; an error is raised in its turn."""
        for index in range(len(self._pending)):
            yield self._checked(index)

    def __len__(self) -> int:
        return len(self._pending)

    def __getitem__(self, index: int | slice | str) -> Any:
        """Wait for one of the values, or for those of a slice; or a field of `metadata`, by its name."""
        if isinstance(index, str):
            return self._field(index)
        places = range(len(self))[index]
        return [self[place] for place in places] if isinstance(places, range) else self._checked(places)

    # -- about the call -----------------------------------------------------------------------------------------

    @property
    def progress(self) -> int:
        """How many answers there are, of ``len(self)``."""
        return self._pending.done()

    def __repr__(self) -> str:
        owner = self._client._core.forked_from
        if owner is not None:
            return f"<AsyncResult: {self._method}, of process {owner} before a fork>"
        parts = [self._method, self._state_in_words(), _duration(self.elapsed), self._trouble()]
        return f"<AsyncResult: {', '.join(part for part in parts if part)}>"

    def _repr_html_(self) -> str:
        return table(type(self).__name__, self._rows)

    # -- inside -------------------------------------------------------------------------------------------------

    _returns_exceptions = False
    _unit = "call"
    # The values were looked at while something may not be shown yet.
    _unseen = False

    def _state_in_words(self) -> str:
        """How far it has come, in words."""
        done, total = self.progress, len(self)
        if not self.ready():
            return "pending" if self._single else f"{done} of {total} {self._unit}s"
        failed = self._count_failed()
        if self._single:
            return "failed" if failed else "done"
        what = f"{total} {self._unit}{'s' * (total != 1)}"
        return f"{failed} of {what} failed" if failed else f"{what} done"

    def _rows(self) -> list[tuple[str, object]]:
        # Not `_state_in_words`, which looks at all values.
        statuses = self._pending.statuses()
        failed = sum(status not in ("ok", None) for status in statuses)
        state = "done" if self.ready() else "pending"
        if failed:
            state += f", {failed} of {len(statuses)} task{'s' * (len(statuses) != 1)} failed"
        return [
            ("call", self._method),
            ("state", state),
            (f"{self._unit}s", f"{self.progress} of {len(self)}"),
            ("time", _duration(self.elapsed)),
            ("engines", numbers({engine for engine in self.engine_ids if engine >= 0}) or "any"),
            *([("trouble", trouble)] if (trouble := self._trouble()) else []),
        ]

    def _trouble(self) -> str | None:
        """Why answers do not come for now, if that is known."""
        return None if self.ready() else self._pending.trouble()

    def _count_failed(self) -> int:
        self._look()
        return len(self._failed())

    def _outcomes(self, timeout: float | None) -> list[tuple[int, int, Any]]:
        """Index, engine, and value or `Failure` of each call, once all are there."""
        self._have(timeout)
        return self._listed()

    def _listed(self) -> list[tuple[int, int, Any]]:
        return [(index, *each) for index, each in enumerate(zip(self.engine_ids, self._values))]

    def _failed(self) -> list[IpclusterzError]:
        """The errors of those that failed, once all are there."""
        return [value.error for value in self._values if type(value) is Failure]

    def _with_errors(self) -> Any:
        """What `get` returns when it is to raise nothing."""
        if not self._failed():
            return self._joined()
        values = [self._raised(value.error) if type(value) is Failure else value for value in self._values]
        return values[0] if self._single else values

    def _wait_for_one(self, timeout: float | None, any_answer: bool) -> None:
        """Wait for an answer: any, or one of a call that has failed; for all if there is none."""
        pending, deadline = self._pending, deadline_of(timeout)
        try:
            for number in count():
                index = pending.nth_done(number, left_until(deadline), self._shows)
                if index is None or any_answer or pending.reply(index).status != "ok":
                    return
        except KeyboardInterrupt as error:
            self._leave(error)
            raise
        finally:
            self._pause()

    def _have(self, timeout: float | None) -> None:
        """Wait for the values, unless they are here, and show what was written."""
        if self._values is not _NOTHING:
            if self._unseen:
                self._unseen = False
                self.wait(0)
            return
        if not self.wait(timeout):
            raise errors.TimeoutError("Result not ready.")
        self._take()

    def _look(self) -> None:
        """Have the values, whose answers are all there, and show nothing."""
        if self._values is _NOTHING:
            self._unseen = True
            self._take()

    def _take(self) -> None:
        pending, method = self._pending, self._method
        self._values = [value_at(pending, index, method) for index in range(len(pending))]

    def _leave(self, interrupt: KeyboardInterrupt) -> None:
        """After Ctrl-C in a wait: say what goes on, and let the client keep this result."""
        self._pause()
        pending = self._pending
        missing = len(pending) - pending.done()
        if not missing:
            return
        left = self._client._left
        left[:] = [result for result in left if not result._taken() and result is not self]
        left.append(self)
        interrupt.args = (
            f"{missing} task{'s go' if missing > 1 else ' goes'} on: rc.abort() gives up what no engine has begun, "
            "rc.interrupt() ends what runs, and rc.outstanding has the results",
        )

    def _taken(self) -> bool:
        """Whether somebody has had all values."""
        return self._values is not _NOTHING

    def _refuse_cancelled(self, timeout: float | None) -> None:
        self._have(timeout)
        values = self._values
        aborted = errors.AbortedError
        if values and all(type(value) is Failure and isinstance(value.error, aborted) for value in values):
            raise values[0].error.with_traceback(None)

    def _answer(self) -> Any:
        """What a call that waits returns: the bare value of one engine, or the values of several by engine id."""
        return self.get() if self._single else self.get_dict()

    def _joined(self) -> Any:
        """What `get` returns when nothing failed."""
        return self._values[0] if self._single else list(self._values)

    def _by_engine(self, items: Iterable[tuple[int, Any]]) -> dict[int, Any]:
        """What `get_dict` returns."""
        return dict(items)

    def _raise_failures(self) -> None:
        # `e` is what it is called in the debugger: this is the frame in which %debug begins.
        e = self._failures_as_one()
        if e is not None:
            raise e

    def _error(self) -> BaseException | None:
        """What `get` raises."""
        return None if self._returns_exceptions else self._failures_as_one()

    def _failures_as_one(self) -> BaseException | None:
        """What the failed ones among the values are raised as."""
        failed = self._failed()
        if not failed:
            return None
        if self._single:
            return self._raised(failed[0].with_traceback(None))
        return errors.CompositeError(f"one or more exceptions from call to method: {self._method}", failed)

    def _raised(self, error: IpclusterzError) -> BaseException:
        """What is raised for one failed call."""
        return error

    def _value(self, index: int) -> Any:
        if self._values is not _NOTHING:
            return self._values[index]
        try:
            self._pending.wait_index(index, None, self._shows)
        except KeyboardInterrupt as error:
            self._leave(error)
            raise
        return value_at(self._pending, index, self._method)

    def _checked(self, index: int) -> Any:
        value = self._value(index)
        if type(value) is Failure:
            e = self._raised(value.error.with_traceback(None))
            raise e
        return value


def give_up(results: Iterable[AsyncResult]) -> None:
    """Abort what nobody waits for any more, unless it is the business of the process that this one was forked from."""
    for result in results:
        if result._client._core.forked_from is None:
            result.abort()


def _duration(seconds: float) -> str:
    """Seconds as somebody would say them."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, whole = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {whole} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
