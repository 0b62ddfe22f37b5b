"""How a client ends: what becomes of what it has under way is said, once.

A session without a name ends with its client, and what no engine has begun is given up. One with a name goes on, so its
client first waits until the controller has everything that was submitted.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from weakref import WeakSet

from ..error import IpclusterzError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .._core import Client as Core

    class Closable(Protocol):
        """A client."""

        def close(self) -> None: ...


__all__ = ["close_at_exit", "has_ended", "leave", "leave_freed", "say"]

# How long a client waits for the controller to have what was submitted.
_SECONDS = 10.0

_open: WeakSet[Closable] = WeakSet()
_is_registered = False


def has_ended(client: str) -> bool:
    """Whether a client, as in ``pid 7 on host``, was a process of this host and has ended."""
    _, pid, _, host = client.split(" ", 3)
    return host == os.uname().nodename and not os.path.exists(f"/proc/{pid}")


def leave(core: Core, named: str | None, quiet: bool) -> None:
    """To be called before a connection is closed.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The connection.
    named : str or None
        The name that its session was given.
    quiet : bool
        Say nothing but that something was lost.
    """
    if core.closed:
        return
    given_up, going_on = core.unanswered()
    if named is None:
        if given_up and not quiet:
            say(
                f"closed with {_calls(given_up)} under way, which {_is(given_up)} given up if no engine has begun "
                f"{_them(given_up)}: in a session with a name, Client(session='NAME'), {_they(given_up)} would go on"
            )
        return
    if not going_on:
        return
    if (problem := _wait(core)) is not None:
        say(f"session {named!r} is left before the controller has all of the {_calls(going_on)} under way: {problem}")
    elif not quiet:
        say(f"{_calls(going_on)} {_goes(going_on)} on: Client(session={named!r}) has the results")


def leave_freed(core: Core, named: str | None) -> None:
    """The same for a client that nobody refers to any more."""
    if named is not None:
        with suppress(IpclusterzError):
            leave(core, named, quiet=True)
    core.stop_watching()


def close_at_exit(client: Closable) -> None:
    """Close a client when the interpreter exits, if that was not done before."""
    global _is_registered
    _open.add(client)
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _is_registered and sys.modules["multiprocessing.process"].parent_process() is not None:
        # A child that multiprocessing has forked off does not get to `atexit`.
        _is_registered = True
        util.Finalize(None, _close_all, exitpriority=0)


def say(line: str) -> None:
    """Say a line where the user reads. Nobody waits for that to work."""
    with suppress(Exception):
        sys.stderr.write(f"ipclusterz: {line}\n")
        sys.stderr.flush()


def _wait(core: Core) -> str | None:
    """Wait until the controller has everything; what is wrong if it has not."""
    try:
        if core.leave(_SECONDS):
            return None
    except IpclusterzError as error:
        return error.message
    return core.trouble or f"it takes no more for now, and {_SECONDS:g} s are over"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _goes(number: int) -> str:
    return "goes" if number == 1 else "go"


def _them(number: int) -> str:
    return "it" if number == 1 else "them"


def _they(number: int) -> str:
    return "it" if number == 1 else "they"


def _forget() -> None:
    """In a forked child: the clients are the parent's."""
    global _open, _is_registered
    _open, _is_registered = WeakSet(), False


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _close_all() -> None:
    for client in list(_open):
        with suppress(IpclusterzError):
            client.close()
