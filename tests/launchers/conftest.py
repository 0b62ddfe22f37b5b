"""Virtual hosts for the tests of this folder, shared by all tests of a worker, which are checked to leave them clean.

Tests of a file that use the same ones are given to one worker (`workers.py`); each worker starts its own, once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sites
import slurm
import small_environment
from helpers import until
from hosts import VirtualHosts
from queue_host import GridEngine, QueueHost
from sites import Site
from slow_folder import Slow, slow_folder
from sshd import Sshd
from system import run

CLEAN_SECONDS = 20.0

Hosts = TypeVar("Hosts", bound=VirtualHosts | QueueHost)


def _remains(hosts: VirtualHosts | QueueHost) -> list[str]:
    """Processes on the hosts and jobs in the queue."""
    found = []
    for index, name in enumerate(hosts.names):
        found += [f"{name}: {pid} {line}" for pid, line in hosts.processes(index).items()]
    if isinstance(hosts, QueueHost):
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


@pytest.fixture(scope="session")
def _accounting_hosts() -> Iterator[VirtualHosts]:
    with VirtualHosts(1, slurm=True, accounting=True) as hosts:
        yield hosts


@pytest.fixture
def accounting_site(_accounting_hosts: VirtualHosts) -> Iterator[Site]:
    """The head, with a Slurm that has accounts."""
    for hosts in _checked(_accounting_hosts):
        made = sites.batch(hosts)
        with made.stopped_at_the_end():
            yield made


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


@contextlib.contextmanager
def _with_slow_folder(source: Path, **options: Any) -> Iterator[tuple[VirtualHosts, Slow]]:
    # Hosts have a /tmp of their own.
    folder = Path(f"/var/tmp/izslow-{os.getpid()}-{source.name}")
    small_environment.make(source / "env")
    run("tar", "-czf", str(source / "env.tar.gz"), "-C", str(source / "env"), ".")
    run("mksquashfs", str(source / "env"), str(source / "env.squashfs"), "-quiet", "-no-progress")
    small_environment.make_base(source / "python")
    small_environment.make(source / "all-there", folder / "python")
    with slow_folder(source, folder) as slow, VirtualHosts(3, **options) as hosts:
        yield hosts, slow


@pytest.fixture(scope="session")
def _slow_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VirtualHosts, Slow]]:
    with _with_slow_folder(tmp_path_factory.mktemp("separate"), shared=False) as made:
        yield made


@pytest.fixture(scope="session")
def _slow_slurm_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VirtualHosts, Slow]]:
    with _with_slow_folder(tmp_path_factory.mktemp("slurm"), slurm=True) as made:
        yield made


@pytest.fixture
def slow_slurm_hosts(_slow_slurm_hosts: tuple[VirtualHosts, Slow]) -> Iterator[tuple[VirtualHosts, Slow]]:
    """Hosts with Slurm that share such a folder, and a home."""
    hosts, slow = _slow_slurm_hosts
    for _ in _checked(hosts):
        slow.wait(0.01)
        slow.forget()
        yield hosts, slow


@pytest.fixture
def slow_hosts(_slow_hosts: tuple[VirtualHosts, Slow]) -> Iterator[tuple[VirtualHosts, Slow]]:
    """Hosts that share a slow folder, and nothing else.

    In it are an environment, `env`, and another one, `all-there`, whose interpreter is in the folder, too;
    `env.tar.gz` and `env.squashfs` are archives of the first.
    """
    hosts, slow = _slow_hosts
    for _ in _checked(hosts):
        slow.wait(0.01)
        slow.forget()
        yield hosts, slow


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
