"""Controllers that are gone, as clients on TCP see them: what is said at once, and when calls fail."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until

from ipclusterz import Client, Cluster, ControllerUnreachable, EngineError

# Seconds. The hosts of these clusters are this one, which a client cannot see by a file that names no process.
GRACE = 8.0


@pytest.fixture
def tcp_cluster(own_cluster: Callable[..., Cluster]) -> Cluster:
    return own_cluster(1, controller={"local": False, "session_grace": GRACE, "restart": False})


def copied(cluster: Cluster, folder: Path) -> Path:
    """A connection file as it is on another host: what it says of the controller's process means nothing there."""
    content: dict[str, Any] = json.loads(Path(cluster.report["client_file"]).read_text())
    del content["controller"]
    copy = folder / "client.json"
    copy.touch(mode=0o600)
    copy.write_text(json.dumps(content))
    return copy


def kill_controller(cluster: Cluster) -> float:
    os.kill(cluster.report["controller_pid"], signal.SIGKILL)
    return time.monotonic()


def seconds_until_lost(result: Any, begin: float) -> tuple[float, str]:
    with pytest.raises(EngineError) as caught:
        result.get(60)
    return time.monotonic() - begin, str(caught.value)


def test_calls_fail_at_once_when_the_controller_was_a_process_of_this_host(tcp_cluster, gate, faults) -> None:
    with tcp_cluster.connect_client() as rc:
        waiting = rc[0].apply_async(hold, str(gate))
        seconds, why = seconds_until_lost(waiting, kill_controller(tcp_cluster))
        assert seconds < GRACE - 1
        assert "has ended" in why
    faults.survived("network", "a controller on TCP is killed", 1, "calls fail at once on its host")


def test_a_refusal_is_said_at_once_and_calls_fail_when_the_grace_is_over(
    tcp_cluster, gate, tmp_path, faults, capfd
) -> None:
    file = copied(tcp_cluster, tmp_path)
    with Client(str(file)) as rc:
        waiting = rc[0].apply_async(hold, str(gate))
        begin = kill_controller(tcp_cluster)
        until(lambda: "connection refused" in repr(rc), GRACE / 2, lambda: repr(rc))
        assert "what is under way is kept for" in repr(rc)
        assert "connection refused" in repr(waiting)
        asked = time.monotonic()
        with pytest.raises(ControllerUnreachable, match=r"connection refused: .* \(controller.session_grace\)"):
            rc.status()
        assert time.monotonic() - asked < 1
        seconds, why = seconds_until_lost(waiting, begin)
        assert GRACE - 1 < seconds < GRACE + 3
        assert f"there was no connection for {GRACE:.0f} s, which is too long" in why
        assert "ipclusterz: no connection to the controller for" in capfd.readouterr().err
    faults.survived("network", "a controller elsewhere is killed", 1, "said at once; calls fail after session_grace")


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_calls_fail_as_soon_as_the_connection_file_says_so(how, tcp_cluster, gate, tmp_path, faults) -> None:
    file = copied(tcp_cluster, tmp_path)
    with Client(str(file)) as rc:
        waiting = rc[0].apply_async(hold, str(gate))
        begin = kill_controller(tcp_cluster)
        if how == "removed":
            file.unlink()
        else:
            file.write_text(file.read_text().replace(tcp_cluster.report["run_id"], "0" * 8))
        seconds, why = seconds_until_lost(waiting, begin)
        assert seconds < GRACE - 1
        assert "the cluster has ended" in why
    faults.survived("network", f"a controller is killed, its connection file is {how}", 1, "calls fail at once")


def test_a_connection_file_that_is_gone_ends_nothing_while_the_controller_is_there(tcp_cluster, tmp_path) -> None:
    file = copied(tcp_cluster, tmp_path)
    with Client(str(file)) as rc:
        file.unlink()
        assert rc[0].apply_sync(abs, -1) == 1
