"""The `ipclusterz` command around real engines: what it says when they come and go, and how long their end may take."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import until

from ipclusterz import Client, Cluster

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs ``python -m ipclusterz``, and stops the clusters that it left."""
    for name in [name for name in os.environ if name.startswith("IPCLUSTERZ_")]:
        if name != "IPCLUSTERZ_HOME":
            monkeypatch.delenv(name)
    started = []

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        if "--cluster" in arguments:
            started.append(arguments[arguments.index("--cluster") + 1])
        line = [sys.executable, "-m", "ipclusterz", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    yield run
    for name in started:
        run("stop", name)


def name_of(test: str) -> str:
    return f"{test}-{os.getpid()}"


def test_the_package_runs_the_command(command: Command) -> None:
    done = command("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "ipclusterz")
    refused = command("statsu")
    assert refused.returncode == 2
    assert 'did you mean "status"?' in refused.stderr


def test_engines_are_announced_in_order_and_many_in_one_line(command: Command) -> None:
    few = command("start", "-n", "3", "--cluster", name_of("few"), "--daemonize")
    assert re.findall(r"^engine (\d+) is ready on ", few.stderr, re.MULTILINE) == ["0", "1", "2"], few.stderr
    many = command("start", "-n", "16", "--cluster", name_of("many"), "--daemonize")
    assert re.search(r"^engines 0-15 are ready on \S+$", many.stderr, re.MULTILINE), many.stderr
    assert "engine 3 is ready" not in many.stderr
    quiet = command("start", "-q", "-n", "1", "--cluster", name_of("quiet"), "--daemonize")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def at_its_end(path: str, seconds: float) -> None:
    """On an engine: have a function of atexit take so long, then write a file."""
    import atexit
    import time
    from pathlib import Path

    def last() -> None:
        time.sleep(seconds)
        Path(path).write_text("done")

    atexit.register(last)


def start(command: Command, end_timeout: float, name: str) -> tuple[dict[str, Any], Client]:
    set_ = f"engines.end_timeout={end_timeout}"
    done = command("start", "-n", "2", "--cluster", name, "--daemonize", "--json", "--set", set_)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report, Client(report["client_file"])


def test_functions_of_atexit_have_the_time_that_the_profile_gives(command: Command, tmp_path: Path) -> None:
    _, rc = start(command, 20, name := name_of("patient"))
    with rc:
        rc[:].apply_sync(at_its_end, str(tmp_path / "done"), 2.5)
    stopped = command("stop", name)
    assert (tmp_path / "done").exists(), stopped.stderr
    assert "killed" not in stopped.stderr


def test_what_takes_longer_at_its_end_is_killed_and_named(command: Command, tmp_path: Path) -> None:
    report, rc = start(command, 0.5, name := name_of("hasty"))
    with rc:
        rc[1].apply_sync(at_its_end, str(tmp_path / "never"), 600)
    stopped = command("stop", name)
    line = "engine 1 was killed: its end took longer than 0.5 s (engines.end_timeout)"
    assert line in stopped.stderr
    assert not (tmp_path / "never").exists()
    log = (Path(report["log_directory"]) / "engine-1.log").read_text()
    assert line in log
    # Where it was.
    assert "in last" in log


def test_code_that_runs_is_interrupted_so_that_the_end_is_in_order(command: Command, tmp_path: Path) -> None:
    def busy(path: str) -> None:
        import time
        from pathlib import Path

        Path(path, "begun").touch()
        try:
            time.sleep(600)
        finally:
            Path(path, "finally").touch()

    _, rc = start(command, 20, name := name_of("busy"))
    with rc:
        rc[0].apply_sync(at_its_end, str(tmp_path / "done"), 0)
        running = rc[0].apply_async(busy, str(tmp_path))
        until((tmp_path / "begun").exists)
        began = time.monotonic()
        assert command("stop", name).returncode == 0
        assert time.monotonic() - began < 15
        assert running.wait(10)
    assert (tmp_path / "finally").exists()
    assert (tmp_path / "done").exists()


def test_one_engine_that_is_shut_down_is_killed_after_its_time(command: Command, tmp_path: Path) -> None:
    report, rc = start(command, 0.5, name_of("one"))
    launcher = Path(report["log_directory"]) / "launcher.log"
    with rc:
        rc[1].apply_sync(at_its_end, str(tmp_path / "never"), 600)
        rc.shutdown(targets=1)
        until(lambda: "is killed: its end took longer than 0.5 s" in launcher.read_text(), message=launcher.read_text)
        until(lambda: re.search(r"engine 1 \(pid \d+\) was shut down$", launcher.read_text(), re.MULTILINE))
        assert rc[0].apply_sync(abs, -1) == 1


def test_clients_that_come_and_go_leave_no_complaint(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(n=1)
    for _ in range(50):
        with cluster.connect_client() as rc:
            rc[0].apply_async(abs, -1)
    log = Path(cluster.report["log_directory"]) / "controller.log"
    until(lambda: log.read_text().count("left") >= 50)
    assert "rejected" not in log.read_text()
