"""`publish_data`: values that a task tells its client while it runs.

They travel with what the task displays, as a mime bundle of a kind of their own: for each name the pickle of its value,
in base64. The client keeps the last value of each name, apart from what is displayed.
"""

from __future__ import annotations

from ..error import PayloadTooLarge
from ..shared.serialize import PROTOCOL, cloud_dumps, plain_dumps
from .streams import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["publish_data"]

_MIME = "application/vnd.ipclusterz.data+json"
# Bytes of all values of a task together.
_MOST = 256 * 1024

# The task that published last, and how large its values are.
_sizes: tuple[int | None, dict[str, int]] = (None, {})


def publish_data(data: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """On an engine: tell the client of the running task some values, which it finds in ``ar.data`` at once.

    Names that are published again get their new values, others stay. What a thread publishes when its task has ended
    goes nowhere.

    Parameters
    ----------
    data : mapping of str to object, optional
        The values by name. Each is pickled; with the names, those of a task may have 256 KiB in all.
    **more
        Further ones.

    Raises
    ------
    RuntimeError
        When this is no engine.
    TypeError
        When `data` is no mapping, or a name in it is no text.
    SerializationError
        When a value cannot be pickled.
    PayloadTooLarge
        When the task's values are too large. None of these is published.

    Examples
    --------
    >>> def train(steps):
    ...     import ipclusterz as ipz
    ...
    ...     for step in range(steps):
    ...         ipz.publish_data({"loss": 1 / (step + 1)}, step=step)
    >>> ar = rc[0].apply_async(train, 4)
    >>> ar.get()
    >>> ar.data
    {'loss': 0.25, 'step': 3}
    """
    display = installed.get("display")
    if display is None:
        raise RuntimeError(
            "publish_data is for code on an engine, and this process is none\n"
            "hint: call it in a function that engines run, or in %%px"
        )
    values = _checked(data) | more
    task = display.task
    if task is None or not values:
        return
    pickles = {name: _pickle(value) for name, value in values.items()}
    _count(task, {name: len(name.encode()) + len(pickle) for name, pickle in pickles.items()})
    # Tasks that publish nothing do not need them.
    from binascii import b2a_base64
    from json import dumps

    texts = {name: b2a_base64(pickle, newline=False).decode() for name, pickle in pickles.items()}
    display.write(dumps({"data": {_MIME: texts}, "metadata": {}}) + "\n")


def _checked(data: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        values = {} if data is None else dict(data)
    except (TypeError, ValueError):
        raise TypeError(f"a dictionary of values by name is published, not {type(data).__name__}") from None
    for name in values:
        if not isinstance(name, str):
            raise TypeError(f"names of published values are text, not {type(name).__name__}: {name!r}")
    return values


def _pickle(value: object) -> bytes:
    try:
        data = plain_dumps(value, PROTOCOL)
    except Exception:
        # It cannot, or cloudpickle can.
        return cloud_dumps(value)
    # What is of the user's own code is not there on the other side.
    return cloud_dumps(value) if b"__main__" in data else data


def _count(task: int, sizes: dict[str, int]) -> None:
    """Count what a task publishes.

    Raises
    ------
    PayloadTooLarge
        When it is too much.
    """
    global _sizes
    before = _sizes[1] if _sizes[0] == task else {}
    after = before | sizes
    total = sum(after.values())
    if total > _MOST:
        bytes_of, largest = max((size, name) for name, size in after.items())
        raise PayloadTooLarge(
            f"a task publishes at most {_MOST} bytes, and with this it would be {total}; {largest!r} has {bytes_of}",
            hint="publish figures that say how far it has come, and return what is large",
        )
    _sizes = (task, after)
