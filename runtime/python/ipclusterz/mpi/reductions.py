"""Collective calls on buffers that combine data."""

from __future__ import annotations

from typing import Any

from .base import Base, Op, named
from .operators import checked, fold
from .requests import Request

__all__ = ["Reductions"]


class Reductions(Base):
    """Calls with a capital, each with its non-blocking form."""

    def Reduce(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", root: int = 0, timeout: float | None = None) -> None:
        """Combine all ranks' buffers, element by element, on the root.

        Parameters
        ----------
        sendbuf : buffer or None
            What this rank has; on the root None: it is in `recvbuf`.
        recvbuf : buffer or None
            On the root, for the result.
        op : str or callable
            "sum", "prod", "min", "max", "land", "lor", "lxor", "band", "bor", "bxor", "minloc", "maxloc", or a function
            of two arrays that returns an array. A function is applied in the order of ranks, on the root, which has to
            hold all buffers for that.
        root : int
            Who gets it.
        timeout : float, optional
            Seconds.
        """
        if callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.size), root, timeout)
        else:
            self._native.reduce(sendbuf, recvbuf, op, root, self._seconds(timeout))

    def Ireduce(self, sendbuf: Any, recvbuf: Any, op: str = "sum", root: int = 0) -> Request:
        """`Reduce` by one of MPI's operators, begun."""
        return self._begun(self._native.reduce(sendbuf, recvbuf, named(op), root, -1.0))

    def Allreduce(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", timeout: float | None = None) -> None:
        """`Reduce` to all ranks.

        Examples
        --------
        >>> comm.Allreduce(part, total)
        >>> comm.Allreduce(mpi.IN_PLACE, total, op="max")
        """
        if op.__class__ is not str and callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.size), None, timeout)
        else:
            self._native.allreduce(sendbuf, recvbuf, op, self._seconds(timeout))

    def Iallreduce(self, sendbuf: Any, recvbuf: Any, op: str = "sum") -> Request:
        """`Allreduce` by one of MPI's operators, begun."""
        return self._begun(self._native.allreduce(sendbuf, recvbuf, named(op), -1.0))

    def Scan(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", timeout: float | None = None) -> None:
        """Combine the buffers of ranks 0 to this one."""
        if callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.rank + 1), None, timeout)
        else:
            self._native.scan(sendbuf, recvbuf, op, self._seconds(timeout))

    def Iscan(self, sendbuf: Any, recvbuf: Any, op: str = "sum") -> Request:
        """`Scan` by one of MPI's operators, begun."""
        return self._begun(self._native.scan(sendbuf, recvbuf, named(op), -1.0))

    def Exscan(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", timeout: float | None = None) -> None:
        """Combine the buffers of the ranks before this one. Rank 0's receive buffer stays as it was."""
        if callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.rank), None, timeout)
        else:
            self._native.exscan(sendbuf, recvbuf, op, self._seconds(timeout))

    def Iexscan(self, sendbuf: Any, recvbuf: Any, op: str = "sum") -> Request:
        """`Exscan` by one of MPI's operators, begun."""
        return self._begun(self._native.exscan(sendbuf, recvbuf, named(op), -1.0))

    def Reduce_scatter(
        self, sendbuf: Any, recvbuf: Any, recvcounts: Any = None, op: Op = "sum", timeout: float | None = None
    ) -> None:
        """Combine all ranks' buffers, and give each rank its part of the result.

        Parameters
        ----------
        sendbuf : buffer or None
            The sum of all counts of elements; None: it is in `recvbuf`, at whose front the result will be.
        recvbuf : buffer
            `recvcounts[rank]` elements.
        recvcounts : sequence of int, optional
            The same on all ranks; equal parts when it is not given.
        op : str or callable
            As for `Reduce`.
        timeout : float, optional
            Seconds.
        """
        counts = self._counts(sendbuf, recvbuf, recvcounts)
        if not callable(checked(op)):
            self._native.reduce_scatter(sendbuf, recvbuf, counts, op, self._seconds(timeout))
            return
        target = _flat(recvbuf)
        rows = self._rows(recvbuf if sendbuf is None else sendbuf, timeout)
        first = sum(counts[: self.rank])
        result = fold(op, rows).reshape(-1)[first : first + counts[self.rank]]
        target[: counts[self.rank]] = result

    def Ireduce_scatter(self, sendbuf: Any, recvbuf: Any, recvcounts: Any = None, op: str = "sum") -> Request:
        """`Reduce_scatter` by one of MPI's operators, begun."""
        counts = self._counts(sendbuf, recvbuf, recvcounts)
        return self._begun(self._native.reduce_scatter(sendbuf, recvbuf, counts, named(op), -1.0))

    def _counts(self, sendbuf: Any, recvbuf: Any, recvcounts: Any) -> list[int]:
        if recvcounts is not None:
            return [int(count) for count in recvcounts]
        whole = memoryview(recvbuf if sendbuf is None else sendbuf)
        count = whole.nbytes // max(whole.itemsize, 1)
        if count % self.size:
            raise ValueError(
                f"recvcounts: {count} elements are not the same number for each of {self.size} ranks; give counts"
            )
        return [count // self.size] * self.size

    def _rows(self, sendbuf: Any, timeout: float | None) -> list[Any]:
        """All ranks' buffers as arrays of the shape of this rank's."""
        import numpy as np

        own = np.ascontiguousarray(sendbuf)
        rows = np.empty((self.size, *own.shape), own.dtype)
        self._native.allgather(own, rows, self._seconds(timeout))
        return list(rows)

    def _fold_into(
        self, sendbuf: Any, recvbuf: Any, op: Op, ranks: range, root: int | None, timeout: float | None
    ) -> None:
        import numpy as np

        # Checked here as MPI would: the function sees arrays only.
        if root is not None:
            self._check_rank("root", root)
        needed = root is None or root == self.rank
        if sendbuf is None and recvbuf is None:
            raise ValueError("sendbuf: only the root may leave it out")
        if needed and recvbuf is None:
            raise ValueError(f"recvbuf: it is needed on the root, which is rank {root}")
        rows = self._rows(recvbuf if sendbuf is None else sendbuf, timeout)
        if needed and ranks:
            result = np.asarray(fold(op, [rows[rank] for rank in ranks]))
            target = np.asarray(recvbuf)
            if result.size != target.size:
                raise ValueError(f"recvbuf has {target.size} elements, and the result {result.size}")
            target[...] = result.reshape(target.shape)


def _flat(buffer: Any) -> Any:
    import numpy as np

    array = np.asarray(buffer)
    if not array.flags.c_contiguous:
        raise ValueError("recvbuf: the array is not C-contiguous; use numpy.ascontiguousarray(...)")
    return array.reshape(-1)
