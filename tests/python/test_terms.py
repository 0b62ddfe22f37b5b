"""Load-balanced calls on terms: what they wait for, what they need, how long they may take, and why they wait."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import copy
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from helpers import engine_pids, hold, until
from test_controller_restart import kill_controller

import ipclusterz as ipz
from ipclusterz import AsyncResult, Client, Cluster, Dependency, LoadBalancedView

SECONDS = 30
# As many calls, each after the one before; as many with two parents; and how long they may take.
CHAIN, GRAPH, MANY_SECONDS = 100_000, 10_000, 120


@pytest.fixture
def view(rc: Client) -> LoadBalancedView:
    return rc.load_balanced_view()


@pytest.fixture
def own_engine() -> Iterator[Callable[[Cluster], int]]:
    """Starts an engine by hand, and kills it at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(cluster: Cluster) -> int:
        assert cluster.report is not None
        command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", cluster.report["engine_file"]]
        processes.append(subprocess.Popen(command, start_new_session=True))
        return processes[-1].pid

    yield start
    for process in processes:
        process.kill()
        process.wait(SECONDS)


def noted(path: str, word: str) -> str:
    """Append a word to a file."""
    with open(path, "a") as file:
        file.write(word + "\n")
    return word


def runs(rc: Client, result: AsyncResult) -> bool:
    """Whether an engine has it."""
    return bool(rc.explain(result).tasks[0]["state"] == "running")


def words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


# -- dependencies -------------------------------------------------------------------------------------------------


def test_a_call_begins_after_others(view: LoadBalancedView, gate: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = view.apply_async(hold, gate)
    ways: list[Any] = [first, [first], first.msg_ids, first.msg_ids[0], Dependency(first)]
    after = [view.apply_async(noted, str(log), "later", after=way) for way in ways]
    with view.temp_flags(after=[first, *after]):
        last = view.apply_async(noted, str(log), "last")
    assert view.apply_sync(abs, -1) == 1
    assert words(log) == []
    assert not last.ready()
    gate.touch()
    assert last.get(SECONDS) == "last"
    assert words(log) == ["later"] * len(ways) + ["last"]


def test_a_keyword_that_is_no_result_is_the_functions_own(view: LoadBalancedView) -> None:
    def told(after: object = None, follow: object = None) -> tuple[object, object]:
        return after, follow

    assert view.apply_sync(told, after=3, follow="you") == (3, "you")
    done = view.apply_async(abs, -1)
    assert view.apply_sync(told, after=done, follow=[1]) == (None, [1])


def test_a_call_follows_others_to_their_engine(view: LoadBalancedView) -> None:
    for _ in range(5):
        first = view.apply_async(os.getpid)
        second = view.apply_async(os.getpid, follow=first)
        third = view.apply_async(os.getpid, follow=[first, second], after=second)
        assert third.get(SECONDS) == second.get(SECONDS) == first.get(SECONDS)
    # Done long before, and on an engine that was chosen.
    assert view.apply_sync(os.getpid, follow=first) == first.get()


def test_an_engine_that_was_restarted_is_not_where_they_ran(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        first = view.apply_async(os.getpid)
        before = first.get(SECONDS)
        cluster.restart_engines(timeout=SECONDS)
        until(lambda: engine_pids(rc) and before not in engine_pids(rc).values(), SECONDS)
        why = "engine 0 was restarted since then"
        for way in (first, first.msg_ids):
            with pytest.raises(ipz.ImpossibleDependency, match=why):
                view.apply_async(os.getpid, follow=way).get(SECONDS)
        assert view.apply_sync(os.getpid, follow=view.apply_async(os.getpid)) != before


def test_those_of_different_engines_cannot_be_followed_together(rc: Client, view: LoadBalancedView) -> None:
    both = rc[[0, 1]].apply_async(os.getpid)
    result = view.apply_async(abs, -1, follow=both)
    with pytest.raises(ipz.ImpossibleDependency, match="ran on different engines: 0, 1"):
        result.get(SECONDS)
    with view.temp_flags(follow=Dependency(both, all=False)):
        assert view.apply_sync(os.getpid) in both.get()


def test_what_waits_for_a_failure_fails_at_once_and_names_it(view: LoadBalancedView, gate: Path) -> None:
    bad = view.apply_async(lambda gate: [hold(gate), 1 / 0], gate)
    child = view.apply_async(abs, -1, after=bad)
    grandchild = view.apply_async(abs, -1, after=child)
    gate.touch()
    for result, parent, what in [(child, bad, "which failed"), (grandchild, child, "which cannot run either")]:
        with pytest.raises(ipz.ImpossibleDependency) as raised:
            result.get(SECONDS)
        assert parent.msg_ids[0] in str(raised.value)
        assert what in str(raised.value)
        assert result.metadata["status"] == "impossible"
    # Also when it has ended before.
    with pytest.raises(ipz.ImpossibleDependency, match="which failed"):
        view.apply_async(abs, -1, after=bad.msg_ids).get(SECONDS)


@pytest.mark.parametrize(
    ("all_", "success", "failure", "runs"),
    [
        (True, True, False, False),
        (True, False, True, False),
        (True, True, True, True),
        (False, True, False, True),
        (False, False, True, True),
    ],
)
def test_which_ends_count(view: LoadBalancedView, all_: bool, success: bool, failure: bool, runs: bool) -> None:
    good, bad = view.apply_async(abs, -1), view.apply_async(lambda: 1 / 0)
    with view.temp_flags(after=Dependency([good, bad], all=all_, success=success, failure=failure)):
        result = view.apply_async(abs, -5)
    if runs:
        assert result.get(SECONDS) == 5
    else:
        with pytest.raises(ipz.ImpossibleDependency):
            result.get(SECONDS)


def test_an_aborted_parent_takes_its_children_along(view: LoadBalancedView, rc: Client, gate: Path) -> None:
    holding = [view.apply_async(hold, gate) for _ in range(len(rc))]
    parent = view.apply_async(abs, -1)
    child = view.apply_async(abs, -1, after=parent)
    parent.abort()
    with pytest.raises(ipz.ImpossibleDependency, match="which was aborted"):
        child.get(SECONDS)
    gate.touch()
    rc.barrier(holding, timeout=SECONDS)


def test_results_of_another_client(rc: Client, other: Client, gate: Path) -> None:
    open_one = rc.load_balanced_view().apply_async(hold, gate)
    done = rc.load_balanced_view().apply_async(abs, -1)
    done.wait(SECONDS)
    view = other.load_balanced_view()
    child = view.apply_async(abs, -2, after=[*open_one.msg_ids, *done.msg_ids])
    until(lambda: "begins after" in repr(other.explain(child)))
    gate.touch()
    assert child.get(SECONDS) == 2
    with pytest.raises(ValueError, match="there is no task"):
        view.apply_async(abs, -2, after="00000000-1-0")


def test_a_map_is_waited_for_as_a_whole(view: LoadBalancedView, tmp_path: Path) -> None:
    log = tmp_path / "log"
    mapped = view.map_async(lambda i: noted(str(log), str(i)), range(300))
    assert view.apply_async(lambda: len(Path(log).read_text().split()), after=mapped).get(SECONDS) == 300


def test_a_graph_of_a_thousand(view: LoadBalancedView) -> None:
    """Each call has two of those before it as parents, and is given when they ended."""
    results: list[AsyncResult] = [view.apply_async(time.time) for _ in range(2)]
    for number in range(2, 1000):
        results.append(view.apply_async(time.time, after=[results[number // 2], results[number - 1]]))
    times = [result.get(SECONDS) for result in results]
    assert all(times[number] >= max(times[number // 2], times[number - 1]) for number in range(2, 1000))


@pytest.mark.timeout(2 * MANY_SECONDS)
def test_a_chain_of_many_and_a_graph_of_many(view: LoadBalancedView) -> None:
    """What each costs does not grow with how many there are."""
    last = view.apply_async(abs, 0)
    for _ in range(CHAIN):
        last = view.apply_async(abs, -1, after=last)
    assert last.get(MANY_SECONDS) == 1
    calls: list[AsyncResult] = [view.apply_async(abs, 0) for _ in range(2)]
    for number in range(2, GRAPH):
        calls.append(view.apply_async(abs, -number, after=[calls[number // 2], calls[number - 1]]))
    last = view.apply_async(abs, -1, after=calls)
    assert last.get(MANY_SECONDS) == 1
    assert all(call.get(SECONDS) == number for number, call in enumerate(calls) if number > 1)


def test_dependencies_survive_the_controller(own_cluster: Callable[..., Cluster], gate: Path) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        first = view.apply_async(hold, gate)
        failed = view.apply_async(lambda: 1 / 0)
        failed.wait(SECONDS)
        child = view.apply_async(abs, -2, after=first)
        grandchild = view.apply_async(abs, -3, after=child)
        until(lambda: rc.explain(grandchild).tasks[0]["state"] == "waiting")
        kill_controller(cluster)
        impossible = view.apply_async(abs, -4, after=failed.msg_ids)
        gate.touch()
        assert (child.get(SECONDS), grandchild.get(SECONDS)) == (2, 3)
        with pytest.raises(ipz.ImpossibleDependency):
            impossible.get(SECONDS)


# -- times --------------------------------------------------------------------------------------------------------


def test_a_call_that_is_not_begun_in_time(rc: Client, view: LoadBalancedView, gate: Path) -> None:
    holding = [view.apply_async(hold, gate) for _ in range(len(rc))]
    with view.temp_flags(timeout=0.2):
        queued = view.apply_async(abs, -1)
        waiting = view.apply_async(abs, -1, after=holding[0])
    for result, why in [(queued, "busy"), (waiting, "it begins after")]:
        with pytest.raises(ipz.TaskTimeout, match=r"no engine began it within its timeout of 0\.2 s") as raised:
            result.get(SECONDS)
        assert why in str(raised.value)
        assert not isinstance(raised.value, TimeoutError)
    gate.touch()
    rc.barrier(holding, timeout=SECONDS)
    with view.temp_flags(timeout=60):
        assert view.apply_sync(abs, -1) == 1


def test_a_call_that_runs_for_too_long_is_interrupted(view: LoadBalancedView) -> None:
    with view.temp_flags(time_limit=0.2):
        result = view.apply_async(time.sleep, 60)
        with pytest.raises(ipz.TaskTimeout, match=r"time limit of 0\.2 s, and was interrupted") as raised:
            result.get(SECONDS)
        assert isinstance(raised.value.__cause__, ipz.RemoteError)
        assert "KeyboardInterrupt" in str(raised.value.__cause__)
        assert view.apply_sync(abs, -1) == 1


def never_ends() -> None:
    print("begun")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(60)


def test_one_that_cannot_be_interrupted_ends_with_its_engine(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, controller={"kill_grace": 0.2}, engines={"restart": True})
    with cluster.connect_client() as rc:
        before = engine_pids(rc)
        view = rc.load_balanced_view()
        with view.temp_flags(time_limit=0.2, retries=5), pytest.raises(ipz.TaskTimeout, match="had to be ended"):
            view.apply_async(never_ends).get(SECONDS)
        until(lambda: len(engine_pids(rc)) == 2 and engine_pids(rc) != before, SECONDS)
        # By hand the same.
        result = view.apply_async(never_ends)
        until(lambda: result.stdout)
        rc.abort(result.msg_ids, force=True)
        with pytest.raises(ipz.EngineError):
            result.get(SECONDS)
        until(lambda: len(engine_pids(rc)) == 2, SECONDS)


def test_an_engine_that_is_stopped_is_ended_by_its_launcher(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, controller={"kill_grace": 0.3}, engines={"restart": True})
    with cluster.connect_client() as rc:
        before = engine_pids(rc)
        view = rc.load_balanced_view()
        with view.temp_flags(time_limit=0.5):
            result = view.apply_async(never_ends)
        until(lambda: result.stdout)
        stopped = before[rc.explain(result).tasks[0]["engine_id"]]
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(ipz.TaskTimeout, match="its engine had to be ended"):
            result.get(SECONDS)
        until(lambda: len(engine_pids(rc)) == 2 and stopped not in engine_pids(rc).values(), SECONDS)
        assert not Path(f"/proc/{stopped}").exists()
        # By hand the same.
        result = rc[0].apply_async(never_ends)
        until(lambda: result.stdout)
        stopped = engine_pids(rc)[0]
        os.kill(stopped, signal.SIGSTOP)
        rc.abort(result.msg_ids, force=True)
        with pytest.raises(ipz.EngineError):
            result.get(SECONDS)
        until(lambda: len(engine_pids(rc)) == 2 and stopped not in engine_pids(rc).values(), SECONDS)


def test_a_call_ends_at_its_limit_where_nobody_can_end_its_engine(
    own_cluster: Callable[..., Cluster], own_engine: Callable[[Cluster], int]
) -> None:
    cluster = own_cluster(0, controller={"kill_grace": 0.3})
    pid = own_engine(cluster)
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        with view.temp_flags(time_limit=0.5):
            result = view.apply_async(never_ends)
        until(lambda: result.stdout)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ipz.TaskTimeout, match="neither the engine nor its launcher has ended it"):
            result.get(SECONDS)


# -- errors and tries ---------------------------------------------------------------------------------------------


def fails_until(path: str, tries: int, error: type[Exception]) -> int:
    """Fail, but for the last of so many tries."""
    noted(path, "x")
    count = len(words(Path(path)))
    if count < tries:
        raise error(f"try {count}")
    return count


async def fails_later(path: str, tries: int, error: type[Exception]) -> int:
    return fails_until(path, tries, error)


@pytest.mark.parametrize("function", [fails_until, fails_later])
@pytest.mark.parametrize("delay", [None, 0.05])
def test_a_call_is_done_again_after_an_error(
    view: LoadBalancedView, tmp_path: Path, function: Any, delay: float | None
) -> None:
    with view.temp_flags(retries=2, retry_on=OSError, retry_delay=delay):
        assert view.apply_async(function, str(tmp_path / "a"), 3, FileNotFoundError).get(SECONDS) == 3
        with pytest.raises(ipz.RemoteError, match="try 3"):
            view.apply_async(function, str(tmp_path / "b"), 4, OSError).get(SECONDS)
        with pytest.raises(ipz.RemoteError, match="try 1"):
            view.apply_async(function, str(tmp_path / "c"), 2, ValueError).get(SECONDS)
        paths = [str(tmp_path / name) for name in "def"]
        assert view.map_async(lambda path: fails_until(path, 2, OSError), paths).get(SECONDS) == [2, 2, 2]
        with pytest.raises(ipz.CompositeError, match="try 3"):
            view.map_async(lambda path: fails_until(path, 9, OSError), [str(tmp_path / "g")]).get(SECONDS)
    assert len(words(tmp_path / "b")) == len(words(tmp_path / "g")) == 3


def test_dependencies_of_functions_and_tries_go_together(view: LoadBalancedView, tmp_path: Path) -> None:
    @ipz.require("os.path")
    def needy(path: str) -> int:
        return fails_until(path, 2, OSError)

    @ipz.depend(lambda: False)
    def nowhere() -> None:
        raise AssertionError

    with view.temp_flags(retries=1, retry_on=(Exception,)):
        assert view.apply_async(needy, str(tmp_path / "a")).get(SECONDS) == 2
        with pytest.raises(ipz.RemoteError, match="depends on"):
            view.apply_async(nowhere).get(SECONDS)


# -- priorities ---------------------------------------------------------------------------------------------------


def test_calls_of_a_higher_priority_are_begun_first(own_cluster: Callable[..., Cluster], gate: Path) -> None:
    cluster = own_cluster(1)
    log = str(gate.parent / "log")
    with cluster.connect_client() as rc, cluster.connect_client() as urgent:
        view = rc.load_balanced_view()
        first = view.apply_async(hold, gate)
        until(lambda: runs(rc, first))
        results = []
        for number, priority in enumerate([0, 0, 2, -1, 1, 0]):
            with view.temp_flags(priority=priority):
                results.append(view.apply_async(noted, log, f"{priority}:{number}"))
        urgent.priority = 3
        results.append(urgent.load_balanced_view().apply_async(noted, log, "urgent"))
        until(lambda: rc.status()["pending"] == len(results))
        gate.touch()
        assert [result.get(SECONDS) for result in results][-1] == "urgent"
        assert words(Path(log)) == ["urgent", "2:2", "1:4", "0:0", "0:1", "0:5", "-1:3"]


# -- resources ----------------------------------------------------------------------------------------------------


def of_task() -> tuple[str | None, dict[str, Any]]:
    time.sleep(0.05)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), ipz.task().resources


def test_calls_have_what_they_need(own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    offers = {"resources": {"gpus": 2, "memory": "16G"}, "tags": ["bigmem"]}
    with own_cluster(3, engines=offers).connect_client() as rc:
        view = rc.load_balanced_view()
        results = [view.needs(gpus=1).apply_async(of_task) for _ in range(6)]
        assert {result.get(SECONDS)[0] for result in results} == {"0", "2", "4"}
        visible, has = view.needs("bigmem", gpus=1.5, memory="1G").apply_sync(of_task)
        assert visible in ("0,1", "2,3", "4,5")
        assert has == {"gpus": visible.split(","), "memory": float(1 << 30), "bigmem": True}
        assert view.apply_sync(of_task) == (None, {})
        for needs, why in [({"gpus": 3}, "it needs gpus=3"), ({"licence": 1}, "licence=1"), ({"fast": True}, "fast")]:
            with (
                view.temp_flags(needs=needs),
                pytest.raises(ipz.RejectedError, match="no engine of this cluster") as told,
            ):
                view.apply_sync(of_task)
            assert why in str(told.value)
        assert [engine["offers"]["tags"] for engine in rc.status()["engines"]] == [["bigmem"]] * 3


def test_no_gpu_is_held_twice(own_cluster: Callable[..., Cluster], gate: Path, tmp_path: Path) -> None:
    """The GPUs of an engine are its own: those that all inherit are dealt out."""
    log = str(tmp_path / "log")

    def holding() -> None:
        noted(log, os.environ["CUDA_VISIBLE_DEVICES"])
        hold(gate)

    variables = {"CUDA_VISIBLE_DEVICES": "7,5,3"}
    with own_cluster(3, engines={"resources": {"gpus": 1}}, env=variables).connect_client() as rc:
        results = [rc.load_balanced_view().needs(gpus=1).apply_async(holding) for _ in range(3)]
        until(lambda: len(words(Path(log))) == 3)
        assert sorted(words(Path(log))) == ["3", "5", "7"]
        gate.touch()
        rc.barrier(results, timeout=SECONDS)


# -- schemes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["leastload", "lru", "random", "weighted", "pure"])
def test_each_scheme(own_cluster: Callable[..., Cluster], scheme: str) -> None:
    with own_cluster(2, scheme=scheme, prefetch=0).connect_client() as rc:
        view = rc.load_balanced_view()
        results = [view.apply_async(os.getpid) for _ in range(40)]
        assert {result.get(SECONDS) for result in results} == set(engine_pids(rc).values())


def test_no_such_scheme(own_cluster: Callable[..., Cluster]) -> None:
    with pytest.raises(ipz.ClusterError, match=r"there is no scheme .best") as raised:
        own_cluster(1, scheme="best")
    assert "leastload, lru, random, weighted, pure" in str(raised.value)
    with pytest.raises(ipz.ClusterError, match='"auto" or a whole number'):
        own_cluster(1, prefetch="some")


# -- why ----------------------------------------------------------------------------------------------------------


def test_why_a_call_waits(rc: Client, view: LoadBalancedView, gate: Path) -> None:
    holding = [view.apply_async(hold, gate) for _ in range(len(rc))]
    until(lambda: all(runs(rc, result) for result in holding))
    queued = [view.apply_async(abs, -1) for _ in range(3)]
    child = view.apply_async(abs, -1, after=queued[:2])
    # They may have been at an engine, and come back.
    until(lambda: "2 tasks of this session before it" in repr(rc.explain(queued[-1])))
    said = repr(rc.explain([queued[-1], child, holding[0]])).splitlines()
    assert any("busy" in line for line in said)
    assert any(f"it begins after {queued[0].msg_ids[0]} (abs), {queued[1].msg_ids[0]}" in line for line in said)
    assert any("(hold): running on engine" in line for line in said)
    gate.touch()
    rc.barrier([*holding, *queued, child], timeout=SECONDS)
    assert "(abs): ok on engine" in repr(rc.explain(child))


# -- what was found by trying ------------------------------------------------------------------------------------------


def test_a_map_behind_a_map(view: LoadBalancedView) -> None:
    """Each call of the second one waits for all of the first, at one gate."""
    first = view.map_async(abs, range(-2000, 0), chunksize=1)
    with view.temp_flags(after=first):
        second = view.map_async(abs, range(2000), chunksize=1)
    assert second.get(SECONDS) == list(range(2000))


def test_as_many_parents_as_there_may_be(view: LoadBalancedView, rc: Client) -> None:
    results = view.map_async(abs, range(30_000), chunksize=1)
    assert view.apply_async(abs, -1, after=results).get(60) == 1
    with pytest.raises(ValueError, match="15000 runs of tasks, and 8192 are the most"):
        view.apply_async(abs, -1, after=results.msg_ids[::2])
    too_many, first = Dependency(results), results.msg_ids[0]
    too_many.update(f"{first[:-1]}{number}" for number in range(70_000))
    with pytest.raises(ValueError, match="65536 others at most"):
        view.apply_async(abs, -1, after=too_many)
    assert view.apply_sync(abs, -2) == 2, "this client is there as before"


def test_threads_that_share_a_view(view: LoadBalancedView) -> None:
    done = view.apply_async(abs, -1)
    done.wait(SECONDS)

    def submit() -> None:
        for _ in range(200):
            view.apply_async(abs, -1, after=done)

    threads = [Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert view.after is None


def test_what_was_begun_in_time_may_be_tried_again_later(view: LoadBalancedView, tmp_path: Path) -> None:
    with view.temp_flags(timeout=0.2, retries=2, retry_on=OSError, retry_delay=0.3):
        assert view.apply_async(fails_until, str(tmp_path / "a"), 3, OSError).get(SECONDS) == 3


def test_what_a_map_tries_again_has_its_flags(view: LoadBalancedView) -> None:
    with view.temp_flags(time_limit=0.2, targets=[1]):
        result = view.map_async(time.sleep, [0, 60, 0], chunksize=1)
    again = result.retry() if result.wait(SECONDS) else None
    assert again is not None
    with pytest.raises(ipz.CompositeError, match="TaskTimeout"):
        again.get(SECONDS)


@pytest.mark.parametrize("called", [dict, Fraction, complex])
def test_classes_are_tried_again_too(view: LoadBalancedView, called: Any) -> None:
    with view.temp_flags(retries=2, retry_on=(OSError,)):
        assert view.apply_sync(called) == called()


def test_a_loop_may_have_nothing_to_wait_for(view: LoadBalancedView) -> None:
    before: list[AsyncResult] = []
    for number in range(3):
        before = [view.apply_async(abs, -number, after=before)]
    assert view.apply_async(abs, -7, after=None).get(SECONDS) == 7
    assert before[0].get(SECONDS) == 2


def test_a_dependency_stays_one() -> None:
    of = Dependency(["0f3c9a1e-7-0"], all=False, success=False, failure=True)
    for other in (of.copy(), of | {"0f3c9a1e-8-0"}, of & of, of - {"x"}, pickle.loads(pickle.dumps(of))):
        assert (type(other), other.all, other.success, other.failure) == (Dependency, False, False, True)


def test_flags_are_set_together_or_not_at_all(view: LoadBalancedView) -> None:
    with pytest.raises(TypeError):
        view.set_flags(priority=4, retries="x")
    assert view.priority == 0
    other = copy(view)
    other.priority = 3
    assert view.priority == 0


def test_there_is_no_such_position(view: LoadBalancedView, rc: Client) -> None:
    both = rc[[0, 1]].apply_async(abs, -1)
    with pytest.raises(ValueError, match="was never submitted by this client"):
        view.apply_async(abs, -1, after=both.msg_ids[0][:-1] + "7")


@pytest.mark.parametrize("name", ["x" * 65, "a\n", "a,b=c", ""])
def test_names_that_no_resource_has(view: LoadBalancedView, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a resource"):
        view.needs(name)
    with pytest.raises(ValueError, match="a ten-thousandth is the least"):
        view.needs(gpus=0.00001)
