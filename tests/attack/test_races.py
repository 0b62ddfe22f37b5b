"""Commands that start, scale, ask, stop and clean up one cluster at the same time, and launchers killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ipclusterz import Client, error

PROGRAM = Path(sysconfig.get_path("scripts")) / "ipclusterz"
SECONDS = 60
# As `ipclusterz --help` lists them.
CODES = {0, 1, 2, 3, 4, 5, 6, 7, 130}
COMMANDS = (
    "start -n 1 --daemonize",
    "start -n 2 --daemonize --timeout 20",
    "scale +1 --timeout 10",
    "scale 1 --timeout 10",
    "status --json",
    "list",
    "wait 1 --timeout 5",
    "gc",
    "logs",
    "abort --timeout 5",
    "stop",
)


def run(command: str, cluster: str) -> subprocess.CompletedProcess[str]:
    words = [str(PROGRAM), *command.split(), *([] if command == "list" else ["--cluster", cluster])]
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)


@pytest.fixture
def raced() -> Iterator[str]:
    """The name of a cluster; whatever of it there is in the end goes."""
    name = f"raced-{os.getpid()}"
    yield name
    run("stop", name)
    run("gc", name)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(4))
def test_commands_at_the_same_time(seed: int, raced: str, faults) -> None:
    chance = random.Random(seed)
    count = faults.times(15, 150)
    with ThreadPoolExecutor(4) as pool:
        commands = [chance.choice(COMMANDS) for _ in range(count)]
        ended = list(pool.map(lambda command: run(command, raced), commands))
    for command, done in zip(commands, ended, strict=True):
        said = done.stdout + done.stderr
        assert done.returncode in CODES, f"{command}: {done.returncode}: {said}"
        assert "panicked" not in said, f"{command}: {said}"
        assert done.returncode == 0 or said.strip(), f"{command}: {done.returncode} without a word"
    assert run("stop", raced).returncode in (0, 3)
    assert run("start -n 1 --daemonize", raced).returncode == 0
    with Client(cluster=raced) as rc:
        assert rc[0].apply_sync(abs, -1) == 1
    codes = Counter(done.returncode for done in ended)
    assert codes[0], codes
    faults.survived(
        "races", "start, scale, stop, gc and others of one cluster at once", count, "each ends with a listed code"
    )


@pytest.mark.timeout(600)
def test_a_launcher_that_is_killed_at_any_moment_leaves_nothing(raced: str, faults) -> None:
    chance = random.Random(5)
    count = faults.times(6, 60)
    for _ in range(count):
        words = [str(PROGRAM), "start", "-n", "2", "--cluster", raced]
        launcher = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            launcher.wait(chance.uniform(0.0, 0.8))
        launcher.kill()
        launcher.communicate(timeout=SECONDS)
        assert run("gc", raced).returncode == 0
        assert raced not in run("list", raced).stdout
    assert launcher.returncode == -signal.SIGKILL
    faults.survived("races", "a launcher killed at any moment of a start", count, "gc leaves nothing of it")


@pytest.mark.timeout(600)
def test_clients_that_come_while_the_cluster_stops(raced: str, faults) -> None:
    rounds = faults.times(2, 30)

    def come_and_go(number: int) -> str:
        try:
            with Client(cluster=raced, timeout=10) as rc:
                return str(rc[:].apply_async(abs, -number).get(timeout=20))
        except error.IpclusterzError as problem:
            return type(problem).__name__

    for _ in range(rounds):
        assert run("start -n 1 --daemonize", raced).returncode == 0
        with ThreadPoolExecutor(8) as pool:
            coming = [pool.submit(come_and_go, number) for number in range(24)]
            stopped = pool.submit(run, "stop", raced)
            assert all(each.result(timeout=SECONDS) for each in coming)
        assert stopped.result().returncode == 0
    faults.survived(
        "races", "clients that come while their cluster stops", rounds * 24, "an answer, or an error in words"
    )
