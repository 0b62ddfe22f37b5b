"""Maps without `chunksize`: their chunks are measured, and sent while the first ones run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import operator
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import engine_pid, hold, until
from hypothesis import given
from hypothesis import strategies as st
from programs import killed, running

import ipclusterz as ipz
from ipclusterz import AbortedError, Client, Cluster, CompositeError, LoadBalancedView
from ipclusterz.client.pace import Pace
from ipclusterz.client.snapshots import Pieces, snapshot
from ipclusterz.shared.serialize import loads


def nap(value: Any) -> Any:
    """On an engine: 10 ms for each element."""
    import time

    time.sleep(0.01)
    return value


def hold_at(element: int, gate: str) -> Callable[[int], int]:
    """A function that waits for the gate at one element, and takes 2 ms for others."""

    def work(number: int) -> int:
        import os
        import time

        deadline = time.monotonic() + 60
        while number == element and not os.path.exists(gate) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.002)
        return number

    return work


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ipclusterz-map"]


# -- how large chunks are ----------------------------------------------------------------------------------------------


@given(
    length=st.integers(1, 5000),
    grain=st.integers(1, 50),
    engines=st.integers(0, 9),
    times=st.lists(st.floats(0, 100), max_size=50),
    whole=st.booleans(),
)
def test_chunks_cover_everything_once(length: int, grain: int, engines: int, times: list[float], whole: bool) -> None:
    pace, position, longest = Pace(length, grain, grain, whole), 0, grain
    for number in range(2 * length + 1):
        if position == length:
            return
        chunks = pace.chunks(engines, everything=number == len(times))
        assert chunks[0][0] == position
        assert all(a[1] == b[0] for a, b in zip(chunks, chunks[1:]))
        assert all(start % grain == 0 for start, _ in chunks)
        assert number >= len(times) or max(stop - start for start, stop in chunks) <= 256 * longest
        longest = max(longest, *(stop - start for start, stop in chunks))
        position = chunks[-1][1]
        if number < len(times):
            pace.measured(times[number], longest)
    raise AssertionError("it has no end")


def test_long_elements_have_a_chunk_each_and_short_ones_share_one() -> None:
    pace = Pace(10_000, 1, 1)
    assert pace.chunks(2) == [(n, n + 1) for n in range(4)]
    pace.measured(10.0, 4)
    assert pace.chunks(2) == [(n, n + 1) for n in range(4, 12)]
    pace.measured(8 * 0.001, 8)
    assert pace.chunks(2)[0] == (12, 62)


def test_a_slow_element_holds_up_its_own_chunk_alone(rc: Client, lview: LoadBalancedView, gate: Path) -> None:
    ar = lview.map_async(hold_at(300, str(gate)), range(2000))
    until(lambda: ar.progress >= 1900, 30)
    assert len(ar) == 2000
    gate.touch()
    assert ar.get(timeout=30) == list(range(2000))
    assert all(result is not ar for result in rc.outstanding)
    took = [entry["completed"] - entry["started"] for entry in ar.metadata]
    assert sorted(each.total_seconds() for each in took)[len(took) // 2] < 0.5


def test_cheap_elements_share_chunks(lview: LoadBalancedView) -> None:
    ar = lview.map_async(abs, range(100_000))
    assert ar.get(timeout=20) == list(range(100_000))
    assert len(ar.msg_ids) < 2000


# -- what is sent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        range(-700, 700),
        list(range(1400)),
        tuple(range(1400)),
        [np.int64(n) for n in range(1400)],
        np.arange(1400.0),
        np.arange(2800).reshape(1400, 2).sum(axis=1),
        (n for n in range(1400)),
        dict.fromkeys(range(1400)),
    ],
    ids=["range", "list", "tuple", "objects", "array", "sums", "generator", "dictionary"],
)
def test_all_kinds_of_sequences(lview: LoadBalancedView, values: Any, ordered: bool) -> None:
    values = list(values) if not hasattr(values, "__len__") else values
    found = lview.map_sync(operator.neg, values, ordered=ordered)
    expected = [-value for value in values]
    assert found == expected if ordered else sorted(found) == sorted(expected)


def test_several_sequences(lview: LoadBalancedView) -> None:
    dictionaries = [{"n": n} for n in range(300)]
    found = lview.map_sync(lambda a, b, c: a["n"] + b + c, dictionaries, range(300), np.ones(400))
    assert found == [2 * n + 1 for n in range(300)]
    arrays = [np.full(5000, n) for n in range(200)]
    assert lview.map_sync(lambda a: a.__setitem__(0, 0) or a.sum(), arrays) == [4999 * n for n in range(200)]
    large = [np.full(20_000, n) for n in range(100)]
    assert lview.map_sync(lambda a: a.__setitem__(0, 0) or a.sum(), large) == [19_999 * n for n in range(100)]


def test_what_is_changed_behind_the_call_is_not_changed(lview: LoadBalancedView) -> None:
    array, numbers = np.arange(200), list(range(200))
    objects, arrays = [[n] for n in range(200)], [np.full(3000, n) for n in range(200)]
    sent = [lview.map_async(nap, values) for values in (array, numbers, objects)]
    firsts = lview.map_async(lambda held: int(held[0]), arrays)
    array[:] = -1
    numbers.clear()
    for each in objects:
        each[0] = -1
    for each in arrays:
        each[0] = -1
    assert firsts.get(timeout=30) == list(range(200))
    assert [ar.get(timeout=30) for ar in sent] == [list(range(200)), list(range(200)), [[n] for n in range(200)]]


def test_the_view_may_change_meanwhile(lview: LoadBalancedView) -> None:
    ar = lview.map_async(nap, range(200))
    lview.targets = 0
    assert ar.get(timeout=30) == list(range(200))
    assert len(set(ar.engine_ids)) > 1


@given(values=st.lists(st.tuples(st.integers(), st.text()), min_size=1, max_size=50), grain=st.integers(1, 9))
def test_pieces_are_what_slices_are(values: list[Any], grain: int) -> None:
    kept = Pieces([values, range(len(values))], len(values), grain)
    for start in range(0, len(values), grain):
        for stop in [*range(start + grain, len(values), grain), len(values)]:
            first, second = loads(kept.frames(start, stop))
            assert list(first) == values[start:stop]
            assert list(second) == list(range(start, stop))


def test_what_cannot_travel_is_said_at_once(lview: LoadBalancedView) -> None:
    with pytest.raises(ipz.SerializationError):
        lview.map_async(abs, [threading.Lock()] * 100)
    assert snapshot([[1, "a", None]], 3, 1).grain == 1


# -- results -----------------------------------------------------------------------------------------------------------


def test_iteration_and_indexes(lview: LoadBalancedView) -> None:
    ar = lview.map_async(nap, range(150))
    assert ar[149] == 149
    assert ar[-150] == 0
    assert ar[10:13] == [10, 11, 12]
    assert list(lview.map_async(nap, range(150))) == list(range(150))
    unordered = lview.map_async(nap, range(150), ordered=False)
    both = [list(unordered), list(unordered)]
    assert both[0] == both[1]
    assert sorted(both[0]) == list(range(150))
    with pytest.raises(IndexError):
        ar[150]


def test_futures(lview: LoadBalancedView) -> None:
    called: list[Any] = []
    ar = lview.map_async(nap, range(150))
    ar.add_done_callback(called.append)
    others = [lview.map_async(nap, range(100)), lview.map_async(abs, range(100))]
    assert concurrent.futures.wait([ar, *others], 30).not_done == set()
    until(lambda: called == [ar])
    assert ar.result() == list(range(150))
    assert ar.exception() is None
    assert not ar.cancelled()
    assert set(concurrent.futures.as_completed(others)) == set(others)

    async def waited() -> Any:
        return await lview.map_async(nap, range(100))

    assert asyncio.run(waited()) == list(range(100))


def test_waiting(rc: Client, lview: LoadBalancedView) -> None:
    ar = lview.map_async(nap, range(300))
    assert not ar.wait(0.01)
    assert not ar.ready()
    assert 0 <= ar.progress < 300
    assert not ar.wait(0, return_when="FIRST_EXCEPTION")
    with pytest.raises(ipz.TimeoutError):
        ar.get(timeout=0.01)
    with pytest.raises(ipz.TimeoutError):
        rc.barrier(timeout=0.01)
    assert "of 300 elements" in repr(ar)
    rc.barrier(timeout=30)
    assert ar.ready()
    assert ar.progress == 300
    assert 0.5 < ar.elapsed < 30
    assert ar.serial_time > 3
    failing = lview.map_async(lambda n: 1 / (n - 120), range(300))
    failing.wait(30, return_when="FIRST_EXCEPTION")
    assert [failed.index for failed in failing.failures()] == [120]


def test_output_is_shown_meanwhile(lview: LoadBalancedView, capsys: pytest.CaptureFixture[str]) -> None:
    lview.map_sync(lambda n: nap_and_print(n), range(100))
    assert sorted(int(line.split()[-1]) for line in capsys.readouterr().out.splitlines()) == list(range(100))


def nap_and_print(number: int) -> None:
    import time

    time.sleep(0.005)
    print("number", number)


def test_elements_fail_one_by_one(lview: LoadBalancedView, tmp_path: Path) -> None:
    mended = str(tmp_path / "mended")

    def work(number: int) -> float:
        import os

        return number / 1 if os.path.exists(mended) else number / (number % 50)

    ar = lview.map_async(work, range(200))
    with pytest.raises(CompositeError, match="element 150"):
        ar.get(timeout=30)
    assert [failed.index for failed in ar.failures()] == [0, 50, 100, 150]
    assert [index for index, *_ in ar.successes()] == [n for n in range(200) if n % 50]
    values = lview.map_sync(work, range(200), return_exceptions=True)
    assert [n for n, value in enumerate(values) if isinstance(value, ipz.RemoteError)] == [0, 50, 100, 150]
    iterator = iter(ar)
    with pytest.raises(ipz.RemoteError):
        next(iterator)
    assert next(iterator) == 1
    Path(mended).touch()
    again = ar.retry()
    assert again.get(timeout=30)[50] == 50
    assert again.get()[51] == 51


def test_many_at_the_same_time(rc: Client, lview: LoadBalancedView) -> None:
    many = [lview.map_async(abs, range(-number, 0)) for number in range(20, 220)]
    assert len(threads()) <= 32
    assert [sum(ar.get(timeout=40)) for ar in many] == [number * (number + 1) // 2 for number in range(20, 220)]
    assert rc.get_result(-200) is many[0]
    until(lambda: not threads())


def test_no_thread_can_be_started(lview: LoadBalancedView, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ar = lview.map_async(abs, range(10_000))
    assert ar.get(timeout=20) == list(range(10_000))


def test_nested(lview: LoadBalancedView) -> None:
    def outer(number: int) -> int:
        import ipclusterz

        with ipclusterz.worker_client() as client:
            return sum(client[None].map_sync(abs, range(-number, 0)))

    assert lview.map_sync(outer, [100, 200, 300]) == [5050, 20100, 45150]


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["result", "client", "jobs", "cancel"])
def test_what_is_not_sent_is_given_up_too(rc: Client, lview: LoadBalancedView, gate: Path, how: str) -> None:
    ar = lview.map_async(lambda number, gate=str(gate): hold(gate), range(1000))
    if how == "result":
        ar.abort()
    elif how == "client":
        rc.abort()
    elif how == "jobs":
        rc.abort(ar)
    else:
        assert ar.cancel() in (True, False)
    gate.touch()
    assert ar.wait(20)
    failed = ar.failures()
    assert len(failed) >= 900
    assert failed[-1].index == 999
    assert all(isinstance(each.error, AbortedError) for each in failed)
    assert len(failed) + len(ar.successes()) == 1000
    until(lambda: not threads())


@pytest.mark.parametrize("slow", [True, False])
def test_another_client_gives_up_what_is_not_sent(cluster: Cluster, rc: Client, gate: Path, slow: bool) -> None:
    work: Any = (lambda number, gate=str(gate): hold(gate)) if slow else nap
    ar = rc[None].map_async(work, range(9000))
    until(lambda: len(ar.msg_ids) > 16)
    with cluster.connect_client() as other:
        other.abort(all_clients=True)
    gate.touch()
    assert ar.wait(20)
    assert len(ar.failures()) > 8000
    assert all(isinstance(each.error, AbortedError) for each in ar.failures())


def test_a_client_that_is_closed(cluster: Cluster) -> None:
    client = cluster.connect_client()
    client.quiet = True
    ar = client[None].map_async(nap, range(5000))
    until(lambda: ar.progress > 10)
    client.close()
    assert not threads()
    assert ar.wait(10)
    assert len(ar.failures()) > 1000
    with pytest.raises(CompositeError):
        ar.get()


def test_an_engine_that_dies(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(2).connect_client() as rc:
        rc.wait_for_engines(2)
        pid = engine_pid(rc, 1)

        def work(number: int) -> int:
            import os
            import time

            time.sleep(0.002)
            if number == 300 and os.getpid() == pid:
                os._exit(1)
            return number

        view = rc.load_balanced_view()
        view.retries = 1
        assert view.map_async(work, range(800)).get(timeout=40) == list(range(800))
        assert view.map_sync(abs, range(100)) == list(range(100))


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_it_is_one_submission(rc: Client, lview: LoadBalancedView) -> None:
    first = lview.apply_async(abs, -1)
    ar = lview.map_async(nap, range(200))
    last = lview.apply_async(abs, -2)
    ar.wait(30)
    assert rc.get_result(-1) is last
    assert rc.get_result(-2) is ar
    assert rc.get_result(-3) is first
    assert rc.get_result(ar.msg_ids) is ar
    assert len(set(ar.msg_ids)) == len(ar.msg_ids) == len(ar.metadata)
    part = rc.get_result(ar.msg_ids[-1])
    assert part.get(timeout=10)[-1] == 199
    assert rc.resubmit(ar).get(timeout=30) == list(range(200))
    rc.purge_results(ar)


def test_another_client_has_the_whole_result(cluster: Cluster) -> None:
    name = f"measured-{time.monotonic_ns()}"
    with cluster.connect_client(session=name) as rc:
        rc.quiet = True
        before = rc[None].apply_async(abs, -1)
        rc[None].map_async(nap, range(400))
        assert before.get(timeout=10) == 1
    with cluster.connect_client(session=name) as rc:
        ar = rc.get_result(-1)
        assert rc.outstanding in ([ar], [])
        assert ar.get(timeout=30) == list(range(400))
        assert len(ar) == 400
        assert rc.get_result(-2).get(timeout=10) == 1
        assert rc.get_result(ar.msg_ids[-1]).get(timeout=10)[-1] == 399
        with pytest.raises(IndexError):
            rc.get_result(-3)
        rc.purge_results("all")


INTERRUPTED = """
def nap(number):
    time.sleep(0.005)
    return number

rc = client()

def say():
    until(lambda: rc.outstanding and rc.outstanding[0].progress)
    for_ever()

threading.Thread(target=say, daemon=True).start()
try:
    rc[None].map_sync(nap, range(3000))
except KeyboardInterrupt as error:
    (ar,) = rc.outstanding
    print(str(error), len(ar), ar.get(timeout=30) == list(range(3000)), flush=True)
"""


def test_an_interrupt_leaves_it_running(cluster: Cluster) -> None:
    with running(cluster, INTERRUPTED) as program:
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=40)
    assert "rc.outstanding has the results" in said
    assert said.endswith("3000 True\n")


KILLED = """
def work(number, gate={gate!r}):
    import os, time
    while not os.path.exists(gate):
        time.sleep(0.005)
    return number

rc = client(session={name!r})
ar = rc[None].map_async(work, range(10_000))
until(lambda: len(ar.msg_ids) > 4000 and not rc.status()["unsent"]["calls"])
threading.Thread(target=for_ever, daemon=True).start()
ar.get()
"""


def test_a_client_that_is_killed_before_it_has_sent_all(cluster: Cluster, gate: Path) -> None:
    name = f"measured-{time.monotonic_ns()}"
    killed(cluster, KILLED.format(gate=str(gate), name=name))
    gate.touch()
    with cluster.connect_client(session=name) as rc:
        ar = rc.get_result(-1)
        assert ar.wait(30)
        assert len(ar) == 10_000
        done = [index for index, *_ in ar.successes()]
        assert done == list(range(len(done)))
        assert 0 < len(done) < 10_000
        failed = ar.failures()
        assert [each.index for each in failed] == list(range(len(done), 10_000))
        assert isinstance(failed[0].error, AbortedError)
        assert "was killed" in str(failed[0].error)
        rc.purge_results("all")
