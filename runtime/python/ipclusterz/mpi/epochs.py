"""The beginning of an epoch in an engine, as the controller tells it."""

from __future__ import annotations

import json
import os

from . import world
from .reform import run_hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["begin"]


def begin(told: bytes, engine_id: int, undisturbed: AbstractContextManager[None]) -> str:
    """Form the communicator of an epoch, and have the user's hooks restore their state.

    Parameters
    ----------
    told : bytes
        JSON of the controller's `Reform`: epoch, ranks, engines, reason.
    engine_id : int
        For messages.
    undisturbed : context manager
        Interrupts wait for its end: an epoch that one rank does not form, none does.

    Returns
    -------
    str
        What the hooks raised, in lines.

    Raises
    ------
    RankLost
        When another rank is lost meanwhile: then another epoch is about to begin.
    MPIError
        When MPI fails.
    """
    reform = json.loads(told)
    try:
        with undisturbed:
            comm = world.reform(reform["epoch"], tuple(reform["ranks"]), tuple(reform["engines"]))
    except KeyboardInterrupt as interrupt:
        # It was for user code, of which there is none.
        if interrupt.__context__ is not None:
            raise interrupt.__context__ from None
        comm = world.comm()
    if not reform["reason"]:
        return ""
    text = (
        f"engine {engine_id}: epoch {comm.epoch} begins with {comm.size} ranks, this is rank {comm.rank}; "
        f"the one before is over: {reform['reason']}\n"
    )
    # To the log: there is no client that this could be shown to.
    os.write(2, text.encode())
    return "\n".join(run_hooks(comm))
