"""`ipclusterz.ipyparallel`: clients, views, calls, futures and flags by ipyparallel's names."""

from __future__ import annotations

import concurrent.futures
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import until
from main_functions import divided, from_main

from ipclusterz import ipyparallel as ipp

# -- clients and views ------------------------------------------------------------------------------------------------


def test_client(ippc: ipp.Client) -> None:
    assert ippc.ids == [0, 1, 2, 3]
    assert (len(ippc), ippc.block, ippc.profile, ippc.debug) == (4, False, "default", False)
    assert [view.targets for view in ippc] == [0, 1, 2, 3]
    assert "4 engines" in repr(ippc)
    assert ippc.cluster is None
    ippc.wait_for_engines(4, timeout=10)
    future = ippc.wait_for_engines(4, timeout=10, block=False)
    assert future is not None
    assert future.result(10) is None
    with pytest.raises(ipp.error.TimeoutError):
        ippc.wait_for_engines(9, timeout=0.01)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        ipp.Client(colour=3)
    for what in (ippc.spin, ippc.spin_thread, ippc.stop_spin_thread):
        assert what() is None


def test_targets(ippc: ipp.Client) -> None:
    assert ippc[0].targets == 0
    assert ippc[-1].targets == 3
    assert ippc[1:3].targets == [1, 2]
    assert ippc[[0, 2]].targets == ippc[0, 2].targets == [0, 2]
    assert ippc.direct_view().targets == "all"
    assert ippc.broadcast_view().targets == "all"
    assert ippc.load_balanced_view().targets is None
    assert ippc.load_balanced_view([1, 2]).targets == [1, 2]
    with pytest.raises(IndexError):
        ippc[9]
    with pytest.raises(TypeError):
        ippc["0"]
    view = ippc[:]
    view.targets = 1
    assert view.apply_sync(abs, -1) == 1
    assert isinstance(ippc.broadcast_view(is_coalescing=True), ipp.BroadcastView)


def test_one_engine_gives_a_value_and_several_a_list(ippc: ipp.Client, dview: ipp.DirectView) -> None:
    assert ippc[1].apply_sync(pow, 2, 3) == 8
    assert dview.apply_sync(pow, 2, 3) == [8] * 4
    assert ippc[[1]].apply_sync(pow, 2, 3) == [8]
    ar = dview.apply(abs, -1)
    assert isinstance(ar, ipp.AsyncResult)
    assert (ar.get(), ar.r, ar.result(), ar.get_dict(), ar.result_dict) == (
        [1] * 4,
        [1] * 4,
        [1] * 4,
        dict.fromkeys(range(4), 1),
        dict.fromkeys(range(4), 1),
    )
    dview.block = True
    assert dview.apply(abs, -1) == [1] * 4
    assert ippc.broadcast_view().apply_sync(abs, -1) == [1] * 4


def test_functions_of_main_see_the_engines_names(ippc: ipp.Client, dview: ipp.DirectView, lbview: Any) -> None:
    dview["a"] = 5
    f = from_main("a = 1\ndef f(x=0): return a + x")
    assert dview.apply_sync(f, 1) == [6] * 4
    assert lbview.apply_sync(f) == 5
    assert dview.map_sync(f, range(3)) == lbview.map_sync(f, range(3)) == [5, 6, 7]
    assert list(lbview.imap(f, [1, 2])) == [6, 7]
    assert dview.remote(block=True)(f)() == [5] * 4
    assert lbview.parallel(block=True)(f).map([1]) == [6]
    assert ippc.executor().submit(f, 2).result(10) == 7
    # What is pushed or passed is the engine's, too.
    dview.push({"g": f}, block=True)
    assert dview.apply_sync(from_main("def h(): return g(3)")) == [8] * 4
    assert ippc[0].apply_sync(lambda function: function(4), f) == 9
    # One of a module has that module's.
    assert dview.apply_sync(divided, 2) == [0.5] * 4
    # And it may set them.
    ippc[0].apply_sync(from_main("def f():\n    global b\n    b = 3"))
    assert ippc[0]["b"] == 3


def test_push_and_pull(ippc: ipp.Client, dview: ipp.DirectView) -> None:
    assert dview.push({"a": 1, "b": [2]}, block=True) == [None] * 4
    assert dview["a"] == dview.get("a") == dview.pull("a", block=True) == [1] * 4
    assert dview.pull(["a", "b"], block=True) == [[1, [2]]] * 4
    assert ippc[0].pull(("a", "b"), block=True) == [1, [2]]
    assert dview.pull("a", targets=[0, 1]).get() == [1, 1]
    assert dview.pull("a", targets=2, block=True) == 1
    dview.update({"c": np.arange(3)})
    assert all((part == [0, 1, 2]).all() for part in dview["c"])
    dview.clear(block=True)
    with pytest.raises(ipp.RemoteError) as caught:
        ippc[0]["a"]
    assert caught.value.ename == "NameError"
    with pytest.raises(TypeError, match="a dictionary of names is needed"):
        dview.push(["a"])  # type: ignore[arg-type]


def test_scatter_and_gather(dview: ipp.DirectView) -> None:
    dview.block = True
    assert dview.scatter("x", range(16)) == [None] * 4
    assert dview["x"] == [range(4 * k, 4 * k + 4) for k in range(4)]
    assert dview.gather("x") == list(range(16))
    dview.scatter("y", np.arange(8))
    assert (dview.gather("y", block=False).get() == np.arange(8)).all()
    assert dview.gather("x", block=False)[5] == 5
    assert list(dview.gather("x", block=False)) == list(range(16))
    dview.scatter("id", range(4), flatten=True)
    assert dview["id"] == [0, 1, 2, 3]
    dview.scatter("z", list(range(6)), dist="r")
    assert dview.gather("z", dist="r") == list(range(6))
    assert dview.scatter("w", [1, 2], targets=[0, 3]) == [None, None]
    assert dview.pull("w", targets=[0, 3]) == [[1], [2]]


def test_maps(dview: ipp.DirectView, lbview: ipp.LoadBalancedView) -> None:
    for view in (dview, lbview):
        ar = view.map(divided, [1, 2, 4])
        assert isinstance(ar, ipp.AsyncMapResult)
        assert ar.get(10) == list(ar) == [1, 0.5, 0.25]
        assert (ar[1], ar[:2], len(ar), ar.progress) == (0.5, [1, 0.5], 3, 3)
        assert view.map_sync(pow, [2, 3], [2, 2]) == [4, 9]
        assert view.map_async(divided, [1, 0], return_exceptions=True).get(10)[0] == 1
        assert view.map(abs, [-1], block=True) == [1]
        assert list(view.imap(abs, range(-5, 0), max_outstanding=2)) == [5, 4, 3, 2, 1]
        assert sorted(view.imap(abs, range(-5, 0), ordered=False, max_outstanding=0)) == [1, 2, 3, 4, 5]
    assert sorted(lbview.map(abs, range(-9, 0), ordered=False, chunksize=2).get(10)) == list(range(1, 10))
    by_engine = dview.map_async(abs, range(8)).get_dict(10)
    assert [by_engine[k] for k in range(4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_execute_and_run(ippc: ipp.Client, dview: ipp.DirectView, tmp_path: Path) -> None:
    ar = dview.execute("a = 6\nprint('said')\na * 7", silent=False, block=True)
    assert isinstance(ar, ipp.AsyncResult)
    assert [reply.result for reply in ar.get()] == ["42"] * 4
    assert ar.stdout == ["said\n"] * 4
    assert ar.execute_input == ["a = 6\nprint('said')\na * 7"] * 4
    one = ippc[0].execute("a", silent=False)
    assert one.get(10).result == "6"
    assert one.execute_result == one.get().execute_result
    assert one.execute_result["data"] == {"text/plain": "6"}
    assert (one.get().execute_input, one.get()["data"]) == ("a", {"text/plain": "6"})
    script = tmp_path / "script.py"
    script.write_text("b = 3\n")
    dview.run(script, block=True, label="step")
    assert dview["b"] == [3] * 4
    with pytest.raises(ipp.CompositeError):
        dview.execute("1 / 0", block=True)


def test_decorators(ippc: ipp.Client, dview: ipp.DirectView, lbview: ipp.LoadBalancedView) -> None:
    @dview.remote(block=True)
    def pid() -> int:
        return os.getpid()

    assert len(set(pid())) == 4

    @ipp.remote(lbview, block=False)
    def double(x: int) -> int:
        return 2 * x

    assert double(4).get(10) == 8
    assert isinstance(double, ipp.RemoteFunction)

    @dview.parallel(block=True)
    def squares(numbers: Any) -> Any:
        return numbers**2

    assert (squares(np.arange(8)) == np.arange(8) ** 2).all()
    assert isinstance(squares, ipp.ParallelFunction)

    @ipp.parallel(dview, block=True)
    def mapped(x: int) -> int:
        return x + 1

    assert mapped.map(range(4)) == [1, 2, 3, 4]
    unordered = ipp.parallel(lbview, ordered=False, block=True)(lambda x: x + 1)
    assert sorted(unordered.map(range(4))) == [1, 2, 3, 4]
    only = dview.remote(block=True, targets=[0, 1])(os.getpid)
    assert len(only()) == 2


def test_what_functions_need(ippc: ipp.Client, dview: ipp.DirectView, lbview: ipp.LoadBalancedView) -> None:
    needing = ipp.require("colorsys", limit=3)(from_main("def f(x): return x < limit, colorsys.__name__"))
    assert lbview.apply_sync(needing, 1) == (True, "colorsys")
    assert dview.apply_sync(needing, 4) == [(False, "colorsys")] * 4
    dview.scatter("number", range(4), flatten=True, block=True)
    here = ipp.depend(from_main("def is_here(k): return number == k"), 2)(from_main("def f(): return number"))
    assert lbview.apply_sync(here) == 2
    with pytest.raises(ipp.RemoteError, match="UnmetDependency"):
        lbview.apply_sync(ipp.dependent(abs, os.path.exists, "/no/such"), -1)
    # Only False is an unmet dependency.
    nothing = from_main("def check(): pass")
    assert lbview.apply_sync(ipp.dependent(abs, nothing), -1) == 1
    assert ippc[0].apply_sync(ipp.depend(nothing)(from_main("def f(): return number"))) == 0
    with pytest.raises(TypeError, match="a function to check with is needed, not int"):
        ipp.depend(3)  # type: ignore[arg-type]
    dview["a"] = 7
    assert dview.apply_sync(ipp.interactive(lambda: a)) == [7] * 4  # type: ignore[name-defined] # noqa: F821
    assert dview.apply_sync(abs, ipp.Reference("-a")) == [7] * 4


def test_imports(dview: ipp.DirectView, capsys: pytest.CaptureFixture[str]) -> None:
    with dview.sync_imports(quiet=True):
        import colorsys
    assert dview.apply_sync(from_main("def f(): return colorsys.__name__")) == [colorsys.__name__] * 4
    with dview.importer:
        import colorsys
    assert "importing colorsys" in capsys.readouterr().out
    with pytest.raises(ValueError, match="local=False"):
        dview.sync_imports(local=False)


# -- futures, flags, progress, output ---------------------------------------------------------------------------------


def test_futures(ippc: ipp.Client, dview: ipp.DirectView) -> None:
    results = [view.apply_async(abs, -k) for k, view in enumerate(ippc)]
    done, pending = concurrent.futures.wait(results, timeout=10)
    assert (len(done), pending) == (4, set())
    assert {future.result() for future in concurrent.futures.as_completed(results, 10)} == {0, 1, 2, 3}
    called: list[Any] = []
    results[0].add_done_callback(called.append)
    until(lambda: called == [results[0]])
    with dview.executor as executor:
        assert isinstance(executor, ipp.ViewExecutor)
        assert executor.submit(pow, 2, 3).result(10) == 8
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        with pytest.raises(ipp.RemoteError):
            executor.submit(divided, 0).result(10)
    with ippc.executor([0]) as executor:
        assert executor.submit(os.getpid).result(10) == ippc[0].apply_sync(os.getpid)


def test_flags(ippc: ipp.Client, dview: ipp.DirectView, lbview: ipp.LoadBalancedView) -> None:
    with dview.temp_flags(block=True, label="step", track=True):
        assert dview.apply(abs, -1) == [1] * 4
        assert (dview.label, dview.track) == ("step", True)
    assert (dview.block, dview.label, dview.track) == (False, None, False)
    with lbview.temp_flags(retries=2, label="any"):
        ar = lbview.apply_async(abs, -1)
        assert lbview.retries == 2
    ar.get(10)
    assert lbview.retries == 0
    until(lambda: [row["name"] for row in ippc.db_query({"msg_id": ar.msg_ids[0]})] == ["any"])
    ar = dview.map_async(abs, [1], label="mapped")
    until(lambda: [row["name"] for row in ippc.db_query({"msg_id": ar.msg_ids[0]})] == ["mapped"])
    assert dview.set_flags(targets=[0]).apply_sync(abs, -1) == [1]
    assert lbview.set_flags(label="x").apply_sync(abs, -1) == 1
    with pytest.raises(AttributeError, match="no flag 'colour'"):
        dview.set_flags(colour=3)
    assert ippc.direct_view(block=True).apply(abs, -1) == [1] * 4


def test_progress(ippc: ipp.Client, dview: ipp.DirectView, capsys: pytest.CaptureFixture[str]) -> None:
    ar = dview.map_async(abs, range(8))
    ar.wait_interactive()
    assert "8/8" in capsys.readouterr().err
    ippc.wait_interactive(timeout=10)
    ippc.wait_interactive(ar.msg_ids, timeout=10)


def test_output(dview: ipp.DirectView, capsys: pytest.CaptureFixture[str]) -> None:
    def speak() -> None:
        print("out")
        print("err", file=sys.stderr)

    ar = dview.apply_async(speak)
    ar.quiet = True
    ar.get(10)
    capsys.readouterr()
    ar.display_outputs()
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"[stdout:{k}] out" for k in range(4)]
    ar.display_outputs(groupby="engine")
    ar = dview.apply_async(speak)
    with ar.stream_output():
        ar.get(10)
    assert "[stdout:0] out" in capsys.readouterr().out
