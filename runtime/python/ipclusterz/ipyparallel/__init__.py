"""The interface of ipyparallel 9.2, for scripts and notebooks that were written for it.

``from ipclusterz import ipyparallel as ipp`` in place of ``import ipyparallel as ipp``. Names, defaults and shapes are
those of ipyparallel; everything that works is the native interface's. Whatever a name does differently is in the
chapter "From ipyparallel" of the manual.

Examples
--------
>>> from ipclusterz import ipyparallel as ipp
>>> with ipp.Cluster(n=2) as clients:
...     clients[:].apply_sync(lambda x: x + 1, 41)
[42, 42]
"""

from __future__ import annotations

from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from typing import Any

from ..client.executor import ViewExecutor
from ..client.terms import Dependency
from ..shared.dependency import interactive, require
from ..shared.reference import Reference
from . import error
from .client import Client
from .cluster import Cluster, ClusterManager
from .functions import ParallelFunction, RemoteFunction, depend, dependent, parallel, remote
from .kernel import bind_kernel, register_joblib_backend, use_cloudpickle, use_dill, use_pickle
from .results import AsyncHubResult, AsyncMapResult, AsyncResult
from .views import BroadcastView, DirectView, LoadBalancedView

__version__ = "9.2.0"
version_info = (9, 2, 0)
"""The release of ipyparallel whose interface this is."""

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "AsyncHubResult",
    "AsyncMapResult",
    "AsyncResult",
    "BroadcastView",
    "Client",
    "Cluster",
    "ClusterManager",
    "Dependency",
    "DirectView",
    "LoadBalancedView",
    "ParallelFunction",
    "Reference",
    "RemoteFunction",
    "ViewExecutor",
    "bind_kernel",
    "depend",
    "dependent",
    "error",
    "interactive",
    "parallel",
    "register_joblib_backend",
    "remote",
    "require",
    "use_cloudpickle",
    "use_dill",
    "use_pickle",
    "version_info",
]


def __getattr__(name: str) -> Any:
    # The errors, some of which are made when they are first used.
    if name in error.NAMES:
        return getattr(error, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *error.NAMES})
