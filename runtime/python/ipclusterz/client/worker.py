"""A client for code that runs on an engine."""

from __future__ import annotations

import os

from ..error import ClusterError
from ..shared.own import ENGINE_FILE
from .client import Client

__all__ = ["worker_client"]


def worker_client(*, timeout: float = 10, session: str | None = None) -> Client:
    """A client of the cluster whose engine runs this code, for tasks that submit further calls and wait for them.

    It is what ``Client()`` is there, and raises anywhere else. A task that waits does not hold up what it waits for:
    its engine does those of the calls that no other engine has begun. So load-balanced calls come to their end also
    when there is one engine, and when the tasks of all engines wait. A wait for another engine that was chosen
    (``rc[1]``, ``rc[:]``) ends with `RejectedError` when that engine waits likewise, for both might wait for ever.

    Parameters
    ----------
    timeout : float
        Seconds to wait for the controller's answer.
    session : str, optional
        The name of a session, as for `Client`.

    Returns
    -------
    Client

    Raises
    ------
    ClusterError
        When this process is no engine, and none has started it.
    ConnectionFileError
        When the engine's host has no key for clients.

    Examples
    --------
    >>> def total(n):
    ...     with worker_client() as client:
    ...         return sum(client[None].map_sync(abs, range(-n, 0)))
    >>> rc[None].map_sync(total, [1, 2, 3, 4])
    [1, 3, 6, 10]
    """
    if ENGINE_FILE not in os.environ:
        raise ClusterError("worker_client() is for code that runs on an engine", hint="here, use Client()")
    return Client(timeout=timeout, session=session)
