"""Every call of a client: ``rc.method(..., targets=x)`` is ``rc[x].method(...)``; its attributes targets and block."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import AsyncResult, Client, Cluster, CompositeError, DirectView, LoadBalancedView, RemoteError
from ipclusterz.client import ExecuteReply, MapResult

WHERE = {
    "an id": 2,
    "a negative id": -1,
    "an id of numpy": np.int64(1),
    "a list": [0, 2],
    "a list with negative ids": [-1, 0],
    "a list of one": [1],
    "a tuple": (3, 1),
    "a set": {1, 2},
    "an array": np.array([1, 3]),
    "a slice": slice(1, None),
    "a slice with a step": slice(None, None, -2),
    "all": "all",
}
everywhere = pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)

SCRIPT = "from_script = who + 100\nprint('ran', who)\nfrom_script"

# Method, arguments, keywords.
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "execute": ("execute", ("who * 2",), {}),
    "execute silently": ("execute", ("who * 2",), {"silent": True}),
    "execute what prints": ("execute", ("print('I am', who)",), {}),
    "push": ("push", ({"a": 1, "b": [2]},), {}),
    "pull": ("pull", ("who",), {}),
    "pull several": ("pull", (("who", "name"),), {}),
    "pull an iterator": ("pull", (["name", "who"],), {}),
    "zip_pull": ("zip_pull", ("who",), {}),
    "zip_pull several": ("zip_pull", (("who", "name"),), {}),
    "map": ("map", (lambda x, y: x * y, range(11), [3] * 9), {}),
    "map nothing": ("map", (abs, []), {}),
    "scatter": ("scatter", ("part", range(11)), {}),
    "scatter round-robin": ("scatter", ("part", "some text"), {"dist": "r"}),
    "scatter one element": ("scatter", ("part", [5]), {"flatten": True}),
    "gather": ("gather", ("numbers",), {}),
    "gather an array": ("gather", ("array",), {}),
    "gather round-robin": ("gather", ("numbers",), {"dist": "r"}),
}


@pytest.fixture(autouse=True)
def names(rc: Client) -> None:
    """On each engine: its number, and parts of sequences."""
    rc.scatter("who", range(4), flatten=True)
    rc.scatter("numbers", [0, 0, 1, 1, 2, 2, 3, 3])
    rc.scatter("array", np.arange(24.0).reshape(8, 3))
    rc.push({"name": "engine"})


def plain(value: Any) -> Any:
    """A value that can be compared, shape and all."""
    if isinstance(value, ExecuteReply):
        return ("reply", value.engine_id, value.code, value.result, value.stdout, value.stderr)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return ("array", value.dtype, value.tolist())
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


# -- rc.method(targets=x) is rc[x].method() ----------------------------------------------------------------------------


@everywhere
def test_a_call_on_targets_is_the_views_call(rc: Client, where: Any) -> None:
    view = rc[where]
    for call, (method, arguments, keywords) in CALLS.items():
        of_client, of_view = getattr(rc, method), getattr(view, method)
        waited = plain(of_client(*arguments, **keywords, targets=where, block=True))
        assert waited == plain(of_view(*arguments, **keywords, block=True)), call
        later = of_client(*arguments, **keywords, targets=where, block=False)
        expected = of_view(*arguments, **keywords, block=False)
        assert isinstance(later, AsyncResult), call
        assert type(expected) is type(later), call
        assert plain(later.get()) == plain(expected.get()), call
        assert later.engine_ids == expected.engine_ids, call
        assert repr(later) == repr(expected), call
        # A view's own targets can be overridden as well.
        assert plain(getattr(rc[0], method)(*arguments, **keywords, targets=where, block=True)) == waited, call
    rc.clear(targets=where, block=True)
    assert view.keys() in ([], {engine: [] for engine in view.targets})


@everywhere
def test_apply_on_targets_is_the_views_apply(rc: Client, where: Any) -> None:
    def f(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def bound(x: int) -> Any:
        return who * x  # type: ignore[name-defined] # noqa: F821

    view = rc[where]
    view.block = True
    assert rc.apply(f, (1, 2), {"c": 3}, targets=where, block=True) == view.apply(f, 1, 2, c=3)
    assert rc.apply(f, args=[1], kwargs={"f": 2, "targets": 3}, targets=where, block=True) == view.apply_sync(
        f, 1, f=2, targets=3
    )
    assert rc.apply(bound, (10,), bound=True, targets=where, block=True) == view.apply_bound(bound, 10)
    later = rc.apply(bound, (10,), bound=True, targets=where)
    assert isinstance(later, AsyncResult)
    assert later.engine_ids == view.targets
    assert plain(rc.apply("who + 1", targets=where, block=True)) == plain(view.execute("who + 1"))


@everywhere
def test_run_on_targets_is_the_views_run(rc: Client, where: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    replies = plain(rc.run(str(script), targets=where, block=True))
    assert replies == plain(rc[where].run(script, block=True))
    assert rc.pull("from_script", targets=where).get() == rc[where].apply_bound(lambda: who + 100).get()  # type: ignore[name-defined] # noqa: F821


@everywhere
def test_keys_and_imap_on_targets(rc: Client, where: Any) -> None:
    view = rc[where]
    view.push({"only_here": 1}, block=True)
    assert rc.keys(targets=where) == view.keys()
    pids = set(rc.imap(process_id, range(40), targets=where))
    assert pids <= set(rc.apply(os.getpid, targets=rc[where].targets, block=True).values())
    assert list(rc.imap(abs, range(-5, 5), targets=where)) == list(view.imap(abs, range(-5, 5)))


def process_id(_number: int) -> int:
    return os.getpid()


@everywhere
def test_get_result_on_targets(rc: Client, where: Any) -> None:
    rc.execute("print(who); who + 5", targets=where, block=True)
    assert plain(rc.get_result(targets=where, block=True)) == plain(rc[where].get_result(block=True))
    assert plain(rc.get_result(targets=where).get()) == plain(rc[where].get_result().get())


@everywhere
def test_remote_and_parallel_on_targets(rc: Client, where: Any) -> None:
    of_client = rc.remote(targets=where, block=True)(lambda x: (x, 1))
    of_view = rc[where].remote(block=True)(lambda x: (x, 1))
    assert of_client(5) == of_view(5)
    assert rc.parallel(targets=where, block=True)(sorted)([3, 1, 2, 0, 5]) == rc[where].parallel(block=True)(sorted)(
        [3, 1, 2, 0, 5]
    )


# -- targets=None ------------------------------------------------------------------------------------------------------


def test_none_is_the_load_balanced_view(rc: Client) -> None:
    for caller in (rc, rc[0], rc[:]):
        assert caller.map(abs, [-1, -2], targets=None, block=True) == [1, 2]
        assert list(caller.imap(abs, [-1, -2], targets=None)) == [1, 2]
        assert caller.remote(targets=None, block=True)(abs)(-1) == 1
        assert caller.parallel(targets=None, block=True)(sorted)([2, 1]) == [2, 1]
    assert rc.apply(abs, (-1,), targets=None, block=True) == 1
    assert rc.apply(abs, (-1,), targets=None).get() == 1
    assert isinstance(rc[None], LoadBalancedView)
    assert rc[None].targets is None


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("execute", ("a",)),
        ("apply", ("a",)),
        ("run", (__file__,)),
        ("push", ({},)),
        ("pull", ("a",)),
        ("zip_pull", ("a",)),
        ("scatter", ("a", [1])),
        ("gather", ("a",)),
        ("keys", ()),
        ("clear", ()),
        ("get_result", ()),
        ("sync_imports", ()),
        ("interrupt", ()),
        ("shutdown", ()),
    ],
)
def test_none_is_refused_where_engines_are_needed(rc: Client, method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"(?s)targets=None is the load-balanced view.*hint: targets='all'"):
        getattr(rc, method)(*arguments, targets=None)
    with pytest.raises(TypeError, match="targets=None"):
        rc.targets = None


# -- the attributes ----------------------------------------------------------------------------------------------------


def test_targets_are_all_at_first_also_those_that_come_later(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        assert rc.targets == "all"
        view = rc[:]
        rc.shutdown(targets=1)
        until(lambda: rc.ids == {0})
        assert rc.apply(abs, (-1,), block=True) == {0: 1}
        assert view.targets == [0, 1]
        with pytest.raises(CompositeError, match=r"\[1:apply\]: EngineError"):
            view.apply_sync(abs, -1)


def test_targets_of_the_client_are_used_where_none_are_given(rc: Client) -> None:
    rc.targets = [0, 2]
    assert rc.targets == [0, 2]
    rc.block = True
    assert rc.execute("a = 5").keys() == {0, 2}
    assert rc.pull("a") == {0: 5, 2: 5}
    assert rc.apply(lambda: a, bound=True) == {0: 5, 2: 5}  # type: ignore[name-defined] # noqa: F821
    assert rc.zip_pull("who") == (0, 2)
    assert rc.gather("numbers") == [0, 0, 2, 2]
    assert rc.map(process_id, range(2)) == list(rc.apply(os.getpid).values())
    assert rc.scatter("part", range(4)) == {0: None, 2: None}
    assert set(rc.keys()) == {0, 2}
    assert rc.parallel()(sorted)([2, 1]) == [2, 1]
    assert rc.push({"here": 1}) == {0: None, 2: None}
    assert rc.get_result().keys() == {0, 2}
    assert rc[1].keys() == rc[3].keys()
    assert "here" not in rc[1]
    # The keyword is stronger, and leaves the attribute as it is.
    assert rc.pull("who", targets=1) == 1
    assert rc.pull("who", targets="all") == {0: 0, 1: 1, 2: 2, 3: 3}
    assert rc.targets == [0, 2]
    # Views have their own.
    assert rc[:].targets == [0, 1, 2, 3]
    rc.targets = "all"
    assert rc.pull("who") == {0: 0, 1: 1, 2: 2, 3: 3}


@everywhere
def test_targets_take_any_index(rc: Client, where: Any) -> None:
    expected = rc[where].pull("who", block=True)
    rc.targets = where
    assert rc.pull("who", block=True) == expected
    view = rc[3]
    view.targets = where
    assert view.pull("who", block=True) == expected
    assert view.targets == rc[where].targets
    balanced = rc.load_balanced_view()
    balanced.targets = where
    assert balanced.targets == rc[where].targets
    assert len(balanced) == len(rc[where])


def test_targets_cannot_be_changed_from_outside(rc: Client) -> None:
    rc.targets = [0, 2]
    rc.targets.append(9)
    view = rc[0, 2]
    view.targets.append(9)
    assert rc.targets == view.targets == [0, 2]


@pytest.mark.parametrize("bad", ["some", "0", b"all", 1.5, object(), [0, "1"], True, [None], {0: 1.5}.values()])
def test_targets_of_a_wrong_type(rc: Client, bad: Any) -> None:
    view = rc[0]
    for use in (
        lambda: rc[bad],
        lambda: setattr(rc, "targets", bad),
        lambda: setattr(view, "targets", bad),
        lambda: rc.load_balanced_view(bad),
        lambda: rc.push({}, targets=bad),
        lambda: view.push({}, targets=bad),
        lambda: rc.interrupt(bad),
    ):
        with pytest.raises(TypeError, match="engines are an id, a slice, a list of ids or 'all', not"):
            use()
    assert rc.targets == "all"
    assert view.targets == [0]


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        (4, ipz.UnknownEngine, r"(?s)no engine 4.*the engines are 0, 1, 2, 3"),
        (-5, ipz.UnknownEngine, "no engine -5"),
        ([0, 9], IndexError, "no engine 9"),
        ([], ipz.EmptyTargets, r"(?s)the list of engines is empty.*hint: "),
        (slice(4, None), ValueError, r"slice \[4:\] selects none"),
        ([1, 1], ValueError, "named twice"),
        ([1, -3], ValueError, "named twice"),
    ],
)
def test_targets_that_are_not_there(rc: Client, bad: Any, error: type[Exception], text: str) -> None:
    for use in (
        lambda: rc.execute("1", targets=bad),
        lambda: rc[0].pull("who", targets=bad),
        lambda: rc.map(abs, [1], targets=bad),
        lambda: rc.imap(abs, [1], targets=bad),
        lambda: rc.remote(targets=bad)(abs)(1),
        lambda: rc.sync_imports(targets=bad),
        lambda: setattr(rc, "targets", bad),
        lambda: setattr(rc[0], "targets", bad),
    ):
        with pytest.raises(error, match=text):
            use()


def test_block(rc: Client) -> None:
    assert rc.block is False
    view, own = rc[0], rc[0]
    own.block = False
    for block in (True, False):
        rc.block = block
        assert isinstance(rc.pull("who"), AsyncResult) is not block
        assert isinstance(rc.apply(abs, (-1,)), AsyncResult) is not block
        assert isinstance(view.pull("who"), AsyncResult) is not block
        assert isinstance(rc[None].apply(abs, -1), AsyncResult) is not block
        assert isinstance(rc.remote()(abs)(1), AsyncResult) is not block
        # A keyword is stronger than the attribute, and a view's attribute stronger than the client's.
        assert isinstance(rc.pull("who", block=not block), AsyncResult) is block
        assert isinstance(view.map(abs, [1], block=not block), MapResult) is block
        assert isinstance(own.pull("who"), AsyncResult)
        assert rc.block is block
    rc.block = True
    own.block = None
    assert own.pull("who") == 0


def test_a_clients_map_waits_like_the_builtin(rc: Client) -> None:
    assert rc.map(abs, [-1]) == [1]
    assert rc.map(abs, [-1], targets=None) == rc.map(abs, [-1], targets=0) == [1]
    assert isinstance(rc.map(abs, [-1], block=False), MapResult)
    assert isinstance(rc[:].map(abs, [-1]), MapResult)


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_shapes(rc: Client) -> None:
    assert rc.pull("who", targets=0, block=True) == 0
    assert rc.pull("who", targets=[0], block=True) == {0: 0}
    assert rc.pull("who", targets=[2, 0]).get() == [2, 0]
    assert list(rc.pull("who", targets=[2, 0], block=True)) == [2, 0]
    assert rc.pull("who", targets=0).get() == 0
    assert rc.pull("who", targets=[0]).get() == [0]
    assert rc.push({"a": 1}, block=True) == dict.fromkeys(range(4))
    assert rc.push({"a": 1}, targets=1, block=True) is None
    assert rc.push({"a": 1}).get() == [None] * 4
    reply = rc.execute("1 + 1", targets=1, block=True)
    assert isinstance(reply, ExecuteReply)
    assert (reply.engine_id, reply.result) == (1, "2")
    replies = rc.execute("1 + 1", block=True)
    assert isinstance(replies, dict)
    assert list(replies) == [0, 1, 2, 3]
    listed = rc.execute("1 + 1").get()
    assert isinstance(listed, list)
    assert [each.engine_id for each in listed] == [0, 1, 2, 3]
    assert repr(replies).startswith("<Results List>\n[0] In [")
    assert repr(listed).startswith("<Results List>\n[0] In [")


def test_zip_pull(rc: Client) -> None:
    rc.push({"a": 1.03234, "b": 3453}, block=True)
    assert rc.zip_pull(("a", "b"), block=True) == [(1.03234,) * 4, (3453,) * 4]
    assert rc.zip_pull("who", block=True) == (0, 1, 2, 3)
    assert rc.zip_pull(["who"], block=True) == [(0, 1, 2, 3)]
    assert rc.zip_pull((name for name in ("who", "a")), targets=[3, 1]).get() == [(3, 1), (1.03234, 1.03234)]
    assert rc.zip_pull([], block=True) == []
    assert rc.zip_pull("who", targets=2, block=True) == (2,)
    with pytest.raises(
        CompositeError, match=r"(?s)call to method: zip_pull.*\[1:zip_pull\]: KeyError.*'nope'.*engine 1"
    ):
        rc.zip_pull(("who", "nope"), block=True)


# -- apply -------------------------------------------------------------------------------------------------------------


def test_apply_runs_a_text(rc: Client) -> None:
    replies = rc.apply("import colorsys\ncolorsys.__name__", block=True)
    assert {reply.result for reply in replies.values()} == {"'colorsys'"}
    assert rc[:].apply_bound(lambda: colorsys.__name__).get() == ["colorsys"] * 4  # type: ignore[name-defined] # noqa: F821
    later = rc.apply("who", targets=[1, 3])
    assert [reply.result for reply in later.get()] == ["1", "3"]
    with pytest.raises(CompositeError, match=r"\[0:execute\]: ZeroDivisionError"):
        rc.apply("1/0", block=True)


def test_apply_bound_and_unbound(rc: Client) -> None:
    f = lambda x=0: who + x  # type: ignore[name-defined] # noqa: E731, F821
    assert rc.apply(f, bound=True, block=True) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert rc.apply(f, (5,), bound=True, targets=2, block=True) == 7
    assert rc.apply(f, kwargs={"x": 5}, bound=True, targets=2, block=True) == 7
    with pytest.raises(RemoteError, match=r"NameError\(name 'who' is not defined\)"):
        rc.apply(f, targets=0, block=True)
    assert rc.apply(f, bound=True, targets=None, block=True) in range(4)


@pytest.mark.parametrize(
    ("arguments", "keywords", "text"),
    [
        ((3,), {}, "a function is needed, not int"),
        ((None,), {}, "a function is needed, not NoneType"),
        ((abs, 3), {}, "args is a tuple or a list, not int"),
        ((abs, "ab"), {}, "args is a tuple or a list, not str"),
        ((abs, (), [3]), {}, "kwargs is a dictionary, not list"),
        (("1", (3,)), {}, "takes no arguments"),
        (("1",), {"kwargs": {"a": 1}}, "takes no arguments"),
        ((abs, -1, None, 3), {}, "positional"),
        ((b"1",), {}, "a function is needed, not bytes"),
    ],
)
def test_apply_with_bad_arguments(rc: Client, arguments: tuple[Any, ...], keywords: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        rc.apply(*arguments, **keywords)


# -- run, get_result ---------------------------------------------------------------------------------------------------


def test_run(rc: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    replies = rc.run(script, block=True)
    assert [reply.stdout for reply in replies.values()] == [f"ran {engine}\n" for engine in range(4)]
    assert [reply.result for reply in replies.values()] == ["100", "101", "102", "103"]
    assert rc[3]["from_script"] == 103
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rc[1].run("script.py").get().result == "101"
    assert rc[1].run("~/script.py", block=True).result == "101"


@pytest.mark.parametrize(
    "content", ["# -*- coding: latin-1 -*-\ntext = 'é'".encode("latin-1"), b"\xef\xbb\xbftext = '\xc3\xa9'"]
)
def test_run_reads_a_script_as_python_does(rc: Client, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "script.py").write_bytes(content)
    rc[0].run(tmp_path / "script.py", block=True)
    assert rc[0]["text"] == "é"


def test_run_what_is_no_script(rc: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        rc.run(tmp_path / "nowhere.py")
    with pytest.raises(IsADirectoryError):
        rc.run(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SyntaxError, match="encoding"):
        rc.run(tmp_path / "binary")
    with pytest.raises(TypeError):
        rc.run(3)  # type: ignore[arg-type]
    (tmp_path / "fails.py").write_text("x = 1\nraise ValueError(x)")
    with pytest.raises(RemoteError, match=r"ValueError\(1\)") as caught:
        rc.run(tmp_path / "fails.py", targets=0, block=True)
    assert "    raise ValueError(x)" in caught.value.traceback


def test_get_result(rc: Client) -> None:
    count = rc[1].execute("print('said'); 6 * 7", block=True).execution_count
    rc[1].execute("'later'", block=True)
    assert rc[1].get_result(block=True).result == "'later'"
    reply = rc[1].get_result(count, block=True)
    assert (reply.result, reply.stdout, reply.execution_count) == ("42", "said\n", count)
    assert reply.code == "print('said'); 6 * 7"
    with pytest.raises(RemoteError):
        rc[1].execute("1/0", block=True)
    failed = rc[1].get_result(block=True)
    assert isinstance(failed.error, RemoteError)
    assert failed.error.ename == "ZeroDivisionError"
    with pytest.raises(KeyError, match=r"99999.*engine 1"):
        rc[1].get_result(99999, block=True)
    for bad in ("1", 1.0, True, [1]):
        with pytest.raises(TypeError, match="cells have numbers"):
            rc[1].get_result(bad)  # type: ignore[arg-type]


# -- names -------------------------------------------------------------------------------------------------------------


def test_the_dictionary_interface(rc: Client) -> None:
    dview, one = rc[:], rc[2]
    dview["a"] = ["foo", "bar"]
    assert dview["a"] == {engine: ["foo", "bar"] for engine in range(4)}
    assert one["a"] == ["foo", "bar"]
    assert one["a", "who"] == [["foo", "bar"], 2]
    assert "a" in dview
    assert "a" in one
    del one["a"]
    assert "a" not in one
    # In a view of several it is where all of them have it.
    assert "a" not in dview
    assert "a" in rc[0, 1, 3]
    assert one.get("a") is None
    assert one.get("a", 5) == 5
    assert dview.get("a", "none") == {0: ["foo", "bar"], 1: ["foo", "bar"], 2: "none", 3: ["foo", "bar"]}
    dview.update({"b": 1, "c": 2})
    assert one["b", "c"] == [1, 2]
    assert one.keys() == ["array", "b", "c", "name", "numbers", "who"]
    assert dview.keys().keys() == {0, 1, 2, 3}
    dview.clear(block=True)
    assert one.keys() == []


def test_names_that_are_not_there(rc: Client) -> None:
    for use in (lambda: rc[1]["nope"], lambda: rc.pull("nope", targets=1, block=True), lambda: rc[1]["who", "nope"]):
        with pytest.raises(RemoteError, match=r"KeyError.*'nope' is not defined on engine 1") as caught:
            use()
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, ipz.RemoteKeyError)
        assert caught.value.engine_id == 1
    with pytest.raises(KeyError, match="'nope' is not defined on engine 3"):
        del rc[3]["nope"]
    rc[0, 1]["half"] = 1
    with pytest.raises(CompositeError) as composite:
        rc[:]["half"]
    assert [error.engine_id for error in composite.value] == [2, 3]
    assert all(isinstance(error, KeyError) for error in composite.value)
    with pytest.raises(KeyError, match="engine 2"):
        composite.value.raise_exception()
    with pytest.raises(CompositeError, match=r"\[2:delete\]: KeyError: .*'half' is not defined on engine 2"):
        del rc[:]["half"]
    # A function's own KeyError is about something else.
    with pytest.raises(RemoteError) as others:
        rc[0].apply_sync(lambda: {}["k"])
    assert not isinstance(others.value, KeyError)


# -- barrier -----------------------------------------------------------------------------------------------------------


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


# -- views from clients ------------------------------------------------------------------------------------------------


def test_views_of_all_kinds(rc: Client) -> None:
    assert isinstance(rc[:], DirectView)
    assert isinstance(rc["all"], DirectView)
    balanced = rc.load_balanced_view([1, -1])
    assert balanced.targets == [1, 3]
    assert repr(balanced) == "<LoadBalancedView of engines 1, 3>"
    assert repr(rc.load_balanced_view(2)) == "<LoadBalancedView of engine 2>"
    assert len(rc.load_balanced_view()) == 4
    allowed = {rc[engine].apply_sync(os.getpid) for engine in (1, 3)}
    assert set(balanced.map_sync(process_id, range(40), chunksize=1)) <= allowed
    assert balanced.apply_sync(os.getpid) in allowed
    assert balanced.apply_bound(lambda: who).get() in (1, 3)  # type: ignore[name-defined] # noqa: F821
    balanced.targets = None
    assert len(balanced) == 4


def test_abort(rc: Client, gate: Path) -> None:
    running = rc[0].apply_async(hold, str(gate), "runs")
    until(lambda: "runs" in running.stdout)
    first, second, third = (rc[0].apply_async(abs, -number) for number in (1, 2, 3))
    rc.abort(first)
    rc.abort([second])
    with pytest.raises(TypeError, match="not both"):
        rc.abort(third, targets=0)
    for bad in (3, [3], third.msg_ids):
        with pytest.raises(TypeError, match=r"results"):
            rc.abort(bad)  # type: ignore[arg-type]
    # The engines give back what they have not begun; until then the gate stays closed.
    until(lambda: first.ready() and second.ready())
    gate.touch()
    assert third.get(timeout=20) == 3
    for aborted in (first, second):
        with pytest.raises(ipz.AbortedError):
            aborted.get(timeout=20)


def test_bound_is_an_attribute_of_views(rc: Client) -> None:
    rc[:].push({"b": 5}, block=True)
    for view in (rc[1], rc.load_balanced_view([1])):
        assert not view.bound
        view.bound = True
        assert view.apply_async(lambda: b).get() == 5  # type: ignore[name-defined] # noqa: F821
        assert view.apply_sync(lambda: b) == 5  # type: ignore[name-defined] # noqa: F821


def test_a_text_is_run_by_views_too(rc: Client) -> None:
    rc[0].apply_sync("import math; x = math.pi")  # type: ignore[arg-type]
    assert rc[0]["x"] == pytest.approx(3.14159, abs=1e-5)
    assert list(rc[:].apply_sync("1 + 1")) == [0, 1, 2, 3]  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no arguments"):
        rc[0].apply_sync("x", 1)  # type: ignore[arg-type]


def test_slices_of_results(rc: Client) -> None:
    result = rc[:].apply_async(abs, -1)
    assert result[1:3] == [1, 1]
    mapped = rc[:].map_async(abs, range(10))
    assert mapped[2:5] == [2, 3, 4]
    assert mapped[-1] == 9


def test_a_parallel_function_by_load_has_blocks(rc: Client) -> None:
    total = rc[None].parallel(dist="b", block=True)(lambda part: [sum(part)])
    assert sum(total(range(10))) == 45
