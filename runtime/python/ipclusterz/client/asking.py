"""The part of `Client` that asks about tasks: why they wait, how many there are, and which of some kind."""

from __future__ import annotations

from .looking import Looking
from .records import OPEN, tasks_of
from .targets import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .asyncresult import AsyncResult
    from .explain import Explanation
    from .targets import Own, Targets

    Jobs = AsyncResult | str | int | Iterable[AsyncResult | str | int]

__all__ = ["Asking"]


class Asking(Looking):
    """A client that can be asked about tasks."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _submissions(self) -> Any: ...

    def explain(self, jobs: Jobs) -> Explanation:
        """Why tasks wait, in words, or where and when they ran.

        A task may wait because no engine offers what it needs, for the end of others, or because others come before it.
        Of each engine it is said why it has not taken it.

        Parameters
        ----------
        jobs : AsyncResult, str, int, or iterable of these
            Results, message ids, also of other sessions, or -1, -2 … for the last submissions.

        Returns
        -------
        Explanation
            Shown as a text; its ``tasks`` have the same as dictionaries.

        Raises
        ------
        HistoryError
            When a task has ended, and the cluster keeps no history.

        Examples
        --------
        >>> ar = lbv.apply_async(abs, -1)
        >>> ar.wait(10)
        True
        >>> rc.explain(ar).tasks[0]["state"]
        'ok'
        """
        # Start-up: few clients ask.
        from .explain import explain

        return explain(self._core, self._submissions.named(jobs))

    def queue_status(self, targets: Targets | Own = OWN, verbose: bool = False) -> dict[int | str, Any]:
        """How many tasks engines have, and have done.

        Parameters
        ----------
        targets : optional
            The engines; the client's `targets` when left out.
        verbose : bool
            Give the message ids of tasks that engines have, in place of their number.

        Returns
        -------
        dict
            By engine id, a dictionary of ``queue`` (the tasks that the engine has, the one that it runs among them) and
            ``completed``; and as ``unassigned`` how many wait for any engine.

        Raises
        ------
        ControllerUnreachable
            When the controller does not answer.

        Examples
        --------
        >>> rc.queue_status(targets=0)[0]["queue"]
        0
        """
        chosen = set(self._choose(targets)[0])
        status = self.status()
        queues: dict[int | str, Any] = {
            engine["id"]: {"queue": engine["queue"], "completed": engine["completed"]}
            for engine in status["engines"]
            if engine["id"] in chosen
        }
        if verbose:
            rows = self.db_query({"state": {"$in": OPEN}}, keys=("msg_id", "engine_id"))
            for engine, queue in queues.items():
                queue["queue"] = [row["msg_id"] for row in rows if row["engine_id"] == engine]
        return {**queues, "unassigned": status["pending"]}

    def result_status(self, jobs: Jobs) -> dict[str, list[str]]:
        """Which of some calls have their answers.

        Parameters
        ----------
        jobs : str, AsyncResult, int, or iterable of these
            As for `get_result`.

        Returns
        -------
        dict
            The message ids of those that are ``pending``, and of those that are ``completed``.

        Raises
        ------
        ValueError
            When a message id is none of the session's.

        Examples
        --------
        >>> ar = rc[:2].apply_async(abs, -1)
        >>> ar.wait(10)
        True
        >>> rc.result_status(ar) == {"pending": [], "completed": ar.msg_ids}
        True
        """
        result = self._submissions.result(jobs)
        ids = list(zip(result.msg_ids, result._pending.statuses()))
        return {
            "pending": [message_id for message_id, status in ids if status is None],
            "completed": [message_id for message_id, status in ids if status is not None],
        }

    def db_query(
        self, query: dict[str, Any] | None = None, keys: str | Iterable[str] | None = None, **equal: Any
    ) -> list[dict[str, Any]]:
        """The tasks of the cluster for which some conditions hold, also of other sessions, in order of submission.

        Parameters
        ----------
        query : dict, optional
            Columns, and what is to be there: a value, or a dictionary of the operators ``$eq``, ``$ne``, ``$gt``,
            ``$gte``, ``$lt``, ``$lte``, ``$in``, ``$nin`` and ``$glob``. Times are `datetime` objects or seconds since
            1970.
        keys : str or iterable of str, optional
            The columns of the answer; all when left out. There are ``msg_id``, ``session``, ``name`` (of the function,
            or the operation), ``state`` (``queued``, ``waiting``, ``held``, ``running``, ``ok``, ``error``,
            ``aborted``, ``lost``, ``rejected``, ``rank_lost``, ``impossible``, ``timed_out``; also called ``status``),
            ``engine_id``, ``submitted``, ``started``,
            ``completed``, ``result_bytes`` and ``why``.
        **equal
            More columns, and their values: ``rc.db_query(state="error")``.

        Returns
        -------
        list of dict
            The latest 150,000 at most.

        Raises
        ------
        ValueError
            When there is no such column or operator.
        HistoryError
            When the cluster keeps no history.

        Examples
        --------
        >>> ar = rc[0].apply_async(abs, -1)
        >>> ar.wait(10)
        True
        >>> rc.db_query({"msg_id": {"$in": ar.msg_ids}}, keys=["name", "state", "engine_id"])
        [{'name': 'abs', 'state': 'ok', 'engine_id': 0}]
        """
        # Start-up: as above.
        from .tasks import COLUMNS, check_columns, row_of, select, since_of

        if query is not None and not isinstance(query, dict):
            raise TypeError(f"a query is a dictionary, not {type(query).__name__}: {query!r:.80}")
        columns = COLUMNS if keys is None else check_columns([keys] if isinstance(keys, str) else keys)
        query = {**(query or {}), **equal}
        select([], query)
        conditions: dict[str, Any] = {}
        session, since = query.get("session"), since_of(query)
        if isinstance(session, str):
            conditions["session"] = session
        if since is not None:
            conditions["since"] = since
        rows = select(map(row_of, tasks_of(self._core, **conditions)), query)
        return [{column: row[column] for column in columns} for row in rows]

    def hub_history(self) -> list[str]:
        """The message ids of all tasks of the cluster that are remembered, also of other sessions, in order."""
        return [row["msg_id"] for row in self.db_query(keys="msg_id")]
