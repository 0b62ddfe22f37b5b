"""The end of a `view.executor`: what it waits for, what it cancels, and what it refuses afterwards."""

from __future__ import annotations

from concurrent.futures import ALL_COMPLETED, Future, wait
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, LoadBalancedView
from ipclusterz.client.executor import ViewExecutor


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
