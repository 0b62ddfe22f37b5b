"""Hooks: what an engine does when its world goes on with other ranks; the engine calls them."""

from __future__ import annotations

import sys
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .communicator import Comm

    Hook = TypeVar("Hook", bound=Callable[[Comm], Any])

__all__ = ["Hooks", "on_reform", "run_hooks"]


class Hooks:
    """The functions of this engine that are called as `hook(comm)` when a new epoch's communicator was formed.

    They are called on the engine's main thread, before anything else that uses the new communicator, in the order in
    which they were defined. A definition of the same name, such as by a cell that is run again, takes the place of the
    old one. The first world calls none. Nor does one that was started anew (`on_rank_loss = "restart"`): its processes
    are new, and have no hooks until the client defines them again; what is to be restored then is restored by a call.

    Examples
    --------
    >>> from ipclusterz import mpi
    >>> @mpi.on_reform
    ... def say(comm):
    ...     print(f"rank {comm.rank} of {comm.size} in epoch {comm.epoch}")
    >>> mpi.on_reform.names()
    ['...say']
    >>> mpi.on_reform.remove(say)
    """

    def __init__(self) -> None:
        self._hooks: dict[str, Callable[[Comm], Any]] = {}

    def __call__(self, hook: Hook) -> Hook:
        """Add a function; it is returned as it was.

        Raises
        ------
        TypeError
            When it is no function.
        """
        if not callable(hook):
            raise TypeError(f"hook: {hook!r} is no function; give one that takes a communicator")
        self._hooks[_name(hook)] = hook
        return hook

    def remove(self, hook: Callable[[Comm], Any]) -> None:
        """Take a function away, or the one of its name that was defined since.

        Raises
        ------
        ValueError
            When there is none of its name.
        """
        name = _name(hook)
        if name not in self._hooks:
            raise ValueError(f"hook: {name} is not among the hooks; there are {', '.join(self._hooks) or 'none'}")
        del self._hooks[name]

    def clear(self) -> None:
        """Take all away."""
        self._hooks.clear()

    def names(self) -> list[str]:
        """Module and name of each, in the order of their calls."""
        return list(self._hooks)

    def run(self, comm: Comm) -> list[str]:
        """Call all; the errors' texts. One that raises does not keep the next from being called."""
        errors = []
        for name, hook in list(self._hooks.items()):
            try:
                hook(comm)
            except BaseException as error:
                # Also an interrupt and SystemExit: the engine itself goes on.
                traceback.print_exc(file=sys.stderr)
                errors.append(f"hook {name}: {type(error).__name__}: {error}")
            if comm.broken is not None:
                # The others could only fail. When a rank was lost, the next epoch calls all of them again.
                break
        return errors


def _name(hook: Any) -> str:
    kind = hook if hasattr(hook, "__qualname__") else type(hook)
    return f"{kind.__module__}.{kind.__qualname__}"


on_reform = Hooks()


def run_hooks(comm: Comm) -> list[str]:
    """Call all hooks of this engine; the errors' texts, which were also printed."""
    return on_reform.run(comm)
