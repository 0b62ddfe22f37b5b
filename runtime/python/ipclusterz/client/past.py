"""The part of `Client` that is about its session: what was submitted in it, by this client and by those before it.

A session that was given a name outlives its clients. The controller remembers what is submitted in it (`records`), and
keeps the results; here they become results again (`remake`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import error as errors
from ..error import HistoryError
from .asking import Asking
from .asyncresult import AsyncResult
from .owned import OwnLock
from .records import tasks_of
from .targets import OWN, waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._core import Client as Core
    from .records import Submission
    from .targets import Own, Targets
    from .tunnel import Tunnel

    Jobs = AsyncResult | str | int | Iterable[AsyncResult | str | int]

__all__ = ["Past", "Results"]


class Past(Asking):
    """The part of `Client` that is about its session.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The open connection.
    tunnel : Tunnel or None
        What it goes through.
    named : str or None
        The name that the session was given.
    """

    __slots__ = ("_before", "_remaking")

    def __init__(self, core: Core, tunnel: Tunnel | None, named: str | None) -> None:
        super().__init__(core, tunnel, named)
        # What was submitted before this client came, once somebody has asked for it. That does not change any more.
        self._before: list[Submission] | None = None
        self._remaking = OwnLock()

    @property
    def _submissions(self) -> Any:
        # Start-up: most clients never look back.
        from .submissions import Submissions

        return Submissions(self)

    # -- what was submitted -------------------------------------------------------------------------------------

    @property
    def session(self) -> str:
        """The name of the session: as it was given, or one that the controller has made up.

        ``Client(session=name)`` goes on with it, also when this client has vanished. ``ipclusterz tasks`` shows it.
        """
        of = self._core.session
        return self._core.uuid if of is None else of[0]

    @property
    def history(self) -> list[str]:
        """The message ids of all that was submitted in the session, in that order: also by clients before this one.

        Examples
        --------
        >>> ar = rc[:].apply_async(abs, -1)
        >>> rc.history[-4:] == ar.msg_ids
        True
        """
        prefix = self._submissions.prefix()
        before = [message_id for submission in self._submissions.before() for message_id in submission.ids(prefix)]
        return before + [
            f"{prefix}-{number}-{position}"
            for first, requests, answers, times in self._core.submitted()
            for number in range(first, first + requests * times)
            for position in range(answers)
        ]

    @property
    def outstanding(self) -> list[Any]:
        """The results that are on their way, the oldest first.

        They are those that you still have; those of calls in which Ctrl-C has ended the wait, such as `map_sync`, which
        stay here until somebody takes their values; and those of clients that had the session before. `abort` and
        `interrupt` end what goes on.

        Returns
        -------
        list of AsyncResult

        Examples
        --------
        >>> ar = rc[:].apply_async(abs, -1)
        >>> rc.barrier()
        >>> rc.outstanding
        []
        """
        own = super().outstanding
        if not self._submissions.last_before():
            return own
        known = {result._number for result in own}
        open_ones = dict.fromkeys(each.head for each in self._submissions.before(anew=True) if not each.complete)
        results = [self._submissions.result_of(first) for first in open_ones if first not in known]
        before = [result for result in results if not result.ready()]
        return before + own

    @property
    def results(self) -> Results:
        """The values that are there, by message id: those of results that you still have, and those that are kept.

        Returns
        -------
        Mapping
            From message id to value. What failed has its error as the value, which is not raised.

        Examples
        --------
        >>> ar = rc[0].apply_async(abs, -1)
        >>> ar.wait(10)
        True
        >>> rc.results[ar.msg_ids[0]]
        1
        """
        return Results(self)

    def get_result(self, which: Jobs | None = None, *, targets: Targets | Own = OWN, block: bool | None = None) -> Any:
        """The result of something that was submitted in the session, or what a cell gave that was executed earlier.

        Parameters
        ----------
        which : str, AsyncResult, int, or iterable of these, optional
            A message id or several (``ar.msg_ids``, `history`), also of another client that had the session before.
            All ids of one submission give its result as it was; others an `AsyncResult` of the answers that they name.
            -1 is the last submission, -2 the one before.

            A number from 0 on is that of a cell on each engine, and nothing is the last cell: then the engines are
            asked, as by `DirectView.get_result`.
        targets : optional
            Engines, for cells.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        AsyncResult, or what it gives
            A result that is no longer kept raises `EngineError`, which says why.

        Raises
        ------
        ValueError
            When a message id is none of the session's.
        IndexError
            When there are fewer submissions.
        HistoryError
            When nobody has the result any more: in a session without a name it goes with the last reference to it.

        Examples
        --------
        >>> ar = rc[:].map_async(abs, range(-4, 0))
        >>> rc.get_result(-1).get()
        [4, 3, 2, 1]
        """
        cell = which is None or (isinstance(which, int) and not isinstance(which, bool) and which >= 0)
        if cell:
            return super().get_result(which, targets=targets, block=block)  # type: ignore[misc]
        if targets is not OWN:
            raise TypeError("results have engines of their own: give message ids, or a cell's number and targets")
        result: AsyncResult = self._submissions.result(which)
        return result.get() if waits(self, block) else result

    def wait(
        self, jobs: AsyncResult | str | Iterable[AsyncResult | str] | None = None, timeout: float | None = None
    ) -> bool:
        """Wait until calls have all their answers, as `barrier`, and say whether they have them.

        Parameters
        ----------
        jobs : AsyncResult, str, or iterable of these, optional
            Results or message ids. Left out, everything that this client has submitted.
        timeout : float, optional
            Seconds to wait; for ever when left out, or -1.

        Returns
        -------
        bool
            Whether all answers are there.

        Raises
        ------
        ValueError
            When a message id is none of this client's.

        Examples
        --------
        >>> rc.wait(rc[:].apply_async(abs, -1), timeout=10)
        True
        """
        try:
            self.barrier(jobs, timeout)
        except errors.TimeoutError:
            return False
        return True

    def purge_results(self, jobs: Jobs | None = None, targets: Targets | Own = OWN) -> None:
        """Drop what is kept of submissions that have ended: here, and in the controller's history.

        Parameters
        ----------
        jobs : "all", str, AsyncResult, int, or iterable of these, optional
            ``"all"`` of the session; else as for `get_result`. The submissions to which they belong are dropped.
        targets : optional
            All submissions of the session that these engines alone have done.

        Raises
        ------
        TypeError
            When neither is given.
        HistoryError
            When the cluster keeps no history.
        """
        if jobs is None and targets is OWN:
            raise TypeError('give what is to be dropped: "all", results or message ids, or targets')
        numbers: set[int] | None = None
        if isinstance(jobs, str) and jobs == "all":
            numbers = None
        else:
            numbers = set() if jobs is None else {number for number, _ in self._submissions.answers(jobs)}
            if targets is not OWN:
                numbers |= self._submissions.done_by(set(self._ids(targets)))  # type: ignore[arg-type]
        self._submissions.purge(numbers)

    def resubmit(self, jobs: Jobs, *, block: bool | None = None) -> Any:
        """Submit something again that this client has submitted: with the same function, arguments and engines.

        Parameters
        ----------
        jobs : str, AsyncResult, int, or iterable of these
            As for `get_result`. Each submission to which they belong is done again as a whole.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        AsyncResult, list of AsyncResult, or what these give

        Raises
        ------
        HistoryError
            When this client has not submitted it, does not have its result any more, or its arguments had more than
            1 MiB, which are not kept.

        Examples
        --------
        >>> ar = rc[0].apply_async(abs, -1)
        >>> rc.resubmit(ar).get()
        1
        """
        firsts = dict.fromkeys(self._submissions.owner_of(number) for number, _ in self._submissions.answers(jobs))
        for first in firsts:
            if not self._submissions.is_own(first):
                raise HistoryError(
                    f"{self._submissions.prefix()}-{first}-0 was submitted by another client, which alone has its "
                    "function and arguments",
                    hint="call the function again",
                )
        again = [self._submissions.again(first) for first in firsts]
        done = [result.get() if waits(self, block) else result for result in again]
        return done[0] if len(done) == 1 else done


class Results(Mapping[str, Any]):
    """The values that are there, by message id. Made by `Client.results`."""

    __slots__ = ("_client",)

    def __init__(self, client: Past) -> None:
        self._client = client

    def __getitem__(self, message_id: str) -> Any:
        """The value, or the error of what failed."""
        if not isinstance(message_id, str):
            raise KeyError(message_id)
        try:
            result = self._client._submissions.result(message_id)
        except (HistoryError, ValueError):
            raise KeyError(message_id) from None
        if not result.ready():
            result.wait(_KEPT_SECONDS)
        if not result.ready():
            raise KeyError(message_id)
        return result.get(return_exceptions=True)

    def __iter__(self) -> Iterator[str]:
        there = self._here()
        if self._client._named is not None:
            there.update(
                task["id"]
                for task in tasks_of(self._client._core, session=self._client.session)
                if task["kept_bytes"] is not None
            )
        return iter([message_id for message_id in self._client.history if message_id in there])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Results of session {self._client.session!r}: {len(self)} values>"

    def _here(self) -> set[str]:
        found: set[str] = set()
        for result in list(self._client._results):
            pending: Any = result._pending
            ids = zip(pending.message_ids(), pending.statuses())
            found.update(message_id for message_id, status in ids if status is not None)
        return found


# How long it takes at most until a value that is kept is here.
_KEPT_SECONDS = 10.0
