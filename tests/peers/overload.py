"""Many simulated clients and engines, whose controller is killed now and then: is anything lost, or done twice?

`python tests/peers/overload.py --tasks 1000000 --kills 5` prints a report in JSON, and exits with 1 if there are
`problems`. These numbers are the defaults.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from peer_cluster import PeerCluster, PeersError, count_executions, report, until


class Use:
    """What the controllers of a run have used, of which some are killed."""

    def __init__(self, cluster: PeerCluster) -> None:
        self._cluster = cluster
        self._before = cluster.controller().cpu_seconds()
        self.cpu_seconds, self.peak_bytes = 0.0, 0

    def add(self) -> None:
        """The present one has done its part."""
        controller = self._cluster.controller()
        self.cpu_seconds += controller.cpu_seconds() - self._before
        self.peak_bytes = max(self.peak_bytes, controller.memory("VmHWM"))
        self._before = 0.0


def has_come_to(part: int, cluster: PeerCluster, clients: subprocess.Popen[str]) -> bool:
    """So many tasks have begun, or no others will."""
    return cluster.executed() >= part or clients.poll() is not None


def kill_now_and_then(
    cluster: PeerCluster, use: Use, clients: subprocess.Popen[str], options: Any
) -> list[dict[str, Any]]:
    """Kill the controller each time when another part of the tasks has begun."""
    kills = []
    for number in range(1, options.kills + 1):
        part = options.tasks * number // (options.kills + 1)
        until(partial(has_come_to, part, cluster, clients), options.deadline, f"the beginning of task {part}")
        if clients.poll() is not None:
            break
        executed = cluster.executed()
        use.add()
        answered, back = cluster.kill_controller()
        kills.append(
            {
                "executed": executed,
                "seconds_until_an_answer": round(answered, 3),
                "seconds_until_all_engines": round(back, 3),
            }
        )
    return kills


def executions(path: Path, tasks: int) -> dict[str, int]:
    """How often tasks were executed."""
    counts = count_executions(path)
    more = sum(1 for count in counts.values() if count > 1)
    return {"total": counts.total(), "tasks_more_than_once": more, "tasks_never": tasks - len(counts)}


def problems(found: dict[str, Any], options: Any) -> list[str]:
    """What should not be."""
    clients = found["clients"]
    unsubmitted = clients["tasks"] - clients["submitted"]
    # They were asked for.
    errors = clients["other"].get("error", 0) if options.fail else 0
    counts = {
        "were not submitted": unsubmitted,
        "were answered wrongly": clients["wrong"],
        "were answered more than once": clients["doubled"],
        "were not answered": clients["missing"],
        "were answered with something else": sum(clients["other"].values()) - errors,
        "were executed more than once": found["executions"]["tasks_more_than_once"],
    }
    lines = [f"{count} tasks {what}" for what, count in counts.items() if count]
    if len(found["kills"]) < options.kills:
        lines.append(f"the controller was killed {len(found['kills'])} times instead of {options.kills}")
    return lines


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The whole run, and its report."""
    for_engines = ["--busy", options.busy, "--fail", str(options.fail), "--wrong", str(options.wrong)]
    for_engines += ["--seed", str(options.seed)]
    for_clients = ["--direct", str(options.direct), "--retries", str(options.retries), "--window", str(options.window)]
    for_clients += ["--seed", str(options.seed), "--deadline", str(options.deadline)]
    found: dict[str, Any] = {"version": 1, "engines": options.engines}
    with PeerCluster(options.engines, for_engines, options.set, options.profile) as cluster:
        use = Use(cluster)
        with cluster.clients(options.clients, options.tasks, for_clients) as clients:
            found["kills"] = kill_now_and_then(cluster, use, clients, options)
            found["clients"] = report(clients, options.deadline + 60)
        use.add()
        found["executions"] = executions(cluster.executions, options.tasks)
        found["controller"] = {
            "peak_bytes": use.peak_bytes,
            "cpu_seconds": round(use.cpu_seconds, 2),
            "cpu_microseconds_per_task": round(use.cpu_seconds * 1e6 / options.tasks, 1),
        }
        found["journal_bytes"] = cluster.journal_bytes()
    found["problems"] = problems(found, options)
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Put a controller under load, and kill it now and then.")
    parser.add_argument("--engines", type=int, default=200, help="simulated engines (200)")
    parser.add_argument("--clients", type=int, default=50, help="simulated clients (50)")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks of all clients together (1000000)")
    parser.add_argument("--kills", type=int, default=5, help="how often the controller is killed (5)")
    parser.add_argument("--direct", default=0.1, type=float, help="share of tasks for one engine by its id (0.1)")
    parser.add_argument("--retries", default=0, type=int, help="how often a task may be run again (0)")
    parser.add_argument("--window", default=1000, type=int, help="tasks that each client has under way (1000)")
    parser.add_argument("--busy", default="0..0", help="seconds that a task takes, LEAST..MOST (0..0)")
    parser.add_argument("--fail", default=0.0, type=float, help="share of tasks that end with an error (0)")
    parser.add_argument("--wrong", default=0.0, type=float, help="share of tasks that are answered wrongly (0)")
    parser.add_argument("--seed", default=0, type=int, help="decides what is drawn (0)")
    parser.add_argument("--deadline", default=600.0, type=float, help="seconds for all tasks (600)")
    parser.add_argument("--profile", default="", help="profile of the cluster")
    parser.add_argument("--set", default=[], action="append", metavar="KEY=VALUE", help="a key of it (repeatable)")
    return parser.parse_args()


def main() -> int:
    began = time.monotonic()
    try:
        found = run(arguments())
    except PeersError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    found["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(found, indent=1))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
