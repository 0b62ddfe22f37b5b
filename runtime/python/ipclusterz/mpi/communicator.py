"""A communicator: mpi4py's rule for names. Capitals work on buffers in place, small letters on any object.

Every call has a deadline, and can be interrupted. What was given up in the middle leaves the ranks out of step, so that the
communicator says that it cannot be used any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .objects import decode, empty, encode
from .operators import checked, fold
from .requests import Request, Status

__all__ = ["ANY_SOURCE", "ANY_TAG", "IN_PLACE", "Comm"]

ANY_SOURCE = -1
ANY_TAG = -1
# Where a send buffer is expected: the data are in the receive buffer.
IN_PLACE = None
# What a broadcast of an object carries at once; a longer one is sent in a second message.
_FIRST = 4096

Op = str | Callable[[Any, Any], Any]


class Comm:
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

    def __init__(self, native: Any, name: str, timeout: float | None) -> None:
        self._native = native
        self.name = name
        self.rank: int = native.rank
        self.size: int = native.size
        self.timeout = timeout

    def __repr__(self) -> str:
        broken = f", broken: {self.broken}" if self.broken else ""
        return f"<ipclusterz.mpi.Comm {self.name}: rank {self.rank} of {self.size}, epoch {self.epoch}{broken}>"

    @property
    def epoch(self) -> int:
        epoch: int = self._native.epoch
        return epoch

    @property
    def broken(self) -> str | None:
        """Why it cannot be used any more; None while it can."""
        why: str | None = self._native.broken
        return why

    def _seconds(self, timeout: float | None) -> float:
        if timeout is None:
            timeout = self.timeout
        if timeout is None:
            return math.inf
        if not timeout >= 0:
            raise ValueError(f"timeout: {timeout!r} is not a number of seconds; give one that is not negative")
        return float(timeout)

    # -- communicators ------------------------------------------------------------------------------------------

    def dup(self, timeout: float | None = None) -> Comm:
        """A communicator of the same ranks, whose messages are apart from those of this one. All ranks must call it."""
        return Comm(self._native.dup(self._seconds(timeout)), f"{self.name}.dup", self.timeout)

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
        return None if made is None else Comm(made, f"{self.name}.split({color})", self.timeout)

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
        return None if made is None else Comm(made, f"{self.name}.group({','.join(map(str, wanted))})", self.timeout)

    def node(self, timeout: float | None = None) -> Comm:
        """The ranks that share memory with this one. All ranks must call it."""
        return Comm(self._native.node(self._seconds(timeout)), f"{self.name}.node", self.timeout)

    def free(self) -> None:
        """Give it back to MPI. All ranks must call it, and nobody may use it afterwards."""
        self._native.free()

    def to_mpi4py(self) -> Any:
        """The same communicator for mpi4py, without a copy; it stays this object's to free.

        Raises
        ------
        ModuleNotFoundError
            When mpi4py is not installed.
        """
        from .foreign import to_mpi4py

        return to_mpi4py(self._native.handle)

    def _check_ranks(self, ranks: list[int]) -> None:
        wrong = [rank for rank in ranks if not 0 <= rank < self.size]
        if wrong or len(set(ranks)) != len(ranks):
            raise ValueError(f"ranks: {ranks} are not ranks of {self.name}, each once; ranks are 0 to {self.size - 1}")

    def _check_rank(self, name: str, rank: int, any_rank: bool = False) -> int:
        if 0 <= rank < self.size or (any_rank and rank == ANY_SOURCE):
            return rank
        extra = ", or ANY_SOURCE" if any_rank else ""
        raise ValueError(f"{name}: there is no rank {rank}; ranks are 0 to {self.size - 1}{extra}")

    # -- buffers: collectives -----------------------------------------------------------------------------------

    def _begun(self, native: Any, timeout: float | None = None) -> Request:
        return Request(native, self._seconds(timeout))

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
        large = self._agree_on_large(counts, displs, root)
        return self._native.scatterv(sendbuf, recvbuf, _ints(counts), _ints(displs), root, large, seconds)

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
        large = self._agree_on_large(counts, displs, root)
        return self._native.gatherv(sendbuf, recvbuf, _ints(counts), _ints(displs), root, large, seconds)

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
        self._native.allgatherv(sendbuf, recvbuf, _ints(counts), _ints(displs), self._seconds(timeout))

    def Iallgatherv(self, sendbuf: Any, recvbuf: Any, counts: Any, displs: Any = None) -> Request:
        """`Allgatherv`, begun."""
        return self._begun(self._native.allgatherv(sendbuf, recvbuf, _ints(counts), _ints(displs), -1.0))

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
        large = self._any_rank_has_large(sendcounts, senddispls, recvcounts, recvdispls)
        return self._native.alltoallv(
            sendbuf, _ints(sendcounts), _ints(senddispls), recvbuf, _ints(recvcounts), _ints(recvdispls), large, seconds
        )

    # -- buffers: reductions ------------------------------------------------------------------------------------

    def Reduce(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", root: int = 0, timeout: float | None = None) -> None:
        """Combine all ranks' buffers, element by element, on the root.

        Parameters
        ----------
        sendbuf : buffer or None
            What this rank has; on the root None: it is in `recvbuf`.
        recvbuf : buffer or None
            On the root, for the result.
        op : str or callable
            "sum", "prod", "min", "max", "land", "lor", "lxor", "band", "bor", "bxor", "minloc", "maxloc", or a function of
            two arrays that returns an array. A function is applied in the order of ranks, on the root, which has to hold
            all buffers for that.
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
        return self._begun(self._native.reduce(sendbuf, recvbuf, _named(op), root, -1.0))

    def Allreduce(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", timeout: float | None = None) -> None:
        """`Reduce` to all ranks.

        Examples
        --------
        >>> comm.Allreduce(part, total)  # doctest: +SKIP
        >>> comm.Allreduce(mpi.IN_PLACE, total, op="max")  # doctest: +SKIP
        """
        if op.__class__ is not str and callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.size), None, timeout)
        else:
            self._native.allreduce(sendbuf, recvbuf, op, self._seconds(timeout))

    def Iallreduce(self, sendbuf: Any, recvbuf: Any, op: str = "sum") -> Request:
        """`Allreduce` by one of MPI's operators, begun."""
        return self._begun(self._native.allreduce(sendbuf, recvbuf, _named(op), -1.0))

    def Scan(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", timeout: float | None = None) -> None:
        """Combine the buffers of ranks 0 to this one."""
        if callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.rank + 1), None, timeout)
        else:
            self._native.scan(sendbuf, recvbuf, op, self._seconds(timeout))

    def Iscan(self, sendbuf: Any, recvbuf: Any, op: str = "sum") -> Request:
        """`Scan` by one of MPI's operators, begun."""
        return self._begun(self._native.scan(sendbuf, recvbuf, _named(op), -1.0))

    def Exscan(self, sendbuf: Any, recvbuf: Any, op: Op = "sum", timeout: float | None = None) -> None:
        """Combine the buffers of the ranks before this one. Rank 0's receive buffer stays as it was."""
        if callable(checked(op)):
            self._fold_into(sendbuf, recvbuf, op, range(self.rank), None, timeout)
        else:
            self._native.exscan(sendbuf, recvbuf, op, self._seconds(timeout))

    def Iexscan(self, sendbuf: Any, recvbuf: Any, op: str = "sum") -> Request:
        """`Exscan` by one of MPI's operators, begun."""
        return self._begun(self._native.exscan(sendbuf, recvbuf, _named(op), -1.0))

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
        rows = self._rows(recvbuf if sendbuf is None else sendbuf, timeout)
        first = sum(counts[: self.rank])
        result = fold(op, rows).reshape(-1)[first : first + counts[self.rank]]
        _flat(recvbuf)[: counts[self.rank]] = result

    def Ireduce_scatter(self, sendbuf: Any, recvbuf: Any, recvcounts: Any = None, op: str = "sum") -> Request:
        """`Reduce_scatter` by one of MPI's operators, begun."""
        counts = self._counts(sendbuf, recvbuf, recvcounts)
        return self._begun(self._native.reduce_scatter(sendbuf, recvbuf, counts, _named(op), -1.0))

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

    # -- buffers: messages --------------------------------------------------------------------------------------

    def Send(self, buf: Any, dest: int, tag: int = 0, timeout: float | None = None) -> None:
        """Send a buffer to one rank, which must receive it."""
        self._native.send(buf, self._check_rank("dest", dest), _tag(tag), self._seconds(timeout))

    def Isend(self, buf: Any, dest: int, tag: int = 0) -> Request:
        """`Send`, begun."""
        return self._begun(self._native.send(buf, self._check_rank("dest", dest), _tag(tag), -1.0))

    def Recv(
        self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        """Receive into a buffer, which may be longer than the message.

        Parameters
        ----------
        buf : buffer
            Written to.
        source, tag : int
            Which message; `ANY_SOURCE` and `ANY_TAG` for the next one.
        status : Status, optional
            Told where it came from, and how long it was.
        timeout : float, optional
            Seconds.
        """
        source = self._check_rank("source", source, any_rank=True)
        _, told = self._native.recv(buf, source, tag, self._seconds(timeout))
        if status is not None:
            status._set(told)

    def Irecv(self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Request:
        """`Recv`, begun."""
        source = self._check_rank("source", source, any_rank=True)
        native, _ = self._native.recv(buf, source, tag, -1.0)

        def finish(told: tuple[int, int, int] | None) -> None:
            if status is not None and told is not None:
                status._set(told)

        return Request(native, self._seconds(None), finish)

    def Sendrecv(
        self, sendbuf: Any, dest: int, sendtag: int, recvbuf: Any, source: int = ANY_SOURCE, recvtag: int = ANY_TAG,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        """Send one buffer and receive another at the same time, as neighbours in a ring do."""
        source = self._check_rank("source", source, any_rank=True)
        dest = self._check_rank("dest", dest)
        self._native.sendrecv(sendbuf, dest, _tag(sendtag), recvbuf, source, recvtag, self._seconds(timeout))

    def Probe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, timeout: float | None = None) -> Status:
        """Wait for a message without receiving it."""
        source = self._check_rank("source", source, any_rank=True)
        return Status(*self._native.probe(source, tag, self._seconds(timeout)))

    def Iprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Status | None:
        """A message that is there and was not received yet; None when there is none."""
        told = self._native.probe(self._check_rank("source", source, any_rank=True), tag, -1.0)
        return None if told is None else Status(*told)

    probe = Probe
    iprobe = Iprobe

    # -- objects ------------------------------------------------------------------------------------------------

    def send(self, obj: Any, dest: int, tag: int = 0, timeout: float | None = None) -> None:
        """Send an object to one rank."""
        self._native.send(encode(obj), self._check_rank("dest", dest), _tag(tag), self._seconds(timeout))

    def isend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        """`send`, begun; the object may be changed at once."""
        return self._begun(self._native.send(encode(obj), self._check_rank("dest", dest), _tag(tag), -1.0))

    def recv(
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None, timeout: float | None = None
    ) -> Any:
        """Receive an object; parameters as for `Recv`."""
        seconds = self._seconds(timeout)
        source = self._check_rank("source", source, any_rank=True)
        message, told = self._native.mprobe(source, tag, seconds)
        data = empty(told[2])
        message.recv(data, seconds)
        if status is not None:
            status._set(told)
        return decode(data)

    def irecv(self, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Receiving:
        """`recv`, begun."""
        return Receiving(self, self._check_rank("source", source, any_rank=True), tag)

    def sendrecv(
        self, obj: Any, dest: int, sendtag: int = 0, source: int = ANY_SOURCE, recvtag: int = ANY_TAG,
        timeout: float | None = None,
    ) -> Any:  # fmt: skip
        """Send one object and receive another."""
        request = self.isend(obj, dest, sendtag)
        value = self.recv(source, recvtag, None, timeout)
        request.wait(timeout)
        return value

    def bcast(self, obj: Any = None, root: int = 0, timeout: float | None = None) -> Any:
        """The root's object, on all ranks."""
        seconds = self._seconds(timeout)
        self._check_rank("root", root)
        if self.size == 1:
            return decode(encode(obj))
        first = bytearray(_FIRST)
        data: Any = b""
        if self.rank == root:
            data = encode(obj)
            first[:8] = len(data).to_bytes(8, "little")
            if len(data) <= _FIRST - 8:
                first[8 : 8 + len(data)] = data
        self._native.bcast(first, root, seconds)
        length = int.from_bytes(first[:8], "little")
        if length <= _FIRST - 8:
            return obj if self.rank == root else decode(memoryview(first)[8 : 8 + length])
        if self.rank != root:
            data = empty(length)
        self._native.bcast(data, root, seconds)
        return obj if self.rank == root else decode(data)

    def gather(self, obj: Any, root: int = 0, timeout: float | None = None) -> list[Any] | None:
        """All ranks' objects in a list, on the root; None elsewhere."""
        self._check_rank("root", root)
        data = encode(obj)
        lengths = self._lengths(len(data), timeout)
        seconds = self._seconds(timeout)
        large = self._is_large(sum(lengths))
        if self.rank != root:
            self._native.gatherv(data, None, None, None, root, large, seconds)
            return None
        whole = empty(sum(lengths))
        self._native.gatherv(data, whole, lengths, None, root, large, seconds)
        return _decode_all(whole, lengths)

    def allgather(self, obj: Any, timeout: float | None = None) -> list[Any]:
        """All ranks' objects in a list, on all ranks."""
        data = encode(obj)
        lengths = self._lengths(len(data), timeout)
        whole = empty(sum(lengths))
        self._native.allgatherv(data, whole, lengths, None, self._seconds(timeout))
        return _decode_all(whole, lengths)

    def scatter(self, objs: Sequence[Any] | None = None, root: int = 0, timeout: float | None = None) -> Any:
        """One object of the root's sequence for each rank."""
        import struct

        self._check_rank("root", root)
        seconds = self._seconds(timeout)
        if self.rank != root:
            head = bytearray(16)
            self._native.scatter(None, head, root, seconds)
            length, large = struct.unpack("<qq", head)
            data = empty(length)
            self._native.scatterv(None, data, None, None, root, bool(large), seconds)
            return decode(data)
        parts = [encode(part) for part in self._one_each("objs", objs)]
        lengths = [len(part) for part in parts]
        is_large = self._is_large(sum(lengths))
        heads = b"".join(struct.pack("<qq", length, is_large) for length in lengths)
        self._native.scatter(heads, bytearray(16), root, seconds)
        data = empty(lengths[root])
        self._native.scatterv(b"".join(parts), data, lengths, None, root, is_large, seconds)
        return decode(data)

    def alltoall(self, objs: Sequence[Any], timeout: float | None = None) -> list[Any]:
        """Object *j* of rank *i* becomes object *i* of rank *j*."""
        from array import array

        seconds = self._seconds(timeout)
        parts = [encode(part) for part in self._one_each("objs", objs)]
        out = array("q", map(len, parts))
        inward = array("q", bytes(8 * self.size))
        self._native.alltoall(out, inward, seconds)
        lengths = inward.tolist()
        whole = empty(sum(lengths))
        large = self._any_rank_has_large(out, None, lengths, None)
        self._native.alltoallv(b"".join(parts), out.tolist(), None, whole, lengths, None, large, seconds)
        return _decode_all(whole, lengths)

    def reduce(self, obj: Any, op: Op = "sum", root: int = 0, timeout: float | None = None) -> Any:
        """All ranks' objects combined in the order of ranks, on the root; None elsewhere."""
        checked(op)
        values = self.gather(obj, root, timeout)
        return None if values is None else fold(op, values)

    def allreduce(self, obj: Any, op: Op = "sum", timeout: float | None = None) -> Any:
        """All ranks' objects combined in the order of ranks, on all ranks."""
        checked(op)
        return fold(op, self.allgather(obj, timeout))

    def scan(self, obj: Any, op: Op = "sum", timeout: float | None = None) -> Any:
        """The objects of ranks 0 to this one combined."""
        checked(op)
        return fold(op, self.allgather(obj, timeout)[: self.rank + 1])

    def exscan(self, obj: Any, op: Op = "sum", timeout: float | None = None) -> Any:
        """The objects of the ranks before this one combined; None on rank 0."""
        checked(op)
        values = self.allgather(obj, timeout)[: self.rank]
        return fold(op, values) if values else None

    def _one_each(self, name: str, objs: Sequence[Any] | None) -> list[Any]:
        parts = [] if objs is None else list(objs)
        if len(parts) != self.size:
            raise ValueError(f"{name}: {len(parts)} objects were given for {self.size} ranks; give one for each")
        return parts

    def _lengths(self, length: int, timeout: float | None) -> list[int]:
        from array import array

        lengths = array("q", bytes(8 * self.size))
        self._native.allgather(array("q", [length]), lengths, self._seconds(timeout))
        return lengths.tolist()

    # -- large counts -------------------------------------------------------------------------------------------

    def _is_large(self, *numbers: int) -> bool:
        from . import world

        large = world.native().is_large
        return any(map(large, numbers))

    def _agree_on_large(self, counts: Any, displs: Any, root: int) -> bool:
        """Whether the root's counts do not fit into C's int, which all ranks have to know: the call is another then."""
        self._check_rank("root", root)
        if self.size == 1:
            return self._is_large(*(_ints(counts) or []), *(_ints(displs) or []))
        flag = bytearray(1)
        if self.rank == root and counts is not None:
            flag[0] = self._is_large(sum(_ints(counts) or []), *(_ints(displs) or []))
        self._native.bcast(flag, root, self._seconds(None))
        return bool(flag[0])

    def _any_rank_has_large(self, *lists: Any) -> bool:
        from array import array

        numbers = [number for some in lists for number in (_ints(some) or [])]
        found = array("b", [0])
        own = array("b", [self._is_large(sum(_ints(lists[0]) or []), sum(_ints(lists[2]) or []), *numbers)])
        self._native.allreduce(own, found, "max", self._seconds(None))
        return bool(found[0])


class Receiving:
    """A receipt of an object that goes on; see `Comm.irecv`."""

    __slots__ = ("_comm", "_done", "_source", "_tag", "_value")

    def __init__(self, comm: Comm, source: int, tag: int) -> None:
        self._comm = comm
        self._source = source
        self._tag = tag
        self._done = False
        self._value: Any = None

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the object."""
        if not self._done:
            self._value = self._comm.recv(self._source, self._tag, None, timeout)
            self._done = True
        return self._value

    def test(self) -> tuple[bool, Any]:
        """Whether it is there, and then the object."""
        if not self._done and self._comm.Iprobe(self._source, self._tag) is not None:
            self.wait()
        return self._done, self._value


def _ints(numbers: Any) -> list[int] | None:
    return None if numbers is None else [int(number) for number in numbers]


def _flat(buffer: Any) -> Any:
    import numpy as np

    return np.asarray(buffer).reshape(-1)


def _tag(tag: int) -> int:
    if tag < 0:
        raise ValueError(f"tag: {tag} is negative; only who receives may ask for any tag")
    return tag


def _named(op: Any) -> str:
    name = checked(op)
    if isinstance(name, str):
        return name
    raise TypeError("op: a function needs the call that waits, for it is applied here; use the name of an operator")


def _decode_all(whole: Any, lengths: Sequence[int]) -> list[Any]:
    view = memoryview(whole)
    values = []
    end = 0
    for length in lengths:
        values.append(decode(view[end : end + length]))
        end += length
    return values
