"""The parallel magics in a real IPython: in this process, and at a prompt in a terminal."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from helpers import hold, until
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from ipclusterz import AsyncResult, Client, Cluster, CompositeError, DirectView, RemoteError

ALL = "Parallel execution on engines: [0, 1, 2, 3]\n"


class Ran:
    """What a cell did here: its value, what it wrote and displayed, and its error."""

    def __init__(self, shell: InteractiveShell, cell: str, display: bool = False) -> None:
        with capture_output(display=display) as captured:
            execution = shell.run_cell(cell, store_history=True)
        self.stdout = captured.stdout
        self.stderr = captured.stderr
        self.displays = [output.data for output in captured.outputs] if display else []
        self.value = execution.result
        self.error = execution.error_before_exec or execution.error_in_exec


Run = Callable[..., Ran]


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    main = sys.modules["__main__"]
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main


@pytest.fixture
def run(shell: InteractiveShell) -> Run:
    """Runs a cell, which must succeed."""

    def run(cell: str, display: bool = False) -> Ran:
        ran = Ran(shell, cell, display)
        assert ran.error is None, ran.stderr + ran.stdout
        return ran

    return run


@pytest.fixture
def fail(shell: InteractiveShell) -> Run:
    """Runs a cell, which must fail."""

    def fail(cell: str) -> Ran:
        ran = Ran(shell, cell)
        assert ran.error is not None
        return ran

    return fail


@pytest.fixture
def dv(rc: Client, shell: InteractiveShell) -> DirectView:
    """A view that waits, and has the magics."""
    view = rc[:]
    view.block = True
    view.activate()
    shell.user_ns.update(rc=rc, dv=view)
    return view


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


def test_cells_write_behind_the_name_of_their_engine(dv: DirectView, run: Run) -> None:
    ran = run("%%px\nimport sys\nprint('one')\nprint('two')\nprint('warned', file=sys.stderr)\nprint('no end', end='')")
    assert sorted(ran.stdout.splitlines()) == sorted(
        [ALL.strip(), *(f"[stdout:{k}] {text}" for k in range(4) for text in ("one", "two", "no end"))]
    )
    assert sorted(ran.stderr.splitlines()) == [f"[stderr:{k}] warned" for k in range(4)]


def test_output_appears_while_the_code_runs(dv: DirectView, shell: InteractiveShell, gate: Path) -> None:
    shell.user_ns["gate"] = str(gate)
    dv["gate"] = str(gate)
    wait = "while not os.path.exists(gate): time.sleep(0.005)"
    cell = f"%%px --targets 0\nimport os, time\nprint('started')\n{wait}\nprint('ended')"
    with capture_output(display=False) as captured:

        def open_gate() -> None:
            until(lambda: "[stdout:0] started\n" in captured.stdout, 20)
            assert "ended" not in captured.stdout
            gate.touch()

        opener = threading.Thread(target=open_gate)
        opener.start()
        shell.run_cell(cell)
        opener.join()
    assert captured.stdout.endswith("[stdout:0] started\n[stdout:0] ended\n")


def test_unfinished_lines_of_several_engines_are_not_mangled(dv: DirectView, run: Run) -> None:
    ran = run("%%px\nimport time\nfor part in ('a', 'b', 'c\\n'):\n    print(part, end='')\n    time.sleep(0.02)")
    assert sorted(ran.stdout.splitlines()[1:]) == [f"[stdout:{k}] abc" for k in range(4)]


PROGRESS = """
import sys, time
for part in (1, 2, 3):
    print(f"\\r{part} of 3", end="", file=sys.stderr)
    time.sleep(0.02)
print(file=sys.stderr)
"""


def test_lines_that_are_rewritten(dv: DirectView, run: Run) -> None:
    assert sorted(run(f"%%px\n{PROGRESS}").stderr.splitlines()) == [f"[stderr:{k}] 3 of 3" for k in range(4)]
    shown = run(f"%%px --targets 2\n{PROGRESS}").stderr
    assert shown.endswith("[stderr:2] 3 of 3\n")
    assert set(shown.rstrip().split("\r")) <= {f"[stderr:2] {part} of 3" for part in (1, 2, 3)}


def test_what_was_printed_before_a_display_is_shown_before_it(dv: DirectView, run: Run) -> None:
    cell = "from IPython.display import HTML, display\nprint('a', end='')\ndisplay(HTML('<b>'))\nprint('b')"
    for targets in ("0", "0:2"):
        shown = run(f"%%px --targets {targets}\n{cell}").stdout
        html = "<IPython.core.display.HTML object>"
        assert f"[stdout:0] a\n[output:0]\n{html}\n[stdout:0] b\n" in shown


def test_much_output(dv: DirectView, run: Run) -> None:
    ran = run("%px for number in range(5000): print(number)")
    lines = ran.stdout.splitlines()
    for engine_id in range(4):
        prefix = f"[stdout:{engine_id}] "
        assert [line for line in lines if line.startswith(prefix)] == [f"{prefix}{number}" for number in range(5000)]


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


def test_grouped_output(dv: DirectView, run: Run) -> None:
    cell = "import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')\n7"
    ran = run(f"%%px --group-outputs engine --targets 0:2\n{cell}")
    lines = re.sub(r":\d+\]:", ":n]:", ran.stdout).splitlines()[1:]
    assert lines == ["[stdout:0] a", "[stdout:0] c", "Out[0:n]: 7", "[stdout:1] a", "[stdout:1] c", "Out[1:n]: 7"]
    assert ran.stderr == "[stderr:0] b\n[stderr:1] b\n"
    lines = re.sub(r":\d+\]:", ":n]:", run(f"%%px --group-outputs type --targets 0:2\n{cell}").stdout).splitlines()[1:]
    assert lines == ["[stdout:0] a", "[stdout:0] c", "[stdout:1] a", "[stdout:1] c", "Out[0:n]: 7", "Out[1:n]: 7"]
    assert "[stdout:0] a\n[stdout:0] c\nOut[0:" in run(f"%%px --no-stream\n{cell}").stdout


DISPLAYS = """
from IPython.display import HTML, display
display(HTML(f'<b>first</b>'))
display(HTML(f'<b>second</b>'))
HTML('<i>value</i>')
"""


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ("", "first0 second0 first1 second1 value0 value1"),
        ("--group-outputs engine", "first0 second0 value0 first1 second1 value1"),
        ("--group-outputs type", "first0 second0 first1 second1 value0 value1"),
        ("--group-outputs order", "first0 first1 second0 second1 value0 value1"),
    ],
)
def test_rich_output(dv: DirectView, run: Run, options: str, order: str) -> None:
    cell = DISPLAYS.replace("</", "{k}</").replace("'<i>", "f'<i>")
    dv.scatter("k", range(4), flatten=True)
    ran = run(f"%%px --targets 0:2 {options}\n{cell}", display=True)
    shown = [re.sub("<.*?>", "", data["text/html"]) for data in ran.displays]
    assert shown == order.split() if options else sorted(shown) == sorted(order.split())
    assert ran.stdout.count("[output:0]\n") == ran.stdout.count("[output:1]\n") == 2
    assert len(re.findall(r"^Out\[[01]:\d+\]:$", ran.stdout, re.M)) == 2


def test_displays_keep_their_place_between_prints(dv: DirectView, run: Run) -> None:
    ran = run(f"%%px --targets 0\nprint('before')\n{DISPLAYS}\nprint('behind')")
    html = "[output:0]\n<IPython.core.display.HTML object>\n"
    assert ran.stdout.partition("\n")[2] == f"[stdout:0] before\n{html}{html}[stdout:0] behind\n"


def test_updated_and_cleared_displays(dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    cell = """
from IPython.display import HTML, clear_output, display
display(HTML("gone"))
clear_output()
handle = display(HTML("old"), display_id="number")
display(HTML("other"))
handle.update(HTML("new"))
"""
    run(f"%%px --out result --targets 1\n{cell}", display=True)
    ran = run("result.display_outputs()", display=True)
    assert [data["text/html"] for data in ran.displays] == ["new", "other"]
    assert "[stdout" not in ran.stdout


def test_an_error_is_raised_when_the_others_are_done(dv: DirectView, rc: Client, fail: Run) -> None:
    dv.scatter("k", range(4), flatten=True)
    ran = fail("%px 10 // (k - 1)")
    assert isinstance(ran.error, CompositeError)
    assert [error.engine_id for error in ran.error] == [1]
    assert len(re.findall(r"^Out\[[023]:\d+\]: ", ran.stdout, re.M)) == 3
    ran = fail("%px --targets 1 1/0")
    assert isinstance(ran.error, RemoteError)
    assert isinstance(fail("%px --targets 0,1 def").error, CompositeError)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%px", "%px needs code"),
        ("%px   ", "%px needs code"),
        ("%px --noblock", "%px needs code"),
        ("%px --blok x = 1", "no option --blok, did you mean --block?"),
        ("%px --verbose x = 1", "no option --verbose"),
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


def test_autopx(dv: DirectView, shell: InteractiveShell, run: Run, fail: Run) -> None:
    assert run("%autopx").stdout == "Auto Parallel Enabled\nType %autopx to disable\n"
    assert run("only_there = 1").stdout == ""
    cell = (
        "def double(x):\n\n    return x * factor\n\nfactor = 2\nfor i in range(3):\n    last = double(i + only_there)\n"
    )
    run(cell)
    ran = run("print(last)\nlast + 1")
    assert sorted(re.sub(r":\d+\]:", ":n]:", ran.stdout).splitlines()) == sorted(
        [f"[stdout:{k}] 6" for k in range(4)] + [f"Out[{k}:n]: 7" for k in range(4)]
    )
    ran = run("%who_ls int")
    assert "Out[3:" in ran.stdout
    run("%%timeit -n1 -r1\nfactor")
    run("x = 3\n%pinfo x")
    assert run("   ").stdout == ""
    assert isinstance(fail("nonsense + 1").error, CompositeError)
    assert isinstance(fail("def").error, CompositeError)
    assert "Parallel execution" in run("%px y = 5").stdout
    assert "[0] In [" in run("%result").stdout
    assert "block: True" in run("%pxconfig").stdout
    run("result = px = 8")
    assert run("%autopx").stdout == "Auto Parallel Disabled\n"
    assert run("here = 1").stdout == ""
    assert shell.user_ns["here"] == 1
    assert not {"only_there", "double", "factor", "last", "px", "result"} & set(shell.user_ns)
    assert dv.client[0].pull(("last", "y", "px"), block=True) == [6, 5, 8]
    fail("%px here")


def test_autopx_that_does_not_wait(dv: DirectView, run: Run) -> None:
    dv.block = False
    run("%autopx")
    ran = run("max_evals = []")
    assert re.fullmatch(r"<\w*Result.*execute.*>\n", ran.stdout)
    assert ran.value is None
    run("autopx")
    dv.block = True
    assert dv["max_evals"][2] == []


def test_autopx_is_for_one_view(rc: Client, dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    rc.block = True
    rc[0].activate("0")
    run("%autopx")
    assert run("%autopx0").stdout == "Auto Parallel Disabled\nAuto Parallel Enabled\nType %autopx0 to disable\n"
    run("z = 1")
    assert run("%%px --local\nw = 2").stdout == ALL
    assert shell.user_ns["w"] == 2
    assert run("%autopx0").stdout == "Auto Parallel Disabled\n"
    run("%autopx")
    with capture_output() as captured:
        rc[1].activate()
    assert captured.stdout == "Auto Parallel Disabled\n"
    run("here = 1")
    assert shell.user_ns["here"] == 1
    assert ["z" in rc[k] for k in range(2)] == [True, False]


def test_result(dv: DirectView, rc: Client, run: Run, fail: Run) -> None:
    run("%px --targets 0 print('more')")
    run("%px print('one')")
    count = rc[0].get_result(block=True).execution_count
    shown = run("%result").stdout
    assert f"<Results List>\n[0] In [{count}]: print('one')\n[0] Out[{count}]: one\n\n[1] In [" in shown
    assert run("%result").value[3].stdout == "one\n"
    fail("%px 1/0")
    assert f"[0] Err[{count + 1}]: ZeroDivisionError: division by zero" in run("%result").stdout
    run("%px --targets 0 x = 1")
    assert [reply.code for reply in run("%result").value] == ["x = 1", "1/0", "1/0", "1/0"]
    # A number that only engine 0 has: it runs more cells than any other has run until now.
    others = max(reply.execution_count for reply in rc[1:].get_result(block=True).values())
    while (alone := rc[0].execute("x = 1", block=True).execution_count) <= others:
        pass
    ran = fail(f"%result {alone}")
    assert f"[0] In [{alone}]: x = 1\n" in ran.stdout
    assert isinstance(ran.error, CompositeError)
    assert [error.engine_id for error in ran.error] == [1, 2, 3]
    assert "KeyError" in str(ran.error)


def test_pxconfig(dv: DirectView, run: Run) -> None:
    assert run("%pxconfig").stdout == "targets: [0, 1, 2, 3]\nblock: True\nstream: True\nverbose: True\n"
    run("%pxconfig --noblock --targets 1:3 --no-verbose --no-stream")
    assert (dv.block, dv.targets) == (False, [1, 2])
    assert run("%pxconfig").stdout == "targets: [1, 2]\nblock: False\nstream: False\nverbose: False\n"
    assert "execution on" not in run("%px x = 1").stdout
    run("%pxconfig --block")
    assert run("%px x = 1").stdout == ""
    assert dv.block


def test_families(rc: Client, dv: DirectView, run: Run) -> None:
    rc[2].activate("2")
    rc[1].activate("_one")
    rc.block = True
    assert run("%px2 x = 1").stdout == "Parallel execution on engines: [2]\n"
    assert run("%%px_one\nx = 1").stdout == "Parallel execution on engines: [1]\n"
    assert run("%px x = 1").stdout == ALL
    assert "[2] In [" in run("%result2").stdout
    assert run("%pxconfig_one").stdout.startswith("targets: [1]\n")
    for suffix in ("-", " ", "a b", 3):
        with pytest.raises(ValueError, match="cannot end in"):
            rc[0].activate(suffix)


def test_a_client_brings_magics(cluster: Cluster, shell: InteractiveShell, run: Run, fail: Run) -> None:
    with cluster.connect_client() as rc:
        assert not rc.block
        assert run("%px 1 + 1").stdout.startswith(ALL + "Out[0:")
        rc.targets = [1, 2]
        assert "engines: [1, 2]" in run("%px x = 1").stdout
        run("%pxconfig --noblock --targets 0,1")
        assert rc.targets == [0, 1]
        assert isinstance(run("%px x = 1").value, AsyncResult)
        with cluster.connect_client() as second:
            assert run("%px x = 1").stdout == ALL
            second[3].activate()
            with cluster.connect_client():
                assert "engines: [3]" in run("%px --block x = 1").stdout
        with cluster.connect_client() as third:
            assert run("%px x = 1").stdout == ALL
    assert third.closed
    assert "closed" in str(fail("%px x = 1").error)


def test_magics_do_not_keep_a_client(cluster: Cluster, shell: InteractiveShell, fail: Run) -> None:
    rc = cluster.connect_client()
    gone = weakref.ref(rc)
    rc.close()
    del rc
    gc.collect()
    assert gone() is None
    assert "client of %px is gone" in str(fail("%px x = 1").error)


def test_outside_of_ipython(rc: Client) -> None:
    with pytest.raises(RuntimeError, match="magics need IPython"):
        rc[0].activate()


def test_a_client_does_not_import_ipython(cluster: Cluster) -> None:
    code = (
        f"import sys, ipclusterz as ipz; ipz.Client({cluster.report['client_file']!r}); print('IPython' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


# -- at a prompt ------------------------------------------------------------------------------------------------------


class Prompt:
    """IPython in a terminal."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        command = ["-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-banner", "--no-confirm-exit"]
        environment = os.environ | {"IPYTHONDIR": str(folder), "NO_COLOR": "1", "TERM": "dumb"}
        self.child = pexpect.spawn(
            sys.executable, command, env=environment, encoding="utf-8", timeout=20, echo=False, dimensions=(50, 200)
        )
        self.child.expect(r"In \[1\]: ")
        self.type("import ipclusterz")
        self.type(f"rc = ipclusterz.Client({cluster.report['client_file']!r})")
        self.type("dv = rc[:]; dv.block = True; dv.activate()")

    def type(self, line: str) -> str:
        """Type a line, and wait for the next prompt; what was shown until then."""
        self.child.sendline(line)
        return self.shown()

    def shown(self) -> str:
        self.child.expect(r"(In \[\d+\]|   \.\.\.): ")
        return str(self.child.before).replace("\r", "")

    def end(self) -> None:
        self.child.sendline("exit")
        self.child.expect(pexpect.EOF)
        self.child.close()


@pytest.fixture
def prompt(cluster: Cluster, rc: Client, tmp_path: Path) -> Iterator[Prompt]:
    prompt = Prompt(cluster, tmp_path / "ipython")
    yield prompt
    prompt.end()


def test_ctrl_c_stops_the_engines_and_gives_the_prompt_back(prompt: Prompt, rc: Client) -> None:
    rc[:]["kept"] = 1
    prompt.child.sendline("%px print('running'); exec('while True: pass')")
    for _ in range(4):
        prompt.child.expect(r"\[stdout:\d\] running")
    begin = time.monotonic()
    prompt.child.sendintr()
    shown = prompt.shown()
    assert time.monotonic() - begin < 3
    assert [f"[{k}:execute]: KeyboardInterrupt" in shown for k in range(4)] == [True] * 4
    assert "Out[" in prompt.type("%px kept + 1")


def test_ctrl_c_gives_up_what_was_not_begun(prompt: Prompt, rc: Client, gate: Path) -> None:
    running = rc[1].apply_async(hold, str(gate), "busy")
    until(lambda: running.stdout)
    prompt.child.sendline("%px print('running'); exec('while True: pass')")
    for _ in range(3):
        prompt.child.expect(r"\[stdout:\d\] running")
    prompt.child.sendintr()
    shown = prompt.shown()
    assert "[0:execute]: KeyboardInterrupt" in shown
    assert "[1:execute]: AbortedError" in shown
    # What others run on that engine is not interrupted.
    gate.touch()
    assert running.get(10) > 0


STUBBORN = """
import os, time
print("running")
while not os.path.exists(gate):
    try:
        time.sleep(0.01)
    except KeyboardInterrupt:
        print("no")
"""


def test_ctrl_c_with_code_that_does_not_stop(prompt: Prompt, rc: Client, gate: Path) -> None:
    rc[:]["gate"] = str(gate)
    rc[0, 1, 3]["code"] = "pass"
    rc[2]["code"] = STUBBORN
    prompt.child.sendline("%px exec(code)")
    prompt.child.expect(r"\[stdout:2\] running")
    prompt.child.sendintr()
    prompt.child.expect(r"\[stdout:2\] no")
    shown = prompt.shown()
    assert "[2:execute]: TimeoutError: the code has not stopped and goes on" in shown
    assert "client.shutdown([2])" in shown
    gate.touch()
    assert "Out[" in prompt.type("%px 1 + 1")


def test_autopx_with_cells_of_many_lines(prompt: Prompt, rc: Client) -> None:
    assert "Auto Parallel Enabled" in prompt.type("%autopx")
    for line in ("for i in range(3):", "    total = undefined_here = i", "    print(total)"):
        prompt.type(line)
    shown = prompt.type("")
    assert sorted(shown.split("\n")[:12]) == sorted(f"[stdout:{k}] {i}" for k in range(4) for i in range(3))
    for line in ("def f(x):", "    return x * undefined_here"):
        prompt.type(line)
    prompt.type("")
    assert "Out[3:" in prompt.type("f(21)")
    assert "Auto Parallel Disabled" in prompt.type("%autopx")
    assert rc[:].apply_bound(lambda: f(2)).get() == [4] * 4  # type: ignore[name-defined] # noqa: F821


def test_errors_say_where_they_happened(dv: DirectView, fail: Run) -> None:
    shown = fail("%%px\ndef h():\n    return 1 / 0\nh()")
    assert (shown.stdout + shown.stderr).count(", in h") == 1
    assert "[0:execute]:\n[1:execute]:\n[2:execute]:\n[3:execute]:\n-----" in shown.stdout + shown.stderr


def test_a_second_ctrl_c_does_not_wait(prompt: Prompt, rc: Client, gate: Path) -> None:
    rc[:]["gate"] = str(gate)
    rc[:]["code"] = STUBBORN
    prompt.child.sendline("%px exec(code)")
    prompt.child.expect(r"\[stdout:2\] running")
    prompt.child.sendintr()
    prompt.child.expect(r"\[stdout:2\] no")
    prompt.child.sendintr()
    shown = prompt.shown()
    assert "[2:execute]: TimeoutError: the code has not stopped and goes on" in shown
    assert "follow.py" not in shown
    gate.touch()


def test_leaving_ipython_from_autopx(prompt: Prompt) -> None:
    prompt.type("%autopx")
    prompt.child.sendline("exit")
    prompt.child.expect(pexpect.EOF)
