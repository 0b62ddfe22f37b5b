"""What is typed: cells of ``%%px --mpi``, on four ranks."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from clusters import START_SECONDS, mpi_cluster
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import ipclusterz as ipz

pytestmark = pytest.mark.timeout(START_SECONDS + 60)


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running cluster."""
    with mpi_cluster("openmpi", 4, tmp_path_factory.mktemp("prompt")) as name:
        yield name


@pytest.fixture
def rc(name: str) -> Iterator[ipz.Client]:
    """A client. The namespaces are empty."""
    with ipz.Client(cluster=name) as client:
        client.mpi.wait_epoch()
        yield client
        client.clear(block=True)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """An IPython in this process."""
    main = sys.modules["__main__"]
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main


def typed(shell: InteractiveShell, cell: str) -> tuple[str, BaseException | None]:
    """What a cell writes, and what it raises."""
    with capture_output() as captured:
        ran = shell.run_cell(cell)
    return captured.stdout + captured.stderr, ran.error_before_exec or ran.error_in_exec


def test_cells_see_the_communicator(rc: ipz.Client, shell: InteractiveShell) -> None:
    rc[:].activate()
    rc.block = True
    said, error = typed(shell, "%%px --mpi\ntotal = comm.allreduce(comm.rank)\nprint(comm.size)")
    assert error is None
    assert said.count("4") == 4, said
    assert rc[:]["total"] == dict.fromkeys(range(4), 6)
    said, error = typed(shell, "%%px --mpi --targets 3,1\nown = (comm.rank, comm.size)")
    assert (error, rc[[1, 3]]["own"]) == (None, {1: (1, 2), 3: (0, 2)})
    assert "own" not in rc[0]
    assert typed(shell, "%px --mpi line = comm.bcast(comm.rank + 7, 1)")[1] is None
    assert rc[:]["line"] == dict.fromkeys(range(4), 8)
    # Without it, the name is the user's.
    said, error = typed(shell, "%px comm")
    assert isinstance(error, ipz.CompositeError)
    assert "name 'comm' is not defined" in str(error)


def test_what_is_wrong_with_a_cell(rc: ipz.Client, shell: InteractiveShell) -> None:
    rc[:].activate()
    rc.block = True
    _, error = typed(shell, "%%px --mpi\n1 / 0")
    assert isinstance(error, ipz.CompositeError)
    assert [failed.engine_id for failed in error] == [0, 1, 2, 3]
    said, _ = typed(shell, "%%px --mpi --targets 7\n1")
    assert "there is no engine 7" in said
    said, _ = typed(shell, "%pxconfig --mpi")
    assert "there is no option --mpi" in said
