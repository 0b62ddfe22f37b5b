"""Forks at random moments, of a client and in engines, while threads work: children end, and parents go on."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from helpers import until

from ipclusterz import Client, Cluster
from ipclusterz.error import ClientClosed

SECONDS = 20


def endings(chance: random.Random) -> Callable[[Client], None]:
    """How a forked child ends, after it has tried to use what it must not."""

    def refused(rc: Client) -> None:
        try:
            rc[0].apply_sync(abs, -1)
        except ClientClosed:
            os._exit(0)
        os._exit(1)

    def closed(rc: Client) -> None:
        rc.close()
        os._exit(0)

    def freed(rc: Client) -> None:
        del rc
        os._exit(0)

    return chance.choice((refused, closed, freed, lambda _: os._exit(0)))


def child(rc: Client, end: Callable[[Client], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            end(rc)
        finally:
            os._exit(2)
    return pid


def ended_well(pid: int) -> bool:
    """Waits for a child: it must not hang."""
    status = until(lambda: (found := os.waitpid(pid, os.WNOHANG))[0] and found, SECONDS, "a forked child hangs")[1]
    return os.waitstatus_to_exitcode(status) == 0


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_client_forks_while_it_works(own_cluster: Callable[..., Cluster], faults) -> None:
    chance = random.Random(1)
    count = faults.times(100, 2000)
    over = threading.Event()
    answered = Counter[bool]()
    with own_cluster(n=2).connect_client() as rc:
        view = rc.load_balanced_view()

        def work() -> None:
            number = 0
            while not over.is_set():
                answered[view.apply_async(divmod, number, 7).get(timeout=SECONDS) == divmod(number, 7)] += 1
                number += 1

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(count):
                over.wait(chance.uniform(0, 0.004))
                assert ended_well(child(rc, endings(chance)))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert rc[:].apply_sync(abs, -1) == {0: 1, 1: 1}
        assert rc.status()["clients"] == 2, "this one, and the launcher's"
    assert set(answered) == {True}
    faults.survived(
        "forks", "a client's process, while three threads work", count, "children are refused; no answer is lost"
    )


def fork_and_go_on(number: int) -> tuple[int, int]:
    """On an engine: forks in the middle of a task, and the child does what an unwary one does."""
    pid = os.fork()
    if pid == 0:
        match number % 4:
            case 0:
                os._exit(0)
            case 1:
                return -1, -1
            case 2:
                raise ValueError("in a child")
            case _:
                print("a child prints")
                sys.exit(3)
    os.waitpid(pid, 0)
    return os.getpid(), number


@pytest.mark.timeout(600)
def test_engines_fork_in_their_tasks(own_cluster: Callable[..., Cluster], faults) -> None:
    count = faults.times(200, 4000)
    with own_cluster(n=2).connect_client() as rc:
        pids = set(rc[:].apply_sync(os.getpid).values())
        results = [rc[number % 2].apply_async(fork_and_go_on, number) for number in range(count)]
        answers = [result.get(timeout=120) for result in results]
        assert [number for _, number in answers] == list(range(count))
        assert {pid for pid, _ in answers} == pids == set(rc[:].apply_sync(os.getpid).values())
    faults.survived(
        "forks", "engines, in the middle of their tasks", count, "each task has one answer, and it is the parent's"
    )
