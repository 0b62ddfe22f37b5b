"""Data of the client that reach engines through MPI: it talks to the first engine, and the engines pass them on.

The frames are those that the engines would get otherwise. They go to the first engine in one call and are passed on by
a second, which all engines do together; a third forgets what the second did not take. An engine does the calls of one
client in their order, so nothing waits in between. `mpi.carry` is imported by the functions that need it, because most
clients use no MPI.
"""

from __future__ import annotations

import os
from itertools import count
from pickle import PickleBuffer

from .about import about
from .arguments import argument_frames
from .functions import pack
from .together import CollectedResult, GroupResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from .._core import Pending
    from ..shared.serialize import Frame
    from .calls import Calls

    Via = Literal["auto", "mpi", "direct"]

__all__ = ["MANY_HOSTS", "WORTH_IT", "check_via", "collect", "deal", "is_worth_it", "spread"]

WORTH_IT = 2 << 20
"""Bytes from which on ``via="auto"`` pushes through MPI to engines of many hosts."""
MANY_HOSTS = 5
"""So many, besides the controller's: each of fewer has its copy from there as soon, by ``make bench-mpi``."""

_keys = count()
_PREFIX = os.urandom(8).hex()


def check_via(via: object) -> None:
    """Refuse what is no way for data.

    Raises
    ------
    ValueError
        When it is none of the three.
    """
    if not (isinstance(via, str) and via in ("auto", "mpi", "direct")):
        raise ValueError(f"via is 'auto', 'mpi' or 'direct', not {via!r:.80}")


def is_worth_it(calls: Calls, chosen: list[int], frames: list[Frame]) -> bool:
    """Whether engines get the same data sooner through MPI.

    That is so where the controller would have to send them to many hosts, one after the other. Engines of a host share
    one copy, and what is small arrives before anything was agreed on.
    """
    if len(chosen) < 2 or sum(memoryview(frame).nbytes for frame in frames) < WORTH_IT:
        return False
    engines = {engine["id"]: engine for engine in calls._owner_client.status()["engines"]}
    rows = [engines.get(engine_id) for engine_id in chosen]
    worlds = {_formed_world(row) for row in rows}
    far = {row["host"] for row in rows if row is not None and not row["address"].startswith("ipc:")}
    return len(worlds) == 1 and None not in worlds and len(far) >= MANY_HOSTS


def spread(calls: Calls, chosen: list[int], single: bool, frames: list[Frame]) -> GroupResult:
    """Set the same names on all engines."""
    from ..mpi.carry import spread

    return _passed_on(calls, chosen, single, "push", spread, list(map(PickleBuffer, frames)))


def deal(calls: Calls, chosen: list[int], single: bool, parts: list[list[Frame]]) -> GroupResult:
    """Set names on each engine: its own ones."""
    from ..mpi.carry import deal

    held = [list(map(PickleBuffer, frames)) for frames in parts]
    return _passed_on(calls, chosen, single, "scatter", deal, held)


def collect(
    calls: Calls, chosen: list[int], single: bool, name: str, dist: Literal["b", "r"], texts: bool
) -> CollectedResult:
    """Get a name's values from all engines through the first one."""
    from ..mpi.carry import collect

    told = about("group gather", single=single, dist=dist, texts=texts)
    pending = _together(calls, chosen, collect, (name, None), "gather", told)
    return CollectedResult(calls._owner_client, pending, single, dist, texts=texts)


def _passed_on(
    calls: Calls, chosen: list[int], single: bool, method: str, f: Callable[..., Any], data: Any
) -> GroupResult:
    from ..mpi.carry import drop, keep

    key = f"{_PREFIX}-{next(_keys)}"
    first = chosen[:1]
    submit = calls._core.submit
    submit("apply", [(first, argument_frames((key, data), {}))], function=pack(keep), name=method)
    try:
        told = about("group", method=method, agreed=True, single=single)
        pending = _together(calls, chosen, f, (key, None), method, told)
    finally:
        submit("apply", [(first, argument_frames((key,), {}))], function=pack(drop), name=method)
    return GroupResult(calls._owner_client, pending, method, True, single)


def _together(
    calls: Calls, chosen: list[int], f: Callable[..., Any], args: tuple[Any, ...], name: str, told: bytes
) -> Pending:
    items = [(chosen, argument_frames(args, {}))]
    return calls._core.submit("apply", items, function=pack(f), collective=True, name=name, about=told)


def _formed_world(row: dict[str, Any] | None) -> tuple[str, int] | None:
    world = None if row is None else row.get("world")
    return (world["name"], world["epoch"]) if world and world["formed"] else None
