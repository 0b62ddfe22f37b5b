"""Messages from one rank to another: buffers."""

from __future__ import annotations

from typing import Any

from .base import ANY_SOURCE, ANY_TAG, Base, checked_tag
from .requests import Request, Status

__all__ = ["Messages"]


class Messages(Base):
    """Calls with a capital, and looking for messages."""

    def Send(self, buf: Any, dest: int, tag: int = 0, timeout: float | None = None) -> None:
        """Send a buffer to one rank, which must receive it."""
        self._native.send(buf, self._check_rank("dest", dest), checked_tag(tag), self._seconds(timeout))

    def Isend(self, buf: Any, dest: int, tag: int = 0) -> Request:
        """`Send`, begun."""
        return self._begun(self._native.send(buf, self._check_rank("dest", dest), checked_tag(tag), -1.0))

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
        self._native.sendrecv(sendbuf, dest, checked_tag(sendtag), recvbuf, source, recvtag, self._seconds(timeout))

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
