"""Results of calls that the ranks of a group do together.

What goes wrong in such a call goes wrong for all of them, and is raised once, as what it is.
"""

from __future__ import annotations

from ..compat import zip_equal
from ..error import (
    EngineError,
    IpclusterzError,
    MPIError,
    MPITimeout,
    RankLost,
    RankRaised,
    RejectedError,
    RemoteError,
)
from ..shared.scatter import join
from ..shared.serialize import loads
from .asyncresult import AsyncResult
from .shapes import ExecuteResult, GatherResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .._core import Pending
    from .future import Owner

RANK_LEFT, BROKEN = "rank left", "broken"
"""Classes of errors on ranks that another one has left, or has given the communicator up, in the extension module."""

__all__ = ["CellsTogether", "CollectedResult", "GroupResult"]


class _Together(AsyncResult):
    """Raises the loss of a rank, a deadline, and what all ranks refuse alike, once for all of them."""

    _agreed = False
    """Whether ranks compare notes, so that equal errors are one error."""

    def _failures_as_one(self) -> BaseException | None:
        failed = self._failed()
        return (_once(self._method, failed, self._agreed) if failed else None) or super()._failures_as_one()


class GroupResult(_Together):
    """What each rank of a group gave; a group of one counts as several."""

    def __init__(self, client: Owner, pending: Pending, method: str, agreed: bool, single: bool = False) -> None:
        super().__init__(client, pending, method, single)
        self._agreed = agreed


class CellsTogether(_Together, ExecuteResult):
    """What a cell gave on each rank of a group."""


class CollectedResult(_Together, GatherResult):
    """The parts of a sequence that the group's first engine has collected; they are joined here, as always."""

    _agreed = True

    def _parts(self) -> list[Any]:
        # All come in the first engine's answer.
        return [loads(frames) for frames in self._values[0]]

    def _joined(self) -> Any:
        return join(self._parts(), self._dist, self._texts)

    def _by_engine(self, items: Iterable[tuple[int, Any]]) -> dict[int, Any]:
        return dict(zip_equal(self.engine_ids, self._parts()))

    def _value(self, index: int) -> Any:
        self.wait()
        return self._parts()[index] if self.successful() else self._values[index]


def _once(method: str, failed: list[IpclusterzError], agreed: bool) -> IpclusterzError | None:
    """The one error that several are; None when they are different ones."""
    # Ranks that were left by another one have nothing to say of their own; nor have those that
    # cannot use the communicator any more, where all do the same.
    classes = (RANK_LEFT, BROKEN) if agreed else (RANK_LEFT,)
    causes = [error for error in failed if _class(error) not in classes] or failed
    kinds: tuple[tuple[type[MPIError], tuple[str, ...]], ...]
    kinds = ((RankLost, (MPITimeout.__name__, EngineError.__name__)), (MPITimeout, ()), (RankRaised, ()))
    for kind, beside in kinds:
        names = {_name(error) for error in causes}
        if kind.__name__ in names and names <= {kind.__name__, *beside}:
            return _as_itself(kind, method, [error for error in causes if _name(error) == kind.__name__])
    if not agreed:
        causes = failed
    first = causes[0]
    alike = {(_name(error), _text(error)) for error in causes}
    if len(alike) == 1 and (agreed or isinstance(first, RejectedError)):
        if _name(first) == MPIError.__name__:
            return _as_itself(MPIError, method, causes)
        return first.with_traceback(None)
    return None


def _class(error: IpclusterzError) -> str:
    """MPI's class of an error; empty for others."""
    if not isinstance(error, RemoteError) or error.ename not in (MPIError.__name__, RankRaised.__name__):
        return ""
    original = error.original()
    return original.error_class if isinstance(original, MPIError) else ""


def _as_itself(kind: type[MPIError], method: str, errors: list[IpclusterzError]) -> MPIError:
    """An error of MPI that was raised on engines, as an object of its class that names them."""
    where: dict[str, list[int]] = {}
    for error in errors:
        where.setdefault(_text(error), []).append(error.engine_id)
    lines = [f"engine{'s' * (len(ids) > 1)} {', '.join(map(str, ids))}: {text}" for text, ids in where.items()]
    first = errors[0]
    original = first.original() if isinstance(first, RemoteError) else first
    told = original if isinstance(original, MPIError) else kind()
    raised = kind("\n".join(lines), told.call, told.error_class)
    raised.hint, raised.engine_id, raised.method = first.hint, first.engine_id, method
    if isinstance(raised, RankRaised) and isinstance(told, RankRaised):
        raised.rank, raised.cause = told.rank, told.cause
    raised.__cause__ = first
    return raised


def _name(error: IpclusterzError) -> str:
    return error.ename if isinstance(error, RemoteError) else type(error).__name__


def _text(error: IpclusterzError) -> str:
    return error.evalue if isinstance(error, RemoteError) else error.message
