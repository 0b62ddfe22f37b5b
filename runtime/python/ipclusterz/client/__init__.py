"""The client's side: connect, choose engines, send work, collect answers.

This file only re-exports: ``from ipclusterz import client`` gives ``client.Client`` and ``client.CompositeError``.
"""

from __future__ import annotations

from ..error import (
    AbortedError,
    AuthenticationError,
    ClientClosed,
    CompositeError,
    ConnectionFileError,
    ControllerUnreachable,
    EmptyTargets,
    EngineError,
    HistoryError,
    IpclusterzError,
    NoEnginesRegistered,
    PayloadTooLarge,
    RejectedError,
    RemoteError,
    RemoteKeyError,
    SerializationError,
    SessionTaken,
    UnknownEngine,
    UnmetDependency,
)
from ..shared.dependency import depend, interactive, require
from ..shared.reference import Reference
from ..shared.reply import ExecuteReply
from .asyncresult import AsyncResult
from .balanced import LoadBalancedView
from .client import Client
from .controls import RunningCluster
from .mapping import MapResult
from .remote import ParallelFunction, RemoteFunction
from .view import DirectView, View
from .worker import worker_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..error import TimeoutError

__all__ = [
    "AbortedError",
    "AsyncResult",
    "AuthenticationError",
    "Client",
    "ClientClosed",
    "CompositeError",
    "ConnectionFileError",
    "ControllerUnreachable",
    "DirectView",
    "EmptyTargets",
    "EngineError",
    "ExecuteReply",
    "HistoryError",
    "IpclusterzError",
    "LoadBalancedView",
    "MapResult",
    "NoEnginesRegistered",
    "ParallelFunction",
    "PayloadTooLarge",
    "Reference",
    "RejectedError",
    "RemoteError",
    "RemoteFunction",
    "RemoteKeyError",
    "RunningCluster",
    "SerializationError",
    "SessionTaken",
    "TimeoutError",
    "UnknownEngine",
    "UnmetDependency",
    "View",
    "depend",
    "interactive",
    "require",
    "worker_client",
]


def __getattr__(name: str) -> object:
    # `TimeoutError` imports multiprocessing, which only a caller that names it or waits in vain should pay for.
    if name == "TimeoutError":
        from .. import error

        return error.TimeoutError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
