"""What each public method of clients and views says to arguments that are no good."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest

import ipclusterz as ipz
from ipclusterz import Client, CompositeError, RemoteError
from ipclusterz.client import DirectView, LoadBalancedView
from ipclusterz.client.asking import Asking
from ipclusterz.client.becoming import Becoming
from ipclusterz.client.connection import Connection
from ipclusterz.client.direct import DirectCalls
from ipclusterz.client.flags import Flagged
from ipclusterz.client.looking import Looking
from ipclusterz.client.namespaces import NamespaceCalls
from ipclusterz.client.past import Past
from ipclusterz.client.pickling import PicklingCalls
from ipclusterz.client.sequences import SequenceCalls
from ipclusterz.client.steering import Steering
from ipclusterz.error import MPIError

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
        (lambda calls: calls.imap(abs, [1], chunksize="all"), TypeError, NO_COUNT),
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
    "DirectCalls.reload": [
        (lambda calls: calls.reload(3), TypeError, "a module or its name is needed, not int"),
        (lambda calls: calls.reload("no name"), ValueError, "a name of a module is needed"),
        (lambda calls: calls.reload("os.path"), ValueError, "'os.path' is a part of Python"),
        (lambda calls: calls.reload("ipclusterz"), ValueError, "which engines do not reload"),
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
        # Of a client a text is a message id, and a negative number a submission.
        (lambda calls: calls.get_result("1"), (TypeError, ValueError), "cells have numbers, not str|is no message id"),
        (lambda calls: calls.get_result(1.0), TypeError, "cells have numbers, not float|are needed, not float"),
        (
            lambda calls: calls.get_result(-(10**9), block=True),
            (KeyError, CompositeError, IndexError),
            "engine 1|no submission",
        ),
        (lambda calls: calls.get_result(10**9, block=True), (KeyError, CompositeError), "engine 1"),
    ],
    "DirectCalls.push": [
        (lambda calls: calls.push(["a"]), TypeError, "a dictionary of names is needed, not list"),
        (lambda calls: calls.push("a"), TypeError, "a dictionary of names is needed, not str"),
        (lambda calls: calls.push({1: 2}), TypeError, NO_NAME),
        (lambda calls: calls.push({"a": 1}, via="tcp"), ValueError, NO_VIA),
        (lambda calls: calls.push({"a": LOCK}), ipz.SerializationError, "the value for 'a' cannot be sent"),
    ],
    "DirectCalls.send": [
        (lambda calls: calls.send(3, to=1), TypeError, NO_NAME),
        (lambda calls: calls.send("a", to=99, targets=0), IndexError, "99"),
        (lambda calls: calls.send("a", to="some", targets=0), (TypeError, ValueError, IndexError), "some"),
        (lambda calls: calls.send("a", to=1, targets=[0, 1]), ValueError, "one engine sends a value, and these are 2"),
        (lambda calls: calls.send("nope", to=0, targets=1, block=True), KeyError, MISSING),
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
    "Client.wait": [
        (lambda rc: rc.wait(3), TypeError, "results or message ids are needed, not int"),
        (lambda rc: rc.wait("nonsense"), ValueError, '"nonsense" is no message id'),
    ],
    "Client.queue_status": [
        (lambda rc: rc.queue_status(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.queue_status("x"), TypeError, "engines are an id"),
    ],
    "Client.result_status": [
        (lambda rc: rc.result_status([None]), TypeError, "are needed, not NoneType"),
        (lambda rc: rc.result_status("nonsense"), ValueError, "is no message id"),
    ],
    "Client.broadcast_view": [(lambda rc: rc.broadcast_view(9), IndexError, "there is no engine 9")],
    "View.label": [(lambda view: setattr(view, "label", 3), TypeError, "a label is a text or None, not int")],
    "Client.abort": [
        (lambda rc: rc.abort(3), TypeError, "results or message ids are needed, not int"),
        (lambda rc: rc.abort(["x"]), ValueError, '"x" is no message id'),
        (lambda rc: rc.abort([], targets=0), TypeError, "jobs or targets, not both"),
        (lambda rc: rc.abort([], all_clients=True), TypeError, "give jobs, all_clients or session, not several"),
        (lambda rc: rc.abort(session="s", all_clients=True), TypeError, "give jobs, all_clients or session"),
        (lambda rc: rc.abort(targets=9), IndexError, "there is no engine 9"),
    ],
    "Client.events": [
        (lambda client: client.events(since=-1), ValueError, "since=-1: give seconds since 1970"),
        (lambda client: client.events(since="1h"), ValueError, "since='1h': give seconds since 1970"),
    ],
    "Client.timeline": [
        (lambda client: client.timeline("/nowhere/t.json"), OSError, "No such file"),
        (lambda client: client.timeline("t.json", since=None), ValueError, "since=None: give seconds"),
        (lambda client: client.timeline(3), TypeError, "os.PathLike object, not int"),
    ],
    "Client.report": [
        (lambda client: client.report("/nowhere/r.html"), OSError, "No such file"),
        (lambda client: client.report("r.html", since=-1), ValueError, "since=-1: give seconds"),
    ],
    "Client.explain": [
        (lambda client: client.explain(3), TypeError, "counted from the last: -1, not 3"),
        (lambda client: client.explain(None), TypeError, "results, message ids or -1"),
        (lambda client: client.explain([]), ValueError, "no message id in an empty list"),
        (lambda client: client.explain("x"), ValueError, "'x' is no message id"),
    ],
    "Client.get_result": [
        (lambda rc: rc.get_result(-1, targets=0), TypeError, "results have engines of their own"),
        (lambda rc: rc.get_result([]), ValueError, "no message id in an empty list"),
        (lambda rc: rc.get_result([None]), TypeError, "are needed, not NoneType"),
        (lambda rc: rc.get_result([3]), TypeError, "counted from the last: -1, not 3"),
        (lambda rc: rc.get_result("nonsense"), ValueError, '"nonsense" is no message id'),
    ],
    "Client.db_query": [
        (lambda rc: rc.db_query(3), TypeError, "a query is a dictionary, not int"),
        (lambda rc: rc.db_query(colour=3), ValueError, "tasks have no 'colour'; there are: msg_id, session"),
        (lambda rc: rc.db_query(keys="colour"), ValueError, "tasks have no 'colour'"),
        (lambda rc: rc.db_query({"state": {"$like": 3}}), ValueError, r"no operator '\$like'; there are: \$eq"),
        (lambda rc: rc.db_query({"name": {"$glob": 3}}), ValueError, r"\$glob takes a pattern as 'step_\*', not 3"),
        (lambda rc: rc.db_query({"state": {"$in": "ok"}}), ValueError, r"\$in takes a list of values, not 'ok'"),
        (lambda rc: rc.db_query(submitted="today"), ValueError, "compared with a datetime or seconds"),
    ],
    "Client.purge_results": [
        (lambda rc: rc.purge_results(), TypeError, "give what is to be dropped"),
        (lambda rc: rc.purge_results("nonsense"), ValueError, "is no message id"),
        (lambda rc: rc.purge_results(targets=9), IndexError, "there is no engine 9"),
    ],
    "Client.resubmit": [
        (lambda rc: rc.resubmit(3), TypeError, "counted from the last: -1, not 3"),
        (lambda rc: rc.resubmit("nonsense"), ValueError, "is no message id"),
        (lambda rc: rc.resubmit(-(10**9)), IndexError, "there is no submission"),
        (lambda rc: rc.resubmit([]), ValueError, "no message id in an empty list"),
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
        (lambda rc: rc.shutdown(controller=True, restart=True), ValueError, "exclude each other"),
        (lambda rc: rc.shutdown(9, restart=True), IndexError, "there is no engine 9"),
    ],
    "Client.send_signal": [
        (lambda rc: rc.send_signal("SIGNOPE"), ValueError, "no signal 'SIGNOPE'.*SIGUSR1"),
        (lambda rc: rc.send_signal(0), ValueError, "no signal 0"),
        (lambda rc: rc.send_signal(-9), ValueError, "no signal -9"),
        (lambda rc: rc.send_signal(999), ValueError, "no signal 999"),
        (lambda rc: rc.send_signal("SIG_IGN"), ValueError, "no signal 'SIG_IGN'"),
        (lambda rc: rc.send_signal(None), TypeError, "a signal is a number or a name, not NoneType"),
        (lambda rc: rc.send_signal("SIGUSR2", 9), IndexError, "there is no engine 9"),
    ],
    "Client.group": [(lambda rc: rc.group("big"), IndexError, "there is no engine of group 'big'")],
    "Client.retire": [
        (lambda rc: rc.retire(9), IndexError, "there is no engine 9"),
        (lambda rc: rc.retire([]), ValueError, "empty"),
        (lambda rc: rc.retire("x"), TypeError, "engines are an id"),
    ],
    "Client.become_dask": [
        (lambda rc: rc.become_dask(nanny=True), ValueError, "nanny is False"),
        (lambda rc: rc.become_dask(nanny=1), TypeError, "nanny is True or False, not int"),
        (lambda rc: rc.become_dask(security="tls"), TypeError, "security is True or False, not str"),
        (
            lambda rc: rc.become_dask(scheduler_args=[1]),
            TypeError,
            "scheduler_args is a dictionary of keywords",
        ),
        (lambda rc: rc.become_dask(99), IndexError, "99"),
    ],
    "Client.become_mpi4py_pool": [
        (lambda rc: rc.become_mpi4py_pool(), MPIError, "is not a rank of an MPI world"),
        (lambda rc: rc.become_mpi4py_pool(99), IndexError, "99"),
    ],
    "Client.stop_dask": [(lambda rc: rc.stop_dask(targets=99), IndexError, "99")],
    "Client.upload": [
        (lambda rc: rc.upload(3), TypeError, "not int"),
        (lambda rc: rc.upload(b"/etc/hosts"), TypeError, "a path is a text or a pathlib.Path, not bytes"),
        (lambda rc: rc.upload("/no/such"), FileNotFoundError, "/no/such does not exist"),
        (lambda rc: rc.upload("/dev/null"), ValueError, "neither a file nor a folder"),
        (lambda rc: rc.upload("/"), ValueError, "the root folder"),
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
    "LoadBalancedView.set_flags": [
        (lambda view: view.set_flags(nope=1), TypeError, "no flag 'nope'; there are: after, follow"),
        (lambda view: view.set_flags(after=3), TypeError, "waits for results or message ids, not for int"),
        (lambda view: view.set_flags(follow=["x"]), ValueError, "'x' is no message id: one looks like"),
        (lambda view: view.set_flags(timeout=-1), ValueError, "timeout is a number of seconds, 0 or more, not -1"),
        (lambda view: view.set_flags(time_limit="1"), TypeError, "time_limit is a number of seconds or None, not str"),
        (lambda view: view.set_flags(retries=1.5), TypeError, "retries is a whole number, not float"),
        (lambda view: view.set_flags(retry_on=(3,)), TypeError, "classes of exceptions, as .OSError,., not 3"),
        (lambda view: view.set_flags(retry_on=KeyboardInterrupt), TypeError, "classes of exceptions"),
        (lambda view: view.set_flags(crash_limit=0), ValueError, "crash_limit is a whole number from 1 to"),
        (lambda view: view.set_flags(priority=1 << 40), ValueError, "priority is a whole number from -2147483648 to"),
        (lambda view: view.set_flags(needs=[1]), TypeError, "needs are a dictionary"),
    ],
    "LoadBalancedView.temp_flags": [
        (lambda view: view.temp_flags(nope=1).__enter__(), TypeError, "no flag 'nope'"),
    ],
    "LoadBalancedView.needs": [
        (lambda view: view.needs(gpus="many"), TypeError, "of gpus a number is needed, or a size as '16G', not 'many'"),
        (lambda view: view.needs(gpus=-1), ValueError, "of gpus a number from 0 to 2..49 is needed, not -1"),
        (lambda view: view.needs(3), TypeError, "a resource has a name, not 3"),
    ],
    "LoadBalancedView.abort": [
        (lambda view: view.abort(3), TypeError, "results or message ids are needed, not int"),
        (lambda view: view.abort("x"), ValueError, "no message id"),
    ],
    "LoadBalancedView.reload": [(lambda view: view.reload(None), TypeError, "a module or its name is needed")],
    "DirectView.send_signal": [(lambda view: view.send_signal("SIGNOPE"), ValueError, "no signal 'SIGNOPE'")],
    "View.barrier": [(lambda view: view.barrier(3), TypeError, "results or message ids are needed, not int")],
}

# No argument can be wrong, beside the engines; or they are tested with what they belong to.
WITHOUT = {
    "DirectCalls.keys",
    "DirectCalls.clear",
    "DirectCalls.importer",
    "DirectCalls.sync_imports",
    "DirectCalls.use_cloudpickle",
    "DirectCalls.use_dill",
    "DirectCalls.use_pickle",
    "Client.map",
    "Client.remote",
    "Client.targets",
    "Client.ids",
    "Client.outstanding",
    "Client.session",
    "Client.history",
    "Client.results",
    "Client.hub_history",
    "Client.cluster",
    "Client.closed",
    "Client.close",
    "View.block",
    "View.executor",
    "View.register_joblib_backend",
    "DirectView.targets",
    "Client.activate",
    "View.quiet",
    "DirectView.activate",
    "DirectView.abort",
    "DirectView.interrupt",
    "DirectView.shutdown",
    "LoadBalancedView.targets",
    "LoadBalancedView.duration",
    "Client.priority",
}

ROWS = [(where, row) for where, rows in BAD.items() for row in rows]


def test_every_public_method_is_in_the_table() -> None:
    from ipclusterz.client.view import View

    # What is about the connection, namespaces and sequences is in classes of its own only for the size of a file.
    names = {
        Asking: "Client",
        Looking: "Client",
        Connection: "Client",
        Past: "Client",
        Steering: "Client",
        Becoming: "Client",
        NamespaceCalls: "DirectCalls",
        PicklingCalls: "DirectCalls",
        SequenceCalls: "DirectCalls",
        Flagged: "LoadBalancedView",
    }
    public = {
        f"{names.get(kind, kind.__name__)}.{name}"
        for kind in (
            Client,
            Asking,
            Past,
            Looking,
            Steering,
            Becoming,
            Connection,
            SequenceCalls,
            NamespaceCalls,
            PicklingCalls,
            DirectCalls,
            View,
            DirectView,
            Flagged,
            LoadBalancedView,
        )
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
