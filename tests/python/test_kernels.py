"""`bind_kernel`: engines as kernels, to which real frontends connect."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from frontends import Frontend, connected
from helpers import engine_pid, hold, until
from test_agent import CONTROLLER, Host

import ipclusterz as ipz
from ipclusterz import Client, Cluster, RemoteError
from ipclusterz import ipyparallel as ipp

pytestmark = pytest.mark.usefixtures("jupyter")


@pytest.fixture
def client(own_cluster: Callable[..., Cluster]) -> Iterator[Client]:
    """Of two engines, whose connection files go to the test's own folder."""
    with own_cluster(2).connect_client() as client:
        yield client


@pytest.fixture
def info(client: Client) -> dict[str, Any]:
    """How to connect to engine 0, which is a kernel."""
    return client[0].apply_sync(ipz.bind_kernel)


@pytest.fixture
def frontend(info: dict[str, Any]) -> Iterator[Frontend]:
    """Connected to engine 0."""
    with connected(info["connection_file"]) as frontend:
        yield frontend


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("kernel-*.json"))


def test_the_file_is_private_and_goes_with_the_engine(client: Client, jupyter: Path) -> None:
    first = client[:].apply_sync(ipz.bind_kernel)
    assert client[:].apply_sync(ipz.bind_kernel) == first
    assert files(jupyter) == sorted(Path(info["connection_file"]) for info in first.values())
    for path in files(jupyter):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ports = {first[0][f"{name}_port"] for name in ("shell", "iopub", "stdin", "control", "hb")}
    listens = psutil.Process(engine_pid(client, 0)).net_connections("tcp")
    assert {(one.laddr.ip, one.laddr.port) for one in listens if one.laddr.port in ports} == {
        ("127.0.0.1", port) for port in ports
    }
    # One that does nothing, and one that does something.
    client[1].apply_async(hold, str(jupyter / "never"))
    client.shutdown()
    until(lambda: not files(jupyter))


def test_cells_see_the_engine_and_the_engine_sees_cells(client: Client, frontend: Frontend) -> None:
    client[0].push({"a": 6}, block=True)
    assert frontend.texts("b = a * 7\nprint('said')\nb") == {"stdout": "said\n", "value": "42"}
    assert client[0].pull("b", block=True) == 42
    where = "import threading\nthreading.current_thread() is threading.main_thread(), __name__"
    assert frontend.texts(where)["value"] == "(True, '__main__')"
    count = client[0].execute("b + 1", block=True).execution_count
    reply, _ = frontend.run(f"Out[{count}], In[{count}]", user_expressions={"twice": "b * 2"})
    assert reply["execution_count"] == count + 1
    assert reply["user_expressions"]["twice"]["data"]["text/plain"] == "84"
    assert frontend.texts(f"Out[{count}]")["value"] == "43"
    assert client[0].get_result(count + 1, block=True).code.startswith("Out[")


def test_output_goes_to_whose_code_it_is(client: Client, frontend: Frontend, gate: Path) -> None:
    thread = (
        "import threading, time, os\ndef later():\n    print('begun')\n"
        f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.005)\n    print('thread')\n"
        "running = threading.Thread(target=later)\nrunning.start()"
    )
    frontend.run(thread)
    cell = client[0].apply_async(lambda gate: (print("task"), open(gate, "w").close()), str(gate))
    cell.get()
    assert cell.stdout == "task\n"

    def heard() -> bool:
        message = frontend.client.get_iopub_msg(timeout=20)
        return message["header"]["msg_type"] == "stream" and "thread" in message["content"]["text"]

    until(heard)
    assert frontend.texts("import sys\nprint('warned', file=sys.stderr)\nprint('\\udc80')") == {
        "stdout": "?\n",
        "stderr": "warned\n",
    }
    assert client[0].execute("print('px')", block=True).stdout == "px\n"


def test_displays_errors_and_much_text(frontend: Frontend) -> None:
    _, said = frontend.run(
        "from IPython.display import HTML, clear_output, display\nshown = display(HTML('<b>1</b>'), display_id='x')\n"
        "print('between')\nshown.update(HTML('<b>2</b>'))\nclear_output(wait=True)"
    )
    assert [kind for kind, _ in said] == ["display_data", "stream", "update_display_data", "clear_output"]
    assert [content["transient"] for _, content in said[:3:2]] == [{"display_id": "x"}] * 2
    assert said[2][1]["data"]["text/html"] == "<b>2</b>"
    reply, said = frontend.run("def f():\n    return 1 / 0\nf()")
    assert (reply["status"], reply["ename"], said[0][0]) == ("error", "ZeroDivisionError", "error")
    assert any("in f" in line for line in said[0][1]["traceback"])
    assert frontend.run("1 +")[0]["ename"] == "SyntaxError"
    lines = frontend.texts("for i in range(200_000): print('line', i)")["stdout"].splitlines()
    assert lines == [f"line {i}" for i in range(200_000)]
    assert frontend.run("exit")[0]["payload"] == [{"source": "ask_exit", "keepkernel": True}]


def test_what_is_typed_is_completed_and_explained(client: Client, frontend: Frontend, gate: Path) -> None:
    client[0].push({"answer_to_all": 42}, block=True)
    ask = frontend.client
    found = frontend.answer(ask.complete("1 + answer_t", 12))
    assert (found["matches"], found["cursor_start"], found["cursor_end"]) == (["answer_to_all"], 4, 12)
    told = frontend.answer(ask.inspect("answer_to_all", 3))
    assert told["found"]
    assert "42" in told["data"]["text/plain"]
    assert not frontend.answer(ask.inspect("nobody", 3))["found"]
    ends = [frontend.answer(ask.is_complete(code)) for code in ("if 1:", "1", "1 +* 2")]
    assert [each["status"] for each in ends] == ["incomplete", "complete", "invalid"]
    frontend.run("'first'")
    client[0].execute("'second'", block=True)
    for request in ({"hist_access_type": "tail", "n": 2}, {"hist_access_type": "search", "pattern": "'*'", "n": 5}):
        history = frontend.answer(ask.history(raw=True, output=False, **request))["history"]
        assert [cell[-1] for cell in history] == ["'first'", "'second'"]
    task = client[0].apply_async(hold, str(gate), "held")
    until(lambda: task.stdout)
    assert frontend.answer(ask.complete("answer_t", 8))["matches"] == []
    gate.touch()
    task.get()


def test_a_cell_waits_for_a_task_and_a_task_for_a_cell(client: Client, frontend: Frontend, gate: Path) -> None:
    task = client[0].apply_async(hold, str(gate), "held")
    until(lambda: task.stdout)
    cell = frontend.client.execute(f"import os\nthere = os.path.exists({str(gate)!r})")
    assert not task.wait(0.3)
    gate.touch()
    assert frontend.answer(cell)["status"] == "ok"
    assert client[0].pull("there", block=True)
    second = gate.with_name("second")
    loop = f"import os, time\nprint('begun')\nwhile not os.path.exists({str(second)!r}): time.sleep(0.005)\nx = 1"
    cell = frontend.client.execute(loop)
    until(lambda: frontend.client.get_iopub_msg(timeout=20)["header"]["msg_type"] == "stream")
    waiting = client[0].apply_async(lambda: __import__("__main__").x)
    assert not waiting.wait(0.3)
    second.touch()
    assert waiting.get(20) == 1
    assert frontend.answer(cell)["status"] == "ok"


def test_a_frontend_interrupts_its_cells_alone(client: Client, frontend: Frontend, gate: Path) -> None:
    cell = frontend.client.execute("import time\nprint('begun')\ntime.sleep(60)")
    until(lambda: frontend.client.get_iopub_msg(timeout=20)["header"]["msg_type"] == "stream")
    assert frontend.control("interrupt_request", {}) == {"status": "ok"}
    assert frontend.answer(cell)["ename"] == "KeyboardInterrupt"
    task = client[0].apply_async(hold, str(gate), "held")
    until(lambda: task.stdout)
    cell = frontend.client.execute("never = 1")
    until(lambda: "never" in frontend.client.get_iopub_msg(timeout=20)["content"].get("code", ""))
    assert frontend.control("interrupt_request", {}) == {"status": "ok"}
    assert frontend.answer(cell)["evalue"] == "the cell was interrupted before it began"
    assert frontend.control("interrupt_request", {}) == {"status": "ok"}
    gate.touch()
    assert isinstance(task.get(20), int)
    with pytest.raises(RemoteError, match="'never' is not defined"):
        client[0].pull("never", block=True)


def test_the_cluster_ends_an_engine_whose_cell_runs(client: Client, frontend: Frontend, jupyter: Path) -> None:
    assert frontend.control("shutdown_request", {"restart": False})["evalue"].startswith("engine 0 belongs to its cl")
    frontend.client.execute("import time\nprint('begun')\ntime.sleep(60)")
    until(lambda: frontend.client.get_iopub_msg(timeout=20)["header"]["msg_type"] == "stream")
    pid = engine_pid(client, 0)
    client.shutdown(0)
    until(lambda: not psutil.pid_exists(pid))
    until(lambda: not files(jupyter))


def test_input_asks_the_frontend(frontend: Frontend) -> None:
    def answer(message: dict[str, Any]) -> None:
        content = message["content"]
        frontend.client.input(f"{content['prompt']}{content['password']}")

    code = "import getpass\ngiven = input('name '), getpass.getpass('word ')"
    reply, _ = frontend.run(code, allow_stdin=True, stdin_hook=answer)
    assert reply["status"] == "ok"
    assert frontend.texts("given")["value"] == "('name False', 'word True')"
    assert frontend.run("input('?')", allow_stdin=False)[0]["ename"] == "EOFError"


def test_a_fork_of_a_cell_is_no_kernel(client: Client, frontend: Frontend, jupyter: Path) -> None:
    code = "import os\npid = os.fork()\nif pid: status = os.waitpid(pid, 0)[1]\n"
    frontend.run(code)
    assert frontend.texts("status")["value"] == "0"
    assert len(files(jupyter)) == 1


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stand-in of the Qt console was called with; with ``fail``, it says so."""
    program = tmp_path / "bin" / "jupyter-qtconsole"
    program.parent.mkdir()
    said = tmp_path / "called"
    program.write_text(
        f'#!/bin/sh\n[ "$3" = fail ] && {{ echo no display >&2; exit 3; }}\n'
        f'printf "%s\\n" "$@" > {said}.part\nmv {said}.part {said}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return said


def test_magics(console: Path, own_cluster: Callable[..., Cluster], jupyter: Path) -> None:
    with own_cluster(1).connect_client() as client:
        view = client[0]
        view.execute("%qtconsole --style 'solarized dark'", block=True)
        (file,) = files(jupyter)
        assert console.read_text().splitlines() == ["--existing", str(file), "--style", "solarized dark"]
        shown = view.execute("%connect_info", block=True).stdout
        assert f'"key": "{view.apply_sync(ipz.bind_kernel)["key"]}"' in shown
        assert str(file) in shown
        with pytest.raises(RemoteError, match="ended with status 3: no display"):
            view.execute("%qtconsole fail", block=True)
        with pytest.raises(RemoteError, match="pip install qtconsole"):
            view.execute("import os\nos.environ['PATH'] = '/nowhere'\n%qtconsole", block=True)
        assert files(jupyter) == [file]


def test_the_compatible_face(own_cluster: Callable[..., Cluster], jupyter: Path) -> None:
    with ipp.Client(own_cluster(2).report["client_file"]) as client:
        found = client[:].apply_sync(ipp.bind_kernel)
        assert sorted(Path(info["connection_file"]) for info in found) == files(jupyter)
        client[:].execute("from ipclusterz.ipyparallel import bind_kernel; info = bind_kernel()", block=True)
        assert client[:].pull("info", block=True) == found
        with pytest.raises(ipp.RemoteError, match="transport"):
            client[0].apply_sync(ipp.bind_kernel, transport="ipc")


def test_bad_calls(client: Client, jupyter: Path) -> None:
    with pytest.raises(RuntimeError, match="this process is none"):
        ipz.bind_kernel()
    with pytest.raises(RemoteError, match="not int"):
        client[0].apply_sync(ipz.bind_kernel, ip=5)
    with pytest.raises(RemoteError, match=r"(?s)cannot listen at '192\.0\.2\.1'.*0\.0\.0\.0") as caught:
        client[0].apply_sync(ipz.bind_kernel, ip="192.0.2.1")
    assert caught.value.ename == "ValueError"
    everywhere = client[0].apply_sync(ipz.bind_kernel, ip="0.0.0.0")
    assert everywhere["ip"] == "0.0.0.0"
    client[1].execute("import sys\nsys.modules['ipykernel'] = None", block=True)
    with pytest.raises(RemoteError, match="pip install ipykernel"):
        client[1].apply_sync(ipz.bind_kernel)
    assert len(files(jupyter)) == 1


@pytest.mark.parametrize("fork", [True, False])
def test_however_engines_start(own_cluster: Callable[..., Cluster], fork: bool) -> None:
    with own_cluster(2, **{"engines.fork": fork}).connect_client() as client:
        found = client[:].apply_sync(ipz.bind_kernel)
        for number, info in found.items():
            with connected(info["connection_file"]) as frontend:
                pid = frontend.texts("import os\nos.getpid()")["value"]
                assert int(pid) == engine_pid(client, number)


def test_engines_of_an_agent(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = own_cluster(n=1, listen="127.0.0.1:0", controller=CONTROLLER)
    host = Host(cluster, tmp_path)
    try:
        with cluster.connect_client() as client:
            until(lambda: len(client.ids) == 5, 30, host.log.read_text)
            client[2].push({"a": 5}, block=True)
            info = client[2].apply_sync(ipz.bind_kernel)
            with connected(info["connection_file"]) as frontend:
                assert frontend.texts("a") == {"value": "5"}
    finally:
        host.end()


def test_a_cell_may_be_a_client_of_its_own_cluster(frontend: Frontend) -> None:
    code = "import ipclusterz\nwith ipclusterz.Client() as rc:\n    found = rc[:].apply_sync(abs, -1)\nfound"
    assert frontend.texts(code)["value"] == "{0: 1, 1: 1}"
