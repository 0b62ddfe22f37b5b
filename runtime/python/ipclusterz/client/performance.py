"""A page about a block of code: `performance_report`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from time import time

from .client import Client

__all__ = ["performance_report"]


class performance_report:
    """Write a page about what a cluster did during a block; see `Client.report`.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, also when the block ends with an error.
    client : Client, optional
        A client of the cluster. Left out, that to which ``Client()`` connects.

    Raises
    ------
    HistoryError, OSError
        As of `Client.report`.

    Examples
    --------
    >>> with performance_report("/tmp/block.html", rc):
    ...     lbv.map_sync(abs, [-1, -2])
    [1, 2]
    """

    __slots__ = ("_began", "_client", "_own", "_path")

    def __init__(self, path: str | os.PathLike[str], client: Client | None = None) -> None:
        if client is not None and not isinstance(client, Client):
            raise TypeError(f"performance_report takes a Client, not {type(client).__name__}")
        self._path = os.fspath(path)
        self._client = client
        self._own = ExitStack()
        self._began = 0.0

    def __enter__(self) -> None:
        # Before the block: what cannot be written or reached is said before anything is computed.
        with open(self._path, "w"):
            pass
        if self._client is None:
            self._client = self._own.enter_context(Client())
        self._began = time()

    def __exit__(self, *_: object) -> None:
        with self._own:
            assert self._client is not None
            self._client.report(self._path, since=self._began)
