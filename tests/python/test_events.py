"""What is told of what happens in a cluster: `Client.events` and `ipclusterz events`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from helpers import engine_pid, hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster

Event = dict[str, Any]


def take(events: Iterable[Event], wanted: str, **fields: Any) -> Event:
    """The next event of a kind, with these fields."""
    for event in events:
        if event["event"] == wanted and all(event[name] == value for name, value in fields.items()):
            return event
    raise AssertionError(f"no {wanted} with {fields}")


def told(client: Client, **options: Any) -> list[Event]:
    """All that there is."""
    return list(client.events(follow=False, **options))


def command(*words: str) -> str:
    """What ``ipclusterz`` prints with these words."""
    line = [sys.executable, "-m", "ipclusterz", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_call_from_its_submission_to_its_end(cluster: Cluster, rc: Client) -> None:
    with cluster.connect_client(session="watched") as other:
        events = rc.events(timeout=10)
        assert next(events) == {"v": 1, "event": "scene", "missed": 0}
        ar = other[2].apply_async(divmod, 7, 2)
        submitted = take(events, "submitted", name="divmod")
        ended = take(events, "ended", name="divmod")
    [msg_id] = ar.msg_ids
    assert (submitted["session"], submitted["tasks"], submitted["op"]) == ("watched", 1, "apply")
    assert msg_id == f"{submitted['request']}-0" == ended["task"]
    assert (ended["engine"], ended["state"], ended["why"]) == (2, "ok", None)
    assert submitted["at"] == ended["submitted"] <= ended["started"] <= ended["completed"]
    assert ended["bytes"] > 0
    take(events, "session_parted", session="watched")
    events.close()
    assert list(events) == []


def test_a_map_says_how_far_it_is(rc: Client, lview: ipz.LoadBalancedView) -> None:
    events = rc.events(timeout=10)
    amr = lview.map_async(abs, range(40), chunksize=8)
    chunks = [take(events, "submitted", name="abs") for _ in range(5)]
    assert {chunk["map"]["request"] for chunk in chunks} == {chunks[0]["request"]}
    assert [(chunk["map"]["elements"], chunk["map"]["of"]) for chunk in chunks] == [(8, 40)] * 5
    assert amr.get() == list(range(40))


def test_a_scene_has_what_is_under_way(rc: Client, gate: Path) -> None:
    ar = rc[1].apply_async(hold, gate)
    behind = rc[1].apply_async(abs, -1)
    until(lambda: any(each["event"] == "given" and each["task"] == behind.msg_ids[0] for each in told(rc)))
    scene = told(rc)
    assert scene[0]["event"] == "scene"
    given = [each["task"] for each in scene if each["event"] == "given" and each["engine"] == 1]
    assert given[-2:] == [*ar.msg_ids, *behind.msg_ids]
    assert {each["engine"] for each in scene if each["event"] == "engine_joined"} == set(rc.ids)
    gate.touch()
    assert behind.get() == 1
    until(lambda: not any(each["event"] == "given" for each in told(rc)))


def test_what_was_before_is_kept(rc: Client) -> None:
    before = time.time()
    rc[0].apply(len, "four").get()
    until(lambda: [each for each in told(rc, since=before) if each["event"] == "ended" and each["at"] >= before])
    assert not [each for each in told(rc) if each["event"] == "ended"]
    every = told(rc, since=0)
    times = [each["at"] for each in every if "at" in each]
    assert times == sorted(times)
    assert any(each["event"] == "ended" and each["name"] == "len" for each in every)


def test_events_in_an_event_loop(rc: Client) -> None:
    async def follow() -> Event:
        events = rc.events(timeout=10)
        await events.__anext__()
        rc[0].apply_async(sum, [1, 2])
        async for event in events:
            if event["event"] == "ended" and event["name"] == "sum":
                return event
        raise AssertionError("no end")

    assert asyncio.run(follow())["state"] == "ok"


def test_an_engine_that_dies_and_a_cluster_that_ends(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, **{"engines.restart": False})
    seen: list[Event] = []
    with cluster.connect_client() as rc, cluster.connect_client() as looker:
        thread = threading.Thread(target=lambda: seen.extend(looker.events()))
        thread.start()
        until(lambda: any(each["event"] == "engine_joined" for each in seen))
        lost = rc[1].apply_async(os.kill, engine_pid(rc, 1), signal.SIGKILL)
        lost.wait(20)
        until(lambda: any(each["event"] == "engine_left" for each in seen))
        cluster.stop()
        thread.join(20)
        assert not thread.is_alive(), "it follows a cluster that has ended"
    left = next(each for each in seen if each["event"] == "engine_left")
    assert (left["engine"], left["died"]) == (1, True)
    assert "engine 1 (pid " in left["reason"]
    ended = next(each for each in seen if each["event"] == "ended" and each["state"] == "lost")
    assert (ended["task"], ended["engine"]) == (lost.msg_ids[0], 1)


def test_usage_of_an_engine_that_computes(rc: Client) -> None:
    def busy() -> None:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            pass

    events = rc.events(timeout=20)
    ar = rc[3].apply_async(busy)
    usage = take(events, "engine_usage", engine=3)
    while usage["cpus"] < 0.2:
        usage = take(events, "engine_usage", engine=3)
    assert usage["resident_bytes"] > 1 << 20
    ar.get()


def test_events_go_on_behind_a_controller_that_died(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        events = rc.events(timeout=30)
        assert next(events)["event"] == "scene"
        rc[0].apply(abs, -1).get()
        take(events, "ended", name="abs")
        os.kill(rc.status()["pid"], signal.SIGKILL)
        rc[0].apply(len, "12").get(timeout=30)
        assert take(events, "scene")["missed"] == 0
        assert take(events, "ended", name="len")["state"] == "ok"


def test_the_command(cluster: Cluster, rc: Client) -> None:
    rc[0].apply(abs, -7).get()
    until(lambda: any(each["event"] == "ended" for each in told(rc, since=0)))
    every = [json.loads(line) for line in command("events", "--cluster", cluster.name, "--json").splitlines()]
    assert every[0] == {"v": 1, "event": "scene", "missed": 0}
    assert any(each["event"] == "ended" and each["name"] == "abs" for each in every)
    text = command("events", "--cluster", cluster.name, "--since", "1h")
    assert any(" ended " in line and "  abs  engine 0  ok  " in line for line in text.splitlines())


def test_a_cluster_that_tells_nothing(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1, **{"controller.keep_events": 0})
    with cluster.connect_client() as rc:
        with pytest.raises(ipz.HistoryError, match="keep_events"):
            told(rc)
        assert rc[0].apply(abs, -1).get() == 1


@pytest.mark.parametrize("since", [-1, float("nan"), "1h", True])
def test_a_time_that_is_none(rc: Client, since: Any) -> None:
    with pytest.raises(ValueError, match="since="):
        rc.events(since=since)


def test_a_timeline(cluster: Cluster, rc: Client, tmp_path: Path) -> None:
    began = time.time()
    ar = rc[:].apply_async(time.sleep, 0.05)
    ar.get()
    until(lambda: sum(each["event"] == "ended" for each in told(rc, since=began)) >= 4)
    assert rc.timeline(tmp_path / "own.json", since=began) > 0
    command("timeline", str(tmp_path / "all.json"), "--cluster", cluster.name)
    for name in ["own.json", "all.json"]:
        drawn = json.loads((tmp_path / name).read_text())["traceEvents"]
        slices = {each["args"].get("task"): each for each in drawn if each["ph"] == "X" and each["pid"] >= 10}
        threads = {(each["pid"], each["tid"]) for each in drawn if each["name"] == "thread_name"}
        for engine, msg_id in enumerate(ar.msg_ids):
            piece = slices[msg_id]
            assert (piece["name"], piece["tid"], piece["args"]["state"]) == ("sleep", engine, "ok")
            assert piece["dur"] >= 50_000
            assert (piece["pid"], piece["tid"]) in threads
        begin, end = ({each["id"] for each in drawn if each["ph"] == kind} for kind in "sf")
        assert begin == end


def test_a_timeline_that_cannot_be_written(cluster: Cluster, rc: Client, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        rc.timeline(tmp_path / "nowhere" / "timeline.json")
    line = [sys.executable, "-m", "ipclusterz", "timeline", str(tmp_path), "--cluster", cluster.name]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, str(tmp_path) in done.stderr) == (1, True)
