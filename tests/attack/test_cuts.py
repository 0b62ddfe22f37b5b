"""Connections that are cut after every byte of a session while work goes on: no call is lost, none is done twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cutter import Cutter, controller, through
from helpers import until

from ipclusterz import AsyncResult, Client, Cluster, EngineError, UnknownEngine

SECONDS = 30
# Handshakes and first messages of a client, and of an engine with some tasks, in bytes both ways together.
CLIENT, ENGINE = 3000, 6000


@pytest.fixture
def tunnelled(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> Iterator[Callable[[str], tuple[Cluster, Cutter, str]]]:
    """A cluster, the tunnel to it, and the connection file for those behind it."""
    made: list[Cutter] = []

    def make(role: str) -> tuple[Cluster, Cutter, str]:
        cluster = own_cluster(n=2, listen="127.0.0.1:0")
        target, content = controller(cluster, "tcp://", role)
        made.append(Cutter(target))
        return cluster, made[-1], through(made[-1], content, tmp_path, role)

    yield make
    for cutter in made:
        cutter.close()


def mark(file: str, number: int) -> int:
    """Leaves a line, whole and at once, each time it is done."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, b"%d\n" % number)
    os.close(descriptor)
    return number


def mark_and_return(file: str, number: int, value: bytes) -> bytes:
    mark(file, number)
    return value


def done(file: Path) -> Counter[int]:
    return Counter(int(line) for line in file.read_text().splitlines())


def cuts(faults, bytes_in_all: int, part: int) -> list[int]:
    """After how many bytes to cut: spread over the session, or after every single one."""
    return list(range(1, bytes_in_all + 1, bytes_in_all // faults.times(part, bytes_in_all)))


@pytest.mark.timeout(1200)
def test_a_client_is_cut_at_every_byte(tunnelled, tmp_path: Path, faults) -> None:
    _, cutter, file = tunnelled("client")
    marks = tmp_path / "marks"
    with Client(file) as rc:
        view, results = rc.load_balanced_view(), list[AsyncResult]()
        cutter.cut_after(cuts(faults, CLIENT, 60))
        while left := cutter.cuts_left:
            results.append(view.apply_async(mark, str(marks), len(results)))
            results.append(rc[len(results) % 2].apply_async(mark, str(marks), len(results)))
            until(lambda left=left: cutter.cuts_left < left, SECONDS, "the client does not come back")
        assert [result.get(timeout=SECONDS) for result in results] == list(range(len(results)))
    assert done(marks) == Counter(range(len(results)))
    faults.survived(
        "cuts", "a client's connection, at every byte of its session", cutter.made, "no call lost or done twice"
    )


@pytest.mark.timeout(1200)
def test_a_client_is_cut_in_the_middle_of_large_messages(tunnelled, tmp_path: Path, faults) -> None:
    _, cutter, file = tunnelled("client")
    marks = tmp_path / "marks"
    chance = random.Random(13)
    count = faults.times(10, 1000)
    with Client(file) as rc:
        cutter.cut_after(chance.randrange(4000, 4_000_000) for _ in range(count))
        number = 0
        while cutter.cuts_left:
            sent = chance.randbytes(chance.randrange(2_000_000))
            result = rc[number % 2].apply_async(mark_and_return, str(marks), number, sent)
            assert result.get(timeout=SECONDS) == sent
            number += 1
    assert done(marks) == Counter(range(number))
    faults.survived(
        "cuts", "a client's connection, within large messages", count, "no call lost, done twice or damaged"
    )


@pytest.mark.timeout(1200)
def test_an_engine_is_cut_at_every_byte(tunnelled, tmp_path: Path, faults) -> None:
    cluster, cutter, file = tunnelled("engine")
    marks = tmp_path / "marks"
    command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", file]
    process = subprocess.Popen(command, process_group=0)
    lost, answered = set[int](), set[int]()
    try:
        with cluster.connect_client() as rc:
            rc.wait_for_engines(3, timeout=SECONDS)
            cutter.cut_after(cuts(faults, ENGINE, 30))
            while left := cutter.cuts_left:
                until(
                    lambda left=left: 2 in rc.ids or cutter.cuts_left < left, SECONDS, "the engine does not come back"
                )
                number = len(lost | answered)
                lost_now = settle([call(rc, marks, number + each) for each in range(5)])
                lost |= {number + each for each in lost_now}
                answered |= {number + each for each in set(range(5)) - lost_now}
            until(lambda: 2 in rc.ids, SECONDS, "the engine does not come back")
            assert rc[2].apply_sync(os.getpid) == process.pid
    finally:
        process.kill()
        process.wait()
    times = done(marks)
    assert answered
    assert answered <= set(times) <= answered | lost
    assert set(times.values()) == {1}
    outcome = "an answer or an error for each call, none done twice; the engine comes back"
    faults.survived("cuts", "an engine's connection, at every byte of its session", cutter.made, outcome)


def call(rc: Client, marks: Path, number: int) -> AsyncResult | None:
    try:
        return rc[2].apply_async(mark, str(marks), number)
    except UnknownEngine:
        return None


def settle(results: list[AsyncResult | None]) -> set[int]:
    """Waits for the results; returns the places of those that were lost."""
    lost = set()
    for place, result in enumerate(results):
        try:
            assert result is None or result.get(timeout=SECONDS) is not None
        except EngineError:
            lost.add(place)
        if result is None:
            lost.add(place)
    return lost
