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
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, ClusterError, RemoteError


def test_a_block() -> None:
    with ipz.Cluster(n=2) as rc:
        assert rc.ids == {0, 1}
        assert rc[:].apply_sync(lambda x: x + 1, 41) == {0: 42, 1: 42}
        name = rc.cluster.name
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
        ({"n": -1}, "-1"),
        ({"n": 100_000}, "100000"),
        ({"n": 1, "cluster": "no/name"}, "no/name"),
        ({"n": 1, "python": "/nonexistent/python"}, "/nonexistent/python"),
        ({"n": 1, "listen": "nonsense"}, "nonsense"),
        ({"n": 2.5}, "engines.count"),
        ({"n": 1, "timeout": float("nan")}, "engines.timeout"),
        ({"n": 1, "timeout": -1}, "-1"),
        ({"n": 1, "profile": "slurmm"}, 'there is no profile "slurmm"'),
        ({"n": 1, "profile": "/nowhere/p.toml"}, "/nowhere/p.toml"),
        ({"n": 1, "engines": "mpy"}, "one of batch htcondor local lsf mpi mpiexec pbs sge slurm ssh"),
        ({"n": 1, "engines": {"launcher": "mpi"}}, "there is no `mpi`"),
        ({"n": 1, "engines": {"lunch": 1}}, "unknown key `engines.lunch`"),
        ({"n": 1, "partitoin": "gpu"}, "unknown key `partitoin`"),
        ({"n": 1, "hosts": []}, "`hosts` can be `ssh.hosts` or `mpiexec.hosts`: say which"),
        ({"n": 1, "batch.blocks": {"max": "many"}}, "`batch.blocks.max`"),
        ({"n": 1, "engines": "batch"}, "`queue.name` (default) names no queue"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], text: str) -> None:
    with pytest.raises(ClusterError) as caught:
        Cluster(**options).start()  # type: ignore[arg-type]
    said = str(caught.value)
    assert text in said or text in said.replace(",", "").replace("_", "")
    assert "could not be started" in said


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"env": {"A": object()}}, "env.A: a profile has text, numbers, true and false, lists and tables, not object"),
        ({"batch.directives": [b"x"]}, "batch.directives: a profile has text"),
        ({"engines": {1, 2}}, "engines: a profile has text"),
    ],
)
def test_values_that_no_profile_has(options: dict[str, object], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        Cluster(1, **options).start()  # type: ignore[arg-type]
    assert text in str(caught.value)


def test_settings_in_each_way(tmp_path: Path) -> None:
    profile = tmp_path / "two.toml"
    profile.write_text('[engines]\ncount = 2\n[engines.env]\nFROM = "profile"\nOVER = "profile"\n')
    secret = 'it\'s "5" {x} = [ä]\n€'
    cluster = Cluster(
        profile=profile,
        env={"OVER": secret, "NUMBER": 4, "NOT": None},
        engines={"directory": tmp_path},
        retries=None,
        **{"engines.restart": True, "controller.listen": "127.0.0.1:0"},  # type: ignore[arg-type]
    )
    with cluster as rc:
        names = ("FROM", "OVER", "NUMBER", "NOT")
        found = rc[:].apply_sync(lambda names: ([os.environ.get(name) for name in names], os.getcwd()), names)
        assert found == dict.fromkeys(range(2), (["profile", secret, "4", None], str(tmp_path)))
        assert cluster.n == 2
        assert any(address.startswith("tcp://127.0.0.1:") for address in cluster.report["addresses"])
        assert cluster._process is not None
        # Other users can read arguments.
        assert "OVER" not in Path(f"/proc/{cluster._process.pid}/cmdline").read_text()
        os.kill(rc[1].apply_sync(os.getpid), 9)
        until(lambda: rc.ids == {0})
        rc.wait_for_engines(2)
    with Cluster(engines=1) as rc:
        assert rc.ids == {0}


def test_the_python_is_this_one_unless_a_profile_names_another(tmp_path: Path) -> None:
    python = tmp_path / "python-of-the-profile"
    python.symlink_to(sys.executable)
    profile = tmp_path / "p.toml"
    profile.write_text(f'[engines]\npython = "{python}"\nenv = {{ PYTHONPATH = "{":".join(sys.path[1:])}" }}\n')
    with Cluster(1) as rc:
        assert rc[0].apply_sync(eval, "__import__('sys').executable") == sys.executable
    with Cluster(1, profile=profile) as rc:
        assert rc[0].apply_sync(eval, "__import__('sys').executable") == str(python)


def test_a_table_for_notebooks(rc: Client, cluster: Cluster, gate: Path) -> None:
    view, balanced = rc[1:3], rc[None]
    result = balanced.map_async(hold, [str(gate)] * 3, chunksize=1)
    tables = [thing._repr_html_() for thing in (cluster, rc, view, balanced, result)]
    assert all(table.startswith("<table><caption><b>") and table.count("<tr>") < 7 for table in tables)
    assert "4: 0-3" in tables[0]
    assert f">{rc.cluster.name}<" in tables[1]
    assert ">1-2<" in tables[2]
    assert ">all<" in tables[3]
    assert ">pending<" in tables[4]
    assert ">0 of 3<" in tables[4]
    gate.touch()
    result.wait()
    assert ">done<" in result._repr_html_()
    failed = view.apply_async(lambda: 1 / 0)
    failed.wait()
    assert "2 of 2 tasks failed" in failed._repr_html_()
    named = Cluster(2, cluster="<b>&", profile="<i>")
    assert "&lt;b&gt;&amp;" in named._repr_html_()
    assert "<i>" not in named._repr_html_()
    other = cluster.connect_client()
    gone = other[0]
    other.close()
    assert ">closed<" in other._repr_html_()
    assert gone._repr_html_().startswith("<table>")


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
    assert f"-m pip install --force-reinstall ./ipclusterz-{ipz.__version__}-*.whl" in caught.value.hint


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
