"""Local engines in their places: bound to cores, with GPUs dealt out, and limited in memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from helpers import engine_pid, engine_pids, until

from ipclusterz import Client, Cluster, EngineError, RemoteError
from ipclusterz._core import prefer_memory_of

CORES = sorted(os.sched_getaffinity(0))
several = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


def log(cluster: Cluster, engine: int) -> str:
    return (Path(cluster.report["log_directory"]) / f"engine-{engine}.log").read_text()


def affinities(rc: Client) -> list[set[int]]:
    return list(rc[:].apply_sync(os.sched_getaffinity, 0).values())


@several
def test_each_engine_has_cores_of_its_own(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, **{"engines.bind": "core"})
    with cluster.connect_client() as rc:
        first, second = affinities(rc)
        assert first
        assert second
        assert not first & second
        assert first | second == set(CORES)
        for engine, own in rc[:].apply_sync(os.getenv, "OMP_NUM_THREADS").items():
            assert int(own) == len((first, second)[engine])
        # What the engine starts, and its own threads, are bound as it is.
        tasks = (
            "{tuple(__import__('os').sched_getaffinity(int(t))) for t in __import__('os').listdir('/proc/self/task')}"
        )
        assert rc[1].apply_sync(eval, tasks) == {tuple(second)}
    assert f"cores {min(first)}" in log(cluster, 0)


@several
def test_a_bound_starter_keeps_its_engines(own_cluster: Callable[..., Cluster]) -> None:
    os.sched_setaffinity(0, CORES[1:2])
    try:
        cluster = own_cluster(2, **{"engines.bind": "core"})
    finally:
        os.sched_setaffinity(0, CORES)
    with cluster.connect_client() as rc:
        assert affinities(rc) == [{CORES[1]}] * 2
    assert f"cores {CORES[1]} (shared by 2 engines)\n" in log(cluster, 0)


def test_more_engines_than_cores_share_evenly(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(2 * len(CORES), **{"engines.bind": "core"}).connect_client() as rc:
        found = affinities(rc)
        counts = [sum(core in own for own in found) for core in CORES]
        assert set().union(*found) == set(CORES)
        assert max(counts) - min(counts) <= 1
        assert set(rc[:].apply_sync(os.getenv, "OMP_NUM_THREADS").values()) == {"1"}


def may_prefer_memory() -> bool:
    """Whether the kernel lets a thread do that; a container may forbid it."""
    with ThreadPoolExecutor(1) as own:
        return own.submit(prefer_memory_of, 0).result()


def test_a_numa_node_has_all_its_cores(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, **{"engines.bind": "numa"})
    with cluster.connect_client() as rc:
        for own in affinities(rc):
            assert own
            assert own <= set(CORES)
        if len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) == 1:
            assert affinities(rc) == [set(CORES)] * 2
            maps = "open('/proc/self/numa_maps').readline()"
            assert not may_prefer_memory() or "prefer:0" in rc[0].apply_sync(eval, maps)


def is_another(rc: Client, engine: int, pid: int) -> bool:
    return engine_pids(rc).get(engine, pid) != pid


@several
def test_an_engine_that_comes_back_has_its_old_place(
    own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,MIG-b")
    cluster = own_cluster(2, **{"engines.bind": "core", "engines.gpus": "auto", "engines.restart": True})
    with cluster.connect_client() as rc:
        before = affinities(rc)
        for lost in (1, 0):
            pid = engine_pid(rc, lost)
            os.kill(pid, signal.SIGKILL)
            until(partial(is_another, rc, lost, pid), 20)
        assert affinities(rc) == before
        assert list(rc[:].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES").values()) == ["GPU-a", "MIG-b"]


def test_engines_see_gpus_of_their_own(own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f1d,MIG-2c6a,5")
    cluster = own_cluster(4, **{"engines.gpus": "auto"})
    with cluster.connect_client() as rc:
        own = list(rc[:].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES").values())
        assert own == ["GPU-8f1d", "MIG-2c6a", "5", "GPU-8f1d"]
    assert "GPU GPU-8f1d (shared by 2 engines)\n" in log(cluster, 3)
    with own_cluster(2, **{"engines.gpus": [0, 1, 3]}).connect_client() as rc:
        assert list(rc[:].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES").values()) == ["0", "1,3"]


def test_an_allocation_beyond_the_limit_is_a_memory_error(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1, **{"engines.memory": "300M"})
    with cluster.connect_client() as rc:
        assert rc[0].apply_sync(lambda: len(bytearray(100 << 20))) == 100 << 20
        with pytest.raises(RemoteError, match="MemoryError"):
            rc[0].apply_sync(lambda: len(bytearray(1 << 30)))
        pid = engine_pid(rc, 0)
        assert rc[0].apply_sync(os.getpid) == pid
    assert "memory 300M\n" in log(cluster, 0)


def test_the_least_memory_is_enough_for_an_engine(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(1, **{"engines.memory": "64M"}).connect_client() as rc:
        assert rc[0].apply_sync(len, b"x" * 1000) == 1000
        with pytest.raises(RemoteError, match="MemoryError"):
            rc[0].apply_sync(lambda: len(bytearray(100 << 20)))


def test_one_line_says_it_all(own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    cluster = own_cluster(1, **{"engines.bind": "core", "engines.gpus": "auto", "engines.memory": "4G"})
    with cluster.connect_client() as rc:
        assert rc[0].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES") == "0,1"
    said = log(cluster, 0).splitlines()
    assert next(line for line in said if line.startswith("cores ")).endswith(", GPUs 0,1, memory 4G")


@pytest.fixture
def delegated() -> Iterator[Path | None]:
    """A cgroup of version 2 that is this process's own while it starts a cluster; none where there is none to give."""
    root, here = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup").read_text().splitlines()[-1].partition("::/")[2]
    folder = root / f"ipclusterz-test-{os.getpid()}"
    try:
        if "memory" not in (root / "cgroup.subtree_control").read_text():
            (root / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
        if Path("/run/systemd/system").exists():
            os.setxattr(folder, "trusted.delegate", b"1")
        (folder / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        if folder.exists():
            folder.rmdir()
        yield None
        return
    try:
        yield folder
    finally:
        (root / here / "cgroup.procs").write_text(str(os.getpid()))
        until(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


def test_a_cgroup_ends_an_engine_beyond_its_limit_and_the_reason_is_said_where_there_is_one(
    own_cluster: Callable[..., Cluster], delegated: Path | None
) -> None:
    cluster = own_cluster(2, **{"engines.memory": "300M"})
    with cluster.connect_client() as rc:
        if delegated is None:
            # The engine itself sees to it that it has no more.
            with pytest.raises(RemoteError, match="MemoryError"):
                rc[0].apply_sync(lambda: len(bytearray(1) * (600 << 20)))
            assert rc.ids == {0, 1}
            return
        assert len(list(delegated.glob("ipclusterz-*-*/engine-*"))) == 2
        with pytest.raises(EngineError, match="out of memory: its limit of 300M"):
            rc[0].apply_sync(lambda: len(bytearray(1) * (600 << 20)))
        lost = rc.status()["engines"]
        assert [engine["id"] for engine in lost] == [1]
        assert rc[1].apply_sync(abs, -1) == 1
    cluster.stop()
    assert not list(delegated.glob("ipclusterz-*"))
