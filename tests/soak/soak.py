"""Calls without end while engines are killed: every call is answered or fails with EngineError, and nothing is left.

`python tests/soak/soak.py --calls 100000 --kill-every 2` prints a report and exits with 1 if anything is wrong. Half of
the calls are load balanced, the rest go to one engine; some carry a large array there and back, some print.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import psutil

import ipclusterz as ipz
from ipclusterz import error

PROGRAM = Path(sysconfig.get_path("scripts")) / "ipclusterz"
OUTSTANDING = 500
# A call that takes longer is taken for lost: no call of this script runs for more than a second.
ANSWER_SECONDS = 60.0


def quick(value: int) -> int:
    return value + 1


def slow(value: int) -> int:
    time.sleep(0.02)
    return value + 1


def talk(value: int) -> int:
    print("value", value)
    return value + 1


def large(array: Any) -> Any:
    return array + 1


class Soak:
    """One run: its cluster, its counts, and what is under way."""

    def __init__(self, calls: int, kill_every: float, seed: int) -> None:
        self.calls, self.kill_every = calls, kill_every
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.kills = 0
        self.array = numpy.arange(100_000.0)

    def run(self, rc: ipz.Client) -> None:
        balanced = rc.load_balanced_view()
        under_way: list[tuple[Any, Any]] = []
        next_kill = time.monotonic() + self.kill_every
        for number in range(self.calls):
            under_way.append(self.submit(rc, balanced, number))
            if len(under_way) >= OUTSTANDING:
                for call in under_way[: OUTSTANDING // 2]:
                    self.settle(*call)
                del under_way[: OUTSTANDING // 2]
            if time.monotonic() >= next_kill:
                self.kill(rc)
                next_kill = time.monotonic() + self.kill_every
        for call in under_way:
            self.settle(*call)

    def submit(self, rc: ipz.Client, balanced: Any, number: int) -> tuple[Any, Any]:
        kind = self.random.random()
        function, argument = quick, number
        if kind < 0.05:
            function = slow
        elif kind < 0.15:
            function = talk
        elif kind < 0.16:
            return balanced.apply_async(large, self.array), None
        try:
            view = balanced if kind < 0.6 else rc[self.random.choice(sorted(rc.ids))]
            return view.apply_async(function, argument), number + 1
        except (IndexError, error.NoEnginesRegistered):
            # The engine was killed between the two lines, or there was none at this moment.
            return balanced.apply_async(function, argument) if rc.ids else None, number + 1

    def settle(self, result: Any, expected: Any) -> None:
        if result is None:
            self.counts["no engine at that moment"] += 1
            return
        try:
            value = result.get(timeout=ANSWER_SECONDS)
        except error.EngineError:
            self.counts["EngineError"] += 1
        except Exception as problem:
            self.counts[type(problem).__name__] += 1
            self.wrong.append(f"{type(problem).__name__}: {problem}")
        else:
            right = (value == self.array + 1).all() if expected is None else value == expected
            self.counts["answered"] += 1
            if not right:
                self.wrong.append(f"got {value!r} instead of {expected!r}")

    def kill(self, rc: ipz.Client) -> None:
        engines = rc.status()["engines"]
        if engines:
            os.kill(self.random.choice(engines)["pid"], signal.SIGKILL)
            self.kills += 1


def remains(cluster: str) -> list[str]:
    """Processes, sockets and shared memory of a cluster."""
    found = [str(path) for path in Path("/dev/shm").glob(f"ipclusterz-*-{cluster}-*")]
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp"):
        found += [str(path) for path in Path(base or "/nonexistent").glob(f"ipclusterz*/{cluster}-*")]
    for process in psutil.process_iter(["cmdline", "pid"]):
        command = " ".join(process.info["cmdline"] or [])
        if cluster in command and process.pid != os.getpid():
            found.append(f"{process.pid}: {command}")
    return found


def descriptors(pid: int) -> int:
    return psutil.Process(pid).num_fds()


def main(arguments: argparse.Namespace) -> int:
    cluster = f"soak-{os.getpid()}"
    start = [PROGRAM, "start", "-n", "4", "--cluster", cluster, "--restart", "--daemonize", "--json"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    soak = Soak(arguments.calls, arguments.kill_every, arguments.seed)
    try:
        own_before = psutil.Process().num_fds()
        with ipz.Client(cluster=cluster) as rc:
            controller = rc.status()["pid"]
            rc.load_balanced_view().apply_sync(quick, 1)
            before = descriptors(controller)
            began = time.monotonic()
            soak.run(rc)
            seconds = time.monotonic() - began
            rc.wait_for_engines(4, timeout=30)
            status = rc.status()
            segments = len(list(Path("/dev/shm").glob(f"ipclusterz-*-{cluster}-*/*")))
            after = descriptors(controller)
        # The closed client goes with the last view of it.
        del rc
        gc.collect()
        own_after = psutil.Process().num_fds()
    finally:
        subprocess.run([PROGRAM, "stop", "--cluster", cluster, "--json"], check=True, stdout=subprocess.DEVNULL)
    if sum(soak.counts.values()) != arguments.calls:
        soak.wrong.append(f"{sum(soak.counts.values())} ends for {arguments.calls} calls")
    problems = {
        "payload held by the controller": max(status["held_bytes"] - 65536, 0),
        "tasks pending": status["pending"],
        "segments in shared memory": segments,
        "descriptors of the controller": max(after - before, 0),
        "descriptors of the client": max(own_after - own_before, 0),
    }
    soak.wrong += [f"{what} left: {count}" for what, count in problems.items() if count]
    soak.wrong += [f"left behind: {what}" for what in remains(cluster)]
    report = {
        "calls": arguments.calls,
        "seconds": round(seconds, 1),
        "engines killed": soak.kills,
        **soak.counts,
        "controller MiB": round(status["resident_bytes"] / 2**20, 1),
        "client MiB": round(psutil.Process().memory_info().rss / 2**20, 1),
        "wrong": soak.wrong[:20],
    }
    print(json.dumps(report, indent=2))
    return 1 if soak.wrong else 0


def options() -> Iterator[tuple[str, type, float]]:
    yield "--calls", int, 100_000
    yield "--kill-every", float, 2.0
    yield "--seed", int, 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, default in options():
        parser.add_argument(name, type=kind, default=default)
    sys.exit(main(parser.parse_args()))
