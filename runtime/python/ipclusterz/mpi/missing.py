"""Which ranks a collective waited for in vain, and what they are doing instead."""

from __future__ import annotations

import json
from typing import Any, Optional

from ..compat import zip_equal
from ..words import printable
from .members import engines
from .members import ranks as members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PARENT", "engine", "explain", "explain_making", "tell"]

PARENT = "start"
"""The name of what all communicators of groups and epochs are made from."""

# The engine of this process, which asks the others; None in a program that is no engine.
engine: Any = None

# Of the question to the other engines, whose I/O threads answer while user code runs.
_SECONDS = 3.0
_FRAMES = 6
# So many ranks are named, and of so many it is told where they are.
_MOST = 32
_MOST_STACKS = 8
_MACHINERY = ("/ipclusterz/engine/", "/IPython/core/", "<frozen runpy>")


def tell(comm: str, epoch: int, ranks: list[int], why: str, at_once: bool, seconds: float = 0.0) -> dict[int, Any]:
    """Say to the engines of a communicator that it cannot be used any more, and ask how far they are in it.

    Parameters
    ----------
    comm, epoch, ranks
        As for `explain`.
    why : str
        For errors there.
    at_once : bool
        Whoever waits in it need not wait for its own deadline.
    seconds : float
        To wait for answers.
    """
    if engine is None:
        return {}
    ids = dict(zip_equal(members(), engines()))
    found: dict[int, Any] = engine.inspect(
        [ids[rank] for rank in ranks if rank in ids], seconds, (comm, epoch, why, at_once), False
    )
    return found


def explain(comm: str, epoch: int, number: int | None, ranks: list[int], why: str) -> str:
    """Say to the others that this rank has given up a communicator, and tell which ranks are missing in it.

    All are asked how far they are, which costs them next to nothing; only those that are missing, and only so many, for
    their stacks. So many ranks may time out together.

    Parameters
    ----------
    comm : str
        The communicator's name, the same on all ranks.
    epoch : int
        Its epoch.
    number : int or None
        How many collectives this rank has entered on it: ranks that have entered fewer are missing. None: it waited for
        something else.
    ranks : list of int
        The communicator's ranks, as ranks of MPI_COMM_WORLD.
    why : str
        For errors of the others.
    """
    found = tell(comm, epoch, ranks, why, at_once=False, seconds=0.0 if number is None else _SECONDS)
    if engine is None or number is None:
        return ""

    def absent(calls: list[dict[str, Any]]) -> str | None:
        entered, inside = _entered(calls, comm, epoch)
        return inside if entered < number else None

    return _waits_for(_missing(ranks, found, absent)) or ": all ranks have entered it"


def explain_making(comm: str, epoch: int, ranks: list[int]) -> str:
    """Tell which ranks of MPI_COMM_WORLD have not come to make a communicator of that name, and what they do."""
    if engine is None:
        return ""
    ids = dict(zip_equal(members(), engines()))

    def absent(calls: list[dict[str, Any]]) -> str | None:
        makes = any(call["inside"] and call["comm"] == PARENT for call in calls)
        made = any((call["comm"], call["epoch"]) == (comm, epoch) for call in calls)
        return None if makes or made else _entered(calls, comm, epoch)[1]

    found = engine.inspect([ids[rank] for rank in ranks if rank in ids], _SECONDS, None, False)
    return _waits_for(_missing(ranks, found, absent)) or ": all ranks have come to make it"


# A rank as it is named, its engine if that is busy, and what it is doing.
_Missing = tuple[str, Optional[int], str]


def _missing(
    ranks: list[int], found: dict[int, Any], absent: Callable[[list[dict[str, Any]]], str | None]
) -> list[_Missing]:
    """The ranks that do not answer, or are `absent` by their last calls: that tells which other one they are in."""
    ids = dict(zip_equal(members(), engines()))
    missing: list[_Missing] = []
    for position, rank in enumerate(ranks):
        activity = found.get(ids.get(rank, -1))
        place = f"rank {position} (engine {ids.get(rank, 'unknown')})"
        if activity is None:
            missing.append((place, None, "does not answer"))
            continue
        busy, _, calls, seconds = activity
        inside = absent(json.loads(calls or "[]"))
        if inside is not None:
            missing.append(
                (place, ids[rank] if busy else None, inside or (f"runs (for {seconds:.1f} s)" if busy else "is idle"))
            )
    return missing


def _waits_for(missing: list[_Missing]) -> str:
    busy = [engine_id for _, engine_id, _ in missing if engine_id is not None][:_MOST_STACKS]
    stacks = engine.inspect(busy, _SECONDS) if busy else {}

    def stack(engine_id: int | None) -> str:
        activity = stacks.get(engine_id)
        return "" if activity is None else _told(activity[1])

    lines = [f"{place}, which {doing}{stack(engine_id)}" for place, engine_id, doing in missing[:_MOST]]
    more = [f"{len(missing) - _MOST} more"] if len(missing) > _MOST else []
    return ": it waits for " + "; ".join([*lines, *more]) if missing else ""


def _entered(calls: list[dict[str, Any]], comm: str, epoch: int) -> tuple[int, str]:
    """How many collectives a rank has entered there, and which other one it is inside of, in words."""
    entered = max((call["entered"] for call in calls if (call["comm"], call["epoch"]) == (comm, epoch)), default=0)
    other = [call for call in calls if call["inside"] and call["comm"] != comm]
    return entered, printable(f"is in {other[-1]['call']} of {other[-1]['comm']}") if other else ""


def _told(stack: str) -> str:
    """The innermost lines of a stack that `faulthandler` wrote, innermost first."""
    lines = [line.strip() for line in stack.splitlines() if line.lstrip().startswith("File ")]
    own = [line for line in lines if not any(part in line for part in _MACHINERY)]
    if not own:
        return ""
    more = [f"... and {len(own) - _FRAMES} more"] if len(own) > _FRAMES else []
    return ":\n" + "\n".join(f"    {line}" for line in [*own[:_FRAMES], *more])
