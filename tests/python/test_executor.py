"""`view.executor`: the standard library's executor semantics, by tests of our own and by CPython's."""

from __future__ import annotations

import gc
import importlib
import sys
import unittest
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ALL_COMPLETED, CancelledError, Executor, Future, wait
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, LoadBalancedView, RemoteError, SerializationError
from ipclusterz.client.executor import ViewExecutor


class Unlike(Exception):
    """Cannot be rebuilt from its `args`."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("only one")


class Marked:
    """Can be referred to weakly."""


def make_marked(_: int) -> Marked:
    return Marked()


def raise_it(error: BaseException) -> None:
    raise error


@pytest.fixture
def executor(lview: LoadBalancedView) -> Iterator[ViewExecutor]:
    with lview.executor as executor:
        yield executor


@pytest.fixture
def busy(rc: Client, gate: Path) -> ipz.AsyncResult:
    """All engines run something until the gate opens."""
    running = rc[:].apply_async(hold, str(gate), "running")
    until(lambda: all("running" in text for text in running.stdout))
    return running


# -- submit -------------------------------------------------------------------------------------------------------


def test_submit(executor: ViewExecutor) -> None:
    future = executor.submit(pow, 2, 8)
    assert isinstance(executor, Executor)
    assert isinstance(future, Future)
    assert isinstance(future, ipz.AsyncResult)
    assert future.result() == future.get() == 256
    assert future.exception() is None
    named = executor.submit(lambda *args, **kwargs: (args, kwargs), 1, self=2, fn=3)
    assert named.result() == ((1,), {"self": 2, "fn": 3})


def test_submit_without_a_function(executor: ViewExecutor) -> None:
    with pytest.raises(TypeError):
        executor.submit()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        executor.submit(fn=pow)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="function is needed, not int"):
        executor.submit(5)  # type: ignore[arg-type]


def test_what_cannot_travel(executor: ViewExecutor) -> None:
    with pytest.raises(SerializationError, match="argument 0"):
        executor.submit(abs, Event())
    assert executor.submit(abs, -1).result() == 1


def test_the_workers_are_the_engines_of_the_view(rc: Client) -> None:
    with rc[1, 3].executor as executor:
        futures = [executor.submit(abs, -1) for _ in range(40)]
        assert wait(futures).not_done == set()
    assert {future.engine_ids[0] for future in futures} <= {1, 3}
    with rc[2].executor as executor:
        assert executor.submit(abs, -1).engine_ids in ([-1], [2])


def test_exceptions_are_raised_as_their_own_class(executor: ViewExecutor) -> None:
    future = executor.submit(divmod, 1, 0)
    with pytest.raises(ZeroDivisionError) as caught:
        future.result()
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteError)
    assert "ZeroDivisionError" in cause.traceback
    assert future.exception() is caught.value
    with pytest.raises(ZeroDivisionError):
        future.get()


@pytest.mark.parametrize("error", [KeyboardInterrupt("remote"), SystemExit(3), CancelledError(), TimeoutError("slow")])
def test_exceptions_of_any_kind(executor: ViewExecutor, error: BaseException) -> None:
    future = executor.submit(raise_it, error)
    found = future.exception(timeout=10)
    assert type(found) is type(error)
    assert found.args == error.args
    assert not future.cancelled()
    with pytest.raises(type(error)):
        future.result()


def test_exceptions_that_cannot_be_rebuilt(executor: ViewExecutor) -> None:
    def fail() -> None:
        raise Unlike(1, 2)

    with pytest.raises(RemoteError, match="only one"):
        executor.submit(fail).result()


def test_cancel(executor: ViewExecutor, busy: ipz.AsyncResult, gate: Path) -> None:
    queued = executor.submit(abs, -1)
    assert not queued.done()
    assert queued.cancel()
    assert queued.cancelled()
    assert queued.done()
    assert queued.cancel()
    for ask in (queued.result, queued.exception):
        with pytest.raises(CancelledError):
            ask()
    gate.touch()
    busy.get()
    finished = executor.submit(abs, -1)
    assert finished.result() == 1
    assert not finished.cancel()
    assert not finished.cancelled()


def test_cancel_of_what_runs(executor: ViewExecutor, gate: Path) -> None:
    future = executor.submit(hold, str(gate), "running")
    until(lambda: "running" in future.stdout)
    assert not future.cancel()
    assert not future.cancelled()
    gate.touch()
    assert future.result(timeout=10) > 0


# -- map ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 3, 10, 1000])
@pytest.mark.parametrize("buffersize", [None, 1, 4])
def test_map(executor: ViewExecutor, chunksize: int, buffersize: int | None) -> None:
    options: dict[str, Any] = {"chunksize": chunksize, "buffersize": buffersize}
    assert list(executor.map(pow, range(10), range(10), **options)) == list(map(pow, range(10), range(10)))
    assert list(executor.map(pow, range(10), [2, 3], **options)) == [0, 1]
    assert list(executor.map(abs, (-i for i in range(7)), **options)) == list(range(7))
    assert list(executor.map(abs, [], **options)) == []


def test_map_over_no_sequences(executor: ViewExecutor) -> None:
    assert list(executor.map(abs)) == []


def test_map_begins_before_results_are_asked_for(executor: ViewExecutor, tmp_path: Path) -> None:
    results = executor.map(lambda name: open(name, "w").close(), [str(tmp_path / "one"), str(tmp_path / "two")])
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    assert list(results) == [None, None]


def test_an_exception_in_a_map_is_raised_in_its_turn(executor: ViewExecutor) -> None:
    results = executor.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert next(results) == (0, 1)
    assert next(results) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_a_map_with_a_timeout(executor: ViewExecutor, gate: Path) -> None:
    def hold_the_last(number: int, gate: str) -> int:
        if number == 2:
            hold(gate)
        return number

    assert list(executor.map(abs, [-1], timeout=60)) == [1]
    results = executor.map(hold_the_last, range(3), [str(gate)] * 3, timeout=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(TimeoutError) as caught:
        next(results)
    assert isinstance(caught.value, ipz.TimeoutError)


def test_who_stops_a_map_early_does_not_want_the_rest(rc: Client, gate: Path, tmp_path: Path) -> None:
    def run(number: int, gate: str, folder: str) -> int:
        open(f"{folder}/{number}", "w").close()
        if number == 1:
            hold(gate)
        return number

    with rc[0].executor as executor:
        results = executor.map(run, range(6), [str(gate)] * 6, [str(tmp_path)] * 6)
        assert next(results) == 0
        until((tmp_path / "1").exists)
        results.close()
        until(lambda: "1 under way" in repr(executor))
        gate.touch()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "open"]


def test_an_endless_map(executor: ViewExecutor) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in count():
            taken.append(number)
            yield number

    results = executor.map(abs, numbers(), buffersize=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) == 8
    results.close()


@pytest.mark.parametrize("options", [{"chunksize": 0}, {"chunksize": -1}, {"buffersize": 0}])
def test_a_map_that_cannot_be(executor: ViewExecutor, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, not {next(iter(options.values()))}"):
        executor.map(abs, [1], **options)  # type: ignore[arg-type]


# -- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 4])
def test_results_of_a_map_are_freed_as_they_are_given(executor: ViewExecutor, chunksize: int) -> None:
    for value in executor.map(make_marked, range(8), chunksize=chunksize):
        reference = weakref.ref(value)
        del value
        assert reference() is None


def test_arguments_are_not_kept(executor: ViewExecutor, busy: ipz.AsyncResult) -> None:
    value = Marked()
    reference = weakref.ref(value)
    executor.submit(id, value)
    del value
    assert reference() is None
    executor.shutdown(wait=False, cancel_futures=True)


def test_finished_futures_are_not_kept(executor: ViewExecutor) -> None:
    futures = [executor.submit(abs, -1) for _ in range(50)]
    references = [weakref.ref(future) for future in futures]
    wait(futures)
    del futures
    until(lambda: not any(reference() is not None for reference in references))
    assert "0 under way" in repr(executor)


def test_futures_that_nobody_holds_are_kept_until_they_end(executor: ViewExecutor, gate: Path, tmp_path: Path) -> None:
    called = []
    future = executor.submit(hold, str(gate))
    future.add_done_callback(lambda done: called.append(done.result()))
    del future
    gc.collect()
    gate.touch()
    executor.shutdown()
    assert len(called) == 1


# -- shutdown -----------------------------------------------------------------------------------------------------


def test_after_shutdown(lview: LoadBalancedView) -> None:
    executor = lview.executor
    assert executor.submit(abs, -1).result() == 1
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, -1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(abs, [-1])
    assert "shut down" in repr(executor)
    # The engines are not the executor's.
    assert lview.apply_sync(abs, -1) == 1
    assert lview.executor.submit(abs, -1).result() == 1


def test_shutdown_waits(lview: LoadBalancedView) -> None:
    with lview.executor as executor:
        futures = [executor.submit(pow, 2, number) for number in range(100)]
        executor.map(abs, range(100))
    assert all(future.done() for future in futures)
    assert [future.result(0) for future in futures] == [2**number for number in range(100)]


def test_shutdown_waits_for_callbacks(lview: LoadBalancedView) -> None:
    called: list[int] = []
    with lview.executor as executor:
        for number in range(100):
            executor.submit(abs, number).add_done_callback(lambda future: called.append(future.result()))
    assert sorted(called) == list(range(100))


def test_shutdown_waits_for_nothing_else(lview: LoadBalancedView, rc: Client, gate: Path) -> None:
    with rc[0, 1].executor as other, rc[2, 3].executor as executor:
        late = other.submit(hold, str(gate))
        executor.submit(abs, -1)
        executor.shutdown()
        assert not late.done()
        gate.touch()


def test_shutdown_without_waiting(executor: ViewExecutor, gate: Path) -> None:
    future = executor.submit(hold, str(gate))
    executor.shutdown(wait=False)
    assert not future.done()
    gate.touch()
    assert future.result() > 0


@pytest.mark.parametrize("wait_too", [True, False])
def test_shutdown_that_cancels(rc: Client, gate: Path, wait_too: bool) -> None:
    executor = rc[0].executor
    running = executor.submit(hold, str(gate), "running")
    until(lambda: "running" in running.stdout)
    queued = [executor.submit(abs, -1) for _ in range(50)]
    called: list[Future[Any]] = []
    for future in queued:
        future.add_done_callback(called.append)
    if wait_too:
        thread = Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
        thread.start()
        until(lambda: all(future.cancelled() for future in queued))
        assert thread.is_alive()
        gate.touch()
        thread.join(10)
        assert not thread.is_alive()
        assert len(called) == 50
    else:
        executor.shutdown(wait=False, cancel_futures=True)
        assert all(future.cancelled() for future in queued)
        assert not running.done()
        gate.touch()
    assert running.result() > 0
    assert wait(queued, return_when=ALL_COMPLETED).not_done == set()


def test_shutdown_in_a_callback(lview: LoadBalancedView) -> None:
    executor = lview.executor
    said: list[str] = []

    def callback(_: Future[Any]) -> None:
        try:
            executor.shutdown()
        except RuntimeError as error:
            said.append(str(error))

    executor.submit(abs, -1).add_done_callback(callback)
    executor.shutdown()
    # The future may have been done when the callback was registered: then it ran here, where waiting is no harm.
    assert said in ([], ["a callback of a future cannot wait for the end of its executor: shutdown(wait=False)"])


def test_shutdown_in_a_callback_of_the_watcher(lview: LoadBalancedView, gate: Path) -> None:
    executor = lview.executor
    caught: list[BaseException] = []

    def callback(_: Future[Any]) -> None:
        try:
            executor.shutdown()
        except RuntimeError as error:
            caught.append(error)

    executor.submit(hold, str(gate)).add_done_callback(callback)
    gate.touch()
    executor.shutdown()
    assert [str(error) for error in caught] == [
        "a callback of a future cannot wait for the end of its executor: shutdown(wait=False)"
    ]


def test_a_future_cancelled_right_before_shutdown(executor: ViewExecutor) -> None:
    for _ in range(20):
        executor.submit(int).cancel()
    executor.shutdown()


def test_the_client_is_closed_meanwhile(cluster: ipz.Cluster, gate: Path) -> None:
    client = cluster.connect_client()
    executor = client.load_balanced_view().executor
    future = executor.submit(hold, str(gate))
    client.close()
    executor.shutdown()
    with pytest.raises(ipz.EngineError):
        future.result()
    executor.shutdown(wait=False, cancel_futures=True)


# -- CPython's own tests ------------------------------------------------------------------------------------------


def from_cpython(name: str, submodule: str) -> type | None:
    """A class of the standard library's tests of executors: one file up to Python 3.11.4, a package from then on."""
    for module in ("test.test_concurrent_futures", f"test.test_concurrent_futures.{submodule}"):
        try:
            found: type | None = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            return found
    return None


class OnEngines:
    """In the place of CPython's mixins that make a pool of threads or processes for each test."""

    worker_count = 4
    executor: ViewExecutor

    @pytest.fixture(autouse=True)
    def _executor_on_engines(self, lview: LoadBalancedView) -> Iterator[None]:
        self._view = lview
        with lview.executor as self.executor:
            yield

    def executor_type(self, max_workers: int) -> ViewExecutor:
        return self._view.executor


# What is left out, by name: the tests that look at the threads or processes of a pool are not in these classes.
LEFT_OUT = {
    "ExecutorTest": [
        "test_max_workers_negative",  # The workers are the view's engines; nobody says how many.
    ],
    "ExecutorShutdownTest": [
        # These start an interpreter that makes a pool by its class's name. What happens to our futures when the
        # interpreter ends is in test_futures.
        "test_interpreter_shutdown",
        "test_submit_after_interpreter_shutdown",
        "test_hang_gh83386",
    ],
    "WaitTests": [],
    "AsCompletedTests": [],
}
PLACES = {
    "ExecutorTest": "executor",
    "ExecutorShutdownTest": "test_shutdown",
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
}

MISSING = []
for _name, _submodule in PLACES.items():
    _class = from_cpython(_name, _submodule)
    if _class is None:
        MISSING.append(_name)
        continue
    globals()[f"Test{_name}"] = type(
        f"Test{_name}", (OnEngines, _class, unittest.TestCase), dict.fromkeys(LEFT_OUT[_name])
    )
if MISSING:
    # Some releases of 3.11 and 3.12 do not install tests that lie in a folder of their own:
    # https://github.com/python/cpython/issues/115421
    _version = sys.version.split()[0]
    warnings.warn(f"Python {_version} came without its tests {', '.join(MISSING)}: they are not run", stacklevel=1)
