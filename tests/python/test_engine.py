"""The engine process: its namespace, interrupts, output, death, and what it keeps of functions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers import engine_pid, hold, until

from ipclusterz import Client, Cluster, EngineError, RemoteError

FACTOR = 1


def test_interrupt_stops_the_code_and_keeps_the_namespace(rc: Client) -> None:
    def forever() -> None:
        print("running")
        while True:
            pass

    rc[0]["kept"] = 1
    running = rc[0].apply_async(forever)
    until(lambda: "running" in running.stdout)
    rc[0].interrupt()
    with pytest.raises(RemoteError) as caught:
        running.get(timeout=10)
    assert caught.value.ename == "KeyboardInterrupt"
    assert "in forever" in caught.value.traceback
    assert "ipclusterz" not in caught.value.traceback
    assert rc[0]["kept"] == 1


@pytest.mark.parametrize(
    "code",
    [
        "print('running', flush=True)\nwhile True: pass",
        "import time\nprint('running')\ntime.sleep(60)",
        "import threading\nprint('running')\nthreading.Event().wait(60)",
    ],
)
def test_interrupt_of_a_cell(rc: Client, code: str) -> None:
    running = rc[1].execute(code)
    until(lambda: "running" in running.stdout)
    rc.interrupt(1)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        running.get(timeout=10)
    assert rc[1].execute("1 + 1", block=True).result == "2"


def test_code_may_handle_interrupts_more_than_once(rc: Client) -> None:
    def stubborn() -> int:
        caught = 0
        while caught < 3:
            try:
                print(f"ready {caught}")
                while True:
                    pass
            except KeyboardInterrupt:
                caught += 1
        return caught

    running = rc[2].apply_async(stubborn)
    for count in range(3):
        until(lambda count=count: f"ready {count}" in running.stdout)
        rc.interrupt([2])
    assert running.get(timeout=10) == 3


def test_an_interrupt_of_idle_engines_does_nothing(rc: Client) -> None:
    for _ in range(20):
        rc.interrupt()
    assert set(rc[:].apply_sync(abs, -1).values()) == {1}


def test_a_storm_of_interrupts_leaves_every_call_answered(rc: Client) -> None:
    results = []
    for _ in range(300):
        results.append(rc[0].apply_async(abs, -1))
        rc.interrupt(0)
    for result in results:
        assert result.wait(20)
    assert rc[0].apply_sync(abs, -1) in (1,)


def test_output_comes_while_the_code_runs(rc: Client, gate: Path) -> None:
    def speak(gate: str) -> None:
        import sys

        print("started")
        print("warned", file=sys.stderr)
        hold(gate)
        print("ended")

    running = rc[0].apply_async(speak, str(gate))
    until(lambda: running.stdout == "started\n" and running.stderr == "warned\n")
    assert not running.ready()
    gate.touch()
    running.get()
    assert running.stdout == "started\nended\n"


def test_output_of_every_kind(rc: Client) -> None:
    def speak() -> None:
        import sys
        import threading

        sys.stdout.write("text ")
        sys.stdout.writelines(["a", "b "])
        sys.stdout.buffer.write("bytes ü ".encode())
        sys.stdout.buffer.write(b"\xc3")
        sys.stdout.buffer.write(b"\xbc ")
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        sys.stdout.flush()
        sys.stdout.close()
        print("lone surrogate: \udc80", end="")
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding == "utf-8"
        assert sys.stdout.fileno() == 1

    result = rc[0].apply_async(speak)
    result.get()
    assert result.stdout == "text ab bytes ü ü thread\nlone surrogate: ?"
    with pytest.raises(RemoteError, match="TypeError"):
        rc[0].apply_sync(eval, "__import__('sys').stdout.write(3)")


def test_much_output(rc: Client) -> None:
    def speak() -> None:
        for number in range(20_000):
            print(f"line {number}")

    result = rc[0].apply_async(speak)
    result.get()
    assert result.stdout == "".join(f"line {number}\n" for number in range(20_000))


def test_output_of_idle_threads_goes_to_the_log_and_of_child_processes_to_both(cluster: Cluster, rc: Client) -> None:
    def speak() -> None:
        import os
        import subprocess
        import sys
        import threading

        subprocess.run(["echo", f"child of {os.getpid()}"], stdout=sys.stdout, check=True)
        threading.Timer(0.05, print, (f"thread of {os.getpid()}",)).start()

    pid = engine_pid(rc, 0)
    result = rc[0].apply_async(speak)
    result.get()
    assert result.stdout == f"child of {pid}\n"
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    until(lambda: f"child of {pid}" in log.read_text() and f"thread of {pid}" in log.read_text())


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def read_address_zero() -> None:
    import ctypes

    ctypes.string_at(0)


def exit_at_once() -> None:
    os._exit(3)


DEATHS = [
    (kill_itself, "signal: 9 (SIGKILL)"),
    (read_address_zero, "signal: 11 (SIGSEGV)"),
    (exit_at_once, "exit status: 3"),
]


@pytest.mark.parametrize(("death", "how"), DEATHS)
def test_an_engine_that_dies_is_named_within_a_second_with_how_it_died(
    own_cluster: Callable[..., Cluster], death: Any, how: str
) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        view, balanced, pid = rc[1], rc.load_balanced_view(1), engine_pid(rc, 1)
        running = view.apply_async(death)
        queued = view.apply_async(abs, -1)
        begin = time.monotonic()
        died = rf"engine 1 \(pid {pid} on .*\) died: {re.escape(how)}"
        for result in (running, queued):
            with pytest.raises(EngineError, match=died) as caught:
                result.get(timeout=10)
            assert caught.value.engine_id == 1
        assert time.monotonic() - begin < 1
        until(lambda: rc.ids == {0}, 1)
        with pytest.raises(IndexError, match=f"there is no engine 1: {died}"):
            rc[1]
        with pytest.raises(EngineError, match=f"there is no engine 1: {died}"):
            view.apply_sync(abs, -1)
        with pytest.raises(EngineError, match=f"there is no engine 1: {died}"):
            balanced.apply_sync(abs, -1)
        [loss] = rc.status()["losses"]
        assert (loss["id"], loss["pid"]) == (1, pid)
        assert loss["how"].startswith(how)
        assert rc[0].apply_sync(abs, -1) == 1
    words = [Path(sys.executable).with_name("ipclusterz"), "status", "--cluster", cluster.report["cluster"]]
    status = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"\nlost:\n  \d.* ago: engine 1 \(pid {pid}\) on .*: {re.escape(how)}", status), status


def test_a_call_that_ended_every_engine_it_was_given_to_says_how(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(3).connect_client() as rc:
        balanced = rc.load_balanced_view()
        balanced.retries = 2
        with pytest.raises(EngineError, match=re.escape("signal: 9 (SIGKILL)")):
            balanced.apply_sync(kill_itself)
        losses = rc.status()["losses"]
        assert [loss["how"] for loss in losses] == ["signal: 9 (SIGKILL)"] * 3
        assert {loss["id"] for loss in losses} == {0, 1, 2}


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A cgroup with little memory; needs root, and the kernel's log."""
    root, limit = Path("/sys/fs/cgroup"), "memory.max"
    if (root / "memory/memory.limit_in_bytes").exists():
        root, limit = root / "memory", "memory.limit_in_bytes"
    folder = root / f"ipclusterz-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(256 << 20))
        subprocess.run(["dmesg"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"no cgroup with a limit, or no kernel log: {error}")
    yield folder
    until(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_an_engine_that_ran_out_of_memory_says_so(own_cluster: Callable[..., Cluster], small_cgroup: Path) -> None:
    with own_cluster(1).connect_client() as rc:
        (small_cgroup / "cgroup.procs").write_text(str(engine_pid(rc, 0)))
        with pytest.raises(EngineError, match=r"SIGKILL\), out of memory, says the kernel: .*Killed process"):
            rc[0].apply_sync(lambda: len(bytearray(1) * (1 << 30)))


def test_an_engine_that_is_killed_from_outside(own_cluster: Callable[..., Cluster], gate: Path) -> None:
    with own_cluster(2).connect_client() as rc:
        old_view = rc[:]
        running = rc[0].apply_async(hold, str(gate), "running")
        until(lambda: "running" in running.stdout)
        os.kill(engine_pid(rc, 0), signal.SIGKILL)
        begin = time.monotonic()
        with pytest.raises(EngineError):
            running.get(timeout=10)
        assert time.monotonic() - begin < 1
        # A view keeps its engines; the one that is gone is an error, the other works.
        late = old_view.apply_async(abs, -1)
        assert late[1] == 1
        with pytest.raises(EngineError) as caught:
            late[0]
        assert caught.value.engine_id == 0


def test_a_fault_leaves_its_traceback_in_the_log(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    with cluster.connect_client() as rc, log.open() as lines:
        with pytest.raises(EngineError):
            rc[0].apply_sync(read_address_zero)
        text = ""

        def told() -> bool:
            nonlocal text
            text += lines.read()
            return "Segmentation fault" in text and "read_address_zero" in text

        until(told)


def test_load_balanced_work_is_tried_again(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    def fall_once(marker: str) -> str:
        if not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    with own_cluster(3).connect_client() as rc:
        view = rc.load_balanced_view()
        with pytest.raises(EngineError):
            view.apply_async(fall_once, str(tmp_path / "first")).get(timeout=10)
        view.retries = 1
        assert view.apply_async(fall_once, str(tmp_path / "second")).get(timeout=10) == "done"


def test_the_last_engine_dies(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        with pytest.raises(EngineError):
            rc[0].apply_async(kill_itself).get(timeout=10)
        until(lambda: rc.ids == set() or rc.closed, 5)
        with pytest.raises((IndexError, ConnectionError)):
            rc[:]


def test_shutdown_of_some_engines(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(3).connect_client() as rc:
        rc[1].shutdown()
        until(lambda: rc.ids == {0, 2})
        rc.shutdown([0])
        until(lambda: rc.ids == {2})
        assert rc[2].apply_sync(abs, -1) == 1
        assert rc[-1].targets == [2]
        with pytest.raises(ValueError, match="leave targets out"):
            rc.shutdown(2, controller=True)


def test_shutdown_of_everything(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    rc = cluster.connect_client()
    rc.shutdown(controller=True)
    assert rc.closed
    until(lambda: not cluster.running)


def test_functions_are_sent_as_they_are_now(rc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def times(x: int) -> int:
        return x * FACTOR

    for factor in (2, 3, 2):
        monkeypatch.setitem(globals(), "FACTOR", factor)
        assert rc[:].apply_sync(times, 10) == dict.fromkeys(range(4), 10 * factor)
        assert rc[None].map_sync(times, [10]) == [10 * factor]


def test_no_call_sees_what_another_one_left(rc: Client) -> None:
    items: list[int] = []

    def append() -> int:
        items.append(1)
        return len(items)

    def count(seen: list[int] = []) -> int:  # noqa: B006
        seen.append(1)
        return len(seen)

    for function in (append, count, append, count):
        assert rc[0].apply_sync(function) == 1
    assert items == []


def test_more_functions_than_an_engine_keeps(rc: Client) -> None:
    functions: list[Any] = [eval(f"lambda: {number}") for number in range(700)]
    for _ in range(2):
        results = [rc[0].apply_async(function) for function in functions]
        assert [result.get() for result in results] == list(range(700))


def test_main_is_the_users_namespace(rc: Client) -> None:
    rc[0].execute("import __main__, pickle\nclass A: pass\nx = 3", block=True)
    assert rc[0].execute("__main__.x, A.__module__, __name__", block=True).result == "(3, '__main__', '__main__')"
    assert rc[0].execute("type(pickle.loads(pickle.dumps(A()))) is A", block=True).result == "True"
    rc[0].clear(block=True)
    assert rc[0].apply_bound(lambda: "x" in globals()).get() is False


def test_a_forked_child_does_not_answer_for_the_engine(rc: Client) -> None:
    def fork() -> int:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        else:
            print("from the child")
        return os.getpid()

    assert rc[0].apply_async(fork).get(timeout=10) == engine_pid(rc, 0)
    assert rc[0].apply_sync(abs, -1) == 1


def test_multiprocessing_on_an_engine(rc: Client) -> None:
    def pool() -> list[int]:
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as workers:
            return workers.map(abs, [-1, -2])

    assert rc[0].apply_async(pool).get(timeout=30) == [1, 2]


def test_status(rc: Client, cluster: Cluster) -> None:
    status = rc.status()
    assert status["cluster"] == cluster.name
    assert [engine["id"] for engine in status["engines"]] == [0, 1, 2, 3]
    assert {engine["pid"] for engine in status["engines"]} == set(rc[:].apply_sync(os.getpid).values())
    assert all(engine["resident_bytes"] > 1 << 20 for engine in status["engines"])


def test_threads_that_ask_at_the_same_time_are_each_told_the_status(rc: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            told = [threads.submit(rc.status, timeout=30) for _ in range(8)]
            assert all(each.result()["engines"] for each in told)


def test_status_says_what_waits_in_the_client(rc: Client, gate: Path) -> None:
    assert rc.status()["unsent"] == {"calls": 0, "bytes": 0}
    for engine in sorted(rc.ids):
        rc[engine].apply_async(hold, str(gate))
    results = [rc[None].apply_async(len, bytes(1000)) for _ in range(9000)]
    unsent = rc.status()["unsent"]
    assert 0 < unsent["calls"] < 9000
    assert unsent["bytes"] >= 1000 * unsent["calls"]
    gate.touch()
    assert all(result.get(40) == 1000 for result in results)
    assert rc.status()["unsent"] == {"calls": 0, "bytes": 0}


def test_engines_run_the_same_python(rc: Client) -> None:
    assert rc[0].apply_sync(eval, "__import__('sys').executable") == sys.executable
