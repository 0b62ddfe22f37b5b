"""Results on their way: waiting, polling, iterating, aborting, what is known about a call."""

from __future__ import annotations

import concurrent.futures
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from multiprocessing import TimeoutError as MultiprocessingTimeoutError
from pathlib import Path

import pytest
from helpers import engine_pid, hold, until

import ipclusterz as ipz
from ipclusterz import AbortedError, Client, CompositeError, LoadBalancedView, RemoteError


def test_the_life_of_a_result(rc: Client, gate: Path) -> None:
    result = rc[:].apply_async(hold, str(gate))
    assert not result.ready()
    assert result.progress == 0
    assert not result.wait(0)
    for kind in (ipz.TimeoutError, TimeoutError, MultiprocessingTimeoutError):
        with pytest.raises(kind, match=r"Result not ready\."):
            result.get(0.01)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    assert re.fullmatch(r"<AsyncResult: apply, 0 of 4 calls, \d\.\d s>", repr(result))
    first = result.elapsed
    assert result.elapsed > first
    gate.touch()
    assert result.wait(10)
    assert result.ready()
    assert result.successful()
    assert len(result) == result.progress == 4
    assert result.get() == result.result() == result.r == list(result)
    assert result[-1] == result.get()[3]
    assert result.elapsed == result.elapsed
    assert re.fullmatch(r"<AsyncResult: apply, 4 calls done, \d\.\d s>", repr(result))


def test_each_answer_is_given_as_soon_as_it_is_there(rc: Client, gate: Path) -> None:
    def hold_one(pid: int, gate: str) -> str:
        if os.getpid() == pid:
            hold(gate)
        return "done"

    result = rc[:].apply_async(hold_one, engine_pid(rc, 3), str(gate))
    values = iter(result)
    assert [next(values) for _ in range(3)] == ["done"] * 3
    assert result[1] == "done"
    assert not result.ready()
    assert re.fullmatch(r"<AsyncResult: apply, 3 of 4 calls, \d\.\d s>", repr(result))
    gate.touch()
    assert next(values) == "done"


def test_failures(rc: Client) -> None:
    def fail_on_odd(number: int) -> int:
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number

    for engine in range(4):
        rc[engine].push({"number": engine, "fail_on_odd": fail_on_odd}, block=True)
    result = rc[:].apply_bound(lambda: fail_on_odd(number))  # type: ignore[name-defined] # noqa: F821
    with pytest.raises(CompositeError) as caught:
        result.get()
    lines = str(caught.value).splitlines()
    assert lines[:5] == [
        "one or more exceptions from call to method: apply",
        "[1:apply]: ValueError: 1 is odd",
        "[3:apply]: ValueError: 3 is odd",
        "",
        "[1:apply]; 1 more like it:",
    ]
    # Those of engine 3 differ by a number alone.
    assert lines[5].startswith("Traceback ")
    assert lines[-1] == "ValueError: 1 is odd"
    assert lines.count(lines[5]) == 1
    assert [error.engine_id for error in caught.value] == [1, 3]
    assert not result.successful()
    assert re.fullmatch(r"<AsyncResult: apply, 2 of 4 calls failed, \d\.\d s>", repr(result))
    assert result[2] == 2
    with pytest.raises(RemoteError, match="3 is odd"):
        result[3]
    with pytest.raises(CompositeError):
        result.get_dict()
    single = rc[0].apply_async(fail_on_odd, 5)
    for _ in range(2):
        with pytest.raises(RemoteError, match="5 is odd"):
            single.get()


def test_abort(rc: Client, gate: Path) -> None:
    running = rc[0].apply_async(hold, str(gate), "running")
    until(lambda: "running" in running.stdout)
    queued = [rc[0].apply_async(abs, -1) for _ in range(3)]
    for job in queued[:2]:
        job.abort()
    running.abort()
    with pytest.raises(AbortedError):
        queued[0].get(timeout=10)
    rc.abort(queued[1:])
    for job in queued:
        with pytest.raises(AbortedError):
            job.get(timeout=10)
        assert job["status"] == "aborted"
    assert not running.ready()
    gate.touch()
    assert running.get(timeout=10) > 0


@pytest.mark.parametrize("by", ["client", "targets", "view"])
def test_abort_everything_that_waits(rc: Client, gate: Path, by: str) -> None:
    running = rc[:].apply_async(hold, str(gate), "running")
    until(lambda: all("running" in text for text in running.stdout))
    queued = [rc[0].apply_async(abs, -1), rc[1].apply_async(abs, -1)]
    if by == "client":
        rc.abort()
    elif by == "targets":
        rc.abort(targets=[0, 1])
    else:
        rc[0, 1].abort()
    for job in queued:
        with pytest.raises(AbortedError):
            job.get(timeout=10)
    gate.touch()
    assert running.wait(10)


def test_abort_of_load_balanced_work(rc: Client, lview: LoadBalancedView, gate: Path) -> None:
    running = rc[:].apply_async(hold, str(gate), "running")
    until(lambda: all("running" in text for text in running.stdout))
    waiting = lview.map_async(abs, range(100), chunksize=1)
    waiting.abort()
    with pytest.raises(CompositeError, match="AbortedError"):
        waiting.get(timeout=10)
    gate.touch()
    assert running.wait(10)
    assert lview.apply_sync(abs, -1) == 1


def test_metadata(rc: Client) -> None:
    before = datetime.now(timezone.utc)
    result = rc[:].apply_async(print, "text")
    result.get()
    after = datetime.now(timezone.utc)
    assert len(result.msg_ids) == len(set(result.msg_ids)) == 4
    for engine, row in enumerate(result.metadata):
        assert row["msg_id"] == result.msg_ids[engine]
        assert (row["engine_id"], row["status"], row["stdout"], row["stderr"]) == (engine, "ok", "text\n", "")
        assert before <= row["submitted"] <= row["started"] <= row["completed"] <= row["received"] <= after


def test_metadata_of_a_call_that_runs(rc: Client, gate: Path) -> None:
    result = rc[1].apply_async(hold, str(gate), "here")
    until(lambda: result.metadata["stdout"] == "here\n")
    row = result.metadata
    assert (row["status"], row["completed"]) == (None, None)
    assert row["submitted"] is not None


def test_output(rc: Client) -> None:
    def speak() -> None:
        import sys

        print("out")
        print("err", file=sys.stderr)

    single, several = rc[0].apply_async(speak), rc[:].apply_async(speak)
    single.get()
    several.get()
    assert (single.stdout, single.stderr) == ("out\n", "err\n")
    assert (several.stdout, several.stderr) == (["out\n"] * 4, ["err\n"] * 4)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_wait_for_the_first_of_several(rc: Client, gate: Path, mapped: bool) -> None:
    def work(number: int, gate: Path) -> int:
        if number == 2:
            raise ValueError("no")
        return hold(gate) if number > 0 else number

    if mapped:
        result = rc.load_balanced_view().map_async(work, range(4), [gate] * 4, chunksize=1)
    else:
        numbered = {engine: rc[engine].push({"number": engine}, block=True) for engine in sorted(rc.ids)}
        assert len(numbered) == 4
        result = rc[:].apply_async(lambda ref, gate: work(ref, gate), ipz.Reference("number"), gate)
    result.quiet = True
    assert not result.wait(30, return_when="FIRST_COMPLETED")
    assert not result.wait(30, return_when=concurrent.futures.FIRST_EXCEPTION)
    # The first one may have come later.
    until(lambda: result.progress == 2)
    assert not result.wait(0.05)
    gate.touch()
    assert result.wait(30, return_when=concurrent.futures.ALL_COMPLETED)
    assert result.wait(0, return_when="FIRST_COMPLETED")
    with pytest.raises(RemoteError, match="ValueError"):
        result.get()


def test_a_wait_for_an_exception_that_does_not_come_is_one_for_all(rc: Client, gate: Path) -> None:
    result = rc[:].apply_async(hold, gate)
    result.quiet = True
    assert not result.wait(0.05, return_when="FIRST_EXCEPTION")
    assert not result.wait(0.05, return_when="FIRST_COMPLETED")
    gate.touch()
    assert result.wait(30, return_when="FIRST_EXCEPTION")
    with pytest.raises(ValueError, match=r"return_when is 'ALL_COMPLETED', .* not 'SOME'"):
        result.wait(return_when="SOME")


@pytest.mark.parametrize("wait", ["wait", "get", "get_dict", "barrier", "wait_interactive", "wait_for_engines"])
def test_minus_one_is_for_ever(rc: Client, gate: Path, wait: str) -> None:
    result = rc[0].apply_async(hold, str(gate))
    result.quiet = True
    calls: dict[str, Callable[[], object]] = {
        "wait": lambda: result.wait(-1),
        "get": lambda: result.get(timeout=-1),
        "get_dict": lambda: result.get_dict(-1),
        "barrier": lambda: rc.barrier([result], timeout=-1),
        "wait_interactive": lambda: result.wait_interactive(timeout=-1),
        "wait_for_engines": lambda: rc.wait_for_engines(4, timeout=-1),
    }
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(calls[wait])
        if wait != "wait_for_engines":
            # Anything that were left of a time that is over would be at once.
            assert not result.wait(0.2)
            assert not waiting.done()
        gate.touch()
        waiting.result(timeout=30)
    result.get(timeout=30)


def test_a_wait_is_as_long_as_was_asked(rc: Client, gate: Path) -> None:
    result = rc[0].apply_async(hold, str(gate))
    begin = time.monotonic()
    assert not result.wait(0.3)
    assert 0.25 < time.monotonic() - begin < 5
    for timeout in (0, -0.5, 0.0):
        assert not result.wait(timeout)
    with pytest.raises((TypeError, ValueError)):
        result.get("soon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        result.get(float("nan"))


def test_wait_for_engines(rc: Client) -> None:
    rc.wait_for_engines(4)
    with pytest.raises(ipz.TimeoutError, match=r"4 of 5 engines are there after 0\.1 s"):
        rc.wait_for_engines(5, timeout=0.1)
