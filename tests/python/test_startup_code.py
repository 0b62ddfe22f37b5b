"""What engines run before they take work, and engines by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import engine_pids, until

import ipclusterz as ipz
from ipclusterz import Cluster, ClusterError

IPCLUSTERZ = str(Path(sys.executable).parent / "ipclusterz")

SCRIPT = """\
import os

who = os.getpid()
where = __file__


def twice(x):
    return 2 * x


class Point:
    pass
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A file that engines run."""
    file = tmp_path / "first thing.py"
    file.write_text(SCRIPT)
    return file


@pytest.mark.parametrize("fork", [True, False])
def test_each_engine_has_run_it_also_later_ones(own_cluster: Callable[..., Cluster], script: Path, fork: bool) -> None:
    command = "answer = twice(21)\nprint('it\\'s \"ready\"')\n"
    cluster = own_cluster(2, startup_script=script, startup_command=command, fork=fork)
    rc = cluster.connect_client()
    cluster.start_engines(1)
    assert rc[:].pull("who").get() == [rc.status()["engines"][engine]["pid"] for engine in range(3)]
    cluster.restart_engines(1)
    pids = engine_pids(rc)
    assert rc[:].pull(("who", "answer", "where")).get() == [[pids[engine], 42, str(script)] for engine in range(3)]
    assert rc[0].apply_sync(lambda: [name for name in os.environ if "STARTUP" in name]) == []
    assert "__file__" not in rc[0].execute("sorted(globals())", block=True).result
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    assert log.read_text().count('it\'s "ready"') == 1
    # What it defines is as if it had been defined at a prompt.
    known = rc[0].execute("f'{Point.__module__} {twice.__code__.co_filename}'", block=True).result
    assert known == repr(f"__main__ {script}")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\nx / 0", "engines.startup_command: ZeroDivisionError: division by zero"),
        ("this is no python", "engines.startup_command: SyntaxError: invalid syntax"),
        ("raise SystemExit(0)", "engines.startup_command: SystemExit: 0"),
    ],
)
def test_an_error_in_it_ends_the_start_and_is_told(code: str, said: str) -> None:
    with pytest.raises(ClusterError) as caught:
        Cluster(2, startup_command=code, timeout=30).start()
    text = str(caught.value)
    assert said in text
    assert "Traceback (most recent call last)" in text or "SyntaxError" in text
    # Only what is the user's.
    assert "startup.py" not in text


def test_a_script_that_is_not_there_and_one_that_fails_later(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"engines.startup_script .*nowhere\.py: FileNotFoundError"):
        Cluster(1, startup_script=tmp_path / "nowhere.py", timeout=30).start()
    file = tmp_path / "script.py"
    file.write_text("a = 1")
    # Relative to the engines' folder.
    cluster = own_cluster(1, startup_script="script.py", engines={"directory": tmp_path})
    file.write_text("a = 1 / 0")
    with pytest.raises((ClusterError, ipz.TimeoutError)):
        cluster.start_engines(1, timeout=5)
    log = Path(cluster.report["log_directory"]) / "engine-1.log"
    assert "ZeroDivisionError" in log.read_text()
    assert cluster.connect_client()[0].pull("a").get() == 1


@pytest.fixture
def by_hand() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts engines from a shell."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        # A group of its own, as a shell gives to each command.
        process = subprocess.Popen([IPCLUSTERZ, "engine", *words], stdout=subprocess.DEVNULL, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_controller_without_engines_and_engines_by_hand(
    own_cluster: Callable[..., Cluster], by_hand: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    cluster = own_cluster(0)
    rc = cluster.connect_client()
    assert rc.ids == set()
    assert cluster.n == 0
    one = by_hand("--cluster", cluster.name, "--python", sys.executable)
    rc.wait_for_engines(1)
    assert engine_pids(rc) == {0: one.pid}
    copy = tmp_path / "engine.json"
    shutil.copy2(Path(cluster.report["client_file"]).with_name("engine.json"), copy)
    two = by_hand("--file", str(copy), "-n", "2", "--", "--threads", "1")
    rc.wait_for_engines(3)
    assert rc[:].apply_sync(abs, -1) == dict.fromkeys(range(3), 1)
    # The launcher's own go beside them, and only those it can start again.
    assert cluster.start_engines(1) == [3]
    assert cluster.restart_engines() == [3]
    with pytest.raises(ClusterError, match="not started by this cluster's launcher") as caught:
        cluster.restart_engines([0, 3])
    assert "by hand" in caught.value.hint
    rc.send_signal("SIGTERM", 0)
    assert one.wait(20) != 0
    until(lambda: rc.ids == {1, 2, 3})
    cluster.stop()
    assert two.wait(20) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cluster", "nobody"], 'no cluster "nobody"'),
        (["--file", "/nowhere/engine.json"], "/nowhere/engine.json"),
        (["--file", "engine.json", "--cluster", "a"], "exclude each other"),
        (["-n", "0"], "0 engines cannot do anything"),
    ],
)
def test_engines_by_hand_that_cannot_be(words: list[str], said: str) -> None:
    done = subprocess.run([IPCLUSTERZ, "engine", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode in (2, 3, 7), done
    assert said in done.stderr
