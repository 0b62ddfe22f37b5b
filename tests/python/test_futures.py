"""`AsyncResult` as a `concurrent.futures.Future`."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import sys
import threading
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until, watchers

import ipclusterz as ipz
from ipclusterz import AbortedError, AsyncResult, Client, Cluster, CompositeError, LoadBalancedView, RemoteError


def fail() -> None:
    raise ValueError("no")


def hold_and_fail(gate: str) -> None:
    hold(gate)
    raise ValueError("late")


@pytest.fixture
def running(rc: Client, gate: Path) -> AsyncResult:
    """Something that runs on all engines until the gate opens."""
    result = rc[:].apply_async(hold, str(gate), "running")
    until(lambda: all("running" in text for text in result.stdout))
    return result


# -- wait and as_completed ----------------------------------------------------------------------------------------


def test_wait_for_the_first(rc: Client, gate: Path) -> None:
    ordinary: Future[int] = Future()
    late = rc[0].apply_async(hold, str(gate))
    early = rc[1:3].apply_async(abs, -1)
    done, left = wait([ordinary, late, early], timeout=10, return_when=FIRST_COMPLETED)
    assert (done, left) == ({early}, {ordinary, late})
    ordinary.set_result(1)
    assert wait([ordinary, late], return_when=FIRST_COMPLETED).done == {ordinary}
    gate.touch()
    done, left = wait([ordinary, late, early], timeout=10, return_when=ALL_COMPLETED)
    assert (done, left) == ({ordinary, late, early}, set())


@pytest.mark.parametrize("fails_first", [True, False])
def test_wait_for_the_first_exception(rc: Client, gate: Path, tmp_path: Path, fails_first: bool) -> None:
    late = rc[0].apply_async(hold, str(gate))
    good = rc[1].apply_async(abs, -1)
    if fails_first:
        bad = rc[2].apply_async(fail)
        bad.wait()
        done, left = wait([late, good, bad], timeout=10, return_when=FIRST_EXCEPTION)
        assert bad in done
        assert late in left
    else:
        bad = rc[2, 3].apply_async(hold_and_fail, str(tmp_path / "bad"))
        good.wait()
        (tmp_path / "bad").touch()
        done, left = wait([late, good, bad], timeout=10, return_when=FIRST_EXCEPTION)
        assert (done, left) == ({good, bad}, {late})


def test_wait_with_a_timeout(rc: Client, running: AsyncResult) -> None:
    queued = rc[0].apply_async(abs, -1)
    assert wait([running, queued], timeout=0.05) == (set(), {running, queued})
    assert wait([running, running], timeout=0).not_done == {running}
    with pytest.raises(concurrent.futures.TimeoutError, match=r"1 \(of 1\) futures unfinished"):
        list(as_completed([running], timeout=0.05))


def test_as_completed(rc: Client, lview: LoadBalancedView, gate: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        late = rc[0].apply_async(hold, str(gate))
        early: list[Future[Any]] = [rc[1:].apply_async(abs, -1), lview.map_async(abs, []), pool.submit(abs, -1)]
        given = as_completed([late, *early], timeout=10)
        assert {next(given) for _ in early} == set(early)
        gate.touch()
        assert list(given) == [late]


def test_all_kinds_of_results_are_futures(rc: Client, lview: LoadBalancedView) -> None:
    results = [
        rc[:].execute("a = 1", block=False),
        rc[:].push({"b": 2}, block=False),
        rc[:].scatter("c", range(8), block=False),
        lview.map_async(abs, range(-20, 0)),
        rc[:].map_async(abs, range(-20, 0)),
    ]
    assert wait(results, timeout=10).not_done == set()
    assert results[3].result() == results[4].result() == list(range(20, 0, -1))
    assert all(result.exception() is None for result in results)


# -- callbacks ----------------------------------------------------------------------------------------------------


def test_callbacks(rc: Client, gate: Path) -> None:
    called: list[tuple[str, Any]] = []
    result = rc[0].apply_async(hold, str(gate))
    result.add_done_callback(lambda future: called.append(("first", future)))
    result.add_done_callback(lambda future: called.append(("second", future.result(0))))
    assert called == []
    gate.touch()
    until(lambda: len(called) == 2)
    assert called == [("first", result), ("second", result.get())]
    result.add_done_callback(lambda future: called.append(("late", threading.current_thread())))
    assert called[2] == ("late", threading.current_thread())


def test_a_callback_on_what_was_done_before_anybody_looked(rc: Client) -> None:
    called: list[Future[Any]] = []
    result = rc[:].apply_async(abs, -1)
    result.wait()
    result.add_done_callback(called.append)
    assert called == [result]
    assert watchers() == []


def test_a_callback_of_what_nobody_holds(rc: Client, gate: Path) -> None:
    called: list[Any] = []
    rc[0].apply_async(hold, str(gate)).add_done_callback(lambda future: called.append(future.get()))
    gc.collect()
    gate.touch()
    until(lambda: called)


def test_a_callback_may_use_the_client(rc: Client, gate: Path) -> None:
    called: list[int] = []

    def go_on(future: Future[Any]) -> None:
        # Waits for an answer in the thread that settles futures: waiting for it does not need that thread.
        called.append(rc[1].apply_async(abs, -7).get(timeout=10))
        rc[2].apply_async(abs, -8).add_done_callback(lambda future: called.append(future.result()))

    rc[0].apply_async(hold, str(gate)).add_done_callback(go_on)
    gate.touch()
    until(lambda: called == [7, 8])


@pytest.mark.parametrize("error", [ValueError("in a callback"), SystemExit(1)])
def test_an_exception_in_a_callback_is_logged(
    rc: Client, gate: Path, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    called: list[Future[Any]] = []

    def fail(_: Future[Any]) -> None:
        raise error

    first, second = rc[0].apply_async(hold, str(gate)), rc[1].apply_async(hold, str(gate))
    first.add_done_callback(fail)
    first.add_done_callback(called.append)
    second.add_done_callback(called.append)
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        gate.touch()
        until(lambda: second in called and caplog.records)
    exc_info = caplog.records[0].exc_info
    assert exc_info is not None
    assert exc_info[1] is error
    assert wait([first, second], timeout=10).not_done == set()
    # As in Future itself: only an Exception is kept from the callbacks behind it.
    assert (first in called) == isinstance(error, Exception)


def test_a_callback_on_a_closed_client(cluster: Cluster, gate: Path) -> None:
    called: list[Future[Any]] = []
    client = cluster.connect_client()
    early, late = (client[0].apply_async(hold, str(gate)) for _ in range(2))
    early.add_done_callback(called.append)
    client.close()
    until(lambda: called == [early])
    late.add_done_callback(called.append)
    assert called == [early, late]
    assert wait([early, late]).not_done == set()
    for result in (early, late):
        assert isinstance(result.exception(), ipz.EngineError)
        result.abort()
        assert not result.cancel()


def test_many_threads_register_while_answers_arrive(rc: Client, lview: LoadBalancedView) -> None:
    """Every callback is called once, whoever makes the state and whenever the answer comes."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(30):
            results = [lview.apply_async(abs, -1) for _ in range(20)]
            called: list[tuple[int, Future[Any]]] = []
            start = threading.Barrier(4)

            def register(number: int, results: list[AsyncResult], called: list[Any], start: threading.Barrier) -> None:
                start.wait()
                for result in results:
                    result.add_done_callback(lambda future: called.append((number, future)))

            threads = [threading.Thread(target=register, args=(i, results, called, start)) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            until(lambda results=results, called=called: len(called) == 4 * len(results))
            assert len(set(called)) == len(called)
            assert wait(results, timeout=10).not_done == set()
    finally:
        sys.setswitchinterval(interval)


# -- results and exceptions ---------------------------------------------------------------------------------------


def test_exception(rc: Client, running: AsyncResult, gate: Path) -> None:
    with pytest.raises(ipz.TimeoutError, match=r"Result not ready\."):
        running.exception(timeout=0.01)
    with pytest.raises(TimeoutError):
        running.result(timeout=0.01)
    assert running.running()
    assert not running.done()
    gate.touch()
    assert running.exception() is None
    assert not running.running()
    single, several = rc[0].apply_async(fail), rc[:].apply_async(fail)
    assert isinstance(single.exception(), RemoteError)
    assert isinstance(several.exception(), CompositeError)
    with pytest.raises(RemoteError, match="no"):
        single.result()
    with pytest.raises(CompositeError):
        several.result()


def test_a_snapshot_of_the_state(rc: Client, running: AsyncResult, gate: Path) -> None:
    """What `asyncio.wrap_future` of newer Pythons asks for."""
    queued = rc[0].apply_async(abs, -1)
    assert running._get_snapshot() == (False, False, None, None)
    assert queued.cancel()
    assert queued._get_snapshot() == (True, True, None, None)
    gate.touch()
    values = running.get()
    assert running._get_snapshot() == (True, False, values, None)
    failed = rc[0].apply_async(fail)
    failed.wait()
    done, cancelled, value, error = failed._get_snapshot()
    assert (done, cancelled, value) == (True, False, None)
    assert isinstance(error, RemoteError)


# -- cancelling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["at the controller", "at the engine", "at several engines"])
def test_cancel_of_what_waits(
    rc: Client, lview: LoadBalancedView, running: AsyncResult, gate: Path, where: str
) -> None:
    called: list[Future[Any]] = []
    if where == "at the controller":
        queued = [lview.apply_async(abs, -1) for _ in range(200)][-1]
    elif where == "at the engine":
        queued = rc[2].apply_async(abs, -1)
    else:
        queued = rc[:].apply_async(abs, -1)
    assert not queued.cancelled()
    queued.add_done_callback(called.append)
    assert queued.cancel()
    assert queued.cancelled()
    assert queued.done()
    assert queued.cancel()
    for ask in (queued.result, queued.exception):
        with pytest.raises(CancelledError) as caught:
            ask()
        assert isinstance(caught.value, AbortedError)
    with pytest.raises(CompositeError if len(queued) > 1 else AbortedError):
        queued.get()
    until(lambda: called == [queued])
    assert wait([queued], timeout=10).done == {queued}
    assert list(as_completed([queued], timeout=10)) == [queued]
    gate.touch()
    running.get()


def test_cancel_of_what_runs(rc: Client, running: AsyncResult, gate: Path) -> None:
    assert not running.cancel()
    assert not running.cancelled()
    assert not running.done()
    gate.touch()
    assert len(running.result()) == 4
    assert not running.cancel()
    assert not running.cancelled()


def test_cancel_of_what_partly_runs(rc: Client, gate: Path) -> None:
    first = rc[0].apply_async(hold, str(gate), "running")
    until(lambda: "running" in first.stdout)
    result = rc[0, 1].apply_async(hold, str(gate), "running")
    until(lambda: "running" in result.stdout[1])
    assert not result.cancel()
    assert not result.cancelled()
    gate.touch()
    with pytest.raises(CompositeError) as caught:
        result.result(timeout=10)
    assert [type(error) for error in caught.value] == [AbortedError]
    assert not result.cancelled()


def test_abort_cancels(rc: Client, running: AsyncResult, gate: Path) -> None:
    called: list[bool] = []
    queued = rc[0].apply_async(abs, -1)
    queued.add_done_callback(lambda future: called.append(future.cancelled()))
    rc.abort()
    until(lambda: called == [True])
    gate.touch()
    running.get()
