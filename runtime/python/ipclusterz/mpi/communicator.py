"""A communicator: mpi4py's rule for names. Capitals work on buffers in place, small letters on any object.

Every call has a deadline, and can be interrupted. What was given up in the middle leaves the ranks out of step, so that
the communicator says that it cannot be used any more. The calls are in `collectives.py`, `reductions.py`, `messages.py`
and `objectcalls.py`; here are those that make other communicators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import ANY_SOURCE, ANY_TAG, IN_PLACE
from .collectives import Collectives
from .messages import Messages
from .objectcalls import ObjectCalls, Receiving
from .reductions import Reductions

__all__ = ["ANY_SOURCE", "ANY_TAG", "IN_PLACE", "Comm", "Receiving"]


class Comm(Collectives, Reductions, Messages, ObjectCalls):
    """Ranks that talk to each other, in a space of messages of their own.

    Made by `ipclusterz.mpi.comm`, and from each other by `dup`, `split`, `create_group` and `node`.

    Attributes
    ----------
    rank, size : int
        The rank of this engine, and how many there are.
    name : str
        For messages.
    epoch : int
        Counts the worlds: one more each time that ranks were lost and the rest, or new ones, went on.
    timeout : float or None
        Deadline of each call in seconds when the call has none of its own; None: none.
    """

    def dup(self, timeout: float | None = None) -> Comm:
        """A communicator of the same ranks, whose messages are apart from those of this one. All ranks must call it."""
        return Comm(self._native.dup(self._seconds(timeout)), self._child("dup"), self.timeout)

    def split(self, color: int | None, key: int = 0, timeout: float | None = None) -> Comm | None:
        """One communicator for each color; None for ranks whose color is None. All ranks must call it.

        Parameters
        ----------
        color : int or None
            Not negative.
        key : int
            The new ranks are in the order of keys.
        timeout : float, optional
            Seconds.
        """
        if color is not None and color < 0:
            raise ValueError(f"color: {color} is negative; use None for a rank that is to be in no communicator")
        made = self._native.split(-1 if color is None else color, key, self._seconds(timeout))
        # Counted before colours are told apart: the others' colours are not known here.
        name = self._child("split")
        return None if made is None else Comm(made, f"{name}({color})", self.timeout)

    def create_group(self, ranks: Sequence[int], tag: int = 0, timeout: float | None = None) -> Comm | None:
        """A communicator of some ranks, in that order; only these must call it. None where this rank is not one.

        Parameters
        ----------
        ranks : sequence of int
            Ranks of this communicator, each once.
        tag : int
            Tells apart groups that are made at the same time.
        timeout : float, optional
            Seconds.
        """
        wanted = [int(rank) for rank in ranks]
        self._check_ranks(wanted)
        if self.rank not in wanted:
            return None
        made = self._native.create_group(wanted, tag, self._seconds(timeout))
        name = f"group({','.join(map(str, wanted))})"
        return None if made is None else Comm(made, self._child(name), self.timeout)

    def node(self, timeout: float | None = None) -> Comm:
        """The ranks that share memory with this one. All ranks must call it."""
        return Comm(self._native.node(self._seconds(timeout)), self._child("node"), self.timeout)

    def free(self) -> None:
        """Give it back to MPI. All ranks must call it, and nobody may use it afterwards."""
        self._native.free()

    def _child(self, kind: str) -> str:
        """The name of a new communicator, the same on all ranks that make it: they make them in the same order."""
        number = self._children[kind] = self._children.get(kind, 0) + 1
        return f"{self.name}.{kind}" if number == 1 else f"{self.name}.{kind}#{number}"

    def to_mpi4py(self) -> Any:
        """The same communicator for mpi4py, without a copy; it stays this object's to free.

        Raises
        ------
        ModuleNotFoundError
            When mpi4py is not installed.
        MPIError
            When this communicator cannot be used any more: calls of mpi4py would wait in it for ever.
        """
        self._native.check_usable()
        # mpi4py is optional.
        from .foreign import to_mpi4py

        return to_mpi4py(self._native.handle)
