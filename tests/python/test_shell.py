"""Running cells: through IPython, through plain Python where it is missing or broken; and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import until

from ipclusterz import Client, Cluster, CompositeError, DirectView, ExecuteReply, RemoteError
from ipclusterz.shared import cells as history

# -- plain Python -----------------------------------------------------------------------------------------------------


@pytest.fixture
def without(
    own_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Client]]:
    clients: list[Client] = []

    def start(error: str) -> Client:
        (tmp_path / "IPython").mkdir()
        (tmp_path / "IPython" / "__init__.py").write_text(f"raise {error}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        clients.append(own_cluster(1).connect_client())
        return clients[0]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def view(without: Callable[[str], Client]) -> DirectView:
    view = without("ImportError('there is no IPython')")[0]
    view.block = True
    return view


def test_values_and_output(view: DirectView) -> None:
    reply = view.execute("x = 20\nprint('hello')\nx + 1")
    assert (reply.execution_count, reply.result, reply.stdout) == (1, "21", "hello\n")
    assert view.execute("_ * 2").result == "42"
    assert view.execute("None").result is None
    assert view.execute("y = 1").result is None
    assert view.execute("").result is None
    assert view.execute("# nothing").execution_count == 6
    silent = view.execute("x", silent=True)
    assert (silent.execution_count, silent.result) == (6, None)
    assert view.apply_bound(lambda: x + y) == 21  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("1/0", "ZeroDivisionError"),
        ("x = 1\ndef f():\n    return x / 0\nf()", "ZeroDivisionError"),
        ("def", "SyntaxError"),
        ("%who", "SyntaxError"),
        ("exit()", "SystemExit"),
        ("'\\0' + chr(0xdc80) + 1", "TypeError"),
        ("class A:\n    def __repr__(self): return 1/0\nA()", "ZeroDivisionError"),
    ],
)
def test_failures(view: DirectView, code: str, name: str) -> None:
    with pytest.raises(RemoteError) as caught:
        view.execute(code)
    assert caught.value.ename == name
    assert "ipclusterz" not in caught.value.traceback
    assert "ast.py" not in caught.value.traceback
    if "x / 0" in code:
        assert '"<cell 1>", line 3, in f\n    return x / 0' in caught.value.traceback
    assert view.execute("'alive'").result == "'alive'"


def test_clear(view: DirectView) -> None:
    view.execute("x = 1")
    view.clear()
    with pytest.raises(RemoteError, match="NameError"):
        view.execute("x")
    assert view.execute("__name__").result == "'__main__'"


def test_a_broken_ipython_is_told_in_the_log(without: Callable[[str], Client]) -> None:
    rc = without("RuntimeError('broken beyond repair')")
    running = rc[0].execute("1 + 1")
    assert running.get().result == "2"
    until(lambda: "broken beyond repair" in running.stderr)


# -- IPython ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cells(rc: Client) -> DirectView:
    """A view of one engine that has IPython."""
    view = rc[0]
    view.block = True
    return view


def test_values_in_all_their_forms(cells: DirectView) -> None:
    reply = cells.execute("from IPython.display import HTML, Image\nHTML('<b>x</b>')")
    assert reply.data == {"text/html": "<b>x</b>", "text/plain": "<IPython.core.display.HTML object>"}
    png = "b'\\x89PNG\\r\\n\\x1a\\n'"
    reply = cells.execute(f"class Picture:\n    def _repr_png_(self): return {png}, {{'width': 3}}\nPicture()")
    assert reply.data["image/png"] == "iVBORw0KGgo="
    assert reply.metadata == {"image/png": {"width": 3}}
    reply = cells.execute(
        "class Odd:\n    def _repr_mimebundle_(self, **options): return {'application/json': {'a': {1}}}\nOdd()"
    )
    assert reply.data["application/json"] == {"a": "{1}"}
    assert cells.execute("3;").data == {}
    assert cells.execute("x = 3").data == {}
    assert cells.execute("3", silent=True).data == {}


def test_cells_may_await(cells: DirectView) -> None:
    assert cells.execute("import asyncio\nawait asyncio.sleep(0.01)\n6 * 7").result == "42"
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        cells.execute("await asyncio.sleep(0)\n1/0")
    assert cells.execute("async with asyncio.Lock(): x = await asyncio.sleep(0, 3)\nx").result == "3"


AWAITING = """
import asyncio
print("running")
await asyncio.sleep(60)
"""

STUBBORN = """
import asyncio
print("running")
try:
    await asyncio.sleep(60)
except asyncio.CancelledError:
    print("once")
await asyncio.sleep(60)
"""


@pytest.mark.parametrize(("code", "times"), [(AWAITING, 1), (STUBBORN, 2)])
def test_interrupt_of_a_cell_that_awaits(rc: Client, code: str, times: int) -> None:
    running = rc[0].execute(code, block=False)
    for said in ("running", "once")[:times]:
        until(lambda said=said: said in running.stdout)
        rc.interrupt(0)
    with pytest.raises(RemoteError) as caught:
        running.get(timeout=10)
    assert caught.value.ename == "KeyboardInterrupt"
    assert "await asyncio.sleep(60)" in caught.value.traceback
    assert "ipclusterz" not in caught.value.traceback
    # Nothing of it goes on in the next one.
    assert (
        rc[0].execute("len(asyncio.all_tasks(asyncio.get_running_loop())) + await asyncio.sleep(0, 0)", block=True).r
        == "1"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Bad:\n    def __repr__(self): return 1/0\nBad()", "ZeroDivisionError: division by zero"),
        ("open('SCRIPT', 'w').write('1/0')\n%run SCRIPT", "ZeroDivisionError: division by zero"),
        ("open('SCRIPT', 'w').write('def')\n%run SCRIPT", "SyntaxError"),
        ("def fail(): 1/0\nget_ipython().events.register('post_execute', fail)", "in fail"),
    ],
)
def test_errors_that_end_no_cell_are_written(rc: Client, tmp_path: Path, code: str, said: str) -> None:
    reply = rc[0].execute(code.replace("SCRIPT", str(tmp_path / "script.py")), block=True)
    assert said in reply.stderr
    rc[0].execute("if 'fail' in globals(): get_ipython().events.unregister('post_execute', fail)", block=True)


def test_errors_of_cells_are_not_written(rc: Client) -> None:
    for code in ("1/0", "def", "%nonsense", "  x\n y", "raise SystemExit"):
        running = rc[0].execute(code, block=False)
        with pytest.raises(RemoteError):
            running.get()
        assert "Error" not in running.stdout + running.stderr


def test_help_is_displayed(cells: DirectView) -> None:
    result = cells.execute("len?", block=False)
    result.get()
    assert "Return the number of items" in result.outputs[0][0]["data"]["text/plain"]


def test_displays_of_functions(rc: Client) -> None:
    def show() -> None:
        from IPython.display import HTML, display

        display(HTML("<b>x</b>"))

    rc[0].execute("1", block=True)
    result = rc[0].apply_async(show)
    result.get()
    assert result.outputs[0][0]["data"]["text/html"] == "<b>x</b>"
    assert result.stdout == ""


def test_a_display_of_an_idle_thread_goes_to_the_log(cluster: Cluster, cells: DirectView) -> None:
    result = cells.execute(
        "import threading\nfrom IPython.display import HTML, display\n"
        "timer = threading.Timer(0.05, display, [{'text/plain': 'late display', 'text/html': 'x'}], {'raw': True})\n"
        "timer.start()",
        block=False,
    )
    result.get()
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    until(lambda: "late display\n" in log.read_text())
    assert result.outputs == [[]]


def test_output_is_not_kept_by_ipython(cells: DirectView) -> None:
    cells.execute("print('x' * 100)\n'value'")
    cells.execute("display('shown')")
    assert cells.execute("list(get_ipython().history_manager.outputs)").result == "[]"


@pytest.mark.parametrize("first", ["matplotlib", "matplotlib.pyplot", ""])
def test_figures_are_displayed_when_their_cell_ends(own_cluster: Callable[..., Cluster], first: str) -> None:
    with own_cluster(1).connect_client() as rc:
        if first:
            rc[0].apply_sync(eval, f"__import__({first!r}) and None")
        result = rc[0].execute("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('drawn')", block=False)
        result.get(30)
        (display,) = result.outputs[0]
        assert display["data"]["image/png"].startswith("iVBORw0KGgo")
        chosen = rc[0].execute("import os; os.environ['MPLBACKEND']", block=True).result
        assert chosen == "'module://matplotlib_inline.backend_inline'"


def test_the_users_choice_for_figures(own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    with own_cluster(1).connect_client() as rc:
        result = rc[0].execute("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.get_backend()", block=False)
        assert result.get(30).result == "'agg'"
        assert result.outputs == [[]]


# -- what is kept -----------------------------------------------------------------------------------------------------


def kept(view: DirectView, count: int | None = None) -> ExecuteReply:
    reply = view.apply_async(history.get_result, count).get()
    assert isinstance(reply, ExecuteReply)
    return reply


@pytest.fixture(params=["IPython", "plain Python"])
def engine(request: pytest.FixtureRequest, cluster: Cluster) -> DirectView:
    # The shared cluster is named above because it must be there before the check that nothing is left behind begins.
    view: DirectView = request.getfixturevalue("cells" if request.param == "IPython" else "view")
    return view


def test_the_last_cell(engine: DirectView) -> None:
    reply = engine.execute("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    again = kept(engine)
    assert repr(again) == repr(reply)
    assert (again.engine_id, again.code, again.data) == (0, reply.code, {"text/plain": "42"})
    assert repr(kept(engine, reply.execution_count)) == repr(reply)
    engine.apply_sync(print, "no cell")
    engine.execute("x = 1", silent=True)
    assert repr(kept(engine)) == repr(reply)
    engine.execute("x")
    assert kept(engine, reply.execution_count).result == "42"
    assert kept(engine).stdout == ""


def test_a_cell_that_failed(engine: DirectView) -> None:
    with pytest.raises(RemoteError):
        engine.execute("print('before')\n1/0")
    reply = kept(engine)
    assert (reply.stdout, reply.result) == ("before\n", None)
    assert isinstance(reply.error, RemoteError)
    assert (reply.error.ename, reply.error.evalue, reply.error.engine_id) == (
        "ZeroDivisionError",
        "division by zero",
        0,
    )
    assert "    1/0" in reply.error.traceback
    with pytest.raises(RemoteError):
        engine.execute("def")
    assert kept(engine).code == "def"
    assert "SyntaxError" in repr(kept(engine))


def test_a_hundred_cells_are_kept(engine: DirectView) -> None:
    last = [engine.execute(f"x = {number}") for number in range(101)][-1].execution_count
    assert kept(engine, last).code == "x = 100"
    assert kept(engine, last - 99).code == "x = 1"
    with pytest.raises(RemoteError) as caught:
        kept(engine, last - 100)
    assert caught.value.ename == "KeyError"
    assert f"cell {last - 100} is not kept on engine 0: there are {last - 99} to {last}" in caught.value.evalue


def test_long_texts_are_cut(engine: DirectView) -> None:
    engine.execute(f"for i in range(100): print('x' * 999)\n'y' * 70000 # {'z' * 70000}")
    reply = kept(engine)
    for text, length, dropped in (
        (reply.stdout, 65536, 100_000 - 65536),
        (reply.result or "", 65536, 70002 - 65536),
        (reply.code, 65536, None),
    ):
        head, _, note = text.rpartition("\n… ")
        assert len(head) == length
        assert note.endswith("more characters were not kept")
        assert dropped is None or note.startswith(f"{dropped} ")


def test_get_result(rc: Client) -> None:
    dview = rc[:]
    dview.execute("print('kept')", block=True)
    assert [reply.stdout for reply in dview.get_result(block=True).values()] == ["kept\n"] * 4
    with pytest.raises(CompositeError, match=r"KeyError: 'cell 999999 is not kept on engine 3: there are "):
        dview.get_result(999999, block=True)
    with pytest.raises(KeyError):
        rc[1].get_result(999999, block=True)


def test_an_engine_without_cells(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(1).connect_client() as rc, pytest.raises(KeyError, match="engine 0 has executed no cell"):
        rc[0].get_result(block=True)


def test_large_errors_are_not_kept_whole(cells: DirectView) -> None:
    with pytest.raises(RemoteError) as caught:
        cells.execute("raise ValueError('x' * 3_000_000)")
    # All of it is there, and what is shown of it is no flood.
    assert len(caught.value.evalue) == 3_000_000
    assert len(str(caught.value)) < 30_000
    again = kept(cells)
    assert again.error is not None
    assert len(again.error.evalue) + len(again.error.traceback) < 200_000
