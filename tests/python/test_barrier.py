"""Waiting for results by `barrier`, and giving them up by `abort`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster


def test_barrier(rc: Client, gate: Path) -> None:
    held = [rc[engine].apply_async(hold, str(gate)) for engine in (0, 1)]
    free = [rc[2, 3].apply_async(abs, -1) for _ in range(3)]
    rc.barrier(free, timeout=20)
    rc.barrier(tuple(free), timeout=20)
    rc.barrier((result for result in free), timeout=20)
    rc.barrier(free[0], timeout=20)
    rc.barrier(free[0].msg_ids, timeout=20)
    rc.barrier(free[0].msg_ids[1], timeout=20)
    rc.barrier([free[0], *free[1].msg_ids, free[2]], timeout=20)
    rc.barrier([], timeout=0)
    rc[2].barrier(free, timeout=20)
    rc[None].barrier(free, timeout=20)
    assert not held[0].ready()
    for jobs in (held, [*free, held[0]], held[0].msg_ids, [*free, *held[1].msg_ids], [held[0], *held[1].msg_ids], None):
        began = time.monotonic()
        with pytest.raises(ipz.TimeoutError, match=r"not (all|everything|ready).* after 0\.05 s") as caught:
            rc.barrier(jobs, timeout=0.05)
        assert 0.04 < time.monotonic() - began < 5
        assert isinstance(caught.value, TimeoutError)
    with pytest.raises(ipz.TimeoutError, match="2 of 5 results are not ready"):
        rc.barrier([*free, *held], timeout=0)
    gate.touch()
    rc.barrier([held[0], *held[1].msg_ids], timeout=20)
    assert all(result.ready() for result in held)
    rc.barrier()


def test_a_barrier_for_everything_waits_for_what_nobody_holds(rc: Client, gate: Path) -> None:
    rc[0].apply_async(hold, str(gate))
    with pytest.raises(ipz.TimeoutError):
        rc.barrier(timeout=0.05)
    gate.touch()
    rc.barrier(timeout=20)
    assert rc.status()["engines"][0]["queue"] == 0


def test_a_barrier_raises_nothing_of_what_the_calls_raised(rc: Client) -> None:
    failed = rc[:].apply_async(lambda: 1 / 0)
    rc.barrier([failed], timeout=20)
    rc.barrier(failed.msg_ids, timeout=20)
    assert not failed.successful()


def test_a_barrier_for_what_is_no_job(rc: Client, cluster: Cluster, gate: Path) -> None:
    held = rc[0].apply_async(hold, str(gate))
    name = held.msg_ids[0].split("-")[0]
    with cluster.connect_client() as other:
        foreign = other[0].apply_async(abs, -1)
        # Refused at once, not after the wait for the others.
        for bad in ("", "nonsense", f"{name}-999999-0", f"{held.msg_ids[0]}0", foreign.msg_ids[0]):
            with pytest.raises(ValueError, match=bad or "no message id"):
                rc.barrier([held, bad])
        gate.touch()
        # A result knows by itself when it is ready, whoever asks.
        rc.barrier([foreign], timeout=20)
    for bad in (3, [3], [held, None], object(), b"ab", rc[0]):
        with pytest.raises(TypeError, match=r"results or message ids are needed|names are strings"):
            rc.barrier(bad)  # type: ignore[arg-type]


def test_abort(rc: Client, gate: Path) -> None:
    running = rc[0].apply_async(hold, str(gate), "runs")
    until(lambda: "runs" in running.stdout)
    first, second, third = (rc[0].apply_async(abs, -number) for number in (1, 2, 3))
    rc.abort(first)
    rc.abort(second.msg_ids)
    with pytest.raises(TypeError, match="not both"):
        rc.abort(third, targets=0)
    for bad in (3, [3]):
        with pytest.raises(TypeError, match=r"results"):
            rc.abort(bad)  # type: ignore[arg-type]
    # The engines give back what they have not begun; until then the gate stays closed.
    until(lambda: first.ready() and second.ready())
    gate.touch()
    assert third.get(timeout=20) == 3
    for aborted in (first, second):
        with pytest.raises(ipz.AbortedError):
            aborted.get(timeout=20)
