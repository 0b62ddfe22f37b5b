"""What waits for others: the calls of a client that was closed or killed, and those of all clients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until

from ipclusterz import AbortedError, AsyncResult, Client, Cluster, CompositeError, RemoteError

COMMAND = Path(sys.executable).with_name("ipclusterz")

# A program that has two calls for engine 0, one behind the other, and some for whichever engine is free.
PROGRAM = """
import sys, time
from pathlib import Path
import ipclusterz as ipz

def hold(gate):
    import os, time
    while not os.path.exists(gate):
        time.sleep(0.005)

rc = ipz.Client(sys.argv[1])
gate, marks = map(Path, sys.argv[2:])
results = [rc[:].apply_async(hold, gate)]
results += [rc[:].apply_async(Path.touch, marks / f"direct{number}") for number in range(3)]
results += [rc[None].apply_async(Path.touch, marks / f"balanced{number}") for number in range(3)]
rc.status()
print("sent", flush=True)
time.sleep(60)
"""


def queues(rc: Client) -> dict[int, int]:
    """How many calls each engine has, with the one that runs."""
    return {engine["id"]: engine["queue"] for engine in rc.status()["engines"]}


def begun(result: AsyncResult) -> AsyncResult:
    """Wait until each of its engines has said something."""
    until(lambda: all([result.stdout] if isinstance(result.stdout, str) else result.stdout))
    return result


def test_what_a_killed_client_has_submitted_goes_on(cluster: Cluster, rc: Client, gate: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    words = [sys.executable, "-c", PROGRAM, str(cluster.report["client_file"]), str(gate), str(marks)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "sent\n"
        try:
            until(lambda: min(queues(rc).values()) >= 4)
        finally:
            program.kill()
    until(lambda: rc.status()["clients"] == 2)
    gate.touch()
    until(lambda: len(list(marks.iterdir())) == 6)


def test_a_client_that_is_closed_leaves_its_direct_calls_to_the_engines(
    cluster: Cluster, rc: Client, gate: Path, tmp_path: Path
) -> None:
    with cluster.connect_client() as closes:
        begun(closes[0].apply_async(hold, gate, "begun"))
        closes[0].apply_async(Path.touch, tmp_path / "done")
    until(lambda: rc.status()["clients"] == 2)
    assert queues(rc)[0] == 2
    gate.touch()
    until((tmp_path / "done").exists)


def test_one_client_gives_up_what_waits_of_all(rc: Client, other: Client, gate: Path) -> None:
    running = begun(other[:].apply_async(hold, gate, "begun"))
    waiting = [other[0].apply_async(abs, -1), rc[1].apply_async(abs, -1), other[None].apply_async(abs, -1)]
    # More than a client may have under way: it keeps most of these to itself.
    waiting.append(other[None].map_async(abs, range(9000), chunksize=1))
    until(lambda: min(queues(rc)[0], queues(rc)[1]) >= 2 and rc.status()["pending"])
    rc.abort(all_clients=True)
    for result in waiting:
        assert result.wait(timeout=20)
        assert {*result._pending.statuses()} == {"aborted"}
    assert not running.ready()
    # What is submitted later is not meant.
    assert other[None].apply_async(abs, -1).cancel()
    rc.abort(all_clients=True, interrupt=True)
    with pytest.raises(CompositeError, match="KeyboardInterrupt"):
        running.get(timeout=20)


def test_one_gives_up_what_a_closed_client_has_running(cluster: Cluster, rc: Client, gate: Path) -> None:
    with cluster.connect_client() as closes:
        begun(closes[0].apply_async(hold, gate, "begun"))
        closes[0].apply_async(hold, gate)
    rc[0].abort(all_clients=True, interrupt=True)
    assert rc[0].apply_async(abs, -1).get(timeout=20) == 1


def test_an_abort_interrupts_the_calls_that_it_means_and_no_others(rc: Client, other: Client, gate: Path) -> None:
    foreign, mine, at_2 = (
        begun(client[engine].apply_async(hold, gate, "begun")) for client, engine in ((other, 0), (rc, 1), (other, 2))
    )
    rc.abort(interrupt=True)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        mine.get(timeout=20)
    behind = [other[engine].apply_async(abs, -1) for engine in (0, 2)]
    until(lambda: queues(rc)[2] == 2)
    rc[2].abort(all_clients=True, interrupt=True)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        at_2.get(timeout=20)
    with pytest.raises(AbortedError):
        behind[1].get(timeout=20)
    assert not foreign.ready()
    gate.touch()
    foreign.get(timeout=20)
    assert behind[0].get(timeout=20) == 1


def run_abort(cluster: Cluster, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [COMMAND, "abort", cluster.report["cluster"], "--json", *words], capture_output=True, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_the_command(cluster: Cluster, rc: Client, gate: Path) -> None:
    running = begun(rc[0].apply_async(hold, gate, "begun"))
    waiting = [rc[0].apply_async(abs, -number) for number in range(3)]
    expected = {"version": 1, "cluster": cluster.report["cluster"], "waiting": 0}
    assert run_abort(cluster) == {**expected, "before": 3, "busy": [0], "interrupted": False}
    for result in waiting:
        with pytest.raises(AbortedError):
            result.get(timeout=20)
    assert run_abort(cluster, "--interrupt") == {**expected, "before": 0, "busy": [], "interrupted": True}
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        running.get(timeout=20)
