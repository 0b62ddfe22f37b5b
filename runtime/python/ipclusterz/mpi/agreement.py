"""What ranks tell each other before a collective on values that each of them has in its own namespace.

A rank that stayed away from a call, because a name is not there or a value cannot travel, would leave the others
waiting in it. So each rank prepares its part first, and all tell each other how that went: then all go on, or all raise
the same.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from ..error import SerializationError
from ..shared.namespace import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .communicator import Comm

__all__ = ["Agreement"]

# What is raised as itself on the other ranks too; anything else becomes a RuntimeError.
_KINDS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (KeyError, MemoryError, TypeError, ValueError)}
# Of this one, engines tell where it was raised, and the ranks are to say all the same.
_KINDS[SerializationError.__name__] = TypeError


class Agreement:
    """One collective of a group: its communicator, and how long it may take.

    Parameters
    ----------
    comm : Comm
        The group's.
    timeout : float or None
        Seconds for all calls that it needs, and for making the communicator; the communicator's for each of them when
        left out.
    """

    def __init__(self, comm: Comm, timeout: float | None) -> None:
        self.comm = comm
        began = monotonic() if comm.asked is None else comm.asked
        self._deadline = None if timeout is None else began + timeout

    def left(self) -> float | None:
        """Seconds for the next call."""
        return None if self._deadline is None else round(max(0.0, self._deadline - monotonic()), 3)

    def tell(self, prepare: Callable[[], tuple[Any, Any]]) -> tuple[list[Any], Any]:
        """Prepare this rank's part, and tell the others of it.

        Parameters
        ----------
        prepare : callable
            Gives what the others need to know, and what this rank keeps.

        Returns
        -------
        (list, object)
            What each rank told, and what this one keeps.

        Raises
        ------
        Exception
            On all ranks, when it was raised on one of them; names that rank and its engine.
        """
        kept: Any = None
        told: Any = None
        problem = None
        cause = None
        try:
            told, kept = prepare()
        except Exception as error:
            cause = error
            problem = (type(error).__name__, str(error.args[0]) if type(error) is KeyError else str(error))
        except BaseException as error:
            # An interrupt: the others wait for what this rank will not say.
            self.comm._give_up(f"a collective was interrupted ({type(error).__name__})")
            raise
        answers = self.comm.allgather((current().engine_id, problem, told), self.left())
        for rank, (engine_id, failed, _) in enumerate(answers):
            if failed is not None:
                name, text = failed
                raise _error(name, text, _place(rank, engine_id)) from (cause if rank == self.comm.rank else None)
        self.engine_ids: list[int] = [engine_id for engine_id, _, _ in answers]
        return [answer[2] for answer in answers], kept

    def place(self, rank: int) -> str:
        """A rank, in messages."""
        return _place(rank, self.engine_ids[rank])


def _place(rank: int, engine_id: int) -> str:
    return f"rank {rank} (engine {engine_id})"


def _error(name: str, text: str, place: str) -> Exception:
    kind = _KINDS.get(name)
    return RuntimeError(f"{place}: {name}: {text}") if kind is None else kind(f"{place}: {text}")
