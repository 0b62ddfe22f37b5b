"""What a peer can do that holds a key: an engine's, or a client's. It may lose its own work; nobody else's."""

from __future__ import annotations

import math
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import until
from rawpeer import RawPeer, header, pack

from ipclusterz import Cluster
from ipclusterz.client.command import program

# Line ends, an escape sequence, C1 controls, and what changes the direction of text.
HOSTILE = "n1\nINFO forged: all is well\r\x1b[2J\x1b]0;title\x07\x9b31m\x85\u2028\u202e\u2066gpj"
MIB = 1 << 20


@pytest.fixture(scope="module")
def hostile_cluster() -> Iterator[Cluster]:
    cluster = Cluster(n=1, cluster=f"hostile-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


@pytest.fixture
def attacked(hostile_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that must be as good after the test as it was before."""
    controller = controller_of(hostile_cluster)
    yield hostile_cluster
    with hostile_cluster.connect_client() as rc:
        assert rc[0].apply_sync(abs, -1) == 1
        assert rc.load_balanced_view().apply_sync(abs, -2) == 2
        until(lambda: list(rc.ids) == [0], 10, lambda: f"engines {rc.ids}")
    assert controller.is_running()
    assert "this is a bug" not in log_of(hostile_cluster)


def log_of(cluster: Cluster) -> str:
    logs = Path(cluster.report["client_file"]).parent / "logs"
    return "".join(path.read_text() for path in sorted(logs.glob("controller*")))


def controller_of(cluster: Cluster) -> psutil.Process:
    with cluster.connect_client() as rc:
        return psutil.Process(rc.status()["pid"])


def controller_memory(cluster: Cluster) -> int:
    return controller_of(cluster).memory_info().rss


def special(text: str) -> list[str]:
    """What a terminal would obey, or does not show."""
    return [letter for letter in text if not letter.isprintable() and letter != "\n"]


@pytest.mark.parametrize("role", ["engine", "client"])
def test_names_reach_no_log_and_no_terminal_as_they_are(role: str, attacked: Cluster, faults: Any) -> None:
    fields = ("uuid", "host", "address")
    with RawPeer(attacked, role, local=True) as peer, attacked.connect_client() as rc:
        welcome = peer.join(**dict.fromkeys(fields, HOSTILE))
        if role == "engine":
            until(lambda: welcome["engine_id"] in rc.ids, 10, "the engine is there")
        status = rc.status()
        shown = subprocess.run(
            [program(), "status", "--cluster", attacked.name], check=True, capture_output=True, text=True
        )
        # Broken in the middle of its work: what is said of that names it too.
        call = rc[welcome["engine_id"]].apply_async(abs, -1) if role == "engine" else None
        if call is not None:
            peer.hear_of("data", "task")
        peer.socket("data").send(b"\x82\xa1v\x01" + pack(HOSTILE) + pack({}))
        assert "unknown" in peer.hear_of("control", "refused")["reason"]
        if call is not None:
            call.wait(20)
            assert not special(str(call.exception()))
            assert "\nINFO" not in str(call.exception())
    engines = [str(value) for engine in status["engines"] for value in engine.values()]
    for text in (shown.stdout, shown.stderr, *engines, log_of(attacked)):
        assert not special(text)
        assert not any(line.lstrip().startswith("INFO forged") for line in text.splitlines())
    faults.survived("strangers", f"names with line ends and escapes, {role}", len(fields) + 1, "shown by their numbers")


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "a host of 900 KiB": {"host": "h" * 900 * 1024},
    "a uuid of 600 bytes": {"uuid": "u" * 600},
    "an address of 600 bytes": {"address": "a" * 600},
    "an end that is no number": {"ends_in": math.nan},
    "an end before now": {"ends_in": -1.0},
    "an endless drain": {"drain_before": math.inf},
    "a rank beyond its world": {"world": {"world": "w", "rank": 4, "size": 4, "survives": True}},
    "a world of four billion": {"world": {"world": "w", "rank": 0, "size": (1 << 32) - 1, "survives": True}},
    "an id beyond all": {"wanted_id": 1 << 40},
    "a negative pid": {"pid": -1},
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_hello_that_cannot_be_is_refused(what: str, attacked: Cluster, faults: Any) -> None:
    before = controller_memory(attacked)
    with RawPeer(attacked, "engine") as peer:
        refused = peer.hello(**IMPOSSIBLE[what])
        assert "reason" in refused, refused
        assert len(refused["reason"]) < 500
    assert controller_memory(attacked) < before + 64 * MIB
    faults.survived("strangers", f"hello with {what}", 1, "refused with the reason")


def bundle(*frames: bytes, last: bool = True) -> bytes:
    """Messages of one frame each that go together."""
    mark = 1 << 31 if last else 0
    return b"\xc0" + b"".join((len(frame) | mark).to_bytes(4, "big") + frame for frame in frames)


ASKED = header("status_request", {})
DAMAGED = {
    "cut short": bundle(ASKED, ASKED)[:-1],
    "of nothing": bundle(),
    "of half a message": bundle(ASKED, last=False),
    "with a frame beyond its end": bundle(ASKED) + b"\xff\xff\xff\xff",
    "in a bundle": bundle(bundle(ASKED)),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_bundle_that_cannot_be_is_refused(what: str, attacked: Cluster, faults: Any) -> None:
    with RawPeer(attacked, "client") as peer:
        peer.join()
        peer.socket("control").send(bundle(ASKED, ASKED))
        peer.hear_of("control", "status_reply")
        peer.hear_of("control", "status_reply")
        peer.socket("control").send(DAMAGED[what])
        assert peer.hear_of("control", "refused")["reason"]
    faults.survived("strangers", f"a bundle {what}", 1, "refused with the reason")


def test_an_engine_may_say_that_it_lives_for_ever(attacked: Cluster, faults: Any) -> None:
    ends = [2.0**64, 1.8e19, 1e300, 0.0]
    for ends_in in ends:
        with RawPeer(attacked, "engine") as peer, attacked.connect_client() as rc:
            welcome = peer.join(ends_in=ends_in, drain_before=1e300, uuid=f"e{ends_in}")
            until(lambda number=welcome["engine_id"]: number in rc.ids, 10, "the engine is there")
            assert math.isfinite(max(row["ends_in"] or 0.0 for row in rc.status()["engines"]))
        until(lambda: engines_of(attacked) == [0], 10, "it has left")
    faults.survived("strangers", "an engine that ends in 2^64 seconds, and the like", len(ends), "no end is known")


def engines_of(cluster: Cluster) -> list[int]:
    with cluster.connect_client() as rc:
        return list(rc.ids)


def test_one_engine_named_often_is_asked_once(attacked: Cluster, faults: Any) -> None:
    with RawPeer(attacked, "client", local=True) as peer:
        peer.join()
        begin = time.monotonic()
        peer.tell("control", "inspect", {"number": 7, "asker": None, "engines": [0] * 50_000, "stacks": True})
        assert peer.hear_of("control", "inspected")["number"] == 7
        assert time.monotonic() - begin < 5
        # The engine is not busy with it either.
        with attacked.connect_client() as rc:
            assert rc[0].apply_sync(abs, -1) == 1
        assert time.monotonic() - begin < 10
        peer.tell("control", "inspect", {"number": 8, "asker": None, "engines": list(range(70_000)), "stacks": False})
        assert "70000 engines" in peer.hear_of("control", "refused")["reason"]
    faults.survived("strangers", "an engine named 50,000 times in one question", 1, "asked once")


def balanced(number: int) -> dict[str, Any]:
    placement = {"balanced": {"retries": 0, "engines": None, "duration": None}}
    common = {"op": "execute", "function": None, "carries_function": False, "segments": []}
    return {"id": number, "placement": placement, **common}


def test_a_client_cannot_have_more_under_way_than_its_window(attacked: Cluster, faults: Any, gate: Path) -> None:
    # The engine is busy meanwhile: nothing is answered.
    with attacked.connect_client() as rc, RawPeer(attacked, "client", local=True) as peer:
        busy = rc[0].apply_async(wait_for, str(gate))
        window = peer.join()["window"]
        beyond = faults.times(part=50, whole=5_000)
        for number in range(1, window["replies"] + beyond + 1):
            peer.tell("data", "request", balanced(number), b"pass")
        for _ in range(beyond):
            reply = peer.hear_of("data", "reply")
            assert "the window has room for" in reply["outcome"]["rejected"], reply
        peer.tell("data", "goodbye", {"reason": "done"})
        gate.touch()
        assert busy.get(20) is None
    faults.survived("strangers", "requests beyond the window of a client", beyond, "refused with the reason")


def test_bytes_beyond_the_window_are_not_kept(attacked: Cluster, faults: Any, gate: Path) -> None:
    chunk = bytes(32 * MIB)
    before = controller_memory(attacked)
    with attacked.connect_client() as rc, RawPeer(attacked, "client", local=True) as peer:
        busy = rc[0].apply_async(wait_for, str(gate))
        window = peer.join()["window"]
        room = window["bytes"] // len(chunk)
        beyond = faults.times(part=2, whole=32)
        for number in range(1, room + beyond + 1):
            peer.tell("data", "request", balanced(number), chunk)
        for _ in range(beyond):
            # What is within the window is written to the disk before.
            assert "bytes are under way" in peer.hear_of("data", "reply", 40)["outcome"]["rejected"]
            assert controller_memory(attacked) < before + window["bytes"] + 256 * MIB
        peer.tell("data", "goodbye", {"reason": "done"})
        gate.touch()
        assert busy.get(60) is None
    faults.survived("strangers", "payload beyond the window of a client", beyond, "refused with the reason")


def wait_for(path: str) -> None:
    import os.path
    import threading

    pause = threading.Event()
    while not os.path.exists(path):
        pause.wait(0.01)


def test_questions_of_a_client_that_does_not_read_are_not_answered_for_ever(attacked: Cluster, faults: Any) -> None:
    before = controller_memory(attacked)
    with RawPeer(attacked, "client", local=True) as peer:
        peer.join()
        questions = faults.times(part=150_000, whole=1_000_000)
        for _ in range(questions):
            peer.tell("control", "status_request", {})
        with attacked.connect_client() as rc:
            until(lambda: rc.status()["rejected"] > 1000, 30, "its questions are refused from some time on")
        assert controller_memory(attacked) < before + 300 * MIB
    faults.survived("strangers", "questions of a client that reads no answer", questions, "refused once 64 MiB wait")


def test_answers_of_a_client_that_does_not_read_are_bounded(attacked: Cluster, faults: Any) -> None:
    """Direct calls, each with a result of 16 MiB."""
    calls = faults.times(part=96, whole=256)
    before = controller_memory(attacked)
    with RawPeer(attacked, "client", local=True) as peer, attacked.connect_client() as rc:
        window = peer.join()["window"]
        rc[0].execute("big = bytes(16 << 20)", block=True)
        for number in range(1, calls + 1):
            common = {"op": "pull", "function": None, "carries_function": False, "segments": []}
            peer.tell("data", "request", {"id": number, "placement": {"engines": [0]}, **common}, *request_of("big"))
        until(lambda: rc.status()["engines"][0]["queue"] == 0, 60, "the engine has done what it was given")
        assert controller_memory(attacked) < before + window["bytes"] + 256 * MIB
        # It goes on when the client reads, and says so.
        for number in range(1, calls + 1):
            assert peer.hear_of("data", "reply")["outcome"] == "ok"
            messages = {"control": 1 << 32, "data": number}
            peer.tell("control", "ack", {"replies": number, "messages": messages})
    faults.survived("strangers", "direct calls of a client that reads no answer", calls, "held back at one window")


def request_of(name: str) -> list[bytes]:
    """The frames of a pull."""
    from ipclusterz.client.arguments import names_frames

    return [bytes(frame) for frame in names_frames(name)]


Make = Callable[[random.Random], Any]
EXTREMES: list[Make] = [
    lambda dice: dice.choice([0, 1, -1, 2**31, 2**32, 2**53, 2**63 - 1, 2**64 - 1, -(2**63)]),
    lambda dice: dice.choice([math.nan, math.inf, -math.inf, -0.0, 1e308, 2.0**64]),
    lambda dice: dice.choice(["", HOSTILE, "x" * 5000, "0"]),
    lambda dice: dice.choice([None, True, b"bytes", [], {}, [[[]]]]),
    lambda dice: [dice.choice([0, 1, 2**32 - 1, "x"]) for _ in range(dice.randrange(0, 2000))],
]
Saying = tuple[str, str, dict[str, Any]]
# What an engine may say, with all fields; the numbers are those of nothing that is there.
ENGINE_SAYS: list[Saying] = [
    ("data", "result", {"id": 9, "outcome": "ok", "started": 0.0, "completed": 0.0, "segments": []}),
    ("data", "result", {"id": 1 << 63, "outcome": "error", "started": 0.0, "completed": 0.0, "segments": []}),
    ("data", "recalled", {"returned": [1], "kept": [2]}),
    ("data", "need_function", {"task": 1}),
    ("data", "output", {"task": 1, "stream": "stdout"}),
    ("control", "usage", {"resident_bytes": 1}),
    ("control", "inspect", {"number": 1, "asker": None, "engines": [0], "stacks": True}),
    ("control", "inspected", {"number": 1, "asker": 1, "engine": 0, "activity": None}),
]


# The same of a client, but for what it may do to others: it may end engines and give up everybody's calls.
CLIENT_SAYS: list[Saying] = [
    ("data", "request", balanced(1) | {"collective": False, "keep": None}),
    ("data", "request", balanced(1) | {"placement": {"engines": [0, 7, 7]}, "collective": True}),
    ("data", "forget_functions", {"functions": [bytes(16)]}),
    ("data", "abort", {"requests": [1, 2], "engines": [7]}),
    ("data", "goodbye", {"reason": "closed"}),
    ("control", "ack", {"replies": 1, "messages": {"control": 1, "data": 1}}),
    ("control", "inspect", {"number": 1, "asker": None, "engines": [0, 7], "stacks": True}),
    ("control", "engine_ended", {"uuid": "u", "how": "signal: 9 (SIGKILL)"}),
    ("control", "engines_expected", {"coming": False, "why": "none"}),
    ("control", "status_request", {}),
]


@pytest.mark.parametrize("role", ["engine", "client"])
def test_whatever_a_peer_says_the_others_work_on(role: str, attacked: Cluster, faults: Any) -> None:
    dice = random.Random(4)
    rounds = faults.times(part=25, whole=1_500)
    with attacked.connect_client() as rc:
        for number in range(rounds):
            with RawPeer(attacked, role, local=number % 2 == 0) as peer:
                peer.join(uuid=f"e{number}")
                for _ in range(20):
                    channel, kind, fields = dice.choice(ENGINE_SAYS if role == "engine" else CLIENT_SAYS)
                    field = dice.choice(sorted(fields) or ["more"])
                    payload = [os.urandom(dice.randrange(0, 50)) for _ in range(dice.randrange(0, 3))]
                    peer.tell(channel, kind, fields | {field: dice.choice(EXTREMES)(dice)}, *payload)
                assert rc[0].apply_sync(abs, -number) == number
    until(lambda: engines_of(attacked) == [0], 20, "they have left")
    faults.survived("frames", f"messages with impossible fields, {role}", 20 * rounds, "refused; it starts anew")
