"""Which tests pytest-xdist gives to one worker: those of a file that share virtual hosts, or a cluster to be damaged.

Files that need the same kind of hosts may be any worker's: each worker makes such hosts once. One worker for all of
them would be busy for minutes when the others are done.

By the names of tests and of their parameters, which is all that the process that hands them out knows of them; the mark
`xdist_group` and `--dist loadgroup` of pytest-xdist 3.8 have no effect with pytest 9.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling


def hosts_of(nodeid: str) -> str:
    """The file of a test and the virtual hosts that it runs on; its own name when it needs none.

    Attacks of a file share a cluster, and tests of an older host share that.
    """
    if "/attack/" in nodeid or "test_old_host.py" in nodeid:
        return nodeid.partition("::")[0]
    if "/launchers/" not in nodeid or "[local]" in nodeid or "test_asking.py" in nodeid:
        return nodeid
    # Each of these takes as long to make as its tests to run.
    for alone in ("gridengine", "accounting"):
        if alone in nodeid.replace("grid_engine", "gridengine"):
            return alone
    kind = "separate" if "test_ssh" in nodeid or "[ssh-" in nodeid else "slurm"
    return f"{kind} {nodeid.partition('::')[0]}"


class ByHosts(LoadScopeScheduling):
    """The other tests go one by one to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return hosts_of(nodeid)


def scheduler(config: Any, log: Any) -> Any:
    """For the hook of the same purpose."""
    return ByHosts(config, log)
