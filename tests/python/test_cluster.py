"""`Cluster`: starting, stopping, failing, and ending with the process that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from helpers import until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, ClusterError, RemoteError


def test_a_block() -> None:
    with ipz.Cluster(n=2) as rc:
        assert rc.ids == {0, 1}
        assert rc[:].apply_sync(lambda x: x + 1, 41) == {0: 42, 1: 42}
        name = rc.cluster
    assert rc.closed
    with pytest.raises(ipz.ConnectionFileError):
        Client(cluster=name)


def test_start_and_stop() -> None:
    cluster = Cluster(n=1)
    assert not cluster.running
    with pytest.raises(ClusterError, match="is not running"):
        cluster.connect_client()
    try:
        assert cluster.start() is cluster
        assert cluster.running
        assert "1 engines" in repr(cluster)
        with pytest.raises(ClusterError, match="running already"):
            cluster.start()
        first, second = cluster.connect_client(), cluster.connect_client()
        assert first.ids == second.ids == {0}
    finally:
        cluster.stop()
    assert first.closed
    assert second.closed
    assert not cluster.running
    assert "not running" in repr(cluster)
    cluster.stop()
    try:
        cluster.start()
        assert cluster.connect_client().ids == {0}
    finally:
        cluster.stop()


def test_an_error_in_the_block_stops_the_cluster() -> None:
    with pytest.raises(RemoteError, match="ZeroDivisionError"), Cluster(n=1) as rc:
        rc[0].apply_sync(lambda: 1 / 0)


def test_two_side_by_side(own_cluster: Callable[..., Cluster]) -> None:
    first, second = own_cluster(1), own_cluster(1)
    with first.connect_client() as one, second.connect_client() as two:
        one[0]["a"] = 1
        two[0]["a"] = 2
        assert (one[0]["a"], two[0]["a"]) == (1, 2)


def test_a_name_that_is_taken(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with pytest.raises(ClusterError, match="could not be started") as caught:
        Cluster(n=1, cluster=cluster.name).start()
    assert cluster.name in str(caught.value)
    assert caught.value.hint
    assert cluster.connect_client().ids == {0}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n": 0}, "0"),
        ({"n": -1}, "-1"),
        ({"n": 100_000}, "100000"),
        ({"n": 1, "cluster": "no/name"}, "no/name"),
        ({"n": 1, "python": "/nonexistent/python"}, "/nonexistent/python"),
        ({"n": 1, "listen": "nonsense"}, "nonsense"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], text: str) -> None:
    with pytest.raises(ClusterError) as caught:
        Cluster(**options).start()  # type: ignore[arg-type]
    assert text in str(caught.value).replace(",", "").replace("_", "")


def test_engines_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_compat_pickle.py").write_text("raise RuntimeError('this site is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ClusterError, match="this site is broken"):
        Cluster(n=2, timeout=20).start()


def test_without_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="was not found") as caught:
        Cluster(n=1).start()
    assert str(tmp_path) in str(caught.value)
    assert "pip install" in caught.value.hint


def test_ctrl_c_at_the_prompt_is_not_for_the_cluster(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    assert cluster._process is not None
    assert os.getpgid(cluster._process.pid) != os.getpgid(0)


def test_a_cluster_started_by_a_thread_outlives_the_thread() -> None:
    cluster = Cluster(n=1)
    thread = threading.Thread(target=cluster.start)
    thread.start()
    thread.join()
    try:
        with cluster.connect_client() as rc:
            for _ in range(20):
                assert rc[0].apply_sync(abs, -1) == 1
    finally:
        cluster.stop()


SCRIPT = """
import os, sys
import ipclusterz as ipz
rc = ipz.Cluster(n=2, cluster=sys.argv[1]).start().connect_client()
print(*rc[:].apply_sync(os.getpid).values(), rc.status()["pid"], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["exit", "SIGTERM", "SIGKILL"])
def test_a_cluster_ends_with_its_process(ending: str) -> None:
    name = f"child-{os.getpid()}"
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdin, child.stdout:
        pids = [int(pid) for pid in child.stdout.readline().split()]
        assert len(pids) == 3
        if ending == "exit":
            child.stdin.close()
        elif ending == "SIGTERM":
            child.terminate()
        else:
            child.kill()
        child.wait(20)

        def gone(pid: int) -> bool:
            try:
                return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                return True

        until(lambda: all(gone(pid) for pid in pids))


def test_a_cluster_that_nobody_refers_to_ends() -> None:
    cluster = Cluster(n=1).start()
    process = cluster._process
    assert process is not None
    del cluster
    until(lambda: process.poll() is not None)
    assert process.stdout is not None
    process.stdout.close()
