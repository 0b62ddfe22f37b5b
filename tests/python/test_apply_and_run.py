"""Functions, texts and scripts that a client runs on engines, and the replies of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from calls import SCRIPT

from ipclusterz import Client, CompositeError, RemoteError

pytestmark = pytest.mark.usefixtures("numbered")


# -- apply -------------------------------------------------------------------------------------------------------------


def test_apply_runs_a_text(rc: Client) -> None:
    replies = rc.apply("import colorsys\ncolorsys.__name__", block=True)
    assert {reply.result for reply in replies.values()} == {"'colorsys'"}
    assert rc[:].apply_bound(lambda: colorsys.__name__).get() == ["colorsys"] * 4  # type: ignore[name-defined] # noqa: F821
    later = rc.apply("who", targets=[1, 3])
    assert [reply.result for reply in later.get()] == ["1", "3"]
    with pytest.raises(CompositeError, match=r"\[0:execute\]: ZeroDivisionError"):
        rc.apply("1/0", block=True)


def test_a_text_is_run_by_views_too(rc: Client) -> None:
    rc[0].apply_sync("import math; x = math.pi")  # type: ignore[arg-type]
    assert rc[0]["x"] == pytest.approx(3.14159, abs=1e-5)
    assert list(rc[:].apply_sync("1 + 1")) == [0, 1, 2, 3]  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no arguments"):
        rc[0].apply_sync("x", 1)  # type: ignore[arg-type]


def test_apply_bound_and_unbound(rc: Client) -> None:
    f = lambda x=0: who + x  # type: ignore[name-defined] # noqa: E731, F821
    assert rc.apply(f, bound=True, block=True) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert rc.apply(f, (5,), bound=True, targets=2, block=True) == 7
    assert rc.apply(f, kwargs={"x": 5}, bound=True, targets=2, block=True) == 7
    with pytest.raises(RemoteError, match=r"NameError\(name 'who' is not defined\)"):
        rc.apply(f, targets=0, block=True)
    assert rc.apply(f, bound=True, targets=None, block=True) in range(4)


def test_bound_is_an_attribute_of_views(rc: Client) -> None:
    rc[:].push({"b": 5}, block=True)
    for view in (rc[1], rc.load_balanced_view([1])):
        assert not view.bound
        view.bound = True
        assert view.apply_async(lambda: b).get() == 5  # type: ignore[name-defined] # noqa: F821
        assert view.apply_sync(lambda: b) == 5  # type: ignore[name-defined] # noqa: F821


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
