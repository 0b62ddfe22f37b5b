"""What a controller can do: tasks a second, time of the processor and memory a task, and how long one task takes.

`python tests/peers/measure.py` prints a line of JSON for each figure; `--set controller.journal=off` and the like
measure another profile. On a machine with few cores the simulated peers take their share of these.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from peer_cluster import READY_SECONDS, PeerCluster, PeersError, until

DEADLINE = 600.0
QUEUE_CLIENTS = 20
"""So many that none has more under way than a controller allows."""


def many(engines: int, clients: int, tasks: int, settings: Sequence[str]) -> dict[str, Any]:
    """Balanced tasks that take no time, as many at a time as clients may have under way."""
    with PeerCluster(engines, settings=settings) as cluster:
        # Each engine asks for the function's code once, and each client registers.
        cluster.report_of(clients, clients * 100, DEADLINE)
        controller = cluster.controller()
        before = controller.cpu_seconds()
        report = cluster.report_of(clients, tasks, DEADLINE, ["--seed", "1"])
        cpu_seconds = controller.cpu_seconds() - before
        bytes_of_journal = cluster.journal_bytes()
        peak = controller.memory("VmHWM")
    return {
        "what": "many at a time",
        "engines": engines,
        "clients": clients,
        "tasks": tasks,
        "ok": report["ok"],
        "tasks_per_second": round(report["tasks_per_second"]),
        "cpu_microseconds_per_task": round(cpu_seconds * 1e6 / tasks, 1),
        "peak_megabytes": round(peak / 1e6, 1),
        "journal_bytes_per_task": round(bytes_of_journal / tasks, 1),
    }


def one_by_one(tasks: int, settings: Sequence[str]) -> dict[str, Any]:
    """One client that waits for each answer of one engine."""
    with PeerCluster(1, settings=settings) as cluster:
        cluster.report_of(1, 100, DEADLINE)
        controller = cluster.controller()
        before = controller.cpu_seconds()
        report = cluster.report_of(1, tasks, DEADLINE, ["--one-by-one", "--seed", "1"])
        cpu_seconds = controller.cpu_seconds() - before
    microseconds = {name: round(seconds * 1e6, 1) for name, seconds in report["latency"].items()}
    return {
        "what": "one by one",
        "tasks": tasks,
        "ok": report["ok"],
        "tasks_per_second": round(report["tasks_per_second"]),
        "cpu_microseconds_per_task": round(cpu_seconds * 1e6 / tasks, 1),
        "latency_microseconds": microseconds,
    }


def queued(tasks: int, settings: Sequence[str]) -> dict[str, Any]:
    """Tasks that wait for an engine which never becomes free."""
    window = ["--window", str(-(-tasks // QUEUE_CLIENTS))]
    with PeerCluster(1, ["--busy", "86400..86400"], settings) as cluster:
        controller = cluster.controller()
        before = controller.memory()
        with cluster.clients(QUEUE_CLIENTS, tasks, window):
            # The engine has one of them.
            until(
                lambda: (cluster.status() or {}).get("pending", 0) >= tasks - 1, READY_SECONDS, f"{tasks} tasks queued"
            )
            grown = controller.memory() - before
    return {"what": "queued", "tasks": tasks, "memory_bytes_per_task": round(grown / tasks)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what a controller can do.")
    parser.add_argument("--engines", type=int, nargs="*", default=[8, 64, 200], help="numbers of engines (8 64 200)")
    parser.add_argument("--clients", type=int, default=50, help="clients (50)")
    parser.add_argument("--tasks", type=int, default=200_000, help="tasks for each number of engines (200000)")
    parser.add_argument("--queued", type=int, default=100_000, help="tasks that wait at once (100000)")
    parser.add_argument("--one-by-one", type=int, default=20_000, help="tasks one by one (20000)")
    parser.add_argument(
        "--set", default=[], action="append", metavar="KEY=VALUE", help="a key of the profile (repeatable)"
    )
    options = parser.parse_args()
    try:
        for engines in options.engines:
            print(json.dumps(many(engines, options.clients, options.tasks, options.set)), flush=True)
        print(json.dumps(one_by_one(options.one_by_one, options.set)), flush=True)
        print(json.dumps(queued(options.queued, options.set)), flush=True)
    except PeersError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
