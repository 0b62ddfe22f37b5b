"""What the controller remembers of a session: what was submitted in it, and which tasks there were.

Questions and answers are JSON, as the extension module has them. `remake` turns a submission into a result.
"""

from __future__ import annotations

import json
import re
from math import inf
from typing import Any, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core import Client as Core

__all__ = ["OPEN", "Submission", "ask", "checked_id", "is_id", "number_of", "recorded", "requests_of", "tasks_of"]

OPEN = ("queued", "waiting", "held", "running")
"""The states of tasks that have not ended."""

_SECONDS = 30.0
_ID = r"[0-9a-f]{8}-(0|[1-9]\d{0,17})-(0|[1-9]\d{0,8})"


class Submission(NamedTuple):
    """Something that was submitted: consecutive requests."""

    first: int
    """The number of the first one."""
    targets: list[list[int] | None]
    """The engines of each request; None: any."""
    submitted: float
    """Seconds since 1970."""
    op: str
    about: dict[str, Any] | None
    """What `client.about` has said of it."""
    complete: bool
    """All answers are there."""

    @property
    def head(self) -> int:
        """The submission that it belongs to: another one if it is a part of a map."""
        head = (self.about or {}).get("head")
        return head if type(head) is int else self.first

    def ids(self, prefix: str) -> list[str]:
        """The message ids of its answers."""
        counts = [1 if targets is None else len(targets) for targets in self.targets]
        numbers = enumerate(counts, self.first)
        return [f"{prefix}-{number}-{position}" for number, count in numbers for position in range(count)]

    def has(self, number: int) -> bool:
        """Whether a request is one of it."""
        return self.first <= number < self.first + len(self.targets)


def ask(core: Core, question: object) -> dict[str, Any]:
    """Ask the controller.

    Raises
    ------
    HistoryError
        When it keeps no history, or cannot read it.
    ControllerUnreachable
        When it does not answer in time.
    """
    found: dict[str, Any] = json.loads(core.query(json.dumps(question), _SECONDS)[0])
    return found


def tasks_of(core: Core, **conditions: Any) -> list[dict[str, Any]]:
    """The tasks for which all of this holds, in the order in which they were submitted."""
    found: list[dict[str, Any]] = ask(core, {"tasks": conditions}).get("tasks", [])
    return found


def is_id(text: str) -> bool:
    """Whether a text has the form of a message id."""
    return re.fullmatch(_ID, text) is not None


def checked_id(message_id: str) -> str:
    """A text that has the form of a message id.

    Raises
    ------
    ValueError
        When it has not.
    """
    if not is_id(message_id):
        raise ValueError(f"{message_id!r:.80} is no message id: one looks like 0f3c9a1e-7-0")
    return message_id


def number_of(message_id: str) -> tuple[int, int]:
    """The number of the request, and the position in it, that a message id names."""
    _, number, position = message_id.split("-")
    return int(number), int(position)


def recorded(core: Core, session: str, last: float = inf) -> list[Submission]:
    """What was submitted in a session up to the request with the number `last`, in that order."""
    requests = ask(core, {"submissions": {"session": session}}).get("requests", [])
    requests = [request for request in requests if request["request"] <= last]
    found = _grouped(requests)
    if core.session is not None and session.startswith(core.session[1]):
        # Its first client has given it no name: of its requests, only those are there that say something of themselves.
        known = {request["request"] for request in requests}
        tasks = _tasks_by_request(core, session, last, known)
        found = [_completed(submission, tasks) for submission in found]
        found += [_of_tasks(number, positions) for number, positions in tasks.items()]
        found.sort()
    return found


def _grouped(requests: list[dict[str, Any]]) -> list[Submission]:
    groups: list[list[dict[str, Any]]] = []
    for request in requests:
        last = groups[-1][-1] if groups else None
        follows = last is not None and (request["request"], request["part"]) == (last["request"] + 1, last["part"] + 1)
        if follows:
            groups[-1].append(request)
        else:
            groups.append([request])
    return [_submission(group) for group in groups]


def _submission(requests: list[dict[str, Any]]) -> Submission:
    first = requests[0]
    about = first.get("about")
    return Submission(
        first["request"],
        [request.get("targets") for request in requests],
        first["submitted"],
        first["op"],
        None if about is None else _told(bytes(about)),
        all(request["done"] >= request["count"] for request in requests),
    )


def _told(about: bytes) -> dict[str, Any] | None:
    """What a client has said, which may be of another release."""
    try:
        told = json.loads(about)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _tasks_by_request(core: Core, session: str, last: float, known: set[int]) -> dict[int, dict[int, dict[str, Any]]]:
    """The tasks of all other requests, by the number of the request and the position in that."""
    tasks: dict[int, dict[int, dict[str, Any]]] = {}
    for task in tasks_of(core, session=session):
        number, position = number_of(task["id"])
        if number not in known and number <= last:
            tasks.setdefault(number, {})[position] = task
    return tasks


def _completed(submission: Submission, tasks: dict[int, dict[int, dict[str, Any]]]) -> Submission:
    """A submission with the requests that follow the one which was written down; their tasks are taken."""
    targets, complete = list(submission.targets), submission.complete
    for number in range(submission.first + len(targets), submission.first + requests_of(submission.about)):
        if (positions := tasks.pop(number, None)) is None:
            break
        rest = _of_tasks(number, positions)
        engine = positions[0]["engine"] if 0 in positions else None
        targets.append(None if targets[0] is None or engine is None else [engine])
        complete = complete and rest.complete
    return submission._replace(targets=targets, complete=complete)


def requests_of(about: dict[str, Any] | None) -> int:
    """How many requests a submission has, by what is said of it."""
    told = about or {}
    sizes, requests = told.get("sizes"), told.get("requests", 1)
    try:
        return sum(times for _, times in sizes) if sizes else int(requests)
    except (TypeError, ValueError):
        # Another release has other words.
        return 1


def _of_tasks(number: int, positions: dict[int, dict[str, Any]]) -> Submission:
    count = max(positions) + 1
    engines = [(positions.get(position) or {}).get("engine") or 0 for position in range(count)]
    complete = not any(task["state"] in OPEN for task in positions.values())
    submitted = min(task["submitted"] for task in positions.values())
    return Submission(number, [None if count == 1 else engines], submitted, "apply", None, complete)
