"""Dask on the engines of a client: `Client.become_dask`. What happens on an engine is in `shared.dask_engine`."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from weakref import WeakKeyDictionary

from ..error import EngineError, RemoteError
from ..shared import dask_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["start", "stop"]

_FIELDS = [
    "tls_ca_file",
    *[f"tls_{role}_{what}" for role in ("client", "scheduler", "worker") for what in ("cert", "key")],
]

# The clients of Dask that were made here, by the client whose engines they use.
_clients: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()


def start(
    rc: Any, engines: list[int], security: bool, scheduler_args: dict[str, Any], worker_args: dict[str, Any]
) -> Any:
    """Have these engines work for a scheduler of Dask.

    Parameters
    ----------
    rc : Client
        Whose engines they are.
    engines : list of int
        Their ids.
    security : bool
        Encrypt Dask's connections, and let in who has the temporary credentials alone.
    scheduler_args, worker_args : dict
        More keywords of `distributed.Scheduler` and of `distributed.Worker`.

    Returns
    -------
    distributed.Client
    """
    if dask_engine.release() is None:
        raise ImportError(
            "become_dask() needs the package distributed: pip install distributed, here and on the engines"
        )
    distributed: Any = import_module("distributed")
    _check_releases(_ask(rc, engines, dask_engine.release), engines)
    there = _ask(rc, engines, dask_engine.running)
    told: Any = next((scheduler for scheduler, _ in there if scheduler is not None), None)
    fresh = told is None
    try:
        if told is None:
            credentials = _credentials() if security else None
            told = _ask(rc, engines[:1], dask_engine.start_scheduler, credentials, scheduler_args)[0]
        address = _address(rc, engines, told)
        workers = [
            rc[[engine]].apply_async(
                dask_engine.start_worker, address, told["credentials"], f"engine-{engine}", worker_args
            )
            for engine in engines
        ]
        for worker in workers:
            worker.get()
        client = distributed.Client(address, security=_security(told["credentials"]))
    except BaseException:
        if fresh:
            with suppress(Exception):
                stop(rc, engines)
        raise
    _clients.setdefault(rc, []).append(client)
    return client


def stop(rc: Any, engines: list[int]) -> None:
    """End what `start` has started."""
    for client in _clients.pop(rc, []):
        with suppress(Exception):
            client.close()
    # Workers first: they say goodbye to their scheduler. An engine that has died has nothing to end.
    for scheduler in (False, True):
        for result in [rc[[engine]].apply_async(dask_engine.stop, scheduler) for engine in engines]:
            with suppress(EngineError, RemoteError):
                result.get()


def _ask(rc: Any, engines: list[int], function: Callable[..., Any], *args: Any) -> list[Any]:
    """Call a function on engines: their answers, in this order."""
    answers = rc[engines].apply_async(function, *args).get_dict()
    return [answers[engine] for engine in engines]


def _check_releases(releases: list[str | None], engines: list[int]) -> None:
    missing = [engine for engine, release in zip(engines, releases) if release is None]
    if missing:
        names = ", ".join(map(str, missing))
        raise ImportError(
            f"become_dask() needs the package distributed on the engines, and it is not on {names}: "
            "pip install distributed where they run"
        )


def _credentials() -> dict[str, str]:
    """A certificate for this one cluster of Dask, and its key: whoever has it not is not let in."""
    distributed: Any = import_module("distributed")
    try:
        made = distributed.Security.temporary()
    except ImportError:
        raise ImportError(
            "become_dask() makes its certificate with the package cryptography: pip install cryptography. On a network "
            "where everybody may use these engines: become_dask(security=False)"
        ) from None
    return {name: getattr(made, name) for name in _FIELDS}


def _security(credentials: dict[str, str] | None) -> Any:
    from ..shared.dask_scheduler import security_of

    return security_of(credentials)


def _address(rc: Any, engines: list[int], told: dict[str, Any]) -> str:
    """Where engines and this process reach the scheduler."""
    hosts, port = told["hosts"], told["port"]
    by_engine = _ask(rc, engines, dask_engine.connectable, hosts, port)
    protocol = "tcp" if told["credentials"] is None else "tls"
    here = dask_engine.connectable(hosts, port)
    for host in hosts:
        if host in here and all(host in found for found in by_engine):
            return f"{protocol}://[{host}]:{port}" if ":" in host else f"{protocol}://{host}:{port}"
    far = [engine for engine, found in zip(engines, by_engine) if not found]
    who = "this process" if not here else "all of them and this process"
    if far:
        who = f"engines {', '.join(map(str, far))}"
    raise ConnectionError(
        f"Dask's scheduler, on the host of engine {engines[0]}, listens on port {port} of {', '.join(hosts)}, and none "
        f"of these can be reached by {who}: become_dask(scheduler_args={{'interface': 'ib0'}}) names a network, "
        "{'port': 8786} a port that a firewall lets through"
    )
