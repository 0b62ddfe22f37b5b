"""The `ipclusterz` command around real engines: how it is run, and what it says when they come."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

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
