"""What a client asks of engines so that a value goes straight from one to others. Clients call these by reference.

The bytes go over connections that only processes with the ticket can open: a number and a key that the client has made
for this one time, and that engines are told in calls. See ``runtime/src/transport/handover.rs``.
"""

from __future__ import annotations

from .namespace import current
from .serialize import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ticket = tuple[bytes, bytes]

__all__ = ["WORTH_IT", "give", "pack", "take"]

WORTH_IT = 1 << 20
"""Bytes from which on a value goes straight."""

# How long it can be had, and how long one that wants it tries to reach who has it.
_SECONDS = 60.0
_PATIENCE = 4.0


def pack(name: str) -> list[bytes]:
    """A name's value, as frames to push.

    Raises
    ------
    KeyError
        When it is not there; says which, and on which engine.
    """
    return list(map(bytes, dumps({name: current().pull(name)})))


def give(name: str, ticket: Ticket, takers: int) -> list[bytes] | list[str]:
    """Give a name's value to so many engines.

    Returns
    -------
    list
        Addresses; or, of a small value, its frames.

    Raises
    ------
    KeyError
        As for `pack`.
    """
    from .._core import give

    frames = dumps({name: current().pull(name)})
    if sum(memoryview(frame).nbytes for frame in frames) < WORTH_IT:
        return list(map(bytes, frames))
    return give(frames, ticket, takers, _SECONDS)


def take(addresses: list[str], ticket: Ticket, others: int) -> list[str] | str:
    """Take what another engine gives, set its name here, and give it to so many others of this host.

    Returns
    -------
    list of str or str
        Where they get it; or why that engine cannot be reached from here.
    """
    from .._core import give, take

    try:
        frames = take(addresses, ticket, _PATIENCE)
    except OSError as error:
        return str(error)
    current().push(loads(frames))
    return give(frames, ticket, others, _SECONDS) if others else []
