"""A function that was sent has the client's names and source lines on the engine, whatever its file is there."""

from __future__ import annotations

import dis
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from cells import Run
from cloudpickle import cloudpickle

from ipclusterz import Client, RemoteError
from ipclusterz.mpi.objects import decode, encode
from ipclusterz.shared import codes
from ipclusterz.shared.serialize import dumps, loads

CELL = '''def abs_of(f):
    return lambda *args: abs(f(*args))

def outer(x):
    """Has two lines in one."""
    return [inner(x,
                  y) for y in (1, 0)]


@abs_of
def inner(x, y):
    return x / y


class Model:
    scale = 1

    def fit(self, x):
        # A comment.
        return (lambda y: y[x])([self.scale])


later = lambda x: (  # noqa
    x.missing)
'''


@pytest.fixture
def cell(run: Run, shell: Any) -> Callable[[str], Any]:
    """What a name of a cell stands for that was typed at the prompt."""
    run(CELL)
    return shell.user_ns.__getitem__  # type: ignore[no-any-return]


def traceback_of(rc: Client, function: Callable[..., object], *arguments: object) -> list[str]:
    """Of a call that fails: the lines of the engine's traceback, without marks."""
    with pytest.raises(RemoteError) as caught:
        rc[0].apply_sync(function, *arguments)
    return [line.strip() for line in caught.value.traceback.splitlines() if set(line) - set(" ~^")]


def test_cells_of_the_client(rc: Client, cell: Callable[[str], Any]) -> None:
    file = cell("outer").__code__.co_filename
    lines = traceback_of(rc, cell("outer"), 1)
    assert lines[1:3] == [f'File "{file}", line 6, in outer', "return [inner(x,"]
    assert lines[-3:] == [f'File "{file}", line 12, in inner', "return x / y", "ZeroDivisionError: division by zero"]
    assert f'File "{file}", line 2, in <lambda>' in lines
    assert "return lambda *args: abs(f(*args))" in lines
    lines = traceback_of(rc, cell("Model")().fit, 5)
    assert [line for line in lines if "lambda y" in line] == ["return (lambda y: y[x])([self.scale])"] * 2
    assert f'File "{file}", line 20, in fit' in lines
    assert traceback_of(rc, cell("later"), 1)[2] == "x.missing)"


def test_bound_functions(rc: Client, cell: Callable[[str], Any]) -> None:
    rc.push({"f": cell("inner")}, block=True)
    with pytest.raises(RemoteError) as caught:
        rc[0].execute("f(1, 0)", block=True)
    assert "    return x / y\n" in caught.value.traceback


def test_inspect_finds_the_source_of_cells(rc: Client, cell: Callable[[str], Any]) -> None:
    def sources(*functions: Any) -> list[str]:
        return [inspect.getsource(function) for function in functions]

    wanted = [cell("outer"), cell("Model").fit, cell("later")]
    assert rc[0].apply_sync(sources, *wanted) == sources(*wanted)


def test_what_comes_from_a_cell_of_an_engine_has_its_source_here(rc: Client) -> None:
    rc[0].execute("def doubled(x):\n    # Twice.\n    return x * 2\n\nother = 1", block=True)
    doubled = rc[0].pull("doubled", block=True)
    assert doubled(2) == 4
    assert inspect.getsource(doubled) == "def doubled(x):\n    # Twice.\n    return x * 2\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that engines do not have."""
    path = tmp_path / "failing_module.py"
    path.write_text("import math\n\n\ndef failing(x):\n    return math.sqrt(-x)  # as it was\n")
    spec = importlib.util.spec_from_file_location("failing_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "failing_module", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("change", ["none", "edited", "shorter", "removed"])
def test_the_file_may_have_changed_or_be_missing(rc: Client, module: ModuleType, change: str) -> None:
    """As on another host. What is shown is what the client sent."""
    file = Path(str(module.__file__))
    rc[0].push({"failing": module.failing}, block=True)
    if change == "edited":
        file.write_text("# A line.\n" * 10)
    elif change == "shorter":
        file.write_text("")
    elif change == "removed":
        file.unlink()
    with pytest.raises(RemoteError) as caught:
        rc[0].execute("failing(1)", block=True)
    shown = f'  File "{file}", line 5, in failing\n    return math.sqrt(-x)  # as it was\n'
    assert shown in caught.value.traceback


def test_what_has_no_source_goes_without(rc: Client) -> None:
    space: dict[str, Any] = {}
    exec(compile("def f(x):\n    return 1 / x", "/nowhere/generated.py", "exec"), space)
    assert traceback_of(rc, space["f"], 0)[1:] == [
        'File "/nowhere/generated.py", line 2, in f',
        "ZeroDivisionError: division by zero",
    ]


# What has other errors in it.
GROUP = "(lambda errors: ExceptionGroup('all', errors))" if sys.version_info >= (3, 11) else "RuntimeError"


def test_causes_and_groups_have_their_lines(rc: Client, run: Run, shell: Any) -> None:
    run(
        "def failing(x):\n    try:\n        {}[x]  # first\n    except KeyError as error:\n"
        f"        raise {GROUP}([collect(x)]) from error  # second\n"
        "def collect(x):\n    try:\n        int(x)  # third\n    except ValueError as error:\n        return error\n"
    )
    lines = traceback_of(rc, shell.user_ns["failing"], "q")
    for each in ("first", "second", *["third"] * (sys.version_info >= (3, 11))):
        assert any(line.endswith(f"# {each}") for line in lines)


def test_objects_of_mpi_have_their_names() -> None:
    def local() -> None:
        pass

    made = decode(encode(local))
    assert made.__code__ == local.__code__
    assert made.__code__.co_filename == __file__


def _codes(module: ModuleType) -> list[CodeType]:
    found = [value.__code__ for value in vars(module).values() if type(value) is FunctionType]
    for code in found:
        found += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return found


@pytest.mark.parametrize("module", [inspect, dis, cloudpickle, codes])
def test_code_is_the_same_again(module: ModuleType) -> None:
    for code in _codes(module):
        made = codes.make(codes.parts_of(code), None)
        assert made == code
        names = ("co_filename", "co_firstlineno", "co_name", "co_freevars", "co_cellvars", "co_flags")
        assert [getattr(made, name) for name in names] == [getattr(code, name) for name in names]
        assert list(dis.findlinestarts(made)) == list(dis.findlinestarts(code))
        if sys.version_info >= (3, 11):
            assert made.co_qualname == code.co_qualname
            assert list(made.co_positions()) == list(code.co_positions())


def test_lines_go_once_for_the_code_inside() -> None:
    def outer() -> Any:
        def inner() -> str:
            return "a text that is seen once in a source"

        return inner

    # As a constant, and in the lines.
    assert bytes(dumps(outer)[0]).count(b"a text that is seen once in a source") == 2
    assert loads(dumps(outer))()() == outer()()
