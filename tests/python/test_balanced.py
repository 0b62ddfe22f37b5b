"""The load-balanced view."""

from __future__ import annotations

import operator
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from calls import process_id
from helpers import hold, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipclusterz import Client, CompositeError, DirectView, LoadBalancedView, RemoteError
from ipclusterz.client import MapResult


def test_apply(lview: LoadBalancedView) -> None:
    assert lview.apply_sync(lambda x, y=1: x + y, 1, y=2) == 3
    assert lview.apply_async(abs, -1).get() == 1
    lview.block = True
    assert lview.apply(abs, -1) == 1
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        lview.apply(lambda: 1 / 0)


def test_idle_engines_have_turns(lview: LoadBalancedView, rc: Client) -> None:
    pids = [lview.apply_sync(process_id, 0) for _ in range(40)]
    assert len(set(pids[:4])) == len(rc) == 4
    assert pids == pids[:4] * 10
    # Of those that it may go to.
    two = rc.load_balanced_view([1, 3])
    pids = [two.apply_sync(process_id, 0) for _ in range(10)]
    assert len(set(pids[:2])) == 2
    assert pids == pids[:2] * 5


def test_it_is_reached_in_several_ways(rc: Client) -> None:
    assert type(rc[None]) is type(rc.load_balanced_view()) is LoadBalancedView


@pytest.mark.usefixtures("numbered")
def test_views_of_all_kinds(rc: Client) -> None:
    assert isinstance(rc[:], DirectView)
    assert isinstance(rc["all"], DirectView)
    balanced = rc.load_balanced_view([1, -1])
    assert balanced.targets == [1, 3]
    assert repr(balanced) == "<LoadBalancedView of engines 1, 3>"
    assert repr(rc.load_balanced_view(2)) == "<LoadBalancedView of engine 2>"
    assert len(rc.load_balanced_view()) == 4
    allowed = {rc[engine].apply_sync(os.getpid) for engine in (1, 3)}
    assert set(balanced.map_sync(process_id, range(40), chunksize=1)) <= allowed
    assert balanced.apply_sync(os.getpid) in allowed
    assert balanced.apply_bound(lambda: who).get() in (1, 3)  # type: ignore[name-defined] # noqa: F821
    balanced.targets = None
    assert len(balanced) == 4


def test_map(lview: LoadBalancedView) -> None:
    assert lview.map_sync(lambda x: x**2, range(100)) == [x**2 for x in range(100)]
    assert lview.map_sync(operator.add, range(5), range(3)) == [0, 2, 4]
    assert lview.map_sync(abs, []) == []
    assert lview.map_sync(abs, iter([-1, -2])) == [1, 2]
    assert lview.map_sync(float, np.arange(3), chunksize=2) == [0.0, 1.0, 2.0]
    assert lview.map(abs, [-1], block=True) == [1]
    with pytest.raises(ValueError, match="chunksize"):
        lview.map(abs, [1], chunksize=0)
    with pytest.raises(CompositeError, match="ZeroDivisionError"):
        lview.map_sync(lambda x: 1 / x, [1, 0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers()), chunksize=st.none() | st.integers(1, 20), ordered=st.booleans())
def test_map_equals_the_serial_map(
    lview: LoadBalancedView, values: list[int], chunksize: int | None, ordered: bool
) -> None:
    results = lview.map_sync(operator.neg, values, chunksize=chunksize, ordered=ordered)
    expected = [-value for value in values]
    assert results == expected if ordered else sorted(results) == sorted(expected)


def test_chunks(lview: LoadBalancedView) -> None:
    assert len(lview.map_async(abs, range(1000), chunksize=300).msg_ids) == 4
    assert len(lview.map_async(abs, range(3)).msg_ids) == 3
    assert len(lview.map_async(abs, [])) == 0


def test_a_busy_engine_blocks_nobody(rc: Client, lview: LoadBalancedView, gate: Path) -> None:
    busy = rc[0].apply_async(hold, str(gate), "busy")
    until(lambda: "busy" in busy.stdout)
    assert lview.map_sync(abs, range(200), chunksize=1) == list(range(200))
    assert [lview.apply_async(abs, -1) for _ in range(50)][-1].get(timeout=20) == 1
    assert not busy.ready()


def test_work_goes_to_all_engines(lview: LoadBalancedView, gate: Path) -> None:
    results = [lview.apply_async(hold, str(gate), "here") for _ in range(4)]
    until(lambda: all("here" in result.stdout for result in results))
    gate.touch()
    assert len({result.get() for result in results}) == 4


def test_unordered_results_come_as_they_are_done(lview: LoadBalancedView, gate: Path) -> None:
    def work(index: int, gate: str) -> int:
        if index == 0:
            hold(gate)
        return index

    result = lview.map_async(work, range(6), [str(gate)] * 6, chunksize=1, ordered=False)
    arrived = iter(result)
    assert sorted(next(arrived) for _ in range(5)) == [1, 2, 3, 4, 5]
    assert result.progress == 5
    gate.touch()
    assert next(arrived) == 0
    # Later loops see the same order.
    assert list(result) == [*result.get()]
    assert list(result)[-1] == 0


def test_threads_that_loop_over_one_unordered_map_see_all_of_it_in_one_order(lview: LoadBalancedView) -> None:
    def in_step(begin: Barrier, result: MapResult) -> list[int]:
        begin.wait()
        return list(result)

    for _ in range(5):
        begin = Barrier(3)
        result = lview.map_async(abs, range(200), chunksize=1, ordered=False)
        with ThreadPoolExecutor(3) as pool:
            loops = [pool.submit(in_step, begin, result) for _ in range(3)]
            seen = [loop.result(60) for loop in loops]
        assert sorted(seen[0]) == list(range(200))
        assert seen[0] == seen[1] == seen[2] == list(result)


def test_ordered_results_come_in_order_while_others_run(lview: LoadBalancedView, gate: Path) -> None:
    def work(index: int, gate: str) -> int:
        if index == 5:
            hold(gate)
        return index

    result = lview.map_async(work, range(6), [str(gate)] * 6, chunksize=1)
    arrived = iter(result)
    assert [next(arrived) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert not result.ready()
    gate.touch()
    assert list(arrived) == [5]


def test_the_engines_of_a_map_are_told(lview: LoadBalancedView, rc: Client) -> None:
    result = lview.apply_async(os.getpid)
    pid = result.get()
    engine = next(engine for engine in rc.status()["engines"] if engine["pid"] == pid)
    assert result.engine_ids == [engine["id"]]
    assert result.metadata["engine_id"] == engine["id"]
    assert result.metadata["engine_uuid"] == engine["uuid"]


def test_many_small_calls(lview: LoadBalancedView) -> None:
    results: list[Any] = [lview.apply_async(operator.neg, number) for number in range(5000)]
    assert [result.get() for result in results] == [-number for number in range(5000)]


def test_a_parallel_function_by_load_has_blocks(rc: Client) -> None:
    total = rc[None].parallel(dist="b", block=True)(lambda part: [sum(part)])
    assert sum(total(range(10))) == 45


def began(element: int) -> tuple[int, float, int]:
    """On an engine: which one, when, and the element; the first four are long."""
    started = time.monotonic()
    time.sleep(0.3 if element < 4 else 0.02)
    return os.getpid(), started, element


def test_after_short_tasks_a_map_begins_in_order(lview: LoadBalancedView) -> None:
    """What engines were given ahead goes back to its place, whichever of them gives it back first."""
    lview.map_sync(abs, range(400), chunksize=1)
    ran = sorted(lview.map_sync(began, range(40), chunksize=1))
    engines = {engine for engine, _, _ in ran}
    orders = {engine: [element for other, _, element in ran if other == engine] for engine in engines}
    assert len(orders) == 4
    assert all(elements == sorted(elements) for elements in orders.values()), orders
