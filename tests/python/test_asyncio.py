"""`await` of results, and `async with Cluster`."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import (
    AbortedError,
    AsyncResult,
    Client,
    Cluster,
    ClusterError,
    CompositeError,
    LoadBalancedView,
    RemoteError,
)


def fail() -> None:
    raise ValueError("no")


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for a condition off the loop's thread, so that what the loop has to do goes on."""
    await asyncio.to_thread(until, condition)


@pytest.fixture
def running(rc: Client, gate: Path) -> AsyncResult:
    """Something that runs on all engines until the gate opens."""
    result = rc[:].apply_async(hold, str(gate), "running")
    until(lambda: all("running" in text for text in result.stdout))
    return result


# -- await --------------------------------------------------------------------------------------------------------


def test_await(rc: Client, lview: LoadBalancedView, gate: Path) -> None:
    async def main() -> None:
        assert await rc[0].apply_async(pow, 2, 10) == 1024
        assert await rc[:].apply_async(pow, 2, 10) == [1024] * 4
        assert await lview.map_async(abs, range(-3, 0)) == [3, 2, 1]
        assert await lview.map_async(abs, []) == []
        late = rc[0].apply_async(hold, str(gate))
        waiting = asyncio.ensure_future(late)
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.touch()
        assert await waiting == late.get()
        assert await late == late.get()

    asyncio.run(main())


def test_await_leaves_the_loop_free(rc: Client, gate: Path) -> None:
    async def main() -> None:
        result = rc[0].apply_async(hold, str(gate))

        async def open_the_gate() -> None:
            gate.touch()

        values = await asyncio.gather(result, open_the_gate())
        assert values[0] > 0

    asyncio.run(main())


def test_await_of_what_fails(rc: Client) -> None:
    async def main() -> None:
        with pytest.raises(RemoteError, match="no"):
            await rc[0].apply_async(fail)
        with pytest.raises(CompositeError):
            await rc[:].apply_async(fail)
        with rc[:].executor as executor, pytest.raises(ValueError, match="no"):
            await executor.submit(fail)
        results = await asyncio.gather(rc[0].apply_async(fail), rc[1].apply_async(abs, -1), return_exceptions=True)
        assert isinstance(results[0], RemoteError)
        assert results[1] == 1

    asyncio.run(main())


def test_many_at_once(lview: LoadBalancedView) -> None:
    async def main() -> None:
        assert await asyncio.gather(*(lview.apply_async(abs, -i) for i in range(100))) == list(range(100))
        tasks = [asyncio.create_task(wait_for(lview.apply_async(abs, -i))) for i in range(100)]
        assert [await task for task in tasks] == list(range(100))

    async def wait_for(result: AsyncResult) -> Any:
        return await result

    asyncio.run(main())


def test_two_wait_for_one(rc: Client, gate: Path) -> None:
    async def main() -> None:
        result = rc[0].apply_async(hold, str(gate))
        waiting = [asyncio.ensure_future(result) for _ in range(2)]
        shielded = asyncio.shield(result)
        await asyncio.sleep(0)
        gate.touch()
        first, second = await asyncio.gather(*waiting)
        assert first == second == await shielded == await result

    asyncio.run(main())


def test_cancelling_the_task_gives_the_call_up(rc: Client, running: AsyncResult, gate: Path) -> None:
    async def main() -> None:
        queued = rc[0].apply_async(abs, -1)
        waiting = asyncio.ensure_future(queued)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(queued.cancelled)
        # What somebody else has given up is no cancellation of who waits for it.
        with pytest.raises(AbortedError):
            await queued
        if sys.version_info >= (3, 11):
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    asyncio.run(main())
    gate.touch()
    running.get()


def test_cancelling_leaves_what_runs(rc: Client, running: AsyncResult, gate: Path) -> None:
    async def main() -> None:
        if sys.version_info >= (3, 11):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await running
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(running, 0.05)
        assert not running.cancelled()
        gate.touch()
        assert len(await running) == 4

    asyncio.run(main())


def test_a_call_that_is_given_up_while_it_is_awaited(rc: Client, running: AsyncResult, gate: Path) -> None:
    async def main() -> None:
        queued = rc[0].apply_async(abs, -1)
        waiting = asyncio.ensure_future(queued)
        await asyncio.sleep(0)
        assert queued.cancel()
        with pytest.raises(AbortedError):
            await waiting

    asyncio.run(main())
    gate.touch()
    running.get()


def test_a_client_that_is_closed_while_it_is_awaited(cluster: Cluster, gate: Path) -> None:
    async def main() -> None:
        client = cluster.connect_client()
        waiting = asyncio.ensure_future(client[0].apply_async(hold, str(gate)))
        await asyncio.sleep(0)
        client.close()
        with pytest.raises(ipz.EngineError):
            await waiting

    asyncio.run(main())


def test_a_loop_that_is_closed_while_it_is_awaited(rc: Client, gate: Path, caplog: pytest.LogCaptureFixture) -> None:
    called: list[Any] = []
    result = rc[0].apply_async(hold, str(gate))

    async def main() -> None:
        waiting = asyncio.ensure_future(result)
        await asyncio.sleep(0)
        assert not waiting.done()

    asyncio.run(main())
    result.add_done_callback(called.append)
    gate.touch()
    until(lambda: called)
    assert caplog.records == []


def test_wrap_future(rc: Client, running: AsyncResult, gate: Path) -> None:
    async def main() -> None:
        queued = rc[0].apply_async(abs, -1)
        wrapped = asyncio.wrap_future(queued)
        wrapped.cancel()
        await eventually(queued.cancelled)
        assert asyncio.wrap_future(running) is not running
        late = asyncio.wrap_future(running)
        gate.touch()
        assert await late == running.get()
        with pytest.raises(RemoteError, match="no"):
            await asyncio.wrap_future(rc[0].apply_async(fail))

    asyncio.run(main())


def test_nothing_is_left_unawaited(rc: Client, recwarn: pytest.WarningsRecorder) -> None:
    result = rc[0].apply_async(abs, -1)
    asyncio.run(asyncio.wait_for(result, 10))
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


# -- async with Cluster -------------------------------------------------------------------------------------------


def test_a_cluster(tmp_path: Path) -> None:
    async def main() -> tuple[Client, int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        heart = asyncio.ensure_future(beat())
        async with Cluster(n=2) as rc:
            assert await rc[:].apply_async(abs, -1) == [1, 1]
            # Starting takes some tenths of a second, in which the loop went on.
            started = beats
        heart.cancel()
        return rc, started

    rc, beats = asyncio.run(main())
    assert rc.closed
    assert beats > 5


def test_a_cluster_outlives_the_thread_that_started_it() -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("ipclusterz-cluster")]

    async def main() -> None:
        async with Cluster(n=1) as rc:
            await eventually(lambda: not threads())
            for _ in range(20):
                assert await rc[0].apply_async(abs, -1) == 1

    asyncio.run(main())


def test_a_cluster_needs_none_of_the_loops_threads() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.shutdown_default_executor()
        async with Cluster(n=1) as rc:
            assert await rc[0].apply_async(abs, -1) == 1

    asyncio.run(main())


def test_an_error_in_the_block() -> None:
    async def main() -> None:
        async with Cluster(n=1) as rc:
            await rc[0].apply_async(fail)

    with pytest.raises(RemoteError, match="no"):
        asyncio.run(main())


def test_a_cluster_that_cannot_start() -> None:
    async def main() -> None:
        async with Cluster(n=1, python="/nonexistent/python"):
            raise AssertionError("it has started")

    with pytest.raises(ClusterError, match="/nonexistent/python"):
        asyncio.run(main())


def test_a_start_that_is_cancelled(tmp_path: Path) -> None:
    """The processes are gone when the task is, and the same cluster can be started again."""
    cluster = Cluster(n=2, cluster=f"cancelled-{os.getpid()}")

    async def main() -> None:
        async with cluster:
            raise AssertionError("it has started")

    async def cancel(condition: Callable[[], Any]) -> None:
        task = asyncio.ensure_future(main())
        await eventually(condition)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not cluster.running

    asyncio.run(cancel(lambda: cluster._process is not None))
    # Before the thread has done anything.
    asyncio.run(cancel(lambda: True))

    async def again() -> None:
        async with cluster as rc:
            assert await rc[0].apply_async(abs, -1) == 1

    asyncio.run(again())
    with cluster as rc:
        assert rc[0].apply_sync(abs, -1) == 1


SCRIPT = """
import asyncio, os, sys, threading
from ipclusterz import Cluster

async def main():
    async with Cluster(n=2, cluster=sys.argv[1]) as rc:
        # Until the thread that started the cluster is gone.
        while threading.active_count() > 1:
            await asyncio.sleep(0.01)
        print(*await rc[:].apply_async(os.getpid), rc.status()["pid"], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_cluster_ends_with_its_process(ending: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, f"child-{os.getpid()}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child:
        processes = [psutil.Process(int(pid)) for pid in child.stdout.readline().split()]
        assert len(processes) == 3
        child.send_signal(ending)
        _, errors = child.communicate(timeout=30)
        if ending == signal.SIGINT:
            assert errors.splitlines()[-1] == "KeyboardInterrupt"
        until(lambda: not any(process.is_running() for process in processes))
