"""``with view.sync_imports():`` and ``with view.importer:``."""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipclusterz import Client, Cluster, CompositeError, RemoteError

IMPORT = builtins.__import__


@pytest.fixture(autouse=True)
def the_builtin_is_put_back() -> Iterator[None]:
    yield
    assert builtins.__import__ is IMPORT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with modules that this process can import and the engines cannot."""
    (tmp_path / "only_here.py").write_text("import wave\nvalue = 1\n")
    package = tmp_path / "package_here"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "user.py").write_text(
        "def use(view):\n    with view.sync_imports():\n"
        "        from . import inner\n        from .inner import value as v\n"
    )
    (package / "inner.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("only_here", "package_here")]:
        del sys.modules[name]


def bound_to(rc: Client, *names: str) -> Any:
    """What names mean on engine 1."""
    return rc[1].apply_sync(
        lambda *values: [getattr(value, "__name__", value) for value in values], *map(_reference, names)
    )


def _reference(name: str) -> Any:
    from ipclusterz import Reference

    return Reference(name)


def test_every_kind_of_import(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    with rc[:].sync_imports():
        import colorsys
        import json as coder
        import os.path
        import xml.dom
        import xml.etree.ElementTree as tree
        from colorsys import ONE_SIXTH as sixth
        from colorsys import ONE_THIRD, hls_to_rgb
        from email import message
        from os import path as paths
    assert bound_to(rc, "colorsys", "coder", "os", "os.path", "xml.dom", "tree") == [
        "colorsys",
        "json",
        "os",
        "posixpath",
        "xml.dom",
        "xml.etree.ElementTree",
    ]
    assert bound_to(rc, "sixth", "ONE_THIRD", "hls_to_rgb", "message", "paths") == [
        sixth,
        ONE_THIRD,
        "hls_to_rgb",
        "email.message",
        "posixpath",
    ]
    assert rc[1].keys() == sorted(
        ["ONE_THIRD", "coder", "colorsys", "hls_to_rgb", "message", "os", "paths", "sixth", "tree", "xml"]
    )
    assert rc[0].keys() == rc[3].keys() == rc[1].keys()
    # Here they are too.
    assert (colorsys.ONE_THIRD, hls_to_rgb, coder.loads("1")) == (ONE_THIRD, colorsys.hls_to_rgb, 1)
    assert (xml.dom.__name__, tree.__name__, message.__name__) == ("xml.dom", "xml.etree.ElementTree", "email.message")
    assert paths is os.path
    assert capsys.readouterr().out.splitlines() == [
        f"importing {what} on engines 0, 1, 2, 3"
        for what in (
            "colorsys",
            "json as coder",
            "os.path",
            "xml.dom",
            "xml.etree.ElementTree as tree",
            "ONE_SIXTH from colorsys as sixth",
            "ONE_THIRD from colorsys",
            "hls_to_rgb from colorsys",
            "message from email",
            "path from os as paths",
        )
    ]


def test_star(rc: Client) -> None:
    space: dict[str, Any] = {"view": rc[:]}
    exec("with view.sync_imports():\n    from colorsys import *", space)
    assert "rgb_to_yiq" in space
    assert rc[1].keys() == sorted(["rgb_to_yiq", "yiq_to_rgb", "rgb_to_hls", "hls_to_rgb", "rgb_to_hsv", "hsv_to_rgb"])


def test_several_names_and_several_modules_in_one_statement(rc: Client) -> None:
    with rc[:].sync_imports(quiet=True):
        import colorsys, wave as w  # noqa: E401, I001
        from colorsys import (
            rgb_to_hls as a,
            rgb_to_hsv,
            rgb_to_yiq as c,
        )
    assert bound_to(rc, "colorsys", "w", "a", "rgb_to_hsv", "c") == [
        "colorsys",
        "wave",
        "rgb_to_hls",
        "rgb_to_hsv",
        "rgb_to_yiq",
    ]
    assert (a, rgb_to_hsv, c, w.__name__) == (colorsys.rgb_to_hls, colorsys.rgb_to_hsv, colorsys.rgb_to_yiq, "wave")


def test_in_all_kinds_of_code(rc: Client) -> None:
    view = rc[:]
    source = "with view.sync_imports(quiet=True):\n    import {} as {}\n"
    module_level: dict[str, Any] = {"view": view}
    exec(source.format("colorsys", "at_module"), module_level)
    function = "def f():\n    global in_global\n" + "".join(
        "    " + line + "\n"
        for line in (source.format("colorsys", "in_global") + "    import wave as used").splitlines()
    )
    exec(function + "    return used.__name__\nname = f()", module_level)
    assert module_level["name"] == "wave"

    def closure() -> Any:
        with view.sync_imports(quiet=True):
            import wave as in_cell
        return lambda: in_cell

    def generator() -> Iterator[Any]:
        with view.sync_imports(quiet=True):
            import wave as in_generator
        yield in_generator

    class Holder:
        with view.sync_imports(quiet=True):
            import wave as in_class

    assert closure()() is next(generator()) is Holder.in_class
    assert rc[1].keys() == ["at_module", "in_cell", "in_class", "in_generator", "in_global", "used"]


def test_many_names_need_wide_instructions(rc: Client) -> None:
    many = "".join(f"n{number} = {number}\n" for number in range(400))
    space: dict[str, Any] = {"view": rc[0]}
    exec(
        many + "with view.sync_imports(quiet=True):\n    import colorsys as c400\n    from wave import Error as e\n",
        space,
    )
    assert rc[0].keys() == ["c400", "e"]


def test_names_that_were_bound_before(rc: Client) -> None:
    import colorsys
    import colorsys as another_name
    from colorsys import ONE_THIRD as third

    with rc[:].sync_imports(quiet=True):
        import colorsys
        from colorsys import ONE_THIRD
    assert another_name is colorsys
    assert third == ONE_THIRD
    assert rc[1].keys() == ["ONE_THIRD", "colorsys"]


def test_what_is_no_import_of_the_block(rc: Client, here: Path) -> None:
    def helper() -> Any:
        import wave

        return wave

    with rc[:].sync_imports(quiet=True):
        # Found where it is imported by a module that is imported here, and by a function that is called here.
        sys.modules.pop("wave", None)
        helper()
        importlib.import_module("colorsys")
        __import__("wave")
        import colorsys
    assert colorsys.__name__ == "colorsys"
    assert rc[1].keys() == ["colorsys"]


def test_imports_of_imported_modules_are_not_repeated(rc: Client, here: Path) -> None:
    missing = "ModuleNotFoundError: No module named 'only_here'"
    with pytest.raises(CompositeError, match=missing), rc[:].sync_imports(quiet=True):
        import only_here
    assert only_here.value == 1
    assert rc[1].keys() == []


def test_imports_of_other_threads_are_their_own(rc: Client) -> None:
    def other() -> None:
        import wave  # noqa: F401

    with rc[:].sync_imports(quiet=True):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        import colorsys  # noqa: F401
    assert rc[1].keys() == ["colorsys"]


def test_conditions_and_alternatives(rc: Client) -> None:
    with rc[:].sync_imports(quiet=True):
        try:
            import no_such_module as coder
        except ImportError:
            import json as coder
        if coder.__name__ == "nothing":
            import wave  # noqa: F401
        for _ in range(3):
            import colorsys  # noqa: F401
    assert bound_to(rc, "coder", "colorsys") == ["json", "colorsys"]
    assert rc[1].keys() == ["coder", "colorsys"]


def test_an_error_in_the_block(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("1 / 0", "import no_such_module"):
        with pytest.raises((ZeroDivisionError, ModuleNotFoundError)):
            exec(f"with view.sync_imports():\n    import colorsys\n    {wrong}", {"view": rc[:]})
    assert rc[1].keys() == []
    assert capsys.readouterr().out == ""


def test_a_module_that_an_engine_does_not_have(rc: Client, here: Path) -> None:
    missing = r"ModuleNotFoundError.*'only_here'"
    with pytest.raises(RemoteError, match=missing) as caught, rc[2].sync_imports(quiet=True):
        import only_here
    assert caught.value.engine_id == 2
    assert caught.value.method == "sync_imports"
    assert "is a module of yours: rc.upload(" in caught.value.hint
    rc[3].execute("import sys, types\nsys.modules['only_here'] = types.ModuleType('only_here')", block=True)
    try:
        missing = r"\[0:sync_imports\]: ModuleNotFoundError"
        with pytest.raises(CompositeError, match=missing) as several, rc[:].sync_imports(quiet=True):
            import only_here
        assert [error.engine_id for error in several.value] == [0, 1, 2]
        incomplete = "cannot import name 'value' from 'only_here'"
        with pytest.raises(RemoteError, match=incomplete), rc[3].sync_imports(quiet=True):
            from only_here import value
        assert value == only_here.value == 1
    finally:
        rc[3].execute("del sys.modules['only_here']", block=True)


def test_relative_imports(rc: Client, here: Path) -> None:
    user = importlib.import_module("package_here.user")
    rc[1].apply_sync(lambda folder: __import__("sys").path.append(folder), str(here))
    try:
        user.use(rc[1])
        assert bound_to(rc, "inner", "v") == ["package_here.inner", 1]
    finally:
        rc[1].apply_sync(lambda folder: __import__("sys").path.remove(folder), str(here))


def test_engines_of_the_view(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    with rc.sync_imports(targets=[0, 2]):
        import colorsys  # noqa: F401
    with rc[3].sync_imports(targets=1, quiet=True):
        import wave  # noqa: F401
    rc.targets = -1
    with rc.sync_imports():
        import json  # noqa: F401
    assert [rc[engine].keys() for engine in range(4)] == [["colorsys"], ["wave"], ["colorsys"], ["json"]]
    assert capsys.readouterr().out.splitlines() == ["importing colorsys on engines 0, 2", "importing json on engine 3"]


def test_importer(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    with rc[:].importer:
        import colorsys  # noqa: F401
    with rc.importer:
        import wave  # noqa: F401
    assert rc[1].keys() == ["colorsys", "wave"]
    assert "importing colorsys on engines 0, 1, 2, 3" in capsys.readouterr().out


def test_one_block_for_two_views(rc: Client) -> None:
    with rc[0].sync_imports(quiet=True), rc[2].sync_imports(quiet=True):
        import colorsys  # noqa: F401
    with rc[1].sync_imports(quiet=True):
        import wave

        with rc[3].sync_imports(quiet=True):
            import json  # noqa: F401
    assert wave.__name__ == "wave"
    assert [rc[engine].keys() for engine in range(4)] == [["colorsys"], ["json", "wave"], ["colorsys"], ["json"]]


def test_a_block_without_imports_asks_nobody(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    before = rc.status()["engines"][0]["completed"]
    with rc[:].sync_imports():
        pass
    assert rc.status()["engines"][0]["completed"] == before
    assert capsys.readouterr().out == ""


def test_a_block_can_be_used_again(rc: Client) -> None:
    block = rc[1].sync_imports(quiet=True)
    with block:
        import colorsys  # noqa: F401
    rc[1].clear(block=True)
    with block:
        import wave  # noqa: F401
    assert rc[1].keys() == ["wave"]


def test_functions_use_what_was_imported(rc: Client) -> None:
    with rc[:].sync_imports(quiet=True):
        import colorsys
    assert rc[0].apply_bound(lambda: colorsys.ONE_THIRD).get() == colorsys.ONE_THIRD


def test_an_engine_that_died(cluster: Cluster, own_cluster: Any) -> None:
    from helpers import until

    with own_cluster(2).connect_client() as rc:
        view = rc[:]
        rc.shutdown(1)
        until(lambda: rc.ids == {0})
        with pytest.raises((CompositeError, IndexError), match="1"), view.sync_imports(quiet=True):
            import colorsys  # noqa: F401
