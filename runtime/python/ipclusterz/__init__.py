"""Interactive parallel Python on clusters.

`Client` connects to a running cluster, `Cluster` starts one around a block. This file only names what is public;
each name is imported when it is first used, because every engine imports this package and must start at once.

Examples
--------
>>> import ipclusterz as ipz
>>> with ipz.Cluster(n=2) as rc:
...     rc[:].apply_sync(lambda x: x + 1, 41)
{0: 42, 1: 42}
"""

from __future__ import annotations

# The extension module refuses to be loaded into files of another release.
__version__ = "0.2.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import client, error
    from .client.asyncresult import AsyncResult
    from .client.balanced import LoadBalancedView
    from .client.client import Client
    from .client.performance import performance_report
    from .client.remote import ParallelFunction, RemoteFunction
    from .client.terms import Dependency
    from .client.view import DirectView
    from .client.worker import worker_client
    from .cluster import Cluster
    from .engine.ending import before_end
    from .engine.kernel import bind_kernel
    from .engine.publish import publish_data
    from .error import (
        AbortedError,
        AuthenticationError,
        ClientClosed,
        ClusterError,
        CompositeError,
        ConnectionFileError,
        ControllerUnreachable,
        EmptyTargets,
        EngineError,
        HistoryError,
        ImpossibleDependency,
        InternalError,
        IpclusterzError,
        JournalLeft,
        MPIError,
        MPITimeout,
        NoEnginesRegistered,
        PayloadTooLarge,
        RankLost,
        RankRaised,
        RejectedError,
        RemoteError,
        RemoteKeyError,
        SerializationError,
        SessionTaken,
        TaskTimeout,
        TimeoutError,
        UnknownEngine,
        UnmetDependency,
        VersionError,
    )
    from .shared.current import task
    from .shared.dependency import depend, dependent, interactive, require
    from .shared.reference import Reference
    from .shared.reply import ExecuteReply
    from .shared.uploads import uploaded

__all__ = [
    "AbortedError",
    "AsyncResult",
    "AuthenticationError",
    "Client",
    "ClientClosed",
    "Cluster",
    "ClusterError",
    "CompositeError",
    "ConnectionFileError",
    "ControllerUnreachable",
    "Dependency",
    "DirectView",
    "EmptyTargets",
    "EngineError",
    "ExecuteReply",
    "HistoryError",
    "ImpossibleDependency",
    "InternalError",
    "IpclusterzError",
    "JournalLeft",
    "LoadBalancedView",
    "MPIError",
    "MPITimeout",
    "NoEnginesRegistered",
    "ParallelFunction",
    "PayloadTooLarge",
    "RankLost",
    "RankRaised",
    "Reference",
    "RejectedError",
    "RemoteError",
    "RemoteFunction",
    "RemoteKeyError",
    "SerializationError",
    "SessionTaken",
    "TaskTimeout",
    "TimeoutError",
    "UnknownEngine",
    "UnmetDependency",
    "VersionError",
    "__version__",
    "before_end",
    "bind_kernel",
    "client",
    "depend",
    "dependent",
    "error",
    "interactive",
    "performance_report",
    "publish_data",
    "require",
    "task",
    "uploaded",
    "worker_client",
]

_MODULE_OF = {
    "AsyncResult": "client.asyncresult",
    "Client": "client.client",
    "Cluster": "cluster",
    "Dependency": "client.terms",
    "DirectView": "client.view",
    "ExecuteReply": "shared.reply",
    "LoadBalancedView": "client.balanced",
    "ParallelFunction": "client.remote",
    "Reference": "shared.reference",
    "RemoteFunction": "client.remote",
    "before_end": "engine.ending",
    "bind_kernel": "engine.kernel",
    "depend": "shared.dependency",
    "dependent": "shared.dependency",
    "interactive": "shared.dependency",
    "performance_report": "client.performance",
    "publish_data": "engine.publish",
    "require": "shared.dependency",
    "task": "shared.current",
    "uploaded": "shared.uploads",
    "worker_client": "client.worker",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object
    if name in ("client", "error"):
        value = import_module(f".{name}", __name__)
    else:
        value = getattr(import_module(f".{_MODULE_OF.get(name, 'error')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
