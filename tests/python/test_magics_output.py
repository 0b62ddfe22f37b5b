"""What `%px` and `%%px` show: prints, displays and values of several engines, in their order; and `%result`."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from cells import ALL, Run
from helpers import until
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from ipclusterz import Client, CompositeError, DirectView


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
