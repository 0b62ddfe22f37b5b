"""Data of a client that go to one engine, or come from one, and that the engines pass on among themselves.

The client's own frames travel, and are unpickled where they belong: so everything is as if the client had talked to
each engine. What is to be passed on waits here until the engines are at it together. Clients call these functions by
reference.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any

from ..compat import zip_equal
from ..shared.namespace import current
from ..shared.serialize import dumps, loads
from .agreement import Agreement
from .objects import empty
from .pieces import frames_of, laid_out, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .communicator import Comm

__all__ = ["collect", "deal", "drop", "keep", "spread"]

# By key: frames for all engines, or a list of frames for each of them.
_kept: dict[str, Any] = {}


def keep(key: str, data: Any) -> None:
    """Hold data for `spread` or `deal`."""
    _kept[key] = data


def drop(key: str) -> None:
    """Forget data that were not passed on."""
    _kept.pop(key, None)


def spread(comm: Comm, key: str, timeout: float | None) -> None:
    """Names that rank 0 keeps are set on all ranks."""
    call = Agreement(comm, timeout)
    is_root = comm.rank == 0
    told, frames = call.tell(lambda: _sized(_taken(key)) if is_root else (None, None))
    if not is_root:
        frames = [empty(size) for size in told[0]]
    for frame in frames:
        comm._pass_on(frame, call.left())
    current().push(loads(frames))


def deal(comm: Comm, key: str, timeout: float | None) -> None:
    """Of the names that rank 0 keeps for each rank, each sets its own."""
    call = Agreement(comm, timeout)
    is_root = comm.rank == 0
    told, parts = call.tell(lambda: _packed_parts(_taken(key)) if is_root else (None, None))
    kinds = told[0]
    own = empty(kinds[comm.rank].nbytes)
    if is_root:
        counts, places, length = laid_out(kinds)
        whole = empty(length)
        target = memoryview(whole)
        for place, count, part in zip_equal(places, counts, parts):
            target[place : place + count] = memoryview(part)
        comm.Scatterv(whole, own, counts, places, 0, call.left())
    else:
        comm.Scatterv(None, own, None, None, 0, call.left())
    current().push(loads(frames_of(kinds[comm.rank], own)))


def collect(comm: Comm, name: str, timeout: float | None) -> list[list[PickleBuffer]] | None:
    """On rank 0: the frames of a name's value on each rank."""
    call = Agreement(comm, timeout)

    def prepare() -> tuple[Any, Any]:
        return packed(dumps(current().pull(name)))

    kinds, block = call.tell(prepare)
    counts, places, length = laid_out(kinds)
    if comm.rank:
        comm.Gatherv(block, None, None, None, 0, call.left())
        return None
    whole = empty(length)
    comm.Gatherv(block, whole, counts, places, 0, call.left())
    view = memoryview(whole)
    blocks = [view[place : place + count] for place, count in zip_equal(places, counts)]
    return [list(map(PickleBuffer, frames_of(kind, part))) for kind, part in zip_equal(kinds, blocks)]


def _taken(key: str) -> Any:
    try:
        return _kept.pop(key)
    except KeyError:
        raise ValueError("the data of this call have not come from the client: that call was aborted") from None


def _sized(frames: Sequence[Any]) -> tuple[list[int], list[memoryview]]:
    views = [memoryview(frame).cast("B") for frame in frames]
    return [view.nbytes for view in views], views


def _packed_parts(parts: Sequence[Sequence[Any]]) -> tuple[list[Any], list[Any]]:
    pieces = [packed(frames) for frames in parts]
    return [kind for kind, _ in pieces], [block for _, block in pieces]
