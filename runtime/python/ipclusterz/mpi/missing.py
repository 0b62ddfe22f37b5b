"""Which ranks a collective waited for in vain, and what they are doing instead."""

from __future__ import annotations

import json
from typing import Any

from ..words import printable
from .members import engines
from .members import ranks as members

__all__ = ["engine", "explain", "tell"]

# The engine of this process, which asks the others; None in a program that is no engine.
engine: Any = None

# Of the question to the other engines, whose I/O threads answer while user code runs.
_SECONDS = 3.0
_FRAMES = 6
_MACHINERY = ("/ipclusterz/engine/", "/IPython/core/", "<frozen runpy>")


def tell(comm: str, epoch: int, ranks: list[int], why: str, at_once: bool, seconds: float = 0.0) -> dict[int, Any]:
    """Say to the engines of a communicator that it cannot be used any more, and ask what they are doing.

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
    ids = dict(zip(members(), engines(), strict=True))
    found: dict[int, Any] = engine.inspect(
        [ids[rank] for rank in ranks if rank in ids], seconds, (comm, epoch, why, at_once)
    )
    return found


def explain(comm: str, epoch: int, number: int | None, ranks: list[int], why: str) -> str:
    """Who is not in a collective, with its stack, as the rest of a sentence; empty when nobody can be asked.

    The others are told that the communicator cannot be used any more. Those who are in that collective as well find out
    for themselves who is missing, at their own deadlines.

    Parameters
    ----------
    comm : str
        Name of the communicator, which all its ranks use.
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
    ids = dict(zip(members(), engines(), strict=True))
    missing = []
    for position, rank in enumerate(ranks):
        activity = found.get(ids.get(rank, -1))
        if activity is None:
            missing.append(f"rank {position} (engine {ids.get(rank, 'unknown')}), which does not answer")
            continue
        busy, stack, calls = activity
        entered, inside = _entered(json.loads(calls or "[]"), comm, epoch)
        if entered < number:
            doing = inside or ("runs" if busy else "is idle")
            missing.append(f"rank {position} (engine {ids[rank]}), which {doing}{_told(stack) if busy else ''}")
    if not missing:
        return ": all ranks have entered it"
    return ": it waits for " + "; ".join(missing)


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
