"""A cluster that has ended is taken up again: what was to be done is done once, and results are there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import until

from ipclusterz import Cluster, JournalLeft, _core

IPCLUSTERZ = Path(sys.executable).parent / "ipclusterz"
SECONDS = 50
TASKS = 12

# Submits tasks that each write a line when they run, and dies once one has run.
SUBMIT = """
import os, sys
from ipclusterz import Client
file, gate, folder, tasks = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def work(number, blob):
    import os, time
    with open(os.path.join(folder, f"ran-{number}"), "a") as file:
        file.write("x")
    while number >= 2 and not os.path.exists(gate):
        time.sleep(0.005)
    print("number", number)
    return number * len(blob)

rc = Client(file)
view = rc.load_balanced_view()
view.retries = int(sys.argv[5])
for number in range(tasks):
    ar = view.apply_async(work, number, b"x" * (300_000 if number % 3 == 0 else 10))
print(ar.msg_ids[0].split("-")[0], flush=True)
sys.stdin.readline()
os._exit(0)
"""


# Waits for its results, whatever becomes of the cluster meanwhile.
WAIT = """
import os, sys, time
from ipclusterz import Client

def work(number, gate):
    import os, time
    while number >= 2 and not os.path.exists(gate):
        time.sleep(0.005)
    return number

rc = Client(sys.argv[1])
view = rc.load_balanced_view()
view.retries = 1
calls = [view.apply_async(work, number, sys.argv[2]) for number in range(8)]
calls[0].get(timeout=30), calls[1].get(timeout=30)
print("under way", flush=True)
print([call.get(timeout=45) for call in calls], flush=True)
"""


def ipclusterz(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command, which is to end with this code."""
    done = subprocess.run([str(IPCLUSTERZ), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def said(*arguments: str) -> dict[str, Any]:
    """What the command says with `--json`."""
    value: dict[str, Any] = json.loads(ipclusterz(*arguments, "--json").stdout)
    return value


@pytest.fixture
def name() -> Iterator[str]:
    """A cluster's name; nothing is left of it in the end."""
    name = f"resume-{os.getpid()}"
    yield name
    subprocess.run([str(IPCLUSTERZ), "stop", "--discard", name], capture_output=True, timeout=SECONDS, check=False)
    assert not folder_of(name).exists()


@pytest.fixture
def start(name: str) -> Callable[..., dict[str, Any]]:
    """Starts it with two engines."""

    def start(*options: str) -> dict[str, Any]:
        return said("start", name, "-n", "2", "--daemonize", *options)

    return start


def folder_of(name: str) -> Path:
    return Path(os.environ["IPCLUSTERZ_HOME"]) / "clusters" / name


def ran(folder: Path) -> dict[int, int]:
    """How often each task has run."""
    return {int(file.name.split("-")[1]): len(file.read_text()) for file in folder.glob("ran-*")}


@pytest.fixture
def submit(name: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Has another process submit tasks, and die when two have ended; gives the name of its session."""
    programs: list[subprocess.Popen[str]] = []

    def submit(retries: int = 0) -> str:
        for earlier in tmp_path.glob("ran-*"):
            earlier.unlink()
        file = str(folder_of(name) / "client.json")
        arguments = [file, str(tmp_path / "open"), str(tmp_path), str(TASKS), str(retries)]
        program = subprocess.Popen(
            [sys.executable, "-c", SUBMIT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        programs.append(program)
        assert program.stdin is not None
        assert program.stdout is not None
        session = program.stdout.readline().strip()
        # Two are done, two run, and all others wait.
        until(lambda: len(ran(tmp_path)) == 4, SECONDS)
        until(lambda: states(name).get("ok") == 2, SECONDS)
        program.stdin.write("\n")
        program.stdin.close()
        program.wait(SECONDS)
        return session

    yield submit
    for program in programs:
        program.kill()
        program.wait()
        for pipe in (program.stdin, program.stdout):
            if pipe is not None:
                pipe.close()


def states(name: str) -> dict[str, int]:
    """How many tasks there are in each state."""
    tasks = said("tasks", "list", "--cluster", name)["tasks"]
    return {state: sum(task["state"] == state for task in tasks) for state in {task["state"] for task in tasks}}


def kill_all(name: str, report: dict[str, Any]) -> None:
    """End the launcher, its controller and its engines, as a power cut does."""
    pids = [report["launcher_pid"], report["controller_pid"], *(engine["pid"] for engine in report["engines"])]
    processes = [psutil.Process(pid) for pid in pids]
    # The first would start the second again.
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, SECONDS)


def test_a_stopped_cluster_goes_on_where_it_was(
    name: str, start: Callable[..., dict[str, Any]], submit: Callable[..., str], tmp_path: Path
) -> None:
    start()
    session = submit()
    stopped = ipclusterz("stop", name).stderr
    assert f"the journal of cluster {name!r}".replace("'", '"') in stopped
    assert f"{TASKS - 4} tasks to be done" in stopped
    assert f"`ipclusterz start --resume {name}`" in stopped
    # Nobody else gets its name by chance.
    refused = ipclusterz("start", name, "-n", "1", code=8).stderr
    assert f"{TASKS - 4} tasks to be done" in refused
    assert "--discard" in refused
    assert json.loads(ipclusterz("start", name, "-n", "1", "--json", code=8).stdout)["error"]["kind"] == "journal_left"
    assert name in ipclusterz("gc").stderr
    assert "has left a journal" in ipclusterz("tasks", "list", "--cluster", name, code=3).stderr
    with pytest.raises(JournalLeft, match="tasks to be done"):
        Cluster(n=1, cluster=name).start()

    (tmp_path / "open").touch()
    start("--resume")
    waited = ipclusterz("tasks", "wait", "--cluster", name, "--session", session, "--timeout", "40", code=1)
    # Those that ran when their engines ended are lost; nothing has run twice.
    assert "2 tasks did not succeed" in waited.stderr
    assert states(name) == {"ok": TASKS - 2, "lost": 2}
    assert ran(tmp_path) == dict.fromkeys(range(TASKS), 1)
    # Whoever comes for the session finds everything.
    client = _core.Client(str(folder_of(name) / "client.json"), 10.0, session=session)
    try:
        asked = {"results": {"session": session, "requests": list(range(1, TASKS + 20))}}
        _, kept = client.query(json.dumps(asked), 10.0)
        outcomes = [json.loads(answer)["reply"]["outcome"] for answer, _ in kept]
        assert outcomes.count("ok") == TASKS - 2
        assert len(outcomes) == TASKS
    finally:
        client.close()
    some = next(task for task in said("tasks", "list", "--cluster", name)["tasks"] if task["state"] == "ok")
    shown = ipclusterz("tasks", "show", "--cluster", name, some["id"]).stdout
    assert "stdout:\n  number " in shown
    assert "state     ok" in shown
    value = int(ipclusterz("tasks", "result", "--cluster", name, some["id"]).stdout)
    assert value % 10 == 0


def test_what_was_killed_is_taken_up_and_run_again_if_it_may_be(
    name: str, start: Callable[..., dict[str, Any]], submit: Callable[..., str], tmp_path: Path
) -> None:
    report = start()
    submit(retries=1)
    kill_all(name, report)
    begun = ran(tmp_path)
    (tmp_path / "open").touch()
    assert f"{TASKS - 2} tasks to be done" in ipclusterz("start", name, "-n", "1", code=8).stderr
    start("--resume")
    ipclusterz("tasks", "wait", "--cluster", name, "--timeout", "40")
    assert states(name) == {"ok": TASKS}
    again = {number for number, times in ran(tmp_path).items() if times == 2}
    assert again == set(begun) - {0, 1}
    assert set(ran(tmp_path)) == set(range(TASKS))


def test_a_client_elsewhere_gets_its_results_of_the_next_run(
    name: str, start: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    report = start("--listen", "127.0.0.1:0")
    # It knows no process and no socket of this host.
    told = json.loads((folder_of(name) / "client.json").read_text())
    addresses = [address for address in told["addresses"] if address.startswith("tcp:")]
    file = tmp_path / "elsewhere.json"
    file.touch(mode=0o600)
    unknown = dict.fromkeys(("controller", "keeper", "shared_memory"))
    file.write_text(json.dumps({**told, **unknown, "addresses": addresses, "host": "elsewhere"}))
    command = [sys.executable, "-c", WAIT, str(file), str(tmp_path / "open")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "under way\n"
            kill_all(name, report)
            (tmp_path / "open").touch()
            # At the same port, also without the option.
            start("--resume")
            assert client.stdout.readline() == f"{list(range(8))}\n"
        finally:
            client.kill()


def test_a_copy_of_the_journal_is_as_good(
    name: str, start: Callable[..., dict[str, Any]], submit: Callable[..., str], tmp_path: Path
) -> None:
    report = start()
    controller = psutil.Process(report["controller_pid"])
    copies = []
    session = submit()
    for _ in range(3):
        controller.suspend()
        copy = tmp_path / f"copy-{len(copies)}"
        shutil.copytree(folder_of(name) / "journal", copy)
        controller.resume()
        copies.append((copy, states(name)))
    kill_all(name, report)
    ipclusterz("stop", "--discard", name)
    (tmp_path / "open").touch()
    for copy, before in copies:
        # What was in memory of the host is gone with it.
        folder_of(name).mkdir(mode=0o700)
        shutil.copytree(copy, folder_of(name) / "journal")
        start("--resume")
        ipclusterz("tasks", "wait", "--cluster", name, "--session", session, "--timeout", "40", code=1)
        after = states(name)
        assert sum(after.values()) == TASKS
        assert after["ok"] >= before["ok"]
        ipclusterz("stop", "--discard", name)


def test_a_cluster_without_work_leaves_nothing(name: str, start: Callable[..., dict[str, Any]]) -> None:
    report = start()
    assert "journal" not in ipclusterz("stop", name).stderr
    assert not folder_of(name).exists()
    report = start()
    kill_all(name, report)
    assert "journal" not in ipclusterz("stop", name).stderr
    start()
    assert "is dropped" not in ipclusterz("stop", "--discard", name).stderr


def test_a_damaged_log_is_refused_and_salvaged(
    name: str, start: Callable[..., dict[str, Any]], submit: Callable[..., str], tmp_path: Path
) -> None:
    start()
    submit()
    ipclusterz("stop", name)
    (tmp_path / "open").touch()
    log = next((folder_of(name) / "journal").glob("log-*"))
    whole = log.read_bytes()
    damaged = bytearray(whole)
    place = len(whole) // 3
    damaged[place] ^= 0xFF
    log.write_bytes(damaged)
    for options, code in [((), 8), (("--resume",), 5)]:
        refused = ipclusterz("start", name, "-n", "2", "--daemonize", *options, code=code).stderr
        assert f"{log} is damaged at offset" in refused
        assert "--salvage" in refused
    assert log.read_bytes() == damaged
    started = ipclusterz("start", "--resume", "--salvage", name, "-n", "2", "--daemonize").stderr
    assert "is cut at offset" in started
    assert "whole records are lost; a copy is" in started
    copy = next((folder_of(name) / "journal").glob("log-*.damaged-*"))
    assert copy.read_bytes() == damaged
    ipclusterz("tasks", "sessions", "--cluster", name)


def test_discard_drops_what_there_is(
    name: str, start: Callable[..., dict[str, Any]], submit: Callable[..., str], tmp_path: Path
) -> None:
    start()
    submit()
    assert "its journal is dropped" in ipclusterz("stop", "--discard", name).stderr
    assert not folder_of(name).exists()
    start()
    submit()
    ipclusterz("stop", name)
    started = ipclusterz("start", "--discard", name, "-n", "1", "--daemonize").stderr
    assert f'the journal of an earlier cluster "{name}" is dropped: ' in started
    assert states(name) == {}
