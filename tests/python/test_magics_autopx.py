"""`%autopx`: cells that go to the engines as they are typed, in this process and at a prompt in a terminal."""

from __future__ import annotations

import re

import pexpect
from cells import ALL, Prompt, Run
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from ipclusterz import Client, CompositeError, DirectView


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


def test_leaving_ipython_from_autopx(prompt: Prompt) -> None:
    prompt.type("%autopx")
    prompt.child.sendline("exit")
    prompt.child.expect(pexpect.EOF)
