"""`%px` and `%%px` in a real IPython: code, options, values and errors."""

from __future__ import annotations

import re

import pytest
from cells import ALL, Run
from IPython.core.interactiveshell import InteractiveShell

from ipclusterz import AsyncResult, Client, CompositeError, DirectView, RemoteError


def test_lines_of_the_guide(dv: DirectView, run: Run) -> None:
    imported = run("%px import numpy")
    assert imported.stdout.startswith(ALL)
    assert imported.value == {0: None, 1: None, 2: None, 3: None}
    for line in (
        "%px a = numpy.random.rand(2,2)",
        "%px ev = numpy.linalg.eigvals(a)",
        "px y = [i**10 for i in range(3)]",
    ):
        ran = run(line)
        assert (ran.stdout, ran.value) == (ALL, None)
    assert dv["y"] == {engine_id: [0, 1, 1024] for engine_id in range(4)}
    assert {ev.shape for ev in dv["ev"].values()} == {(2,)}
    run('px ans= "Average max eigenvalue is: %f"%(sum(y)/len(y))')
    assert dv["ans"][3] == "Average max eigenvalue is: 341.666667"


def test_values_are_shown_for_each_engine(dv: DirectView, run: Run) -> None:
    dv.scatter("x", range(4), flatten=True)
    ran = run("%px x * 2")
    assert re.sub(r":\d+\]", ":n]", ran.stdout) == ALL + "".join(f"Out[{k}:n]: {2 * k}\n" for k in range(4))
    assert ran.value is None
    assert run("%px x * 2;").stdout == ALL
    assert run("%px None").stdout == ALL
    lines = run("%px import numpy; numpy.zeros((2, 2))").stdout.splitlines()
    assert lines[1:3] == [lines[1], "array([[0., 0.],"]
    assert re.fullmatch(r"Out\[0:\d+\]:", lines[1])


@pytest.mark.parametrize("line", ["import os, sys", "from os import path", "import os; import sys"])
def test_imports_have_a_value(dv: DirectView, run: Run, line: str) -> None:
    assert run(f"%px {line}").value == dict.fromkeys(range(4))


@pytest.mark.parametrize("line", ["import os; x = 1", "%who_ls", "x = 1", "!true", "None"])
def test_other_lines_have_none(dv: DirectView, run: Run, line: str) -> None:
    assert run(f"%px {line}").value is None


def test_one_engine_has_no_dictionary_of_imports(rc: Client, shell: InteractiveShell, run: Run) -> None:
    rc[2].activate()
    rc.block = True
    ran = run("%px import os")
    assert (ran.stdout, ran.value) == ("Parallel execution on engines: [2]\n", None)


def test_code_goes_to_the_engines_as_it_was_typed(dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    shell.user_ns["x"] = "the client's"
    run("%px x = 3; y = f'{x}$x'")
    assert dv["y"][0] == "3$x"
    run("%%px --targets 1\nz = '''{x}\n$x'''")
    assert dv.client[1]["z"] == "{x}\n$x"


def test_not_waiting(dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    for prepare, cell in (
        ("1", "%%px --noblock\nx = 7"),
        ("1", "%px --noblock x = 7"),
        ("dv.block = False", "%px x = 7"),
    ):
        run(prepare)
        ran = run(cell)
        assert ran.stdout.startswith(f"Async {ALL[0].lower()}{ALL[1:]}")
        assert isinstance(ran.value, AsyncResult)
        assert len(ran.value.get()) == 4
    assert run("%px --block x = 7").stdout == ALL


def test_targets(dv: DirectView, run: Run) -> None:
    for text, engines in (
        ("0", [0]),
        ("-1", [3]),
        ("0,2", [0, 2]),
        ("[1, 3]", [1, 3]),
        ("::2", [0, 2]),
        ("1:3", [1, 2]),
        ("-2:", [2, 3]),
        ("all", [0, 1, 2, 3]),
    ):
        for option in (f"--targets {text}", f"--targets={text}"):
            assert run(f"%px {option} x = 1").stdout == f"Parallel execution on engines: {engines}\n"
            assert run(f"%%px {option}\nx = 1").stdout == f"Parallel execution on engines: {engines}\n"


def test_out_names_the_result(dv: DirectView, shell: InteractiveShell, run: Run, fail: Run) -> None:
    run("%%px --out answer\n6 * 7")
    assert shell.user_ns["answer"].get()[3].result == "42"
    fail("%px --out broken 1/0")
    assert not shell.user_ns["broken"].successful()


def test_local_runs_here_too(dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    ran = run("%%px --local\nx = 6\nprint('said')")
    assert shell.user_ns["x"] == 6
    assert dv["x"] == dict.fromkeys(range(4), 6)
    assert ran.stdout.splitlines().count("said") == 1
    assert "[stdout:0] said" in ran.stdout


def test_an_error_is_raised_when_the_others_are_done(dv: DirectView, rc: Client, fail: Run) -> None:
    dv.scatter("k", range(4), flatten=True)
    ran = fail("%px 10 // (k - 1)")
    assert isinstance(ran.error, CompositeError)
    assert [error.engine_id for error in ran.error] == [1]
    assert len(re.findall(r"^Out\[[023]:\d+\]: ", ran.stdout, re.M)) == 3
    ran = fail("%px --targets 1 1/0")
    assert isinstance(ran.error, RemoteError)
    assert isinstance(fail("%px --targets 0,1 def").error, CompositeError)


def test_errors_say_where_they_happened(dv: DirectView, fail: Run) -> None:
    shown = fail("%%px\ndef h():\n    return 1 / 0\nh()")
    assert (shown.stdout + shown.stderr).count(", in h") == 1
    assert "[0:execute]:\n[1:execute]:\n[2:execute]:\n[3:execute]:\n-----" in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%px", "%px needs code"),
        ("%px   ", "%px needs code"),
        ("%px --noblock", "%px needs code"),
        ("%px --blok x = 1", "no option --blok, did you mean --block?"),
        ("%px --local --wait x = 1", "no option --wait"),
        ("%px --block --noblock x = 1", "--block and --noblock contradict each other"),
        ("%px --block --block x = 1", "--block is given twice"),
        ("%px --block=yes x = 1", "--block takes no value"),
        ("%px --targets", "--targets needs a value"),
        ("%px --targets --block x", "--targets needs a value"),
        ("%px --targets some x = 1", "--targets some names no engines"),
        ("%px --targets 1:a x = 1", "--targets 1:a names no engines"),
        ("%px --targets 1:2:3:4 x = 1", "names no engines"),
        ("%px --targets [] x = 1", "names no engines"),
        ("%px --targets 77 x = 1", "there is no engine 77"),
        ("%px --targets 3:3 x = 1", "selects none of the engines"),
        ("%px --out 3 x = 1", "--out 3 is no name"),
        ("%px --group-outputs some x = 1", "--group-outputs some is none of engine, type, order"),
        ("%px --group-outputs type --stream x = 1", "cannot be grouped"),
        ("%px --noblock --stream x = 1", "--noblock shows no output"),
        ("%%px --targets 0 x = 1\npass", "%%px takes options alone, and was given 'x = 1'"),
        ("%%px", "cell body is empty"),
        ("%result x", "%result takes the number of a cell, not 'x'"),
        ("%result -1", "%result takes the number of a cell"),
        ("%autopx on", "%autopx takes nothing"),
        ("%pxconfig block", "%pxconfig takes options alone"),
        ("%pxconfig --local", "no option --local"),
        ("%pxconfig --targets 77", "there is no engine 77"),
    ],
)
def test_usage_errors(dv: DirectView, fail: Run, cell: str, message: str) -> None:
    ran = fail(cell)
    assert type(ran.error).__name__ == "UsageError"
    assert message in str(ran.error)
    assert "Traceback" not in ran.stdout + ran.stderr
