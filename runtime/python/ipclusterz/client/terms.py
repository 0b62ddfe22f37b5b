"""On what terms load-balanced calls are done: what they wait for, what they need, how long they may take.

The flags of a view are checked here, and made into what the controller reads.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from time import monotonic, sleep

from .asyncresult import AsyncResult
from .growing import Growing
from .records import checked_id, is_id, tasks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    from .._core import Client as Core

    class Connection(Protocol):
        """What is asked of a client."""

        _core: Core

        @property
        def priority(self) -> int: ...


__all__ = ["FLAGS", "Dependency", "Flag", "as_dependency", "changed", "is_flag", "terms_of"]


class Dependency(set[str]):
    """Tasks that have to end before another one begins.

    A set of message ids.

    Parameters
    ----------
    on : AsyncResult, str, or iterable of these
        Results or message ids (``ar.msg_ids``), also of other sessions. A map that is still being sent is waited for
        until all of it is.
    all : bool
        All of them have to end as below; otherwise one is enough.
    success : bool
        Those that succeed count.
    failure : bool
        Those that fail count: that raise an error, are lost or aborted, or cannot run.

    Raises
    ------
    ValueError
        When neither success nor failure counts, or a text is no message id.
    TypeError
        When something is neither a result nor a text.

    Examples
    --------
    >>> first = lbv.apply_async(abs, -1)
    >>> with lbv.temp_flags(after=Dependency([first], success=True, failure=True)):
    ...     lbv.apply_sync(abs, -2)
    2
    """

    __slots__ = ("all", "failure", "results", "success")

    def __init__(self, on: Jobs = (), all: bool = True, success: bool = True, failure: bool = False) -> None:
        if not (success or failure):
            raise ValueError("neither success nor failure of a task counts: one of the two has to")
        ids, results = _ids_of(on)
        super().__init__(ids)
        self.all, self.success, self.failure = all, success, failure
        self.results = results

    def copy(self) -> Dependency:
        """Another one like it."""
        return self._like(self)

    def __or__(self, others: Any) -> Dependency:  # type: ignore[override]
        return self._like(super().__or__(others))

    def __and__(self, others: Any) -> Dependency:
        return self._like(super().__and__(others))

    def __sub__(self, others: Any) -> Dependency:
        return self._like(super().__sub__(others))

    def _like(self, ids: Iterable[str]) -> Dependency:
        made = Dependency(ids, self.all, self.success, self.failure)
        made.results = list(self.results)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Dependency, (sorted(self), self.all, self.success, self.failure)

    def __repr__(self) -> str:
        return f"Dependency({sorted(self)!r}, all={self.all}, success={self.success}, failure={self.failure})"


if TYPE_CHECKING:
    Jobs = AsyncResult | str | Iterable[AsyncResult | str]
    # How a task has ended, and where; and a run of tasks: session, first request, position, how many, how they ended.
    _Ended = tuple[str, Any, bool]
    _Run = tuple[str, int, int, int, _Ended | None]

# Seconds that a task may be on its way to the controller, and between two looks.
_UNDER_WAY, _LOOK = 2.0, 0.05
# So many are in one list of a message.
_MOST = 1 << 16


def _ids_of(jobs: Jobs) -> tuple[list[str], list[AsyncResult]]:
    ids: list[str] = []
    results: list[AsyncResult] = []
    several: Iterable[Any] = (jobs,) if isinstance(jobs, (AsyncResult, str)) or not hasattr(jobs, "__iter__") else jobs
    for job in several:
        if isinstance(job, AsyncResult):
            if isinstance(job._pending, Growing):
                # Of a map that is being sent, not all parts have ids.
                job._pending.wait_until_whole(None)
            ids += job.msg_ids
            results.append(job)
        elif isinstance(job, str):
            ids.append(checked_id(job))
        else:
            raise TypeError(f"a task waits for results or message ids, not for {type(job).__name__}: {job!r:.80}")
    return ids, results


def as_dependency(jobs: Jobs | Dependency | None) -> Dependency | None:
    """What a flag means that may be given in several ways."""
    return jobs if jobs is None or isinstance(jobs, Dependency) else Dependency(jobs)


def is_flag(f: object, name: str, value: object) -> bool:
    """Whether a keyword of a call is meant as a flag.

    Results cannot be sent; and a loop may have nothing to wait for in its first turn.
    """
    if value is None or (isinstance(value, (list, tuple, set, frozenset)) and not value):
        return not _takes(f, name)
    return _is_dependency(value)


def _takes(f: object, name: str) -> bool:
    from inspect import Parameter, signature

    try:
        parameters = signature(f).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True
    return name in parameters or any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values())


def _is_dependency(value: object) -> bool:
    if isinstance(value, (AsyncResult, Dependency)):
        return True
    if isinstance(value, str):
        return is_id(value)
    if not isinstance(value, (list, tuple, set, frozenset)) or not value:
        return False
    return all(_is_dependency(each) for each in value)


# -- checks -----------------------------------------------------------------------------------------------------


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds or None, not {type(value).__name__}: {value!r:.80}")
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {value}")
    return float(value)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}: {value!r:.80}")
    if not least <= value <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}, not {value}")
    return value


def _errors(name: str, value: Any) -> tuple[type[Exception], ...]:
    classes = () if value is None else value if isinstance(value, (tuple, list)) else (value,)
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise TypeError(f"{name} has classes of exceptions, as (OSError,), not {each!r:.80}")
    return tuple(classes)


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?"
# The controller counts ten-thousandths.
_PARTS = 10_000


def _amount(name: str, value: Any) -> int:
    """How much of a resource, in ten-thousandths."""
    if isinstance(value, str) and (match := re.fullmatch(_SIZE, value.strip())):
        value = float(match[1]) * _UNITS[match[2].upper()]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"of {name} a number is needed, or a size as '16G', not {value!r:.80}")
    if not (isfinite(value) and 0 <= value < 1 << 49):
        raise ValueError(f"of {name} a number from 0 to 2**49 is needed, not {value}")
    if 0 < value < 1 / _PARTS:
        raise ValueError(f"of {name} a ten-thousandth is the least, not {value}")
    return round(value * _PARTS)


def _needs(_name: str, value: Any) -> dict[str, Any] | None:
    if not value:
        return None
    if not isinstance(value, dict):
        raise TypeError(f"needs are a dictionary, as {{'gpus': 1}}, not {type(value).__name__}: {value!r:.80}")
    for name in value:
        if not isinstance(name, str):
            raise TypeError(f"a resource has a name, not {name!r:.80}")
        if not re.fullmatch(_NAME, name):
            raise ValueError(f"{name!r:.80} is no name of a resource: letters, digits, '_', '.' and '-', 64 at most")
    if len(value) > _NEEDS_MOST:
        raise ValueError(f"a task needs {_NEEDS_MOST} resources at most, not {len(value)}")
    # Refuses amounts that are none.
    _needs_told(value)
    return dict(value)


def _needs_told(needs: dict[str, Any]) -> dict[str, Any]:
    """Amounts, and tags: names whose value is True."""
    tags = sorted(name for name, amount in needs.items() if amount is True)
    amounts = {name: _amount(name, amount) for name, amount in needs.items() if amount is not True}
    return {"amounts": amounts, "tags": tags}


_NAME = r"[\w.-]{1,64}"
_NEEDS_MOST = 256
_I32 = 1 << 31

FLAGS: dict[str, tuple[Any, Callable[[str, Any], Any]]] = {
    "after": (None, lambda _, value: as_dependency(value)),
    "follow": (None, lambda _, value: as_dependency(value)),
    "timeout": (None, _seconds),
    "time_limit": (None, _seconds),
    "retries": (0, lambda name, value: 0 if value is None else _whole(name, value, 0, _I32 - 1)),
    "retry_on": ((), _errors),
    "retry_delay": (None, _seconds),
    "crash_limit": (None, lambda name, value: None if value is None else _whole(name, value, 1, _I32 - 1)),
    "priority": (0, lambda name, value: _whole(name, value, -_I32, _I32 - 1)),
    "needs": (None, _needs),
}
"""The flags of a load-balanced view: what each is at first, and what checks it."""


class Flag:
    """An attribute of a load-balanced view, checked when it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        return self if view is None else view._flags.get(self._name, FLAGS[self._name][0])

    def __set__(self, view: Any, value: Any) -> None:
        view._flags = changed(view._flags, self._name, value)


def changed(flags: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The same flags with another value of one; one that is as it was at first is left out."""
    value = FLAGS[name][1](name, value)
    rest = {other: kept for other, kept in flags.items() if other != name}
    return rest if value == FLAGS[name][0] else {**rest, name: value}


# -- what the controller reads ----------------------------------------------------------------------------------


def terms_of(client: Connection, flags: dict[str, Any]) -> str | None:
    """The flags of a view as JSON, as far as the controller reads them; None: there are none."""
    terms: dict[str, Any] = {
        name: flags[name]
        for name in ("timeout", "time_limit", "retry_delay", "crash_limit")
        if flags.get(name) is not None
    }
    priority = flags.get("priority", 0) + client.priority
    if priority:
        terms["priority"] = max(-_I32, min(_I32 - 1, priority))
    if needs := flags.get("needs"):
        terms["needs"] = _needs_told(needs)
    for name in ("after", "follow"):
        if dependency := flags.get(name):
            terms[name] = _told(client, name, dependency)
    return json.dumps(terms) if terms else None


def _told(client: Connection, name: str, dependency: Dependency) -> dict[str, Any]:
    if len(dependency) > _MOST:
        raise ValueError(
            f"a task waits for {_MOST} others at most, not {len(dependency)}: wait for one that waits for them"
        )
    own = client._core.session
    prefix = client._core.uuid[:8] if own is None else own[1]
    strangers = dependency - {message_id for result in dependency.results for message_id in result.msg_ids}
    if named := [message_id for message_id in strangers if message_id.startswith(prefix)]:
        # Refuses what was never submitted.
        client._core.wait_requests(named, 0)
    ended = {} if own is None else dict(_ended_here(client._core, dependency.results, name == "follow"))
    others = [message_id for message_id in dependency if not message_id.startswith(prefix)]
    ended |= _ended_elsewhere(client, [message_id for message_id in others if message_id not in ended])
    # Where they ran matters for those that are followed alone.
    known = {
        message_id: (fate, engine, gone) if name == "follow" else (fate, None, False)
        for message_id, (fate, engine, gone) in ended.items()
    }
    on = [_parent(run, prefix) for run in _runs(dependency, known)]
    return {"on": on, "all": dependency.all, "success": dependency.success, "failure": dependency.failure}


def _runs(ids: Iterable[str], known: dict[str, _Ended]) -> Iterator[_Run]:
    """Consecutive requests of a session that have ended alike: session, first, position, how many, how they ended."""
    run: _Run | None = None
    for session, position, request, message_id in sorted(_parts_of(message_id) for message_id in ids):
        how = known.get(message_id)
        if run is not None and run[:1] + run[2:3] + run[4:] == (session, position, how) and run[1] + run[3] == request:
            run = (session, run[1], position, run[3] + 1, how)
            continue
        if run is not None:
            yield run
        run = (session, request, position, 1, how)
    if run is not None:
        yield run


def _parts_of(message_id: str) -> tuple[str, int, int, str]:
    session, request, position = message_id.split("-")
    return session, int(position), int(request), message_id


def _parent(run: _Run, prefix: str) -> dict[str, Any]:
    session, first, position, count, how = run
    ended = None if how is None else {"fate": how[0], "engine": how[1], "gone": how[2]}
    task = {"session": None if session == prefix else session, "request": first, "position": position}
    return {"task": task, "count": count, "ended": ended}


# By what the extension module calls them; a session that was taken over has lost its tasks here alone.
_FATES = ("ok", "error", "aborted", "lost", "rejected", "rank_lost", "impossible", "timed_out")


def _ended_here(core: Core, results: list[AsyncResult], where: bool) -> Iterator[tuple[str, _Ended]]:
    """How those tasks have ended whose answers are here, and whether the processes that ran them are gone."""
    for result in results:
        ended = zip(result.msg_ids, result._pending.statuses(), result.engine_ids)
        for index, (message_id, status, engine) in enumerate(ended):
            if status in _FATES and status != "lost":
                ran = engine >= 0
                process = result._pending.reply(index).engine_uuid if where and ran else ""
                # Of what another client got long ago, the process may not be known.
                gone = bool(process) and core.engine_uuid(engine) != process
                yield message_id, (status, engine if ran else None, gone)


def _ended_elsewhere(client: Connection, ids: list[str]) -> dict[str, _Ended]:
    """How tasks of other sessions have ended, as the history has it. The controller knows the others."""
    if not ids:
        return {}
    wanted = set(ids)
    deadline = monotonic() + _UNDER_WAY
    while True:
        rows = [task for task in tasks_of(client._core) if task["id"] in wanted]
        missing = wanted - {task["id"] for task in rows}
        if not missing or monotonic() > deadline:
            break
        # Its client may have submitted it just now.
        sleep(_LOOK)
    if missing:
        raise ValueError(
            f"there is no task {min(missing)!r}: none of this session, and none that is remembered of others"
        )
    return {task["id"]: (task["state"], task["engine"], False) for task in rows if task["state"] in _FATES}
