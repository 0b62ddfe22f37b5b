"""Why tasks wait, in words, or where and when they ran."""

from __future__ import annotations

from typing import Any

from .records import ask, checked_id, number_of, tasks_of
from .tasks import time_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._core import Client as Core

__all__ = ["Explanation", "explain"]

# So many requests are in one question.
_AT_ONCE = 1 << 14


class Explanation:
    """What `Client.explain` says: printed, it is a text.

    Attributes
    ----------
    tasks : list of dict
        For each task ``msg_id``, ``name``, ``state``, ``engine_id``, ``waits`` (a list of reasons, the first one says
        the most), and ``why`` it failed.
    """

    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        self.tasks = tasks

    def __repr__(self) -> str:
        return "\n".join(line for task in self.tasks for line in _lines(task))


def explain(core: Core, ids: Iterable[str]) -> Explanation:
    """Ask the controller about tasks by their ids.

    Raises
    ------
    ValueError
        When a text is no message id.
    """
    ids = [checked_id(message_id) for message_id in ids]
    by_session: dict[str, set[int]] = {}
    for message_id in ids:
        by_session.setdefault(message_id.split("-")[0], set()).add(number_of(message_id)[0])
    found: dict[str, dict[str, Any]] = {}
    for session, requests in by_session.items():
        numbers = sorted(requests)
        for first in range(0, len(numbers), _AT_ONCE):
            question = {"explain": {"session": session, "requests": numbers[first : first + _AT_ONCE]}}
            found.update({task["id"]: task for task in ask(core, question).get("tasks", [])})
    if missing := [message_id for message_id in ids if message_id not in found]:
        # The history knows those that have ended.
        wanted = set(missing)
        found.update({task["id"]: task for task in tasks_of(core) if task["id"] in wanted})
    return Explanation([_row(message_id, found.get(message_id)) for message_id in ids])


def _row(message_id: str, task: dict[str, Any] | None) -> dict[str, Any]:
    if task is None:
        return {"msg_id": message_id, "name": "", "state": "unknown", "engine_id": None, "waits": [], "why": None}
    row = {"msg_id": message_id, "name": task["name"], "state": task["state"], "engine_id": task["engine"]}
    times = {name: time_of(task[name]) for name in ("submitted", "started", "completed")}
    return {**row, **times, "waits": task.get("waits", []), "why": task["why"]}


def _lines(task: dict[str, Any]) -> list[str]:
    name = f" ({task['name']})" if task["name"] else ""
    where = "" if task["engine_id"] is None else f" on engine {task['engine_id']}"
    line = f"{task['msg_id']}{name}: {task['state']}{where}"
    started, completed = task.get("started"), task.get("completed")
    if started and completed:
        line += f", from {started:%Y-%m-%d %H:%M:%S} UTC for {(completed - started).total_seconds():.3g} s"
    if task["state"] == "unknown":
        line += ": it was refused, has not reached the controller, or is not remembered"
    return [line, *(f"  {reason}" for reason in task["waits"]), *([f"  {task['why']}"] if task["why"] else [])]
