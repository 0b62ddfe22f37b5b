"""Where the time of tasks and engines went, counted from events. Pure.

A task passes through four spans before it runs and one behind it. It waits in the controller's `queue` until an engine
is given it; there it waits `behind` the tasks that the engine had before; it is on its `way` (the rest until its code
begins: the network, and unpacking); it runs; and its answer is on the way `back` to the client.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["SPANS", "Ledger", "Ran"]

SPANS = ("queue", "behind", "way", "run", "back")


class Ran(NamedTuple):
    """A task that has ended. Times are seconds since 1970; `started` and `completed` are None where no code ran."""

    id: str
    name: str
    session: str
    engine: int | None
    state: str
    why: str | None
    submitted: float
    given: float | None
    started: float | None
    completed: float | None
    answered: float
    bytes: int

    @property
    def seconds(self) -> float:
        """How long its code ran."""
        return max(0.0, self.completed - self.started) if self.started and self.completed else 0.0


class Stay(NamedTuple):
    """The time for which an engine was there. `left` is None: it still is."""

    engine: int
    host: str
    joined: float
    left: float | None


class Ledger:
    """What tasks and engines did from a time on.

    Parameters
    ----------
    began : float
        Seconds since 1970. Tasks that ended before are left out.

    Examples
    --------
    >>> ledger = Ledger(began=0)
    >>> ledger.add({"event": "engine_joined", "at": 10.0, "engine": 0, "host": "n1"})
    >>> ledger.add({"event": "given", "at": 11.0, "task": "a-1-0", "engine": 0})
    >>> ledger.add({
    ...     "event": "ended", "at": 14.0, "task": "a-1-0", "name": "f", "session": "me", "engine": 0, "state": "ok",
    ...     "why": None, "submitted": 10.5, "started": 11.5, "completed": 13.5, "bytes": 7,
    ... })
    >>> ledger.close(15.0)
    >>> ledger.spans()
    {'queue': 0.5, 'behind': 0.0, 'way': 0.5, 'run': 2.0, 'back': 0.5}
    >>> ledger.engines()[0]["busy"], ledger.engines()[0]["there"]
    (2.0, 5.0)
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.ended = began
        self.tasks: list[Ran] = []
        self.missed = 0
        self._stays: list[Stay] = []
        self._here: dict[int, Stay] = {}
        self._given: dict[str, float] = {}
        self._first: float | None = None

    def add(self, event: dict[str, Any]) -> None:
        """Take an event, as `Client.events` gives it."""
        kind = event["event"]
        if kind == "scene":
            self.missed += event["missed"]
            return
        if kind == "given":
            self._given[event["task"]] = event["at"]
        elif kind == "returned":
            self._given.pop(event["task"], None)
        elif kind == "ended":
            self._task_ended(event)
        elif kind == "engine_joined":
            self._left(event["engine"], event["at"])
            self._here[event["engine"]] = Stay(event["engine"], event["host"], event["at"], None)
        elif kind == "engine_left":
            self._left(event["engine"], event["at"])

    def close(self, ended: float) -> None:
        """The time that is looked at is over."""
        self.ended = ended
        # As long ago as is known, if that was asked for.
        known = [stay.joined for stay in (*self._stays, *self._here.values())] + [task.submitted for task in self.tasks]
        self.began = max(self.began, min(known, default=ended))

    def spans(self) -> dict[str, float]:
        """Seconds of all tasks together in each span."""
        sums = dict.fromkeys(SPANS, 0.0)
        last: dict[int | None, float] = {}
        for task in sorted(self.tasks, key=lambda task: task.started or task.answered):
            if task.started is None or task.completed is None:
                sums["queue"] += max(0.0, task.answered - task.submitted)
                continue
            given = task.submitted if task.given is None else task.given
            free = min(max(given, last.get(task.engine, given)), task.started)
            sums["queue"] += max(0.0, given - task.submitted)
            sums["behind"] += max(0.0, free - given)
            sums["way"] += max(0.0, task.started - max(free, given))
            sums["run"] += task.seconds
            sums["back"] += max(0.0, task.answered - task.completed)
            last[task.engine] = task.completed
        return sums

    def engines(self) -> list[dict[str, Any]]:
        """Of each engine, by its number: `there` and `busy` seconds, `tasks`, their `longest` in seconds, `failed`."""
        there: dict[int, float] = defaultdict(float)
        hosts: dict[int, str] = {}
        for stay in (*self._stays, *self._here.values()):
            hosts[stay.engine] = stay.host
            left = self.ended if stay.left is None else min(stay.left, self.ended)
            there[stay.engine] += max(0.0, left - max(stay.joined, self.began))
        ran: dict[int, list[Ran]] = defaultdict(list)
        for task in self.tasks:
            if task.engine is not None and task.started is not None:
                ran[task.engine].append(task)
        return [
            {
                "engine": engine,
                "host": hosts[engine],
                "there": there[engine],
                "busy": self._busy(ran[engine]),
                "tasks": len(ran[engine]),
                "failed": sum(task.state != "ok" for task in ran[engine]),
                "longest": max((task.seconds for task in ran[engine]), default=0.0),
            }
            for engine in sorted(there)
        ]

    def functions(self) -> list[dict[str, Any]]:
        """Of each function, those that took longest first: `tasks`, `seconds` in all, `mean`, `longest`, `failed`."""
        of: dict[str, list[Ran]] = defaultdict(list)
        for task in self.tasks:
            of[task.name].append(task)
        rows = [
            {
                "name": name,
                "tasks": len(tasks),
                "seconds": sum(task.seconds for task in tasks),
                "mean": sum(task.seconds for task in tasks) / len(tasks),
                "longest": max(task.seconds for task in tasks),
                "failed": sum(task.state != "ok" for task in tasks),
                "bytes": sum(task.bytes for task in tasks),
            }
            for name, tasks in of.items()
        ]
        return sorted(rows, key=lambda row: (-row["seconds"], row["name"]))

    def failures(self) -> list[Ran]:
        """The tasks that did not succeed, as they ended."""
        return [task for task in self.tasks if task.state != "ok"]

    def _task_ended(self, event: dict[str, Any]) -> None:
        given = self._given.pop(event["task"], None)
        if event["at"] < self.began:
            return
        self.tasks.append(
            Ran(
                event["task"],
                event["name"] or "?",
                event["session"] or "?",
                event["engine"],
                event["state"],
                event["why"],
                event["submitted"] or event["at"],
                given,
                event["started"],
                event["completed"],
                event["at"],
                event["bytes"],
            )
        )

    def _left(self, engine: int, at: float) -> None:
        if (stay := self._here.pop(engine, None)) is not None:
            self._stays.append(stay._replace(left=at))

    def _busy(self, tasks: Iterable[Ran]) -> float:
        """Seconds in which any of these ran, within the time that is looked at."""
        busy, until = 0.0, self.began
        spans = ((task.started, task.completed) for task in tasks if task.started and task.completed)
        for start, end in sorted(spans):
            busy += max(0.0, min(end, self.ended) - max(start, until))
            until = max(until, end)
        return busy
