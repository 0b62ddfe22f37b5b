"""Which tests pytest-xdist gives to the same worker: those that share virtual hosts, or clusters to be damaged.

By the names of tests and of their parameters, which is all that the process that hands them out knows of them; the mark
`xdist_group` and `--dist loadgroup` of pytest-xdist 3.8 have no effect with pytest 9.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling


def hosts_of(nodeid: str) -> str:
    """The virtual hosts that a test runs on; its own name when it needs none.

    Attacks of a file share a cluster, and tests of an older host share that.
    """
    if "/attack/" in nodeid or "test_old_host.py" in nodeid:
        return nodeid.partition("::")[0]
    if "/launchers/" not in nodeid or "[local]" in nodeid or "test_asking.py" in nodeid:
        return nodeid
    if "gridengine" in nodeid or "grid_engine" in nodeid:
        return "gridengine"
    return "separate" if "test_ssh" in nodeid or "[ssh-" in nodeid else "slurm"


class ByHosts(LoadScopeScheduling):
    """The other tests go one by one to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return hosts_of(nodeid)


def scheduler(config: Any, log: Any) -> Any:
    """For the hook of the same purpose."""
    return ByHosts(config, log)
