"""What each method of clients and views says to engines that are not there, and to a connection that is closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from helpers import engine_pid, until

import ipclusterz as ipz
from ipclusterz import Client, ClientClosed, Cluster, CompositeError, EngineError, UnknownEngine
from ipclusterz.client import DirectView, LoadBalancedView

Call = Callable[[Any], Any]

# All methods of a client that take engines; the calls of a view among them.
CALLS: dict[str, Call] = {
    "map": lambda calls: partial(calls.map, abs, range(8)),
    "imap": lambda calls: partial(calls.imap, abs, range(8)),
    "execute": lambda calls: partial(calls.execute, "a = 1"),
    "run": lambda calls: partial(calls.run, os.devnull),
    "get_result": lambda calls: calls.get_result,
    "push": lambda calls: partial(calls.push, {"a": 1}),
    "pull": lambda calls: partial(calls.pull, "__name__"),
    "zip_pull": lambda calls: partial(calls.zip_pull, "__name__"),
    "scatter": lambda calls: partial(calls.scatter, "a", range(8)),
    "gather": lambda calls: partial(calls.gather, "__name__"),
    "keys": lambda calls: calls.keys,
    "clear": lambda calls: calls.clear,
    "remote": lambda calls: lambda **keywords: calls.remote(**keywords)(abs)(-1),
    "parallel": lambda calls: lambda **keywords: calls.parallel(**keywords)(list)(range(8)),
    "sync_imports": lambda calls: calls.sync_imports,
}

CLIENTS_OWN: dict[str, Call] = {
    "apply": lambda rc: partial(rc.apply, abs, (-1,)),
    "apply a text": lambda rc: partial(rc.apply, "a = 1"),
    "direct_view": lambda rc: rc.direct_view,
    "load_balanced_view": lambda rc: rc.load_balanced_view,
    "interrupt": lambda rc: rc.interrupt,
    "shutdown": lambda rc: rc.shutdown,
    "abort": lambda rc: rc.abort,
}

VIEWS_OWN: dict[str, Call] = {
    "apply_async": lambda view: lambda **_: view.apply_async(abs, -1),
    "apply_sync": lambda view: lambda **_: view.apply_sync(abs, -1),
    "apply_bound": lambda view: lambda **_: view.apply_bound(abs, -1),
    "__setitem__": lambda view: lambda **_: view.__setitem__("a", 1),
    "__getitem__": lambda view: lambda **_: view["a"],
    "__contains__": lambda view: lambda **_: "a" in view,
    "get": lambda view: lambda **_: view.get("a"),
    "update": lambda view: lambda **_: view.update({"a": 1}),
    "__delitem__": lambda view: lambda **_: view.__delitem__("a"),
}


# -- engines that are not there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CALLS, *CLIENTS_OWN])
def test_engines_that_cannot_be_meant(rc: Client, name: str) -> None:
    callers = [rc, rc[:]] if name in CALLS else [rc]
    for caller in callers:
        call = {**CALLS, **CLIENTS_OWN}[name](caller)
        for targets, error, text in (
            ([], ipz.EmptyTargets, r"(?s)the list of engines is empty\nhint: "),
            (slice(9, None), ipz.EmptyTargets, r"(?s)the slice \[9:\] selects none of the engines 0, 1, 2, 3\nhint: "),
            (9, UnknownEngine, r"(?s)there is no engine 9\nhint: the engines are 0, 1, 2, 3"),
            ([0, -9], UnknownEngine, r"(?s)there is no engine -9\nhint: "),
            ([0, 0], ValueError, "named twice"),
            ("some", TypeError, "engines are an id, a slice, a list of ids or 'all', not str: 'some'"),
            (1.0, TypeError, r"engines are an id, a slice, a list of ids or 'all', not float: 1\.0"),
        ):
            with pytest.raises(error, match=text):
                call(targets=targets)
    assert rc.ids == {0, 1, 2, 3}


def carried_out(call: Callable[[], Any]) -> None:
    """Make a call, and do what it only prepares."""
    outcome = call()
    if isinstance(outcome, ipz.AsyncResult):
        outcome.get(timeout=20)
    elif isinstance(outcome, Iterator):
        next(outcome)
    elif hasattr(outcome, "__enter__"):
        exec("with outcome: import wave", {"outcome": outcome})


class Bereft(NamedTuple):
    """A client of a cluster whose engine 1 was killed, and views from before."""

    rc: Client
    dead: DirectView
    both: DirectView
    balanced: LoadBalancedView


@pytest.fixture
def bereft(own_cluster: Callable[..., Cluster]) -> Iterator[Bereft]:
    with own_cluster(2).connect_client() as rc:
        rc[:].push({"a": 1}, block=True)
        made = Bereft(rc, rc[1], rc[:], rc.load_balanced_view(1))
        os.kill(engine_pid(rc, 1), signal.SIGKILL)
        until(lambda: rc.ids == {0})
        yield made


def test_an_engine_that_was_killed(bereft: Bereft) -> None:
    rc, dead, both, _ = bereft
    for name, call in {**CALLS, **CLIENTS_OWN}.items():
        with pytest.raises(
            UnknownEngine, match=r"there is no engine 1: engine 1 .* died: signal: 9 .*\nhint: the engines are 0"
        ):
            call(rc)(targets=1)
        with pytest.raises(IndexError, match="there is no engine 1"):
            call(rc)(targets=[0, 1])
        if name in CALLS:
            with pytest.raises(UnknownEngine, match="there is no engine 1"):
                call(both)(targets=1)
    dead.block = both.block = True
    for name, call in {**CALLS, **VIEWS_OWN}.items():
        with pytest.raises((EngineError, CompositeError, UnknownEngine), match="engine 1") as caught:
            carried_out(call(dead))
        if isinstance(caught.value, CompositeError):
            assert [type(error) for error in caught.value] == [EngineError], name
    for name, call in {**CALLS, **VIEWS_OWN}.items():
        # Work that goes to any of them goes to the living.
        if name in ("imap", "sync_imports"):
            continue
        with pytest.raises(CompositeError, match="engine 1") as several:
            carried_out(call(both))
        assert [(error.engine_id, type(error)) for error in several.value] == [(1, EngineError)], name
    assert list(both.imap(abs, range(4))) == [0, 1, 2, 3]
    assert rc.apply(abs, (-1,), block=True) == {0: 1}
    # Nobody is left to interrupt, and that is no error.
    dead.interrupt()
    dead.abort()
    dead.shutdown()
    assert rc.ids == {0}


def test_balanced_work_for_engines_that_were_killed(bereft: Bereft) -> None:
    _, _, _, balanced = bereft
    for result in (balanced.apply_async(abs, -1), balanced.map_async(abs, [-1])):
        with pytest.raises((EngineError, CompositeError)):
            result.get(timeout=20)
    with pytest.raises(EngineError):
        next(balanced.imap(abs, [1]))


def test_a_cluster_without_engines(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(1).connect_client() as rc:
        rc.shutdown()
        until(lambda: not rc.ids)
        for targets in ({}, {"targets": "all"}, {"targets": 0}, {"targets": [0]}, {"targets": slice(None)}):
            for call in (*CALLS.values(), *CLIENTS_OWN.values()):
                if call in (CALLS["remote"], CLIENTS_OWN["load_balanced_view"], CLIENTS_OWN["abort"]) and not targets:
                    continue
                if call is CLIENTS_OWN["abort"] and targets["targets"] == "all":
                    continue
                with pytest.raises(ipz.NoEnginesRegistered, match=r"(?s)the cluster has no engines.*hint: "):
                    call(rc)(**targets)
        assert rc.targets == "all"
        rc.targets = "all"
        assert len(rc) == 0
        assert list(rc) == []


# -- a connection that is not there ------------------------------------------------------------------------------------


def test_a_closed_client(cluster: Cluster) -> None:
    rc = cluster.connect_client()
    rc.targets = [0, 1]
    view, one, balanced = rc[:], rc[0], rc[None]
    remote, parallel = rc.remote(block=True)(abs), view.parallel(block=True)(list)
    lazily = rc.imap(abs, [1])
    rc.close()
    calls: list[Callable[[], Any]] = [
        *(call(caller) for call in CALLS.values() for caller in (rc, view, one)),
        # A load-balanced view may be made where there are no engines yet.
        *(call(rc) for name, call in CLIENTS_OWN.items() if name != "load_balanced_view"),
        *(call(caller) for call in VIEWS_OWN.values() for caller in (view, one)),
        *(partial(call(rc), targets=0) for call in (*CALLS.values(), *CLIENTS_OWN.values())),
        *(partial(call(view), targets="all") for call in CALLS.values()),
        lambda: rc.ids,
        lambda: rc[0],
        lambda: list(rc),
        lambda: len(rc),
        lambda: setattr(rc, "targets", 0),
        rc.status,
        lambda: rc.wait_for_engines(1),
        lambda: rc.shutdown(controller=True),
        lambda: balanced.apply(abs, -1),
        lambda: balanced.map(abs, [1]),
        lambda: next(balanced.imap(abs, [1])),
        lambda: next(lazily),
        lambda: remote(1),
        lambda: parallel([1]),
        view.abort,
        view.interrupt,
        view.shutdown,
    ]
    for call in calls:
        with pytest.raises(ClientClosed, match=r"(?s)closed.*hint: "):
            carried_out(call)
    # All that was submitted has its answer.
    rc.barrier()
    rc.close()
    assert rc.closed
    assert rc.targets == [0, 1]
