"""Fixtures that several files of this folder share. Clusters are made in `tests/conftest.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cells import Prompt, Ran, Run
from frontends import KERNEL
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ipclusterz import Client, Cluster, DirectView, LoadBalancedView
from ipclusterz import ipyparallel as ipp
from ipclusterz.client.executor import ViewExecutor


@pytest.fixture
def numbered(rc: Client) -> None:
    """On each engine: its number, and parts of sequences."""
    rc.scatter("who", range(4), flatten=True)
    rc.scatter("numbers", [0, 0, 1, 1, 2, 2, 3, 3])
    rc.scatter("array", np.arange(24.0).reshape(8, 3))
    rc.push({"name": "engine"})


@pytest.fixture
def other(cluster: Cluster) -> Iterator[Client]:
    """Somebody else's client of the shared cluster."""
    with cluster.connect_client() as client:
        yield client


@pytest.fixture
def executor(lview: LoadBalancedView) -> Iterator[ViewExecutor]:
    """An executor on all engines, which is shut down in the end."""
    with lview.executor as executor:
        yield executor


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


@pytest.fixture
def run(shell: InteractiveShell) -> Run:
    """Runs a cell, which must succeed."""

    def run(cell: str, display: bool = False) -> Ran:
        ran = Ran(shell, cell, display)
        assert ran.error is None, ran.stderr + ran.stdout
        return ran

    return run


@pytest.fixture
def fail(shell: InteractiveShell) -> Run:
    """Runs a cell, which must fail."""

    def fail(cell: str) -> Ran:
        ran = Ran(shell, cell)
        assert ran.error is not None
        return ran

    return fail


@pytest.fixture
def dv(rc: Client, shell: InteractiveShell) -> DirectView:
    """A view that waits, and has the magics."""
    view = rc[:]
    view.block = True
    view.activate()
    shell.user_ns.update(rc=rc, dv=view)
    return view


@pytest.fixture
def prompt(cluster: Cluster, rc: Client, tmp_path: Path) -> Iterator[Prompt]:
    """An IPython in a terminal, with the magics of a view that waits."""
    prompt = Prompt(cluster, tmp_path / "ipython")
    yield prompt
    prompt.end()


@pytest.fixture
def ippc(cluster: Cluster) -> Iterator[ipp.Client]:
    """A client of the shared cluster."""
    with ipp.Client(cluster.report["client_file"]) as client:
        yield client
        client.clear(block=True)


@pytest.fixture(params=["direct", "broadcast"])
def dview(ippc: ipp.Client, request: pytest.FixtureRequest) -> ipp.DirectView:
    """A view of all its engines, of each kind."""
    return ippc[:] if request.param == "direct" else ippc.broadcast_view(ippc.ids)


@pytest.fixture
def lbview(ippc: ipp.Client) -> ipp.LoadBalancedView:
    """The load-balanced view of all its engines."""
    return ippc.load_balanced_view()


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders for Jupyter alone, with a kernel that is this Python; the one of connection files."""
    kernel = tmp_path / "data" / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": KERNEL, "language": "python"}))
    for name in ("data", "runtime", "config"):
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return tmp_path / "runtime"
