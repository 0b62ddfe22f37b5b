"""Clients in forked children: every public entry raises or answers at once, whatever locks the parent held."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipclusterz import AsyncResult, Client, Cluster, LoadBalancedView
from ipclusterz.client import DirectView
from ipclusterz.client.executor import ViewExecutor, ViewFuture
from ipclusterz.client.lazy import LazyResults
from ipclusterz.client.mapping import MapResult
from ipclusterz.client.mpi import Group
from ipclusterz.error import ClientClosed, ClusterError

FORKS = 12
CHILD_SECONDS = 20
CLASSES = (
    Client,
    DirectView,
    LoadBalancedView,
    AsyncResult,
    MapResult,
    ViewFuture,
    LazyResults,
    ViewExecutor,
    Group,
    Cluster,
)

# What entries are called with: by name, or by class and name. A new entry that needs arguments is not tried without
# them, and the test says so.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "add_done_callback": (print,),
    "allgather": ("a",),
    "allreduce": ("a",),
    "alltoall": ("a",),
    "Client.get_result": (-1,),
    "Client.explain": (-1,),
    "Client.report": ("report.html",),
    "Client.timeline": ("timeline.json",),
    "Client.group": ("big",),
    "apply": (abs,),
    "apply_async": (abs, -1),
    "apply_bound": (abs, -1),
    "apply_sync": (abs, -1),
    "bcast": ("a",),
    "broadcast": ("a",),
    "execute": ("1",),
    "exscan": ("a",),
    "gather": ("a",),
    "get": ("a",),
    "AsyncResult.get": (),
    "Group.scatter": ("a",),
    "scale": (1,),
    "send_signal": ("SIGUSR2",),
    "signal_engines": ("SIGUSR2",),
    "MapResult.get": (),
    "ViewFuture.get": (),
    "imap": (abs, [1]),
    "map": (abs, [1]),
    "map_async": (abs, [1]),
    "map_sync": (abs, [1]),
    "pull": ("a",),
    "push": ({"a": 1},),
    "purge_results": ("all",),
    "reduce": ("a",),
    "reload": ("helpers",),
    "resubmit": (-1,),
    "result_status": (-1,),
    "send": ("a", 0),
    "retire": (0,),
    "run": (__file__,),
    "scan": ("a",),
    "scatter": ("a", [1]),
    "set_exception": (ValueError(),),
    "set_result": (1,),
    "spmd": (abs,),
    "submit": (abs, -1),
    "update": ({"a": 1},),
    "upload": (__file__,),
    "wait_for_engines": (1,),
    "zip_pull": (("a",),),
    "__contains__": ("a",),
    "__delitem__": ("a",),
    "__getitem__": (0,),
    "DirectView.__getitem__": ("a",),
    "__setitem__": ("a", 1),
}
# Of the special methods: those that say what an object does. `__exit__` and `__del__` end it.
SPECIAL = {
    *("__await__", "__contains__", "__delitem__", "__getitem__", "__iter__", "__len__", "__next__", "__repr__"),
    *("__setitem__", "_repr_html_"),
}
# What answers rather than raises: plain data of the object, what it looks like, and its end.
ANSWERS = {
    *(
        "block",
        "bound",
        "chunksize",
        "client",
        "closed",
        "cluster",
        "crash_limit",
        "duration",
        "after",
        "follow",
        "label",
        "name",
        "needs",
        "priority",
        "profile",
        "quiet",
        "report",
        "retries",
        "retry_delay",
        "retry_on",
        "set_flags",
        "temp_flags",
        "time_limit",
    ),
    *("view", "targets", "n", "msg_ids", "engines", "size", "timeout"),
    *("__repr__", "_repr_html_", "close", "shutdown", "stop", "__len__", "__await__"),
    # These make something that raises when it is used.
    *(
        "executor",
        "imap",
        "importer",
        "load_balanced_view",
        "mpi",
        "results",
        "parallel",
        "remote",
        "stream_output",
        "track",
        "sync_imports",
        "activate",
    ),
    *("register_joblib_backend", "via"),
}
# What needs IPython, what needs no cluster, what a map does not have, and what is about no object.
LEFT_OUT = {"Client.activate", "Cluster.from_file", "DirectView.activate", "MapResult.get_dict"}
LEFT_OUT |= {"AsyncResult.join", "MapResult.join", "ViewFuture.join"}


def entries(thing: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    """All public entries of an object: their names, and calls of them."""
    kind = type(thing)
    for name in dir(kind):
        if name.startswith("_") and name not in SPECIAL:
            continue
        found = inspect.getattr_static(kind, name)
        whole = f"{kind.__name__}.{name}"
        if found is None or whole in LEFT_OUT:
            continue
        arguments = ARGUMENTS.get(whole, ARGUMENTS.get(name, ()))
        if not callable(found) and not isinstance(found, (classmethod, staticmethod)):
            yield whole, lambda name=name: getattr(thing, name)  # type: ignore[misc]
            continue
        if name not in SPECIAL:
            try:
                inspect.signature(getattr(thing, name)).bind(*arguments)
            except TypeError as error:
                raise AssertionError(f"{whole}{arguments} cannot be called, see ARGUMENTS: {error}") from None
        yield whole, lambda name=name, arguments=arguments: used(getattr(thing, name)(*arguments))  # type: ignore[misc]


def used(value: object) -> object:
    """What a call gave, after a step of it if it is an iterator."""
    if inspect.isgenerator(value) or hasattr(value, "__next__"):
        next(value)  # type: ignore[call-overload]
    return value


def trial(name: str, call: Callable[[], object]) -> str:
    """What is wrong with an entry in a forked child; empty when nothing is."""
    try:
        call()
    except (ClientClosed, ClusterError) as error:
        return "" if "fork" in str(error) else f"{name}: {error}"
    except StopIteration:
        # An iterator that has raised is over.
        return "" if name == "LazyResults.__next__" else f"{name} stops"
    except BaseException:
        return f"{name}: {traceback.format_exc()}"
    return "" if name.rpartition(".")[2] in ANSWERS else f"{name} did not raise"


def in_fork(work: Callable[[Callable[[str], object]], str]) -> str:
    """Do something in a child, which is killed after a while: what it says is wrong, or where it hung."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(CHILD_SECONDS)
            os.close(reading)
            wrong = work(lambda name: os.write(writing, f"{name}\n".encode()))
            os.write(writing, f"!{wrong}".encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    begun, end, wrong = told.partition("!")
    return wrong if end and status == 0 else f"status {status} in {begun.splitlines()[-1:]}"


@pytest.fixture
def busy(rc: Client) -> Iterator[list[Any]]:
    """Objects of a client that threads of this process use all the time."""
    view, balanced = rc[:], rc.load_balanced_view()
    executor = balanced.executor
    stop, failed = threading.Event(), []
    watched, fresh = view.map_async(abs, range(8)), view.map_async(abs, range(8))
    fresh.add_done_callback(lambda _: None)
    executor.submit(abs, -1).result()

    def repeat(work: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                work()
            except BaseException as error:
                failed.append(error)
                return

    works: list[Callable[[], object]] = [
        lambda: balanced.map_sync(abs, range(20), chunksize=1),
        lambda: [executor.submit(abs, -1).add_done_callback(lambda _: None) for _ in range(10)],
        lambda: [repr(rc), rc.ids, len(rc), view.apply_async(abs, -1).ready(), rc._repr_html_()],
        lambda: [
            fresh.done(),
            fresh.add_done_callback(lambda _: None),
            watched.add_done_callback(lambda _: None),
            repr(watched),
            view.apply_sync(abs, 1),
        ],
    ]
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    lazy = view.imap(abs, range(100), max_outstanding=2)
    next(lazy)
    yield [
        rc,
        view,
        rc[0],
        balanced,
        view.apply_async(abs, -1),
        fresh,
        executor.submit(abs, 1),
        lazy,
        executor,
        view.mpi,
    ]
    stop.set()
    for thread in threads:
        thread.join(30)
    executor.shutdown()
    lazy.close()
    assert failed == []


@pytest.mark.timeout(170)
def test_no_entry_waits_in_a_child(busy: list[Any], cluster: Cluster) -> None:
    things = [*busy, cluster]
    assert {type(thing) for thing in things} == set(CLASSES)
    calls = [call for thing in things for call in entries(thing)]

    def work(begin: Callable[[str], object]) -> str:
        wrong = []
        for name, call in calls:
            begin(name)
            wrong.append(trial(name, call))
        begin("garbage")
        del call
        calls.clear()
        things.clear()
        busy.clear()
        gc.collect()
        return "\n".join(filter(None, wrong))

    for _ in range(FORKS):
        wrong = in_fork(work)
        assert not wrong, wrong
    assert cluster.running


def test_a_child_can_have_a_client_of_its_own(busy: list[Any], cluster: Cluster) -> None:
    def work(begin: Callable[[str], object]) -> str:
        with Client(cluster.report["client_file"]) as own:
            begin("apply")
            assert own[:].apply_sync(abs, -1) == dict.fromkeys(range(4), 1)
            begin("futures")
            with own[:].executor as executor:
                assert list(executor.map(abs, range(-4, 0))) == [4, 3, 2, 1]
        return ""

    for _ in range(10):
        assert in_fork(work) == ""


SCRIPT = """
import os, sys, threading
import ipclusterz as ipz

rc = ipz.Client(sys.argv[1])
view = rc[:]
results = [view.map_async(abs, range(4)) for _ in range(3)]
stop = threading.Event()


def use():
    while not stop.is_set():
        ar = view.map_async(abs, range(8))
        ar.add_done_callback(repr)
        ar.get()


threads = [threading.Thread(target=use) for _ in range(3)]
for thread in threads:
    thread.start()
with view.executor as executor:
    executor.submit(abs, -1).result()
    for _ in range(30):
        pid = os.fork()
        if pid == 0:
            # Out of the block, and through all that an interpreter does at its end.
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    stop.set()
    for thread in threads:
        thread.join()
print(view.apply_sync(abs, -1))
"""


def test_children_that_exit_as_any_program_does(cluster: Cluster, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, cluster.report["client_file"]], timeout=50, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == f"{dict.fromkeys(range(4), 1)}\n"
