"""What a submission says of itself, so that another client of the session can make its result again.

It is a small JSON that goes to the controller with the first request, and comes back from its history. `remake` reads
it. A call of a function that needs none has none: see `of_call`.
"""

from __future__ import annotations

import json
from functools import lru_cache, partial
from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["about", "checked_label", "name_of", "of_call", "of_map", "of_parts", "runs_of", "sizes_of"]

_NAME_MAX = 64


@lru_cache(maxsize=256)
def about(kind: str, **how: str | bool | int | None) -> bytes:
    """What makes a result of this kind; see the functions of `remake`.

    Examples
    --------
    >>> about("gather", dist="b")
    b'{"as":"gather","dist":"b"}'
    """
    return _json({"as": kind, **how})


def of_call(number: int, single: bool, quiet: bool) -> bytes | None:
    """The same for an `AsyncResult` of a function on so many engines; None: it is as anybody would think.

    That is: one engine means the bare value, and what is written is shown.
    """
    if not quiet and single is (number == 1):
        return None
    return about("call", method="apply", single=single, quiet=quiet)


def of_map(sizes: list[int], **how: Any) -> bytes:
    """The same for a `MapResult`, with the numbers of elements in its chunks."""
    return _json({"as": "map", "sizes": runs_of(sizes), **how})


def of_parts(parts: list[bytes]) -> bytes:
    """What is said of the parts of a map, as if it had been submitted at once."""
    told = [json.loads(part) for part in parts]
    whole = {name: value for name, value in told[0].items() if name != "length"}
    return _json({**whole, "sizes": [run for part in told for run in part["sizes"]]})


def runs_of(sizes: Iterable[int]) -> list[tuple[int, int]]:
    """Equal neighbours as one entry: the number, and how often it is there.

    Examples
    --------
    >>> runs_of([4, 4, 4, 3])
    [(4, 3), (3, 1)]
    """
    return [(size, len(list(equal))) for size, equal in groupby(sizes)]


def sizes_of(runs: Iterable[tuple[int, int]]) -> list[int]:
    """The numbers of which `runs_of` has made this.

    Examples
    --------
    >>> sizes_of([(4, 3), (3, 1)])
    [4, 4, 4, 3]
    """
    return [size for size, times in runs for _ in range(times)]


def name_of(function: object) -> str:
    """What a function is called in lists of tasks: its qualified name, at most 64 characters of it.

    Examples
    --------
    >>> name_of(dict.fromkeys)
    'dict.fromkeys'
    """
    name = getattr(function, "__qualname__", None)
    if type(name) is not str:
        name = name_of(function.func) if isinstance(function, partial) else type(function).__qualname__
    return checked_label(name)


def checked_label(name: str) -> str:
    """As much of a name as lists of tasks have."""
    if len(name) > _NAME_MAX:
        name = name[:_NAME_MAX]
    # It may have been set to anything.
    return name if name.isascii() else name.encode("utf-8", "replace").decode()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
