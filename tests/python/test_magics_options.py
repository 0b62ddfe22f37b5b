"""Short options of the magics, variables in them, `%pxresult`, progress, and errors as they come."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import Prompt, Run
from helpers import hold, until
from IPython.core.interactiveshell import InteractiveShell

from ipclusterz import AsyncResult, Client, CompositeError, DirectView
from ipclusterz.client.options import RESULT, RUN, BadOption, Options, parse


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("-a", Options(block=False)),
        ("-b -t 0", Options(block=True, targets=0)),
        ("-t0,2 -o x", Options(targets=[0, 2], out="x")),
        ("-t [1, 2] -e", Options(targets=[1, 2], group="engine")),
        ("-r", Options(group="order")),
        ("--progress-after 2.5 --signal-on-interrupt SIGTERM", Options(progress_after=2.5, signal=15)),
        ("--progress-after -1 --signal-on-interrupt=0", Options(progress_after=-1, signal=0)),
        ("--signal-on-interrupt USR1", Options(signal=10)),
    ],
)
def test_options(text: str, options: Options) -> None:
    assert parse(text, RUN, letters=True) == (options, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-a -b", "--block and --noblock contradict each other"),
        ("-e -r", "--group-outputs is given twice"),
        ("--progress-after soon", "--progress-after soon is no number of seconds"),
        ("--signal-on-interrupt SIGNAL", "--signal-on-interrupt SIGNAL is no signal"),
        ("--signal-on-interrupt 999", "--signal-on-interrupt 999 is no signal"),
    ],
)
def test_bad_options(text: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        parse(text, RUN, letters=True)
    with pytest.raises(BadOption, match="no option --noblock"):
        parse("-a", RESULT, letters=True)


def test_short_options_are_code_in_a_line(dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    dv["a"] = 3
    assert "Out[0:" in run("%px -a + 1").stdout
    ran = run("%%px -t 1 -o answer -a\n-a")
    assert isinstance(ran.value, AsyncResult)
    assert shell.user_ns["answer"].get(10).result == "-3"


def test_variables_in_options(dv: DirectView, shell: InteractiveShell, run: Run) -> None:
    shell.user_ns.update(ids=[0, 2], k=1)
    for text, engines in (("{ids}", [0, 2]), ("{k + 2}", [3]), ("$k", [1]), ("{k}:", [1, 2, 3])):
        for cell in (f"%px --targets {text} x = {{1}}", f"%%px -t {text}\nx = {{1}}", f"%%px --targets={text}\n1"):
            assert run(cell).stdout.startswith(f"Parallel execution on engines: {engines}\n")


def test_result_of_the_last_one(dv: DirectView, shell: InteractiveShell, run: Run, fail: Run) -> None:
    assert "there was none" in fail("%pxresult").stderr
    run("%%px -a\nprint('said')\n6 * 7")
    shown = run("%pxresult").stdout
    assert shown.startswith("[stdout:0] said\n[stdout:1] said\n")
    assert shown.count(": 42") == 4
    by_engine = run("%pxresult -e").stdout
    assert by_engine.startswith("[stdout:0] said\nOut[0:")
    run("%pxresult -o kept")
    assert [reply.result for reply in shell.user_ns["kept"].get(10)] == ["42"] * 4
    run("%%px -a\n1 / 0")
    assert isinstance(fail("%pxresult").error, CompositeError)


def test_verbose_for_once(dv: DirectView, run: Run) -> None:
    assert run("%%px --no-verbose\nx = 1").stdout == ""
    run("%pxconfig --no-verbose")
    assert run("%%px --verbose -t 0\nx = 1").stdout == "Parallel execution on engines: [0]\n"


def test_an_engine_that_fails_says_so_at_once(dv: DirectView, rc: Client, prompt: Prompt, gate: Path) -> None:
    rc[:]["gate"] = str(gate)
    rc[:]["hold"] = hold
    dv.scatter("k", range(4), flatten=True)
    prompt.child.sendline("%px hold(gate) if k else 1 / 0")
    prompt.child.expect(r"\[0:execute\]: ZeroDivisionError: division by zero")
    assert not gate.exists()
    gate.touch()
    assert "CompositeError" in prompt.shown()


def test_progress_bar(dv: DirectView, run: Run) -> None:
    assert "4/4" in run("%%px --progress-after 0\nimport time; time.sleep(0.3)").stderr
    assert run("%%px --progress-after 30\npass").stderr == ""
    run("%pxconfig --progress-after 0")
    assert "progress after: 0 s" in run("%pxconfig").stdout
    assert "4/4" in run("%px import time; time.sleep(0.3)").stderr


def test_interrupt_that_lets_the_code_go_on(prompt: Prompt, rc: Client, gate: Path) -> None:
    rc[:]["gate"] = str(gate)
    rc[:]["hold"] = hold
    prompt.child.sendline("%px --targets 0 --signal-on-interrupt 0 print('running'); pid = hold(gate)")
    prompt.child.expect(r"\[stdout:0\] running")
    prompt.child.sendintr()
    assert "KeyboardInterrupt" in prompt.shown()
    gate.touch()
    until(lambda: rc[0].get("pid"))
