"""A notebook with the magics, rich output and progress bars in a real Jupyter kernel."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from frontends import KERNEL
from helpers import until

from ipclusterz import Client, Cluster


@pytest.fixture
def notebook(jupyter: Path, cluster: Cluster, rc: Client) -> Callable[..., list[Any]]:
    """Executes cells in one kernel with an activated view: the outputs of each, and the notebook's metadata."""
    import nbformat
    from nbclient import NotebookClient

    def execute(*cells: str) -> list[Any]:
        first = (
            f"import ipclusterz\nrc = ipclusterz.Client({cluster.report['client_file']!r})\n"
            "dv = rc[:]; dv.block = True; dv.activate()"
        )
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (first, *cells)])
        NotebookClient(made, kernel_name=KERNEL, timeout=60, allow_errors=True).execute()
        assert made.cells[0].outputs == []
        return [*(cell.outputs for cell in made.cells[1:]), made.metadata]

    return execute


def text_of(outputs: list[Any], name: str = "stdout") -> str:
    """What a cell wrote."""
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == name)


def rich(outputs: list[Any], mime: str) -> list[str]:
    """What a cell displayed in one form."""
    return [output.data[mime] for output in outputs if "data" in output and mime in output.data]


def failed(outputs: list[Any]) -> bool:
    return any(output.output_type == "error" for output in outputs)


FIGURE = """%%px
import matplotlib.pyplot as plt
print('drawing')
plt.plot([1, 2, 3])
"""


@pytest.mark.parametrize("inline", ["", "%px %matplotlib inline"])
def test_figures(notebook: Callable[..., list[Any]], inline: str) -> None:
    _, figure, closed, shown, _ = notebook(
        inline,
        FIGURE,
        "%px len(plt.get_fignums())",
        "%%px --targets 1\nplt.plot([3, 2])\nplt.show()\nprint('behind')",
    )
    assert not any(map(failed, (figure, closed, shown)))
    images = rich(figure, "image/png")
    assert len(images) == 4
    assert {image[:11] for image in images} == {"iVBORw0KGgo"}
    assert {f"[output:{k}]" for k in range(4)} <= set(text_of(figure).splitlines())
    assert len(re.findall(r"^Out\[\d:\d+\]: 0$", text_of(closed), re.M)) == 4
    kinds = [kind for kind, _ in groupby(output.get("name", output.output_type) for output in shown)]
    assert kinds == ["stdout", "display_data", "stdout"]


def test_a_figure_as_value(notebook: Callable[..., list[Any]]) -> None:
    outputs, _ = notebook(f"{FIGURE.replace('px', 'px --targets 0:2')}\nfigure = plt.gcf()\nplt.close()\nfigure")
    assert len(rich(outputs, "image/png")) == 2
    assert re.search(r"^Out\[1:\d+\]:$", text_of(outputs), re.M)


def test_tables_and_html(notebook: Callable[..., list[Any]]) -> None:
    table, html, results, history, _ = notebook(
        "%%px\nimport pandas\npandas.DataFrame({'column': [1, 2]})",
        "%%px\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>bold</b>'))\nprint('<&>')",
        "rc.execute('pandas.DataFrame({\"<\": [1]})', block=True)",
        "%result",
    )
    tables = rich(table, "text/html")
    assert len(tables) == 4
    assert all("column" in each and "<table" in each for each in tables)
    assert rich(table, "text/plain")[0].split() == ["column", "0", "1", "1", "2"]
    assert rich(html, "text/html") == ["<b>bold</b>"] * 4
    assert "[stdout:2] <&>\n" in text_of(html)
    for outputs in (results, history):
        (shown,) = rich(outputs, "text/html")
        assert shown.count("<pre") >= 4
        (text,) = rich(outputs, "text/plain")
        assert text.startswith("<Results List>\n[0] In [")
        assert "\x1b" not in text
    assert rich(results, "text/html")[0].count('class="dataframe"') == 4
    assert "DataFrame({&quot;&lt;&quot;: [1]})" in rich(results, "text/html")[0]


def test_magics(notebook: Callable[..., list[Any]], rc: Client) -> None:
    imported, assigned, value, later, error, config, _ = notebook(
        "%px import os",
        "%%px\na = 6\nprint('said')",
        "%px a * 7",
        "%%px --noblock --out later\na",
        "%px a / 0",
        "%pxconfig",
    )
    assert rich(imported, "text/plain") == ["{0: None, 1: None, 2: None, 3: None}"]
    assert "Parallel execution on engines: [0, 1, 2, 3]\n" in text_of(assigned)
    assert "[stdout:3] said\n" in text_of(assigned)
    assert rich(assigned, "text/plain") == []
    assert len(re.findall(r"^Out\[\d:\d+\]: 42$", text_of(value), re.M)) == 4
    assert "Result" in rich(later, "text/plain")[0]
    assert error[-1].ename == "CompositeError"
    assert "[3:execute]: ZeroDivisionError: division by zero" in "\n".join(error[-1].traceback)
    assert "block: True" in text_of(config)


def test_autopx(notebook: Callable[..., list[Any]], rc: Client) -> None:
    enabled, _, called, displayed, timed, _, not_waiting, disabled, here, _ = notebook(
        "%autopx",
        "def f(x):\n    return x + there\n\nthere = 1",
        "print(f(1))\nf(2)",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))",
        "%%timeit -n1 -r1\nf(3)",
        "%pxconfig --noblock",
        "y = f(4)",
        "%autopx",
        "[name for name in ('f', 'there', 'y') if name in globals()]",
    )
    assert text_of(enabled) == "Auto Parallel Enabled\nType %autopx to disable\n"
    assert "[stdout:3] 2\n" in text_of(called)
    assert len(re.findall(r"^Out\[\d:\d+\]: 3$", text_of(called), re.M)) == 4
    assert rich(displayed, "text/html") == ["<b>x</b>"] * 4
    assert text_of(timed).count("per loop") == 4
    assert "Result" in text_of(not_waiting)
    assert text_of(disabled) == "Auto Parallel Disabled\n"
    assert rich(here, "text/plain") == ["[]"]
    assert rc[:]["y"] == dict.fromkeys(range(4), 5)


def test_progress(notebook: Callable[..., list[Any]]) -> None:
    outputs, metadata = notebook("rc[None].map_async(abs, range(100), chunksize=10).wait_interactive()")
    assert not failed(outputs)
    assert len(rich(outputs, "application/vnd.jupyter.widget-view+json")) == 1
    widgets = metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    (bar,) = [widget["state"] for widget in widgets if widget["model_name"] == "FloatProgressModel"]
    assert bar["value"] == bar["max"] == 100


def test_output_of_tasks_goes_to_the_cell_that_waits(notebook: Callable[..., list[Any]]) -> None:
    called, submitted, waited, _ = notebook(
        "def say(x):\n    print('said', x)\nresult = dv.map_async(say, range(2)); result.get(); result.get()",
        "asked = dv.map_async(say, [7])",
        "asked.get()",
    )
    assert sorted(text_of(called).splitlines()) == ["[stdout:0] said 0", "[stdout:1] said 1"]
    assert text_of(submitted) == ""
    assert text_of(waited) == "[stdout:0] said 7\n"


@pytest.fixture
def kernel(jupyter: Path, cluster: Cluster, rc: Client) -> Iterator[tuple[Any, Any]]:
    """A kernel to talk to: its manager and its client."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name=KERNEL)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def test_the_stop_button(kernel: tuple[Any, Any], cluster: Cluster, rc: Client) -> None:
    manager, client = kernel
    client.execute_interactive(
        f"import ipclusterz\nrc = ipclusterz.Client({cluster.report['client_file']!r})", timeout=30
    )
    request = client.execute("%px print('running'); exec('while True: pass')")
    running: set[str] = set()
    error: list[Any] = []
    stopped = 0.0
    while not error:
        message = client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] == "stream":
            running |= set(re.findall(r"\[stdout:\d\] running", message["content"]["text"]))
            if len(running) == 4 and not stopped:
                stopped = time.monotonic()
                manager.interrupt_kernel()
        elif message["msg_type"] == "error":
            error.append(message["content"])
    assert time.monotonic() - stopped < 3
    assert error[0]["ename"] == "CompositeError"
    assert "[3:execute]: KeyboardInterrupt" in "\n".join(error[0]["traceback"])
    assert rc[:].apply_sync(abs, -1) == dict.fromkeys(range(4), 1)


def executed(client: Any, code: str, seen: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Run a cell, show what it writes and displays as it comes, and return the reply."""
    reply: dict[str, Any] = client.execute_interactive(code, timeout=40, output_hook=seen)
    return reply["content"]  # type: ignore[no-any-return]


def test_a_cluster_from_a_cell(kernel: tuple[Any, Any]) -> None:
    _, client = kernel
    shown: list[dict[str, Any]] = []
    first = (
        "import ipclusterz as ipz, asyncio\nassert asyncio.get_running_loop().is_running()\n"
        "started = ipz.Cluster(2).start(); rc = started.connect_client()\nrc[:].apply_sync(abs, -1)"
    )
    for cell in (first, "started", "rc", "rc[:]", "rc[0].apply_async(abs, -1)"):
        assert executed(client, cell, shown.append)["status"] == "ok", shown
    second = "started.stop()\nasync with ipz.Cluster(1) as rc:\n    print(await rc[:].apply_async(abs, -1))"
    assert executed(client, second, shown.append)["status"] == "ok", shown
    results = [message["content"]["data"] for message in shown if message["msg_type"] == "execute_result"]
    assert results[0]["text/plain"] == "{0: 1, 1: 1}"
    assert ["<table>" in result.get("text/html", "") for result in results] == [False, True, True, True, True]
    written = [message["content"] for message in shown if message["msg_type"] == "stream"]
    assert [(content["name"], content["text"]) for content in written] == [("stdout", "[1]\n")]


def test_the_stop_button_ends_a_start(kernel: tuple[Any, Any], tmp_path: Path) -> None:
    """What a slow start waits for is shown; afterwards nothing of it is left, as the check of each test sees."""
    manager, client = kernel
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    shown: list[str] = []

    def stop(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            shown.append(message["content"]["text"])
            if "begun" in shown[-1]:
                manager.interrupt_kernel()

    begun = "import ipclusterz as ipz, threading\nthreading.Timer(1, print, ['begun']).start()"
    cell = f"{begun}\nipz.Cluster(1, python={str(slow)!r}).start()"
    reply = executed(client, cell, stop)
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert executed(client, "ipz.Cluster(1).start().stop()", stop)["status"] == "ok"


def test_a_kernel_that_ends_takes_along_what_engines_have_not_begun(
    notebook: Callable[..., list[Any]], rc: Client, gate: Path
) -> None:
    holds = (
        "import os, time\n"
        "def hold(gate):\n"
        "    while not os.path.exists(gate):\n"
        "        time.sleep(0.005)\n"
        f"calls = [dv.apply_async(hold, {str(gate)!r}) for number in range(5)]"
    )
    outputs, _ = notebook(holds)
    assert not failed(outputs)
    until(lambda: max(engine["queue"] for engine in rc.status()["engines"]) <= 1)


def test_output_of_a_future_goes_to_the_cell_that_made_it(
    kernel: tuple[Any, Any], cluster: Cluster, rc: Client, gate: Path
) -> None:
    _, client = kernel
    made = client.execute(
        f"import ipclusterz\nrc = ipclusterz.Client({cluster.report['client_file']!r})\n"
        f"def late():\n    import os, time\n    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        "    print('late')\nfuture = rc[0].executor.submit(late)"
    )
    later = client.execute(
        f"from concurrent.futures import wait\nopen({str(gate)!r}, 'w').close(); done = wait([future])"
    )
    texts = {made: "", later: ""}
    while True:
        message = client.get_iopub_msg(timeout=30)
        cell, content = message["parent_header"].get("msg_id"), message["content"]
        if message["msg_type"] == "stream":
            texts[cell] += content["text"]
        elif cell == later and content.get("execution_state") == "idle":
            break
    assert texts == {made: "[stdout:0] late\n", later: ""}
