"""Virtual hosts for the tests of this folder, shared by all tests of a worker, which are checked to leave them clean.

Tests that use the same ones are given to one worker (`workers.py`); otherwise each worker would start its own, which
works too and takes longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest
import sites
import slurm
from gridengine import GridEngine
from helpers import until
from hosts import VirtualHosts
from sites import Site
from sshd import Sshd

CLEAN_SECONDS = 20.0

Hosts = TypeVar("Hosts", VirtualHosts, GridEngine)


def _remains(hosts: VirtualHosts | GridEngine) -> list[str]:
    """Processes on the hosts and jobs in the queue."""
    found = []
    for index, name in enumerate(hosts.names):
        found += [f"{name}: {pid} {line}" for pid, line in hosts.processes(index).items()]
    if isinstance(hosts, GridEngine):
        found += [f"job {line}" for line in hosts.live_jobs()]
    elif hosts.slurm:
        found += [f"job {line}" for line in slurm.live_jobs(hosts)]
    return found


def _checked(hosts: Hosts) -> Iterator[Hosts]:
    yield hosts
    try:
        until(lambda: not _remains(hosts), CLEAN_SECONDS, lambda: "left on hosts:\n" + "\n".join(_remains(hosts)))
    finally:
        hosts.repair()


@pytest.fixture(scope="session")
def _slurm_hosts() -> Iterator[VirtualHosts]:
    with VirtualHosts(3, slurm=True) as hosts:
        yield hosts


@pytest.fixture(scope="session")
def _separate_hosts() -> Iterator[VirtualHosts]:
    with VirtualHosts(3, shared=False) as hosts:
        yield hosts


@pytest.fixture
def hosts(_slurm_hosts: VirtualHosts) -> Iterator[VirtualHosts]:
    """A head and three nodes with a common home folder and Slurm."""
    yield from _checked(_slurm_hosts)


@pytest.fixture
def site(hosts: VirtualHosts) -> Iterator[Site]:
    """The head of the hosts with Slurm, from which jobs are submitted."""
    made = sites.batch(hosts)
    with made.stopped_at_the_end():
        yield made


@pytest.fixture
def separate(_separate_hosts: VirtualHosts) -> Iterator[VirtualHosts]:
    """A head and three hosts, each with a home folder of its own, that share nothing but the network."""
    yield from _checked(_separate_hosts)


@pytest.fixture(scope="session")
def _gridengine_host() -> Iterator[GridEngine]:
    with GridEngine() as host:
        yield host


@pytest.fixture
def gridengine(_gridengine_host: GridEngine) -> Iterator[GridEngine]:
    """A host with Grid Engine."""
    yield from _checked(_gridengine_host)


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    """An SSH server on this machine."""
    with Sshd() as server:
        yield server
