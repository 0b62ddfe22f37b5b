"""Collectives on names in the engines' namespaces. The groups of a client call these functions by reference.

Each is called on all ranks of a group with its communicator. Numeric arrays are combined by MPI itself; any other
values are brought together and combined in Python, in the order of the ranks. `root` is a rank of the group, `out` the
name of the result, `timeout` the seconds for all of it.
"""

from __future__ import annotations

from typing import Any

from ..compat import zip_equal
from ..shared.namespace import current
from ..shared.scatter import join, partition
from .agreement import Agreement
from .objects import empty
from .operators import fold
from .pieces import Array, cut, laid_out, rebuilt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Op
    from .communicator import Comm
    from .pieces import Kind

__all__ = ["allgather", "allreduce", "alltoall", "barrier", "bcast", "gather", "reduce", "scan", "scatter"]

# The kinds of numbers that MPI can combine, for each of its operators (MPI 3.1, section 5.9.2), and numpy's function
# for all others, so that arrays of one kind and of another are combined alike.
_OF_MPI = {
    "sum": "iufc", "prod": "iufc", "min": "iuf", "max": "iuf", "land": "iu", "lor": "iu", "lxor": "iu",
    "band": "iu", "bor": "iu", "bxor": "iu", "minloc": "V", "maxloc": "V",
}  # fmt: skip
_OF_NUMPY = {
    "sum": "add", "prod": "multiply", "min": "minimum", "max": "maximum", "land": "logical_and", "lor": "logical_or",
    "lxor": "logical_xor", "band": "bitwise_and", "bor": "bitwise_or", "bxor": "bitwise_xor",
}  # fmt: skip


def barrier(comm: Comm, timeout: float | None) -> None:
    """Wait until all ranks are here."""
    comm.Barrier(Agreement(comm, timeout).left())


def bcast(comm: Comm, name: str, root: int, out: str, timeout: float | None) -> None:
    """The root's value becomes `out` on all ranks."""
    call = Agreement(comm, timeout)
    is_root = comm.rank == root
    kinds, block = call.tell(lambda: cut(_value(name)) if is_root else (None, None))
    kind: Kind = kinds[root]
    if not is_root:
        block = empty(kind.nbytes)
    comm.Bcast(block, root, call.left())
    _set(out, _value(name) if is_root else rebuilt(kind, block))


def scatter(comm: Comm, name: str, root: int, out: str, timeout: float | None) -> None:
    """Parts of the root's sequence become `out`, contiguous ones whose lengths differ by one at most."""
    call = Agreement(comm, timeout)
    is_root = comm.rank == root
    told, whole = call.tell(lambda: _parts(_value(name), comm.size) if is_root else (None, None))
    kinds, close = told[root]
    counts, places, _ = laid_out(kinds, close)
    own = empty(counts[comm.rank])
    if is_root:
        comm.Scatterv(whole, own, counts, places, root, call.left())
    else:
        comm.Scatterv(None, own, None, None, root, call.left())
    _set(out, rebuilt(kinds[comm.rank], own))


def gather(comm: Comm, name: str, root: int, out: str, timeout: float | None) -> None:
    """The values of all ranks, joined, become `out` on the root."""
    call = Agreement(comm, timeout)
    kinds, block = call.tell(lambda: cut(_value(name)))
    close = _can_be_joined(call, name, kinds)
    whole, places = _brought(call, kinds, block, root, close)
    if whole is not None:
        _set(out, _joined(kinds, whole, places, close))


def allgather(comm: Comm, name: str, out: str, timeout: float | None) -> None:
    """The values of all ranks, joined, become `out` on all ranks."""
    call = Agreement(comm, timeout)
    kinds, block = call.tell(lambda: cut(_value(name)))
    close = _can_be_joined(call, name, kinds)
    whole, places = _brought(call, kinds, block, None, close)
    _set(out, _joined(kinds, whole, places, close))


def alltoall(comm: Comm, name: str, out: str, timeout: float | None) -> None:
    """Part *j* of rank *i*'s sequence becomes part *i* of rank *j*'s `out`."""
    call = Agreement(comm, timeout)
    told, whole = call.tell(lambda: _parts(_value(name), comm.size))
    columns = [[kinds[rank] for kinds, _ in told] for rank in range(comm.size)]
    # All ranks look at what all of them will receive, so that all refuse what one of them could not join.
    close = [_can_be_joined(call, name, kinds) for kinds in columns][comm.rank]
    kinds, sent_close = told[comm.rank]
    counts, places, _ = laid_out(kinds, sent_close)
    incoming = columns[comm.rank]
    in_counts, in_places, length = laid_out(incoming, close)
    received = empty(length)
    comm.Alltoallv(whole, counts, places, received, in_counts, in_places, call.left())
    _set(out, _joined(incoming, received, in_places, close))


def allreduce(comm: Comm, name: str, op: Op, out: str, timeout: float | None) -> None:
    """The values of all ranks, combined, become `out` on all ranks."""
    call = Agreement(comm, timeout)
    kinds, (value, block) = call.tell(lambda: _operand(name))
    if _is_for_mpi(call, name, kinds, op):
        result = _like(value)
        comm.Allreduce(value, result, op, call.left())
    else:
        whole, places = _brought(call, kinds, block, None)
        result = _combined(op, kinds, whole, places)
    _set(out, result)


def reduce(comm: Comm, name: str, op: Op, root: int, out: str, timeout: float | None) -> None:
    """The values of all ranks, combined, become `out` on the root."""
    call = Agreement(comm, timeout)
    kinds, (value, block) = call.tell(lambda: _operand(name))
    is_root = comm.rank == root
    if _is_for_mpi(call, name, kinds, op):
        result = _like(value) if is_root else None
        comm.Reduce(value, result, op, root, call.left())
    else:
        whole, places = _brought(call, kinds, block, root)
        result = _combined(op, kinds, whole, places) if is_root else None
    if is_root:
        _set(out, result)


def scan(comm: Comm, name: str, op: Op, out: str, timeout: float | None) -> None:
    """The values of ranks 0 to this one, combined, become `out`."""
    call = Agreement(comm, timeout)
    kinds, (value, block) = call.tell(lambda: _operand(name))
    if _is_for_mpi(call, name, kinds, op):
        result = _like(value)
        comm.Scan(value, result, op, call.left())
    else:
        whole, places = _brought(call, kinds, block, None)
        result = _combined(op, kinds[: comm.rank + 1], whole, places)
    _set(out, result)


# -- names --------------------------------------------------------------------------------------------------------


def _value(name: str) -> Any:
    return current().pull(name)


def _set(name: str, value: Any) -> None:
    current().push({name: value})


# -- sequences ----------------------------------------------------------------------------------------------------


def _parts(value: Any, count: int) -> tuple[tuple[list[Kind], bool], Any]:
    """The kinds of a sequence's parts, whether they follow each other without gaps, and the block of them all."""
    pieces = [cut(part) for part in partition(value, count)]
    kinds = [kind for kind, _ in pieces]
    if all(isinstance(kind, Array) for kind in kinds):
        # Only an array has such parts, and they lie in it as they are to be sent.
        return (kinds, True), cut(value, any_order=True)[1]
    counts, places, length = laid_out(kinds)
    together = empty(length)
    target = memoryview(together)
    for (_, piece), place, size in zip_equal(pieces, places, counts):
        target[place : place + size] = memoryview(piece)
    return (kinds, False), together


def _can_be_joined(call: Agreement, name: str, kinds: list[Kind]) -> bool:
    """Whether the blocks of all ranks, behind each other, are one array.

    Raises
    ------
    ValueError
        On all ranks, when all of them have arrays that do not fit together.
    """
    if not all(isinstance(kind, Array) and kind.shape for kind in kinds):
        return False
    arrays: list[Any] = kinds
    for rank, kind in enumerate(arrays):
        if kind.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{name}: arrays that are joined along the first axis have the same lengths along all others; "
                f"{_shapes(call, arrays, rank)}"
            )
    return all(kind.dtype == arrays[0].dtype for kind in arrays)


def _joined(kinds: list[Any], whole: Any, places: list[int], close: bool) -> Any:
    if close:
        length = sum(kind.shape[0] for kind in kinds)
        return rebuilt(Array(kinds[0].dtype, (length, *kinds[0].shape[1:])), whole)
    return join(_values(kinds, whole, places))


def _brought(
    call: Agreement, kinds: list[Kind], block: Any, root: int | None, close: bool = False
) -> tuple[Any, list[int]]:
    """The blocks of all ranks, and where they begin; on the root alone if there is one."""
    comm = call.comm
    counts, places, length = laid_out(kinds, close)
    if root is None:
        whole = empty(length)
        comm.Allgatherv(block, whole, counts, places, call.left())
    elif comm.rank == root:
        whole = empty(length)
        comm.Gatherv(block, whole, counts, places, root, call.left())
    else:
        whole = None
        comm.Gatherv(block, None, None, None, root, call.left())
    return whole, places


def _values(kinds: list[Kind], whole: Any, places: list[int]) -> list[Any]:
    view = memoryview(whole)
    # A combination of some ranks' values alone leaves the places of the others over.
    return [rebuilt(kind, view[place : place + kind.nbytes]) for kind, place in zip(kinds, places)]


# -- reductions ---------------------------------------------------------------------------------------------------


def _operand(name: str) -> tuple[Kind, tuple[Any, Any]]:
    """The kind of a value, the value as MPI takes it, and its block."""
    value = _value(name)
    kind, block = cut(value, any_order=True)
    if isinstance(kind, Array):
        value = rebuilt(kind, block)
    return kind, (value, block)


def _is_for_mpi(call: Agreement, name: str, kinds: list[Kind], op: Op) -> bool:
    """Whether MPI can combine what the ranks have.

    Raises
    ------
    ValueError
        On all ranks, when all of them have arrays, of different shapes.
    """
    if not all(isinstance(kind, Array) for kind in kinds):
        return False
    arrays: list[Any] = kinds
    for rank, kind in enumerate(arrays):
        if kind.shape != arrays[0].shape:
            raise ValueError(
                f"{name}: arrays are combined element by element and have the same shape; {_shapes(call, arrays, rank)}"
            )
    dtype = arrays[0].dtype
    same = all(kind.dtype == dtype for kind in arrays)
    return isinstance(op, str) and same and dtype.isnative and dtype.kind in _OF_MPI[op] and dtype.char != "e"


def _combined(op: Op, kinds: list[Kind], whole: Any, places: list[int]) -> Any:
    values = _values(kinds, whole, places)
    if isinstance(op, str) and op in _OF_NUMPY and any(hasattr(value, "__array_ufunc__") for value in values):
        import numpy

        return fold(getattr(numpy, _OF_NUMPY[op]), values)
    return fold(op, values)


def _like(value: Any) -> Any:
    import numpy

    return numpy.empty_like(value)


def _shapes(call: Agreement, kinds: list[Any], rank: int) -> str:
    """The shapes of two ranks that do not fit together."""
    return " and ".join(f"{call.place(index)} has {kinds[index].shape}" for index in (0, rank))
