"""``async def`` in place of ``def``: it runs on the engine, and gives its value."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from helpers import until

from ipclusterz import Client, LoadBalancedView, RemoteError


async def double(number: int) -> int:
    await asyncio.sleep(0)
    if number == 3:
        raise ValueError(f"{number} is bad")
    return 2 * number


async def pid() -> int:
    return os.getpid()


async def count(number: int) -> AsyncIterator[int]:
    for value in range(number):
        yield value


def test_apply(rc: Client, lview: LoadBalancedView) -> None:
    assert rc[:].apply_sync(double, 4) == dict.fromkeys(range(4), 8)
    assert rc[0].apply_async(double, number=5).get() == 10
    assert lview.apply_sync(double, 6) == 12
    assert rc[0].apply_sync(pid) == rc[0].apply_sync(os.getpid) != os.getpid()
    assert rc[0].apply_sync(functools.partial(double, 7)) == 14
    rc[0].push({"known": 20}, block=True)

    async def bound() -> int:
        return known + 1  # type: ignore[name-defined,no-any-return] # noqa: F821

    assert rc[0].apply_bound(bound).get() == 21
    with pytest.raises(RemoteError, match="3 is bad") as caught:
        rc[0].apply_sync(double, 3)
    # From the user's code on.
    assert caught.value.traceback.splitlines()[1].endswith("in double")
    assert rc[0].remote(block=True)(double)(4) == 8


def test_maps(rc: Client, lview: LoadBalancedView) -> None:
    good = [number for number in range(20) if number != 3]
    for view in (rc[:], lview):
        assert view.map_sync(double, good) == [2 * number for number in good]
        assert list(view.imap(double, good, chunksize=3)) == [2 * number for number in good]
        result = view.map_async(double, range(20))
        assert [value for _, value, _ in result.successes()] == [2 * number for number in good]
        ((index, error, _),) = result.failures()
        assert (index, error.ename, error.arguments) == (3, "ValueError", "3")
        assert "in double" in error.traceback
    # A function that gives coroutines now and then.
    assert rc[0].map_sync(lambda number: double(number) if number % 2 == 0 else number, [0, 1, 2, 5]) == [0, 1, 4, 5]


def test_executors(lview: LoadBalancedView) -> None:
    with lview.executor as executor:
        assert executor.submit(double, 4).result() == 8
        assert list(executor.map(double, [1, 2, 4], chunksize=2)) == [2, 4, 8]
        with pytest.raises(ValueError, match="3 is bad"):
            executor.submit(double, 3).result()


def test_the_loop_is_the_same_for_all_calls(rc: Client) -> None:
    async def loop() -> int:
        return id(asyncio.get_running_loop())

    assert rc[0].apply_sync(loop) == rc[0].apply_sync(loop)
    assert rc[0].apply_sync(lambda: asyncio.run(double(4))) == 8
    assert rc[0].apply_sync(double, 5) == 10
    # A cell's own loop and this one do not meet.
    rc[0].execute("import asyncio\nx = await asyncio.sleep(0, 5)", block=True)
    assert rc[0]["x"] == 5
    assert rc[0].apply_sync(double, 6) == 12


@pytest.mark.parametrize("way", ["apply", "map"])
def test_an_async_generator_says_what_to_do(rc: Client, way: str) -> None:
    if way == "apply":
        with pytest.raises(RemoteError) as caught:
            rc[0].apply_sync(count, 3)
        error: Any = caught.value
    else:
        error = rc[0].map_async(count, [3]).failures()[0].error
    assert "count() is an async generator" in error.evalue
    assert "async for value in count(" in error.hint

    async def collected(number: int) -> list[int]:
        return [value async for value in count(number)]

    assert rc[0].apply_sync(collected, 3) == [0, 1, 2]


def test_an_interrupt_ends_the_wait(rc: Client, gate: Path) -> None:
    async def wait(note: str) -> None:
        try:
            print("waiting")
            await asyncio.sleep(60)
        finally:
            Path(note).touch()

    note = gate.with_name("note")
    result = rc[0].apply_async(wait, str(note))
    until(lambda: "waiting" in result.stdout)
    rc[0].interrupt()
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        result.get(20)
    assert note.exists()
    assert rc[0].apply_sync(double, 4) == 8
