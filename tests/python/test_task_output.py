"""What tasks write: shown while somebody waits, once, behind the engine's name, unless it is to be quiet; bounded."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import as_completed, wait
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import joblib
import pytest
from cells import Run
from helpers import hold, until

import ipclusterz.joblib
from ipclusterz import AsyncResult, Client, Cluster, DirectView
from ipclusterz.words import printable

Captured = pytest.CaptureFixture[str]


def say(number: int) -> int:
    print("said", number)
    print("warned", number, file=sys.stderr)
    return number


def awaited(result: AsyncResult) -> Any:
    async def get() -> Any:
        return await result

    return asyncio.run(get())


def by_joblib(rc: Client) -> Any:
    with joblib.parallel_config(backend="ipclusterz", view=rc[None]):
        return joblib.Parallel()(joblib.delayed(say)(number) for number in range(3))


def by_executor(rc: Client, use: Callable[[Any], Any]) -> Any:
    with rc[None].executor as executor:
        return use(executor)


WAYS: dict[str, Callable[[Client], Any]] = {
    "client.map": lambda rc: rc.map(say, range(3)),
    "direct.map_sync": lambda rc: rc[:3].map_sync(say, range(3)),
    "balanced.map_sync": lambda rc: rc[None].map_sync(say, range(3)),
    "unordered": lambda rc: sorted(rc[None].map_async(say, range(3), ordered=False)),
    "iteration": lambda rc: list(rc[None].map_async(say, range(3))),
    "one by one": lambda rc: [rc[None].map_async(say, [number])[0] for number in range(3)],
    "imap": lambda rc: list(rc.imap(say, range(3))),
    "imap as it comes": lambda rc: sorted(rc.imap(say, range(3), ordered=False)),
    "apply_sync": lambda rc: [rc[number].apply_sync(say, number) for number in range(3)],
    "apply": lambda rc: [rc.apply(say, (number,), targets=None, block=True) for number in range(3)],
    "get": lambda rc: [rc[None].apply_async(say, number).get() for number in range(3)],
    "wait": lambda rc: [rc[None].apply_async(say, number).wait() and number for number in range(3)],
    "result": lambda rc: [rc[None].apply_async(say, number).result(20) for number in range(3)],
    "successes": lambda rc: [row.value for row in rc[None].map_async(say, range(3)).successes()],
    "barrier": lambda rc: rc.barrier([rc[None].map_async(say, range(3))]) or [0, 1, 2],
    "await": lambda rc: awaited(rc[None].map_async(say, range(3))),
    "remote": lambda rc: list(map(rc.remote(block=True)(say), range(3))),
    "parallel": lambda rc: rc.parallel(block=True)(say).map(range(3)),
    "executor.map": lambda rc: by_executor(rc, lambda executor: list(executor.map(say, range(3)))),
    "executor.submit": lambda rc: by_executor(
        rc, lambda executor: [executor.submit(say, n).result() for n in range(3)]
    ),
    "executor's end": lambda rc: (
        by_executor(rc, lambda executor: [executor.submit(say, n) for n in range(3)]) and [0, 1, 2]
    ),
    "wait of futures": lambda rc: wait([rc[None].apply_async(say, n) for n in range(3)]) and [0, 1, 2],
    "as_completed": lambda rc: sorted(
        f.result() for f in as_completed([rc[None].apply_async(say, n) for n in range(3)])
    ),
    "joblib": by_joblib,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_tasks_write_is_shown_once_behind_their_engine(rc: Client, capsys: Captured, way: str) -> None:
    assert WAYS[way](rc) == [0, 1, 2]
    shown = capsys.readouterr()
    for text, stream, said in ((shown.out, "stdout", "said"), (shown.err, "stderr", "warned")):
        assert sorted(re.sub(r":\d\]", ":n]", line) for line in text.splitlines()) == [
            f"[{stream}:n] {said} {number}" for number in range(3)
        ]
    rc.quiet = True
    assert WAYS[way](rc) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_quiet(cluster: Cluster, rc: Client, capsys: Captured) -> None:
    view, lview = rc[:2], rc[None]
    for call in (rc.map, view.map_sync, lview.map_sync):
        call(say, range(2), quiet=True)
    assert list(view.imap(say, range(2), quiet=True)) == list(lview.imap(say, range(2), quiet=True))
    result = lview.map_async(say, range(2), quiet=True)
    assert result.quiet
    result.get()
    view.quiet = True
    view.apply_sync(say, 1)
    view.remote(targets=0, block=True)(say)(1)
    with view.executor as executor:
        list(executor.map(say, range(2)))
    with joblib.parallel_config(backend="ipclusterz", view=view):
        joblib.Parallel()(joblib.delayed(say)(number) for number in range(2))
    one = rc[0].apply_async(say, 1)
    one.quiet = True
    one.get()
    with ipclusterz.Client(cluster.report["client_file"], quiet=True) as quiet:
        quiet[0].apply_sync(say, 1)
        assert capsys.readouterr() == ("", "")
        loud = quiet[0]
        loud.quiet = False
        loud.apply_sync(say, 1)
    view.map_sync(say, [2], quiet=False)
    assert capsys.readouterr().out == "[stdout:0] said 1\n[stdout:0] said 2\n"


class Shown(StringIO):
    """Standard output while a call waits in another thread."""

    def within(self, text: str) -> None:
        until(lambda: text in self.getvalue(), 20, self.getvalue)


@pytest.mark.parametrize("way", ["get", "executor", "joblib", "with a bar"])
def test_it_appears_while_the_task_runs(rc: Client, gate: Path, way: str) -> None:
    ways: dict[str, Callable[[], Any]] = {
        "get": lambda: rc[2].apply_async(hold, str(gate), "begun").get(),
        "executor": lambda: by_executor(rc, lambda executor: executor.submit(hold, str(gate), "begun")),
        "joblib": lambda: joblib.Parallel()([joblib.delayed(hold)(str(gate), "begun")] * 2),
        "with a bar": lambda: rc[2].apply_async(hold, str(gate), "begun").wait_interactive(),
    }
    shown = Shown()
    with redirect_stdout(shown), joblib.parallel_config(backend="ipclusterz", view=rc[None]):
        opener = threading.Thread(target=lambda: (shown.within("] begun\n"), gate.touch()))
        opener.start()
        ways[way]()
        opener.join()
    assert set(re.sub(r"\d", "n", shown.getvalue()).splitlines()) == {"[stdout:n] begun"}


def test_it_comes_before_the_value_and_each_wait_shows_what_is_new(rc: Client, gate: Path, capsys: Captured) -> None:
    running = rc[1].apply_async(hold, str(gate), "begun")
    until(lambda: running.stdout)
    repr(running), running.metadata, running.stdout, running.ready()
    assert capsys.readouterr() == ("", "")
    assert not running.wait(0)
    assert not running.wait(0.01)
    assert capsys.readouterr().out == "[stdout:1] begun\n"
    gate.touch()
    running.get()
    running.get()
    assert capsys.readouterr().out == ""
    finished = rc[1].apply_async(say, 1)
    wait_silently(finished)
    repr(finished), finished.successful()
    assert capsys.readouterr().out == ""
    assert finished.get() == 1
    assert capsys.readouterr().out == "[stdout:1] said 1\n"


def wait_silently(result: AsyncResult) -> None:
    until(result.ready)


def test_unfinished_lines_end_where_the_wait_ends(rc: Client, capsys: Captured) -> None:
    def dots() -> None:
        for _ in range(3):
            print(".", end="", flush=True)

    rc[0].apply_sync(dots)
    rc[:2].apply_sync(dots)
    print("next")
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["[stdout:0] ...", "[stdout:0] ...", "[stdout:1] ...", "next"]
    assert lines[-1] == "next"


def test_what_has_its_own_way_is_shown_once(rc: Client, capsys: Captured) -> None:
    first = rc[0].apply_async(say, 1)
    first.wait()
    first.display_outputs()
    assert capsys.readouterr().out == "[stdout:0] said 1\n"
    first.display_outputs()
    assert capsys.readouterr().out == "[stdout:0] said 1\n", "again, when asked again"
    second = rc[0].apply_async(say, 2)
    second.display_outputs("type")
    second.get()
    assert capsys.readouterr().out == "[stdout:0] said 2\n"
    rc[:2].execute("print('cell')", block=True)
    rc[:2].execute("print('cell')", block=False).get()
    assert capsys.readouterr().out == "", "the reply shows it"
    third = rc[0].apply_async(say, 3)
    with third.stream_output():
        third.wait()
    third.get()
    assert capsys.readouterr().out == "[stdout:0] said 3\n"


def test_stream_output(rc: Client, gate: Path, capsys: Captured) -> None:
    code = f"print('begun')\nimport os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\nprint('done')"
    shown = Shown()
    with redirect_stdout(shown):
        cell = rc[3].execute(code, block=False)
        with cell.stream_output() as same:
            assert same is cell
            shown.within("[stdout:3] begun\n")
            assert "done" not in shown.getvalue()
            gate.touch()
            cell.wait()
        with cell.stream_output():
            pass
        assert cell.get().stdout == "begun\ndone\n"
    assert shown.getvalue() == "[stdout:3] begun\n[stdout:3] done\n"
    quiet = rc[0].apply_async(say, 1)
    quiet.quiet = True
    with quiet.stream_output():
        wait_silently(quiet)
    assert quiet.quiet
    assert capsys.readouterr().out == "[stdout:0] said 1\n"


def test_figures_are_shown_by_stream_output(rc: Client, capsys: Captured) -> None:
    cell = rc[0].execute(
        "from IPython.display import HTML, display; display(HTML('<b>')); print('behind')", block=False
    )
    with cell.stream_output():
        cell.wait()
    html = "<IPython.core.display.HTML object>"
    assert capsys.readouterr().out == f"[output:0]\n{html}\n[stdout:0] behind\n"


def test_cells_of_an_ipython(dv: DirectView, run: Run) -> None:
    run("def say(x):\n    print('said', x)")
    assert run("ar = rc[0].apply_async(say, 1)").stdout == ""
    assert run("ar.get()").stdout == "[stdout:0] said 1\n"
    assert run("ar.get()").stdout == ""
    assert run("ar.display_outputs()").stdout == "[stdout:0] said 1\n", "in another cell"
    assert run("ar = rc[0].apply_async(say, 2); ar.wait(); ar.display_outputs()").stdout == "[stdout:0] said 2\n"
    assert run("%px --targets 0 print('x')").stdout.count("[stdout:0] x\n") == 1


def test_streams_of_a_script(cluster: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, warnings\nimport ipclusterz as ipz\nrc = ipz.Client(sys.argv[1])\n"
        "def work(x):\n    import numpy as np\n    print('out', x)\n    return float(np.log(np.float64(x)))\n"
        "print(rc[:2].map_sync(work, [0.0, 1.0]))\n"
    )
    command = [sys.executable, script, cluster.report["client_file"]]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    *shown, value = ended.stdout.splitlines()
    assert (sorted(shown), value) == (["[stdout:0] out 0.0", "[stdout:1] out 1.0"], "[-inf, 0.0]")
    assert re.search(r"^\[stderr:0\] .*RuntimeWarning: divide by zero", ended.stderr, re.M)
    closed = subprocess.run(["bash", "-c", '"$@" >&- 2>&-', "_", *map(str, command)], timeout=30)
    assert closed.returncode == 0, "no streams, and no error"


def test_a_flood_is_cut(rc: Client, capsys: Captured) -> None:
    def flood() -> int:
        for _ in range(100):
            print("x" * 1_000_000)
        return 1

    begin = time.monotonic()
    result = rc[None].map_async(lambda _: flood(), range(8), chunksize=1)
    assert result.get() == [1] * 8
    assert time.monotonic() - begin < 20
    shown = capsys.readouterr()
    assert len(shown.out) < 8 << 20
    assert re.search(r"^\[\d+ characters of output are not shown: they came too fast\]$", shown.err, re.M)
    kept = 0
    for text in result.stdout:
        assert len(text) >= 64 << 10
        kept += len(text)
    assert kept < 130 << 20, "no more than results keep together"
    cut = [text for text in result.stdout if len(text) != 100_000_100]
    assert len(cut) >= 7
    for text in cut:
        assert re.search(r"\n\[\d+ bytes of output were (left out: it came too fast|not kept: .*)\]\n$", text)
    assert rc[0].apply_sync(say, 1) == 1


def test_what_a_terminal_must_not_get(rc: Client, capsys: Captured) -> None:
    assert printable("plain ü text\tß", colours=True) == "plain ü text\tß"
    assert printable("\x1b[31mred", colours=True) == "\x1b[31mred\x1b[0m"
    assert printable("\x1b[1;32mgreen\x1b[0m", colours=True) == "\x1b[1;32mgreen\x1b[0m"
    assert printable("\x1b[2J\x1b[1Aup", colours=True) == "up"
    assert printable("\x1b]0;title\x07\x9b", colours=True) == r"\x1b]0;title\x07\x9b"
    rc[0].apply_sync(print, "\x1b]0;title\x07\x1b[2Jtext\x00")
    assert capsys.readouterr().out == "[stdout:0] \\x1b]0;title\\x07text\\x00\n"


def test_engines_of_balanced_tasks_are_named_while_they_run(rc: Client, gate: Path) -> None:
    shown = Shown()
    with redirect_stdout(shown):
        result = rc[None].map_async(hold, [str(gate)] * 4, ["begun"] * 4, chunksize=1)
        opener = threading.Thread(target=lambda: (until(lambda: shown.getvalue().count("\n") == 4, 20), gate.touch()))
        opener.start()
        result.get()
        opener.join()
    assert sorted(shown.getvalue().splitlines()) == [f"[stdout:{engine}] begun" for engine in range(4)]
