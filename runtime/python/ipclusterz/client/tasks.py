"""Conditions on tasks, as `Client.db_query` takes them: those of ipyparallel for times, states and names.

Pure: rows are dictionaries.
"""

from __future__ import annotations

import operator
from datetime import datetime, timezone
from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Row = dict[str, Any]
    Query = dict[str, Any]

__all__ = ["COLUMNS", "check_columns", "row_of", "select", "since_of", "time_of"]

COLUMNS = (
    *("msg_id", "session", "name", "state", "engine_id", "submitted", "started", "completed", "result_bytes", "why"),
)
"""What is known of a task."""

_ALIASES = {"status": "state"}


def _is_in(value: Any, several: Any) -> bool:
    return value in several


def _is_not_in(value: Any, several: Any) -> bool:
    return value not in several


def _is_like(value: Any, pattern: Any) -> bool:
    return fnmatchcase(value, pattern)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$in": _is_in,
    "$nin": _is_not_in,
    "$glob": _is_like,
}


def row_of(task: dict[str, Any]) -> Row:
    """What the controller says of a task, by the names of `COLUMNS`; times are aware, in UTC, or None."""
    return {
        "msg_id": task["id"],
        "session": task["session"],
        "name": task["name"],
        "state": task["state"],
        "engine_id": task["engine"],
        "submitted": time_of(task["submitted"]),
        "started": time_of(task["started"]),
        "completed": time_of(task["completed"]),
        "result_bytes": task["kept_bytes"],
        "why": task["why"],
    }


def check_columns(names: Iterable[str]) -> list[str]:
    """The columns that are called so.

    Raises
    ------
    ValueError
        When there is no such column; names those that there are.
    """
    columns = [_ALIASES.get(name, name) for name in names]
    for name in columns:
        if name not in COLUMNS:
            raise ValueError(f"tasks have no {name!r:.80}; there are: {', '.join(COLUMNS)}")
    return columns


def select(rows: Iterable[Row], query: Query) -> list[Row]:
    """The rows for which all conditions hold.

    Raises
    ------
    ValueError
        When a column or an operator is unknown; names those that there are.
    """
    conditions = []
    for name, wanted in query.items():
        (column,) = check_columns([name])
        conditions += [(column, holds, value) for holds, value in _conditions(column, wanted)]
    return [row for row in rows if all(_holds(row[column], holds, value) for column, holds, value in conditions)]


def since_of(query: Query) -> float | None:
    """From when on tasks are asked for, seconds since 1970, as far as the query says."""
    wanted = query.get("submitted")
    bounds = [wanted.get("$gt"), wanted.get("$gte")] if isinstance(wanted, dict) else [wanted]
    times = [_aware(value).timestamp() for value in bounds if isinstance(value, datetime)]
    return max(times) if times else None


def _conditions(column: str, wanted: Any) -> list[tuple[Callable[[Any, Any], bool], Any]]:
    if not isinstance(wanted, dict):
        return [(operator.eq, _comparable(column, wanted))]
    found = []
    for name, value in wanted.items():
        if name not in _OPERATORS:
            raise ValueError(f"there is no operator {name!r:.80}; there are: {', '.join(_OPERATORS)}")
        several = name in ("$in", "$nin")
        if several and (isinstance(value, (str, dict)) or not hasattr(value, "__iter__")):
            raise ValueError(f"{name} takes a list of values, not {value!r:.80}")
        if name == "$glob" and not isinstance(value, str):
            raise ValueError(f"$glob takes a pattern as 'step_*', not {value!r:.80}")
        value = [_comparable(column, each) for each in value] if several else _comparable(column, value)
        found.append((_OPERATORS[name], value))
    return found


def _comparable(column: str, value: Any) -> Any:
    """A time may be a datetime, or a number of seconds since 1970."""
    if column in ("submitted", "started", "completed"):
        if isinstance(value, datetime):
            return _aware(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        if value is not None:
            raise ValueError(f"{column} is compared with a datetime or seconds since 1970, not {value!r:.80}")
    return value


def _aware(value: datetime) -> datetime:
    return value.astimezone(timezone.utc)


def _holds(value: Any, holds: Callable[[Any, Any], bool], wanted: Any) -> bool:
    try:
        return holds(value, wanted)
    except TypeError:
        # What has not happened is neither before nor after anything.
        return False


def time_of(seconds: float) -> datetime | None:
    """A time as the controller tells it; None: that has not happened."""
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds > 0 else None
