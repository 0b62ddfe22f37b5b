"""Engines without IPython, and with one that is broken: plain Python runs the cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import until

from ipclusterz import Client, Cluster, DirectView, RemoteError


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
