"""The folders that clusters leave: none after an orderly end, some after failures, and not for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import engine_pid, until

from ipclusterz import Cluster, ClusterError
from ipclusterz.client.command import program


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Lists the folders of a user who has no cluster yet."""
    monkeypatch.setenv("IPCLUSTERZ_HOME", str(tmp_path / "state"))
    clusters = tmp_path / "state" / "clusters"
    return lambda: sorted(os.listdir(clusters)) if clusters.exists() else []


def ipclusterz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=60, check=False)


def leave_logs(folder: Path, names: list[str]) -> None:
    """Folders as they were left by clusters that failed, the first one long ago."""
    for age, name in enumerate(reversed(names)):
        logs = folder / "state" / "clusters" / name / "logs"
        logs.mkdir(parents=True, mode=0o700)
        (logs / "engine-0.log").write_text("its last words\n")
        (logs.parent / "lock").touch()
        at = time.time() - 60 * (age + 1)
        for path in (logs / "engine-0.log", logs):
            os.utime(path, (at, at))


def test_orderly_ends_leave_nothing(folders: Callable[[], list[str]]) -> None:
    for name in (None, "lab"):
        with Cluster(n=1, cluster=name) as rc:
            assert rc.ids == {0}
            assert len(folders()) == 1
    assert ipclusterz("run", "-n", "1", "--", "true").returncode == 0
    assert folders() == []


def test_failures_leave_their_logs(folders: Callable[[], list[str]], tmp_path: Path) -> None:
    with Cluster(n=2, cluster="lost-an-engine") as rc:
        os.kill(engine_pid(rc, 1), signal.SIGKILL)
        until(lambda: rc.ids == {0})
    with pytest.raises(ClusterError):
        Cluster(n=1, cluster="never-started", python="/bin/false").start()
    assert ipclusterz("run", "-n", "1", "--cluster", "failing-program", "--", "false").returncode == 1
    assert folders() == ["failing-program", "lost-an-engine", "never-started"]
    assert "engine-1.log" in os.listdir(tmp_path / "state/clusters/lost-an-engine/logs")
    # A name is used again, and its folder is gone after a good end.
    with Cluster(n=1, cluster="lost-an-engine"):
        pass
    assert folders() == ["failing-program", "never-started"]


def test_old_logs_are_removed_when_a_cluster_starts_and_by_gc(
    folders: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [f"old-{number:02}" for number in range(30)]
    leave_logs(tmp_path, old)
    (tmp_path / "state/clusters/old-00/notes.txt").write_text("not ours")
    with Cluster(n=1, cluster="new"):
        assert folders() == ["new", "old-00", *old[10:]]
    monkeypatch.setenv("IPCLUSTERZ_PROJECT", str(tmp_path / "ipclusterz.toml"))
    (tmp_path / "ipclusterz.toml").write_text("[logs]\nkeep_number = 5\n")
    assert ipclusterz("gc", "--dry-run").stderr == "the logs of 15 ended clusters would be removed\n"
    assert len(folders()) == 21
    assert json.loads(ipclusterz("gc", "--json").stdout)["logs"] == list(reversed(old[10:25]))
    assert folders() == ["old-00", *old[25:]]
    (tmp_path / "ipclusterz.toml").write_text("[logs]\nkeep_days = 0.0025\n")
    assert ipclusterz("gc").stderr == "the logs of 2 ended clusters are removed\n"
    assert folders() == ["old-00", *old[27:]]
    assert ipclusterz("gc").stderr == "nothing was left behind\n"


@pytest.mark.parametrize(("keep", "left"), [("all", ["failed", "well"]), ("none", [])])
def test_the_profile_says_which(
    keep: str, left: list[str], folders: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPCLUSTERZ_PROJECT", str(tmp_path / "ipclusterz.toml"))
    (tmp_path / "ipclusterz.toml").write_text(f'[logs]\nkeep = "{keep}"\n')
    assert ipclusterz("run", "-n", "1", "--cluster", "well", "--", "true").returncode == 0
    assert ipclusterz("run", "-n", "1", "--cluster", "failed", "--", "false").returncode == 1
    assert folders() == left


def test_many_at_once_do_not_remove_each_others_folders(folders: Callable[[], list[str]], tmp_path: Path) -> None:
    leave_logs(tmp_path, [f"old-{number:02}" for number in range(40)])
    names = [f"c{number}" for number in range(4)] * 2
    look = "import os; h, c = (os.environ['IPCLUSTERZ_' + name] for name in ('HOME', 'CLUSTER')); "
    look += "print(os.path.isfile(f'{h}/clusters/{c}/client.json'))"

    def start(name: str) -> subprocess.Popen[str]:
        command = [program(), "run", "-n", "1", "--cluster", name, "--", sys.executable, "-c", look]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    running = [start(name) for name in names]
    ended = [(process.communicate(timeout=60), process.returncode) for process in running]
    # A name may be taken; whoever gets it has its folder to the end.
    for (printed, said), code in ended:
        assert (code, printed) == (0, "True\n") or (code == 4 and "already" not in printed), said
    assert len([code for _, code in ended if code == 0]) >= 4
    assert len(folders()) <= 20
    assert all(name.startswith("old-") for name in folders())
