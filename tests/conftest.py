"""Clusters for tests, each in folders of its own, and the check that nothing is left behind.

Every worker of pytest-xdist is a process with its own state folder, socket folder and cluster, so tests may run side by
side. What a test itself does is in `tests/python`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

# Before anything reads them. A path of a unix socket has 107 bytes at most, so this one must be short.
FOLDER = Path(tempfile.mkdtemp(prefix="ipz", dir="/tmp"))
for variable, name in (("IPCLUSTERZ_HOME", "h"), ("XDG_RUNTIME_DIR", "r")):
    (FOLDER / name).mkdir(mode=0o700)
    os.environ[variable] = str(FOLDER / name)

import ipclusterz as ipz  # noqa: E402
from ipclusterz import Client, Cluster  # noqa: E402

TEST_SECONDS = 60
LEAK_SECONDS = 10.0

_PR_SET_CHILD_SUBREAPER = 36


def pytest_configure() -> None:
    # What a killed launcher leaves behind becomes a child of this process, where the leak check finds it.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from workers import scheduler

    return scheduler(config, log)


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


def remains() -> set[str]:
    """Processes and folders that belong to clusters of this process."""
    from helpers import OUTLIVE_A_TEST

    found = set()
    namespace = os.readlink("/proc/self/ns/pid")
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                if process.ppid() == os.getpid():
                    os.waitpid(process.pid, os.WNOHANG)
                continue
            # Virtual hosts have pid namespaces of their own, and their fixtures look into these.
            if process.pid in OUTLIVE_A_TEST or os.readlink(f"/proc/{process.pid}/ns/pid") != namespace:
                continue
            found.add(f"process {process.pid}: {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, ChildProcessError, FileNotFoundError, ProcessLookupError):
            continue
    folders = [*(FOLDER / "r").glob("*/*"), *(FOLDER / "h").glob("clusters/*/*.json")]
    # Clusters of tests have this process's id in their names; another worker's are none of our business.
    folders += Path("/dev/shm").glob(f"ipclusterz-*{os.getpid()}*")
    return found | {str(folder) for folder in folders}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process, a socket folder, a connection file or shared memory behind."""
    from helpers import until

    before = remains()
    yield
    until(lambda: not remains() - before, LEAK_SECONDS, lambda: f"left behind: {sorted(remains() - before)}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Four engines for all tests that leave them as they were."""
    shared = Cluster(n=4, cluster=f"shared-{os.getpid()}")
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def rc(cluster: Cluster) -> Iterator[Client]:
    """A client of the shared cluster, whose namespaces are empty."""
    with cluster.connect_client() as client:
        yield client
        client[:].clear(block=True)


@pytest.fixture
def lview(rc: Client) -> ipz.LoadBalancedView:
    """The load-balanced view of the shared cluster."""
    return rc.load_balanced_view()


@pytest.fixture
def own_cluster() -> Iterator[Callable[..., Cluster]]:
    """Makes clusters that the test may damage."""
    made: list[Cluster] = []

    def make(n: int = 2, **options: object) -> Cluster:
        options.setdefault("cluster", f"own{len(made)}-{os.getpid()}")
        cluster = Cluster(n=n, **options)  # type: ignore[arg-type]
        made.append(cluster)
        return cluster.start()

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that `helpers.hold` waits for on the engines; it appears when the test ends, if not before."""
    file = tmp_path / "open"
    yield file
    file.touch()
