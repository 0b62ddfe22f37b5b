"""Connections that are cut and come back, as through a tunnel: what is under way is neither lost nor done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forward import Forward
from helpers import until

from ipclusterz import Client, Cluster, ControllerUnreachable, EngineError
from ipclusterz.compat import OWN_PROCESS_GROUP

Behind = Callable[..., tuple[Cluster, Client, Forward]]


@pytest.fixture
def behind(own_cluster: Callable[..., Cluster], tmp_path: Path) -> Iterator[Behind]:
    """A cluster, and a client of it behind a tunnel."""
    made: list[tuple[Client, Forward]] = []

    def make(scheme: str = "tcp://", n: int = 2) -> tuple[Cluster, Client, Forward]:
        cluster = own_cluster(n=n, listen="127.0.0.1:0")
        forward, file = tunnel(cluster, tmp_path, "client", scheme)
        rc = Client(file)
        made.append((rc, forward))
        return cluster, rc, forward

    yield make
    for rc, forward in made:
        rc.close()
        forward.close()


def tunnel(cluster: Cluster, folder: Path, role: str, scheme: str, *, forwarded: bool = True) -> tuple[Forward, str]:
    content = json.loads(Path(cluster.report["client_file"]).with_name(f"{role}.json").read_text())
    target = next(address for address in content["addresses"] if address.startswith(scheme))
    forward = Forward(target, folder / "near.sock" if scheme == "ipc://" else None)
    file = folder / f"{role}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(content | {"addresses": [forward.address], "forwarded": forwarded, "host": "far-away"}))
    return forward, str(file)


def count_up(file: str) -> int:
    with open(file, "a") as out:
        out.write("x")
    return os.path.getsize(file)


def say_when_open(gate: str) -> str:
    deadline = time.monotonic() + 50
    number = 0
    while not os.path.exists(gate) and time.monotonic() < deadline:
        print(f"line {number}")
        number += 1
        time.sleep(0.01)
    print(f"{number} lines")
    return "done"


@pytest.mark.parametrize("scheme", ["tcp://", "ipc://"])
def test_a_result_that_arrives_while_the_tunnel_is_down_is_not_lost(
    behind: Behind, tmp_path: Path, gate: Path, scheme: str
) -> None:
    cluster, rc, forward = behind(scheme)
    with cluster.connect_client() as watcher:
        file = str(tmp_path / "count")
        running = rc[0].apply_async(say_when_open, str(gate))
        behind_it = rc[0].apply_async(count_up, file)
        until(lambda: running.stdout)
        forward.cut()
        until(lambda: forward.connections == 0)
        # Submitted without a connection.
        meanwhile = rc[:].apply_async(abs, -3)
        gate.touch()
        until(lambda: os.path.exists(file))
        until(lambda: watcher.status()["engines"][0]["queue"] == 0)
        assert not behind_it.ready()
        forward.open()
        assert running.get(timeout=20) == "done"
        assert behind_it.get(timeout=20) == 1
        assert meanwhile.get(timeout=20) == [3, 3]
        lines = running.stdout.splitlines()
        assert lines[:-1] == [f"line {number}" for number in range(len(lines) - 1)]
        assert lines[-1] == f"{len(lines) - 1} lines"
        assert rc[0].apply_sync(count_up, file) == 2
        assert watcher.status()["clients"] >= 2


def test_many_calls_over_a_tunnel_that_breaks_again_and_again(behind: Behind, tmp_path: Path) -> None:
    _, rc, forward = behind()
    view = rc.load_balanced_view()
    results = []
    for number in range(30):
        results += [view.apply_async(divmod, 100 * number + each, 7) for each in range(50)]
        forward.cut()
        forward.open()
        until(lambda: rc.status()["clients"])
    values = [result.get(timeout=30) for result in results]
    assert values == [divmod(100 * number + each, 7) for number in range(30) for each in range(50)]


def test_a_silent_network_is_noticed_and_left_behind(behind: Behind) -> None:
    _, rc, forward = behind()
    result = rc[:].apply_async(time.sleep, 1)
    forward.cut(silent=True)
    began = time.monotonic()
    forward.open()
    assert result.get(timeout=30) == [None, None]
    assert time.monotonic() - began < 25


def test_what_is_asked_for_without_a_connection_ends_at_its_own_deadline(behind: Behind) -> None:
    cluster, rc, forward = behind()
    forward.cut()
    until(lambda: not forward.connections)
    with pytest.raises(ControllerUnreachable, match="no controller within"):
        rc.status(timeout=0.5)
    assert not rc[0].apply_async(abs, -1).wait(0.5)
    forward.open()
    assert rc.status(timeout=20)["clients"] == 2, "this one, and the launcher's"
    cluster.stop()


def test_a_cluster_that_is_stopped_says_so_to_clients_elsewhere(behind: Behind) -> None:
    cluster, rc, _ = behind()
    result = rc[0].apply_async(time.sleep, 50)
    cluster.stop()
    with pytest.raises((EngineError, ControllerUnreachable)):
        result.get(timeout=20)
    until(lambda: "ended" in repr(rc))


def test_a_client_that_is_closed_leaves_nothing_behind(behind: Behind, gate: Path) -> None:
    cluster, rc, _ = behind()
    with cluster.connect_client() as watcher:
        before = watcher.status()["clients"]
        rc.close()
        until(lambda: watcher.status()["clients"] == before - 1)


def called() -> int:
    """How often it was called on this engine."""
    import __main__

    __main__.count = getattr(__main__, "count", 0) + 1
    return __main__.count


def test_an_engine_behind_a_tunnel_comes_back_under_its_id_with_its_namespace(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = own_cluster(n=1, listen="127.0.0.1:0")
    forward, file = tunnel(cluster, tmp_path, "engine", "tcp://")
    command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", file]
    process = subprocess.Popen(command, **OWN_PROCESS_GROUP)
    try:
        with cluster.connect_client() as rc:
            rc.wait_for_engines(2, timeout=20)
            rc[1]["kept"] = 17
            for silent in (False, True):
                running = rc[1].apply_async(called)
                forward.cut(silent)
                forward.open()
                # What it was given, and what it has done meanwhile, comes when it is back: each once.
                more = [rc[1].apply_async(called) for _ in range(3)]
                begun = running.get(60)
                assert [call.get(60) for call in more] == [begun + 1, begun + 2, begun + 3]
                assert rc.ids == {0, 1}
                assert rc[1]["kept"] == 17
                assert rc[1].apply_sync(os.getpid) == process.pid
    finally:
        process.kill()
        process.wait()
        forward.close()


def noted(file: str, gate: str) -> int:
    """Leaves a line for each time that it is begun, and ends when the gate is open."""
    with open(file, "a") as out:
        out.write("x")
    deadline = time.monotonic() + 50
    while not os.path.exists(gate) and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid()


def test_an_engine_behind_a_dead_network_is_away_with_all_it_has(
    own_cluster: Callable[..., Cluster], tmp_path: Path, gate: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster = own_cluster(n=1, listen="127.0.0.1:0", controller={"engine_grace": 1})
    # Nobody tells its controller of a tunnel: silence is that of a network.
    forward, file = tunnel(cluster, tmp_path, "engine", "tcp://", forwarded=False)
    command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", file]
    process = subprocess.Popen(command, **OWN_PROCESS_GROUP)
    try:
        with cluster.connect_client() as rc:
            rc.wait_for_engines(2, timeout=20)
            rc[1]["kept"] = 17
            kept, again = str(tmp_path / "kept"), str(tmp_path / "again")
            running = rc[1].apply_async(noted, kept, str(gate))
            until(lambda: os.path.exists(kept))
            balanced = rc.load_balanced_view(1).apply_async(os.getpid)

            def engine() -> dict[str, object]:
                return rc.status()["engines"][1]  # type: ignore[no-any-return]

            forward.cut(silent=True)
            until(lambda: engine()["state"] == "away", 20)
            absence = engine()["absence"]
            assert isinstance(absence, dict)
            assert absence["silent"]
            assert 60 <= absence["left"] <= 70
            until(lambda: engine()["absence"]["seconds"] > 1, 20)  # type: ignore[index]
            # It is waited for, and whoever waits for it is told so.
            assert rc.ids == {0, 1}
            assert "nothing is heard of it; it is waited for" in repr(running)
            direct = rc[:].apply_async(os.getpid)
            assert not direct.wait(1.5)
            assert f"engine 1 (pid {process.pid} on " in capfd.readouterr().err
            # What has not been given out goes to others.
            assert rc.load_balanced_view().apply_async(noted, again, os.devnull).get(20) != process.pid
            gate.touch()
            forward.open()
            assert running.get(30) == process.pid
            assert balanced.get(30) == process.pid
            assert direct.get(30)[1] == process.pid
            assert rc[1]["kept"] == 17
            assert engine()["state"] == "idle"
            assert Path(kept).read_text() == "x"
            assert "absence" not in engine()
    finally:
        process.kill()
        process.wait()
        forward.close()
