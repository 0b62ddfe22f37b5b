"""Collective calls on buffers that move data."""

from __future__ import annotations

from typing import Any

from .base import Base, ints
from .bridge import bridge
from .requests import Request

__all__ = ["Collectives"]


class Collectives(Base):
    """Calls with a capital, each with its non-blocking form."""

    def Barrier(self, timeout: float | None = None) -> None:
        """Wait until all ranks have come here."""
        self._native.barrier(self._seconds(timeout))

    barrier = Barrier

    def Ibarrier(self) -> Request:
        """`Barrier`, begun."""
        return self._begun(self._native.barrier(-1.0))

    def Bcast(self, buf: Any, root: int = 0, timeout: float | None = None) -> None:
        """Copy the root's buffer to the others' buffers, of the same dtype and size."""
        self._native.bcast(buf, root, self._seconds(timeout))

    def Ibcast(self, buf: Any, root: int = 0) -> Request:
        """`Bcast`, begun."""
        return self._begun(self._native.bcast(buf, root, -1.0))

    def Scatter(self, sendbuf: Any, recvbuf: Any, root: int = 0, timeout: float | None = None) -> None:
        """Give each rank an equal part of the root's buffer, in the order of ranks. On others `sendbuf` is None."""
        self._native.scatter(sendbuf, recvbuf, root, self._seconds(timeout))

    def Iscatter(self, sendbuf: Any, recvbuf: Any, root: int = 0) -> Request:
        """`Scatter`, begun."""
        return self._begun(self._native.scatter(sendbuf, recvbuf, root, -1.0))

    def Scatterv(
        self, sendbuf: Any, recvbuf: Any, counts: Any = None, displs: Any = None, root: int = 0,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        """Give each rank `counts[rank]` elements of the root's buffer, from element `displs[rank]` on.

        Parameters
        ----------
        sendbuf : buffer or None
            On the root: any number of elements.
        recvbuf : buffer or None
            `counts[rank]` elements.
        counts, displs : sequence of int, optional
            On the root. Without `displs` the parts follow each other.
        root : int
            Who gives.
        timeout : float, optional
            Seconds.
        """
        self._scatterv(sendbuf, recvbuf, counts, displs, root, self._seconds(timeout))

    def Iscatterv(self, sendbuf: Any, recvbuf: Any, counts: Any = None, displs: Any = None, root: int = 0) -> Request:
        """`Scatterv`, begun."""
        return self._begun(self._scatterv(sendbuf, recvbuf, counts, displs, root, -1.0))

    def _scatterv(self, sendbuf: Any, recvbuf: Any, counts: Any, displs: Any, root: int, seconds: float) -> Any:
        large = seconds < 0 or self._agree_on_large(counts, displs, root, seconds)
        return self._native.scatterv(sendbuf, recvbuf, ints(counts), ints(displs), root, large, seconds)

    def Gather(self, sendbuf: Any, recvbuf: Any, root: int = 0, timeout: float | None = None) -> None:
        """Put all ranks' buffers, of equal size, behind each other on the root. On others `recvbuf` is None."""
        self._native.gather(sendbuf, recvbuf, root, self._seconds(timeout))

    def Igather(self, sendbuf: Any, recvbuf: Any, root: int = 0) -> Request:
        """`Gather`, begun."""
        return self._begun(self._native.gather(sendbuf, recvbuf, root, -1.0))

    def Gatherv(
        self, sendbuf: Any, recvbuf: Any, counts: Any = None, displs: Any = None, root: int = 0,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        """`Gather` of parts of different sizes: `counts[rank]` elements go to element `displs[rank]` of the root's."""
        self._gatherv(sendbuf, recvbuf, counts, displs, root, self._seconds(timeout))

    def Igatherv(self, sendbuf: Any, recvbuf: Any, counts: Any = None, displs: Any = None, root: int = 0) -> Request:
        """`Gatherv`, begun."""
        return self._begun(self._gatherv(sendbuf, recvbuf, counts, displs, root, -1.0))

    def _gatherv(self, sendbuf: Any, recvbuf: Any, counts: Any, displs: Any, root: int, seconds: float) -> Any:
        large = seconds < 0 or self._agree_on_large(counts, displs, root, seconds)
        return self._native.gatherv(sendbuf, recvbuf, ints(counts), ints(displs), root, large, seconds)

    def Allgather(self, sendbuf: Any, recvbuf: Any, timeout: float | None = None) -> None:
        """`Gather` to all ranks."""
        self._native.allgather(sendbuf, recvbuf, self._seconds(timeout))

    def Iallgather(self, sendbuf: Any, recvbuf: Any) -> Request:
        """`Allgather`, begun."""
        return self._begun(self._native.allgather(sendbuf, recvbuf, -1.0))

    def Allgatherv(
        self, sendbuf: Any, recvbuf: Any, counts: Any, displs: Any = None, timeout: float | None = None
    ) -> None:
        """`Gatherv` to all ranks; counts and displacements are the same on all."""
        self._native.allgatherv(sendbuf, recvbuf, ints(counts), ints(displs), self._seconds(timeout))

    def Iallgatherv(self, sendbuf: Any, recvbuf: Any, counts: Any, displs: Any = None) -> Request:
        """`Allgatherv`, begun."""
        return self._begun(self._native.allgatherv(sendbuf, recvbuf, ints(counts), ints(displs), -1.0))

    def Alltoall(self, sendbuf: Any, recvbuf: Any, timeout: float | None = None) -> None:
        """Part *j* of rank *i*'s buffer becomes part *i* of rank *j*'s; all parts are of equal size."""
        self._native.alltoall(sendbuf, recvbuf, self._seconds(timeout))

    def Ialltoall(self, sendbuf: Any, recvbuf: Any) -> Request:
        """`Alltoall`, begun."""
        return self._begun(self._native.alltoall(sendbuf, recvbuf, -1.0))

    def Alltoallv(
        self, sendbuf: Any, sendcounts: Any, senddispls: Any, recvbuf: Any, recvcounts: Any, recvdispls: Any,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        """`Alltoall` with parts of different sizes."""
        self._alltoallv(sendbuf, sendcounts, senddispls, recvbuf, recvcounts, recvdispls, self._seconds(timeout))

    def Ialltoallv(
        self, sendbuf: Any, sendcounts: Any, senddispls: Any, recvbuf: Any, recvcounts: Any, recvdispls: Any
    ) -> Request:
        """`Alltoallv`, begun."""
        native = self._alltoallv(sendbuf, sendcounts, senddispls, recvbuf, recvcounts, recvdispls, -1.0)
        return self._begun(native)

    def _alltoallv(
        self, sendbuf: Any, sendcounts: Any, senddispls: Any, recvbuf: Any, recvcounts: Any, recvdispls: Any,
        seconds: float,
    ) -> Any:  # fmt: skip
        large = seconds < 0 or self._any_rank_has_large(seconds, sendcounts, senddispls, recvcounts, recvdispls)
        return self._native.alltoallv(
            sendbuf, ints(sendcounts), ints(senddispls), recvbuf, ints(recvcounts), ints(recvdispls), large, seconds
        )

    def _is_large(self, *numbers: int) -> bool:
        large = bridge().is_large
        return any(map(large, numbers))

    def _agree_on_large(self, counts: Any, displs: Any, root: int, seconds: float) -> bool:
        """Whether the root's counts do not fit into C's int, which all ranks have to know: the call is another then.

        A call that does not wait is always that other one, for it cannot ask.
        """
        self._check_rank("root", root)
        if self.size == 1:
            return self._is_large(*(ints(counts) or []), *(ints(displs) or []))
        flag = bytearray(1)
        if self.rank == root and counts is not None:
            flag[0] = self._is_large(sum(ints(counts) or []), *(ints(displs) or []))
        self._native.bcast(flag, root, seconds)
        return bool(flag[0])

    def _any_rank_has_large(self, seconds: float, *lists: Any) -> bool:
        from array import array

        numbers = [number for some in lists for number in (ints(some) or [])]
        found = array("b", [0])
        own = array("b", [self._is_large(sum(ints(lists[0]) or []), sum(ints(lists[2]) or []), *numbers)])
        self._native.allreduce(own, found, "max", seconds)
        return bool(found[0])
