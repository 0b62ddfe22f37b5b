"""`view.executor`: calls, maps and their memory, as the standard library has them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future, wait
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, RemoteError, SerializationError
from ipclusterz.client.executor import ViewExecutor
from ipclusterz.client.rankpool import RankPool


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


def test_the_face_of_mpi4pys_pool(lview: ipz.LoadBalancedView) -> None:
    with RankPool(lview) as pool:
        assert pool.bootup() is pool
        assert pool.num_workers == 4
        assert pool.submit(pow, 2, 10).result(timeout=20) == 1024
        assert list(pool.map(abs, range(-9, 0), chunksize=2)) == list(range(9, 0, -1))
        assert sorted(pool.map(abs, range(-9, 0), chunksize=2, unordered=True)) == list(range(1, 10))
        assert list(pool.starmap(pow, [(2, 3), [3, 2], (2, 2, 3)])) == [8, 9, 1]
        assert sorted(pool.starmap(max, [(2, 3), (3, 4)], unordered=True)) == [3, 4]
        with pytest.raises(ZeroDivisionError):
            list(pool.starmap(lambda a, b: a / b, [(1, 0)], unordered=True))
        with pytest.raises(ValueError, match="chunksize"):
            pool.map(abs, [1], chunksize=0, unordered=True)
        with pytest.raises(TypeError, match="a function is needed"):
            pool.starmap(3, [])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, 1)
