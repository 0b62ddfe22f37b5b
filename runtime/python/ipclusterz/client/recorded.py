"""Where and when the calls of a result ran; and results of chosen calls."""

from __future__ import annotations

from time import time

from .answers import METADATA, metadata_of
from .written import Written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["Recorded"]


class Recorded(Written):
    """The part of `AsyncResult` that is about its calls."""

    # -- about the call -----------------------------------------------------------------------------------------

    @property
    def msg_ids(self) -> list[str]:
        """The ids of the requests, one for each answer."""
        return self._pending.message_ids()

    @property
    def _number(self) -> int:
        """The number of its first request, by which the session knows it."""
        return self._pending.requests[0]

    @property
    def engine_ids(self) -> list[int]:
        """The engine that gave each answer; -1 for a load-balanced call that no engine has answered yet."""
        pending = self._pending
        return [
            target if target >= 0 or not pending.is_done(index) else pending.reply(index).engine_id
            for index, target in enumerate(pending.targets())
        ]

    @property
    def elapsed(self) -> float:
        """Seconds from submission until now, or until the last answer came."""
        pending = self._pending
        if pending.done() < len(pending):
            return time() - pending.submitted
        return max((pending.reply(index).received for index in range(len(pending))), default=time()) - pending.submitted

    @property
    def wall_time(self) -> float:
        """Seconds from submission until the last answer came, or until now: the same as `elapsed`."""
        return self.elapsed

    @property
    def serial_time(self) -> float:
        """Seconds that the engines have worked on it, all of them together, by their own clocks.

        ``serial_time / wall_time`` is the speed-up that was reached.
        """
        pending = self._pending
        replies = [pending.reply(index) for index in range(len(pending)) if pending.is_done(index)]
        return sum(reply.completed - reply.started for reply in replies)

    @property
    def metadata(self) -> Any:
        """Where and when each call ran; None for what is not known yet.

        Each field is also an item and an attribute of the result: ``ar["started"]``, ``ar.started``.

        Returns
        -------
        dict or list of dict
            Of a call on one engine its record, else one for each call. With the keys msg_id, status, engine_id,
            engine_uuid, submitted, started, completed, received (aware datetimes), stdout and stderr, which are
            attributes, too; msg_id, submitted and these two are all there is of a call that still runs.

        Examples
        --------
        >>> ar = rc[:2].apply_async(abs, -1)
        >>> ar.get()
        [1, 1]
        >>> ar.metadata[1].engine_id, ar["status"], ar.engine_id
        (1, ['ok', 'ok'], [0, 1])
        """
        records = self._records()
        return records[0] if self._single else records

    # -- together, and one by one -------------------------------------------------------------------------------

    @staticmethod
    def join(*results: Any) -> Any:
        """One result of the calls of several.

        Parameters
        ----------
        *results : AsyncResult
            Of one client. If all are of maps, so is the result.

        Returns
        -------
        AsyncResult

        Raises
        ------
        TypeError
            When one of them is no result.
        ValueError
            When there is none, or they are of several clients.

        Examples
        --------
        >>> ar = AsyncResult.join(rc[0].apply_async(abs, -1), rc[1:3].apply_async(abs, -2))
        >>> ar.get()
        [1, 2, 2]
        """
        for result in results:
            if not isinstance(result, Recorded):
                raise TypeError(f"results are joined, not {type(result).__name__}: {result!r:.80}")
        if len({id(result._client) for result in results}) != 1:
            raise ValueError(
                "the results of one client are joined, and these are of " + ("several" if results else "none")
            )
        calls = [(result, index) for result in results for index in range(len(result._pending))]
        client: Any = results[0]._client
        joined: Any = client._submissions.selected(calls, False)
        return joined

    def split(self) -> list[Any]:
        """A result for each call.

        Returns
        -------
        list of AsyncResult
            Of a map, they are those of its chunks.

        Examples
        --------
        >>> [one.get() for one in rc[:].apply_async(abs, -1).split()]
        [1, 1, 1, 1]
        """
        client: Any = self._client
        select = client._submissions.selected
        return [select([(self, index)], True) for index in range(len(self._pending))]

    # -- inside -------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        return self._field(name) if name in METADATA else super().__getattr__(name)

    def _records(self) -> list[Any]:
        pending = self._pending
        return [metadata_of(pending, index, message_id) for index, message_id in enumerate(pending.message_ids())]

    def _field(self, name: str) -> Any:
        """A field of each record of `metadata`."""
        records = self._records()
        if records and name not in records[0]:
            raise KeyError(f"what is known of a call are {', '.join(records[0])}, not {name!r:.80}")
        values = [record[name] for record in records]
        return values[0] if self._single else values
