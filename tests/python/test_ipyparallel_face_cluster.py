"""Clusters by ipyparallel's names, and what is given to a view in IPython and in joblib."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from cells import Run
from IPython.core.interactiveshell import InteractiveShell

from ipclusterz import Cluster, ClusterError
from ipclusterz import ipyparallel as ipp


@pytest.fixture
def made() -> Iterator[list[ipp.Cluster]]:
    """Clusters that are stopped in the end."""
    clusters: list[ipp.Cluster] = []
    yield clusters
    for cluster in clusters:
        cluster.stop_cluster_sync()


def test_start_and_connect(made: list[ipp.Cluster]) -> None:
    cluster = ipp.Cluster(n=2, cluster_id=f"face-{os.getpid()}", log_level=10)
    made.append(cluster)
    assert (cluster.n, cluster.profile, cluster.controller, cluster.engines) == (2, "default", None, {})
    assert "not running" in repr(cluster)
    with pytest.raises(ClusterError, match="is not running"):
        cluster.connect_client_sync()
    rc = cluster.start_and_connect_sync()
    assert (rc.ids, rc.cluster) == ([0, 1], cluster)
    assert f"cluster_id='face-{os.getpid()}'" in repr(cluster)
    assert len(cluster.engine_set) == len(cluster.engines[cluster.cluster_id]) == 2
    other = cluster.connect_client_sync()
    assert other[:].apply_sync(abs, -1) == [1, 1]
    rc.wait_for_engines(timeout=10)
    cluster.stop_cluster_sync()
    assert rc.closed
    assert other.closed
    assert cluster.controller is None


def test_with(made: list[ipp.Cluster]) -> None:
    with ipp.Cluster(n=1, engines="local", env={"GREETING": "hello"}) as rc:
        assert rc[0].apply_sync(os.getenv, "GREETING") == "hello"
    assert rc.closed


def test_awaited(made: list[ipp.Cluster]) -> None:
    async def main() -> Any:
        cluster = ipp.Cluster(n=1)
        made.append(cluster)
        rc = await cluster.start_and_connect()
        first = await rc[:].apply_async(abs, -1)
        await cluster.stop_cluster()
        async with ipp.Cluster(n=1) as other:
            return first, other[0].apply_sync(abs, -2)

    assert asyncio.run(main()) == ([1], 2)


def test_start_with_another_number(made: list[ipp.Cluster]) -> None:
    cluster = ipp.Cluster(n=1)
    made.append(cluster)
    cluster.start_cluster_sync(n=2)
    assert cluster.n == 2
    assert cluster.to_dict()["cluster"]["cluster_id"] == cluster.cluster_id
    assert os.path.exists(cluster.cluster_file)


@pytest.mark.parametrize(
    ("engines", "launcher", "profile"),
    [
        ("mpi", "mpiexec", "default"),
        ("MPIEngineSetLauncher", "mpiexec", "default"),
        ("ssh", "ssh", "default"),
        ("slurm", None, "slurm"),
        ("SlurmEngineSetLauncher", None, "slurm"),
        ("my.toml", None, "my.toml"),
    ],
)
def test_what_starts_engines(engines: str, launcher: str | None, profile: str) -> None:
    cluster = ipp.Cluster(n=1, engines=engines)
    assert (cluster._options["engines"], cluster.profile) == (launcher, profile)


def test_a_cluster_that_would_stay() -> None:
    with pytest.raises(ValueError, match="ipclusterz start --cluster NAME"):
        ipp.Cluster(shutdown_atexit=False)


def test_magics(cluster: Cluster, shell: InteractiveShell, run: Run) -> None:
    with ipp.Client(cluster.report["client_file"]) as rc:
        view = rc.activate()
        assert (view.block, view.targets) == (True, "all")
        shell.user_ns.update(rc=rc)
        run("%px a = 6")
        assert ": 42" in run("%px a * 7").stdout
        assert view["a"] == [6] * 4
        assert isinstance(run("%%px -a -t 1\na").value, ipp.AsyncResult)
        assert run("%pxresult").stdout.startswith("Out[1:")
        run("%pxconfig --noblock --targets 0:2")
        assert (view.block, view.targets) == (False, [0, 1])
        run("%autopx")
        run("b = 5")
        run("%autopx")
        view.block = True
        assert view["b"] == [5, 5]
        rc[0].activate("_first")
        rc[0].block = True
        run("%px_first c = 1")
        rc.clear(block=True)


def test_joblib(cluster: Cluster) -> None:
    import joblib

    with ipp.Client(cluster.report["client_file"]) as rc:
        view = rc.load_balanced_view()
        view.register_joblib_backend()
        with joblib.parallel_config(backend="ipyparallel"):
            assert joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(k, 2) for k in range(5)) == [0, 1, 4, 9, 16]
    ipp.register_joblib_backend("default-cluster")
    from joblib.parallel import BACKENDS

    assert "default-cluster" in BACKENDS


def test_controls(made: list[ipp.Cluster]) -> None:
    cluster = ipp.Cluster(n=1)
    made.append(cluster)
    rc = cluster.start_and_connect_sync()
    second = cluster.start_engines_sync(1)
    rc.wait_for_engines(2, timeout=20)
    assert cluster.engines == {cluster.cluster_id: [0], second: [1]}
    with pytest.raises(ValueError, match="there is no set of engines 'third'; there are: "):
        cluster.stop_engines_sync("third")
    pid = rc[0].apply_sync(os.getpid)
    cluster.restart_engine_sync(0)
    assert rc[0].apply_sync(os.getpid) != pid
    rc.shutdown(1, restart=True)
    assert rc.ids == [0, 1]
    cluster.signal_engine_sync(signal.SIGINT, 0)
    cluster.signal_engines_sync("SIGINT")  # type: ignore[arg-type]
    cluster.restart_engines_sync(second)
    third = cluster.start_engines_sync(1, engine_set_id="third")
    assert (third, rc.ids) == ("third", [0, 1, 2])
    cluster.stop_engines_sync(third)
    assert (rc.ids, list(cluster.engines)) == ([0, 1], [cluster.cluster_id, second])
    cluster.stop_engine_sync(0)
    assert rc.ids == [1]
    asyncio.run(cluster.stop_engines())
    assert rc.ids == []


def test_a_cluster_that_runs_already(made: list[ipp.Cluster]) -> None:
    cluster = ipp.Cluster(n=1)
    made.append(cluster)
    cluster.start_cluster_sync()
    for other in (ipp.Cluster.from_file(cluster.cluster_file), ipp.Cluster.from_dict(cluster.to_dict())):
        assert other.cluster_id == cluster.cluster_id
        assert "running" in repr(other)
        with other.connect_client_sync() as rc:
            assert rc.cluster is other
            assert rc[:].apply_sync(abs, -1) == [1]


def test_a_controller_first(made: list[ipp.Cluster]) -> None:
    cluster = ipp.Cluster(n=2)
    made.append(cluster)
    cluster.start_controller_sync()
    rc = cluster.connect_client_sync()
    assert rc.ids == []
    cluster.start_engines_sync()
    rc.wait_for_engines(2, timeout=20)
    assert rc[:].apply_sync(abs, -1) == [1, 1]


def test_manager(made: list[ipp.Cluster]) -> None:
    manager = ipp.ClusterManager()
    key, cluster = manager.new_cluster(n=1)
    made.append(cluster)
    assert manager.get_cluster(key) is cluster
    cluster.start_cluster_sync()
    assert ipp.ClusterManager().load_clusters()[key].cluster_id == key
    assert manager.load_clusters()[key] is cluster
    cluster.stop_cluster_sync()
    assert key not in manager.load_clusters()
    manager.clusters[key] = cluster
    manager.remove_cluster(key)
    assert key not in manager.clusters
