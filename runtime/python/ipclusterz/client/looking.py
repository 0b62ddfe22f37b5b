"""The part of `Client` with which to look on: what runs, where, and since when."""

from __future__ import annotations

import os
from time import time

from .steering import Steering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .events import Events

__all__ = ["Looking"]


class Looking(Steering):
    """The part of `Client` with which to look on."""

    __slots__ = ()

    def events(self, *, since: float | None = None, follow: bool = True, timeout: float | None = None) -> Events:
        """What happens in the cluster: tasks of all clients, engines, sessions, epochs of MPI programs.

        The first events are a *scene*: what there was at that time, as the events that have led there. Then comes what
        happens, as it happens.

        Parameters
        ----------
        since : float, optional
            Begin there, seconds since 1970; 0 for as long ago as the controller remembers, which is an hour
            (``controller.keep_events``). Left out, now.
        follow : bool, optional
            Wait for what comes, until the cluster ends or the iterator is closed. False: only what there is.
        timeout : float, optional
            End when nothing has happened for so many seconds. Left out, or -1: never.

        Returns
        -------
        Events
            An iterator over dictionaries, also with ``async for``. Each has ``"event"``, what it is, and ``"at"``,
            when, in seconds since 1970; ``docs/how-to/see.md`` has the rest.

        Raises
        ------
        HistoryError
            When the cluster tells no events, or its controller is of an older release.

        Examples
        --------
        >>> lbv.apply(divmod, 7, 2).get()
        (3, 1)
        >>> ended = [each for each in rc.events(since=0, follow=False) if each["event"] == "ended"]
        >>> ended[-1]["name"], ended[-1]["state"]
        ('divmod', 'ok')
        """
        from .events import Events

        return Events(self._core, None if since is None else _time("since", since), follow, timeout)

    def timeline(self, path: str | os.PathLike[str], *, since: float = 0) -> int:
        """Write a picture of what has happened: https://ui.perfetto.dev and Chrome's ``chrome://tracing`` show it.

        Each engine has a row with its tasks, and arrows lead there from where they were submitted, and back. What
        engines use of processors and memory are curves. The file is in the `Trace Event Format
        <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>`_.

        Parameters
        ----------
        path : str or os.PathLike
            The file to write.
        since : float, optional
            Begin there, seconds since 1970. Left out, as long ago as the controller remembers, which is an hour
            (``controller.keep_events``).

        Returns
        -------
        int
            How many events it is made of.

        Raises
        ------
        HistoryError
            When the cluster tells no events, or its controller is of an older release.
        OSError
            When the file cannot be written.

        Examples
        --------
        >>> lbv.map_sync(abs, [-1, -2])
        [1, 2]
        >>> rc.timeline("/tmp/timeline.json") > 0
        True
        """
        return self._core.timeline(os.fspath(path), _time("since", since))

    def report(self, path: str | os.PathLike[str], *, since: float = 0) -> None:
        """Write a page about what the cluster did: where the time went, and which functions and engines took it.

        The page is one file of HTML that needs no network. It has the task stream, a row for each engine; how long
        tasks waited, travelled and ran; the ten slowest functions and the ten busiest engines; and what failed.

        Parameters
        ----------
        path : str or os.PathLike
            The file to write.
        since : float, optional
            Begin there, seconds since 1970. Left out, as long ago as the controller remembers, which is an hour
            (``controller.keep_events``).

        Raises
        ------
        HistoryError
            When the cluster tells no events, or its controller is of an older release.
        OSError
            When the file cannot be written.

        See Also
        --------
        ipclusterz.performance_report : the same of a block.

        Examples
        --------
        >>> lbv.map_sync(abs, [-1, -2])
        [1, 2]
        >>> rc.report("/tmp/report.html")
        """
        from .report import page, read

        since = _time("since", since)
        text = page(read(self.events(since=since, follow=False), since, time()), self._core.cluster)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _time(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ValueError(f"{name}={value!r}: give seconds since 1970, as time.time() has them, or 0 for all there is")
    return value
