"""Calls of tasks that the controller is to begin: those that wait for others, need something, or may run only so long.

The engine that waits for one does it itself if the controller would give it to that engine, were it free. It asks the
controller for that, now and then. Where only engines could do a call that all wait in the same way, nobody ever will:
it is refused, and the error says why.
"""

from __future__ import annotations

import json
from time import time

from .records import ask, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Protocol

    from .._core import Client as Core
    from .._core import Pending
    from ..shared.own import Here

    class Call(Protocol):
        """One call of a submission."""

        index: int
        needs: str | None
        function: tuple[bytes, bytes] | None

        @property
        def pending(self) -> Pending: ...
        def is_done(self) -> bool: ...
        def do(self, here: Here) -> None: ...


__all__ = ["Later", "is_later"]

# With these a call is the controller's to begin.
_TERMS = frozenset(("after", "follow", "needs", "time_limit"))
# So many are asked about at once, the first ones: others may wait for them.
_AT_ONCE = 64
# Seconds for the answer of other engines, and how often all have to wait before nobody will ever do anything.
_ANSWER_SECONDS = 0.5
_LOOKS = 3


def is_later(terms: dict[str, Any]) -> bool:
    """Whether a call with these terms is the controller's to begin."""
    return not _TERMS.isdisjoint(terms)


class Later:
    """Those of a task that are not done, in the order in which they were made.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The task's connection.
    here : Here
        This engine.
    waiting : str
        The function in which the main thread of an engine is whose task waits.
    """

    def __init__(self, core: Core, here: Here, waiting: str) -> None:
        self._core = core
        self._here = here
        self._waiting = f" in {waiting}\n"
        self._calls: dict[str, Call] = {}
        self._limited: set[str] = set()
        self._ready: list[Call] = []
        # How often there was nothing to do, and nobody who did anything.
        self._idle = 0

    def add(self, calls: Sequence[Call], message_ids: Sequence[str], terms: dict[str, Any]) -> None:
        """Take calls that were submitted on these terms; `message_ids` has those of their submission."""
        added = {message_ids[call.index]: call for call in calls}
        self._calls.update(added)
        if "time_limit" in terms:
            self._limited.update(added)

    def help_once(self) -> bool:
        """Do one of them that can be begun, or refuse those that nobody will ever do; False: neither."""
        while self._ready:
            call = self._ready.pop(0)
            if not call.is_done():
                call.do(self._here)
                return True
        self._calls = {message_id: call for message_id, call in self._calls.items() if not call.is_done()}
        self._limited.intersection_update(self._calls)
        some = dict(list(self._calls.items())[:_AT_ONCE])
        rows = self._asked(some)
        self._ready = [
            call for message_id, call in some.items() if self._may_do(message_id, call, rows.get(message_id))
        ]
        if self._ready:
            self._idle = 0
            return self.help_once()
        self._idle = self._idle + 1 if some and self._is_for_ever(some, rows) else 0
        if self._idle < _LOOKS:
            return False
        self._idle = 0
        return self._refuse(some, rows)

    def _asked(self, calls: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What the controller says of those that have not ended."""
        by_session: dict[str, set[int]] = {}
        for message_id in calls:
            by_session.setdefault(message_id.split("-")[0], set()).add(number_of(message_id)[0])
        rows: dict[str, dict[str, Any]] = {}
        for session, numbers in by_session.items():
            question = {"explain": {"session": session, "requests": sorted(numbers), "engine": self._here.id}}
            rows.update({task["id"]: task for task in ask(self._core, question).get("tasks", [])})
        return rows

    def _may_do(self, message_id: str, call: Call, row: dict[str, Any] | None) -> bool:
        if row is None or not row.get("fits") or message_id in self._limited or self._lacks(call):
            return False
        if not self._here.takes(call.function):
            return False
        # One that is next at an engine has not begun.
        return row["state"] == "queued" or (row["state"] == "running" and bool(row.get("waits")))

    def _lacks(self, call: Call) -> str:
        return self._here.lacks(call.needs) if call.needs else ""

    def _is_for_ever(self, calls: Iterable[str], rows: dict[str, dict[str, Any]]) -> bool:
        """Whether nothing is done on any engine, and none is to come."""
        for message_id in calls:
            row = rows.get(message_id)
            if row is None or row["state"] == "held" or (row["state"] == "running" and not row.get("waits")):
                # It is on its way, or somebody does it.
                return False
        others = [engine for engine in self._core.engine_ids() if engine != self._here.id]
        told = self._core.inspect(others, _ANSWER_SECONDS) if others else {}
        if not all(engine in told and self._does_nothing(told[engine]) for engine in others):
            return False
        expected = json.loads(self._core.status(_ANSWER_SECONDS * 4)).get("expected")
        return not (expected and expected["coming"])

    def _does_nothing(self, told: tuple[bool, str, str, float] | None) -> bool:
        return told is None or not told[0] or self._waiting in told[1]

    def _refuse(self, calls: dict[str, Call], rows: dict[str, dict[str, Any]]) -> bool:
        """Refuse those that could be begun; if none could, all: they wait for calls of others."""
        begun = [message_id for message_id in calls if rows[message_id]["state"] != "waiting"]
        refused = False
        for message_id in begun or list(calls):
            call = calls[message_id]
            if call.pending.claim(call.index):
                why = self._why(message_id, call, rows[message_id])
                now = time()
                here = (self._here.id, self._here.uuid)
                call.pending.fulfil(call.index, "rejected", [why.encode()], here, now, now)
                refused = True
        return refused

    def _why(self, message_id: str, call: Call, row: dict[str, Any]) -> str:
        me = f"engine {self._here.id}"
        if row.get("fits") and (lacks := self._lacks(call)):
            why = f"{me} has what it needs for the task that waits for it ({lacks})"
        elif row.get("fits") and message_id in self._limited:
            why = f"a call with a time_limit has an engine for itself, and {me} runs the task that waits for it"
        else:
            why = "; ".join(row.get("waits", ())) or f"it is {row['state']}"
        return f"nobody would ever do this call of a task: {why}; and no other engine does anything that would end that"
