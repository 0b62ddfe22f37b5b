"""Calls on terms in tasks: they end, also where the only engines that could do them wait for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import hold

import ipclusterz as ipz
from ipclusterz import Client, Cluster

SECONDS = 40


def square(x: int) -> int:
    return x * x


def fails() -> None:
    raise OSError("no")


@pytest.fixture(scope="module", params=[1, 3], ids=["one engine", "three engines"])
def engines(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Cluster(request.param, cluster=f"nested-terms{request.param}-{os.getpid()}") as rc:
        yield rc


@pytest.fixture(scope="module")
def offering() -> Iterator[Client]:
    """One engine, with two GPUs and a name."""
    table = {"resources": {"gpus": 2}, "tags": ["big"]}
    with Cluster(1, cluster=f"nested-needs-{os.getpid()}", engines=table) as rc:
        yield rc


def on_all(client: Client, task: Callable[[], Any], seconds: float = SECONDS) -> list[Any]:
    """What a task gives that all engines do at the same time."""
    answers: list[Any] = client[:].apply_async(task).get(timeout=seconds)
    return answers


def waited_for() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        return view.apply_async(square, 3, after=view.apply_async(square, 2)).get(timeout=SECONDS)


def first_waited_for() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        first = view.apply_async(square, 2)
        second = view.apply_async(square, 3, after=first)
        return first.get(timeout=SECONDS) + second.get(timeout=SECONDS)


def chained() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        last = view.apply_async(square, 0)
        for number in range(30):
            last = view.apply_async(square, number, after=last)
        return last.get(timeout=SECONDS)


def mapped() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        squares = view.map_async(square, range(20), chunksize=1)
        with view.temp_flags(after=squares):
            return sum(view.map_async(square, range(20), chunksize=1).get(timeout=SECONDS))


def followed() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        first = view.apply_async(os.getpid)
        return view.apply_async(os.getpid, follow=first).get(timeout=SECONDS) == first.get(timeout=SECONDS)


def polled() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        result = view.apply_async(square, 3, after=view.apply_async(square, 2))
        deadline = time.monotonic() + SECONDS
        while not result.ready() and time.monotonic() < deadline:
            time.sleep(0.01)
        return result.get(timeout=0)


def at_a_barrier() -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        result = view.apply_async(square, 3, after=view.apply_async(square, 2))
        client.barrier(timeout=SECONDS)
        return result.get(timeout=0)


def in_futures() -> Any:
    from concurrent.futures import as_completed

    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        result = view.apply_async(square, 3, after=view.apply_async(square, 2))
        return next(as_completed([result], timeout=SECONDS)).result()


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (waited_for, 9),
        (first_waited_for, 13),
        (chained, 29 * 29),
        (mapped, sum(x * x for x in range(20))),
        (followed, True),
        (polled, 9),
        (at_a_barrier, 9),
        (in_futures, 9),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_calls_after_others_are_done_by_the_engines_that_wait(
    engines: Client, task: Callable[[], Any], answer: Any
) -> None:
    assert on_all(engines, task) == [answer] * len(engines)
    assert on_all(engines, lambda: 1) == [1] * len(engines)


def test_what_was_to_begin_after_a_call_that_failed_where_it_was_waited_for(engines: Client) -> None:
    def impossible() -> Any:
        with ipz.worker_client() as client:
            view = client.load_balanced_view()
            first = view.apply_async(fails)
            second = view.apply_async(square, 2, after=first)
            third = view.apply_async(square, 3, after=ipz.Dependency(first, success=False, failure=True))
            try:
                second.get(timeout=SECONDS)
            except ipz.ImpossibleDependency as error:
                return str(error), third.get(timeout=SECONDS)

    for why, third in on_all(engines, impossible):
        assert "which failed" in why
        assert third == 9


def test_a_call_with_a_time_limit_is_refused_where_all_engines_wait(engines: Client) -> None:
    def limited() -> Any:
        with ipz.worker_client() as client:
            view = client.load_balanced_view()
            with view.temp_flags(time_limit=30):
                result = view.apply_async(square, 3)
            after = view.apply_async(square, 3, after=result)
            try:
                return result.get(timeout=SECONDS), after.get(timeout=SECONDS)
            except ipz.RejectedError as error:
                try:
                    return after.get(timeout=SECONDS)
                except ipz.ImpossibleDependency as other:
                    return str(error), str(other)

    answers = on_all(engines, limited)
    # The first one; then there is an engine that waits for nothing.
    refused = [answer for answer in answers if answer != (9, 9)]
    assert refused
    for why, after in refused:
        assert "a call with a time_limit has an engine for itself" in why
        assert "was refused" in after


def has() -> Any:
    return ipz.task().resources


def needing(needs: dict[str, Any]) -> Any:
    with ipz.worker_client() as client:
        view = client.load_balanced_view()
        with view.temp_flags(needs=needs):
            result = view.apply_async(has)
        try:
            return ipz.task().resources, result.get(timeout=SECONDS), ipz.task().resources
        except ipz.RejectedError as error:
            return str(error)


def test_what_a_call_needs_is_what_the_task_that_waits_for_it_leaves(offering: Client) -> None:
    view = offering.load_balanced_view()
    one, two = {"gpus": ["0"]}, {"gpus": ["0", "1"], "big": True}
    assert view.apply_async(needing, {"gpus": 2, "big": True}).get(SECONDS) == ({}, two, {})
    with view.temp_flags(needs={"gpus": 1}):
        assert view.apply_async(needing, {"gpus": 1}).get(SECONDS) == (one, {"gpus": ["1"]}, one)
        why = view.apply_async(needing, {"gpus": 2}).get(SECONDS)
    assert "engine 0 has what it needs for the task that waits for it (gpus: 2 needed, 1 of 2 left)" in why
    with view.temp_flags(needs={"gpus": 2}):
        assert "gpus: 1 needed, 0 of 2 left" in view.apply_async(needing, {"gpus": 1}).get(SECONDS)
        assert view.apply_async(needing, {"big": True}).get(SECONDS)[1] == {"big": True}


def test_what_another_engine_will_do_is_waited_for(own_cluster: Callable[..., Cluster], gate: Path) -> None:
    def limited() -> int:
        with ipz.worker_client() as client:
            view = client.load_balanced_view()
            with view.temp_flags(time_limit=30):
                return int(view.apply_async(square, 3).get(timeout=SECONDS))

    with own_cluster(2).connect_client() as rc:
        # An engine that is free does it; one that is busy does it when it is done.
        assert rc[0].apply_async(limited).get(SECONDS) == 9
        busy = rc[1].apply_async(hold, gate)
        result = rc[0].apply_async(limited)
        with pytest.raises(TimeoutError):
            result.get(timeout=5)
        gate.touch()
        assert result.get(SECONDS) == 9
        busy.get(SECONDS)


def test_calls_after_tasks_of_others_that_cannot_begin_are_refused(
    own_cluster: Callable[..., Cluster],
) -> None:
    def after(message_id: str) -> str:
        with ipz.worker_client() as client:
            result = client.load_balanced_view().apply_async(square, 3, after=message_id)
            try:
                return str(result.get(timeout=SECONDS))
            except ipz.RejectedError as error:
                return str(error)

    with own_cluster(1).connect_client() as rc:
        view = rc.load_balanced_view()
        first = view.apply_async(time.sleep, 0.2)
        last = view.apply_async(square, 2, after=first)
        task = rc[0].apply_async(after, last.msg_ids[0])
        assert "it begins after" in task.get(SECONDS)
        assert last.get(SECONDS) == 4
