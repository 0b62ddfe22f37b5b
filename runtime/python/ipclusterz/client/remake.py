"""Results of what another client of the session has submitted, made again as that one had them.

`about` has written down what is read here. What cannot be understood, because a later release has written it, is a
plain `AsyncResult`.
"""

from __future__ import annotations

import json
from typing import Any

from ..error import HistoryError
from .about import sizes_of
from .answers import Failure
from .asyncresult import AsyncResult
from .executor import ViewFuture
from .mapping import MapResult, Retried
from .selection import Selection
from .shapes import ExecuteResult, GatherResult, ZipResult
from .together import CellsTogether, CollectedResult, GroupResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Pending

    Told = dict[str, Any]

__all__ = ["remake", "resubmitted", "selected"]


def remake(client: Any, pending: Pending, op: str, told: Told | None) -> AsyncResult:
    """The result of a submission.

    Parameters
    ----------
    client : Client
        Whose it is to be.
    pending : Pending
        Its answers.
    op : str
        What was done.
    told : dict or None
        What its first client has said of it.
    """
    made: AsyncResult | None = None
    if told is not None and (make := _MAKERS.get(str(told.get("as")))) is not None:
        try:
            made = make(client, pending, told)
        except (KeyError, TypeError, ValueError):
            # Another release has other words.
            made = None
    if made is None:
        made = AsyncResult(client, pending, op.partition("_")[0], len(pending) == 1)
    if told is not None and told.get("quiet") is True:
        made.quiet = True
    return made


def _call(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return AsyncResult(client, pending, told["method"], told["single"])


def _cell(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return ExecuteResult(client, pending, told["method"], told["single"])


def _zip(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return ZipResult(client, pending, told["single"], told["one_name"])


def _gather(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return GatherResult(client, pending, told["single"], told["dist"], told["method"], told.get("texts", False))


def _group(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return GroupResult(client, pending, told["method"], told["agreed"], told["single"])


def _group_cells(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return CellsTogether(client, pending, "execute", False)


def _group_gather(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return CollectedResult(client, pending, told["single"], told["dist"], texts=told.get("texts", False))


def _future(client: Any, pending: Pending, told: Told) -> AsyncResult:
    return ViewFuture(client._balanced(None).executor, pending, told["method"])


def _map(client: Any, pending: Pending, told: Told) -> AsyncResult:
    sizes = sizes_of(told["sizes"])
    if len(sizes) < len(pending):
        raise ValueError(f"{len(sizes)} chunks with {len(pending)} answers")
    # It may have been submitted in part.
    del sizes[len(pending) :]
    returns = told.get("return_exceptions", False)
    if told.get("of") is not None:
        return _retried(client, pending, sizes, told["of"])
    first = told.get("first", 0)
    indexes = range(first, first + sum(sizes))
    return MapResult(client, pending, sizes, told["ordered"], indexes=indexes, return_exceptions=returns)


def _retried(client: Any, pending: Pending, sizes: list[int], of: int) -> AsyncResult:
    before = client._submissions.result_of(of)
    outcomes = before._outcomes(None)
    failed = [index for index, _, value in outcomes if type(value) is Failure]
    if len(failed) != sum(sizes):
        raise ValueError("what failed before is not known any more")
    return Retried(before, pending, sizes, failed, outcomes, None)


_MAKERS: dict[str, Callable[[Any, Pending, Told], AsyncResult]] = {
    "call": _call,
    "cell": _cell,
    "zip": _zip,
    "gather": _gather,
    "group": _group,
    "group cells": _group_cells,
    "group gather": _group_gather,
    "future": _future,
    "map": _map,
}


def resubmitted(client: Any, result: AsyncResult) -> AsyncResult:
    """Submit what a result is of once more.

    Raises
    ------
    HistoryError
        When what it was made of is not kept.
    """
    again = result._pending.again
    if again is None:
        raise HistoryError(
            f"what {result.msg_ids[0]} was called with is not kept here: another client has submitted it, or it had "
            "more than 1 MiB",
            hint="call the function again",
        )
    op, items, how = again
    pending = client._core.submit(op, items, **how)
    told = how["about"]
    return remake(client, pending, op, None if told is None else json.loads(told))


def selected(client: Any, chosen: list[tuple[AsyncResult, int]], single: bool) -> AsyncResult:
    """A result of chosen answers of results: all of a map are its chunks."""
    pending: Any = Selection(chosen)
    methods = {result._method for result, _ in chosen}
    if all(isinstance(result, MapResult) for result, _ in chosen):
        maps: list[tuple[Any, int]] = list(chosen)
        sizes = [result._sizes[index] for result, index in maps]
        indexes = [each for result, index in maps for each in _elements(result, index)]
        return MapResult(client, pending, sizes, True, indexes=indexes)
    method = methods.pop() if len(methods) == 1 else "get_result"
    kind = ExecuteResult if method == "execute" else AsyncResult
    return kind(client, pending, method, single and len(chosen) == 1)


def _elements(result: Any, chunk: int) -> Any:
    return result._indexes[result._starts[chunk] : result._starts[chunk + 1]]
