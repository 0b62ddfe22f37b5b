"""What each public method of clients and views says to arguments, engines and connections that are no good."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import pytest
from helpers import engine_pid, until

import ipclusterz as ipz
from ipclusterz import Client, ClientClosed, Cluster, CompositeError, EngineError, RemoteError, UnknownEngine
from ipclusterz.client import DirectView, LoadBalancedView
from ipclusterz.client.connection import Connection
from ipclusterz.client.direct import DirectCalls
from ipclusterz.client.namespaces import NamespaceCalls
from ipclusterz.client.sequences import SequenceCalls

Call = Callable[[Any], Any]

LOCK = Lock()

NO_FUNCTION = "a function is needed, not"
NO_NAME = "names are strings, not"
NO_SEQUENCE = "a sequence is needed, not"
NO_DIST = r"dist is 'b' \(contiguous blocks\) or 'r' \(round-robin\), not"
NO_VIA = "via is 'auto', 'mpi' or 'direct', not"
NO_COUNT = "is a whole number, not"
CANNOT_TRAVEL = "cannot be sent|cannot serialize"
MISSING = r"'nope' is not defined on engine 1"

# Class and method: what is called, on an object of the class, and what must come of it.
BAD: dict[str, list[tuple[Call, type[BaseException], str]]] = {
    "DirectCalls.map": [
        (lambda calls: calls.map(None, [1]), TypeError, NO_FUNCTION),
        (lambda calls: calls.map("abs", [1]), TypeError, NO_FUNCTION),
        (lambda calls: calls.map(abs), TypeError, "at least one sequence"),
        (lambda calls: calls.map(abs, 3), TypeError, NO_SEQUENCE),
        (lambda calls: calls.map(pow, iter([1]), 3), TypeError, NO_SEQUENCE),
        (lambda calls: calls.map(abs, [1], chunksize=2), TypeError, "chunksize"),
        (lambda calls: calls.map(abs, [LOCK]), ipz.SerializationError, CANNOT_TRAVEL),
        (lambda calls: calls.map(lambda x, lock=LOCK: x, [1]), TypeError, CANNOT_TRAVEL),
        (lambda calls: calls.map(lambda x: 1 / x, [0], block=True), CompositeError, "ZeroDivisionError"),
    ],
    "DirectCalls.imap": [
        (lambda calls: calls.imap(None, [1]), TypeError, NO_FUNCTION),
        (lambda calls: calls.imap(abs), TypeError, "at least one sequence"),
        (lambda calls: calls.imap(abs, 3), TypeError, NO_SEQUENCE),
        (lambda calls: calls.imap(abs, [1], chunksize=0), ValueError, "chunksize must be at least 1, not 0"),
        (lambda calls: calls.imap(abs, [1], max_outstanding=-1), ValueError, "max_outstanding must be at least 1"),
        (lambda calls: calls.imap(abs, [1], max_outstanding=1.5), TypeError, NO_COUNT),
        (lambda calls: next(calls.imap(abs, [LOCK])), ipz.SerializationError, CANNOT_TRAVEL),
        (lambda calls: next(calls.imap(lambda x: 1 / x, [0])), RemoteError, "ZeroDivisionError"),
    ],
    "DirectCalls.remote": [
        (lambda calls: calls.remote()(3), TypeError, NO_FUNCTION),
        (lambda calls: calls.remote(abs), TypeError, "positional"),
        (lambda calls: calls.remote(block=True)(abs)(LOCK), ipz.SerializationError, CANNOT_TRAVEL),
        (lambda calls: calls.remote(targets="x")(abs)(1), TypeError, "engines are an id"),
    ],
    "DirectCalls.parallel": [
        (lambda calls: calls.parallel()(None), TypeError, NO_FUNCTION),
        (lambda calls: calls.parallel(dist="x")(abs), ValueError, NO_DIST),
        (lambda calls: calls.parallel(chunksize=0)(abs), ValueError, "chunksize must be at least 1, not 0"),
        (lambda calls: calls.parallel(chunksize="4")(abs), TypeError, NO_COUNT),
        (lambda calls: calls.parallel(dist="r", targets=None)(abs)([1]), ValueError, "dist='r' needs engines"),
        (lambda calls: calls.parallel()(abs)(), TypeError, "at least one sequence"),
        (lambda calls: calls.parallel()(abs)(3), TypeError, NO_SEQUENCE),
        (lambda calls: calls.parallel()(max)([1, 2], [1]), ValueError, r"equal lengths, not \[2, 1\]"),
    ],
    "DirectCalls.execute": [
        (lambda calls: calls.execute(b"1"), TypeError, "code is text, not bytes"),
        (lambda calls: calls.execute(None), TypeError, "code is text, not NoneType"),
        (lambda calls: calls.execute(abs), TypeError, "code is text, not builtin_function"),
        (lambda calls: calls.execute("1/0", block=True), (RemoteError, CompositeError), "ZeroDivisionError"),
        (lambda calls: calls.execute("(", block=True), (RemoteError, CompositeError), "SyntaxError"),
    ],
    "DirectCalls.run": [
        (lambda calls: calls.run("/nowhere/script.py"), FileNotFoundError, "/nowhere/script.py"),
        (lambda calls: calls.run("/"), IsADirectoryError, "/"),
        (lambda calls: calls.run(3), TypeError, "int"),
    ],
    "DirectCalls.get_result": [
        (lambda calls: calls.get_result("1"), TypeError, "cells have numbers, not str"),
        (lambda calls: calls.get_result(1.0), TypeError, "cells have numbers, not float"),
        (lambda calls: calls.get_result(-1, block=True), (KeyError, CompositeError), "engine 1"),
        (lambda calls: calls.get_result(10**9, block=True), (KeyError, CompositeError), "engine 1"),
    ],
    "DirectCalls.push": [
        (lambda calls: calls.push(["a"]), TypeError, "a dictionary of names is needed, not list"),
        (lambda calls: calls.push("a"), TypeError, "a dictionary of names is needed, not str"),
        (lambda calls: calls.push({1: 2}), TypeError, NO_NAME),
        (lambda calls: calls.push({"a": 1}, via="tcp"), ValueError, NO_VIA),
        (lambda calls: calls.push({"a": LOCK}), ipz.SerializationError, "the value for 'a' cannot be sent"),
    ],
    "DirectCalls.pull": [
        (lambda calls: calls.pull(3), TypeError, NO_NAME),
        (lambda calls: calls.pull(None), TypeError, NO_NAME),
        (lambda calls: calls.pull(["a", 3]), TypeError, NO_NAME),
        (lambda calls: calls.pull("nope", block=True), (KeyError, CompositeError), MISSING),
        (lambda calls: calls.pull(["nope"]).get(), (KeyError, CompositeError), MISSING),
        (
            lambda calls: calls.pull("lock", block=True),
            (RemoteError, CompositeError),
            r"SerializationError.*_thread\.lock",
        ),
    ],
    "DirectCalls.zip_pull": [
        (lambda calls: calls.zip_pull(3), TypeError, NO_NAME),
        (lambda calls: calls.zip_pull(["a", None]), TypeError, NO_NAME),
        (lambda calls: calls.zip_pull("nope", block=True), (RemoteError, CompositeError), MISSING),
        (lambda calls: calls.zip_pull(("nope",)).get(), (RemoteError, CompositeError), MISSING),
    ],
    "DirectCalls.scatter": [
        (lambda calls: calls.scatter(3, [1]), TypeError, NO_NAME),
        (lambda calls: calls.scatter("a", 3), TypeError, NO_SEQUENCE),
        (lambda calls: calls.scatter("a", {1: 2}), TypeError, "is a mapping"),
        (lambda calls: calls.scatter("a", [1], dist="x"), ValueError, NO_DIST),
        (lambda calls: calls.scatter("a", [LOCK]), ipz.SerializationError, "the value for 'a' cannot be sent"),
    ],
    "DirectCalls.mpi": [
        (lambda calls: calls.mpi.bcast("a", root=-1), ValueError, "there is no rank -1 in a group of"),
        (lambda calls: calls.mpi.gather("a", root="b"), TypeError, "root: a rank is a number, not str"),
        (lambda calls: calls.mpi.allgather(3), TypeError, NO_NAME),
        (lambda calls: calls.mpi.scan("a", out=3), TypeError, NO_NAME),
        (lambda calls: calls.mpi.allreduce("a", op="summ"), ValueError, "there is no operator 'summ'"),
        (lambda calls: calls.mpi.barrier(timeout=-1), ValueError, "timeout: -1 is not a number of seconds"),
        (lambda calls: calls.mpi.spmd(3), TypeError, "a function is needed, not int: 3"),
        (lambda calls: calls.mpi.execute(3), TypeError, "code is text, not int: 3"),
        (lambda calls: calls.mpi.barrier(block=True), ipz.RejectedError, "is no rank of an MPI program"),
        (lambda calls: calls.mpi.epoch, ipz.error.MPIError, "is not a rank of an MPI world"),
    ],
    "DirectCalls.gather": [
        (lambda calls: calls.gather(3), TypeError, NO_NAME),
        (lambda calls: calls.gather(["a"]), TypeError, NO_NAME),
        (lambda calls: calls.gather("a", dist="x"), ValueError, NO_DIST),
        (lambda calls: calls.gather("a", via=None), ValueError, NO_VIA),
        (lambda calls: calls.gather("a", dist=None), ValueError, NO_DIST),
        (lambda calls: calls.gather("nope", block=True), (RemoteError, CompositeError), MISSING),
    ],
    "Client.apply": [
        (lambda rc: rc.apply(3), TypeError, NO_FUNCTION),
        (lambda rc: rc.apply(abs, 3), TypeError, "args is a tuple or a list, not int"),
        (lambda rc: rc.apply(abs, (1,), [2]), TypeError, "kwargs is a dictionary, not list"),
        (lambda rc: rc.apply("a", (1,)), TypeError, "a text to execute takes no arguments"),
        (lambda rc: rc.apply("a", targets=None), TypeError, "this needs engines"),
        (lambda rc: rc.apply(abs, (LOCK,)), ipz.SerializationError, "argument 0 cannot be sent"),
        (lambda rc: rc.apply(max, kwargs={"key": LOCK}), ipz.SerializationError, "argument 'key' cannot be sent"),
        (lambda rc: rc.apply(lambda: 1 / 0, block=True), CompositeError, "ZeroDivisionError"),
    ],
    "Client.direct_view": [
        (lambda rc: rc.direct_view("x"), TypeError, "engines are an id"),
        (lambda rc: rc.direct_view(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.direct_view(None), TypeError, "targets=None is the load-balanced view"),
    ],
    "Client.load_balanced_view": [
        (lambda rc: rc.load_balanced_view("x"), TypeError, "engines are an id"),
        (lambda rc: rc.load_balanced_view(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.load_balanced_view([]), ValueError, "the list of engines is empty"),
    ],
    "Client.wait_for_engines": [
        (lambda rc: rc.wait_for_engines(9, timeout=0.01), TimeoutError, r"4 of 9 engines are there after 0\.01 s"),
        (lambda rc: rc.wait_for_engines("4"), TypeError, "int"),
        (lambda rc: rc.wait_for_engines(-1), ValueError, "n must not be negative: -1"),
    ],
    "Client.barrier": [
        (lambda rc: rc.barrier(3), TypeError, "results or message ids are needed, not int"),
        (lambda rc: rc.barrier([None]), TypeError, "results or message ids are needed, not NoneType"),
        (lambda rc: rc.barrier("nonsense"), ValueError, '"nonsense" is no message id'),
        (lambda rc: rc.barrier([], timeout="1"), TypeError, "str"),
    ],
    "Client.abort": [
        (lambda rc: rc.abort(3), TypeError, "results or message ids are needed, not int"),
        (lambda rc: rc.abort(["x"]), TypeError, "results are aborted, not message ids"),
        (lambda rc: rc.abort([], targets=0), TypeError, "jobs or targets, not both"),
        (lambda rc: rc.abort(targets=9), IndexError, "there is no engine 9"),
    ],
    "Client.interrupt": [
        (lambda rc: rc.interrupt(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.interrupt([]), ValueError, "empty"),
        (lambda rc: rc.interrupt("x"), TypeError, "engines are an id"),
    ],
    "Client.shutdown": [
        (lambda rc: rc.shutdown(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.shutdown([]), ValueError, "empty"),
        (lambda rc: rc.shutdown("x"), TypeError, "engines are an id"),
        (lambda rc: rc.shutdown(0, controller=True), ValueError, "leave targets out"),
    ],
    "Client.retire": [
        (lambda rc: rc.retire(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.retire([]), ValueError, "empty"),
        (lambda rc: rc.retire("x"), TypeError, "engines are an id"),
    ],
    "Client.status": [(lambda rc: rc.status("1"), TypeError, "str")],
    "DirectView.apply": [
        (lambda view: view.apply(3), TypeError, NO_FUNCTION),
        (lambda view: view.apply("import time", 1), TypeError, "no arguments"),
        (lambda view: view.apply(), TypeError, "positional"),
        (lambda view: view.apply(abs, LOCK), ipz.SerializationError, "argument 0 cannot be sent"),
        (lambda view: view.apply(lambda lock=LOCK: lock), ipz.SerializationError, "lock"),
    ],
    "DirectView.apply_async": [
        (lambda view: view.apply_async(3), TypeError, NO_FUNCTION),
        (lambda view: view.apply_async(abs, -1).get(timeout="1"), TypeError, "str"),
        (lambda view: view.apply_async(max).get(), (RemoteError, CompositeError), "TypeError"),
    ],
    "DirectView.apply_sync": [
        (lambda view: view.apply_sync(None), TypeError, NO_FUNCTION),
        (lambda view: view.apply_sync(Lock), (RemoteError, CompositeError), r"SerializationError.*_thread\.lock"),
    ],
    "DirectView.apply_bound": [
        (lambda view: view.apply_bound(3), TypeError, NO_FUNCTION),
        (lambda view: view.apply_bound(lambda: nope).get(), (RemoteError, CompositeError), "NameError"),  # type: ignore[name-defined] # noqa: F821
    ],
    "DirectCalls.map_async": [(lambda view: view.map_async(None, [1]), TypeError, NO_FUNCTION)],
    "DirectCalls.map_sync": [(lambda view: view.map_sync(abs, None), TypeError, NO_SEQUENCE)],
    "DirectView.__setitem__": [
        (lambda view: view.__setitem__(3, 1), TypeError, NO_NAME),
        (lambda view: view.__setitem__("a", LOCK), ipz.SerializationError, "the value for 'a'"),
    ],
    "DirectView.__getitem__": [
        (lambda view: view[3], TypeError, NO_NAME),
        (lambda view: view[1:2], TypeError, NO_NAME),
        (lambda view: view["nope"], (KeyError, CompositeError), MISSING),
        (lambda view: view["a", "nope"], (KeyError, CompositeError), "KeyError.*is not defined on engine 1"),
    ],
    "DirectView.__delitem__": [
        (lambda view: view.__delitem__(3), TypeError, NO_NAME),
        (lambda view: view.__delitem__("nope"), (KeyError, CompositeError), MISSING),
    ],
    "DirectView.__contains__": [(lambda view: 3 in view, TypeError, NO_NAME)],
    "DirectView.get": [
        (lambda view: view.get(3), TypeError, NO_NAME),
        (lambda view: view.get("nope", LOCK), ipz.SerializationError, CANNOT_TRAVEL),
    ],
    "DirectView.update": [
        (lambda view: view.update([("a", 1)]), TypeError, "a dictionary of names is needed, not list"),
        (lambda view: view.update({None: 1}), TypeError, NO_NAME),
    ],
    "LoadBalancedView.apply": [
        (lambda view: view.apply(3), TypeError, NO_FUNCTION),
        (lambda view: view.apply("1"), TypeError, NO_FUNCTION),
        (lambda view: view.apply(abs, LOCK), ipz.SerializationError, "argument 0 cannot be sent"),
    ],
    "LoadBalancedView.apply_async": [(lambda view: view.apply_async(None), TypeError, NO_FUNCTION)],
    "LoadBalancedView.apply_sync": [(lambda view: view.apply_sync(max), RemoteError, "TypeError")],
    "LoadBalancedView.apply_bound": [(lambda view: view.apply_bound(3), TypeError, NO_FUNCTION)],
    "LoadBalancedView.map": [
        (lambda view: view.map(None, [1]), TypeError, NO_FUNCTION),
        (lambda view: view.map(abs), TypeError, "at least one sequence"),
        (lambda view: view.map(abs, 3), TypeError, NO_SEQUENCE),
        (lambda view: view.map(abs, [1], chunksize=0), ValueError, "chunksize must be at least 1, not 0"),
        (lambda view: view.map(abs, [1], chunksize=1.5), TypeError, NO_COUNT),
        (lambda view: view.map(abs, [LOCK]), ipz.SerializationError, CANNOT_TRAVEL),
        (lambda view: view.map(abs, [1], targets=0), TypeError, "targets"),
    ],
    "LoadBalancedView.map_async": [(lambda view: view.map_async(3, [1]), TypeError, NO_FUNCTION)],
    "LoadBalancedView.map_sync": [(lambda view: view.map_sync(abs, [1], chunksize=-1), ValueError, "chunksize")],
    "LoadBalancedView.imap": [(lambda view: view.imap(abs, [1], max_outstanding=0), ValueError, "max_outstanding")],
    "LoadBalancedView.remote": [(lambda view: view.remote()(3), TypeError, NO_FUNCTION)],
    "LoadBalancedView.parallel": [
        (lambda view: view.parallel()(3), TypeError, NO_FUNCTION),
        (lambda view: view.parallel(chunksize=0)(abs), ValueError, "chunksize"),
        (lambda view: view.parallel()(abs)([1], [2, 3]), ValueError, r"equal lengths, not \[1, 2\]"),
    ],
    "View.barrier": [(lambda view: view.barrier(3), TypeError, "results or message ids are needed, not int")],
}

# No argument can be wrong, beside the engines; or they are tested with what they belong to.
WITHOUT = {
    "DirectCalls.keys",
    "DirectCalls.clear",
    "DirectCalls.importer",
    "DirectCalls.sync_imports",
    "Client.map",
    "Client.remote",
    "Client.targets",
    "Client.ids",
    "Client.cluster",
    "Client.closed",
    "Client.close",
    "View.block",
    "View.executor",
    "View.register_joblib_backend",
    "DirectView.targets",
    "DirectView.activate",
    "DirectView.abort",
    "DirectView.interrupt",
    "DirectView.shutdown",
    "LoadBalancedView.targets",
    "LoadBalancedView.duration",
}

ROWS = [(where, row) for where, rows in BAD.items() for row in rows]


def test_every_public_method_is_in_the_table() -> None:
    from ipclusterz.client.view import View

    # What is about the connection, namespaces and sequences is in classes of its own only for the size of a file.
    names = {Connection: "Client", NamespaceCalls: "DirectCalls", SequenceCalls: "DirectCalls"}
    public = {
        f"{names.get(kind, kind.__name__)}.{name}"
        for kind in (Client, Connection, SequenceCalls, NamespaceCalls, DirectCalls, View, DirectView, LoadBalancedView)
        for name, value in vars(kind).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    }
    listed = {where for where in BAD if "__" not in where} | WITHOUT
    assert listed == public
    assert not WITHOUT & set(BAD)


@pytest.mark.parametrize(("where", "row"), ROWS, ids=[f"{where}-{number}" for number, (where, _) in enumerate(ROWS)])
def test_arguments(rc: Client, where: str, row: tuple[Call, type[Exception], str]) -> None:
    call, error, text = row
    rc.push({"a": 1}, block=True)
    rc.execute("import threading; lock = threading.Lock()", targets=1) if "lock" in text else None
    objects: dict[str, list[Any]] = {
        "DirectCalls": [rc, rc[:], rc[1], rc[[1]]],
        "Client": [rc],
        "View": [rc[:], rc[None]],
        "DirectView": [rc[:], rc[1]],
        "LoadBalancedView": [rc[None], rc.load_balanced_view([1])],
    }
    for each in objects[where.partition(".")[0]]:
        with pytest.raises(error, match=text):
            call(each)
    assert rc.apply(abs, (-1,), block=True) == dict.fromkeys(range(4), 1)


# -- engines that are not there ----------------------------------------------------------------------------------------

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


def test_an_engine_that_was_killed(bereft: Bereft) -> None:
    rc, dead, both, _ = bereft
    for name, call in {**CALLS, **CLIENTS_OWN}.items():
        with pytest.raises(UnknownEngine, match="there is no engine 1\nhint: the engines are 0"):
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
