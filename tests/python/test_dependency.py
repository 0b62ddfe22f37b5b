"""`require`, `depend` and `interactive`: what a function needs where it runs."""

from __future__ import annotations

import colorsys
import inspect
import json
import os
import textwrap
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

import ipclusterz as ipz
from ipclusterz import Client, CompositeError, LoadBalancedView, RemoteError, depend, dependent, interactive, require
from ipclusterz.client.functions import pack

HERE = "the client's"


def process_id(_number: int = 0) -> int:
    return os.getpid()


def has_pid(*allowed: int) -> bool:
    """A check that only some engines meet."""
    # Also where it is bound, so that its globals are the engine's.
    import os

    return os.getpid() in allowed


def never() -> bool:
    return False


@pytest.fixture
def pids(rc: Client) -> list[int]:
    return list(rc.apply(os.getpid, block=True).values())


# -- require -----------------------------------------------------------------------------------------------------------


def test_required_modules_are_there(rc: Client, lview: LoadBalancedView) -> None:
    @require("colorsys", "xml.dom", json)
    def use(text: str) -> Any:
        return colorsys.__name__, xml.dom.__name__, json.loads(text)  # type: ignore[name-defined] # noqa: F821

    expected = ("colorsys", "xml.dom", [1])
    assert rc[0].apply_sync(use, "[1]") == expected
    assert rc[0].apply_bound(use, "[1]").get() == expected
    assert lview.apply_sync(use, "[1]") == expected
    assert rc[:].map_sync(use, ["[1]"] * 5) == [expected] * 5
    assert rc.remote(block=True)(use)("[1]") == expected
    assert use("[1]") == expected
    # Unbound calls leave nothing in the namespace.
    rc[1].apply_sync(use, "[1]")
    assert rc[1].keys() == []


def test_required_functions_and_classes_go_along(rc: Client) -> None:
    def helper(x: int) -> int:
        return x + 1

    class Box:
        def __init__(self, value: int) -> None:
            self.value = value

    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec("def f(x): return Box(helper(x)).value, dedent(' a'), sqrt(4)", space)
    from math import sqrt

    needing = require(helper, Box, textwrap.dedent, sqrt)(space["f"])
    assert rc[0].apply_sync(needing, 1) == (2, "a", 2.0)
    # As a bound function it has them in the engine's namespace.
    assert rc[0].apply_bound(needing, 1).get() == (2, "a", 2.0)
    assert {"Box", "helper", "dedent"} <= set(rc[0].keys())


def test_a_module_that_is_not_there(rc: Client, lview: LoadBalancedView) -> None:
    @require("no_such_module")
    def f() -> None:
        pass

    with pytest.raises(RemoteError, match="f requires no_such_module: No module named 'no_such_module'") as caught:
        rc[0].apply_sync(f)
    assert caught.value.ename == "UnmetDependency"
    with pytest.raises(ipz.UnmetDependency):
        caught.value.raise_exception()
    with pytest.raises(CompositeError, match=r"\[2:apply\]: UnmetDependency: f requires no_such_module"):
        rc[:].apply_sync(f)
    with pytest.raises(RemoteError, match="UnmetDependency"):
        lview.apply_sync(f)
    with pytest.raises(CompositeError, match="UnmetDependency"):
        lview.map_sync(f, [1, 2])


def test_required_values_have_the_names_that_they_were_given(rc: Client, lview: LoadBalancedView) -> None:
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec("def f(x): return x < limit, scale('ab'), colorsys.__name__", space)
    f = require("colorsys", limit=3, scale=len)(space["f"])
    assert lview.apply_sync(f, 2) == (True, 2, "colorsys")
    assert rc[0].apply_sync(f, 4) == (False, 2, "colorsys")


def test_dependent_functions(rc: Client, lview: LoadBalancedView) -> None:
    assert lview.apply_sync(dependent(abs, os.path.exists, "/"), -1) == 1
    with pytest.raises(RemoteError, match="UnmetDependency: abs depends on exists"):
        rc[0].apply_sync(dependent(abs, os.path.exists, "/no/such"), -1)
    with pytest.raises(TypeError, match="a function to check with is needed, not int: 3"):
        dependent(abs, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a function is needed, not int: 3"):
        dependent(3, abs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (3, TypeError),
        (None, TypeError),
        (b"numpy", TypeError),
        (["numpy"], TypeError),
        (lambda: 1, TypeError),
        ("", ValueError),
        ("no name", ValueError),
        ("numpy as np", ValueError),
        (".relative", ValueError),
        ("os; print()", ValueError),
    ],
)
def test_what_cannot_be_required(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"required, not|a name of a module is needed, not"):
        require("os", bad)


# -- depend ------------------------------------------------------------------------------------------------------------


def test_on_a_direct_view_the_check_decides(rc: Client, pids: list[int]) -> None:
    f = depend(has_pid, pids[1])(process_id)
    assert rc[1].apply_sync(f) == pids[1]
    with pytest.raises(RemoteError, match="process_id depends on has_pid, which is not true here") as caught:
        rc[0].apply_sync(f)
    assert caught.value.ename == "UnmetDependency"
    with pytest.raises(CompositeError) as several:
        rc[:].apply_sync(f)
    assert [error.engine_id for error in several.value] == [0, 2, 3]


def test_a_balanced_call_goes_where_it_is_met(rc: Client, lview: LoadBalancedView, pids: list[int]) -> None:
    for engine in (0, 3):
        f = depend(has_pid, pids[engine])(process_id)
        results = [lview.apply_async(f) for _ in range(20)]
        assert {result.get(timeout=20) for result in results} == {pids[engine]}
        assert {result.engine_ids[0] for result in results} == {engine}
        assert set(lview.map_sync(f, range(40), chunksize=1)) == {pids[engine]}
        assert set(lview.imap(f, range(10))) == {pids[engine]}
    either = depend(has_pid, pids[1], pids[2])(process_id)
    assert set(lview.map_sync(either, range(40), chunksize=1)) <= {pids[1], pids[2]}
    chosen = rc.load_balanced_view([0, 1])
    assert {chosen.apply_sync(either) for _ in range(10)} == {pids[1]}
    assert rc.apply(depend(has_pid, pids[2])(process_id), targets=None, block=True) == pids[2]


def test_a_balanced_call_that_is_met_nowhere(rc: Client, lview: LoadBalancedView, pids: list[int]) -> None:
    with pytest.raises(RemoteError, match="depends on never, which is not true here") as caught:
        lview.apply_async(depend(never)(process_id)).get(timeout=20)
    assert caught.value.ename == "UnmetDependency"
    # It is met, but not on one of the engines that it may go to.
    elsewhere = depend(has_pid, pids[3])(process_id)
    with pytest.raises(RemoteError, match="UnmetDependency"):
        rc.load_balanced_view([0, 1]).apply_async(elsewhere).get(timeout=20)
    # Nobody is kept from other work.
    assert set(lview.map_sync(process_id, range(100), chunksize=1)) <= set(pids)


def test_a_met_call_is_made_once(rc: Client, lview: LoadBalancedView, pids: list[int], tmp_path: Path) -> None:
    @depend(has_pid, pids[2])
    def note(name: str) -> None:
        with open(name, "a") as file:
            file.write("called\n")

    results = [lview.apply_async(note, str(tmp_path / str(number))) for number in range(20)]
    for result in results:
        result.get(timeout=20)
    assert [(tmp_path / str(number)).read_text() for number in range(20)] == ["called\n"] * 20


def test_arguments_of_a_check(rc: Client) -> None:
    def check(a: int, *, b: int = 0, f: Any = None) -> bool:
        return (a, b, f) == (1, 2, [3])

    assert rc[0].apply_sync(depend(check, 1, b=2, f=[3])(abs), -1) == 1
    with pytest.raises(RemoteError, match="UnmetDependency"):
        rc[0].apply_sync(depend(check, 1, b=3)(abs), -1)


def test_checks_that_raise(rc: Client, lview: LoadBalancedView) -> None:
    def unmet() -> bool:
        raise ipz.UnmetDependency("no licence here", hint="buy one")

    def broken() -> bool:
        raise OSError("no such disk")

    with pytest.raises(RemoteError, match=r"(?s)UnmetDependency\(no licence here\).*hint: buy one"):
        lview.apply_async(depend(unmet)(abs), -1).get(timeout=20)
    # Any other error is the call's.
    with pytest.raises(RemoteError, match=r"OSError\(no such disk\)"):
        lview.apply_async(depend(broken)(abs), -1).get(timeout=20)


@pytest.mark.parametrize("bad", [None, True, "check", 3])
def test_checks_that_cannot_be_called(bad: Any) -> None:
    with pytest.raises(TypeError, match="a function to check with is needed, not"):
        depend(bad)


@pytest.mark.parametrize(
    "decorate", [require("os"), depend(never), interactive], ids=["require", "depend", "interactive"]
)
def test_what_cannot_be_decorated(decorate: Any) -> None:
    for bad in (None, 3, "f"):
        with pytest.raises(TypeError, match="function is needed, not"):
            decorate(bad)


# -- interactive -------------------------------------------------------------------------------------------------------


def reads_a_global(x: int) -> Any:
    return HERE, x


def test_interactive_functions_have_the_engines_globals(rc: Client, lview: LoadBalancedView) -> None:
    rc.push({"HERE": "the engine's"}, block=True)
    f = interactive(reads_a_global)
    assert rc[0].apply_sync(reads_a_global, 1) == ("the client's", 1)
    for value in (
        rc[0].apply_sync(f, 1),
        lview.apply_sync(f, 1),
        lview.map_sync(f, [1])[0],
        rc.remote(block=True)(f)(1),
    ):
        assert value == ("the engine's", 1)
    # The original, and a call here, are as before.
    assert reads_a_global(1) == f(1) == ("the client's", 1)
    assert rc[0].apply_sync(reads_a_global, 1) == ("the client's", 1)


def test_interactive_functions_write_to_the_namespace(rc: Client) -> None:
    @interactive
    def remember(value: int) -> None:
        global remembered
        remembered = value  # type: ignore[name-defined]

    rc[:].apply_sync(remember, 8)
    assert rc[:]["remembered"] == dict.fromkeys(range(4), 8)
    assert "remembered" not in globals()


def test_interactive_functions_are_so_wherever_they_are(rc: Client) -> None:
    f = interactive(reads_a_global)
    rc[:].push({"HERE": "the engine's", "f": f, "several": {"f": [f]}}, block=True)
    rc.execute("found = f(1), several['f'][0](2)", block=True)
    assert rc[0]["found"] == (("the engine's", 1), ("the engine's", 2))
    assert rc[0].apply_sync(lambda f: f(3), f) == ("the engine's", 3)
    assert rc[0].apply_sync(lambda: f(4)) == ("the engine's", 4)


def test_interactive_classes_have_methods_that_are_so(rc: Client) -> None:
    @interactive
    class Reader:
        def method(self) -> Any:
            return HERE

        @classmethod
        def of_class(cls) -> Any:
            return cls.__name__, HERE

        @staticmethod
        def static() -> Any:
            return HERE

        @property
        def value(self) -> Any:
            """What is here."""
            return HERE

    rc[:].push({"HERE": "the engine's", "Reader": Reader}, block=True)
    code = "r = Reader(); found = r.method(), r.of_class(), r.static(), r.value, Reader.value.__doc__"
    rc.execute(code, block=True)
    there = "the engine's"
    assert rc[0]["found"] == (there, ("Reader", there), there, there, "What is here.")
    assert rc[0].apply_sync(lambda: Reader().method()) == there
    assert Reader().method() == Reader.static() == Reader().value == "the client's"
    with pytest.raises(TypeError, match="a Python function is needed, not int"):
        interactive(5)  # type: ignore[type-var]


def test_interactive_functions_of_installed_modules(rc: Client) -> None:
    convert = interactive(colorsys.hls_to_rgb)
    # What the module has in its globals is not there any more.
    with pytest.raises(RemoteError, match="NameError"):
        rc[0].apply_sync(convert, 0.1, 0.2, 0.3)
    rc[0].push({"ONE_THIRD": 0, "_v": lambda *_arguments: "own"}, block=True)
    assert rc[0].apply_sync(convert, 0.1, 0.2, 0.3) == ("own", "own", "own")
    assert rc[0].apply_sync(colorsys.hls_to_rgb, 0.1, 0.2, 0) == (0.2, 0.2, 0.2)
    assert convert(0.1, 0.2, 0.3) == colorsys.hls_to_rgb(0.1, 0.2, 0.3)


def test_interactive_functions_keep_closure_defaults_and_names(rc: Client) -> None:
    offset = 5

    def helper(x: int) -> Any:
        return x + there  # type: ignore[name-defined] # noqa: F821

    @interactive
    def f(x: int, y: int = 2, *, z: int = 3) -> Any:
        """Add."""
        return helper(x) + y + z + offset

    rc.push({"there": 100}, block=True)
    assert rc[0].apply_sync(f, 1) == 111
    assert rc[0].apply_sync(f, 1, 0, z=0) == 106
    assert (f.__name__, f.__doc__) == ("f", "Add.")
    f.note = 1  # type: ignore[attr-defined]
    assert interactive(f).note == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("bad", [len, "f", 3, dict, "-".join])
def test_only_python_functions_are_interactive(bad: Any) -> None:
    with pytest.raises(TypeError, match="a Python function is needed, not"):
        interactive(bad)


# -- combinations ------------------------------------------------------------------------------------------------------


def test_decorators_on_decorators(rc: Client, lview: LoadBalancedView, pids: list[int]) -> None:
    def f(x: int) -> Any:
        return xml.dom.__name__, wave.__name__, x  # type: ignore[name-defined] # noqa: F821

    expected = ("xml.dom", "wave", 1)
    here = depend(has_pid, pids[2])
    for decorated in (
        require("xml.dom")(require("wave")(f)),
        require("xml.dom")(here(require("wave")(f))),
        here(require("wave", "xml.dom")(f)),
        require("wave", "xml.dom")(here(f)),
        here(here(require("wave", "xml.dom")(f))),
    ):
        assert rc[2].apply_sync(decorated, 1) == expected
        assert rc[2].apply_bound(decorated, 1).get() == expected
    assert lview.apply_sync(here(require("wave", "xml.dom")(f)), 1) == expected


def test_require_reaches_below_other_decorators(rc: Client) -> None:
    def logged(f: Any) -> Any:
        @wraps(f)
        def wrapper(*args: Any) -> Any:
            return f(*args)

        return wrapper

    @require("wave")
    @logged
    def name() -> Any:
        return wave.__name__  # type: ignore[name-defined] # noqa: F821

    assert rc[0].apply_sync(name) == "wave"


def test_interactive_with_the_others(rc: Client, lview: LoadBalancedView, pids: list[int]) -> None:
    rc.push({"HERE": "the engine's"}, block=True)
    for decorated in (
        interactive(require("wave")(reads_a_global)),
        require("wave")(interactive(reads_a_global)),
        interactive(depend(has_pid, pids[1])(reads_a_global)),
        depend(has_pid, pids[1])(interactive(reads_a_global)),
    ):
        assert rc[1].apply_sync(decorated, 1) == ("the engine's", 1)
        assert lview.apply_async(decorated, 1).get(timeout=20) == ("the engine's", 1)
    # An interactive function's modules are the engine's then.
    assert "wave" in rc[1]


@pytest.mark.parametrize(
    "decorate", [require("os"), depend(never), interactive], ids=["require", "depend", "interactive"]
)
def test_decorated_functions_look_like_themselves(decorate: Any) -> None:
    def f(x: int, y: str = "") -> bytes:
        """Say something."""
        return b""

    f.note = 1  # type: ignore[attr-defined]
    decorated = decorate(f)
    assert decorated.__name__ == "f"
    assert decorated.__qualname__ == f.__qualname__
    assert decorated.__doc__ == "Say something."
    assert decorated.note == 1
    assert list(inspect.signature(decorated).parameters) == ["x", "y"]


@pytest.mark.parametrize("decorate", [require("os", has_pid), depend(has_pid, 1, 2), interactive])
def test_decorated_functions_are_packed_once(decorate: Any) -> None:
    decorated = decorate(process_id)
    assert pack(decorated) is pack(decorated)


def test_what_has_begun_is_not_run_again_elsewhere(lview: LoadBalancedView, tmp_path: Path) -> None:
    journal = tmp_path / "runs"

    @depend(lambda: False)
    def inner() -> None:
        raise AssertionError("its dependency is not met")

    def outer(number: int = 0) -> None:
        with journal.open("a") as file:
            file.write(f"{number}\n")
        inner()

    def last_fails(number: int) -> int:
        with journal.open("a") as file:
            file.write(f"{number}\n")
        if number == 3:
            raise ipz.UnmetDependency("too late")
        return number

    with pytest.raises(RemoteError, match="UnmetDependency"):
        lview.apply_sync(outer)
    assert journal.read_text() == "0\n"
    with pytest.raises(CompositeError, match="UnmetDependency"):
        lview.map_sync(require("math")(last_fails), range(4), chunksize=4)
    assert journal.read_text() == "0\n0\n1\n2\n3\n"
    # And what came before leaves nothing behind for the next call.
    with pytest.raises(RemoteError, match="UnmetDependency"):
        lview.apply_sync(inner)
    with pytest.raises(RemoteError, match="UnmetDependency"):
        lview.apply_sync(outer)
    assert journal.read_text() == "0\n0\n1\n2\n3\n0\n"
