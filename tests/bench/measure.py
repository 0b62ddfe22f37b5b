"""Measures one system, in the process that it is run in, and writes the figures as JSON.

The runner (`__main__.py`) starts this once for every system, so that no system sees what another has left behind.

start_s              from nothing to four engines that have taken work, and a first answer, in seconds
round_trip_p50_us    a no-op, called and waited for, one after the other: median, and
round_trip_p99_us    99th percentile, in microseconds
tasks_per_s          no-ops submitted one by one without waiting, over the time until all are answered
controller_us_per_task  CPU time of the processes that are neither engine nor client for each of these, in microseconds
push_gb_s            64 MiB brought to each of 4 engines, counted as 4 x 64 MiB, over the time; 1 GB is 10^9 bytes
pull_gb_s            64 MiB fetched from each of 4 engines, counted as above
controller_rss_mib   resident memory of the processes that are neither engine nor client, after all of it
controller_processes how many they are; 0: the client does their work
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from interface import System

ENGINES = 4
ARRAY_BYTES = 64 * 2**20
ROUND_TRIP_WARM_UP = 100
ROUND_TRIPS = 3000
ROUND_TRIP_SECONDS = 10.0
TASKS_SECONDS = 4.0
TASKS_MAX = 200_000
TRANSFERS = 5


def timed(action: Callable[[], Any]) -> float:
    """Seconds that the action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def round_trips(system: System) -> list[float]:
    """Seconds of each of many no-ops; fewer for a slow system."""
    for _ in range(ROUND_TRIP_WARM_UP):
        system.call_noop()
    samples = []
    deadline = time.perf_counter() + ROUND_TRIP_SECONDS
    while len(samples) < ROUND_TRIPS and time.perf_counter() < deadline:
        samples.append(timed(system.call_noop))
    return samples


def cpu_seconds(system: System) -> float:
    """CPU time that the processes beside engines and client have taken so far."""
    times = [process.cpu_times() for process in system.controller_processes()]
    return sum(each.user + each.system for each in times)


def tasks_per_second(system: System) -> tuple[float, float, int]:
    """The rate of tasks submitted one by one, over as many as take a few seconds.

    Returns
    -------
    rate
        Tasks a second.
    cpu
        Seconds of the controller's CPU for each.
    count
        How many these were.
    """
    count = 100
    # Does not count: a system may start processes for the first tasks that it sees.
    system.submit_noops(count)
    while True:
        before = cpu_seconds(system)
        seconds = timed(lambda count=count: system.submit_noops(count))
        if seconds >= TASKS_SECONDS / 2 or count == TASKS_MAX:
            return count / seconds, (cpu_seconds(system) - before) / count, count
        count = min(TASKS_MAX, 20 * count, int(count * TASKS_SECONDS / seconds) + 1)


def transfers(system: System) -> tuple[float, float]:
    """Push and pull in bytes per second: medians, after one of each that does not count."""
    pushes, pulls = [], []
    for number in range(TRANSFERS + 1):
        # Other content every time: a system that recognises what it has seen before is to send it all the same.
        array = np.random.default_rng(number).random(ARRAY_BYTES // 8)
        pushes.append(timed(lambda array=array: system.push(array)))
        pulled: list[Any] = []
        pulls.append(timed(lambda pulled=pulled: pulled.extend(system.pull())))
        if len(pulled) != ENGINES or not all(np.array_equal(array, copy) for copy in pulled):
            raise AssertionError("what was pulled is not what was pushed")
    total = ENGINES * ARRAY_BYTES
    return total / float(np.median(pushes[1:])), total / float(np.median(pulls[1:]))


def measure(system: System) -> dict[str, Any]:
    """All figures of one system, which is started and stopped here."""
    versions = {name: metadata.version(name) for name in system.distributions}
    try:
        start = timed(lambda: (system.start(ENGINES), system.call_noop()))
        samples = round_trips(system)
        rate, cpu, count = tasks_per_second(system)
        push, pull = transfers(system)
        processes = system.controller_processes()
        resident = [(process.memory_info().rss, " ".join(process.cmdline())[:120]) for process in processes]
    finally:
        system.stop()
    return {
        "versions": versions,
        "start_s": start,
        "round_trip_p50_us": float(np.percentile(samples, 50)) * 1e6,
        "round_trip_p99_us": float(np.percentile(samples, 99)) * 1e6,
        "round_trips": len(samples),
        "tasks_per_s": rate,
        "controller_us_per_task": cpu * 1e6 if processes else None,
        "tasks": count,
        "push_gb_s": push / 1e9,
        "pull_gb_s": pull / 1e9,
        "controller_rss_mib": sum(rss for rss, _ in resident) / 2**20,
        "controller_processes": len(resident),
        "controller_commands": [command for _, command in resident],
    }


def main() -> None:
    """Measure the system named on the command line: `measure.py ipyparallel results.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", help="a module of systems/, without its `with_`")
    parser.add_argument("output", help="the JSON file to write; standard output is left to the systems")
    arguments = parser.parse_args()
    module = importlib.import_module(f"systems.with_{arguments.system}")
    figures = measure(module.SYSTEM())
    with open(arguments.output, "w", encoding="utf-8") as output:
        json.dump(figures, output)


if __name__ == "__main__":
    sys.exit(main())
