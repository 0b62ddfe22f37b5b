"""Small calls over TCP beside the unix socket: `make bench-calls`. Prints a table, and JSON to a file.

Two clusters of this host, each of four engines, stand at the same time: of one the engines are at the unix socket, of
the other they know TCP alone, as engines on other hosts do. Three clients take turns, so that all of them see the same
machine. It asserts nothing. Of each way, the median of the rounds:

tasks_per_s     no-ops submitted one by one without waiting, over the time until all are answered
cpu_us          CPU time of all processes for each of these, in microseconds
p50_us, p99_us  one no-op on one engine, called and waited for, one after the other, in microseconds
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
sys.path[:0] = map(str, [TESTS / "attack", HERE.parent])

from meddler import offering, tcp_address  # noqa: E402

from interface import noop  # noqa: E402
from ipclusterz import Client, Cluster  # noqa: E402

ENGINES = 4
WARM_UP = 200
COLUMNS = {"tasks_per_s": "calls/s", "cpu_us": "CPU µs a call", "p50_us": "round trip p50 µs", "p99_us": "p99 µs"}
UNIX, CLIENT, ALL = "unix sockets", "client over TCP", "client and engines over TCP"

Figures = dict[str, float]


@contextlib.contextmanager
def clients() -> Iterator[dict[str, Client]]:
    """A client for each way."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ipclusterz-bench-")))

        def cluster(name: str, **controller: object) -> Cluster:
            found = Cluster(
                n=ENGINES, cluster=f"bench-{name}-{os.getpid()}", listen="127.0.0.1:0", controller=controller
            )
            stack.callback(found.stop)
            return found.start()

        def through_tcp(name: str, cluster: Cluster) -> Client:
            file = offering(cluster.report, tcp_address(cluster.report), folder / f"{name}.json")
            return stack.enter_context(Client(file))

        near, far = cluster("near"), cluster("far", local=False)
        yield {
            UNIX: stack.enter_context(near.connect_client()),
            CLIENT: through_tcp("near", near),
            ALL: through_tcp("far", far),
        }


def cpu_seconds() -> float:
    """CPU time of this process and all below it, up to now."""
    total = 0.0
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def timed(action: Callable[[], Any]) -> float:
    """Seconds that the action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def many(client: Client, count: int) -> None:
    """No-ops for whichever engine is free."""
    view = client.load_balanced_view()
    for result in [view.apply_async(noop) for _ in range(count)]:
        result.get()


def measured(client: Client, tasks: int, trips: int) -> Figures:
    """One round of one way."""
    before = cpu_seconds()
    seconds = timed(lambda: many(client, tasks))
    cpu = cpu_seconds() - before
    samples = [timed(lambda: client[0].apply_sync(noop)) for _ in range(trips)]
    hundredths = statistics.quantiles(samples, n=100)
    return {
        "tasks_per_s": tasks / seconds,
        "cpu_us": cpu * 1e6 / tasks,
        "p50_us": hundredths[49] * 1e6,
        "p99_us": hundredths[98] * 1e6,
    }


def medians(rounds: list[Figures]) -> Figures:
    """Of each figure."""
    return {key: statistics.median(each[key] for each in rounds) for key in COLUMNS}


def table(figures: dict[str, Figures]) -> str:
    """In brackets: beside the unix sockets."""
    lines = ["| way | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for way, found in figures.items():
        cells = []
        for key in COLUMNS:
            ratio = "" if way == UNIX else f" (x{found[key] / figures[UNIX][key]:.2f})"
            cells.append(f"{found[key]:.0f}{ratio}")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-calls", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", choices=[CLIENT, ALL], help="this way alone, beside the unix sockets")
    parser.add_argument("--rounds", type=int, default=7, help="of each way (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=20_000, help="calls under way at once (default: %(default)s)")
    parser.add_argument("--trips", type=int, default=1000, help="calls one after the other (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    with clients() as found:
        found = {way: found[way] for way in found if options.only in (None, way) or way == UNIX}
        for client in found.values():
            measured(client, WARM_UP, WARM_UP)
        rounds: dict[str, list[Figures]] = {way: [] for way in found}
        for number in range(options.rounds):
            # Whoever comes first in a round has another one behind it each time.
            turn = number % len(found)
            for way in [*found][turn:] + [*found][:turn]:
                rounds[way].append(measured(found[way], options.tasks, options.trips))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1))
    print(table({way: medians(of_way) for way, of_way in rounds.items()}))


if __name__ == "__main__":
    main()
