"""Engines that are added, ended and restarted from Python, by the cluster's own object and by others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import engine_pids, hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, ClusterError
from ipclusterz.client.controls import RunningCluster


def test_engines_are_added_ended_and_counted(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        assert rc.cluster is cluster
        assert cluster.start_engines(2) == [1, 2]
        assert rc[:].apply_sync(abs, -1) == {0: 1, 1: 1, 2: 1}
        assert cluster.stop_engines([0, -1]) == [0, 2]
        assert rc.ids == {1}
        assert cluster.start_engines() == [0]
        assert cluster.scale(3) == [0, 1, 2]
        assert cluster.scale(1) in ([0], [1], [2])
        assert len(cluster.stop_engines()) == 1
        assert cluster.scale(0) == []
        with pytest.raises(ipz.NoEnginesRegistered):
            cluster.stop_engines()
        assert cluster.scale(1) == [0]


def test_engines_come_back_under_their_ids_also_busy_ones(own_cluster: Callable[..., Cluster], gate: Path) -> None:
    cluster = own_cluster(3)
    with cluster.connect_client() as rc:
        before = engine_pids(rc)
        rc.push({"a": 1}, block=True)
        running = rc[1].apply_async(hold, str(gate))
        until(lambda: rc.status()["engines"][1]["state"] == "busy")
        assert cluster.restart_engines([1, 2]) == [1, 2]
        after = engine_pids(rc)
        assert (after[0], sorted(after)) == (before[0], [0, 1, 2])
        assert not {after[1], after[2]} & set(before.values())
        with pytest.raises(ipz.EngineError):
            running.get(timeout=10)
        assert [view.keys() for view in rc] == [["a"], [], []]
        rc.shutdown(0, restart=True)
        assert engine_pids(rc)[0] != before[0]
        rc.shutdown(restart=True)
        assert not set(engine_pids(rc).values()) & set(after.values())
        # They are as others: one that is shut down stays so.
        rc.shutdown(2)
        until(lambda: rc.ids == {0, 1})
        assert cluster.start_engines() == [2]


def test_an_engine_that_is_stopped_is_restarted_too(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, end_timeout=0.5)
    with cluster.connect_client() as rc:
        before = engine_pids(rc)
        rc.send_signal("SIGSTOP", 0)
        assert cluster.restart_engines(0) == [0]
        assert rc[0].apply_sync(os.getpid) != before[0]
        assert engine_pids(rc)[1] == before[1]


def test_nothing_ends_when_one_cannot_be_restarted(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        before = engine_pids(rc)
        with pytest.raises(ipz.UnknownEngine):
            cluster.restart_engines([0, 7])
        with pytest.raises(ipz.UnknownEngine):
            rc.shutdown(7, restart=True)
        assert engine_pids(rc) == before


def test_the_controls_of_a_cluster_that_somebody_else_has_started(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    file = Path(cluster.report["client_file"])
    by_name, by_file = Cluster.from_file(cluster.name), Cluster.from_file(file)
    assert by_name.name == by_file.name == cluster.name
    assert by_name.running
    assert by_name.start_engines(1) == [1]
    assert by_file.restart_engines(1) == [1]
    by_file.signal_engines("SIGKILL", 1)
    with by_name.connect_client() as rc:
        until(lambda: rc.ids == {0})
    with Client(file) as other:
        assert isinstance(other.cluster, RunningCluster)
        assert other.cluster.scale(2) == [0, 1]
        assert other.ids == {0, 1}
        other.shutdown(1, restart=True)
        assert other.ids == {0, 1}
    by_file.stop()
    assert not by_name.running
    until(lambda: not cluster.running)
    for controls in (by_name, by_file):
        for call in (controls.start_engines, controls.restart_engines, controls.stop, controls.connect_client):
            with pytest.raises(ClusterError, match="has ended"):
                call()


def test_a_client_of_an_engine_has_controls_too(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        assert rc[0].apply_sync(lambda: Client().cluster.start_engines(1)) == [1]
        assert rc.ids == {0, 1}


def test_a_launcher_that_is_not_here(
    own_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = own_cluster(1)
    copy = tmp_path / "client.json"
    shutil.copy2(cluster.report["client_file"], copy)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("IPCLUSTERZ_HOME", str(tmp_path / "home"))
        controls = Cluster.from_file(copy)
        with Client(copy) as rc:
            for there in (controls, rc.cluster):
                with pytest.raises(ClusterError, match="cannot be reached from here") as caught:
                    there.start_engines(1)
                assert f"--cluster {cluster.name}" in caught.value.hint
            with pytest.raises(ClusterError, match="cannot be reached from here"):
                rc.shutdown(0, restart=True)
            assert rc.ids == {0}
            # What the controller can do works from everywhere.
            assert rc.cluster.stop_engines() == [0]
        # Where the file is, the launcher's folder is.
        with Client(cluster.report["client_file"]) as rc:
            assert rc.cluster.scale(1) == [0]
        controls.stop()
    until(lambda: not cluster.running)


def test_what_there_is_no_cluster_for(tmp_path: Path) -> None:
    with pytest.raises(ipz.ConnectionFileError):
        Cluster.from_file("nobody")
    with pytest.raises(ipz.ConnectionFileError, match=r"nobody\.json"):
        Cluster.from_file(tmp_path / "nobody.json")
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(ipz.ConnectionFileError, match="no connection file"):
        Cluster.from_file(str(tmp_path / "odd.json"))
    for call in (Cluster(1).start_engines, Cluster(1).restart_engines):
        with pytest.raises(ClusterError, match="is not running"):
            call()


def test_numbers_that_cannot_be(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    for number in (0, -1):
        with pytest.raises(ValueError, match=f"n is {number}"):
            cluster.start_engines(number)
    with pytest.raises(ValueError, match="n is -1"):
        cluster.scale(-1)
    with pytest.raises(ClusterError, match="than this host allows"):
        cluster.start_engines(10_000_000)
    with pytest.raises(ClusterError, match="no number of engines"):
        cluster.scale(1.5)  # type: ignore[arg-type]
    assert cluster.scale(1) == [0]


@pytest.mark.parametrize(
    ("engines", "settings"),
    [
        ("mpi", {"profile": None, "engines.launcher": "mpiexec"}),
        ("mpiexec", {"profile": None, "engines.launcher": "mpiexec"}),
        ("ssh", {"profile": None, "engines.launcher": "ssh"}),
        ("slurm", {"profile": "slurm", "engines.launcher": None}),
        ("htcondor", {"profile": "htcondor", "engines.launcher": None}),
    ],
)
def test_names_of_what_starts_engines(engines: str, settings: dict[str, object]) -> None:
    cluster = Cluster(1, engines=engines)
    found = dict(cluster._settings) | {"profile": cluster.profile}
    assert {key: found.get(key) for key in settings} == settings
    assert Cluster(1, engines="slurm", profile="site").profile == "site"
    assert dict(Cluster(1, engines="slurm", profile="site")._settings)["engines.launcher"] == "batch"
