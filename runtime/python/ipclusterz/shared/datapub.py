"""Data that a call publishes while it runs: what `AsyncResult.data` has before the call has ended.

It travels as a display of a type that nobody shows.
"""

from __future__ import annotations

from .serialize import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["MIME", "WRITE", "data_of", "publish_data"]

MIME = "application/vnd.ipclusterz.data"

WRITE: list[Callable[[str], object]] = []
"""Writes to what the running task displays; an engine fills this."""


def publish_data(data: dict[str, Any]) -> None:
    """Give names values that the client sees while the task goes on, as ``ar.data``.

    Only in a task, on an engine. What has the same name as before replaces that.

    Parameters
    ----------
    data : dict
        Names and values. They travel with what the task displays, as text: this is for figures of progress and small
        arrays, a few times a second.

    Raises
    ------
    RuntimeError
        When this is no engine.
    TypeError
        When `data` is no dictionary.
    SerializationError
        When it cannot travel.

    Examples
    --------
    >>> def work():
    ...     for step in range(3):
    ...         publish_data({"step": step})
    >>> ar = rc[:2].apply_async(work)
    >>> ar.wait(10), ar.data
    (True, [{'step': 2}, {'step': 2}])
    """
    if not isinstance(data, dict):
        raise TypeError(f"a dictionary of names is needed, not {type(data).__name__}: {data!r:.80}")
    if not WRITE:
        raise RuntimeError("data is published by a task on an engine, and this is none")
    # Start-up: engines import this file, and few tasks publish anything.
    import json
    from base64 import b64encode

    frames = [b64encode(frame).decode() for frame in dumps(data)]
    WRITE[0](json.dumps({"data": {MIME: frames}, "metadata": {}}) + "\n")


def data_of(entry: dict[str, Any]) -> dict[str, Any] | None:
    """What a display has published; None: it is another one's."""
    frames = entry.get("data", {}).get(MIME)
    if frames is None:
        return None
    from base64 import b64decode

    published: dict[str, Any] = loads([b64decode(frame) for frame in frames])
    return published
