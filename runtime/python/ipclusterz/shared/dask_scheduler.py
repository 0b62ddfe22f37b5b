"""A scheduler of Dask in a process of its own, beside an engine: ``python -m ipclusterz.shared.dask_scheduler``.

Credentials come through standard input, whose end is the end of the scheduler: so it ends with its engine, however that
ends. One line of standard output says where it listens.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["addresses", "quiet", "security_of"]


def security_of(credentials: dict[str, Any] | None) -> Any:
    """The `distributed.Security` with these credentials: those of temporary TLS, or none."""
    distributed: Any = import_module("distributed")
    return (
        distributed.Security() if credentials is None else distributed.Security(require_encryption=True, **credentials)
    )


def quiet() -> None:
    """Let Dask say warnings alone, and serve no pages: these would be open to everybody."""
    import logging

    # Its own settings of logging are made when it is imported.
    import_module("distributed")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    import_module("dask").config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []})


def addresses() -> list[str]:
    """The addresses of this host, those first by which other hosts are most likely to reach it."""
    # Of what Dask needs itself.
    psutil: Any = import_module("psutil")
    found = [import_module("distributed.utils").get_ip()]
    for family in (socket.AF_INET, socket.AF_INET6):
        for entries in psutil.net_if_addrs().values():
            # Those with a scope are of one link.
            found += [each.address for each in entries if each.family == family and "%" not in each.address]
    return sorted(dict.fromkeys(found), key=_is_loopback)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


async def _serve(given: dict[str, Any]) -> None:
    quiet()
    security = security_of(given["credentials"])
    options = {"port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0", **given["options"]}
    protocol = "tcp" if given["credentials"] is None else "tls"
    distributed: Any = import_module("distributed")
    async with distributed.Scheduler(protocol=protocol, security=security, **options) as scheduler:
        print(json.dumps({"port": scheduler.port, "hosts": _hosts(options, scheduler)}), flush=True)
        # The engine's end of the pipe.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _hosts(options: dict[str, Any], scheduler: Any) -> list[str]:
    if options.get("host") or options.get("interface"):
        parse_host_port = import_module("distributed.comm").parse_host_port
        return [parse_host_port(scheduler.address.rpartition("/")[2])[0]]
    return addresses()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.stdin.readline())))
