"""Calls on any object: messages and collectives with small letters."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .base import ANY_SOURCE, ANY_TAG, Base, Op, checked_tag
from .objects import decode, empty, encode
from .operators import checked, fold
from .requests import Request, Status

__all__ = ["ObjectCalls", "Receiving"]

# Bytes. So many are under way for a few microseconds to milliseconds, and each costs some microseconds here.
_PIECE = 256 << 10

_LARGE = "an exchange of large objects did not end"


class ObjectCalls(Base):
    """Calls with a small letter."""

    def send(self, obj: Any, dest: int, tag: int = 0, timeout: float | None = None) -> None:
        """Send an object to one rank."""
        if not 0 <= dest < self.size or tag < 0:
            self._check_rank("dest", dest)
            checked_tag(tag)
        seconds = self._seconds(timeout)
        self._native.send(encode(obj), dest, tag, seconds)

    def isend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        """`send`, begun; the object may be changed at once."""
        return self._begun(self._native.send(encode(obj), self._check_rank("dest", dest), checked_tag(tag), -1.0))

    def recv(
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None, timeout: float | None = None
    ) -> Any:
        """Receive an object; parameters as for `Recv`."""
        if not ANY_SOURCE <= source < self.size:
            self._check_rank("source", source, any_rank=True)
        seconds = self._seconds(timeout)
        if status is None:
            return decode(self._native.recv_bytes(source, tag, seconds))
        data, told = self._native.recv_told(source, tag, seconds)
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
        native = self._native
        if self.rank == root:
            data = encode(obj)
            if self.size == 1:
                return decode(data)
            native.slots("bcast", [data], root, seconds)
            if len(data) > self._room:
                native.bcast(data, root, seconds)
            return obj
        if not 0 <= root < self.size:
            self._check_rank("root", root)
        (data,) = native.slots("bcast", [], root, seconds)
        if data.__class__ is int:
            data = empty(data)
            native.bcast(data, root, seconds)
        return decode(data)

    def gather(self, obj: Any, root: int = 0, timeout: float | None = None) -> list[Any] | None:
        """All ranks' objects in a list, on the root; None elsewhere."""
        seconds = self._seconds(timeout)
        if not 0 <= root < self.size:
            self._check_rank("root", root)
        data = encode(obj)
        if self._side is None:
            self._open_side(seconds)
        got = self._native.slots("gather", [data], root, seconds)
        if self.rank == root:
            if int in map(type, got):
                self._fetch(got, {root: data}, [], seconds)
            return [decode(some) for some in got]
        if len(data) > self._room:
            self._exchange([(root, data)], [], seconds)
        return None

    def allgather(self, obj: Any, timeout: float | None = None) -> list[Any]:
        """All ranks' objects in a list, on all ranks."""
        seconds = self._seconds(timeout)
        data = encode(obj)
        got = self._native.slots("allgather", [data], 0, seconds)
        # All ranks see the same lengths.
        if int in map(type, got):
            self._fetch_all(got, data, seconds)
        return [decode(some) for some in got]

    def scatter(self, objs: Sequence[Any] | None = None, root: int = 0, timeout: float | None = None) -> Any:
        """One object of the root's sequence for each rank."""
        seconds = self._seconds(timeout)
        if not 0 <= root < self.size:
            self._check_rank("root", root)
        parts = [encode(part) for part in self._one_each("objs", objs)] if self.rank == root else []
        if self._side is None:
            self._open_side(seconds)
        got = self._native.slots("scatter", parts, root, seconds)
        if self.rank == root:
            out = self._long(parts)
            if out:
                self._exchange(out, [], seconds)
            return decode(parts[root])
        if got[0].__class__ is int:
            self._fetch(got, {}, [], seconds, root)
        return decode(got[0])

    def alltoall(self, objs: Sequence[Any], timeout: float | None = None) -> list[Any]:
        """Object *j* of rank *i* becomes object *i* of rank *j*."""
        seconds = self._seconds(timeout)
        parts = [encode(part) for part in self._one_each("objs", objs)]
        if self._side is None:
            self._open_side(seconds)
        got = self._native.slots("alltoall", parts, 0, seconds)
        out = self._long(parts)
        if out or int in map(type, got):
            self._fetch(got, {self.rank: parts[self.rank]}, out, seconds)
        return [decode(some) for some in got]

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

    # -- what does not fit into a slot: see `slots.rs` of the extension module --------------------------------------

    def _open_side(self, seconds: float) -> None:
        """A duplicate for messages that a receiver of the user's, from any rank with any tag, must not see."""
        self._side = self._native.side(seconds)

    def _long(self, parts: list[Any]) -> list[tuple[int, Any]]:
        """Those that do not fit, with the rank that each is for; this rank's own needs no message."""
        if max(map(len, parts)) <= self._room:
            return []
        return [(rank, part) for rank, part in enumerate(parts) if rank != self.rank and len(part) > self._room]

    def _fetch(
        self,
        got: list[Any],
        known: dict[int, Any],
        out: list[tuple[int, Any]],
        seconds: float,
        source: int | None = None,
    ) -> None:
        """Send what does not fit, and put what others sent so in the place of its length.

        `source` is whom the only slot is from; without it there is one of each rank.
        """
        inward = []
        with self._in_step(_LARGE):
            for number, some in enumerate(got):
                if some.__class__ is int:
                    rank = number if source is None else source
                    got[number] = known[rank] if rank in known else empty(some)
                    if rank not in known:
                        inward.append((rank, got[number]))
            if inward or out:
                self._exchange(out, inward, seconds)

    def _fetch_all(self, got: list[Any], data: Any, seconds: float) -> None:
        """The same where all ranks send to all; `data` are those of this rank."""
        long = [some if some.__class__ is int else 0 for some in got]
        whole = empty(sum(long))
        self._native.allgatherv(data if long[self.rank] else b"", whole, long, None, seconds)
        end = 0
        for rank, length in enumerate(long):
            if length:
                got[rank] = whole[end : end + length]
                end += length

    def _exchange(self, out: Iterable[tuple[int, Any]], inward: Iterable[tuple[int, Any]], seconds: float) -> None:
        """Send bytes to ranks and receive others into buffers."""
        side = self._side
        with self._in_step(_LARGE):
            requests = [side.recv(buffer, rank, 0, -1.0)[0] for rank, buffer in inward]
            requests += [side.send(data, rank, 0, -1.0) for rank, data in out]
            for request in requests:
                request.wait(seconds)

    def _pass_on(self, data: Any, timeout: float | None) -> None:
        """The bytes of rank 0 to all, as a pipeline: each rank passes pieces on to the next.

        So they cross each link of a network once, and all links at the same time. A broadcast of MPI's sends the whole
        to one rank after the other where it does not wait, be it a tree.
        """
        seconds = self._seconds(timeout)
        if self._side is None:
            self._open_side(seconds)
        side, view = self._side, memoryview(data)
        pieces = [view[start : start + _PIECE] for start in range(0, view.nbytes, _PIECE)]
        out: deque[Any] = deque()
        with self._in_step(_LARGE):
            inward = deque(side.recv(piece, self.rank - 1, 0, -1.0)[0] for piece in pieces if self.rank)
            for piece in pieces:
                if inward:
                    inward.popleft().wait(seconds)
                if self.rank + 1 < self.size:
                    out.append(side.send(piece, self.rank + 1, 0, -1.0))
            for request in out:
                request.wait(seconds)


class Receiving:
    """A receipt of an object that goes on; see `Comm.irecv`."""

    __slots__ = ("_comm", "_done", "_source", "_tag", "_value")

    def __init__(self, comm: ObjectCalls, source: int, tag: int) -> None:
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
        if not self._done and self._comm._native.probe(self._source, self._tag, -1.0) is not None:
            self.wait()
        return self._done, self._value
