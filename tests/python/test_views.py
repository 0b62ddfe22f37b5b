"""Direct views: targets, the shapes of what calls return, names, maps, scatter and gather."""

from __future__ import annotations

import itertools
import operator
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ipclusterz as ipz
from ipclusterz import AsyncResult, Client, Cluster, CompositeError, RemoteError, SerializationError

OFFSET = 100
IPCLUSTERZ = Path(sys.executable).with_name("ipclusterz")


def test_the_session_of_the_readme(rc: Client) -> None:
    assert rc.ids == {0, 1, 2, 3}
    dview = rc[:]
    dview.block = True
    dview["a"] = 5
    assert dview.apply_bound(lambda x: a + x, 27) == {0: 32, 1: 32, 2: 32, 3: 32}  # type: ignore[name-defined] # noqa: F821


def test_targets(rc: Client) -> None:
    assert rc[:].targets == [0, 1, 2, 3]
    assert rc[1:3].targets == [1, 2]
    assert rc[[0, 2]].targets == rc[0, 2].targets == [0, 2]
    assert rc[-1].targets == [3]
    assert rc["all"].targets == [0, 1, 2, 3]
    assert rc.direct_view().targets == [0, 1, 2, 3]
    assert [view.targets for view in rc] == [[0], [1], [2], [3]]
    assert len(rc) == len(rc[:]) == 4
    with pytest.raises(IndexError, match=r"(?s)no engine 9.*0, 1, 2, 3"):
        rc[9]
    with pytest.raises(IndexError, match="no engine -5"):
        rc[-5]
    with pytest.raises(ValueError, match="empty"):
        rc[[]]
    with pytest.raises(ValueError, match=r"slice \[7:\]"):
        rc[7:]
    with pytest.raises(TypeError):
        rc[1.5]  # type: ignore[index]


def test_all_is_whoever_is_there_at_each_call(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(n=2)
    with cluster.connect_client() as rc:
        views = [rc["all"], rc.direct_view(), rc.direct_view("all")]
        then = rc[:]
        assert repr(views[0]) == "<DirectView of all engines>"
        assert [len(view) for view in views] == [2] * 3
        subprocess.run([IPCLUSTERZ, "scale", "+1", "--cluster", cluster.name], check=True, capture_output=True)
        until(lambda: len(rc) == 3, 30)
        for view in views:
            assert view.targets == [0, 1, 2]
            assert view.apply_sync(abs, -1) == dict.fromkeys(range(3), 1)
            view["a"] = 5
            assert view["a"] == dict.fromkeys(range(3), 5)
        assert then.targets == [0, 1]
        rc.shutdown(targets=0)
        until(lambda: len(rc) == 2, 30)
        assert views[0].apply_sync(abs, -1) == {1: 1, 2: 1}
        with views[0].executor as executor:
            assert list(executor.map(abs, [-1, -2])) == [1, 2]
        views[0].targets = 1
        assert views[0].apply_sync(abs, -1) == 1


def test_order_is_that_of_the_targets(rc: Client) -> None:
    assert rc[2, 0].apply_async(lambda: None).engine_ids == [2, 0]
    rc[2]["who"] = "two"
    rc[0]["who"] = "zero"
    assert rc[2, 0].pull("who", block=False).get() == ["two", "zero"]
    assert list(rc[2, 0]["who"]) == [2, 0]


def test_shapes(rc: Client) -> None:
    several, single, one_in_a_list = rc[:], rc[1], rc[[1]]
    assert several.apply_sync(abs, -1) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert several.apply_async(abs, -1).get() == [1, 1, 1, 1]
    assert several.apply_async(abs, -1).get_dict() == {0: 1, 1: 1, 2: 1, 3: 1}
    assert single.apply_sync(abs, -1) == single.apply_async(abs, -1).get() == 1
    assert one_in_a_list.apply_sync(abs, -1) == {1: 1}
    assert one_in_a_list.apply_async(abs, -1).get() == [1]
    assert several.push({"a": 1}, block=True) == dict.fromkeys(range(4))
    assert single.push({"a": 1}, block=True) is None


def test_block(rc: Client) -> None:
    view = rc[0]
    assert isinstance(view.apply(abs, -1), AsyncResult)
    rc.block = True
    assert view.apply(abs, -1) == 1
    view.block = False
    assert isinstance(view.apply(abs, -1), AsyncResult)
    assert isinstance(view.pull("a"), AsyncResult)
    assert view.push({"a": 1}, block=True) is None
    assert isinstance(rc[0].push({"a": 1}, block=False), AsyncResult)
    assert rc[0].apply(abs, -1) == 1


def test_arguments(rc: Client) -> None:
    def f(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert rc[0].apply_sync(f) == ((), {})
    assert rc[0].apply_sync(f, 1, b=2) == ((1,), {"b": 2})
    # Names that the method itself could have used.
    assert rc[0].apply_sync(f, f=1, self=2, block=3) == ((), {"f": 1, "self": 2, "block": 3})


def test_unbound_functions_do_not_see_the_namespace(rc: Client) -> None:
    rc[:].push({"b": 5}, block=True)
    assert rc[0].apply_bound(lambda: b).get() == 5  # type: ignore[name-defined] # noqa: F821
    with pytest.raises(RemoteError, match=r"NameError\(name 'b' is not defined\)"):
        rc[0].apply_sync(lambda: b)  # type: ignore[name-defined] # noqa: F821


def test_bound_functions_see_the_engines_names_and_not_the_clients(rc: Client) -> None:
    rc[:].push({"OFFSET": 1}, block=True)
    assert rc[0].apply_bound(lambda x: x + OFFSET, 1).get() == 2
    assert rc[0].apply_sync(lambda x: x + OFFSET, 1) == 101


def test_bound_functions_write_to_the_namespace(rc: Client) -> None:
    def remember(value: int) -> None:
        global remembered
        remembered = value  # type: ignore[name-defined]

    rc[:].apply_bound(remember, 8).get()
    assert rc[1]["remembered"] == 8
    assert "remembered" not in globals()


def test_helpers_in_a_closure_are_bound_too(rc: Client) -> None:
    def helper() -> Any:
        return b  # type: ignore[name-defined] # noqa: F821

    rc[0]["b"] = 4
    assert rc[0].apply_bound(lambda: helper() + 1).get() == 5


def test_names(rc: Client) -> None:
    dview = rc[:]
    dview["a"] = ["foo", "bar"]
    assert dview["a"] == {engine: ["foo", "bar"] for engine in range(4)}
    dview.update({"b": 2, "c": 3})
    assert dview.get("b") == dict.fromkeys(range(4), 2)
    assert dview.pull(["b", "c"], block=True) == {engine: [2, 3] for engine in range(4)}
    assert rc[0]["b", "c"] == [2, 3]
    dview.clear(block=True)
    with pytest.raises(CompositeError, match=r"\[2:pull\]: KeyError: .*'b' is not defined on engine 2"):
        dview["b"]


@pytest.mark.parametrize("names", [3, None, [3], ["a", None], {1: 2}])
def test_names_are_text(rc: Client, names: Any) -> None:
    with pytest.raises(TypeError, match="names are strings"):
        rc[0].pull(names)
    with pytest.raises(TypeError):
        rc[0].push({3: 4})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="dictionary"):
        rc[0].push(["a"])  # type: ignore[arg-type]


def test_execute(rc: Client) -> None:
    replies = rc[:].execute("import os; x = 6\nprint('hello')\nx * 7", block=True)
    assert {reply.result for reply in replies.values()} == {"42"}
    assert {reply.stdout for reply in replies.values()} == {"hello\n"}
    assert [reply.engine_id for reply in replies.values()] == [0, 1, 2, 3]
    reply = rc[2].execute("x + 1", block=True)
    assert (reply.result, reply.r, reply.stdout, reply.stderr) == ("7", "7", "", "")
    count = reply.execution_count
    assert repr(reply) == f"[2] In [{count}]: x + 1\n[2] Out[{count}]: 7"
    silent = rc[2].execute("x", silent=True, block=True)
    assert silent.result is None
    following = rc[2].execute("y = 1", block=True)
    assert following.execution_count == count + 1
    assert repr(following) == f"[2] In [{count + 1}]: y = 1"


def test_execute_runs_ipythons_magics(rc: Client) -> None:
    assert rc[0].execute("%who_ls int", block=True).result == "[]"
    assert rc[0].execute("'In' in globals(), _", block=True).result == "(True, [])"
    rc[0].clear(block=True)
    assert rc[0].execute("1 + 1", block=True).result == "2"


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        ("1/0", "ZeroDivisionError", "    1/0"),
        ("def", "SyntaxError", "invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError", "no_such_module"),
        ("raise SystemExit(3)", "SystemExit", ""),
        ("exit()", "SystemExit", ""),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    ],
)
@pytest.mark.filterwarnings("error")
def test_execute_that_fails(rc: Client, code: str, name: str, text: str) -> None:
    with pytest.raises(RemoteError) as caught:
        rc[0].execute(code, block=True)
    assert caught.value.ename == name
    assert text in caught.value.traceback
    assert "interactiveshell.py" not in caught.value.traceback
    assert rc[0].execute("'alive'", block=True).result == "'alive'"


def test_code_is_text(rc: Client) -> None:
    with pytest.raises(TypeError, match="code is text"):
        rc[0].execute(b"1")  # type: ignore[arg-type]


def test_map(rc: Client) -> None:
    dview = rc[:]
    assert dview.map_sync(lambda x: x**10, range(32)) == [x**10 for x in range(32)]
    assert dview.map_sync(operator.add, [1, 2, 3], (10, 20)) == [11, 22]
    assert dview.map(operator.neg, range(3), block=True) == [0, -1, -2]
    assert dview.map_sync(lambda i, c: f"{i}{c}", itertools.count(), "ab") == ["0a", "1b"]
    assert dview.map_sync(abs, []) == []
    assert dview.map_async(abs, []).get() == []
    assert rc[1].map_sync(abs, [-1, -2]) == [1, 2]
    assert dview.map_sync(float, np.arange(5)) == [0.0, 1.0, 2.0, 3.0, 4.0]
    with pytest.raises(TypeError, match="sequence"):
        dview.map(abs)
    with pytest.raises(TypeError, match="sequence"):
        dview.map(abs, 3)  # type: ignore[arg-type]


def test_map_result(rc: Client) -> None:
    result = rc[:].map_async(lambda x: x + 1, range(10))
    assert len(result) == 10
    assert list(result) == list(range(1, 11))
    assert result[-1] == 10
    assert result.progress == 10
    assert list(result) == result.get()
    with pytest.raises(IndexError):
        result[10]
    with pytest.raises(TypeError):
        result.get_dict()


def test_a_map_that_fails(rc: Client) -> None:
    result = rc[:].map_async(lambda x: 1 / x, [2, 1, 0, 4])
    with pytest.raises(CompositeError, match=r"call to method: map\n\[2:map\]: ZeroDivisionError: division by zero"):
        result.get()
    values = iter(result)
    assert (next(values), next(values)) == (0.5, 1.0)
    with pytest.raises(RemoteError):
        next(values)


def test_scatter_and_gather(rc: Client) -> None:
    dview = rc[:]
    assert dview.scatter("a", range(16), block=True) == dict.fromkeys(range(4))
    assert dview["a"] == {engine: list(range(4 * engine, 4 * engine + 4)) for engine in range(4)}
    assert dview.gather("a", block=True) == list(range(16))
    assert dview.gather("a").get() == list(range(16))
    for whole in ("some text", b"bytes", (1, 2, 3), [1]):
        dview.scatter("a", whole, block=True)
        assert dview.gather("a", block=True) == whole
    rc[0].scatter("a", [1, 2], block=True)
    assert rc[0].gather("a", block=True) == [1, 2]
    with pytest.raises(TypeError, match="sequence"):
        dview.scatter("a", 3)  # type: ignore[arg-type]


def test_arrays_are_scattered_and_gathered_in_place(rc: Client) -> None:
    dview = rc[:]
    array = np.arange(100_000.0).reshape(-1, 2)
    dview.scatter("x", array, block=True)
    dview.execute("x *= x", block=True)
    joined = dview.gather("x", block=True)
    np.testing.assert_array_equal(joined, array**2)
    joined += 1
    part = rc[0]["x"]
    part += 1
    assert rc[0].apply_bound(lambda: x.flags.owndata or x.flags.writeable).get()  # type: ignore[name-defined] # noqa: F821


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers() | st.text()), targets=st.lists(st.integers(0, 3), min_size=1, unique=True))
def test_map_and_scatter_equal_the_serial_results(rc: Client, values: list[Any], targets: list[int]) -> None:
    view = rc[targets]
    assert view.map_sync(lambda value: [value, value], values) == [[value, value] for value in values]
    view.scatter("part", values, block=True)
    assert view.gather("part", block=True) == values


def test_what_is_sent_may_be_changed_at_once(rc: Client) -> None:
    array = np.ones(200_000)
    results = []
    for _ in range(5):
        results.append(rc[:].apply_async(np.sum, array))
        array[:] += 1
    assert [result.get()[0] for result in results] == [200_000.0 * factor for factor in range(1, 6)]


def test_what_cannot_be_sent_is_named(rc: Client) -> None:
    lock = threading.Lock()
    for call, culprit in (
        (lambda: rc[0].apply(max, 1, lock), r"argument 1 .*_thread\.lock"),
        (lambda: rc[0].apply(max, key=lock), r"argument 'key' .*_thread\.lock"),
        (lambda: rc[0].push({"a": 1, "l": [lock]}), r"value for 'l' .*list.*_thread\.lock"),
        (lambda: rc[0].scatter("l", [lock]), r"value for 'l'"),
        (lambda: rc[0].map(abs, [lock]), "lock"),
        (lambda: rc[0].apply(lambda: lock), "lock"),
        (lambda: rc[0].apply(max, rc), r"argument 0 .*Client"),
    ):
        with pytest.raises(SerializationError, match=culprit) as caught:
            call()
        assert caught.value.hint
    with pytest.raises(TypeError, match="a function is needed"):
        rc[0].apply(["import time"])  # type: ignore[arg-type]


def test_classes_travel_both_ways(rc: Client) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    moved = rc[0].apply_sync(lambda point: Point(point.x + 1), Point(1))
    assert type(moved) is Point
    assert moved.x == 2
    rc[0].execute("class There:\n    def __init__(self, x):\n        self.x = x\nthere = There(4)", block=True)
    assert rc[0]["there"].x == 4
    assert rc[0].apply_bound(lambda: There(5)).get().x == 5  # type: ignore[name-defined] # noqa: F821


def test_a_payload_larger_than_memory(rc: Client) -> None:
    import mmap

    # Sixteen terabytes of addresses, and not one page of memory.
    map_noreserve = 0x4000
    space = mmap.mmap(-1, 1 << 44, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_noreserve)
    with pytest.raises(ipz.PayloadTooLarge) as caught:
        rc[0].push({"a": np.frombuffer(space, dtype="u1")}, block=True)
    assert caught.value.hint
    assert isinstance(caught.value, MemoryError)
    assert rc[0].apply_sync(os.getpid) > 0
